"""Graphs under the names of several publishers, good and bad ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from agentbox.asr.graph_files import GraphFile, Port, find_graph, fingerprint
from agentbox.asr.onnx_writer import Graph
from agentbox.errors import ModelError

X = Port("x", shape=(1, None, 3))
LENGTH = Port("x_length", kinds=("int32", "int64"))
Y = Port("y")


def written(
    folder: Path,
    name: str = "model.onnx",
    *,
    inputs: tuple[str, ...] = ("x", "x_length"),
    width: int = 3,
    kind: str = "float32",
    metadata: dict[str, str] | None = None,
) -> Path:
    """A graph that doubles its first input and gives the second through."""
    graph = Graph()
    graph.input(inputs[0], kind, (1, "T", width))
    graph.node("Add", [inputs[0], inputs[0]], ["y"])
    graph.output("y", kind, (1, "T", width))
    for number, more in enumerate(inputs[1:]):
        graph.input(more, "int32", (1,))
        graph.node("Identity", [more], [f"out_{number}"])
        graph.output(f"out_{number}", "int32", (1,))
    file = folder / name
    file.write_bytes(graph.model(metadata))
    return file


@pytest.mark.parametrize(
    ("names", "part", "found"),
    [
        (["model.onnx", "model.int8.onnx"], "model", "model.int8.onnx"),
        (["model.onnx", "model.fp16.onnx"], "model", "model.onnx"),
        (["model_quant.onnx", "model.onnx"], "model", "model_quant.onnx"),
        (["llm.fp32.onnx", "llm.fp32.data"], "llm", "llm.fp32.onnx"),
        (["encoder_model.ort", "encoder_model.onnx"], "encoder_model", "encoder_model.ort"),
        (["decoder_model_merged_quantized.onnx"], "decoder_model_merged", "decoder_model_merged_quantized.onnx"),
        (["decoder_model_merged.onnx"], "decoder_model", None),
        (["model.onnx.part", "mymodel.onnx"], "model", None),
        (["encoder-epoch-99-avg-1.onnx", "encoder-epoch-99-avg-1.int8.onnx"], "encoder-epoch-*", None),
        (["tiny-encoder.onnx", "tiny-encoder.int8.onnx"], "*-encoder", "tiny-encoder.int8.onnx"),
        (["b-encoder.onnx", "a-encoder.onnx"], "*-encoder", "a-encoder.onnx"),
    ],
)
def test_files_by_the_publishers_names(tmp_path: Path, names: list[str], part: str, found: str | None) -> None:
    for name in names:
        (tmp_path / name).touch()
    if part == "encoder-epoch-*":
        assert find_graph(tmp_path, part) == tmp_path / "encoder-epoch-99-avg-1.int8.onnx"
        assert find_graph(tmp_path, part, dtypes=("", "int8")) == tmp_path / "encoder-epoch-99-avg-1.onnx"
    else:
        assert find_graph(tmp_path, part) == (tmp_path / found if found else None)


def test_the_likeliest_name_first_and_no_folder_at_all(tmp_path: Path) -> None:
    for name in ("encoder.onnx", "encoder-epoch-1.onnx"):
        (tmp_path / name).touch()
    assert find_graph(tmp_path, "encoder-epoch-*", "encoder") == tmp_path / "encoder-epoch-1.onnx"
    assert find_graph(tmp_path / "nothing", "encoder") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    tmp_path.chmod(0o000)
    assert find_graph(tmp_path, "model") is None
    tmp_path.chmod(0o700)


def test_inputs_by_name_whatever_their_order(tmp_path: Path) -> None:
    graph = GraphFile(written(tmp_path, inputs=("x", "more", "x_length")), 1, [LENGTH, X], [Y], more=True)
    assert graph.inputs == {"x": "x", "x_length": "x_length"}
    assert (graph.more_inputs, graph.more_outputs) == (("more",), ("out_0", "out_1"))
    assert graph.shape("x") == (1, None, 3)
    sound = np.ones((1, 2, 3), dtype=np.float32)
    one = np.array([1], dtype=np.int32)
    doubled, more = graph.run({"x": sound, "x_length": one, "more": one + 1}, ["y", "out_0"], give_back=True)
    assert doubled.tolist() == (2 * sound).tolist()
    assert more.tolist() == [2]


def test_inputs_by_position_where_the_names_are_others(tmp_path: Path) -> None:
    graph = GraphFile(written(tmp_path, inputs=("speech", "lengths")), 1, [X, LENGTH], [Port("logits")])
    assert graph.inputs == {"x": "speech", "x_length": "lengths"}
    feeds = {"x": np.ones((1, 1, 3), dtype=np.float32), "x_length": np.array([1], dtype=np.int32)}
    assert graph.run(feeds, ["logits"])[0].tolist() == [[[2, 2, 2]]]


@pytest.mark.parametrize(
    ("graph", "wanted", "why"),
    [
        ({"inputs": ("x",)}, [X, LENGTH], "lacks the input x_length"),
        ({}, [X], "also wants the input x_length"),
        ({"width": 4}, [X], r"shape \[1, T, 4\], not \[1, \?, 3\]"),
        ({"kind": "float16"}, [X], "is float16, not float32"),
        ({"inputs": ("lengths", "x_length")}, [LENGTH, X], "is float32, not int32 or int64"),
    ],
)
def test_another_models_graph_is_told_apart(
    tmp_path: Path, graph: dict[str, object], wanted: list[Port], why: str
) -> None:
    with pytest.raises(ModelError, match=why) as refused:
        GraphFile(written(tmp_path, **graph), 1, wanted, [])  # type: ignore[arg-type]
    assert refused.value.code == "model_damaged"


def test_half_a_graph(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ModelError) as refused:
        GraphFile(file, 1, [X], [Y])
    assert refused.value.code == "model_damaged"


def test_a_run_that_fails_has_a_code(tmp_path: Path) -> None:
    graph = GraphFile(written(tmp_path), 1, [X, LENGTH], [Y])
    one = np.array([1], dtype=np.int32)
    for feeds in ({"x": np.ones((1, 1, 5), dtype=np.float32), "x_length": one}, {"x_length": one}):
        with pytest.raises(ModelError) as refused:
            graph.run(feeds, ["y"])
        assert refused.value.code == "model_failed"


def test_metadata(tmp_path: Path) -> None:
    told = {"size": "7", "mean": "-1.5,2,", "bad": "1,x", "nan": "nan,1", "comment": "a Nano"}
    metadata = GraphFile(written(tmp_path, metadata=told), 1, [X], [Y], more=True).metadata
    assert metadata.values == told
    assert (metadata.text("comment"), metadata.text("url", "none")) == ("a Nano", "none")
    assert (metadata.number("size"), metadata.number("other", 3)) == (7, 3)
    assert metadata.numbers("mean", 2).tolist() == [-1.5, 2.0]
    for ask in (
        lambda: metadata.text("url"),
        lambda: metadata.number("comment"),
        lambda: metadata.numbers("bad"),
        lambda: metadata.numbers("nan"),
        lambda: metadata.numbers("mean", 3),
    ):
        with pytest.raises(ModelError) as refused:
            ask()
        assert refused.value.code == "model_damaged"


@pytest.mark.parametrize("values", [[1.0, np.nan], [1.0, np.inf], [2.0, 2.0], []])
def test_a_self_test_finds_numbers_that_make_no_sense(values: list[float]) -> None:
    with pytest.raises(ModelError) as found:
        fingerprint(np.array(values, dtype=np.float32), "m")
    assert found.value.code == "model_damaged"


def test_a_fingerprint_is_held_to_what_is_known(tmp_path: Path) -> None:
    values = np.array([3.0, -4.0], dtype=np.float32)
    assert fingerprint(values, "m") == pytest.approx(12.5**0.5)
    assert fingerprint(values, "m", 3.7) == pytest.approx(12.5**0.5)
    with pytest.raises(ModelError):
        fingerprint(values, "m", 4.0)
    # Half-precision squares would overflow.
    assert fingerprint(np.array([300.0, -400.0], dtype=np.float16), "m") == pytest.approx(125_000**0.5)
