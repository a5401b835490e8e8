"""Fun-ASR-Nano models with random weights: small ones for tests, and one of the real size and number of operations.

The graphs have the inputs, outputs and metadata of the published ones, and the language model is a real one of its kind
(RMS norms, rotary positions from cache_position, grouped heads, a gated MLP, keys and values handed out), so a mistake
in positions or caches changes what it writes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.onnx_writer import Graph

Array: TypeAlias = NDArray[Any]
FEATURES = 560
_MASKED = -1e4
_LAST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a language model is."""

    width: int = 32
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 8
    inner: int = 48
    vocabulary: int = 300
    most_rows: int = 512
    quantised: bool = False
    """Weights as signed bytes with a scale per column, as onnxruntime's quantize_dynamic writes them."""
    half_caches: bool = False
    all_logits: bool = False
    """Logits for all rows, not for the last one only."""
    own_names: bool = True
    """False: inputs and outputs have other names than the exporter's."""


FULL = Size(
    width=1024,
    layers=28,
    heads=16,
    kv_heads=8,
    head_dim=128,
    inner=3072,
    vocabulary=151936,
    quantised=True,
)
"""Qwen3-0.6B's config.json."""


class Writer:
    """Layers of random weights."""

    def __init__(self, seed: int, quantised: bool = False) -> None:
        self.graph = Graph()
        self.random = np.random.default_rng(seed)
        self._quantised = quantised
        self._count = 0

    def const(self, values: Array) -> str:
        self._count += 1
        return self.graph.constant(f"const_{self._count}", values)

    def ints(self, *values: int) -> str:
        return self.const(np.array(values, dtype=np.int64))

    def one(self, kind: str, *inputs: str, name: str | None = None, domain: str = "", **attributes: Any) -> str:
        """A node with one output."""
        outputs = 1 if name is None else [name]
        return self.graph.node(kind, list(inputs), outputs, domain=domain, **attributes)[0]

    def floats(self, *shape: int, scale: float) -> NDArray[np.float32]:
        return (self.random.standard_normal(shape, dtype=np.float32) * np.float32(scale)).astype(np.float32)

    def linear(self, x: str, rows: int, columns: int, gain: float = 1.0) -> str:
        """`x` [..., rows] by a random matrix."""
        if not self._quantised:
            return self.one("MatMul", x, self.const(self.floats(rows, columns, scale=gain / rows**0.5)))
        values = self.random.integers(-127, 128, (rows, columns), dtype=np.int8)
        scales = np.full(columns, gain / (73.3 * rows**0.5), dtype=np.float32)  # 73.3: what such integers deviate by
        low, scale, zero = self.graph.node("DynamicQuantizeLinear", [x], 3)
        zeros = self.const(np.zeros(columns, dtype=np.int8))
        product = self.one("Cast", self.one("MatMulInteger", low, self.const(values), zero, zeros), to=1)
        return self.one("Mul", product, self.one("Mul", scale, self.const(scales)))

    def rms_norm(self, x: str, size: int) -> str:
        mean = self.one("ReduceMean", self.one("Mul", x, x), self.ints(-1), keepdims=1)
        root = self.one("Sqrt", self.one("Add", mean, self.const(np.array(1e-6, dtype=np.float32))))
        factors = self.const(1 + self.floats(size, scale=0.1))
        return self.one("Mul", self.one("Div", x, root), factors)

    def slice(self, x: str, begin: str, end: str, axis: int) -> str:
        return self.one("Slice", x, begin, end, self.ints(axis))


def write_llm(size: Size, seed: int, bias: Array | None = None) -> bytes:
    """The language model; `bias` [vocabulary] is added to its logits."""
    writer = Writer(seed, size.quantised)
    graph = writer.graph
    names = ("inputs_embeds", "attention_mask", "cache_position") if size.own_names else ("a", "b", "c")
    x = graph.input(names[0], "float32", ("batch", "seq", size.width))
    mask = graph.input(names[1], "int64", ("batch", "total"))
    positions = graph.input(names[2], "int64", ("seq",))
    past = writer.one("Gather", positions, writer.ints(0), axis=0)
    # The mask is an input that must be given, and nobody looks at it: so it is in the published graphs.
    seen = writer.one("Cast", writer.slice(mask, writer.ints(0), writer.ints(1), 1), to=1)
    nothing = writer.one("Mul", seen, writer.const(np.zeros(1, dtype=np.float32)))
    x = writer.one("Add", x, writer.one("Unsqueeze", nothing, writer.ints(2)))
    cos, sin = _angles(writer, size, positions)
    masks = _masks(writer, positions, past)
    for layer in range(size.layers):
        x = _add_attention(writer, size, layer, x, (cos, sin), past, masks)
        normal = writer.rms_norm(x, size.width)
        gate, up = (writer.linear(normal, size.width, size.inner) for _ in range(2))
        gated = writer.one("Mul", writer.one("Mul", gate, writer.one("Sigmoid", gate)), up)
        x = writer.one("Add", x, writer.linear(gated, size.inner, size.width))
    if not size.all_logits:
        x = writer.slice(x, writer.ints(-1), writer.ints(_LAST), 1)
    logits = writer.linear(writer.rms_norm(x, size.width), size.width, size.vocabulary, gain=2.0)
    bias = np.zeros(size.vocabulary, dtype=np.float32) if bias is None else bias
    out = "logits" if size.own_names else "o"
    writer.one("Add", logits, writer.const(bias.astype(np.float32)), name=out)
    # The outputs stand in the order of the inputs.
    shape = ("batch", "seq", size.kv_heads, size.head_dim)
    graph.output(out, "float32", ("batch", "seq" if size.all_logits else 1, size.vocabulary))
    for layer in range(size.layers):
        for part in ("key", "value"):
            graph.output(_named(size, f"{part}_delta_{layer}"), "float16" if size.half_caches else "float32", shape)
    return graph.model(
        {
            "model_type": "qwen3_causallm_unified_prefill_decode_kv_delta",
            "vocab_size": str(size.vocabulary),
            "max_total_len": str(size.most_rows),
            "num_layers": str(size.layers),
            "hidden_size": str(size.width),
            "num_kv_heads": str(size.kv_heads),
            "head_dim": str(size.head_dim),
        }
    )


def _named(size: Size, name: str) -> str:
    return name if size.own_names else f"other_{name}"


def _angles(writer: Writer, size: Size, positions: str) -> tuple[str, str]:
    """Cosines and sines, [seq, head_dim]."""
    inverse = 1e6 ** (-np.arange(size.head_dim // 2, dtype=np.float32) / (size.head_dim // 2))
    at = writer.one("Unsqueeze", writer.one("Cast", positions, to=1), writer.ints(1))
    angles = writer.one("Mul", at, writer.const(np.concatenate([inverse, inverse])[None].astype(np.float32)))
    return writer.one("Cos", angles), writer.one("Sin", angles)


def _masks(writer: Writer, positions: str, past: str) -> tuple[str, str]:
    """What is added to the scores of the cache's rows (there are none where nothing is past), and of the new ones."""
    zero, masked = (writer.const(np.array(value, dtype=np.float32)) for value in (0.0, _MASKED))
    is_past = writer.one("Greater", past, writer.ints(0))
    later = writer.one(
        "Greater",
        writer.one("Unsqueeze", positions, writer.ints(0)),
        writer.one("Unsqueeze", positions, writer.ints(1)),
    )
    return writer.one("Where", is_past, zero, masked), writer.one("Where", later, masked, zero)


def _add_attention(
    writer: Writer, size: Size, layer: int, x: str, angles: tuple[str, str], past: str, masks: tuple[str, str]
) -> str:
    graph = writer.graph
    kind = "float16" if size.half_caches else "float32"
    shape = ("batch", size.most_rows, size.kv_heads, size.head_dim)
    normal = writer.rms_norm(x, size.width)
    query = _heads(writer, normal, size, size.heads, angles)
    key = _heads(writer, normal, size, size.kv_heads, angles)
    value = _heads(writer, normal, size, size.kv_heads, None)
    rows = writer.one("Max", past, writer.ints(1))
    wide = []
    for part, new in (("key", key), ("value", value)):
        cache = graph.input(_named(size, f"cache_{part}_{layer}"), kind, shape)
        old = writer.slice(cache, writer.ints(0), rows, 1)
        if size.half_caches:
            old = writer.one("Cast", old, to=1)
        old = writer.one("Transpose", old, perm=(0, 2, 1, 3))
        wide.append([_repeated(writer, size, one) for one in (old, new)])
        delta = _named(size, f"{part}_delta_{layer}")
        if size.half_caches:
            writer.one("Cast", writer.one("Transpose", new, perm=(0, 2, 1, 3)), name=delta, to=10)
        else:
            writer.one("Transpose", new, name=delta, perm=(0, 2, 1, 3))
    scale = writer.const(np.array(size.head_dim**-0.5, dtype=np.float32))
    scores = []
    for keys, masked in zip(wide[0], masks, strict=True):
        product = writer.one("MatMul", query, writer.one("Transpose", keys, perm=(0, 1, 3, 2)))
        scores.append(writer.one("Add", writer.one("Mul", product, scale), masked))
    shares = writer.one("Softmax", writer.one("Concat", *scores, axis=-1), axis=-1)
    found = writer.one("MatMul", shares, writer.one("Concat", *wide[1], axis=2))
    found = writer.one("Transpose", found, perm=(0, 2, 1, 3))
    found = writer.one("Reshape", found, writer.ints(0, 0, size.heads * size.head_dim))
    return writer.one("Add", x, writer.linear(found, size.heads * size.head_dim, size.width))


def _heads(writer: Writer, x: str, size: Size, heads: int, angles: tuple[str, str] | None) -> str:
    """[batch, heads, seq, head_dim]; with `angles` normalised and turned by them."""
    product = writer.linear(x, size.width, heads * size.head_dim)
    product = writer.one("Reshape", product, writer.ints(0, 0, heads, size.head_dim))
    product = writer.one("Transpose", product, perm=(0, 2, 1, 3))
    if angles is None:
        return product
    product = writer.rms_norm(product, size.head_dim)
    half = writer.ints(size.head_dim // 2)
    first = writer.slice(product, writer.ints(0), half, 3)
    second = writer.slice(product, half, writer.ints(_LAST), 3)
    turned = writer.one("Concat", writer.one("Neg", second), first, axis=3)
    return writer.one("Add", writer.one("Mul", product, angles[0]), writer.one("Mul", turned, angles[1]))


def _repeated(writer: Writer, size: Size, x: str) -> str:
    """[batch, kv_heads, n, head_dim] to [batch, heads, n, head_dim]: each for the heads of its group."""
    group = size.heads // size.kv_heads
    apart = writer.one("Unsqueeze", x, writer.ints(2))
    more = writer.one("Expand", apart, writer.ints(1, 1, group, 1, 1))
    return writer.one("Reshape", more, writer.ints(0, size.heads, -1, size.head_dim))


def write_embedding(width: int, vocabulary: int, seed: int, *, quantised: bool = False) -> bytes:
    """The token table; `quantised`: as unsigned bytes, turned into numbers after the look-up."""
    writer = Writer(seed)
    ids = writer.graph.input("input_ids", "int64", ("batch", "seq"))
    if quantised:
        table = writer.random.integers(0, 256, (vocabulary, width), dtype=np.uint8)
        rows = writer.one("Gather", writer.const(table), ids)
        scale = writer.const(np.array(1 / 74, dtype=np.float32))
        zero = writer.const(np.array(128, dtype=np.uint8))
        writer.one("DequantizeLinear", rows, scale, zero, name="embeddings")
    else:
        writer.one("Gather", writer.const(writer.floats(vocabulary, width, scale=1.0)), ids, name="embeddings")
    writer.graph.output("embeddings", "float32", ("batch", "seq", width))
    return writer.graph.model({"hidden_size": str(width)})


def encoder_metadata(width: int) -> dict[str, str]:
    """What the exporter writes into the encoder."""
    return {
        "lfr_window_size": "7",
        "lfr_window_shift": "6",
        "llm_dim": str(width),
        "normalize_samples": "0",
        "model_type": "sense_voice_encoder_adaptor",
        "version": "1",
    }


def write_small_encoder(width: int, seed: int) -> bytes:
    """A stand-in: to unit range, a matrix, and a convolution over time, so that order and number of rows matter."""
    writer = Writer(seed)
    x = writer.graph.input("x", "float32", ("batch", "rows", FEATURES))
    x = writer.one("Sub", x, writer.const(np.array(12.0, dtype=np.float32)))
    x = writer.one("Mul", x, writer.const(np.array(0.25, dtype=np.float32)))
    x = writer.one("Tanh", writer.linear(x, FEATURES, width, gain=1.5))
    x = writer.one("Transpose", x, perm=(0, 2, 1))
    kernel = writer.const(writer.floats(width, width, 3, scale=(3 * width) ** -0.5 * 1.5))
    x = writer.one("Conv", x, kernel, pads=(1, 1))
    writer.one("Transpose", x, name="encoder_out", perm=(0, 2, 1))
    writer.graph.output("encoder_out", "float32", ("batch", "rows", width))
    return writer.graph.model(encoder_metadata(width))


def write_full_encoder(seed: int, width: int = 512, inner: int = 2048, layers: int = 70, out: int = 1024) -> bytes:
    """The published encoder's matrices, as bytes: 70 blocks of 4 heads with a filter over 11 rows, and the adaptor."""
    writer = Writer(seed, quantised=True)
    x = writer.graph.input("x", "float32", ("batch", "rows", FEATURES))
    x = writer.linear(x, FEATURES, width)
    for _ in range(layers):
        x = _block(writer, x, width, 4, inner, filtered=True)
    x = writer.linear(writer.one("Relu", writer.linear(x, width, inner)), inner, out)
    for _ in range(2):
        x = _block(writer, x, out, 8, 256, filtered=False)
    writer.one("Identity", x, name="encoder_out")
    writer.graph.output("encoder_out", "float32", ("batch", "rows", out))
    return writer.graph.model(encoder_metadata(out))


def _block(writer: Writer, x: str, width: int, heads: int, inner: int, *, filtered: bool) -> str:
    ones, zeros = (writer.const(np.full(width, value, dtype=np.float32)) for value in (1.0, 0.0))
    normal = writer.one("LayerNormalization", x, ones, zeros, axis=-1, epsilon=1e-5)
    product = writer.linear(normal, width, 3 * width)
    parts = writer.graph.node("Split", [product], 3, axis=-1, num_outputs=3)
    shape = writer.ints(0, 0, heads, width // heads)
    query, key, value = (
        writer.one("Transpose", writer.one("Reshape", part, shape), perm=perm)
        for part, perm in zip(parts, ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)), strict=True)
    )
    scale = writer.const(np.array((width // heads) ** -0.5, dtype=np.float32))
    shares = writer.one("Softmax", writer.one("Mul", writer.one("MatMul", query, key), scale), axis=-1)
    found = writer.one("Transpose", writer.one("MatMul", shares, value), perm=(0, 2, 1, 3))
    found = writer.linear(writer.one("Reshape", found, writer.ints(0, 0, width)), width, width, gain=0.5)
    if filtered:
        kernel = writer.const(writer.floats(width, 1, 11, scale=0.1))
        along = writer.one("Transpose", parts[2], perm=(0, 2, 1))
        memory = writer.one("Conv", along, kernel, pads=(5, 5), group=width)
        found = writer.one("Add", found, writer.one("Transpose", memory, perm=(0, 2, 1)))
    x = writer.one("Add", x, found)
    normal = writer.one("LayerNormalization", x, ones, zeros, axis=-1, epsilon=1e-5)
    wide = writer.one("Relu", writer.linear(normal, width, inner))
    return writer.one("Add", x, writer.linear(wide, inner, width, gain=0.5))


def write_tokenizer(folder: Path, pieces: list[str], merges: list[str], special: dict[str, int]) -> None:
    """vocab.json, merges.txt and tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({piece: at for at, piece in enumerate(pieces)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{merge}\n" for merge in merges))
    added = [
        {
            "id": number,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for content, number in special.items()
    ]
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": added}))
