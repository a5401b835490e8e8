"""Fun-ASR-Nano with its real weights: who has them names their folder, with `test_wavs` in it as it is published."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from agentbox.asr.load import load_engine
from tests.asr.conftest import read
from tests.asr.nano_models import Sherpa

VARIABLE = "AGENTBOX_TEST_FUN_ASR_NANO"


def letters(text: str) -> str:
    """Without case, spaces and punctuation."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", text).lower() if letter.isalnum())


@pytest.mark.skipif(
    VARIABLE not in os.environ, reason=f"the weights (1 GB) are in no package: name their folder, {VARIABLE}"
)
@pytest.mark.timeout(600)
def test_the_real_weights_hear_what_sherpa_onnx_hears() -> None:
    """They differ in what the language model gets (docs/models.md), so some letters may."""
    folder = Path(os.environ[VARIABLE])
    engine = load_engine(str(folder), "zh", folder)
    sherpa = Sherpa(folder, most_tokens=200)
    clips = sorted((folder / "test_wavs").glob("*.wav"))
    assert clips
    wrong, all_letters = 0, 0
    for clip in clips:
        samples = read(clip)
        heard = engine.transcribe(samples, language="")
        assert heard.suppressed is None, clip.name
        theirs = letters("".join(sherpa.tokens(samples)))
        wrong += Levenshtein.distance(letters(heard.text), theirs)
        all_letters += len(theirs)
    assert wrong <= 0.15 * all_letters
