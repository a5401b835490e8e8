"""Moonshine's streaming models (English): five graphs, of which two work while the owner speaks.

The layout is moonshine's own (core/moonshine-streaming-model.cpp), as `.ort` or `.onnx`, with streaming_config.json:
- frontend: audio_chunk f32 [1, n] and what is left of the chunk before (sample_buffer [1, 79], sample_len i64 [1],
  conv1_buffer [1, d, 4], conv2_buffer [1, c1, 4], frame_count i64 [1]) -> features f32 [1, f, width], one each 20 ms,
  and the five for the next chunk
- encoder: features [1, w, width] -> encoded [1, w, width]; a row depends on some rows before and after it
- adapter: encoded, pos_offset i64 [1] -> memory [1, w, decoder's width]
- cross_kv: memory, all of it -> k_cross, v_cross f32 [depth, 1, heads, t, head_dim]
- decoder_kv: token i64 [1, s], k_self, v_self [depth, 1, heads, p, head_dim], out_k_cross, out_v_cross -> logits
  [1, s, vocabulary], out_k_self, out_v_self [depth, 1, heads, p + s, head_dim]
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from agentbox.asr import guards
from agentbox.asr.belief import Decoding, believed, heard_whole
from agentbox.asr.engine import NO_HINTS, Aborted, Capabilities, Hints, Opening, Recognition, Samples
from agentbox.asr.graph_files import GraphFile, Port, damaged, find_graph, fingerprint, senseless
from agentbox.asr.hotwords.evidence import SCORED
from agentbox.asr.hotwords.text_scorer import TextScorer
from agentbox.asr.logits import best_of_rows, log_softmax
from agentbox.asr.sound import check_finite, too_short
from agentbox.asr.tokens import TokenTable
from agentbox.errors import ModelError
from agentbox.inference import return_free_memory
from agentbox.messages import SAMPLE_RATE_HZ

NEEDED = (
    "frontend, encoder, adapter, cross_kv and decoder_kv (.ort or .onnx), streaming_config.json and tokenizer.bin of a "
    "streaming Moonshine model"
)

CHUNK_SAMPLES = 1280
"""What the front end is given at a time: 80 ms, four frames. The last chunk of a sound is filled up with silence."""

FRAME_S = 0.02

_STEP_FRAMES = 24
"""The encoder works whenever so many frames are new: about every half second, as moonshine does."""

_LEFT_FRAMES = 16
"""How many frames before a row each of the encoder's layers may look at."""


_PARTS = ("frontend", "encoder", "adapter", "cross_kv", "decoder_kv")
_BUFFERS = ("sample_buffer", "sample_len", "conv1_buffer", "conv2_buffer", "frame_count")

Floats = NDArray[np.float32]
Size = Annotated[int, Meta(ge=1, le=100_000)]


class Config(msgspec.Struct, frozen=True):
    """streaming_config.json."""

    encoder_dim: Size
    decoder_dim: Size
    depth: Annotated[int, Meta(ge=1, le=200)]
    nheads: Size
    head_dim: Size
    vocab_size: Annotated[int, Meta(ge=3, le=1_000_000)]
    bos_id: Annotated[int, Meta(ge=0)]
    eos_id: Annotated[int, Meta(ge=0)]
    total_lookahead: Annotated[int, Meta(ge=0, le=1000)]
    d_model_frontend: Size
    c1: Size
    max_seq_len: Size = 448


def is_model_folder(folder: Path) -> bool:
    """Whether `folder` has a streaming Moonshine model's files."""
    names = ("streaming_config.json", "tokenizer.bin")
    return all((folder / name).is_file() for name in names) and all(find_graph(folder, part) for part in _PARTS)


def open_model(folder: Path, opening: Opening) -> MoonshineStreaming:
    """See `load.Family`."""
    engine = MoonshineStreaming(folder, opening)
    engine.self_test(opening.encoder_rms)
    return_free_memory()
    return engine


class MoonshineStreaming:
    """A streaming Moonshine model from a folder."""

    def __init__(self, folder: Path, opening: Opening) -> None:
        """Raises `ModelError` `model_damaged`."""
        self.name = opening.name
        self.capabilities = Capabilities(opening.languages or ("en",), streaming=True, token_scores=True)
        self.tokens_per_second = opening.tokens_per_second or guards.TOKENS_PER_SECOND
        self.config = _read(folder / "streaming_config.json")
        self.table = TokenTable.read(folder / "tokenizer.bin")
        if not len(self.table) <= self.config.vocab_size > max(self.config.bos_id, self.config.eos_id):
            raise damaged(folder / "tokenizer.bin", f"it is not for the {self.config.vocab_size} tokens of the model")

        def graph(part: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> GraphFile:
            return GraphFile(find_graph(folder, part) or folder / part, opening.threads, inputs, outputs)

        kinds = {"sample_len": ("int64",), "frame_count": ("int64",)}
        state = [Port(name, kinds.get(name, ("float32",))) for name in _BUFFERS]
        new_state = [replace(port, name=f"{port.name}_out") for port in state]
        rows = (None, None, None)
        self._frontend = graph("frontend", [Port("audio_chunk"), *state], [Port("features", shape=rows), *new_state])
        self._encoder = graph("encoder", [Port("features", shape=rows)], [Port("encoded", shape=rows)])
        self._adapter = graph(
            "adapter", [Port("encoded"), Port("pos_offset", ("int64",))], [Port("memory", shape=rows)]
        )
        self._cross_kv = graph("cross_kv", [Port("memory")], [Port("k_cross"), Port("v_cross")])
        caches = [Port("k_self"), Port("v_self"), Port("out_k_cross"), Port("out_v_cross")]
        self._decoder = graph(
            "decoder_kv",
            [Port("token", ("int64",)), *caches],
            [Port("logits", shape=rows), Port("out_k_self"), Port("out_v_self")],
        )

    def open_stream(self, *, language: str, hints: Hints = NO_HINTS) -> MoonshineStream:
        """See `StreamingEngine.open_stream`."""
        return MoonshineStream(self)

    def rescorer(self) -> TextScorer[MoonshineStream]:
        """See `Rescores`."""
        return TextScorer(self.table, MoonshineStream.logprobs, SCORED)

    def transcribe(
        self,
        samples: Samples,
        *,
        language: str,
        speech_ms: int | None = None,
        abort: Callable[[], bool] | None = None,
        hints: Hints = NO_HINTS,
        partial: Callable[[str], None] | None = None,
    ) -> Recognition:
        """See `Engine.transcribe`."""
        return heard_whole(self, samples, language=language, speech_ms=speech_ms, abort=abort, partial=partial)

    def rest(self) -> None:
        """See `Engine.rest`."""
        self._encoder.run(
            {"features": np.zeros((1, 1, self.config.encoder_dim), np.float32)}, ["encoded"], give_back=True
        )
        return_free_memory()

    def begin(self) -> Heard:
        """Nothing was heard yet."""
        config, zero = self.config, np.zeros(1, dtype=np.int64)
        sizes = ((1, 79), (1, config.d_model_frontend, 4), (1, config.c1, 4))
        samples, conv1, conv2 = (np.zeros(size, dtype=np.float32) for size in sizes)
        return Heard(
            (samples, zero, conv1, conv2, zero),
            np.zeros((0, config.encoder_dim), dtype=np.float32),
            np.zeros((0, config.decoder_dim), dtype=np.float32),
        )

    def hear(self, heard: Heard, chunk: Samples, *, last: bool = False) -> Heard:
        """Hear one chunk more, [CHUNK_SAMPLES]. `last`: no other one comes, so the end is encoded too.

        When the encoder works depends on the number of frames alone, not on how the sound came.
        """
        feeds = {"audio_chunk": chunk[None], **dict(zip(_BUFFERS, heard.buffers, strict=True))}
        names = [f"{name}_out" for name in _BUFFERS]
        features, *buffers = self._frontend.run(feeds, ["features", *names])
        kept = np.concatenate([heard.features, features[0]])
        heard = replace(heard, buffers=tuple(buffers), features=kept)
        return self._encode(heard, last=last)

    def _encode(self, heard: Heard, *, last: bool) -> Heard:
        """Encode what is new and far enough from the end: rows near it would change with what comes after them."""
        config = self.config
        emitted = len(heard.memory)
        before = emitted - heard.dropped
        new = len(heard.features) - before - (0 if last else config.total_lookahead)
        if new < (1 if last else _STEP_FRAMES):
            return heard
        started = time.perf_counter()
        encoded = self._encoder.run({"features": heard.features[None]}, ["encoded"])[0]
        rows = np.ascontiguousarray(encoded[:, before : before + new])
        memory = self._adapter.run({"encoded": rows, "pos_offset": np.array([emitted], np.int64)}, ["memory"])[0][0]
        old = max(0, before + new - _LEFT_FRAMES * config.depth)
        return replace(
            heard,
            features=heard.features[old:],
            dropped=heard.dropped + old,
            memory=np.concatenate([heard.memory, memory]),
            encode_s=heard.encode_s + time.perf_counter() - started,
        )

    def decode(self, memory: Floats, draft: Sequence[int] = (), abort: Callable[[], bool] | None = None) -> Decoding:
        """The likeliest token at each step. `draft`: what it was the last time, when less had been heard; it is checked
        in one run, and gone on with from where it is wrong."""
        config, seconds = self.config, len(memory) * FRAME_S
        cap = min(guards.token_cap(seconds, self.tokens_per_second), config.max_seq_len)
        if not len(memory):
            return Decoding()
        cross, nothing = self._cross(memory), self._nothing()
        draft = draft[:cap]
        logits, own = self._step([config.bos_id, *draft], [nothing, nothing], cross)
        best, scores = best_of_rows(logits)
        right = next((at for at, token in enumerate(draft) if token != best[at]), len(draft))
        tokens, logprobs = [*draft[:right]], scores[:right].tolist()
        token, logprob = int(best[right]), float(scores[right])
        own = [np.ascontiguousarray(cache[:, :, :, : right + 1]) for cache in own]
        while len(tokens) < cap:
            if abort is not None and abort():
                raise Aborted
            if token == config.eos_id:
                return Decoding(tuple(tokens), tuple(logprobs))
            tokens.append(token)
            logprobs.append(logprob)
            if len(tokens) < cap:
                logits, own = self._step([token], own, cross)
                best, scores = best_of_rows(logits)
                token, logprob = int(best[-1]), float(scores[-1])
        return Decoding(tuple(tokens), tuple(logprobs), capped=True)

    def logprobs(
        self, memory: Floats, ways: Sequence[Sequence[int]], abort: Callable[[], bool] | None = None
    ) -> list[float]:
        """log P(tokens and the end | sound) for each of `ways`, in one run each; -inf for more tokens than it writes.
        Raises as `decode`."""
        cross, nothing = self._cross(memory), self._nothing()
        found = []
        for tokens in ways:
            if abort is not None and abort():
                raise Aborted
            if len(tokens) >= self.config.max_seq_len:
                found.append(-math.inf)
                continue
            logits, _ = self._step([self.config.bos_id, *tokens], [nothing, nothing], cross)
            ends = [*tokens, self.config.eos_id]
            found.append(float(log_softmax(logits)[range(len(ends)), ends].sum()))
        return found

    def _cross(self, memory: Floats) -> list[Floats]:
        return self._cross_kv.run({"memory": memory[None]}, ["k_cross", "v_cross"])

    def _nothing(self) -> Floats:
        """Keys or values of no token."""
        config = self.config
        return np.zeros((config.depth, 1, config.nheads, 0, config.head_dim), dtype=np.float32)

    def _step(
        self, tokens: Sequence[int], own: Sequence[Floats], cross: Sequence[Floats]
    ) -> tuple[Floats, list[Floats]]:
        """Append tokens: the logits after each, [tokens, vocabulary], and the keys and values with them."""
        feeds: dict[str, NDArray[Any]] = {"token": np.array([tokens], dtype=np.int64)}
        feeds |= {"k_self": own[0], "v_self": own[1]}
        feeds |= {"out_k_cross": cross[0], "out_v_cross": cross[1]}
        logits, *own = self._decoder.run(feeds, ["logits", "out_k_self", "out_v_self"])
        return logits[0], list(own)

    def self_test(self, expected_rms: float | None = None) -> None:
        """Two thirds of a second of a rising tone through all graphs; raises `ModelError` `model_damaged` where the
        numbers make no sense. `expected_rms`: see `graph_files.fingerprint`."""
        at = np.arange(8 * CHUNK_SAMPLES) / SAMPLE_RATE_HZ
        tone = (0.1 * np.sin(2 * np.pi * (200 + 1800 * at) * at)).astype(np.float32)
        chunks = np.split(tone, 8)
        file, config = self._decoder.file, self.config
        try:
            heard = self.begin()
            for chunk in chunks[:-1]:
                heard = self.hear(heard, chunk)
            heard = self.hear(heard, chunks[-1], last=True)
            cross, nothing = self._cross(heard.memory), self._nothing()
            logits, own = self._step([config.bos_id, config.eos_id], [nothing, nothing], cross)
        except ModelError as error:
            if error.code == "model_damaged":
                raise
            raise damaged(file, "its parts do not fit together") from error
        except ValueError as error:  # rows of different widths
            raise damaged(file, "its parts do not fit together") from error
        if logits.shape != (2, config.vocab_size) or own[0].shape[3] != 2:
            raise damaged(file, f"it scores {logits.shape[-1]} tokens, not {config.vocab_size}")
        fingerprint(heard.memory, self.name, expected_rms)
        if not np.isfinite(logits).all():
            raise senseless(self.name)


@dataclass(frozen=True, slots=True)
class Heard:
    """How far an utterance was heard."""

    buffers: tuple[NDArray[np.generic], ...]
    """The front end's."""
    features: Floats
    """[frames, width]: those not encoded yet, and before them those that the encoder looks back on."""
    memory: Floats
    """[frames, decoder's width]: what the decoder listens to."""
    dropped: int = 0
    """How many frames were there before `features`."""
    encode_s: float = 0.0


class MoonshineStream:
    """See `engine.Stream`. Where a graph rounds (int8), a draft that was checked in one run may differ in the last bits
    from tokens decoded one by one; else it does not matter when partials were asked for."""

    def __init__(self, model: MoonshineStreaming) -> None:
        self._model = model
        self._heard = model.begin()
        self._pending: Samples = np.zeros(0, dtype=np.float32)
        self._samples = 0
        self._finished = self._heard.memory
        """What the decoder listened to when the end was last asked for."""
        self._draft: tuple[int, ...] = ()
        self._drafted = 0
        """How many frames of memory the draft was made from."""
        self._worked_s = 0.0

    def accept(self, samples: Samples) -> None:
        check_finite(samples)
        started = time.perf_counter()
        self._samples += samples.size
        pending = np.concatenate([self._pending, samples])
        # One chunk is held back: it may be the last.
        whole = max(0, pending.size - 1) // CHUNK_SAMPLES * CHUNK_SAMPLES
        for start in range(0, whole, CHUNK_SAMPLES):
            self._heard = self._model.hear(self._heard, pending[start : start + CHUNK_SAMPLES])
        self._pending = pending[whole:]
        self._worked_s += time.perf_counter() - started

    def partial(self, *, abort: Callable[[], bool] | None = None) -> str:
        frames = len(self._heard.memory)
        if frames > self._drafted:
            started = time.perf_counter()
            self._draft = self._model.decode(self._heard.memory, self._draft, abort).tokens
            self._drafted = frames
            self._worked_s += time.perf_counter() - started
        return self._model.table.decode(self._draft)

    def finish(self, *, speech_ms: int | None = None, abort: Callable[[], bool] | None = None) -> Recognition:
        if (short := too_short(self._samples)) is not None:
            return short
        audio_ms = self._samples * 1000 // SAMPLE_RATE_HZ
        started = time.perf_counter()
        model = self._model
        heard, decoding = self.decoded(abort)
        self._finished = heard.memory
        recognition = believed(
            model.table.decode,
            decoding.tokens,
            decoding.logprobs,
            capped=decoding.capped,
            speech_s=(audio_ms if speech_ms is None else speech_ms) / 1000,
            tokens_per_second=model.tokens_per_second,
        )
        decode_s = self._worked_s + time.perf_counter() - started
        return replace(recognition, audio_ms=audio_ms, encode_ms=heard.encode_s * 1000, decode_ms=decode_s * 1000)

    def logprobs(self, ways: Sequence[Sequence[int]], abort: Callable[[], bool] | None = None) -> list[float]:
        """log P(tokens and the end | sound) for each of `ways`, of the sound as it was last finished."""
        return self._model.logprobs(self._finished, ways, abort)

    def decoded(self, abort: Callable[[], bool] | None = None) -> tuple[Heard, Decoding]:
        """The whole sound, heard to its end and decoded; the stream itself stays where it is."""
        chunk = np.zeros(CHUNK_SAMPLES, dtype=np.float32)
        chunk[: self._pending.size] = self._pending
        heard = self._model.hear(self._heard, chunk, last=True)
        return heard, self._model.decode(heard.memory, self._draft, abort)


def _read(path: Path) -> Config:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Config)
    except (OSError, msgspec.MsgspecError) as error:
        raise damaged(path, "it is no configuration of a streaming model") from error
