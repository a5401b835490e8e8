"""The streaming Zipformer transducer: the encoder takes a third of a second at a time, so the words are there when the
owner stops speaking.

The files are those that k2's icefall exports for sherpa-onnx (online-zipformer2-transducer-model.cc,
online-transducer-greedy-search-decoder.cc):
- encoder: x f32 [n, T, 80] and states -> encoder_out f32 [n, t, width] and the states for the next chunk. A state is
  fed back as it comes. Chunks of T frames overlap: each begins `decode_chunk_len` frames after the one before.
- decoder: y i64 [n, context_size], the last tokens -> decoder_out f32 [n, width]
- joiner: encoder_out f32 [n, width], decoder_out -> logit f32 [n, vocabulary]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from agentbox.asr import guards, tokens_txt
from agentbox.asr.belief import believed, heard_whole
from agentbox.asr.engine import NO_HINTS, Aborted, Capabilities, Hints, Opening, Recognition, Samples
from agentbox.asr.features import FRAME_SAMPLES, SHIFT_SAMPLES, Fbank, Features
from agentbox.asr.frame_feed import FrameFeed
from agentbox.asr.graph_files import GraphFile, Port, damaged, find_graph, fingerprint, senseless
from agentbox.asr.hotwords.evidence import FRAMES
from agentbox.asr.hotwords.text_scorer import TextScorer
from agentbox.asr.logits import best_of_rows
from agentbox.asr.sound import check_finite, too_short
from agentbox.asr.tokens import TokenTable
from agentbox.asr.transducer import forward_logprobs
from agentbox.asr.zipformer_states import BINS, States, check_kind, initial_states
from agentbox.errors import ModelError
from agentbox.inference import return_free_memory
from agentbox.messages import SAMPLE_RATE_HZ

NEEDED = "encoder*, decoder* and joiner* (.onnx) of a streaming Zipformer2 transducer and tokens.txt"

FBANK = Fbank(BINS, high_hz=-400.0, window="povey", scale=1.0)
"""With frames around multiples of the shift (`FrameFeed` mirrors the beginning), as the models were trained."""

_BLANK = 0
_FRAME_MS = 40
"""One row of the encoder's output: it halves the frames of 10 ms twice."""

_TAIL_S = 0.66
"""So much silence is added behind the sound, and at least a chunk of it: the last words come out a little later than
they are said."""


def is_model_folder(folder: Path) -> bool:
    """Whether `folder` has the files of a transducer."""
    return (folder / "tokens.txt").is_file() and all(_file(folder, part) for part in ("encoder", "decoder", "joiner"))


def open_model(folder: Path, opening: Opening) -> Zipformer:
    """See `load.Family`."""
    engine = Zipformer(folder, opening)
    engine.self_test(opening.encoder_rms)
    return_free_memory()
    return engine


def _file(folder: Path, part: str) -> Path | None:
    return find_graph(folder, part, f"{part}-*")


class Zipformer:
    """A streaming Zipformer transducer from a folder with encoder, decoder, joiner and tokens.txt."""

    def __init__(self, folder: Path, opening: Opening) -> None:
        """Raises `ModelError` `model_damaged`."""
        self.name = opening.name
        self.capabilities = Capabilities(opening.languages, streaming=True, token_scores=True)
        self.tokens_per_second = opening.tokens_per_second or guards.DENSE_TOKENS_PER_SECOND
        files = [_file(folder, part) for part in ("encoder", "decoder", "joiner")]
        encoder, decoder, joiner = (file or folder / "encoder.onnx" for file in files)
        features, row = Port("x", shape=(None, None, FBANK.bins)), (None, None)
        self._encoder = GraphFile(
            encoder, opening.threads, [features], [Port("encoder_out", shape=(None, None, None))], more=True
        )
        check_kind(self._encoder)
        self._decoder = GraphFile(
            decoder, opening.threads, [Port("y", ("int64",), row)], [Port("decoder_out", shape=row)]
        )
        self._joiner = GraphFile(
            joiner,
            opening.threads,
            [Port("encoder_out", shape=row), Port("decoder_out", shape=row)],
            [Port("logit", shape=row)],
        )
        self.chunk_frames = self._encoder.metadata.number("T")
        self.shift_frames = self._encoder.metadata.number("decode_chunk_len")
        if not 0 < self.shift_frames <= self.chunk_frames <= 10_000:
            raise damaged(encoder, "T and decode_chunk_len in its metadata make no sense")
        self._states = initial_states(self._encoder)
        self._context = self._decoder.metadata.number("context_size")
        self._vocabulary = self._decoder.metadata.number("vocab_size")
        if not 1 <= self._context <= 16:
            raise damaged(decoder, "context_size in its metadata makes no sense")
        self.no_tokens = (*[-1] * (self._context - 1), _BLANK)
        """See `Transducer`."""
        self.table: TokenTable = tokens_txt.read(folder / "tokens.txt", size=self._vocabulary, encoded=False)
        unknown = (at for at, piece in enumerate(self.table.pieces) if piece == b"<unk>")
        self.silent_tokens = (_BLANK, *unknown)
        """See `Transducer`."""
        pieces = (self.table.text_of(token).decode("utf-8", "ignore").strip() for token in range(len(self.table)))
        self._capitals = not any(piece != piece.upper() for piece in pieces if len(piece) > 1)
        """It writes everything in capitals."""

    @property
    def tail_samples(self) -> int:
        """How much silence `finish` adds."""
        return max(round(_TAIL_S * SAMPLE_RATE_HZ), (self.chunk_frames + 1) * SHIFT_SAMPLES)

    def open_stream(self, *, language: str, hints: Hints = NO_HINTS) -> ZipformerStream:
        """See `StreamingEngine.open_stream`."""
        return ZipformerStream(self)

    def rescorer(self) -> TextScorer[ZipformerStream]:
        """See `Rescores`."""
        return TextScorer(self.table, ZipformerStream.logprobs, FRAMES, self.text)

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
        self._encode(np.zeros((self.chunk_frames, FBANK.bins), dtype=np.float32), self._states, give_back=True)
        return_free_memory()

    def begin(self) -> Search:
        """A search that has heard nothing."""
        return Search(FrameFeed(FBANK), self._states, self.predict([self.no_tokens]), self.no_tokens)

    def advance(self, search: Search) -> bool:
        """Search on through one chunk: at each step the likeliest token, if it is one. False where some of the chunk's
        sound is missing.

        Frames are always computed in the same blocks: not even the last bits depend on how the sound came.
        """
        features = search.frames.take(self.chunk_frames if search.overlap is None else self.shift_frames)
        if features is None:
            return False
        if search.overlap is not None:
            features = np.concatenate([search.overlap, features])
        search.overlap = features[self.shift_frames :]
        search.chunks += 1
        started = time.perf_counter()
        rows, search.states = self._encode(features, search.states)
        search.encode_s += time.perf_counter() - started
        for row in rows:
            best, scores = best_of_rows(self.join(row[None], search.predicted))
            token = int(best[0])
            if token not in self.silent_tokens:
                search.tokens.append(token)
                search.logprobs.append(float(scores[0]))
                search.token_ms.append(search.steps * _FRAME_MS)
                search.context = (*search.context[1:], token)
                search.predicted = self.predict([search.context])
            search.steps += 1
        search.rows.extend(rows)
        return True

    def text(self, tokens: Sequence[int]) -> str:
        """The words of `tokens`; a model that knows only capitals says nothing by them."""
        text = self.table.decode(tokens)
        return text.lower() if self._capitals else text

    def _encode(self, features: Features, states: States, *, give_back: bool = False) -> tuple[Features, States]:
        feeds = {"x": features[None], **dict(zip(self._encoder.more_inputs, states, strict=True))}
        # Every chunk needs the same memory: the arena is cut back when the engine rests.
        found = self._encoder.run(feeds, ["encoder_out", *self._encoder.more_outputs], give_back=give_back)
        return found[0][0], found[1:]

    def predict(self, contexts: Sequence[Sequence[int]]) -> Features:
        """See `Transducer`."""
        return self._decoder.run({"y": np.array(contexts, dtype=np.int64)}, ["decoder_out"])[0]

    def join(self, rows: Features, predicted: Features) -> Features:
        """See `Transducer`."""
        return self._joiner.run({"encoder_out": rows, "decoder_out": predicted}, ["logit"])[0]

    def self_test(self, expected_rms: float | None = None) -> None:
        """A second of a rising tone, chunk by chunk, through all three graphs; raises `ModelError` `model_damaged`
        where the numbers make no sense. `expected_rms`: see `graph_files.fingerprint`."""
        at = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
        tone = (0.1 * np.sin(2 * np.pi * (200 + 1800 * at) * at)).astype(np.float32)
        frames = FrameFeed(FBANK)
        frames.accept(np.resize(tone, (self.chunk_frames + self.shift_frames + 3) * SHIFT_SAMPLES))
        features = frames.take(self.chunk_frames + self.shift_frames)
        assert features is not None
        states, rows = self._states, []
        try:
            for start in (0, self.shift_frames):
                row, new = self._encode(features[start : start + self.chunk_frames], states)
                if [(one.shape, one.dtype) for one in new] != [(one.shape, one.dtype) for one in states]:
                    raise damaged(self._encoder.file, "the states that it gives are not those that it takes")
                rows.append(row)
                states = new
            predicted = self.predict([self.no_tokens])
            logits = self.join(rows[0][:1], predicted)
        except ModelError as error:
            if error.code == "model_damaged":
                raise
            raise damaged(self._encoder.file, "its parts do not fit together") from error
        fingerprint(np.concatenate(rows), self.name, expected_rms)
        if logits.shape != (1, self._vocabulary):
            raise damaged(self._joiner.file, f"it scores {logits.shape[-1]} tokens, not {self._vocabulary}")
        if not (np.isfinite(logits).all() and all(np.isfinite(state).all() for state in states)):
            raise senseless(self.name)


@dataclass(slots=True)
class Search:
    """How far a greedy search has come."""

    frames: FrameFeed
    """Sound that was not searched through yet."""
    states: States
    """The encoder's; never written into."""
    predicted: Features
    """The decoder's output after `context`."""
    context: tuple[int, ...]
    """The last tokens."""
    overlap: Features | None = None
    """The frames of the last chunk that the next one begins with."""
    chunks: int = 0
    steps: int = 0
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    token_ms: list[int] = field(default_factory=list)
    rows: list[Features] = field(default_factory=list)
    """What the encoder gave at each step, [width]."""
    encode_s: float = 0.0

    def copy(self) -> Search:
        """Another one that goes on from here."""
        return replace(
            self,
            frames=self.frames.copy(),
            tokens=[*self.tokens],
            logprobs=[*self.logprobs],
            token_ms=[*self.token_ms],
            rows=[*self.rows],
        )


class ZipformerStream:
    """See `engine.Stream`."""

    def __init__(self, model: Zipformer) -> None:
        self._model = model
        self._search = model.begin()
        self._finished: list[Features] = []
        """The encoder's rows of all that was heard, with the silence behind it."""
        self._samples = 0
        self._worked_s = 0.0

    def accept(self, samples: Samples) -> None:
        check_finite(samples)
        started = time.perf_counter()
        self._samples += samples.size
        self._search.frames.accept(samples)
        while self._model.advance(self._search):
            pass
        self._worked_s += time.perf_counter() - started

    def partial(self, *, abort: Callable[[], bool] | None = None) -> str:
        return self._model.text(self._search.tokens)

    def finish(self, *, speech_ms: int | None = None, abort: Callable[[], bool] | None = None) -> Recognition:
        if (short := too_short(self._samples)) is not None:
            return short
        audio_ms = self._samples * 1000 // SAMPLE_RATE_HZ
        started = time.perf_counter()
        search = self.searched(abort)
        self._finished = search.rows
        recognition = believed(
            self._model.text,
            search.tokens,
            search.logprobs,
            [min(at_ms, audio_ms) for at_ms in search.token_ms],  # the last ones may come out in the silence behind it
            capped=False,
            speech_s=(audio_ms if speech_ms is None else speech_ms) / 1000,
            tokens_per_second=self._model.tokens_per_second,
        )
        decode_s = self._worked_s + time.perf_counter() - started
        return replace(recognition, audio_ms=audio_ms, encode_ms=search.encode_s * 1000, decode_ms=decode_s * 1000)

    def logprobs(self, ways: Sequence[Sequence[int]], abort: Callable[[], bool] | None = None) -> list[float]:
        """log P(tokens | sound) for each of `ways`, of the sound as it was last finished."""
        return forward_logprobs(self._model, self._finished, ways, abort)

    def searched(self, abort: Callable[[], bool] | None = None) -> Search:
        """The search to the end of the sound and of the silence behind it; the stream's own stays where it is."""
        model, search = self._model, self._search.copy()
        frames = (self._samples + model.tail_samples + SHIFT_SAMPLES // 2) // SHIFT_SAMPLES
        search.frames.accept(np.zeros(model.tail_samples + FRAME_SAMPLES, dtype=np.float32))
        while search.chunks * model.shift_frames + model.chunk_frames < frames:
            if abort is not None and abort():
                raise Aborted
            model.advance(search)
        return search
