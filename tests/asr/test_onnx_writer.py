"""What is written is read by onnxruntime, and computes what numpy does."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.onnx_writer import Graph


def run(graph: Graph, **feeds: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph.model(), providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, feeds)
    return found


def test_nodes_attributes_and_constants_of_each_kind() -> None:
    graph = Graph()
    x = graph.input("x", "float32", (2, "n"))
    weights = graph.constant("weights", np.array([[-3, 5]], dtype=np.int8))
    scale = graph.constant("scale", np.array(0.5, dtype=np.float32))
    (factors,) = graph.node("DequantizeLinear", [weights, scale])
    (turned,) = graph.node("Transpose", [factors], perm=(1, 0))
    (product,) = graph.node("Mul", [x, turned])
    (first, second) = graph.node("Split", [product, graph.constant("sizes", np.array([1, 2]))], 2, axis=-1)
    graph.node("QuickGelu", [second], ["gelu"], domain="com.microsoft", alpha=0.25)
    graph.output(first, "float32", (2, 1))
    graph.output("gelu", "float32", (2, 2))
    values = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
    got = run(graph, x=values)
    expected = values * np.array([[-1.5], [2.5]], dtype=np.float32)
    assert np.array_equal(got[0], expected[:, :1])
    assert got[1] == pytest.approx(expected[:, 1:] / (1 + np.exp(-0.25 * expected[:, 1:])), rel=1e-5)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 70))
def test_any_number_and_any_length(value: int, count: int) -> None:
    graph = Graph()
    graph.input("x", "int64", ("n",))
    graph.node("Concat", ["x", graph.constant("c" * (count + 1), np.full(count * 5, value))], ["y"], axis=0)
    graph.output("y", "int64", ("m",))
    (got,) = run(graph, x=np.array([7], dtype=np.int64))
    assert got.tolist() == [7, *[value] * (count * 5)]


def test_an_output_may_be_left_out_and_attributes_may_be_negative() -> None:
    graph = Graph()
    graph.input("x", "float32", (1, 4))
    ones = graph.constant("ones", np.ones(4, dtype=np.float32))
    graph.node("SkipLayerNormalization", ["x", "x", ones], ["y", "", "", "sum"], domain="com.microsoft", epsilon=1e-5)
    graph.node("Flatten", ["sum"], ["flat"], axis=-1)
    graph.output("flat", "float32", (1, 4))
    (got,) = run(graph, x=np.array([[1, 2, 3, 4]], dtype=np.float32))
    assert got.tolist() == [[2, 4, 6, 8]]
