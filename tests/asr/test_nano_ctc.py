"""The CTC export of Fun-ASR-Nano: token for token as sherpa-onnx, number for number as numpy."""

from __future__ import annotations

import base64
import itertools
from pathlib import Path

import numpy as np
import pytest
import sherpa_onnx

from agentbox.asr.engine import Opening
from agentbox.asr.nano_ctc import is_model_folder, open_model
from agentbox.asr.single_run import SingleRun
from agentbox.errors import ModelError
from tests.asr.tiny_models import heard_by_sherpa, nano_ctc, rows_by_kaldi, sound, write_tokens

LENGTHS = (1_700, 8_000, 22_222, 48_000)


def opened(folder: Path) -> SingleRun:
    return open_model(folder, Opening(name="tiny"))


@pytest.mark.parametrize("seed", range(26))
def test_token_for_token_as_sherpa(tmp_path: Path, seed: int) -> None:
    """26 models x 4 sounds."""
    nano_ctc(tmp_path, seed)
    engine = opened(tmp_path)
    oracle = sherpa_onnx.OfflineRecognizer.from_sense_voice(
        model=str(tmp_path / "model.int8.onnx"), tokens=str(tmp_path / "tokens.txt")
    )
    found: set[int] = set()
    for length in LENGTHS:
        samples = sound(length, seed * 10 + length)
        theirs = heard_by_sherpa(oracle, samples)
        ours = engine.reader.read(engine.reader.scores(engine.frontend(samples), ""), engine.frontend.row_ms)
        assert [engine.table.text_of(token).decode() for token in ours.tokens] == list(theirs.tokens)
        assert ours.token_ms == tuple(round(1000 * at) for at in theirs.timestamps)
        found.update(ours.tokens)
    assert len(found) >= 4


def test_number_for_number_as_numpy(tmp_path: Path) -> None:
    weights = nano_ctc(tmp_path, 3)
    engine = opened(tmp_path)
    samples = sound(40_000, 3)
    logits = weights.hidden(rows_by_kaldi(samples)) @ weights.out + weights.bias
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    heard, scores = engine.listen(samples, language="zh")
    assert scores is not None
    frames = engine.frames(scores)
    assert frames is not None
    assert (frames.blank, frames.frame_ms) == (59, 60)
    np.testing.assert_allclose(frames.logprobs, logprobs, atol=0.02)
    best = [token for token, _ in itertools.groupby(logprobs.argmax(axis=1).tolist()) if token != 59]
    assert list(heard.tokens) == best
    assert heard.text == "".join(f" n{at}" if at % 2 else f"音{at}" for at in best).strip()
    assert (heard.language, heard.emotion, heard.sound_event) == (None, None, None)
    assert engine.capabilities.languages == ("zh", "en", "ja")


def test_letters_come_in_pieces_and_keep_their_punctuation(tmp_path: Path) -> None:
    nano_ctc(tmp_path, 1)
    pieces = ["灯".encode()[:2], "灯".encode()[2:], "，".encode(), b"<|en|>", "。".encode()]
    lines = (tmp_path / "tokens.txt").read_text().splitlines()
    lines[:5] = [f"{base64.b64encode(piece).decode()} {at}" for at, piece in enumerate(pieces)]
    (tmp_path / "tokens.txt").write_text("\n".join(lines))
    spell = opened(tmp_path).reader.spell
    assert spell((0, 1, 2, 3, 6, 4)) == "灯，音6。"
    assert spell((0, 2)) == "\ufffd，"


def test_another_familys_files_are_not_taken(tmp_path: Path) -> None:
    nano_ctc(tmp_path, 1)
    assert is_model_folder(tmp_path)
    (tmp_path / "other").mkdir()
    nano_ctc(tmp_path / "other", 1, metadata={"comment": "something else"})
    assert not is_model_folder(tmp_path / "other")
    (tmp_path / "tokens.txt").unlink()
    assert not is_model_folder(tmp_path)


@pytest.mark.parametrize("damage", [{"vocab_size": "62"}, {"blank_id": "-1"}, {"normalize_samples": "no"}])
def test_metadata_that_do_not_fit(tmp_path: Path, damage: dict[str, str]) -> None:
    nano_ctc(tmp_path, 1, metadata=damage)
    with pytest.raises(ModelError) as refused:
        opened(tmp_path)
    assert refused.value.code == "model_damaged"


def test_tokens_that_are_not_in_base64(tmp_path: Path) -> None:
    nano_ctc(tmp_path, 1)
    write_tokens(tmp_path, [f"音{at}" for at in range(60)])
    with pytest.raises(ModelError, match="base64"):
        opened(tmp_path)


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    weights = nano_ctc(tmp_path, 1)
    file = tmp_path / "model.int8.onnx"
    good = file.read_bytes()
    for value in (np.nan, np.inf):
        file.write_bytes(good.replace(weights.out[:1].tobytes(), np.full((1, 60), value, np.float32).tobytes()))
        with pytest.raises(ModelError, match="self-test"):
            opened(tmp_path)
