"""A Moonshine model's decoder with the same weights in a graph of a quarter of the nodes.

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
from typing import NamedTuple

import numpy as np

from agentbox.asr.lean_weights import Array, Matrix, UnlikeError, Weights, weights_of
from agentbox.asr.onnx_writer import Graph

_MOST_POSITIONS = 1024
"""For which rotary angles are kept. The longest utterance has 60 s, of at most 13 tokens."""

_MS = "com.microsoft"
_EPSILON = 1e-5


class Graphs(NamedTuple):
    """ONNX models as bytes, and their sizes."""

    sound: bytes
    step: bytes
    layers: int
    heads: int
    head_dim: int


def build(file: Path, *, signed: bool = False) -> Graphs | None:
    """The graphs for a decoder in onnxruntime's format (`.ort`); null where the file is not put together as the known
    ones are. `signed`: with signed weights. Takes a tenth of a second."""
    try:
        from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession
    except ImportError:  # onnxruntime need not bring it along for ever
        return None
    try:
        content = np.memmap(file, mode="r").data
        if not InferenceSession.InferenceSessionBufferHasIdentifier(content, 0):
            return None
        weights = weights_of(InferenceSession.GetRootAs(content, 0).Model().Graph(), signed=signed)
        return Graphs(_sound(weights), _step(weights), weights.layers, weights.heads, weights.head_dim)
    except (UnlikeError, AttributeError, LookupError, TypeError, ValueError, struct.error):
        return None  # onnxruntime itself will tell whether the file is damaged


def _sound(weights: Weights) -> bytes:
    """All layers' keys and values as one product."""
    graph = Graph()
    width = weights.heads * weights.head_dim
    hidden = graph.input("hidden", "float32", (1, "t", width))
    parts = [
        weights.matrix(layer, f"encoder_attn/{part}_proj") for layer in range(weights.layers) for part in ("k", "v")
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


def _step(weights: Weights) -> bytes:
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
    _, normal = _normal(graph, weights, None, "norm", x, added)
    (last,) = graph.node("Gather", [normal, graph.constant("last", np.array(-1))], axis=1)
    _times(graph, last, "logits", weights.matrix(None, "logits"), outputs=["logits"])
    graph.output("logits", "float32", ("b", weights.embedding.shape[0]))
    return graph.model()


def _add_layer(graph: Graph, weights: Weights, layer: int, x: str, added: str | None, joined: str) -> tuple[str, str]:
    """One layer on `x` and what the one before adds to it, `added`; gives the new two."""
    cache = ("b", weights.heads, "p", weights.head_dim)
    longer = ("b", weights.heads, "p + n", weights.head_dim)
    past = [graph.input(f"past_{part}.{layer}", "float32", cache) for part in ("key", "value")]
    present = [f"present_{part}.{layer}" for part in ("key", "value")]
    for one in present:
        graph.output(one, "float32", longer)
    x, normal = _normal(graph, weights, layer, "input_layernorm", x, added)
    query, key, value = (weights.matrix(layer, f"self_attn/{part}_proj") for part in "qkv")
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
    (added,) = _times(graph, seen, f"{layer}.self_out", weights.matrix(layer, "self_attn/o_proj"))
    x, normal = _normal(graph, weights, layer, "post_attention_layernorm", x, added)
    heard = _heard(graph, weights, layer, normal, joined)
    (added,) = _times(graph, heard, f"{layer}.sound_out", weights.matrix(layer, "encoder_attn/o_proj"))
    x, normal = _normal(graph, weights, layer, "final_layernorm", x, added)
    (wide,) = _times(graph, normal, f"{layer}.fc1", weights.matrix(layer, "mlp/fc1"), weights.bias(layer, "mlp/fc1"))
    values, gate = graph.node("Split", [wide], 2, axis=-1, num_outputs=2)
    (gate,) = graph.node("QuickGelu", [gate], domain=_MS, alpha=1.0)
    (gated,) = graph.node("Mul", [gate, values])
    (added,) = _times(graph, gated, f"{layer}.fc2", weights.matrix(layer, "mlp/fc2"), weights.bias(layer, "mlp/fc2"))
    return x, added


def _heard(graph: Graph, weights: Weights, layer: int, normal: str, joined: str) -> str:
    """Attention to the sound, of all rows at once."""
    heads, head_dim = weights.heads, weights.head_dim
    key = graph.input(f"key.{layer}", "float32", (heads, head_dim, "t"))
    value = graph.input(f"value.{layer}", "float32", (heads, "t", head_dim))
    matrix = weights.matrix(layer, "encoder_attn/q_proj")
    (query,) = _times(graph, normal, f"{layer}.sound", matrix)
    (query,) = graph.node("Reshape", [query, "split_heads"])
    (query,) = graph.node("Transpose", [query], perm=(1, 0, 2))
    (scores,) = graph.node("MatMul", [query, key])
    (shares,) = graph.node("Softmax", [scores], axis=-1)
    (heard,) = graph.node("MatMul", [shares, value])
    (heard,) = graph.node("Transpose", [heard], perm=(1, 0, 2))
    return graph.node("Reshape", [heard, joined])[0]


def _rotated(graph: Graph, weights: Weights, part: str) -> str:
    return graph.node(
        "RotaryEmbedding",
        [part, "position", "cos", "sin"],
        domain=_MS,
        interleaved=1,
        num_heads=weights.heads,
        rotary_embedding_dim=2 * weights.inverse_frequencies.size,
    )[0]


def _normal(graph: Graph, weights: Weights, layer: int | None, norm: str, x: str, added: str | None) -> tuple[str, str]:
    """`x` and `added` together, and the same normalised."""
    name = norm if layer is None else f"{layer}.{norm}"
    factors = graph.constant(name, weights.norm(layer, norm))
    if added is None:
        return x, graph.node("LayerNormalization", [x, factors], axis=-1, epsilon=_EPSILON)[0]
    outputs = [f"{name}/normal", "", "", f"{name}/sum"]
    graph.node("SkipLayerNormalization", [x, added, factors], outputs, domain=_MS, epsilon=_EPSILON)
    return outputs[3], outputs[0]


def _times(
    graph: Graph, x: str, name: str, matrix: Matrix, bias: Array | None = None, outputs: int | list[str] = 1
) -> list[str]:
    """`x`, quantised as it comes, by a matrix."""
    inputs = [x, *(graph.constant(f"{name}.{part}", values) for part, values in matrix._asdict().items())]
    if bias is not None:
        inputs.append(graph.constant(f"{name}.bias", bias))
    return graph.node("DynamicQuantizeMatMul", inputs, outputs, domain=_MS)
