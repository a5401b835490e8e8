"""The ear: blocks of sound in, segment events out. Energy gate, voice activity and segmenter in a row."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from agentbox.audio.gate import EnergyGate, level_dbfs
from agentbox.audio.segment import Completeness, EndReason, Samples, Segmenter, SegmentEvent
from agentbox.audio.vad import WINDOW_SAMPLES
from agentbox.config import Audio
from agentbox.messages import SAMPLE_RATE_HZ

LOOK_BACK_WINDOWS = 10
"""Windows kept while the gate is closed and shown to the model when it opens: the soft start of a word."""


class VoiceActivity(Protocol):
    def probability(self, window: Samples) -> float: ...
    def reset(self) -> None: ...


class Ear:
    """`hear(block)` takes int16 blocks of any size and gives what the segmenter makes of them.

    While the gate is closed a window costs one dot product; the model runs only when it opens.
    """

    def __init__(self, config: Audio, vad: VoiceActivity, *, partials: bool = True) -> None:
        self._vad = vad
        self._gate = EnergyGate(config.vad.gate_db, config.vad.gate_floor_dbfs)
        self._segmenter = Segmenter(
            config.endpoint, threshold=config.vad.threshold, pre_roll_ms=config.pre_roll_ms, partials=partials
        )
        self._waiting: deque[Samples] = deque()
        self._rest = np.zeros(0, dtype=np.int16)
        self._open = False
        self.level_dbfs = -96.0
        self.vad_windows = 0
        """How many windows the model has seen: what the gate did not save."""

    @property
    def speaking(self) -> bool:
        return self._segmenter.active

    @property
    def length(self) -> int:
        """How many samples the utterance under way has so far; 0 when there is none."""
        return self._segmenter.length

    @property
    def silence_ms(self) -> int:
        """How long the utterance under way has been silent by now."""
        return self._segmenter.silence_ms

    @property
    def so_far(self) -> Samples:
        """The utterance under way: int16, 16 kHz."""
        return self._segmenter.so_far

    @property
    def position(self) -> int:
        """Samples heard so far, counted to the last whole window."""
        return self._segmenter.position + sum(window.size for window in self._waiting)

    def hear(self, block: Samples) -> list[SegmentEvent]:
        samples = np.concatenate([self._rest, block]) if self._rest.size else block
        whole = samples.size // WINDOW_SAMPLES * WINDOW_SAMPLES
        # Copies: a window outlives the buffer that the sound card's driver will fill again.
        self._rest = samples[whole:].copy()
        events: list[SegmentEvent] = []
        for start in range(0, whole, WINDOW_SAMPLES):
            self._window(samples[start : start + WINDOW_SAMPLES].copy(), events)
        return events

    def set_completeness(self, number: int, completeness: Completeness) -> None:
        self._segmenter.set_completeness(number, completeness)

    def finish(self, reason: EndReason = "end_of_input") -> list[SegmentEvent]:
        """End what is under way; sound that did not fill a window is padded with silence."""
        events: list[SegmentEvent] = []
        if self._rest.size:
            window = np.zeros(WINDOW_SAMPLES, dtype=np.int16)
            window[: self._rest.size] = self._rest
            self._rest = self._rest[:0]
            self._window(window, events)
        while self._waiting:
            events += self._segmenter.feed(self._waiting.popleft(), 0.0)
        self._vad.reset()
        self._open = False
        return events + self._segmenter.finish(reason)

    def _window(self, window: Samples, events: list[SegmentEvent]) -> None:
        self.level_dbfs = level_dbfs(window)
        is_open = self._gate.open_for(self.level_dbfs, WINDOW_SAMPLES / SAMPLE_RATE_HZ, self._segmenter.active)
        self._waiting.append(window)
        if is_open:
            while self._waiting:
                waiting = self._waiting.popleft()
                self.vad_windows += 1
                events += self._segmenter.feed(waiting, self._vad.probability(waiting))
        else:
            if self._open:
                self._vad.reset()
            while len(self._waiting) > LOOK_BACK_WINDOWS:
                events += self._segmenter.feed(self._waiting.popleft(), 0.0)
        self._open = is_open
