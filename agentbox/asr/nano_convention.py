"""What Fun-ASR-Nano's language model gets of a sound, by whom it was built."""

from __future__ import annotations

from dataclasses import dataclass

from agentbox.asr.features import Fbank


@dataclass(frozen=True, slots=True)
class Convention:
    """What becomes of the sound before the language model gets it, and where its answer begins."""

    fbank: Fbank
    padded: bool
    """See `features.stacked`."""
    thinned: bool
    """Only the first eighth of the encoder's rows is given on: the language model was trained so."""
    gap: int
    """How many positions are left out between the prompt and the answer."""


REFERENCE = Convention(Fbank(), padded=True, thinned=True, gap=0)
"""As FunASR does it."""

SHERPA_COMPAT = Convention(Fbank(high_hz=-400.0, snip_edges=False), padded=False, thinned=False, gap=1)
"""As sherpa-onnx 2.0.1 does it: for comparing with it token for token, and for nothing else. The model is said to
repeat itself when it gets all rows."""


def thinned_rows(count: int) -> int:
    """How many of `count` rows the language model gets: halved three times, rounded up (FunASR: fun_asr_nano/model.py,
    data_load_speech)."""
    for _ in range(3):
        count = (count + 1) // 2
    return count
