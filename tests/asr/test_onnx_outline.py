"""What a file says about itself, without loading it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.onnx_outline import outline
from agentbox.asr.onnx_writer import Graph


def model() -> bytes:
    graph = Graph()
    graph.input("x", "float32", (1, "T", 3))
    graph.input("语言", "int32", (1,))
    weights = graph.constant("weights", np.ones((3, 2_000), dtype=np.float32))
    graph.node("MatMul", ["x", weights], ["logits"])
    graph.node("Identity", ["语言"], ["again"])
    graph.output("logits", "float32", (1, "T", 2_000))
    graph.output("again", "int32", (1,))
    return graph.model({"model_type": "random", "comment": "für alle", "neg_mean": "1," * 3_000})


def test_names_and_metadata_are_those_that_onnxruntime_sees(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(model())
    session = onnxruntime.InferenceSession(model(), providers=["CPUExecutionProvider"])
    seen = outline(tmp_path / "model.onnx")
    assert seen.inputs == [node.name for node in session.get_inputs()] == ["x", "语言"]
    assert seen.outputs == [node.name for node in session.get_outputs()] == ["logits", "again"]
    assert seen.metadata == session.get_modelmeta().custom_metadata_map


def test_no_file_is_an_empty_outline(tmp_path: Path) -> None:
    for name in ("nothing.onnx", "."):
        seen = outline(tmp_path / name)
        assert (seen.inputs, seen.outputs, seen.metadata) == ([], [], {})


@given(st.data())
def test_whatever_the_bytes_are_it_comes_back(data: st.DataObject) -> None:
    good = model()
    bad = bytearray(good[: data.draw(st.integers(0, len(good)))])
    for _ in range(data.draw(st.integers(0, 5)) if bad else 0):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(bytes(bad) if data.draw(st.booleans()) else data.draw(st.binary(max_size=200)))
        file.flush()
        assert len(outline(Path(file.name)).inputs) < 10_000


def test_a_length_past_the_end_of_everything(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x3a" + b"\xff" * 9 + b"\x01" + model()[-40:])
    assert outline(tmp_path / "model.onnx").inputs == []


def test_a_large_file_of_something_else_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "model.onnx").open("wb") as file:
        file.truncate(1 << 33)  # a hole, which takes no room on the disk
        file.seek(0)
        file.write(b"\x08\x01" * 300_000)
    assert outline(tmp_path / "model.onnx").inputs == []
