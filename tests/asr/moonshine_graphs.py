"""Small streaming Moonshine models with random weights, and the same models as plain numpy over a whole sound."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.onnx_writer import Graph

Floats = NDArray[np.float32]

D, C1, WIDTH, OUT = 6, 8, 10, 8
DEPTH, HEADS, HEAD = 2, 2, 4
VOCABULARY = 280
CONFIG = {
    "encoder_dim": WIDTH,
    "decoder_dim": OUT,
    "depth": DEPTH,
    "nheads": HEADS,
    "head_dim": HEAD,
    "vocab_size": VOCABULARY,
    "bos_id": 1,
    "eos_id": 2,
    "frame_len": 80,
    "total_lookahead": 16,
    "d_model_frontend": D,
    "c1": C1,
    "c2": WIDTH,
    "max_seq_len": 40,
}
BACK, AHEAD = 20, 16
"""How far a row of the encoder looks."""


class Weights:
    """Random numbers by name, the same for the graphs and for numpy."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)

        def normal(*shape: int, scale: float = 1.0) -> Floats:
            return (draw.standard_normal(shape) * scale).astype(np.float32)

        self.frame = normal(80, D, scale=1.0)
        self.conv1, self.conv2 = normal(C1, D, 5, scale=0.5), normal(WIDTH, C1, 5, scale=0.5)
        self.encoder = normal(WIDTH, WIDTH, BACK + 1 + AHEAD, scale=0.15)
        self.adapter, self.places = normal(WIDTH, OUT), normal(4000, OUT, scale=0.3)
        self.cross = normal(2 * DEPTH, OUT, HEADS * HEAD)
        self.embedding, self.positions = normal(VOCABULARY, OUT), normal(200, OUT)
        self.own = normal(DEPTH, 3, OUT, HEADS * HEAD, scale=0.7)
        self.ask, self.told = normal(DEPTH, OUT, HEADS * HEAD), normal(DEPTH, 2, HEADS * HEAD, OUT)
        self.head, self.likes = normal(OUT, VOCABULARY), normal(VOCABULARY)
        self.likes[:3] = -9.0
        self.likes[2] = 2.5  # the end
        self.likes[3:259] -= 3.0  # single bytes


def write(folder: Path, weights: Weights) -> Path:
    """A whole model in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for build in (frontend, encoder, adapter, cross_kv, decoder_kv):
        (folder / f"{build.__name__}.onnx").write_bytes(build(weights).model())
    (folder / "streaming_config.json").write_text(json.dumps(CONFIG))
    pieces = [b"<unk>", b"<s>", b"</s>", *(bytes([at]) for at in range(256))]
    pieces += [b"\xe2\x96\x81" + bytes([97 + at]) for at in range(VOCABULARY - len(pieces))]
    (folder / "tokenizer.bin").write_bytes(b"".join(bytes([len(piece)]) + piece for piece in pieces))
    return folder


def ints(graph: Graph, name: str, *values: int) -> str:
    return graph.constant(name, np.array(values, dtype=np.int64))


def frontend(weights: Weights) -> Graph:
    """Frames of 80 samples, and two convolutions that look back and leave out every second row."""
    graph = Graph()
    graph.input("audio_chunk", "float32", (1, "n"))
    graph.input("sample_buffer", "float32", (1, 79))
    for name in ("sample_len", "frame_count"):
        graph.input(name, "int64", (1,))
    graph.input("conv1_buffer", "float32", (1, D, 4))
    graph.input("conv2_buffer", "float32", (1, C1, 4))
    zero, one, size = ints(graph, "zero", 0), ints(graph, "one", 1), ints(graph, "size", 80)
    (kept,) = graph.node("Slice", ["sample_buffer", zero, "sample_len", one])
    (sound,) = graph.node("Concat", [kept, "audio_chunk"], axis=1)
    (shape,) = graph.node("Shape", [sound])
    (length,) = graph.node("Gather", [shape, one])
    (count,) = graph.node("Div", [length, size])
    (used,) = graph.node("Mul", [count, size])
    (left,) = graph.node("Slice", [sound, used, length, one])
    graph.node("Sub", [length, used], ["sample_len_out"])
    (padded,) = graph.node("Concat", [left, graph.constant("none", np.zeros((1, 79), np.float32))], axis=1)
    graph.node("Slice", [padded, zero, ints(graph, "buffer", 79), one], ["sample_buffer_out"])
    graph.node("Add", ["frame_count", count], ["frame_count_out"])
    (whole,) = graph.node("Slice", [sound, zero, used, one])
    (frames_shape,) = graph.node("Concat", [one, count, size], axis=0)
    (frames,) = graph.node("Reshape", [whole, frames_shape])
    (rows,) = graph.node("MatMul", [frames, graph.constant("frame", weights.frame)])
    (rows,) = graph.node("Tanh", [rows])
    (rows,) = graph.node("Transpose", [rows], perm=(0, 2, 1))
    for number, kernel in ((1, weights.conv1), (2, weights.conv2)):
        (seen,) = graph.node("Concat", [f"conv{number}_buffer", rows], axis=2)
        last, end = ints(graph, f"last.{number}", -4), ints(graph, f"end.{number}", 1 << 40)
        graph.node("Slice", [seen, last, end, ints(graph, f"time.{number}", 2)], [f"conv{number}_buffer_out"])
        (rows,) = graph.node("Conv", [seen, graph.constant(f"conv{number}", kernel)], strides=(2,))
        (rows,) = graph.node("Tanh", [rows])
    graph.node("Transpose", [rows], ["features"], perm=(0, 2, 1))
    graph.output("features", "float32", (1, "f", WIDTH))
    graph.output("sample_buffer_out", "float32", (1, 79))
    graph.output("sample_len_out", "int64", (1,))
    graph.output("conv1_buffer_out", "float32", (1, D, 4))
    graph.output("conv2_buffer_out", "float32", (1, C1, 4))
    graph.output("frame_count_out", "int64", (1,))
    return graph


def encoder(weights: Weights) -> Graph:
    graph = Graph()
    x = graph.input("features", "float32", (1, "w", WIDTH))
    (rows,) = graph.node("Transpose", [x], perm=(0, 2, 1))
    (rows,) = graph.node("Conv", [rows, graph.constant("kernel", weights.encoder)], pads=(BACK, AHEAD))
    (rows,) = graph.node("Transpose", [rows], perm=(0, 2, 1))
    (rows,) = graph.node("Tanh", [rows])
    graph.node("Add", [x, rows], ["encoded"])
    graph.output("encoded", "float32", (1, "w", WIDTH))
    return graph


def adapter(weights: Weights) -> Graph:
    """Each row knows its place in the sound."""
    graph = Graph()
    x = graph.input("encoded", "float32", (1, "w", WIDTH))
    graph.input("pos_offset", "int64", (1,))
    (rows,) = graph.node("MatMul", [x, graph.constant("weights", weights.adapter)])
    (shape,) = graph.node("Shape", [x])
    (count,) = graph.node("Gather", [shape, ints(graph, "one", 1)])
    (end,) = graph.node("Add", ["pos_offset", count])
    places = graph.constant("places", weights.places)
    (here,) = graph.node("Slice", [places, "pos_offset", end, ints(graph, "zero", 0)])
    graph.node("Add", [rows, here], ["memory"])
    graph.output("memory", "float32", (1, "w", OUT))
    return graph


def cross_kv(weights: Weights) -> Graph:
    graph = Graph()
    x = graph.input("memory", "float32", (1, "t", OUT))
    shape = ints(graph, "shape", 1, 1, -1, HEADS, HEAD)
    for half, name in enumerate(("k_cross", "v_cross")):
        layers = []
        for layer in range(DEPTH):
            (rows,) = graph.node("MatMul", [x, graph.constant(f"{name}.{layer}", weights.cross[DEPTH * half + layer])])
            (rows,) = graph.node("Reshape", [rows, shape])
            layers += graph.node("Transpose", [rows], perm=(0, 1, 3, 2, 4))
        graph.node("Concat", layers, [name], axis=0)
        graph.output(name, "float32", (DEPTH, 1, HEADS, "t", HEAD))
    return graph


def decoder_kv(weights: Weights) -> Graph:
    """Two layers of attention to the tokens and to the sound."""
    graph = Graph()
    graph.input("token", "int64", (1, "s"))
    for name in ("k_self", "v_self"):
        graph.input(name, "float32", (DEPTH, 1, HEADS, "p", HEAD))
    for name in ("out_k_cross", "out_v_cross"):
        graph.input(name, "float32", (DEPTH, 1, HEADS, "t", HEAD))
    (past,) = graph.node("Shape", ["k_self"], start=3, end=4)
    (count,) = graph.node("Shape", ["token"], start=1, end=2)
    (total,) = graph.node("Add", [past, count])
    (x,) = graph.node("Gather", [graph.constant("embedding", weights.embedding), "token"], axis=0)
    positions = graph.constant("positions", weights.positions)
    (here,) = graph.node("Slice", [positions, past, total, ints(graph, "zero", 0)])
    (x,) = graph.node("Add", [x, here])
    (square,) = graph.node("Concat", [count, total], axis=0)
    (ones,) = graph.node("Expand", [graph.constant("hidden", np.array(-1e9, np.float32)), square])
    (diagonal,) = graph.node("Add", [past, ints(graph, "one", 1)])
    (diagonal,) = graph.node("Squeeze", [diagonal])
    (mask,) = graph.node("Trilu", [ones, diagonal], upper=1)
    shape, flat = ints(graph, "shape", 1, -1, HEADS, HEAD), ints(graph, "flat", 1, -1, HEADS * HEAD)
    scale = graph.constant("scale", np.array(HEAD**-0.5, np.float32))
    grown: dict[str, list[str]] = {"out_k_self": [], "out_v_self": []}

    def heads(rows: str, matrix: str) -> str:
        (rows,) = graph.node("MatMul", [rows, matrix])
        (rows,) = graph.node("Reshape", [rows, shape])
        return graph.node("Transpose", [rows], perm=(0, 2, 1, 3))[0]

    def attend(query: str, keys: str, values: str, hidden: str | None) -> str:
        (keys,) = graph.node("Transpose", [keys], perm=(0, 1, 3, 2))
        (scores,) = graph.node("MatMul", [query, keys])
        (scores,) = graph.node("Mul", [scores, scale])
        if hidden is not None:
            (scores,) = graph.node("Add", [scores, hidden])
        (shares,) = graph.node("Softmax", [scores], axis=-1)
        (seen,) = graph.node("MatMul", [shares, values])
        (seen,) = graph.node("Transpose", [seen], perm=(0, 2, 1, 3))
        return graph.node("Reshape", [seen, flat])[0]

    for layer in range(DEPTH):
        at = graph.constant(f"at.{layer}", np.array(layer))
        query, key, value = (
            heads(x, graph.constant(f"own.{layer}.{part}", weights.own[layer, part])) for part in range(3)
        )
        own = []
        for name, new in (("k_self", key), ("v_self", value)):
            (old,) = graph.node("Gather", [name, at], axis=0)
            (all_,) = graph.node("Concat", [old, new], axis=2)
            grown[f"out_{name}"] += graph.node("Unsqueeze", [all_, "zero"])
            own.append(all_)
        for number in range(2):
            if number:
                query = heads(x, graph.constant(f"ask.{layer}", weights.ask[layer]))
                own = [graph.node("Gather", [name, at], axis=0)[0] for name in ("out_k_cross", "out_v_cross")]
            seen = attend(query, own[0], own[1], None if number else mask)
            told = graph.constant(f"told.{layer}.{number}", weights.told[layer, number])
            (seen,) = graph.node("MatMul", [seen, told])
            (x,) = graph.node("Add", [x, seen])
    (x,) = graph.node("Tanh", [x])
    (scores,) = graph.node("MatMul", [x, graph.constant("head", weights.head)])
    graph.node("Add", [scores, graph.constant("likes", weights.likes)], ["logits"])
    graph.output("logits", "float32", (1, "s", VOCABULARY))
    for name, layers in grown.items():
        graph.node("Concat", layers, [name], axis=0)
        graph.output(name, "float32", (DEPTH, 1, HEADS, "p + s", HEAD))
    return graph


def plain(weights: Weights, samples: Floats, chunk: int) -> list[int]:
    """The tokens for a whole sound, filled up to whole chunks: no pieces, no windows, nothing kept between tokens."""
    memory = memory_of(weights, samples, chunk)
    cap = min(int(np.ceil(len(memory) * 0.02 * 6.5)), CONFIG["max_seq_len"])
    tokens: list[int] = []
    while len(tokens) < cap:
        token = int(scores_after(weights, [1, *tokens], memory).argmax())
        if token == 2:
            break
        tokens.append(token)
    return tokens


def memory_of(weights: Weights, samples: Floats, chunk: int) -> NDArray[np.float64]:
    """What the decoder listens to, [frames, OUT]."""
    sound = np.pad(samples, (0, -samples.size % chunk)).astype(np.float64)
    rows = np.tanh(sound.reshape(-1, 80) @ weights.frame)
    for kernel in (weights.conv1, weights.conv2):
        padded = np.pad(rows, ((4, 0), (0, 0)))
        rows = np.stack([np.einsum("td,odt->o", padded[at : at + 5], kernel) for at in range(0, len(rows), 2)])
        rows = np.tanh(rows)
    padded = np.pad(rows, ((BACK, AHEAD), (0, 0)))
    width = BACK + 1 + AHEAD
    looked = [np.einsum("td,odt->o", padded[at : at + width], weights.encoder) for at in range(len(rows))]
    memory: NDArray[np.float64] = (rows + np.tanh(np.stack(looked))) @ weights.adapter + weights.places[: len(rows)]
    return memory


def scores_after(weights: Weights, tokens: list[int], memory: NDArray[np.float64]) -> NDArray[np.float64]:
    """For the token that follows `tokens`, [VOCABULARY]."""
    x = weights.embedding[tokens].astype(np.float64) + weights.positions[: len(tokens)]
    for layer in range(DEPTH):
        query, keys, values = (x @ weights.own[layer, part] for part in range(3))
        x = x + _attend(query, keys, values, causal=True) @ weights.told[layer, 0]
        keys, values = memory @ weights.cross[layer], memory @ weights.cross[DEPTH + layer]
        x = x + _attend(x @ weights.ask[layer], keys, values, causal=False) @ weights.told[layer, 1]
    scores: NDArray[np.float64] = np.tanh(x[-1]) @ weights.head + weights.likes
    return scores


def _attend(
    query: NDArray[np.float64], keys: NDArray[np.float64], values: NDArray[np.float64], *, causal: bool
) -> NDArray[np.float64]:
    out = []
    for head in range(HEADS):
        part = slice(head * HEAD, (head + 1) * HEAD)
        scores = query[:, part] @ keys[:, part].T / np.sqrt(HEAD)
        if causal:
            scores = np.where(np.tri(*scores.shape) > 0, scores, -np.inf)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        out.append(shares / shares.sum(axis=1, keepdims=True) @ values[:, part])
    return np.concatenate(out, axis=1)
