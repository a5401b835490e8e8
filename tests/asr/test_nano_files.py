"""A Fun-ASR-Nano folder as its publishers pack it, and folders with something wrong in them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from agentbox.asr.load import load_engine
from agentbox.asr.nano import Nano
from agentbox.asr.onnx_writer import Graph
from agentbox.errors import ModelError
from benchmarks.nano_graphs import Size, write_embedding, write_llm, write_small_encoder, write_tokenizer
from benchmarks.qwen_table import letters
from tests.asr.nano_models import small_model, small_tokenizer, sound

SIZE = replace(Size(), vocabulary=285)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_model(tmp_path / "own", 300)


def opened(folder: Path) -> Nano:
    engine = load_engine(str(folder), "zh", folder)
    assert isinstance(engine, Nano)
    return engine


def answer(folder: Path) -> tuple[int, ...]:
    engine = opened(folder)
    return engine.decode(engine.encode(sound(1, 1.3)), cap=12).tokens


def code_of(folder: Path) -> str:
    """Why a folder is refused."""
    with pytest.raises(ModelError) as refused:
        load_engine(str(folder), "zh", folder)
    return refused.value.code


LAYOUTS = {
    "int8": ("encoder_adaptor.int8.onnx", "embedding.int8.onnx", "llm.int8.onnx"),
    "fp16, the rest as bytes": ("encoder_adaptor.int8.onnx", "embedding.int8.onnx", "llm.fp16.onnx"),
    "fp32": ("encoder_adaptor.onnx", "embedding.onnx", "llm.fp32.onnx"),
    "the exporter's repository": ("encoder_adaptor.fp32.onnx", "embedding.onnx", "llm_int8_compat/llm.int8.onnx"),
}


@pytest.mark.parametrize("names", LAYOUTS.values(), ids=LAYOUTS)
def test_published_names(folder: Path, names: tuple[str, ...]) -> None:
    before = answer(folder)
    for part, name in zip(("encoder_adaptor", "embedding", "llm"), names, strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{part}.onnx").rename(folder / name)
    for file in (folder / "Qwen3-0.6B").iterdir():
        file.rename(folder / file.name)
    assert answer(folder) == before


def test_the_newer_of_two_int8_exports_is_taken(folder: Path) -> None:
    before = answer(folder)
    for name, seed in (("llm_int8_compat", 302), ("llm_int8", 7)):
        (folder / name).mkdir()
        (folder / name / "llm.int8.onnx").write_bytes(write_llm(SIZE, seed))
    (folder / "llm.onnx").rename(folder / "llm_int8_compat" / "llm.int8.onnx")
    assert answer(folder) == before


def with_external_data(folder: Path) -> None:
    """Have onnxruntime write the language model as it is published in fp32: the numbers in a file beside it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(folder / "llm.fp32.onnx")
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "llm.fp32.data")
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "64")
    onnxruntime.InferenceSession(str(folder / "llm.onnx"), options, providers=["CPUExecutionProvider"])
    (folder / "llm.onnx").unlink()
    assert (folder / "llm.fp32.data").stat().st_size > 50_000


def test_weights_in_a_file_of_their_own(folder: Path) -> None:
    before = answer(folder)
    with_external_data(folder)
    assert answer(folder) == before
    os.truncate(folder / "llm.fp32.data", 1000)
    assert code_of(folder) == "model_damaged"
    (folder / "llm.fp32.data").unlink()
    assert code_of(folder) == "model_damaged"


@pytest.mark.parametrize("size", [Size(own_names=False), Size(half_caches=True), Size(all_logits=True)])
def test_exports_of_another_kind(tmp_path: Path, size: Size) -> None:
    assert answer(small_model(tmp_path / "a", 300, size)) == answer(small_model(tmp_path / "b", 300))


def test_weights_as_bytes(tmp_path: Path) -> None:
    folder = small_model(tmp_path / "own", 300, Size(quantised=True))
    (folder / "embedding.onnx").write_bytes(write_embedding(32, 285, 301, quantised=True))
    assert len(answer(folder)) > 1


def not_a_number(content: bytes) -> bytes:
    """The same graph, where a part of its longest constant are no numbers."""
    starts = [found.end() for found in re.finditer(rb"const_\d+", content)]
    length, at = max((after - start, start) for start, after in itertools.pairwise([*starts, len(content)]))
    wrong = np.full(length // 8, np.nan, dtype=np.float32).tobytes()
    return content[: at + 16] + wrong + content[at + 16 + len(wrong) :]


def without(parts: str) -> bytes:
    """A language model without some of its outputs or inputs."""
    graph = Graph()
    x = graph.input("inputs_embeds", "float32", ("batch", "seq", 32))
    if parts != "inputs":
        graph.input("attention_mask", "int64", ("batch", "total"))
        graph.input("cache_position", "int64", ("seq",))
        graph.input("cache_key_0", "float32", ("batch", 512, 2, 8))
        graph.input("cache_value_0", "float32", ("batch", 512, 2, 8))
    graph.constant("head", np.zeros((32, 285), dtype=np.float32))
    graph.node("MatMul", [x, "head"], ["logits"])
    graph.output("logits", "float32", ("batch", "seq", 285))
    return graph.model({"model_type": "kv_delta", "vocab_size": "285", "max_total_len": "512"})


def boundless() -> bytes:
    """A language model that says it has room for more rows than any machine has."""
    graph = Graph()
    x = graph.input("inputs_embeds", "float32", ("batch", "seq", 32))
    graph.input("attention_mask", "int64", ("batch", "total"))
    graph.input("cache_position", "int64", ("seq",))
    for part in ("key", "value"):
        cache = graph.input(f"cache_{part}_0", "float32", ("batch", "most", 2, 8))
        graph.node("Identity", [cache], [f"{part}_delta_0"])
        graph.output(f"{part}_delta_0", "float32", ("batch", "seq", 2, 8))
    graph.constant("head", np.zeros((32, 285), dtype=np.float32))
    graph.node("MatMul", [x, "head"], ["logits"])
    graph.output("logits", "float32", ("batch", "seq", 285))
    return graph.model({"model_type": "kv_delta", "vocab_size": "285", "max_total_len": "99999999999"})


def put(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def change(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(edit((folder / name).read_bytes()))


def swapped(before: str, after: str) -> Callable[[Path], object]:
    assert len(before) == len(after)
    return change("llm.onnx", lambda content: content.replace(before.encode(), after.encode()))


def other_tokenizer(marks: tuple[str, ...], first: int) -> Callable[[Path], object]:
    special = {mark: first + at for at, mark in enumerate(marks)}
    return lambda folder: write_tokenizer(folder / "Qwen3-0.6B", letters(), [], special)


MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
WRONG = {
    "features of another width": put("encoder_adaptor.onnx", write_embedding(32, 285, 1)),
    "an encoder for a wider language model": put("encoder_adaptor.onnx", write_small_encoder(48, 1)),
    "an encoder that wants other rows": change(
        "encoder_adaptor.onnx", lambda content: content.replace(b"shift\x12\x016", b"shift\x12\x015")
    ),
    "an embedding of another width": put("embedding.onnx", write_embedding(24, 285, 1)),
    "an embedding of fewer tokens": put("embedding.onnx", write_embedding(32, 100, 1)),
    "a language model of another width": put("llm.onnx", write_llm(replace(SIZE, width=48), 1)),
    "a language model with little room": put("llm.onnx", write_llm(replace(SIZE, most_rows=64), 1)),
    "a language model for more words": put("llm.onnx", write_llm(replace(SIZE, vocabulary=2000), 1)),
    "a language model for fewer words": put("llm.onnx", write_llm(replace(SIZE, vocabulary=200), 1)),
    "a language model with endless room": put("llm.onnx", boundless()),
    "no caches": put("llm.onnx", without("inputs")),
    "no deltas": put("llm.onnx", without("deltas")),
    "an encoder in the language model's place": put("llm.onnx", write_small_encoder(32, 1)),
    "another kind of language model": swapped("kv_delta", "kv_whole"),
    "no size in the metadata": swapped("vocab_size", "vocab-size"),
    "a size that is no number": swapped("max_total_len\x12\x03512", "max_total_len\x12\x03abc"),
    "another room in the metadata": swapped("max_total_len\x12\x03512", "max_total_len\x12\x03511"),
    "another count of layers": swapped("num_layers\x12\x012", "num_layers\x12\x013"),
    "no numbers in the encoder": change("encoder_adaptor.onnx", not_a_number),
    "no numbers in the embedding": change("embedding.onnx", not_a_number),
    "no numbers in the language model": change("llm.onnx", not_a_number),
    "a tokenizer without the marks": other_tokenizer(("<s>", "</s>"), 256),
    "a tokenizer of more words": other_tokenizer(MARKS, 5000),
    "a damaged tokenizer": put("Qwen3-0.6B/merges.txt", b"a b c\n"),
    "no tokenizer": lambda folder: (folder / "Qwen3-0.6B" / "vocab.json").unlink(),
    "no language model": lambda folder: (folder / "llm.onnx").unlink(),
    "an older export": lambda folder: (folder / "llm.onnx").rename(folder / "llm_prefill.onnx"),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_found_at_load(folder: Path, spoil: Callable[[Path], object]) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    spoil(folder)
    assert before != {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert code_of(folder) == "model_damaged"


@pytest.mark.parametrize("name", ["encoder_adaptor.onnx", "embedding.onnx", "llm.onnx"])
@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.999])
def test_truncated_files(folder: Path, name: str, keep: float) -> None:
    size = (folder / name).stat().st_size
    os.truncate(folder / name, int(size * keep) if 0 < keep < 1 else int(keep))
    assert code_of(folder) == "model_damaged"


def test_a_folder_of_other_things_is_no_such_model(tmp_path: Path) -> None:
    small_tokenizer(tmp_path)
    assert code_of(tmp_path) == "model_missing"
    (tmp_path / "embedding.onnx").write_bytes(b"")
    assert code_of(tmp_path) == "model_missing"


def test_a_known_size_of_the_encoders_numbers(folder: Path) -> None:
    engine = opened(folder)
    with pytest.raises(ModelError) as found:
        engine.self_test(expected_rms=99.0)
    assert found.value.code == "model_damaged"
