"""Small streaming transducers with random weights, as icefall would export them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.onnx_writer import Graph

CHUNK, T, ROWS, WIDTH = 16, 29, 8, 12
"""Frames that a chunk advances, frames that it takes, rows that it makes, and how wide they are."""

VOCABULARY = 24
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

SIZES = {
    "num_encoder_layers": [1, 2],
    "encoder_dims": [8, 12],
    "query_head_dims": [4, 3],
    "value_head_dims": [3, 2],
    "num_heads": [2, 4],
    "cnn_module_kernels": [5, 3],
    "left_context_len": [6, 3],
}


def state_shapes() -> list[tuple[int, ...]]:
    """Of one sound, in the order that online-zipformer2-transducer-model.cc gives them."""
    shapes: list[tuple[int, ...]] = []
    for at, layers in enumerate(SIZES["num_encoder_layers"]):
        one = {key: sizes[at] for key, sizes in SIZES.items()}
        left, heads, dim = one["left_context_len"], one["num_heads"], one["encoder_dims"]
        for _ in range(layers):
            shapes.append((left, 1, one["query_head_dims"] * heads))
            shapes.append((1, 1, left, 3 * dim // 4))
            shapes += [(left, 1, one["value_head_dims"] * heads)] * 2
            shapes += [(1, dim, one["cnn_module_kernels"] // 2)] * 2
    return [*shapes, (1, 128, 3, 19)]


def write(folder: Path, seed: int, **metadata: str) -> Path:
    """A whole model in `folder`. `metadata`: of the encoder, instead of the usual."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    told = {key: ",".join(map(str, sizes)) for key, sizes in SIZES.items()}
    told |= {"model_type": "zipformer2", "version": "1", "T": str(T), "decode_chunk_len": str(CHUNK)} | metadata
    (folder / "encoder-epoch-9-avg-1.onnx").write_bytes(encoder(draw).model(told))
    told = {"context_size": "2", "vocab_size": str(VOCABULARY)}
    (folder / "decoder-epoch-9-avg-1.onnx").write_bytes(decoder(draw).model(told))
    (folder / "joiner-epoch-9-avg-1.onnx").write_bytes(joiner(draw).model({"joiner_dim": str(WIDTH)}))
    pieces = ["<blk>", "<sos/eos>", "<unk>"]
    pieces += [("\u2581" if at % 3 == 0 else "") + LETTERS[at] for at in range(VOCABULARY - len(pieces))]
    (folder / "tokens.txt").write_text("".join(f"{piece} {at}\n" for at, piece in enumerate(pieces)))
    return folder


def normal(draw: np.random.Generator, *shape: int, scale: float = 1.0) -> NDArray[np.float32]:
    return (draw.standard_normal(shape) * scale).astype(np.float32)


def encoder(draw: np.random.Generator) -> Graph:
    """Rows of three neighbouring frames, to which every state adds something; every state takes something from them."""
    graph = Graph()
    x = graph.input("x", "float32", ("N", T, 80))
    (x,) = graph.node("Add", [x, graph.constant("mean", np.array(8.0, np.float32))])
    (x,) = graph.node("Mul", [x, graph.constant("scale", np.array(0.2, np.float32))])
    (x,) = graph.node("Tanh", [x])
    parts = []
    for shift in range(3):
        at = graph.constant(f"at.{shift}", 5 + shift + 2 * np.arange(ROWS))
        (rows,) = graph.node("Gather", [x, at], axis=1)
        weights = graph.constant(f"weights.{shift}", normal(draw, 80, WIDTH, scale=0.3))
        parts += graph.node("MatMul", [rows, weights])
    (out,) = graph.node("Sum", parts)
    # What a sound's rows have in common would drown what tells them apart.
    (common,) = graph.node("ReduceMean", [out, graph.constant("time", np.array([1]))])
    (common,) = graph.node("Mul", [common, graph.constant("much", np.array(0.9, np.float32))])
    (out,) = graph.node("Sub", [out, common])
    (drive,) = graph.node("MatMul", [out, graph.constant("drive", normal(draw, WIDTH, 1, scale=0.5))])
    (drive,) = graph.node("ReduceMean", [drive], keepdims=0)
    for number, shape in enumerate(state_shapes()):
        name = f"cached.{number}"
        graph.input(name, "float32", tuple("N" if at == _batch(shape) else size for at, size in enumerate(shape)))
        (seen,) = graph.node("Mul", [name, graph.constant(f"look.{number}", normal(draw, *shape))])
        (seen,) = graph.node("ReduceMean", [seen], keepdims=0)
        (seen,) = graph.node("Mul", [seen, graph.constant(f"show.{number}", normal(draw, WIDTH, scale=6.0))])
        (out,) = graph.node("Add", [out, seen])
        (kept,) = graph.node("Mul", [name, graph.constant(f"keep.{number}", normal(draw, *shape, scale=0.5))])
        (new,) = graph.node("Mul", [drive, graph.constant(f"take.{number}", normal(draw, *shape, scale=2.0))])
        (new,) = graph.node("Add", [kept, new])
        graph.node("Tanh", [new], [f"new_cached.{number}"])
    graph.input("processed_lens", "int64", ("N",))
    (told,) = graph.node("Cast", ["processed_lens"], to=1)
    (told,) = graph.node("Sin", [told])
    (told,) = graph.node("Mul", [told, graph.constant("told", normal(draw, WIDTH))])
    graph.node("Add", [out, told], ["encoder_out"])
    graph.output("encoder_out", "float32", ("N", ROWS, WIDTH))
    for number, shape in enumerate(state_shapes()):
        graph.output(f"new_cached.{number}", "float32", shape)
    graph.node("Add", ["processed_lens", graph.constant("chunk", np.array([CHUNK]))], ["new_processed_lens"])
    graph.output("new_processed_lens", "int64", ("N",))
    return graph


def _batch(shape: tuple[int, ...]) -> int:
    """Which of its axes is the batch's."""
    return 1 if len(shape) == 3 and shape[1] == 1 else 0


def decoder(draw: np.random.Generator) -> Graph:
    graph = Graph()
    graph.input("y", "int64", ("N", 2))
    (y,) = graph.node("Max", ["y", graph.constant("zero", np.array(0))])
    (rows,) = graph.node("Gather", [graph.constant("embedding", normal(draw, VOCABULARY, WIDTH)), y], axis=0)
    (flat,) = graph.node("Reshape", [rows, graph.constant("flat", np.array([-1, 2 * WIDTH]))])
    (out,) = graph.node("MatMul", [flat, graph.constant("weights", normal(draw, 2 * WIDTH, WIDTH, scale=0.5))])
    graph.node("Tanh", [out], ["decoder_out"])
    graph.output("decoder_out", "float32", ("N", WIDTH))
    return graph


def joiner(draw: np.random.Generator) -> Graph:
    graph = Graph()
    for name in ("encoder_out", "decoder_out"):
        graph.input(name, "float32", ("N", WIDTH))
    (both,) = graph.node("Add", ["encoder_out", "decoder_out"])
    (both,) = graph.node("Tanh", [both])
    (out,) = graph.node("MatMul", [both, graph.constant("weights", normal(draw, WIDTH, VOCABULARY))])
    likes = normal(draw, VOCABULARY, scale=0.3)
    likes[0] += 4.5  # most of the time nothing is said
    graph.node("Add", [out, graph.constant("likes", likes)], ["logit"])
    graph.output("logit", "float32", ("N", VOCABULARY))
    return graph


def sound(seed: int, seconds: float) -> NDArray[np.float32]:
    """A tone that wanders and swells, with a little noise."""
    draw = np.random.default_rng(seed)
    at = np.arange(int(seconds * 16_000)) / 16_000
    pitch = draw.uniform(150, 900) + draw.uniform(50, 400) * np.sin(2 * np.pi * draw.uniform(0.5, 3) * at)
    swell = 0.2 + 0.15 * np.sin(2 * np.pi * draw.uniform(0.5, 4) * at)
    tone = swell * np.sin(2 * np.pi * np.cumsum(pitch) / 16_000)
    heard: NDArray[np.float32] = (tone + 0.01 * draw.standard_normal(at.size)).astype(np.float32)
    return heard
