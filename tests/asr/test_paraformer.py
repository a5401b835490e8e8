"""Paraformer: token for token as sherpa-onnx, number for number as numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sherpa_onnx

from agentbox.asr.engine import Opening
from agentbox.asr.features import Features
from agentbox.asr.load import load_engine
from agentbox.asr.paraformer import is_model_folder, open_model
from agentbox.asr.single_run import SingleRun
from agentbox.errors import ModelError
from tests.asr.tiny_models import (
    PARAFORMER_PIECES,
    heard_by_sherpa,
    nano_ctc,
    paraformer,
    rows_by_kaldi,
    sense_voice,
    sound,
    write_tokens,
)

LENGTHS = (5_000, 16_000, 33_333, 48_000)


def opened(folder: Path) -> SingleRun:
    return open_model(folder, Opening(name="tiny"))


@pytest.mark.parametrize("seed", range(27))
def test_token_for_token_as_sherpa(tmp_path: Path, seed: int) -> None:
    """27 models, two in three of them with times, x 4 sounds."""
    times = seed % 3 > 0
    paraformer(tmp_path, seed, times=times)
    engine = opened(tmp_path)
    oracle = sherpa_onnx.OfflineRecognizer.from_paraformer(
        paraformer=str(tmp_path / "model.int8.onnx"), tokens=str(tmp_path / "tokens.txt")
    )
    found: set[int] = set()
    for length in LENGTHS:
        samples = sound(length, seed * 10 + length)
        theirs = heard_by_sherpa(oracle, samples)
        ours = engine.reader.read(engine.reader.scores(engine.frontend(samples), "zh"), engine.frontend.row_ms)
        assert [PARAFORMER_PIECES[token] for token in ours.tokens] == list(theirs.tokens)
        assert ours.token_ms == tuple(round(1000 * at) for at in theirs.timestamps)
        assert bool(ours.token_ms) == (times and bool(ours.tokens))
        found.update(ours.tokens)
    assert len(found) >= 4


def test_number_for_number_as_numpy(tmp_path: Path) -> None:
    weights = paraformer(tmp_path, 4)
    engine = opened(tmp_path)
    samples = sound(40_000, 4)
    rows = (rows_by_kaldi(samples) + weights.mean) * weights.scale
    hidden = weights.hidden(rows)
    so_far, at, thirds = 0.0, [], []
    for row, alpha in enumerate((1 / (1 + np.exp(-hidden @ weights.more["rate"]))).ravel()):
        for third in range(3):
            before, so_far = so_far, so_far + alpha / 3
            if int(so_far) > int(before):
                at.append(row)
                thirds.append(3 * row + third)
    logits = hidden[at] @ weights.out + weights.bias
    logprobs = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))[:-1]
    heard, scores = engine.listen(samples, language="zh")
    assert len(heard.tokens) > 5
    assert list(heard.tokens) == logprobs.argmax(axis=1).tolist()
    assert heard.token_logprobs == pytest.approx(logprobs.max(axis=1).tolist(), abs=0.02)
    assert list(heard.token_ms) == [20 * third for third in thirds[:-1]]
    assert scores is not None
    assert engine.frames(scores) is None


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["打", "开", "living", "room", "的", "灯"], "打开 living room 的灯"),
        (["tur@@", "n", "on", "灯"], "turn on 灯"),
        (["a@@", "b@@", "c", "d"], "abc d"),
        (["a@@", "灯"], "a 灯"),
        (["灯", "a@@"], "灯 a"),
        (["<unk>", "灯", "，", "开", "。"], "灯，开。"),
        ([], ""),
    ],
)
def test_words_have_spaces_and_characters_have_none(tmp_path: Path, pieces: list[str], text: str) -> None:
    paraformer(tmp_path, 1)
    table = [*PARAFORMER_PIECES]
    table[10 : 10 + len(pieces)] = pieces
    write_tokens(tmp_path, table)
    assert opened(tmp_path).reader.spell(tuple(range(10, 10 + len(pieces)))) == text


def silence(rows: int) -> Features:
    """Features of a sound in which no word comes together: too short for one."""
    return np.zeros((rows, 560), dtype=np.float32)


@pytest.mark.parametrize("fails", [False, True])
def test_a_graph_that_finds_no_word_or_fails_on_it_heard_nothing(tmp_path: Path, fails: bool) -> None:
    paraformer(tmp_path, 1, fails_on_silence=fails)
    engine = opened(tmp_path)
    reading = engine.reader.read(engine.reader.scores(silence(1), "zh"), 60)
    assert (reading.tokens, reading.is_speech) == ((), False)


def test_a_graph_that_always_fails_is_no_model(tmp_path: Path) -> None:
    paraformer(tmp_path, 1, fails_on_silence=True, deaf=True)
    with pytest.raises(ModelError) as refused:
        opened(tmp_path)
    assert refused.value.code == "model_damaged"
    assert "self-test" in refused.value.what


def test_a_table_without_an_end(tmp_path: Path) -> None:
    paraformer(tmp_path, 1)
    write_tokens(tmp_path, [piece.replace("</s>", "<e>") for piece in PARAFORMER_PIECES])
    with pytest.raises(ModelError, match="</s>"):
        opened(tmp_path)
    write_tokens(tmp_path, PARAFORMER_PIECES[:-2])
    with pytest.raises(ModelError, match="tokens"):
        opened(tmp_path)


def test_families_that_use_the_same_names_are_told_apart(tmp_path: Path) -> None:
    """By the owner's folder alone; and a folder with another family's graph is said to hold none."""
    families: dict[str, Callable[[Path, int], object]] = {"sv": sense_voice, "ctc": nano_ctc, "pf": paraformer}
    for name, write in families.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name, 1)
        engine = load_engine(str(tmp_path / name), "zh", tmp_path)
        assert isinstance(engine, SingleRun)
        assert type(engine.reader).__name__ == {"sv": "SenseVoice", "ctc": "NanoCtc", "pf": "Paraformer"}[name]
        assert is_model_folder(tmp_path / name) == (name == "pf")
    (tmp_path / "pf" / "model.int8.onnx").write_bytes((tmp_path / "sv" / "model.onnx").read_bytes()[:1_000])
    with pytest.raises(ModelError) as missing:
        load_engine(str(tmp_path / "pf"), "zh", tmp_path)
    assert missing.value.code == "model_missing"


def test_one_familys_graph_under_anothers_name(tmp_path: Path) -> None:
    sense_voice(tmp_path, 1)
    write_tokens(tmp_path, PARAFORMER_PIECES)
    with pytest.raises(ModelError) as refused:
        opened(tmp_path)
    assert refused.value.code == "model_damaged"
