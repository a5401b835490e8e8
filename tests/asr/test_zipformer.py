"""The streaming transducer on small random graphs, against sherpa-onnx on the same files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sherpa_onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentbox.asr import zipformer
from agentbox.asr.engine import Aborted, Opening, Recognition, can_stream
from agentbox.asr.load import load_engine
from agentbox.asr.zipformer import Zipformer, open_model
from agentbox.errors import InputError, ModelError
from tests.asr import zipformer_graphs as graphs
from tests.asr.zipformer_graphs import CHUNK, T, sound, write

Samples = NDArray[np.float32]

SECONDS = (0.4, 0.9, 1.4, 2.1, 3.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("zipformer") / "own", 21)


@pytest.fixture(scope="module")
def model(folder: Path) -> Zipformer:
    return open_model(folder, Opening(name="own"))


def oracle(folder: Path) -> sherpa_onnx.OnlineRecognizer:
    parts = {part: str(next(folder.glob(f"{part}-*"))) for part in ("encoder", "decoder", "joiner")}
    return sherpa_onnx.OnlineRecognizer.from_transducer(
        tokens=str(folder / "tokens.txt"), num_threads=1, decoding_method="greedy_search", **parts
    )


def theirs(recognizer: sherpa_onnx.OnlineRecognizer, samples: Samples, tail: int) -> tuple[list[str], list[float]]:
    """What sherpa-onnx makes of a sound that comes in tenths of a second: pieces, and when each begins."""
    stream = recognizer.create_stream()
    heard = np.concatenate([samples, np.zeros(tail, np.float32)])
    for start in range(0, heard.size, 1600):
        stream.accept_waveform(16_000, heard[start : start + 1600])
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_stream(stream)
    return recognizer.tokens(stream), recognizer.timestamps(stream)


def spell(model: Zipformer, tokens: list[int]) -> list[str]:
    """As sherpa-onnx spells them."""
    return [model.table.pieces[token].decode().replace("\u2581", " ") for token in tokens]


def hear(model: Zipformer, samples: Samples) -> Recognition:
    return model.transcribe(samples, language="en")


@pytest.mark.parametrize("seed", range(22))
def test_token_for_token_as_sherpa(tmp_path: Path, seed: int) -> None:
    folder = write(tmp_path / "own", seed)
    model, recognizer = open_model(folder, Opening(name="own")), oracle(folder)
    said = set[int]()
    for number, seconds in enumerate(SECONDS):
        samples = sound(1000 * seed + number, seconds)
        stream = model.open_stream(language="en")
        stream.accept(samples)
        search = stream.searched()
        pieces, starts = theirs(recognizer, samples, model.tail_samples)
        assert spell(model, search.tokens) == pieces
        assert search.token_ms == [round(1000 * start) for start in starts]
        said |= set(search.tokens)
    assert len(said) >= 3, "sounds that all come out the same show nothing"


def test_it_says_what_it_can_do(model: Zipformer) -> None:
    assert can_stream(model)
    assert (model.name, model.capabilities.token_scores) == ("own", True)
    assert model.capabilities.speaks("zh-CN")


def test_a_folder_is_found_by_its_files(folder: Path, models_dir: Path) -> None:
    assert isinstance(load_engine(str(folder), "en", models_dir), Zipformer)


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 16_000), max_size=12), asked=st.integers(0, 12))
def test_how_the_sound_is_cut_makes_no_difference(model: Zipformer, cuts: list[int], asked: int) -> None:
    samples = sound(0, 1.0)
    stream = model.open_stream(language="en")
    shown = ""
    for number, piece in enumerate(np.split(samples, sorted(cuts))):
        stream.accept(piece)
        if number == asked:  # a pause may turn out to be no end: asking changes nothing
            assert stream.finish().tokens == stream.finish().tokens
        assert stream.partial().startswith(shown)
        shown = stream.partial()
    heard, whole = stream.finish(), hear(model, samples)
    assert len(heard.tokens) > 3
    assert (heard.tokens, heard.token_logprobs) == (whole.tokens, whole.token_logprobs)
    assert (heard.text, heard.token_ms, heard.audio_ms) == (whole.text, whole.token_ms, 1000)


def test_words_are_there_while_the_owner_speaks(model: Zipformer) -> None:
    stream, samples = model.open_stream(language="en"), sound(0, 3.0)
    grown = []
    for start in range(0, samples.size, 1600):
        stream.accept(samples[start : start + 1600])
        grown.append(len(stream._search.tokens))
    assert grown[1] == 0 < grown[-1] <= len(stream.finish().tokens)
    assert len(set(grown)) > 3
    assert model.text(stream._search.tokens) == stream.partial()


def test_a_second_utterance_knows_nothing_of_the_first(model: Zipformer) -> None:
    first, second = hear(model, sound(0, 2.0)), hear(model, sound(1, 2.0))
    assert first.tokens != second.tokens
    assert hear(model, sound(0, 2.0)).token_logprobs == first.token_logprobs


def test_each_token_has_a_time_and_a_score(model: Zipformer) -> None:
    heard = hear(model, sound(2, 3.0))
    assert heard.tokens
    assert len(heard.tokens) == len(heard.token_logprobs) == len(heard.token_ms)
    assert list(heard.token_ms) == sorted(heard.token_ms)
    assert all(logprob < 0 for logprob in heard.token_logprobs)
    assert heard.confidence is not None
    assert 0 < heard.confidence < 1
    assert 0 < heard.encode_ms < heard.decode_ms


def test_a_model_that_knows_only_capitals_does_not_shout(model: Zipformer, folder: Path, tmp_path: Path) -> None:
    assert model.text([3, 4]) == "ab"
    other = tmp_path / "other"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    table = (other / "tokens.txt").read_text()
    (other / "tokens.txt").write_text(table.replace("\u2581J ", "\u2581Ja "))
    assert open_model(other, Opening(name="other")).text([3, 4]) == "AB"


def test_the_guards(model: Zipformer) -> None:
    samples = sound(2, 3.0)
    assert model.transcribe(samples[:1599], language="en").suppressed == "too_short"
    assert model.transcribe(samples[:0], language="en").suppressed == "too_short"
    silent = model.transcribe(samples, language="en", speech_ms=0)
    assert (silent.text, silent.suppressed) == ("", "no_speech")
    babble = model.transcribe(samples, language="en", speech_ms=100)
    assert babble.suppressed in ("too_many_words", "loop", "no_speech")
    samples[9] = np.inf
    with pytest.raises(InputError) as refused:
        model.transcribe(samples, language="en")
    assert refused.value.code == "audio_not_finite"


def test_it_stops_when_nobody_wants_it_any_more(model: Zipformer) -> None:
    with pytest.raises(Aborted):
        model.transcribe(sound(0, 3.0), language="en", abort=lambda: True)
    stream = model.open_stream(language="en")
    stream.accept(sound(0, 3.0))
    with pytest.raises(Aborted):
        stream.finish(abort=lambda: True)
    assert stream.finish().tokens == hear(model, sound(0, 3.0)).tokens


def damaged(folder: Path) -> str:
    with pytest.raises(ModelError) as found:
        load_engine(str(folder), "en", folder)
    assert found.value.code == "model_damaged"
    return found.value.what


@pytest.mark.parametrize("part", ["encoder", "decoder", "joiner"])
@pytest.mark.parametrize("keep", [0, 100, 0.5, -100])
def test_a_truncated_file_is_an_error_not_a_crash(tmp_path: Path, part: str, keep: float) -> None:
    folder = write(tmp_path / "own", 0)
    file = next(folder.glob(f"{part}-*"))
    size = file.stat().st_size
    os.truncate(file, int(size * keep) if 0 < keep < 1 else int(keep) % size)
    damaged(folder)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"model_type": "zipformer"}, "not zipformer2"),
        ({"T": "none"}, "T in its metadata is no whole number"),
        ({"T": "0"}, "T and decode_chunk_len"),
        ({"T": "45", "decode_chunk_len": "32"}, "do not fit together"),
        ({"encoder_dims": "8"}, "not equally long"),
        ({"num_heads": ""}, "not equally long"),
        ({"num_encoder_layers": "1,1"}, "states"),
        ({"left_context_len": "6,4"}, "of another size"),
        ({"left_context_len": "6,-3"}, "make no sense"),
        ({"left_context_len": "6,1e30"}, "make no sense"),
        ({"left_context_len": "99999,99999", "num_heads": "9999,9999"}, "larger than any model's"),
        ({"num_encoder_layers": "9e8,1"}, "make no sense"),
    ],
)
def test_metadata_that_are_another_models(tmp_path: Path, metadata: dict[str, str], said: str) -> None:
    assert said in damaged(write(tmp_path / "own", 0, **metadata))


def test_a_token_table_of_another_model(tmp_path: Path) -> None:
    folder = write(tmp_path / "own", 0)
    lines = (folder / "tokens.txt").read_text().splitlines()
    for table in (lines[:10], [*lines, "X 24"], [], ["no table"]):
        (folder / "tokens.txt").write_text("\n".join(table))
        damaged(folder)


def test_a_part_of_another_model(tmp_path: Path) -> None:
    folder, draw = write(tmp_path / "own", 0), np.random.default_rng(0)
    told = {"context_size": "2", "vocab_size": "24"}
    for part, graph in {"joiner": graphs.decoder(draw), "decoder": graphs.joiner(draw)}.items():
        file = next(folder.glob(f"{part}-*"))
        good = file.read_bytes()
        file.write_bytes(graph.model(told))
        damaged(folder)
        file.write_bytes(good)
    load_engine(str(folder), "en", folder)


@pytest.mark.parametrize("number", [0, 5, -4, -3, -2, -1])
def test_weights_that_are_no_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Of the encoder (the first), the decoder and the joiner."""
    made = list[Samples]()
    normal = graphs.normal

    def spoilt(*rest: Any, **scale: Any) -> Samples:
        made.append(normal(*rest, **scale))
        if len(made) - 1 in (number, 85 + number):
            made[-1][:] = np.nan
        return made[-1]

    monkeypatch.setattr(graphs, "normal", spoilt)
    folder = write(tmp_path / "own", 0)
    assert len(made) == 85, "how many there are"
    assert "make no sense" in damaged(folder)


def test_a_chunk_is_as_long_as_the_model_says(model: Zipformer) -> None:
    assert (model.chunk_frames, model.shift_frames) == (T, CHUNK)
    assert zipformer.is_model_folder(Path("/nonexistent")) is False
