"""Small Whisper models with random weights, as files in the layout that is published, and the same in plain numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.onnx_writer import Graph

Floats: TypeAlias = NDArray[np.float32]

LAYERS, HEADS, HEAD_DIM, POSITIONS, BANDS = 2, 2, 8, 448, 80
WIDTH = HEADS * HEAD_DIM
FRAMES_TO_ONE = 60
"""The encoder makes 50 rows of half a minute."""

MERGES = ["h e", "l l", "he ll", "o w", "Ġ w", "i n", "Ġ t", "e r", "ä ½", "ä½ ł", "Ġ a", "a n"]
LANGUAGES = ("en", "zh", "de", "ja", "jw")
_AFTER = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")


def letters() -> list[str]:
    """The letters that GPT-2 writes the bytes with."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) if byte in plain else chr(256 + others.index(byte)) for byte in range(256)]


PIECES = [*letters(), *(pair.replace(" ", "") for pair in MERGES)]
END = len(PIECES)
START = END + 1
MARKS = {
    name: END + at
    for at, name in enumerate(
        ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{one}|>" for one in (*LANGUAGES, *_AFTER))]
    )
}
FIRST_TIME = MARKS["<|notimestamps|>"] + 1
SIZE = FIRST_TIME + 1501


@dataclass(frozen=True)
class Model:
    """The weights of a model by name."""

    weights: dict[str, Floats]

    def encode(self, features: Floats) -> Floats:
        """[rows, width] of [bands, frames]."""
        rows = features.T.reshape(-1, FRAMES_TO_ONE, BANDS).mean(axis=1)
        hidden: Floats = np.tanh(rows @ self.weights["sound"]) * 3
        return hidden

    def logits(self, tokens: list[int], hidden: Floats) -> Floats:
        """[n, vocabulary] after each of the tokens, worked out anew for all of them."""
        w = self.weights
        count = len(tokens)
        x = w["tokens"][tokens] + w["positions"][:count]
        masked = np.where(np.tri(count, dtype=bool), 0.0, -np.inf)
        for layer in range(LAYERS):
            x = x + self._attend(_normal(x), _normal(x), f"{layer}.self", masked)
            x = x + self._attend(_normal(x), hidden, f"{layer}.cross", 0.0)
            x = x + np.maximum(_normal(x) @ w[f"{layer}.up"], 0) @ w[f"{layer}.down"]
        lead = w["lead"][:count]
        return (_normal(x) @ w["head"] + lead @ w["led"] + w["bias"]).astype(np.float32)

    def _attend(self, x: Floats, to: Floats, name: str, masked: Any) -> Floats:
        q, k, v = (
            (of @ self.weights[f"{name}.{part}"]).reshape(-1, HEADS, HEAD_DIM).transpose(1, 0, 2)
            for part, of in (("q", x), ("k", to), ("v", to))
        )
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(HEAD_DIM) + masked
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        seen = shares / shares.sum(axis=-1, keepdims=True) @ v
        joined: Floats = seen.transpose(1, 0, 2).reshape(len(x), WIDTH) @ self.weights[f"{name}.o"]
        return joined


def random_model(seed: int, *, times: bool = False) -> Model:
    """A model that first names a language and then writes some text, which ends. `times`: it likes marks of time."""
    draw = np.random.default_rng(seed)
    shapes = {"sound": (BANDS, WIDTH), "tokens": (SIZE, WIDTH), "positions": (POSITIONS, WIDTH), "head": (WIDTH, SIZE)}
    for layer in range(LAYERS):
        shapes |= {f"{layer}.{of}.{part}": (WIDTH, WIDTH) for of in ("self", "cross") for part in "qkvo"}
        shapes |= {f"{layer}.up": (WIDTH, 2 * WIDTH), f"{layer}.down": (2 * WIDTH, WIDTH)}
    weights = {name: draw.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    weights["sound"] *= 2
    weights["positions"] *= 3  # or it says the same again and again
    # What leads the answer: whether it is the first position, and how far it has come.
    lead = np.zeros((POSITIONS, 2), dtype=np.float32)
    lead[0, 0] = 1
    lead[:, 1] = np.arange(POSITIONS) / 6
    lead[44:, 1] = 1_000  # before a loop is long enough to be stopped
    led = np.zeros((2, SIZE), dtype=np.float32)
    led[0, [MARKS[f"<|{name}|>"] for name in LANGUAGES]] = 200
    led[1, END] = 1.0
    bias = np.zeros(SIZE, dtype=np.float32)
    bias[END:] = -100
    bias[END] = float(draw.uniform(-2, 4))
    if times:
        bias[FIRST_TIME:] = -3.0
        bias[MARKS["<|nospeech|>"]] = 0
    return Model({**weights, "lead": lead, "led": led, "bias": bias})


def write_model(
    folder: Path,
    model: Model,
    *,
    suffix: str = "",
    marks: Mapping[str, int] = MARKS,
    rules: Mapping[str, object] | None = None,
) -> Path:
    """The model's files in `folder`; `rules` go into generation_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"encoder_model{suffix}.onnx").write_bytes(_encoder(model))
    (folder / f"decoder_model_merged{suffix}.onnx").write_bytes(_decoder(model))
    vocab = {piece: token for token, piece in enumerate(PIECES)}
    tokenizer = {
        "model": {"type": "BPE", "vocab": vocab, "merges": MERGES},
        "added_tokens": [{"id": token, "content": mark, "special": True} for mark, token in marks.items()],
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper", "num_mel_bins": BANDS}))
    (folder / "generation_config.json").write_text(
        json.dumps({"is_multilingual": True, "suppress_tokens": [], "begin_suppress_tokens": [], **(rules or {})})
    )
    # What onnx-asr reads.
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "added_tokens.json").write_text(json.dumps(MARKS))
    return folder


def _normal(x: Floats) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    normal: Floats = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + 1e-5)
    return normal


def _encoder(model: Model) -> bytes:
    graph = Graph()
    graph.input("input_features", "float32", ("b", BANDS, "frames"))
    (rows,) = graph.node("Transpose", ["input_features"], perm=(0, 2, 1))
    (rows,) = graph.node("Reshape", [rows, graph.constant("of", np.array([1, -1, FRAMES_TO_ONE, BANDS]))])
    (rows,) = graph.node("ReduceMean", [rows, graph.constant("axis", np.array([2]))], keepdims=0)
    (rows,) = graph.node("MatMul", [rows, graph.constant("sound", model.weights["sound"])])
    (rows,) = graph.node("Tanh", [rows])
    graph.node("Mul", [rows, graph.constant("three", np.array(3, dtype=np.float32))], ["last_hidden_state"])
    graph.output("last_hidden_state", "float32", ("b", "rows", WIDTH))
    graph.node("Softmax", [rows], ["encoder_attentions.0"], axis=-1)
    graph.output("encoder_attentions.0", "float32", ("b", "rows", WIDTH))
    return graph.model()


def _cache_names() -> list[str]:
    return [
        f"{layer}.{of}.{part}" for layer in range(LAYERS) for of in ("decoder", "encoder") for part in ("key", "value")
    ]


def _decoder(model: Model) -> bytes:
    """One `If`, as optimum merges its two exports."""
    graph = Graph()
    graph.input("input_ids", "int64", ("b", "n"))
    graph.input("encoder_hidden_states", "float32", ("b", "rows", WIDTH))
    for name in _cache_names():
        graph.input(f"past_key_values.{name}", "float32", ("b", HEADS, "p", HEAD_DIM))
    graph.input("use_cache_branch", "bool", (1,))
    outputs = ["logits", *(f"present.{name}" for name in _cache_names())]
    graph.node(
        "If",
        ["use_cache_branch"],
        outputs,
        then_branch=_branch(model, cached=True),
        else_branch=_branch(model, cached=False),
    )
    graph.output("logits", "float32", ("b", "n", SIZE))
    for name in outputs[1:]:
        graph.output(name, "float32", ("b", HEADS, "q", HEAD_DIM))
    return graph.model()


class _Branch:
    """A branch under construction."""

    def __init__(self, model: Model, *, cached: bool) -> None:
        self.model = model
        self.cached = cached
        self.own = "cached" if cached else "first"
        self.graph = Graph(_count=1000 if cached else 0)

    def constant(self, name: str, values: NDArray[Any] | None = None) -> str:
        return self.graph.constant(f"{self.own}.{name}", self.model.weights[name] if values is None else values)

    def times(self, x: str, name: str) -> str:
        return self.graph.node("MatMul", [x, self.constant(name)])[0]

    def add(self, x: str, y: str) -> str:
        return self.graph.node("Add", [x, y])[0]

    def normal(self, x: str, name: str) -> str:
        ones = self.constant(f"{name}.ones", np.ones(WIDTH, dtype=np.float32))
        return self.graph.node("LayerNormalization", [x, ones], axis=-1, epsilon=1e-5)[0]

    def heads(self, x: str, name: str) -> str:
        sizes = self.constant(f"{name}.sizes", np.array([0, -1, HEADS, HEAD_DIM]))
        (split,) = self.graph.node("Reshape", [x, sizes])
        return self.graph.node("Transpose", [split], perm=(0, 2, 1, 3))[0]

    def attend(self, x: str, name: str, key: str, value: str, *, masked: bool) -> str:
        query = self.heads(self.times(x, f"{name}.q"), f"{name}.q")
        (turned,) = self.graph.node("Transpose", [key], perm=(0, 1, 3, 2))
        (scores,) = self.graph.node("MatMul", [query, turned])
        scale = self.constant(f"{name}.scale", np.array(HEAD_DIM**-0.5, dtype=np.float32))
        (scores,) = self.graph.node("Mul", [scores, scale])
        if masked:
            never = np.where(np.tri(POSITIONS, dtype=bool), 0, -1e9).astype(np.float32)
            table = self.constant(f"{name}.mask", never)
            begin, end = (
                self.constant(f"{name}.begin", np.array([0, 0])),
                self.graph.node("Shape", [scores], start=2)[0],
            )
            (mask,) = self.graph.node("Slice", [table, begin, end])
            scores = self.add(scores, mask)
        (shares,) = self.graph.node("Softmax", [scores], axis=-1)
        (seen,) = self.graph.node("MatMul", [shares, value])
        (seen,) = self.graph.node("Transpose", [seen], perm=(0, 2, 1, 3))
        (seen,) = self.graph.node("Reshape", [seen, self.constant(f"{name}.joined", np.array([0, 0, WIDTH]))])
        return self.times(seen, f"{name}.o")

    def kept(self, name: str, value: str) -> str:
        """A key or value as it is given back."""
        self.graph.node("Identity", [value], [f"{self.own}.present.{name}"])
        return f"{self.own}.present.{name}"

    def pair(self, layer: int, of: str, x: str) -> list[str]:
        """Keys and values of a layer for its own tokens or for the sound."""
        found = []
        for part in ("key", "value"):
            name = f"{layer}.{of}.{part}"
            past = f"past_key_values.{name}"
            if of == "encoder" and self.cached:
                found.append(self.kept(name, past))
                continue
            weights = f"{layer}.{'cross' if of == 'encoder' else 'self'}.{part[0]}"
            new = self.heads(self.times(x, weights), weights)
            if self.cached:
                (new,) = self.graph.node("Concat", [past, new], axis=2)
            found.append(self.kept(name, new))
        return found


def _branch(model: Model, *, cached: bool) -> bytes:
    on = _Branch(model, cached=cached)
    graph = on.graph
    (count,) = graph.node("Shape", ["input_ids"], start=1, end=2)
    if cached:
        (past,) = graph.node("Shape", ["past_key_values.0.decoder.key"], start=2, end=3)
    else:
        past = on.constant("zero", np.array([0]))
    (end,) = graph.node("Add", [past, count])
    axis = on.constant("axis", np.array([0]))
    (positions,) = graph.node("Slice", [on.constant("positions"), past, end, axis])
    (lead,) = graph.node("Slice", [on.constant("lead"), past, end, axis])
    (x,) = graph.node("Gather", [on.constant("tokens"), "input_ids"], axis=0)
    x = on.add(x, positions)
    for layer in range(LAYERS):
        own = on.normal(x, f"{layer}.a")
        keys = on.pair(layer, "decoder", own)
        x = on.add(x, on.attend(own, f"{layer}.self", *keys, masked=not cached))
        sound = on.pair(layer, "encoder", "encoder_hidden_states")
        x = on.add(x, on.attend(on.normal(x, f"{layer}.b"), f"{layer}.cross", *sound, masked=False))
        (wide,) = graph.node("Relu", [on.times(on.normal(x, f"{layer}.c"), f"{layer}.up")])
        x = on.add(x, on.times(wide, f"{layer}.down"))
    logits = on.times(on.normal(x, "d"), "head")
    logits = on.add(on.add(logits, on.times(lead, "led")), on.constant("bias"))
    (logits,) = graph.node("Identity", [logits], [f"{on.own}.logits"])
    graph.output(logits, "float32", ("b", "n", SIZE))
    for name in _cache_names():
        graph.output(f"{on.own}.present.{name}", "float32", ("b", HEADS, "q", HEAD_DIM))
    return graph.branch()


def scripted_model(text: list[int], at: int = 3, *, no_speech: bool = False) -> Model:
    """A model that writes `text` whatever it hears: from position `at` on, where four marks come first."""
    model = random_model(0)
    script = [*text, END]
    lead = np.zeros((POSITIONS, len(script) + 1), dtype=np.float32)
    lead[0, 0] = 1
    led = np.zeros((len(script) + 1, SIZE), dtype=np.float32)
    led[0, MARKS["<|zh|>"]] = 200
    led[0, MARKS["<|nospeech|>"]] = 300 if no_speech else 0
    for number, token in enumerate(script):
        lead[at + number, number + 1] = 1
        led[number + 1, token] = 100
    lead[at + len(script) :, len(script)] = 1
    nothing = np.zeros((WIDTH, SIZE), dtype=np.float32)
    bias = np.zeros(SIZE, dtype=np.float32)
    bias[END:] = -1
    return Model({**model.weights, "lead": lead, "led": led, "head": nothing, "bias": bias})
