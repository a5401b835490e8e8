"""The decoder of the default model with the same weights in a graph of a quarter of the nodes.

What is exported is one graph with two branches, of 900 nodes each: shapes worked out, slices, padding of heads, rotary
positions by hand. For one token that is half of the time. Here the weights are taken out of the file and put together
anew, with onnxruntime's own operators for rotary positions and attention, as two graphs:
- sound: hidden f32 [1, t, width] -> per layer keys f32 [heads, head_dim, t], scaled, and values [heads, t, head_dim]
- step: input_ids i64 [b, n], position i64 [1], the sound's keys and values (one for all rows), and per layer the keys
  and values of the p tokens before, f32 [b, heads, p, head_dim] -> logits f32 [b, vocabulary] after the last token, and
  the keys and values with the n tokens

The weights are the same integers. Where the processor has VNNI they are handed over as signed ones (128 less, as is
their zero point, which changes no product): it has an instruction for these.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.onnx_writer import Graph

Array: TypeAlias = NDArray[Any]

_MOST_POSITIONS = 1024
"""For which rotary angles are kept. The longest utterance has 60 s, of at most 13 tokens."""

_MS = "com.microsoft"
_EPSILON = 1e-5
_LAYER = "/model/decoder/layers.{}"
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64}
"""ort.fbs, TensorDataType, as far as they are met."""


class Graphs(NamedTuple):
    """ONNX models as bytes, and their sizes."""

    sound: bytes
    step: bytes
    layers: int
    heads: int
    head_dim: int


class _UnlikeError(Exception):
    """The file is another model's, or another export."""


class _Matrix(NamedTuple):
    """A quantised matrix: weight = (values - zero) x scale."""

    values: NDArray[np.int8] | NDArray[np.uint8]
    """[inputs, outputs]"""
    scale: NDArray[np.float32]
    """One for all, or one for each column; `zero` likewise."""
    zero: NDArray[np.int8] | NDArray[np.uint8]

    def beside(self, *others: _Matrix) -> _Matrix:
        """Several that read the same, as one."""
        parts = [(one.values, *(np.broadcast_to(of, one.values.shape[1]) for of in one[1:])) for one in (self, *others)]
        return _Matrix(*(np.concatenate(alike, axis=-1) for alike in zip(*parts, strict=True)))


def build(file: Path, *, signed: bool = False) -> Graphs | None:
    """The graphs for a decoder in onnxruntime's format (`.ort`); null where the file is not put together as the default
    model's is. `signed`: with signed weights. Takes a tenth of a second."""
    try:
        from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession
    except ImportError:  # onnxruntime need not bring it along for ever
        return None
    try:
        content = np.memmap(file, mode="r").data
        if not InferenceSession.InferenceSessionBufferHasIdentifier(content, 0):
            return None
        weights = _Weights(InferenceSession.GetRootAs(content, 0).Model().Graph(), signed)
        return Graphs(_sound(weights), _step(weights), weights.layers, weights.heads, weights.head_dim)
    except (_UnlikeError, AttributeError, LookupError, ValueError, struct.error):
        return None  # onnxruntime itself will tell whether the file is damaged


class _Weights:
    """The merged decoder's weights, by what they are for."""

    def __init__(self, graph: Any, signed: bool) -> None:
        self._signed = signed
        self._tensors = _tensors_of(graph)
        self._nodes: dict[str, Any] = {}
        branches = _branches(graph)
        # The one for what comes after the first token goes first: names in both are taken from it.
        for name in (b"then_branch", b"else_branch"):
            branch = branches[name]
            self._tensors = _tensors_of(branch) | self._tensors
            for at in range(branch.NodesLength()):
                node = branch.Nodes(at)
                for output in _names(node.Outputs, node.OutputsLength()):
                    self._nodes.setdefault(output, node)
        self.layers = 0
        while f"{_LAYER.format(self.layers)}/mlp/fc1/Add_output_0" in self._nodes:
            self.layers += 1
        first = f"{_LAYER.format(0)}/self_attn"
        heads = self._inputs(self._inputs(f"{first}/Reshape_output_0", "Reshape")[1], "Concat")
        self.heads, self.head_dim = (int(self._array(name).item()) for name in heads[2:])
        self.scale = _float_attribute(self._nodes[f"{first}/MatMul_output_0"], b"alpha")
        expand = self._inputs("/model/decoder/rotary_emb/Expand_output_0", "Expand")
        self.inverse_frequencies: Array = self._array(expand[0]).reshape(-1)
        tokens = self._inputs("/model/decoder/embed_tokens/Gather_output_0", "DequantizeLinear")
        self.embedding: Array = self._array(self._inputs(tokens[0], "Gather")[0])
        self.embedding_scale: Array = self._array(tokens[1])
        self.embedding_zero: Array = self._array(tokens[2])

    def matrix(self, output: str) -> _Matrix:
        """The matrix of the product `output`."""
        kind = self._nodes[output].OpType()
        inputs = self._inputs(output, "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
        at = (1, 2, 3) if kind == b"DynamicQuantizeMatMul" else (1, 3, 5)
        values, scale, zero = (self._array(inputs[number]) for number in at)
        if values.dtype != np.uint8 or zero.dtype != np.uint8 or values.ndim != 2:
            raise _UnlikeError
        return _Matrix(_signed(values), scale, _signed(zero)) if self._signed else _Matrix(values, scale, zero)

    def bias(self, output: str) -> Array:
        """What is added to the product `output`."""
        return self._array(self._inputs(output, "DynamicQuantizeMatMul")[4])

    def norm(self, name: str) -> Array:
        """The factors of a normalisation, which adds nothing."""
        inputs = self._inputs(f"{name}/LayerNormalization_output_0", "LayerNormalization")
        if self._array(inputs[2]).any():
            raise _UnlikeError
        return self._array(inputs[1])

    def _array(self, name: str) -> Array:
        tensor = self._tensors[name]
        shape = [tensor.Dims(axis) for axis in range(tensor.DimsLength())]
        return np.frombuffer(tensor.RawDataAsNumpy(), _TYPES[tensor.DataType()]).reshape(shape)

    def _inputs(self, output: str, *kinds: str) -> list[str]:
        node = self._nodes[output]
        if node.OpType().decode() not in kinds:
            raise _UnlikeError
        return _names(node.Inputs, node.InputsLength())


def _sound(weights: _Weights) -> bytes:
    """All layers' keys and values as one product."""
    graph = Graph()
    width = weights.heads * weights.head_dim
    hidden = graph.input("hidden", "float32", (1, "t", width))
    parts = [
        weights.matrix(f"{_LAYER.format(layer)}/encoder_attn/{part}_proj/MatMul_output_0")
        for layer in range(weights.layers)
        for part in ("k", "v")
    ]
    (product,) = _times(graph, hidden, "sound", parts[0].beside(*parts[1:]))
    shape = graph.constant("shape", np.array([-1, weights.heads, weights.head_dim]))
    scale = graph.constant("scale", np.array(weights.scale, dtype=np.float32))
    for number, part in enumerate(graph.node("Split", [product], len(parts), axis=-1, num_outputs=len(parts))):
        layer, is_value = divmod(number, 2)
        (split,) = graph.node("Reshape", [part, shape])
        if is_value:
            name = f"value.{layer}"
            graph.node("Transpose", [split], [name], perm=(1, 0, 2))
            graph.output(name, "float32", (weights.heads, "t", weights.head_dim))
        else:
            name = f"key.{layer}"
            (key,) = graph.node("Transpose", [split], perm=(1, 2, 0))
            graph.node("Mul", [key, scale], [name])
            graph.output(name, "float32", (weights.heads, weights.head_dim, "t"))
    return graph.model()


def _step(weights: _Weights) -> bytes:
    graph = Graph()
    width = weights.heads * weights.head_dim
    ids = graph.input("input_ids", "int64", ("b", "n"))
    graph.input("position", "int64", (1,))
    angles = np.outer(np.arange(_MOST_POSITIONS, dtype=np.float32), weights.inverse_frequencies)
    graph.constant("cos", np.cos(angles))
    graph.constant("sin", np.sin(angles))
    graph.constant("split_heads", np.array([-1, weights.heads, weights.head_dim]))
    (batch,) = graph.node("Shape", [ids])
    (joined,) = graph.node("Concat", [batch, graph.constant("width", np.array([width]))], axis=0)
    (rows,) = graph.node("Gather", [graph.constant("embedding", weights.embedding), ids], axis=0)
    scale = graph.constant("embedding_scale", weights.embedding_scale)
    (x,) = graph.node("DequantizeLinear", [rows, scale, graph.constant("embedding_zero", weights.embedding_zero)])
    added = None
    for layer in range(weights.layers):
        x, added = _add_layer(graph, weights, layer, x, added, joined)
    _, normal = _normal(graph, weights, "/model/decoder/norm", x, added)
    (last,) = graph.node("Gather", [normal, graph.constant("last", np.array(-1))], axis=1)
    _times(graph, last, "logits", weights.matrix("logits"), outputs=["logits"])
    graph.output("logits", "float32", ("b", weights.embedding.shape[0]))
    return graph.model()


def _add_layer(graph: Graph, weights: _Weights, layer: int, x: str, added: str | None, joined: str) -> tuple[str, str]:
    """One layer on `x` and what the one before adds to it, `added`; gives the new two."""
    name = _LAYER.format(layer)
    cache = ("b", weights.heads, "p", weights.head_dim)
    longer = ("b", weights.heads, "p + n", weights.head_dim)
    past = [graph.input(f"past_{part}.{layer}", "float32", cache) for part in ("key", "value")]
    present = [f"present_{part}.{layer}" for part in ("key", "value")]
    for one in present:
        graph.output(one, "float32", longer)
    x, normal = _normal(graph, weights, f"{name}/input_layernorm", x, added)
    query, key, value = (weights.matrix(f"{name}/self_attn/{part}_proj/MatMul_output_0") for part in "qkv")
    (product,) = _times(graph, normal, f"{layer}.self", query.beside(key, value))
    q, k, v = graph.node("Split", [product], 3, axis=-1, num_outputs=3)
    q, k = (_rotated(graph, weights, part) for part in (q, k))
    (seen,) = graph.node(
        "MultiHeadAttention",
        [q, k, v, "", "", "", *past],
        [f"{layer}.seen", *present],
        domain=_MS,
        num_heads=weights.heads,
        unidirectional=1,
        scale=weights.scale,
    )[:1]
    (added,) = _times(graph, seen, f"{layer}.self_out", weights.matrix(f"{name}/self_attn/o_proj/MatMul_output_0"))
    x, normal = _normal(graph, weights, f"{name}/post_attention_layernorm", x, added)
    heard = _heard(graph, weights, layer, normal, joined)
    (added,) = _times(graph, heard, f"{layer}.sound_out", weights.matrix(f"{name}/encoder_attn/o_proj/MatMul_output_0"))
    x, normal = _normal(graph, weights, f"{name}/final_layernorm", x, added)
    product_1, product_2 = f"{name}/mlp/fc1/Add_output_0", f"{name}/mlp/fc2/Add_output_0"
    (wide,) = _times(graph, normal, f"{layer}.fc1", weights.matrix(product_1), weights.bias(product_1))
    values, gate = graph.node("Split", [wide], 2, axis=-1, num_outputs=2)
    (gate,) = graph.node("QuickGelu", [gate], domain=_MS, alpha=1.0)
    (gated,) = graph.node("Mul", [gate, values])
    (added,) = _times(graph, gated, f"{layer}.fc2", weights.matrix(product_2), weights.bias(product_2))
    return x, added


def _heard(graph: Graph, weights: _Weights, layer: int, normal: str, joined: str) -> str:
    """Attention to the sound, of all rows at once."""
    heads, head_dim = weights.heads, weights.head_dim
    key = graph.input(f"key.{layer}", "float32", (heads, head_dim, "t"))
    value = graph.input(f"value.{layer}", "float32", (heads, "t", head_dim))
    matrix = weights.matrix(f"{_LAYER.format(layer)}/encoder_attn/q_proj/MatMul_output_0")
    (query,) = _times(graph, normal, f"{layer}.sound", matrix)
    (query,) = graph.node("Reshape", [query, "split_heads"])
    (query,) = graph.node("Transpose", [query], perm=(1, 0, 2))
    (scores,) = graph.node("MatMul", [query, key])
    (shares,) = graph.node("Softmax", [scores], axis=-1)
    (heard,) = graph.node("MatMul", [shares, value])
    (heard,) = graph.node("Transpose", [heard], perm=(1, 0, 2))
    return graph.node("Reshape", [heard, joined])[0]


def _rotated(graph: Graph, weights: _Weights, part: str) -> str:
    return graph.node(
        "RotaryEmbedding",
        [part, "position", "cos", "sin"],
        domain=_MS,
        interleaved=1,
        num_heads=weights.heads,
        rotary_embedding_dim=2 * weights.inverse_frequencies.size,
    )[0]


def _normal(graph: Graph, weights: _Weights, name: str, x: str, added: str | None) -> tuple[str, str]:
    """`x` and `added` together, and the same normalised."""
    factors = graph.constant(name, weights.norm(name))
    if added is None:
        return x, graph.node("LayerNormalization", [x, factors], axis=-1, epsilon=_EPSILON)[0]
    outputs = [f"{name}/normal", "", "", f"{name}/sum"]
    graph.node("SkipLayerNormalization", [x, added, factors], outputs, domain=_MS, epsilon=_EPSILON)
    return outputs[3], outputs[0]


def _times(
    graph: Graph, x: str, name: str, matrix: _Matrix, bias: Array | None = None, outputs: int | list[str] = 1
) -> list[str]:
    """`x`, quantised as it comes, by a matrix."""
    inputs = [x, *(graph.constant(f"{name}.{part}", values) for part, values in matrix._asdict().items())]
    if bias is not None:
        inputs.append(graph.constant(f"{name}.bias", bias))
    return graph.node("DynamicQuantizeMatMul", inputs, outputs, domain=_MS)


def _signed(values: Array) -> NDArray[np.int8]:
    return (values ^ np.uint8(128)).view(np.int8)


def _branches(graph: Any) -> dict[bytes, Any]:
    for at in range(graph.NodesLength()):
        node = graph.Nodes(at)
        if node.OpType() == b"If":
            attributes = map(node.Attributes, range(node.AttributesLength()))
            return {attribute.Name(): attribute.G() for attribute in attributes}
    raise _UnlikeError


def _tensors_of(graph: Any) -> dict[str, Any]:
    tensors = map(graph.Initializers, range(graph.InitializersLength()))
    return {tensor.Name().decode(): tensor for tensor in tensors}


def _names(name_at: Any, count: int) -> list[str]:
    return [name_at(at).decode() for at in range(count)]


def _float_attribute(node: Any, name: bytes) -> float:
    for at in range(node.AttributesLength()):
        if node.Attributes(at).Name() == name:
            return float(node.Attributes(at).F())
    raise _UnlikeError
