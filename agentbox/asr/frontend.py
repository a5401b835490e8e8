"""Features as the models of the FunASR family want them: filter banks, stacked, and normalised where the model says so.

sherpa-onnx' exports carry the figures in the graph's metadata; FunASR's own have the normalisation in `am.mvn` and
leave the rest to a configuration that has been the same for all of them (modelscope/FunASR: conf of SenseVoiceSmall and
Paraformer-large: 80 bins, hamming, 7 frames every 6).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agentbox.asr.engine import Samples
from agentbox.asr.features import Fbank, Features, stacked
from agentbox.asr.graph_files import GraphFile, damaged

FRAME_MS = 10
_SIZE, _SHIFT = 7, 6
_MOST_STACKED = 20


@dataclass(frozen=True, eq=False, slots=True)
class Frontend:
    """Sound to rows of features."""

    bank: Fbank
    size: int
    """Frames side by side in a row."""
    shift: int
    """Frames from one row to the next."""
    mean: Features | None = None
    """What is added to a row, [width]; null: rows stay as they are."""
    scale: Features | None = None
    """What the sum is multiplied by, [width]."""

    @property
    def width(self) -> int:
        return self.size * self.bank.bins

    @property
    def row_ms(self) -> int:
        """From one row to the next."""
        return self.shift * FRAME_MS

    def __call__(self, samples: Samples) -> Features:
        """[rows, width]; none for less than 25 ms."""
        rows = stacked(self.bank(samples), self.size, self.shift)
        if self.mean is None or self.scale is None:
            return rows
        return (rows + self.mean) * self.scale

    @classmethod
    def of(cls, graph: GraphFile, *, normalised: bool) -> Frontend:
        """What the graph's metadata say, or the files beside it; its first input takes the rows.

        `normalised`: it cannot do without.

        Raises `ModelError` `model_damaged`.
        """
        told = graph.metadata
        size, shift = told.number("lfr_window_size", _SIZE), told.number("lfr_window_shift", _SHIFT)
        if not (1 <= shift <= _MOST_STACKED and 1 <= size <= _MOST_STACKED):
            raise damaged(graph.file, f"it stacks {size} frames every {shift}")
        bank = Fbank(scale=1.0 if told.number("normalize_samples", 0) else 32768.0)
        front = cls(bank, size, shift)
        wanted = graph.shape(next(iter(graph.inputs)))[-1:]
        if wanted not in ((), (None,), (front.width,)):
            raise damaged(graph.file, f"it takes rows of {wanted[0]} numbers, and its metadata make {front.width}")
        if not normalised:
            return front
        if "neg_mean" in told.values:
            mean, scale = told.numbers("neg_mean", front.width), told.numbers("inv_stddev", front.width)
        else:
            mean, scale = read_mvn(graph.file.with_name("am.mvn"), front.width)
        return cls(bank, size, shift, mean, scale)


_VECTOR = re.compile(r"<(AddShift|Rescale)>[^\[<]*(?:<LearnRateCoef>[^\[<]*)?\[([^\]]*)\]")


def read_mvn(file: Path, width: int) -> tuple[Features, Features]:
    """The vectors of an `am.mvn`: what is added, then what is multiplied by; each [width].

    Kaldi's text format (nnet1): `<AddShift>` and `<Rescale>`, each followed by numbers in brackets.
    Raises `ModelError` `model_damaged`.
    """
    try:
        found = {name: numbers.split() for name, numbers in _VECTOR.findall(file.read_text(encoding="utf-8"))}
        mean, scale = (np.array(found[name], dtype=np.float32) for name in ("AddShift", "Rescale"))
    except (OSError, KeyError, ValueError) as error:
        raise damaged(file, "it holds no normalisation") from error
    if mean.size != width or scale.size != width or not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise damaged(file, f"its vectors are not {width} numbers")
    return mean, scale
