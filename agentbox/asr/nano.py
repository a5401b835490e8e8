"""The Fun-ASR-Nano engine: an encoder over filter bank features and a language model that writes down what it hears.

Three graphs, as sherpa-onnx publishes them, and a tokenizer (see `nano_llm`, `nano_prompt`, `bpe`):
- encoder_adaptor: x f32 [1, rows, 560] -> encoder_out f32 [1, rows, width]
- embedding: input_ids i64 [1, n] -> embeddings f32 or f16 [1, n, width]
- llm: rows of both -> logits
The features, how many of the encoder's rows are given on, and where the answer begins follow FunASR by default
(funasr/frontends/wav_frontend.py, funasr/models/fun_asr_nano/model.py).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from agentbox.asr import bpe, guards
from agentbox.asr.belief import Decoding, believed
from agentbox.asr.constrain.one_by_one import Ways
from agentbox.asr.constrain.sentences import How
from agentbox.asr.constrain.steps import StepSentences
from agentbox.asr.engine import NO_HINTS, Aborted, Capabilities, Hints, Opening, Recognition, Samples
from agentbox.asr.features import Fbank, Features, stacked
from agentbox.asr.graph_files import GraphFile, Port, damaged, failed, fingerprint, senseless
from agentbox.asr.logits import best_of_those_left
from agentbox.asr.nano_convention import REFERENCE, SHERPA_COMPAT, Convention, thinned_rows
from agentbox.asr.nano_files import NEEDED, graph_of, is_model_folder, llm_of, tokenizer_of
from agentbox.asr.nano_llm import Floats, Llm, LlmState
from agentbox.asr.nano_prompt import Chat, user_prompt
from agentbox.asr.nano_steps import BEAM, Encoding, steps_of
from agentbox.asr.sound import check_finite, too_short
from agentbox.errors import ModelError
from agentbox.inference import return_free_memory
from agentbox.messages import SAMPLE_RATE_HZ

__all__ = [
    "NEEDED",
    "REFERENCE",
    "SHERPA_COMPAT",
    "Convention",
    "Encoding",
    "Nano",
    "is_model_folder",
    "open_model",
    "thinned_rows",
]


_STACKED, _SHIFT = 7, 6
"""A row of the encoder's input is so many frames side by side, and begins so many after the one before."""

_FEATURES = _STACKED * Fbank().bins
_ALIKE = 0.9
"""Least cosine between the logits of a prompt in one run and in two, in the self-test."""

_MOST_SPARE_ROWS = 1024
"""The vocabulary is filled up to a round number: Qwen's has 267 rows more than its tokenizer has tokens."""

_NO_WORDS = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|/sil|endofbreak")
"""What the model writes for silence, a breath or a noise; its authors' own program takes it out of the text, too
(Fun-ASR: serve_realtime_ws.py)."""

Mask: TypeAlias = Callable[[Sequence[int], Floats], Floats]
"""The logits to choose the next token by, float32 [vocabulary], from the tokens so far and the model's own."""


def open_model(folder: Path, opening: Opening) -> Nano:
    """See `load.Family`."""
    engine = Nano(
        folder,
        name=opening.name,
        languages=opening.languages,
        threads=opening.threads,
        tokens_per_second=opening.tokens_per_second or guards.DENSE_TOKENS_PER_SECOND,
    )
    engine.self_test(opening.encoder_rms)
    return engine


class Nano:
    """A Fun-ASR-Nano model from a folder."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        languages: Sequence[str] = (),
        threads: int = 1,
        tokens_per_second: float = guards.DENSE_TOKENS_PER_SECOND,
        itn: bool = True,
        convention: Convention = REFERENCE,
    ) -> None:
        """`itn`: the model is asked to write numbers, dates and the like as such. Raises `ModelError`
        `model_damaged`."""
        self.name = name
        self.capabilities = Capabilities(tuple(languages), streaming=False, token_scores=True, takes_hotwords=True)
        self.tokens_per_second = tokens_per_second
        self._itn = itn
        self._convention = convention
        tokenizer = tokenizer_of(folder)
        self.table = bpe.Bpe.read(tokenizer)
        try:
            self._chat = Chat.of(self.table)
        except KeyError as error:
            raise damaged(tokenizer, f"its tokenizer has no {error}") from error
        self._encoder = GraphFile(
            graph_of(folder, "encoder_adaptor"),
            threads,
            [Port("x", shape=(None, None, _FEATURES))],
            [Port("encoder_out", ("float32", "float16"), (None, None, None))],
        )
        self._embedding = GraphFile(
            graph_of(folder, "embedding"),
            threads,
            [Port("input_ids", ("int64",), (None, None))],
            [Port("embeddings", ("float32", "float16"), (None, None, None))],
        )
        self._llm = Llm(llm_of(folder), threads)
        self._check(folder, tokenizer)
        self._head = self._llm.start()
        """All prompts begin alike: what the language model makes of that is worked out once."""
        try:
            *head, _ = self._embed([*self._chat.head, len(self.table) - 1])
            self._llm.append(np.array(head), self._head)
        except ModelError as error:
            raise damaged(folder, "its parts do not run") from error
        self._width = head[0].size
        return_free_memory()

    def _check(self, folder: Path, tokenizer: Path) -> None:
        """The parts belong together, and to what is done here."""
        metadata = self._encoder.metadata
        stacks = metadata.number("lfr_window_size", _STACKED), metadata.number("lfr_window_shift", _SHIFT)
        if stacks != (_STACKED, _SHIFT):
            raise damaged(self._encoder.file, f"it wants rows of {stacks[0]} frames, every {stacks[1]}")
        widths = (self._encoder.shape("encoder_out")[2], self._embedding.shape("embeddings")[2], self._llm.width)
        if len({width for width in widths if width is not None}) > 1:
            told = " and ".join(str(width) for width in widths)
            raise damaged(folder, f"the rows of its encoder, embedding and language model are {told} wide")
        if not 0 <= self._llm.vocabulary - len(self.table) <= _MOST_SPARE_ROWS:
            raise damaged(tokenizer, f"it has {len(self.table)} tokens, and the model {self._llm.vocabulary}")
        if self._llm.most_rows < 2 * (len(self._chat.head) + len(self._chat.tail)):
            raise damaged(folder, f"its language model has room for {self._llm.most_rows} rows only")

    def encode(
        self,
        samples: Samples,
        *,
        language: str = "",
        hints: Hints = NO_HINTS,
        abort: Callable[[], bool] | None = None,
    ) -> Encoding:
        """The prompt with `samples` in it, float32 [n], n >= `MIN_SAMPLES`; `language` as `user_prompt` takes it.

        Where there is no room for all, the hints go first, then the end of the sound. Raises `ModelError`
        `model_failed`, `Aborted`.
        """
        audio_s = samples.size / SAMPLE_RATE_HZ
        sound = self.hear(samples)
        if abort is not None and abort():
            raise Aborted
        fixed = len(self._chat.head) + len(self._chat.tail)
        task = self._task(language, hints)
        if fixed + len(task) + len(sound) + guards.token_cap(audio_s) > self._llm.most_rows:
            task = self._task(language, replace(hints, hotwords=(), before=""))
        sound = sound[: max(0, self._llm.most_rows - fixed - len(task))]
        state = self._head.copy()
        rows = np.concatenate([self._embed(task), sound, self._embed(self._chat.tail)])
        logits = self._llm.append(rows, state)
        state.rows += self._convention.gap
        return Encoding(state, logits, audio_s)

    def _task(self, language: str, hints: Hints) -> list[int]:
        return self.table.encode(user_prompt(language, hints, itn=self._itn))

    def hear(self, samples: Samples) -> Floats:
        """The rows that the language model gets of the sound, [n, width]. Raises `ModelError` `model_failed`."""
        features = stacked(self._convention.fbank(samples), _STACKED, _SHIFT, padded=self._convention.padded)
        if not len(features):
            return np.zeros((0, self._width), dtype=np.float32)
        rows: Floats = self._encode(features)
        return rows[: thinned_rows(len(features))] if self._convention.thinned else rows

    def _encode(self, features: Features) -> Floats:
        found = self._encoder.run({"x": features[None]}, ["encoder_out"], give_back=True)[0][0]
        rows: Floats = found.astype(np.float32, copy=False)
        return rows

    def _embed(self, tokens: Sequence[int]) -> Floats:
        """float32 [n, width]"""
        ids = np.array([tokens], dtype=np.int64)
        found: Floats = self._embedding.run({"input_ids": ids}, ["embeddings"])[0][0].astype(np.float32, copy=False)
        return found

    def step(self, token: int, state: LlmState) -> Floats:
        """Append one token to `state`. Gives the logits for the token that follows, [vocabulary].

        Raises `ModelError` `model_failed`.
        """
        return self._llm.append(self._embed([token]), state)

    def decode(
        self,
        encoding: Encoding,
        *,
        cap: int | None = None,
        abort: Callable[[], bool] | None = None,
        heard: Callable[[int], None] | None = None,
        mask: Mask | None = None,
        stuck: Callable[[Sequence[int]], bool] = guards.is_stuck,
    ) -> Decoding:
        """The likeliest token at each step, until the model ends, `cap` is reached (by default `guards.token_cap`), the
        room is used up, or what is written is only repeated (`stuck`). `heard` is told each token.

        Raises `ModelError` `model_failed`, `Aborted`.
        """
        cap = guards.token_cap(encoding.audio_s, self.tokens_per_second) if cap is None else cap
        state, logits = encoding.begun, encoding.logits
        rows = state.rows
        cap = min(cap, self._llm.most_rows - rows + self._convention.gap)
        tokens: list[int] = []
        logprobs: list[float] = []
        encoding.written.clear()
        if mask is None:
            encoding.free.begin(logits)
        try:
            while len(tokens) < cap and not stuck(tokens):
                if abort is not None and abort():
                    raise Aborted
                if tokens:
                    logits = self.step(tokens[-1], state)
                    encoding.written.append(tokens[-1])
                    if mask is None:
                        encoding.free.went(tokens[-1], logits)
                token, logprob = best_of_those_left(logits, logits if mask is None else mask(tokens, logits))
                if not math.isfinite(logprob):
                    raise failed(self.name)
                if token in self._chat.ends:
                    return Decoding(tuple(tokens), tuple(logprobs), capped=False)
                tokens.append(token)
                logprobs.append(logprob)
                if heard is not None:
                    heard(token)
            return Decoding(tuple(tokens), tuple(logprobs), capped=True)
        finally:
            state.rows = rows

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
        return self.read(
            samples, How(language=language, speech_ms=speech_ms, abort=abort, hints=hints, partial=partial)
        )[0]

    def sentence_decoder(self, cache: Path | None) -> StepSentences[Encoding, Ways[Encoding]]:
        """See `TakesSentences`."""
        return StepSentences(steps_of(self, self._chat.end), beam=BEAM)

    def room_after(self, encoding: Encoding) -> int:
        """How many tokens may follow the prompt."""
        return self._llm.most_rows - encoding.begun.rows + self._convention.gap

    @property
    def vocabulary(self) -> int:
        """How many tokens are scored."""
        return self._llm.vocabulary

    def after(self, encoding: Encoding, tokens: Sequence[int]) -> Floats:
        """The logits for the token after `tokens`, at least one, [vocabulary]: one run for what was not written before.

        Raises `ModelError` `model_failed`.
        """
        state, written = encoding.begun, encoding.written
        rows = state.rows
        pairs = zip(written, tokens[:-1], strict=False)
        same = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(written), len(tokens) - 1))
        del written[same:]
        state.rows = rows + same
        try:
            logits = self._llm.append(self._embed(tokens[same:]), state)
        finally:
            state.rows = rows
        written += tokens[same:]
        return logits

    def read(self, samples: Samples, how: How) -> tuple[Recognition, Encoding | None]:
        """`transcribe`, and the sound to be held against sentences; null where it is too short."""
        if (short := too_short(samples.size)) is not None:
            return short, None
        speech_ms, abort, partial = how.speech_ms, how.abort, how.partial
        audio_ms = samples.size * 1000 // SAMPLE_RATE_HZ
        check_finite(samples)
        started = time.perf_counter()
        encoding = self.encode(samples, language=how.language, hints=how.hints, abort=abort)
        encoded = time.perf_counter()
        decoding = self.decode(encoding, abort=abort, heard=None if partial is None else self._teller(partial))
        speech_s = encoding.audio_s if speech_ms is None else speech_ms / 1000
        recognition = self.believed(decoding, speech_s)
        if not decoding.tokens and not decoding.capped and speech_s >= guards.SECOND_LOOK_S:
            recognition = self._second_look(encoding, speech_s, abort)
        recognition = replace(
            recognition,
            audio_ms=audio_ms,
            encode_ms=(encoded - started) * 1000,
            decode_ms=(time.perf_counter() - started) * 1000,
        )
        return recognition, encoding

    def _teller(self, partial: Callable[[str], None]) -> Callable[[int], None]:
        so_far = bpe.TextSoFar(self.table)

        def tell(token: int) -> None:
            if so_far.add(token) and (text := _words(so_far.text)):
                partial(text)

        return tell

    def _second_look(self, encoding: Encoding, speech_s: float, abort: Callable[[], bool] | None) -> Recognition:
        """Somebody spoke, and the model ended at once: what it would have written otherwise, if it believes in it."""

        def not_at_once(tokens: Sequence[int], logits: Floats) -> Floats:
            if tokens:
                return logits
            rest = logits.copy()
            rest[list(self._chat.ends)] = -np.inf
            return rest

        decoding = self.decode(encoding, abort=abort, mask=not_at_once)
        found = self.believed(decoding, speech_s)
        if found.confidence is not None and found.confidence >= guards.SECOND_LOOK_BELIEF:
            return found
        return replace(found, text="", suppressed="no_speech")

    def believed(self, decoding: Decoding, speech_s: float) -> Recognition:
        """What of a decoding may be believed, without times."""
        return believed(
            self.spell,
            decoding.tokens,
            decoding.logprobs,
            capped=decoding.capped,
            speech_s=speech_s,
            tokens_per_second=self.tokens_per_second,
        )

    def spell(self, tokens: Sequence[int]) -> str:
        """See `Spelling.spell`. The model does not tell when it heard a token."""
        return _words(self.table.decode(tokens))

    def rest(self) -> None:
        """See `Engine.rest`."""
        self._llm.bind(self._head)
        # The arena is one for all graphs, and only gives back after a run that asks it to.
        self._encode(np.zeros((1, _FEATURES), dtype=np.float32))
        return_free_memory()

    def self_test(self, expected_rms: float | None = None) -> None:
        """Half a second of a rising tone through all graphs; raises `ModelError` where the numbers make no sense.

        Finds weights that are no numbers, and a language model that does not go on where it stopped: the same prompt in
        one run and in two must come to about the same. `expected_rms` is the root mean square of the encoder's output
        for this tone, where the catalogue knows it.
        """
        at = np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ
        tone = (0.1 * np.sin(2 * np.pi * (200 + 1800 * at) * at)).astype(np.float32)
        try:
            sound = self._encode(stacked(REFERENCE.fbank(tone)))
            task = self._task("", NO_HINTS)
            rows = np.concatenate([self._embed(task), sound[: thinned_rows(len(sound))], self._embed(self._chat.tail)])
            in_two = self._llm.append(rows, self._head.copy())
            in_one = self._llm.append(np.concatenate([self._embed(self._chat.head), rows]), self._llm.start())
        except ModelError as error:
            raise senseless(self.name) from error
        fingerprint(sound, self.name, expected_rms)
        fingerprint(rows, self.name)
        sizes = fingerprint(in_one, self.name) * fingerprint(in_two, self.name) * in_one.size
        if float(in_one @ in_two) < _ALIKE * sizes:
            raise senseless(self.name)


def _words(text: str) -> str:
    """`text` without what stands for no words."""
    return _NO_WORDS.sub("", text).strip()
