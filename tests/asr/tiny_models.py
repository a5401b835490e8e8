"""Small models of random numbers, with the inputs, outputs and metadata of published ones."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kaldi_native_fbank as knf
import numpy as np
import sherpa_onnx
from numpy.typing import NDArray

from agentbox.asr.onnx_writer import Graph

WIDTH, HIDDEN = 560, 24
WORDS = 44
TAG_ROWS = (
    ("zh", "en", "yue", "ja", "ko", "nospeech"),
    ("HAPPY", "SAD", "NEUTRAL", "EMO_UNKNOWN"),
    ("Speech", "BGM", "Laughter", "Event_UNK"),
    ("withitn", "woitn"),
)
SENSE_VOICE_PIECES = [
    "<unk>",
    *(f"\u2581w{at}" if at % 3 else f"字{at}" for at in range(1, WORDS)),
    *(f"<|{tag}|>" for row in TAG_ROWS for tag in row),
]
_LATIN = [f"w{at}@@" if at % 2 else f"w{at}" for at in range(24)]
PARAFORMER_PIECES = ["<blank>", "<s>", "</s>", *_LATIN, *(f"字{at}" for at in range(12)), "<unk>"]

Floats = NDArray[np.float32]


def sound(length: int, seed: int = 1) -> Floats:
    """Tones that glide and swell, another one every sixth of a second, in a little noise."""
    draw = np.random.default_rng(seed)
    at = np.arange(length) / 16_000
    part = (at * 6).astype(int)
    parts = int(part.max()) + 1
    hz, rise, loud = draw.uniform(100, 3_000, parts), draw.uniform(-300, 900, parts), draw.uniform(0.02, 0.5, parts)
    tone = loud[part] * np.sin(2 * np.pi * (hz[part] + rise[part] * at) * at) * (0.6 + 0.4 * np.sin(15 * at))
    samples: Floats = (tone + draw.normal(0, 0.003, length)).astype(np.float32)
    return samples


@dataclass
class Weights:
    """What a model computes with: `logits` is the same in numpy."""

    seed: int
    tokens: int
    blank: int | None = None
    shift: float = 0.0
    more: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw = np.random.default_rng(self.seed)

        def normal(*shape: int) -> Floats:
            numbers: Floats = draw.normal(0, 1, shape).astype(np.float32)
            return numbers

        self.into = normal(WIDTH, HIDDEN) / np.float32(WIDTH**0.5)
        self.mix = normal(HIDDEN, HIDDEN, 3) * np.float32(0.3)
        self.out = normal(HIDDEN, self.tokens)
        self.bias = np.zeros(self.tokens, dtype=np.float32)
        if self.blank is not None:
            self.bias[self.blank] = 2.0
        self.queries = normal(16, WIDTH)
        self.mean = (-13.2 + 0.3 * normal(WIDTH)).astype(np.float32)
        self.scale = (0.4 + 0.05 * normal(WIDTH)).astype(np.float32)

    def hidden(self, rows: Floats) -> Floats:
        """[rows, HIDDEN]: a look at each row's neighbours too, so that their order counts."""
        first = np.tanh((rows.astype(np.float64) + self.shift) @ self.into)
        around = np.pad(first, ((1, 1), (0, 0)))
        mixed = np.sum([around[at : at + len(rows)] @ self.mix[:, :, at].T for at in range(3)], axis=0)
        hidden: Floats = np.tanh(mixed).astype(np.float32)
        return hidden

    def add(self, graph: Graph, x: str) -> str:
        """The same as nodes: `x` is [1, rows, WIDTH], what comes back [1, rows, HIDDEN]."""
        (first,) = graph.node("Add", [x, graph.constant("shift", np.array([self.shift], dtype=np.float32))])
        (first,) = graph.node("MatMul", [first, graph.constant("into", self.into)])
        (first,) = graph.node("Tanh", [first])
        (turned,) = graph.node("Transpose", [first], perm=(0, 2, 1))
        (mixed,) = graph.node("Conv", [turned, graph.constant("mix", self.mix)], kernel_shape=(3,), pads=(1, 1))
        (mixed,) = graph.node("Tanh", [mixed])
        return graph.node("Transpose", [mixed], perm=(0, 2, 1))[0]

    def head(self, graph: Graph, hidden: str) -> str:
        (logits,) = graph.node("MatMul", [hidden, graph.constant("out", self.out)])
        return graph.node("Add", [logits, graph.constant("bias", self.bias)])[0]

    def tag_biases(self) -> tuple[Floats, Floats]:
        """[4, tokens] and [tokens]: which tokens may stand in the first rows, and in the others."""
        first = np.full((4, self.tokens), -50.0, dtype=np.float32)
        at = WORDS
        for row, tags in enumerate(TAG_ROWS):
            first[row, at : at + len(tags)] = 0.0
            at += len(tags)
        others = np.zeros(self.tokens, dtype=np.float32)
        others[WORDS:] = -50.0
        return first, others


def used(graph: Graph, value: str, by: str) -> str:
    """`by`, and 0 times `value`: an input that nobody uses would be taken out."""
    (number,) = graph.node("Cast", [value], to=1)
    (nothing,) = graph.node("Mul", [number, graph.constant(f"no_{value}", np.zeros(1, dtype=np.float32))])
    return graph.node("Add", [by, nothing])[0]


def told(numbers: Sequence[float] | NDArray[np.floating]) -> str:
    return ",".join(f"{number:.6f}" for number in np.asarray(numbers))


def write_tokens(folder: Path, pieces: Sequence[str], *, encoded: bool = False) -> None:
    written = [base64.b64encode(piece.encode()).decode() if encoded else piece for piece in pieces]
    (folder / "tokens.txt").write_text("".join(f"{piece} {at}\n" for at, piece in enumerate(written)), encoding="utf-8")


def sense_voice(
    folder: Path, seed: int, *, published: bool = True, metadata: Mapping[str, str] | None = None
) -> Weights:
    """A model like SenseVoice in `folder`. Not `published`: as FunASR exports it, without metadata."""
    weights = Weights(seed, len(SENSE_VOICE_PIECES), blank=0)
    names = (
        ("x", "x_length", "language", "text_norm")
        if published
        else ("speech", "speech_lengths", "language", "textnorm")
    )
    graph = Graph()
    x, length, language, text_norm = (
        graph.input(name, kind, shape)
        for name, kind, shape in zip(
            names,
            ("float32", "int32", "int32", "int32"),
            ((1, "T", WIDTH), (1,), (1,), (1,)),
            strict=True,
        )
    )
    table = graph.constant("queries", weights.queries)
    (spoken,) = graph.node("Gather", [table, language])
    (written,) = graph.node("Gather", [table, text_norm])
    (asked,) = graph.node("Concat", [spoken, graph.constant("two", weights.queries[1:3]), written], axis=0)
    (asked_2,) = graph.node("Slice", [asked, *(graph.constant(f"s{at}", np.array([at])) for at in (0, 3))])
    (rest,) = graph.node("Slice", [asked, "s3", graph.constant("s4", np.array([4]))])
    (asked,) = graph.node("Concat", [asked_2, rest], axis=0)
    (asked,) = graph.node("Unsqueeze", [asked, "s0"])
    (rows,) = graph.node("Concat", [asked, x], axis=1)
    logits = weights.head(graph, weights.add(graph, used(graph, length, rows)))
    first, others = weights.tag_biases()
    one = graph.constant("one", np.array([1]))
    (tags,) = graph.node("Slice", [logits, "s0", "s4", one])
    (sounds,) = graph.node("Slice", [logits, "s4", graph.constant("end", np.array([1 << 40])), one])
    (tags,) = graph.node("Add", [tags, graph.constant("first", first)])
    (sounds,) = graph.node("Add", [sounds, graph.constant("others", others)])
    graph.node("Concat", [tags, sounds], ["logits"], axis=1)
    graph.output("logits", "float32", (1, "T4", weights.tokens))
    properties = {
        "model_type": "sense_voice_ctc",
        "lfr_window_size": "7",
        "lfr_window_shift": "6",
        "normalize_samples": "0",
        "neg_mean": told(weights.mean),
        "inv_stddev": told(weights.scale),
        "vocab_size": str(weights.tokens),
        "blank_id": "0",
        "with_itn": "14",
        "without_itn": "15",
        "lang_auto": "0",
        "lang_zh": "3",
        "lang_en": "4",
        "lang_yue": "7",
        "lang_ja": "11",
        "lang_ko": "12",
        "lang_nospeech": "13",
        "comment": "random",
    }
    (folder / "model.onnx").write_bytes(graph.model(properties | dict(metadata or {}) if published else None))
    write_tokens(folder, SENSE_VOICE_PIECES)
    return weights


def sense_voice_saying(folder: Path, *tags: str, seed: int = 1) -> None:
    """A model like SenseVoice that always says these tags: its table has them in the place of whatever it would say."""
    sense_voice(folder, seed)
    pieces = SENSE_VOICE_PIECES[:WORDS]
    for row, tag in zip(TAG_ROWS, tags, strict=True):
        pieces += [f"<|{tag}|>"] * len(row)
    write_tokens(folder, pieces)


def nano_ctc(folder: Path, seed: int, tokens: int = 60, metadata: Mapping[str, str] | None = None) -> Weights:
    """A model like the CTC export of Fun-ASR-Nano in `folder`."""
    weights = Weights(seed, tokens, blank=tokens - 1, shift=-13.0)  # the features are not normalised
    weights.into *= np.float32(0.4)
    graph = Graph()
    x = graph.input("x", "float32", (1, "T", WIDTH))
    graph.node("Identity", [weights.head(graph, weights.add(graph, x))], ["logits"])
    graph.output("logits", "float32", (1, "T", tokens))
    properties = {
        "model_type": "sense_voice_ctc",
        "lfr_window_size": "7",
        "lfr_window_shift": "6",
        "normalize_samples": "0",
        "vocab_size": str(tokens),
        "blank_id": str(tokens - 1),
        "comment": "FunAudioLLM/Fun-ASR-Nano-2512",
    }
    (folder / "model.int8.onnx").write_bytes(graph.model(properties | dict(metadata or {})))
    pieces = [f" n{at}" if at % 2 else f"音{at}" for at in range(tokens - 1)]
    write_tokens(folder, [*pieces, "<blank>"], encoded=True)
    return weights


def paraformer(
    folder: Path,
    seed: int,
    *,
    times: bool = True,
    fails_on_silence: bool = False,
    deaf: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Weights:
    """A model like Paraformer in `folder`: words come together at a rate that the sound decides."""
    weights = Weights(seed, len(PARAFORMER_PIECES))
    weights.bias[2] = -30.0
    graph = Graph()
    x = graph.input("speech", "float32", (1, "T", WIDTH))
    length = graph.input("speech_lengths", "int32", (1,))
    hidden = weights.add(graph, used(graph, length, x))
    rate = np.random.default_rng(seed + 1_000).normal(0, 0.4, (HIDDEN, 1)).astype(np.float32)
    weights.more["rate"] = rate
    (alpha,) = graph.node("MatMul", [hidden, graph.constant("rate", rate)])
    (alpha,) = graph.node("Sub", [alpha, graph.constant("deaf", np.array([20.0 * deaf], dtype=np.float32))])
    (alpha,) = graph.node("Sigmoid", [alpha])
    (thirds,) = graph.node("Mul", [alpha, graph.constant("third", np.full((1, 1, 3), 1 / 3, dtype=np.float32))])
    (thirds,) = graph.node("Reshape", [thirds, graph.constant("flat", np.array([1, -1]))])
    one, nothing = graph.constant("one", np.array([1])), graph.constant("nothing", np.array([0]))
    (so_far,) = graph.node("CumSum", [thirds, graph.constant("axis", np.array(1))])
    (before,) = graph.node("Sub", [so_far, thirds])
    (whole,) = graph.node("Floor", [so_far])
    (whole_before,) = graph.node("Floor", [before])
    (fires,) = graph.node("Greater", [whole, whole_before])
    (part,) = graph.node("Sub", [so_far, whole])
    (part,) = graph.node("Mul", [part, graph.constant("less", np.array([0.99], dtype=np.float32))])
    graph.node("Where", [fires, graph.constant("full", np.ones(1, dtype=np.float32)), part], ["us_cif_peak"])
    (where,) = graph.node("NonZero", [fires])
    (columns,) = graph.node("Gather", [where, graph.constant("second", np.array(1))])
    (rows,) = graph.node("Div", [columns, graph.constant("three", np.array([3]))])
    if fails_on_silence:
        (last,) = graph.node("Gather", [rows, graph.constant("last", np.array([-1]))])
        (none,) = graph.node("Mul", [last, nothing])
        (rows,) = graph.node("Add", [rows, none])
    (words,) = graph.node("Gather", [hidden, rows], axis=1)
    logits = weights.head(graph, words)
    # The last word is the end.
    (count,) = graph.node("Shape", [rows])
    graph.node("Cast", [count], ["token_num"], to=6)
    (numbers,) = graph.node("Range", [*(graph.node("Squeeze", [value])[0] for value in (nothing, count, one))])
    (is_last,) = graph.node("Equal", [numbers, graph.node("Sub", [count, one])[0]])
    (bonus,) = graph.node("Cast", [is_last], to=1)
    (bonus,) = graph.node("Unsqueeze", [bonus, one])
    end = np.zeros((1, weights.tokens), dtype=np.float32)
    end[0, 2] = 60.0
    (bonus,) = graph.node("Mul", [bonus, graph.constant("end", end)])
    graph.node("Add", [logits, bonus], ["logits"])
    graph.output("logits", "float32", (1, "L", weights.tokens))
    graph.output("token_num", "int32", (1,))
    if times:
        graph.node("Identity", [thirds], ["us_alphas"])
        graph.output("us_alphas", "float32", (1, "T3"))
        graph.output("us_cif_peak", "float32", (1, "T3"))
    properties = {
        "model_type": "paraformer",
        "lfr_window_size": "7",
        "lfr_window_shift": "6",
        "neg_mean": told(weights.mean),
        "inv_stddev": told(weights.scale),
        "vocab_size": str(weights.tokens),
    }
    (folder / "model.int8.onnx").write_bytes(graph.model(properties | dict(metadata or {})))
    write_tokens(folder, PARAFORMER_PIECES)
    return weights


def rows_by_kaldi(samples: Floats) -> Floats:
    """Stacked features [rows, 560] by kaldi-native-fbank, stacked one row after the other as wav_frontend.py does."""
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = "hamming"
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = 80
    options.mel_opts.low_freq, options.mel_opts.high_freq = 20.0, 0.0
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(16_000, (samples * np.float32(32_768)).tolist())
    computer.input_finished()
    frames = [computer.get_frame(at) for at in range(computer.num_frames_ready)]
    last = len(frames) - 1
    rows = [
        np.concatenate([frames[min(max(first + at - 3, 0), last)] for at in range(7)])
        for first in range(0, len(frames), 6)
    ]
    return np.array(rows, dtype=np.float32)


def heard_by_sherpa(recognizer: sherpa_onnx.OfflineRecognizer, samples: Floats) -> Any:
    """Its result for a stretch of sound."""
    stream = recognizer.create_stream()
    stream.accept_waveform(16_000, samples)
    recognizer.decode_stream(stream)
    return stream.result
