"""Published weights of the FunASR family beside sherpa-onnx on their own recordings, where somebody has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sherpa_onnx
from rapidfuzz.distance import Levenshtein

from agentbox.asr.engine import Opening
from agentbox.asr.load import family_of
from agentbox.asr.single_run import SingleRun
from tests.asr.conftest import read
from tests.asr.tiny_models import heard_by_sherpa

ASKED = os.environ.get("AGENTBOX_TEST_FUNASR", "")
"""A folder with unpacked releases of sherpa-onnx, each with its `test_wavs` (docs/models.md)."""


def oracle(folder: Path, family: str, language: str, model: Path) -> sherpa_onnx.OfflineRecognizer:
    tokens = str(folder / "tokens.txt")
    if family == "paraformer":
        return sherpa_onnx.OfflineRecognizer.from_paraformer(paraformer=str(model), tokens=tokens)
    return sherpa_onnx.OfflineRecognizer.from_sense_voice(
        model=str(model), tokens=tokens, language=language, use_itn=True
    )


@pytest.mark.skipif(not ASKED, reason="AGENTBOX_TEST_FUNASR names no folder with published models")
def test_published_models_on_their_recordings() -> None:
    """Quantised kernels of another onnxruntime round otherwise, so one token in fifty may differ."""
    tried = 0
    for folder in sorted(path for path in Path(ASKED).iterdir() if (path / "test_wavs").is_dir()):
        for family in ("sense-voice", "nano-ctc", "paraformer"):
            if not family_of(family).is_model_folder(folder):
                continue
            engine = family_of(family).open_model(folder, Opening(name=folder.name))
            assert isinstance(engine, SingleRun)
            theirs = oracle(folder, family, "", engine.reader.graph.file)
            for wav in sorted((folder / "test_wavs").glob("*.wav")):
                samples = read(wav)
                scores = engine.reader.scores(engine.frontend(samples), "")
                ours = engine.reader.read(scores, engine.frontend.row_ms)
                expected = list(heard_by_sherpa(theirs, samples).tokens)
                found = [engine.table.text_of(token).decode("utf-8", "replace") for token in ours.tokens]
                assert Levenshtein.distance(found, expected) <= len(expected) / 50, wav
                assert engine.transcribe(samples, language="").text or not expected, wav
                tried += 1
    assert tried, f"there is no such model in {ASKED}"
