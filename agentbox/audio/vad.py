"""Voice activity: the Silero VAD graph on onnxruntime (silero-vad 6, `silero_vad_16k_op15.onnx`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agentbox.audio.segment import Samples
from agentbox.inference import open_session

WINDOW_SAMPLES = 512
"""The graph takes exactly 32 ms at 16 kHz, preceded by the last 64 samples of the window before."""

CONTEXT_SAMPLES = 64


class SileroVad:
    """Speech probability of one window after the other; keeps the graph's recurrent state between them."""

    def __init__(self, path: Path) -> None:
        """Raises `ModelError` `model_damaged`."""
        self._session = open_session(path, threads=1)
        self._rate = np.array(16_000, dtype=np.int64)
        self._input = np.zeros((1, CONTEXT_SAMPLES + WINDOW_SAMPLES), dtype=np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard: the next window follows silence."""
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._input[:] = 0.0

    def probability(self, window: Samples) -> float:
        """The probability 0..1 that `window` (int16 [512], 16 kHz) holds speech."""
        self._input[0, :CONTEXT_SAMPLES] = self._input[0, -CONTEXT_SAMPLES:]
        np.multiply(window, 1.0 / 32768.0, out=self._input[0, CONTEXT_SAMPLES:], casting="unsafe")
        output, self._state = self._session.run(None, {"input": self._input, "state": self._state, "sr": self._rate})
        return float(output[0, 0])
