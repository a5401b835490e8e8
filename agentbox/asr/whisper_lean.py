"""Whisper's quantised graphs with their products of bytes as the processor does them best. The weights stay the same.

Three things in the exports that the hub publishes take time for nothing:
- The decoder's last step, from a row of `width` to the scores of all tokens, has its weights as bytes and makes floats
  of all of them anew for every token: two thirds of a step. Here the bytes are multiplied as they are. The row is
  given to that product as two rows of bytes, itself and what its rounding left over, so that the scores are the float
  ones but for their fifth digit.
- The sound's rows are quantised for every token, and used for the first only.
- The encoder's weights are unsigned bytes. Where the processor has VNNI, it has an instruction for signed ones (128
  less, as is their zero point, which changes no product).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.onnx_read import fields, varint
from agentbox.asr.onnx_writer import Graph, field_head, value_info

Piece: TypeAlias = bytes | memoryview

_GRAPH = 7
"""onnx.proto3, ModelProto."""

_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
"""GraphProto."""

_DTYPES: dict[int, type[np.generic]] = {1: np.float32, 2: np.uint8, 3: np.int8}

_STRIPE = 1024

_FIRST = 1_000_000
"""So that no name of ours is one of the exporter's."""

_HEAD = "agentbox.head"
_MIDDLE = 128
"""What stands for nought in the row's bytes."""


class _UnlikeError(Exception):
    """The graph is put together in another way."""


@dataclass(frozen=True, slots=True)
class _Node:
    message: memoryview
    kind: str
    inputs: list[str]
    outputs: list[str]
    branches: dict[str, memoryview]
    """Attributes that are graphs."""


def with_signed_weights(model: Piece) -> list[Piece] | None:
    """A graph whose products of bytes take signed weights; null where they are signed already, or there are none.

    Raises `ValueError` or `IndexError` where it is no protocol buffer.
    """
    before, graph, after = _parted(memoryview(model))
    bytes_of = {}
    for number, _, one in fields(graph):
        if number == _INITIALIZER and (values := _array(one)).dtype == np.uint8:
            bytes_of[_text(one, 8)] = values
    products: list[set[str]] = []
    # Old exports list the weights among the inputs, with their types.
    others = {_text(one, 1) for number, _, one in fields(graph) if number == _INPUT}
    for node in _nodes(graph):
        weights = set(node.inputs[1::2]) if node.kind == "MatMulInteger" else set()
        products.append(weights)
        others |= set(node.inputs) - weights
        others |= {name for branch in node.branches.values() for inner in _nodes(branch) for name in inner.inputs}
    # Weights and their zero point are of one kind, and a zero point may be that of several weights.
    others |= set().union(*products) - set(bytes_of)
    while mixed := [weights for weights in products if weights & others and weights - others]:
        others |= set().union(*mixed)
    unsigned = {name: bytes_of[name] for name in set().union(*products) - others}
    if not unsigned:
        return None
    new = Graph()
    for name, values in unsigned.items():
        new.constant(name, _signed(values))
    kept = [whole for number, whole, one in fields(graph) if number != _INITIALIZER or _text(one, 8) not in unsigned]
    return _model(before, [*kept, *new.pieces()], after)


@dataclass(frozen=True, slots=True)
class Decoder:
    """A merged decoder put together anew; inputs and outputs are as they were."""

    model: list[Piece]
    hears_once: bool
    """Whether the branch with a cache leaves the encoder's rows alone, so that any may be given to it."""


def with_quick_head(model: Piece, *, signed: bool) -> Decoder | None:
    """A merged decoder that scores the tokens by a product of bytes; null where it is not put together as the known
    exports are. `signed`: with signed weights.

    Raises `ValueError` or `IndexError` where it is no protocol buffer.
    """
    before, graph, after = _parted(memoryview(model))
    try:
        return Decoder(_model(before, _with_head(graph, signed), after), _hears_once(graph))
    except (_UnlikeError, StopIteration, KeyError):
        return None


def _hears_once(graph: memoryview) -> bool:
    sound = {"encoder_hidden_states"}
    for node in _nodes(graph):
        cached = node.branches.get("then_branch")
        if cached is not None:
            return not any(sound & set(inner.inputs) for inner in _nodes(cached))
        if sound & set(node.inputs):
            sound |= set(node.outputs)
    return False


def _with_head(graph: memoryview, signed: bool) -> list[Piece]:
    merged = next(node for node in _nodes(graph) if node.kind == "If" and "logits" in node.outputs)
    at = merged.outputs.index("logits")
    branches: dict[str, list[Piece]] = {}
    weights: set[tuple[str, ...]] = set()
    for name, branch in merged.branches.items():
        branches[name], found = _headless(branch, at)
        weights.add(found)
    if len(branches) != 2 or len(weights) != 1:
        raise _UnlikeError
    wanted = weights.pop()
    tensors = {_text(one, 8): one for number, _, one in fields(graph) if number == _INITIALIZER}
    matrix, scale, zero = (_array(tensors[name]) for name in wanted)
    if matrix.dtype not in (np.uint8, np.int8) or matrix.ndim != 2 or scale.size != 1 or zero.size != 1:
        raise _UnlikeError
    new = Graph(_count=_FIRST)
    if signed and matrix.dtype == np.uint8:
        matrix, zero = _signed(matrix), _signed(zero)
    _score(new, matrix, float(scale.reshape(-1)[0]), zero.reshape(()))
    pieces: list[Piece] = []
    for number, whole, one in fields(graph):
        if number == _NODE and one == merged.message:
            inner = _renamed(merged, at, branches)
            pieces += [field_head(_NODE, sum(map(len, inner))), *inner]
        else:
            pieces.append(whole)
    return [*pieces, *new.pieces()]


def _score(graph: Graph, matrix: NDArray[Any], scale: float, zero: NDArray[Any]) -> None:
    """From `_HEAD`, float32 [1, n, width], to `logits`; `matrix`: [vocabulary, width], times `scale`."""

    def number(name: str, value: float) -> str:
        return graph.constant(f"{_HEAD}.{name}", np.array(value, dtype=np.float32))

    def row(name: str, of: str, step: str) -> str:
        return graph.node("QuantizeLinear", [of, step, middle], [f"{_HEAD}.{name}"])[0]

    middle = graph.constant(f"{_HEAD}.middle", np.array(_MIDDLE, dtype=np.uint8))
    (size,) = graph.node("Abs", [_HEAD])
    (size,) = graph.node("ReduceMax", [size], keepdims=0)
    (size,) = graph.node("Max", [size, number("least", 1e-20)])
    (coarse,) = graph.node("Mul", [size, number("coarse_step", 1 / 127)])
    (fine,) = graph.node("Mul", [coarse, number("fine_step", 1 / 254)])
    first = row("coarse", _HEAD, coarse)
    (rounded,) = graph.node("DequantizeLinear", [first, coarse, middle])
    (left,) = graph.node("Sub", [_HEAD, rounded])
    (both,) = graph.node("Concat", [first, row("fine", left, fine)], axis=0)
    weights = graph.constant(f"{_HEAD}.weights", _turned(matrix))
    inputs = [both, weights, middle, graph.constant(f"{_HEAD}.zero", zero)]
    (products,) = graph.node("MatMulInteger", inputs)
    (products,) = graph.node("Cast", [products], to=1)
    scores = []
    for which, step in enumerate((coarse, fine)):
        index = graph.constant(f"{_HEAD}.{which}", np.array([which], dtype=np.int64))
        (part,) = graph.node("Gather", [products, index], axis=0)
        (step,) = graph.node("Mul", [step, f"{_HEAD}.scale" if which else number("scale", scale)])
        scores += graph.node("Mul", [part, step])
    graph.node("Add", scores, ["logits"])


def _turned(matrix: NDArray[Any]) -> NDArray[Any]:
    """Transposed, in stripes that the processor's caches hold: a tenth of the time."""
    turned = np.empty(matrix.shape[::-1], matrix.dtype)
    for begin in range(0, len(matrix), _STRIPE):
        turned[:, begin : begin + _STRIPE] = matrix[begin : begin + _STRIPE].T
    return turned


def _headless(branch: memoryview, at: int) -> tuple[list[Piece], tuple[str, ...]]:
    """A branch whose output number `at` is what the scores are worked out of, and the names of the weights that this
    takes: values [vocabulary, width], scale, zero. Raises `_UnlikeError` or `StopIteration`."""
    nodes = list(_nodes(branch))
    by_output = {name: node for node in nodes for name in node.outputs}
    outputs = [_text(one, 1) for number, _, one in fields(branch) if number == _OUTPUT]
    product = by_output[outputs[at]]
    floats = by_output[product.inputs[1]]
    turned = by_output[floats.inputs[0]]
    if (product.kind, floats.kind, turned.kind) != ("MatMul", "DequantizeLinear", "Transpose"):
        raise _UnlikeError
    gone = (product, floats, turned)
    used = [name for node in nodes if node not in gone for name in node.inputs] + outputs[:at] + outputs[at + 1 :]
    if {name for node in gone for name in node.outputs} & set(used):
        raise _UnlikeError
    row = product.inputs[0]
    pieces: list[Piece] = []
    number_of_output = 0
    dropped = {bytes(node.message) for node in gone}
    for number, whole, one in fields(branch):
        if number == _NODE and bytes(one) in dropped:
            continue
        if number == _OUTPUT:
            if number_of_output == at:
                info = value_info(row, "float32", ("b", "n", "width"))
                whole = memoryview(field_head(_OUTPUT, len(info)) + info)
            number_of_output += 1
        pieces.append(whole)
    return pieces, (turned.inputs[0], *floats.inputs[1:3])


def _renamed(merged: _Node, at: int, branches: dict[str, list[Piece]]) -> list[Piece]:
    """The `If` with other branches, whose output number `at` is called `_HEAD`."""
    pieces: list[Piece] = []
    outputs = 0
    for number, whole, one in fields(merged.message):
        if number == 2:
            if outputs == at:
                whole = memoryview(field_head(2, len(_HEAD)) + _HEAD.encode())
            outputs += 1
        elif number == 5 and _text(one, 1) in branches:
            branch = branches[_text(one, 1)]
            graph = [field_head(6, sum(map(len, branch))), *branch]
            rest = [part for field, part, _ in fields(one) if field != 6]
            pieces += [field_head(5, sum(map(len, [*rest, *graph]))), *rest, *graph]
            continue
        pieces.append(whole)
    return pieces


def _parted(model: memoryview) -> tuple[list[Piece], memoryview, list[Piece]]:
    """What stands before the graph, the graph, and what stands after it."""
    before: list[Piece] = []
    after: list[Piece] = []
    found: memoryview | None = None
    for number, whole, content in fields(model):
        if number == _GRAPH:
            found = content
        else:
            (before if found is None else after).append(whole)
    if found is None:
        raise ValueError("there is no graph")
    return before, found, after


def _model(before: Sequence[Piece], graph: Sequence[Piece], after: Sequence[Piece]) -> list[Piece]:
    return [*before, field_head(_GRAPH, sum(map(len, graph))), *graph, *after]


def _nodes(graph: memoryview) -> Iterator[_Node]:
    for number, _, message in fields(graph):
        if number != _NODE:
            continue
        texts: dict[int, list[str]] = {1: [], 2: [], 4: []}
        branches: dict[str, memoryview] = {}
        for field, _, content in fields(message):
            if field in texts:
                texts[field].append(bytes(content).decode())
            elif field == 5:
                branches |= {_text(content, 1): value for one, _, value in fields(content) if one == 6}
        yield _Node(message, "".join(texts[4]), texts[1], texts[2], branches)


def _text(message: memoryview, number: int) -> str:
    """A field that is text; empty where it is missing."""
    return next((bytes(content).decode() for one, _, content in fields(message) if one == number), "")


def _array(tensor: memoryview) -> NDArray[Any]:
    """The values of a TensorProto of floats or bytes. Raises `ValueError`."""
    sizes: list[int] = []
    values: NDArray[Any] | None = None
    kind = 0
    for number, whole, content in fields(tensor):
        if number == 1:
            packed = whole[0] & 7 == 2
            sizes += _numbers(content) if packed else [varint(content, 0)[0]]
        elif number == 2:
            kind = varint(content, 0)[0]
    dtype = _DTYPES.get(kind)
    for number, whole, content in fields(tensor) if dtype else ():
        if number == 9:
            values = np.frombuffer(content, dtype)
        elif number == 4:
            values = np.frombuffer(content, np.float32)
        elif number == 5:  # bytes as numbers, which may be negative
            numbers = _numbers(content) if whole[0] & 7 == 2 else [varint(content, 0)[0]]
            values = np.array(numbers, dtype=np.uint64).astype(dtype)
    return np.zeros(0) if values is None else values.reshape(sizes)


def _numbers(packed: memoryview) -> list[int]:
    found = []
    at = 0
    while at < len(packed):
        value, at = varint(packed, at)
        found.append(value)
    return found


def _signed(values: NDArray[Any]) -> NDArray[np.int8]:
    signed: NDArray[np.int8] = (values ^ np.uint8(128)).view(np.int8)
    return signed
