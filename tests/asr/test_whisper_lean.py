"""Whisper's graphs put together anew compute what they did."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentbox.asr.onnx_read import mapped
from agentbox.asr.onnx_writer import Graph
from agentbox.asr.whisper_lean import with_quick_head, with_signed_weights
from agentbox.inference import Content, open_session

VOCABULARY, WIDTH, ROWS = 2_100, 64, 5
HERE = Path("here.onnx")


def outcome(model: Content, wanted: list[str], **feeds: NDArray[Any]) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = open_session(HERE, 1, model).run(wanted, feeds)
    return found


class Merged:
    """A merged decoder as the hub has them, of nothing but an embedding: `logits` is what a token is like, and
    `present` the row that this was worked out of."""

    def __init__(self, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.table = draw.integers(0, 256, (VOCABULARY, WIDTH), dtype=np.uint8)
        self.scale: NDArray[Any] = np.array(draw.uniform(0.001, 0.01), dtype=np.float32)
        self.zero = np.array(draw.integers(100, 150), dtype=np.uint8)
        self.used_twice = self.hears_twice = self.floats = False
        self.other_table: NDArray[Any] | None = None

    def model(self) -> bytes:
        graph = Graph()
        graph.input("input_ids", "int64", ("b", "n"))
        graph.input("encoder_hidden_states", "float32", ("b", "rows", WIDTH))
        graph.input("use_cache_branch", "bool", (1,))
        for name, values in (("table", self.table), ("scale", self.scale), ("zero", self.zero)):
            graph.constant(name, values)
        if self.other_table is not None:
            graph.constant("other_table", self.other_table)
        graph.node("Identity", ["encoder_hidden_states"], ["heard"])
        then, other = (self._branch(cached=cached) for cached in (True, False))
        graph.node("If", ["use_cache_branch"], ["present", "logits"], then_branch=then, else_branch=other)
        graph.output("logits", "float32", ("b", "n", VOCABULARY))
        graph.output("present", "float32", ("b", "n", WIDTH))
        return graph.model()

    def _branch(self, *, cached: bool) -> bytes:
        graph = Graph(_count=1000 if cached else 0)
        table = "table" if self.other_table is None or cached else "other_table"
        (rows,) = graph.node("Gather", [table, "input_ids"], axis=0)
        (row,) = graph.node("DequantizeLinear", [rows, "scale", "zero"])
        if not cached or self.hears_twice:
            # The first run adds what was heard.
            axis = graph.constant(f"axis.{cached}", np.array([1]))
            (mean,) = graph.node("ReduceMean", ["heard", axis], keepdims=1)
            (row,) = graph.node("Add", [row, mean])
        graph.node("LayerNormalization", [row, _ones(graph, cached)], [f"row.{cached}"], axis=-1)
        (turned,) = graph.node("Transpose", [table], perm=(1, 0))
        if self.floats:
            (floats,) = graph.node("Cast", [turned], to=1)
        else:
            (floats,) = graph.node("DequantizeLinear", [turned, "scale", "zero"])
        graph.node("MatMul", [f"row.{cached}", floats], [f"logits.{cached}"])
        if self.used_twice:
            (less,) = graph.node("MatMul", [f"row.{cached}", floats])
            (less,) = graph.node("ReduceMean", [less], keepdims=1)
            graph.node("Add", [f"row.{cached}", less], [f"present.{cached}"])
        else:
            graph.node("Identity", [f"row.{cached}"], [f"present.{cached}"])
        graph.output(f"present.{cached}", "float32", ("b", "n", WIDTH))
        graph.output(f"logits.{cached}", "float32", ("b", "n", VOCABULARY))
        return graph.branch()


def _ones(graph: Graph, cached: bool) -> str:
    return graph.constant(f"ones.{cached}", np.ones(WIDTH, dtype=np.float32))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_the_scores_are_the_same_but_for_their_last_digits(seed: int, signed: bool) -> None:
    merged = Merged(seed)
    quick = with_quick_head(merged.model(), signed=signed)
    assert quick is not None
    assert quick.hears_once
    draw = np.random.default_rng(seed)
    for cached in (False, True):
        feeds: dict[str, NDArray[Any]] = {
            "input_ids": draw.integers(0, VOCABULARY, (1, 1 if cached else 7)),
            "encoder_hidden_states": draw.normal(size=(1, ROWS, WIDTH)).astype(np.float32),
            "use_cache_branch": np.array([cached]),
        }
        row, logits = outcome(merged.model(), ["present", "logits"], **feeds)
        same_row, quick_logits = outcome(quick.model, ["present", "logits"], **feeds)
        assert np.array_equal(row, same_row)
        assert quick_logits.shape == logits.shape
        size = np.abs(row).max() / 127 / 254 * WIDTH * 128 * float(merged.scale)
        assert 0 < np.abs(logits - quick_logits).max() < size  # the second rounding's worst, and far from it
        exact = row[0].astype(np.float64) @ ((merged.table.T.astype(np.float64) - merged.zero) * float(merged.scale))
        np.testing.assert_allclose(quick_logits[0], exact, atol=2e-4 * np.abs(exact).max())


def test_a_row_of_noughts_scores_nothing() -> None:
    merged = Merged()
    merged.table[:] = merged.zero
    quick = with_quick_head(merged.model(), signed=True)
    assert quick is not None
    feeds: dict[str, NDArray[Any]] = {
        "input_ids": np.zeros((1, 1), dtype=np.int64),
        "encoder_hidden_states": np.zeros((1, 1, WIDTH), dtype=np.float32),
        "use_cache_branch": np.array([True]),
    }
    assert not outcome(quick.model, ["logits"], **feeds)[0].any()


@pytest.mark.parametrize(
    "change",
    [
        {"used_twice": True},
        {"floats": True},
        {"other_table": np.zeros((VOCABULARY, WIDTH), dtype=np.uint8)},
        {"scale": np.full(WIDTH, 0.1, dtype=np.float32), "zero": np.zeros(WIDTH, dtype=np.uint8)},
    ],
)
def test_a_decoder_of_another_kind_is_left_as_it_is(change: dict[str, Any]) -> None:
    merged = Merged()
    for name, value in change.items():
        setattr(merged, name, value)
    assert with_quick_head(merged.model(), signed=True) is None


def test_a_step_that_looks_at_the_sound_gets_it() -> None:
    merged = Merged()
    merged.hears_twice = True
    quick = with_quick_head(merged.model(), signed=True)
    assert quick is not None
    assert not quick.hears_once


def quantised(*, also: bool = False, listed: bool = False, kind: type[np.generic] = np.uint8) -> bytes:
    """A product with bytes. `also`: its weights are used for something else as well. `listed`: they are an input."""
    draw = np.random.default_rng(3)
    graph = Graph()
    graph.input("x", "float32", ("n", WIDTH))
    weights = graph.constant("weights", draw.integers(0, 120, (WIDTH, 40)).astype(kind))
    zero = graph.constant("zero", np.array(119, dtype=kind))
    if listed:
        graph.input("zero", kind.__name__, ())
    row, scale, middle = graph.node("DynamicQuantizeLinear", ["x"], 3)
    (product,) = graph.node("MatMulInteger", [row, weights, middle, zero])
    if also:
        (more,) = graph.node("Cast", [weights], to=6)
        (more,) = graph.node("ReduceSum", [more], keepdims=0)
        (product,) = graph.node("Add", [product, more])
    (floats,) = graph.node("Cast", [product], to=1)
    graph.node("Mul", [floats, scale], ["y"])
    graph.output("y", "float32", ("n", 40))
    return graph.model()


def test_signed_weights_change_no_product() -> None:
    model = with_signed_weights(quantised())
    assert model is not None
    assert b"".join(model) != quantised()
    x = np.random.default_rng(4).normal(size=(9, WIDTH)).astype(np.float32)
    assert np.array_equal(outcome(quantised(), ["y"], x=x)[0], outcome(model, ["y"], x=x)[0])
    assert with_signed_weights(b"".join(model)) is None  # they are signed now
    assert with_signed_weights(quantised(kind=np.int8)) is None


def test_weights_that_something_else_reads_stay_unsigned() -> None:
    assert with_signed_weights(quantised(also=True)) is None
    assert with_signed_weights(quantised(listed=True)) is None


@given(st.binary(max_size=60), st.integers(0, 3_000), st.sampled_from([Merged().model(), quantised()]))
def test_any_bytes_are_survived(tail: bytes, cut: int, model: bytes) -> None:
    for data in (tail, model[:cut] + tail):
        for change in (with_signed_weights, lambda data: with_quick_head(data, signed=True)):
            with contextlib.suppress(ValueError, IndexError):
                change(data)


def test_what_is_not_mapped(tmp_path: Path) -> None:
    for name, content in (("a.onnx", b""), ("a.ort", b"x")):
        (tmp_path / name).write_bytes(content)
        assert mapped(tmp_path / name) is None
    assert mapped(tmp_path / "nothing.onnx") is None
    (tmp_path / "b.onnx").write_bytes(b"x")
    assert mapped(tmp_path / "b.onnx") is not None
    (tmp_path / "b.onnx_data").touch()
    assert mapped(tmp_path / "b.onnx") is None
