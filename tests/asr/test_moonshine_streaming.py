"""The streaming Moonshine layout on small random models, against plain numpy over the whole sound."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.asr import moonshine_streaming
from agentbox.asr.engine import Aborted, Opening, can_stream
from agentbox.asr.load import load_engine
from agentbox.asr.moonshine_streaming import CHUNK_SAMPLES, MoonshineStreaming, open_model
from agentbox.errors import InputError, ModelError
from tests.asr import zipformer_graphs
from tests.asr.moonshine_graphs import CONFIG, Weights, plain, write
from tests.asr.zipformer_graphs import sound

SECONDS = (0.15, 0.4, 0.8, 1.28, 1.7, 2.6, 4.0, 6.5)
PARTS = ("frontend", "encoder", "adapter", "cross_kv", "decoder_kv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("moonshine") / "own", Weights(0))


@pytest.fixture(scope="module")
def model(folder: Path) -> MoonshineStreaming:
    return open_model(folder, Opening(name="own"))


@pytest.mark.parametrize("seed", range(8))
def test_token_for_token_as_without_streaming(tmp_path: Path, seed: int) -> None:
    """A sound heard in tenths of a second with partials between is the sound heard whole."""
    weights = Weights(seed)
    model = open_model(write(tmp_path / "own", weights), Opening(name="own"))
    said = set[int]()
    for number, seconds in enumerate(SECONDS):
        samples = sound(1000 * seed + number, seconds)
        stream = model.open_stream(language="en")
        for start in range(0, samples.size, 1600):
            stream.accept(samples[start : start + 1600])
            if start % 4800 == 0:
                stream.partial()
        tokens = stream.decoded()[1].tokens
        assert list(tokens) == plain(weights, samples, CHUNK_SAMPLES)
        said |= set(tokens)
    assert len(said) >= 3, "sounds that all come out the same show nothing"


def test_it_says_what_it_can_do(model: MoonshineStreaming, folder: Path, models_dir: Path) -> None:
    assert can_stream(model)
    assert model.capabilities.speaks("en-GB")
    assert not model.capabilities.speaks("zh")
    assert isinstance(load_engine(str(folder), "en", models_dir), MoonshineStreaming)


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 25_600), max_size=12), asked=st.sets(st.integers(0, 12)))
def test_how_the_sound_is_cut_makes_no_difference(model: MoonshineStreaming, cuts: list[int], asked: set[int]) -> None:
    samples = sound(1, 1.6)
    stream = model.open_stream(language="en")
    for number, piece in enumerate(np.split(samples, sorted(cuts))):
        stream.accept(piece)
        if number in asked:  # a pause may turn out to be no end: asking changes nothing
            stream.partial()
            stream.finish()
    decoding, whole = stream.decoded()[1], model.open_stream(language="en")
    whole.accept(samples)
    assert len(decoding.tokens) > 3
    assert decoding.tokens == whole.decoded()[1].tokens
    assert decoding.logprobs == pytest.approx(whole.decoded()[1].logprobs, abs=1e-4)
    assert stream.finish().text == model.transcribe(samples, language="en").text


def test_words_are_there_while_the_owner_speaks(model: MoonshineStreaming) -> None:
    stream, samples = model.open_stream(language="en"), sound(5, 3.0)
    shown, frames = [], []
    for start in range(0, samples.size, 1600):
        stream.accept(samples[start : start + 1600])
        shown.append(stream.partial())
        frames.append(len(stream._heard.memory))
    assert shown[3] == ""
    assert len(set(shown)) > 2
    # What may still change with what comes is not listened to yet.
    assert all(count * 320 <= (at + 1) * 1600 - 16 * 320 for at, count in enumerate(frames) if count)
    assert len(stream._heard.features) < 24 + 16 * CONFIG["depth"] + 24
    assert shown[-1] == stream.partial()


def test_what_was_decoded_before_is_checked_in_one_run(
    model: MoonshineStreaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = list[int]()
    step = MoonshineStreaming._step

    def counted(self: MoonshineStreaming, tokens: Sequence[int], *rest: Any) -> Any:
        runs.append(len(tokens))
        return step(self, tokens, *rest)

    monkeypatch.setattr(MoonshineStreaming, "_step", counted)
    stream = model.open_stream(language="en")
    stream.accept(sound(5, 3.0))
    heard, whole = stream.decoded()
    assert len(whole.tokens) > 5
    runs.clear()
    assert model.decode(heard.memory, whole.tokens).tokens == whole.tokens
    assert runs == [len(whole.tokens) + 1]
    runs.clear()
    wrong = (*whole.tokens[:3], whole.tokens[3] + 1, *whole.tokens[4:])
    again = model.decode(heard.memory, wrong)
    assert again.tokens == whole.tokens
    assert again.logprobs == pytest.approx(whole.logprobs, abs=1e-4)
    assert runs[0] == len(whole.tokens) + 1
    assert set(runs[1:]) == {1}
    assert model.decode(heard.memory, [5] * 1000).tokens == whole.tokens


def test_the_guards(model: MoonshineStreaming) -> None:
    samples = sound(5, 3.0)
    assert model.transcribe(samples[:1599], language="en").suppressed == "too_short"
    silent = model.transcribe(samples, language="en", speech_ms=0)
    assert (silent.text, silent.suppressed) == ("", "no_speech")
    assert model.decode(np.zeros((0, 8), np.float32)).tokens == ()
    memory = np.zeros((3000, 8), np.float32)
    assert len(model.decode(memory[:60]).tokens) <= 8
    assert len(model.decode(memory).tokens) <= CONFIG["max_seq_len"]
    samples[9] = np.nan
    with pytest.raises(InputError) as refused:
        model.transcribe(samples, language="en")
    assert refused.value.code == "audio_not_finite"


def test_it_stops_when_nobody_wants_it_any_more(model: MoonshineStreaming) -> None:
    stream = model.open_stream(language="en")
    stream.accept(sound(5, 3.0))
    for ask in (stream.partial, stream.finish):
        with pytest.raises(Aborted):
            ask(abort=lambda: True)
    assert stream.finish().tokens == model.transcribe(sound(5, 3.0), language="en").tokens


def damaged(folder: Path) -> str:
    with pytest.raises(ModelError) as found:
        load_engine(str(folder), "en", folder)
    assert found.value.code == "model_damaged"
    return found.value.what


@pytest.mark.parametrize("name", [*(f"{part}.onnx" for part in PARTS), "tokenizer.bin", "streaming_config.json"])
def test_a_truncated_file_is_an_error_not_a_crash(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "own", Weights(0))
    size = (folder / name).stat().st_size
    for keep in (size - 7, size // 2, 50, 0):
        os.truncate(folder / name, keep)
        damaged(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 0},
        {"depth": "2"},
        {"depth": 3},
        {"vocab_size": 250},
        {"vocab_size": 281},
        {"head_dim": 5},
        {"encoder_dim": 11},
        {"decoder_dim": 9},
        {"c1": 9},
        {"eos_id": 280},
        {"max_seq_len": -1},
    ],
)
def test_a_configuration_of_another_model(tmp_path: Path, change: dict[str, object]) -> None:
    folder = write(tmp_path / "own", Weights(0))
    (folder / "streaming_config.json").write_text(json.dumps(CONFIG | change))
    damaged(folder)


def test_parts_in_each_others_place(tmp_path: Path) -> None:
    folder = write(tmp_path / "own", Weights(0))
    good = {part: (folder / f"{part}.onnx").read_bytes() for part in PARTS}
    for part in PARTS:
        other = PARTS[PARTS.index(part) - 1]
        (folder / f"{part}.onnx").write_bytes(good[other])
        damaged(folder)
        (folder / f"{part}.onnx").write_bytes(good[part])
    load_engine(str(folder), "en", folder)


@pytest.mark.parametrize("matrix", ["frame", "conv2", "encoder", "adapter", "cross", "own", "head"])
def test_weights_that_are_no_numbers(tmp_path: Path, matrix: str) -> None:
    weights = Weights(0)
    getattr(weights, matrix)[:] = np.nan
    assert "make no sense" in damaged(write(tmp_path / "own", weights))


def test_another_familys_folder(tmp_path: Path) -> None:
    assert not moonshine_streaming.is_model_folder(tmp_path)
    assert not moonshine_streaming.is_model_folder(zipformer_graphs.write(tmp_path / "other", 0))
    folder = write(tmp_path / "own", Weights(0))
    (folder / "cross_kv.onnx").unlink()
    with pytest.raises(ModelError) as missing:
        load_engine(str(folder), "en", folder)
    assert missing.value.code == "model_missing"
