"""The Whisper engine: half a minute of sound at once, in any of 99 languages, on onnxruntime.

The graphs are those that optimum exports and the hub publishes (see `whisper_graphs`). A decoding is greedy. Where
openai/whisper decodes again at up to five temperatures when it does not believe its words, this does so once: without
the prompt, and with the third round of any loop forbidden.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agentbox.asr import guards, whisper_graphs
from agentbox.asr.bpe import TextSoFar
from agentbox.asr.constrain.one_by_one import Ways
from agentbox.asr.constrain.sentences import How
from agentbox.asr.constrain.steps import StepSentences
from agentbox.asr.engine import NO_HINTS, Aborted, Capabilities, Hints, Opening, Recognition, Samples
from agentbox.asr.graph_files import damaged, failed, fingerprint, senseless
from agentbox.asr.log_mel import WINDOW_S, log_mel
from agentbox.asr.sound import check_finite, too_short
from agentbox.asr.whisper_graphs import Cache, Floats, WhisperGraphs
from agentbox.asr.whisper_prompt import echoes, prompt_of
from agentbox.asr.whisper_rules import Rules
from agentbox.asr.whisper_steps import BEAM, WhisperSound, steps_of
from agentbox.asr.whisper_tokens import TIMES, Vocabulary, is_whisper
from agentbox.asr.whisper_windows import after, joined, times_of, together, windows
from agentbox.errors import ModelError
from agentbox.inference import return_free_memory
from agentbox.messages import SAMPLE_RATE_HZ

NEEDED = "encoder_model and decoder_model_merged (.onnx) of Whisper and its tokenizer.json"

_LATIN = (
    "af az bs ca cs cy da de en es et eu fi fo fr gl hr ht hu id is it jv la lb lt lv ms mt nl nn no oc pl pt ro sk sl "
    "so sq su sv sw tl tr uz vi yo"
)
"""Languages whose words take few tokens; of others a letter may take two or three."""

_NO_SPEECH = 0.6
_UNLIKELY = -1.0
"""openai/whisper's own limits (transcribe.py): the probability that nobody speaks, and the mean logarithm of the
tokens' probabilities under which the words are not believed."""

_LOOP_TOKENS = 48
"""A loop is looked for in so many tokens at the end."""


@dataclass(frozen=True, slots=True)
class _Decoding:
    tokens: tuple[int, ...]
    """Without marks."""
    logprobs: tuple[float, ...]
    end_logprob: float | None
    """Of the end; null where the cap or a loop stopped it, not the model."""
    token_ms: tuple[int, ...]
    """When they begin; empty without times."""
    no_speech: float
    """The probability that nobody speaks."""

    @property
    def belief(self) -> float:
        """Mean logarithm of the probabilities of the tokens and the end."""
        every = self.logprobs if self.end_logprob is None else (*self.logprobs, self.end_logprob)
        return math.fsum(every) / len(every) if every else 0.0


@dataclass(frozen=True, slots=True)
class _Task:
    """What is wanted of one window of sound."""

    audio_s: float
    tag: str
    """The language, BCP-47."""
    mark: int | None
    cap: int
    hints: Hints
    abort: Callable[[], bool] | None
    partial: Callable[[str], None] | None


def open_model(folder: Path, opening: Opening) -> Whisper:
    """See `load.Family`."""
    engine = Whisper(
        folder,
        name=opening.name,
        languages=opening.languages,
        threads=opening.threads,
        tokens_per_second=opening.tokens_per_second,
    )
    engine.self_test(opening.encoder_rms)
    return engine


def is_model_folder(folder: Path) -> bool:
    """Whether `folder` has a Whisper model's files."""
    return whisper_graphs.find(folder) is not None and is_whisper(folder)


class Whisper:
    """A Whisper model from a folder with encoder_model, decoder_model_merged and tokenizer.json."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        languages: Sequence[str] = (),
        threads: int = 1,
        tokens_per_second: float | None = None,
    ) -> None:
        """`languages`: those of the tokenizer by default. Raises `ModelError` `model_damaged`."""
        self.name = name
        files = whisper_graphs.find(folder)
        if files is None:
            raise damaged(folder, f"it lacks {NEEDED}")
        self.vocabulary = Vocabulary.read(folder)
        known = tuple(languages or self.vocabulary.languages or ("en",))
        takes_hotwords = self.vocabulary.previous is not None
        self.capabilities = Capabilities(known, streaming=False, token_scores=True, takes_hotwords=takes_hotwords)
        self._last: tuple[Samples, Cache] | None = None
        """The last window, and what the encoder made of it, which takes longest: it may be read again with names."""
        self._heard: WhisperSound | None = None
        """The last window, and how it was read."""
        self._tokens_per_second = tokens_per_second
        self._graphs = WhisperGraphs(*files, threads, self.vocabulary.mel_bands)
        size = self.vocabulary.first_time + TIMES
        self._rules = {times: Rules(self.vocabulary, size, times=times) for times in (False, True)}
        return_free_memory()

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
        """See `Engine.transcribe`. A language that the model does not know, such as `und`, is taken for any.

        More than half a minute is heard in several windows.
        """
        if (short := too_short(samples.size)) is not None:
            self._heard = None
            return short
        audio_ms = samples.size * 1000 // SAMPLE_RATE_HZ
        check_finite(samples)
        parts: list[Recognition] = []
        for begin, end in windows(samples):
            share = (end - begin) / samples.size
            speech_s = (end - begin) / SAMPLE_RATE_HZ if speech_ms is None else share * speech_ms / 1000
            told = replace(hints, before=f"{hints.before} {joined(parts)}".strip())
            shown = partial if partial is None or not parts else after(joined(parts), partial)
            part = self._hear(samples[begin:end], language, speech_s, abort, told, shown)
            offset_ms = begin * 1000 // SAMPLE_RATE_HZ
            parts.append(replace(part, token_ms=tuple(at + offset_ms for at in part.token_ms)))
        return replace(together(parts), audio_ms=audio_ms)

    def sentence_decoder(self, cache: Path | None) -> StepSentences[WhisperSound, Ways[WhisperSound]]:
        """See `TakesSentences`."""
        return StepSentences(steps_of(self._graphs, self.vocabulary), beam=BEAM)

    def read(self, samples: Samples, how: How) -> tuple[Recognition, WhisperSound | None]:
        """See `KeepsSound`; null where the sound takes several windows."""
        read = self.transcribe(
            samples,
            language=how.language,
            speech_ms=how.speech_ms,
            abort=how.abort,
            hints=how.hints,
            partial=how.partial,
        )
        heard, self._heard = self._heard, None
        return read, heard if samples.size <= WINDOW_S * SAMPLE_RATE_HZ else None

    def _hear(
        self,
        samples: Samples,
        language: str,
        speech_s: float,
        abort: Callable[[], bool] | None,
        hints: Hints,
        partial: Callable[[str], None] | None,
    ) -> Recognition:
        """What is said in one window."""
        started = time.perf_counter()
        _ask(abort)
        encoded = self._encoded(samples, again=bool(hints.hotwords))
        encode_ms = (time.perf_counter() - started) * 1000
        _ask(abort)
        tag, mark, told = self._language(encoded, language, hints)
        rate = self._rate(tag)
        cap = guards.token_cap(samples.size / SAMPLE_RATE_HZ, rate)
        task = _Task(samples.size / SAMPLE_RATE_HZ, tag, mark, cap, hints, abort, partial)
        prompt = prompt_of(self.vocabulary, tag, hints)
        decoding = self._decode(encoded, prompt, task)
        found = self._believed(decoding, speech_s, rate, task)
        if found.suppressed in ("loop", "too_many_words") or (prompt and decoding.belief < _UNLIKELY):
            again = self._decode(encoded, [], task, no_loops=True)
            second = self._believed(again, speech_s, rate, task)
            enough = max(_UNLIKELY, decoding.belief) if found.text else _UNLIKELY
            if second.suppressed is None and again.belief > enough:
                found = second
        return replace(
            found,
            language=tag if told else None,
            encode_ms=encode_ms,
            decode_ms=(time.perf_counter() - started) * 1000,
        )

    def _encoded(self, samples: Samples, *, again: bool) -> Cache:
        """`again`: it may have been read just before. Raises `ModelError` `model_failed`."""
        if not again or self._last is None or not np.array_equal(self._last[0], samples):
            self._last = None
            self._last = samples.copy(), self._graphs.encode(log_mel(samples, self.vocabulary.mel_bands))
        return self._last[1]

    def _language(self, encoded: Cache, language: str, hints: Hints) -> tuple[str, int | None, bool]:
        """The language as BCP-47, its mark, and whether it was heard."""
        marks = self.vocabulary.languages
        if not marks:
            return "en", None, False
        fixed = self.vocabulary.language_of(language)
        among = {tag: mark for tag in hints.languages if (mark := self.vocabulary.language_of(tag)) is not None}
        if len(among) < 2 and fixed is not None:
            return language, fixed, False
        among = among if len(among) > 1 else marks
        logits, _ = self._graphs.begin([self.vocabulary.start], encoded)
        scores = {tag: float(logits[0, mark]) for tag, mark in among.items()}
        heard = max(scores, key=scores.__getitem__)
        return heard, among[heard], True

    def _rate(self, tag: str) -> float:
        latin = tag.split("-")[0].lower() in _LATIN.split()
        return self._tokens_per_second or (guards.TOKENS_PER_SECOND if latin else guards.DENSE_TOKENS_PER_SECOND)

    def _decode(self, encoded: Cache, prompt: list[int], task: _Task, *, no_loops: bool = False) -> _Decoding:
        """The likeliest token each time. Raises `ModelError` `model_failed`, `Aborted`."""
        words = self.vocabulary
        times = task.hints.times
        marks = [task.mark, words.transcribe, None if times else words.no_timestamps]
        first = [*prompt, words.start, *(mark for mark in marks if mark is not None)]
        rows, cache = self._graphs.begin(first, encoded)
        no_speech = self._no_speech(rows[len(prompt)])
        logits = rows[-1].copy()
        del rows  # 40 MB after a long prompt
        self._heard = heard = WhisperSound(task.audio_s, first, encoded)
        heard.free.begin(logits)
        heard.last = cache
        said: list[int] = []
        logprobs: list[float] = []
        text = TextSoFar(words.pieces)
        written: list[int] = []
        room = words.positions - len(first)
        while True:
            token, logprob = self._choose(logits, said, times, written if no_loops else None)
            if token == words.end:
                return self._decoded(said, logprobs, no_speech, logprob)
            if token < words.end:
                written.append(token)
                if text.add(token) and task.partial is not None:
                    task.partial(text.text.strip())
            said.append(token)
            logprobs.append(logprob)
            if len(written) >= task.cap or len(said) >= room or guards.is_stuck(written):
                return self._decoded(said, logprobs, no_speech, None)
            _ask(task.abort)
            logits, cache = self._graphs.step(token, cache)
            heard.free.went(token, logits)
            heard.last = cache

    def _no_speech(self, logits: Floats) -> float:
        """The probability that nobody speaks; it stands where the language is asked for."""
        mark = self.vocabulary.no_speech
        return 0.0 if mark is None else math.exp(float(logits[mark]) - _log_sum(logits))

    def _choose(self, logits: Floats, said: list[int], times: bool, unlooped: list[int] | None) -> tuple[int, float]:
        """The likeliest token that may follow `said`, and the logarithm of its probability. `unlooped`: the text, in
        which nothing may be said three times in a row."""
        total = _log_sum(logits)
        if not math.isfinite(total):
            raise failed(self.name)
        allowed = logits.copy()
        self._rules[times].apply(allowed, said)
        token = int(allowed.argmax())
        while unlooped is not None and token < self.vocabulary.end:
            if guards.tail_loop([*unlooped[-_LOOP_TOKENS:], token], 3) is None:
                break
            allowed[token] = -np.inf
            token = int(allowed.argmax())
        return token, float(logits[token]) - total

    def _decoded(
        self, said: list[int], logprobs: list[float], no_speech: float, end_logprob: float | None
    ) -> _Decoding:
        kept = [at for at, token in enumerate(said) if token < self.vocabulary.end]
        starts = times_of(said, self.vocabulary.end, self.vocabulary.first_time)
        return _Decoding(
            tokens=tuple(said[at] for at in kept),
            logprobs=tuple(logprobs[at] for at in kept),
            token_ms=starts,
            end_logprob=end_logprob,
            no_speech=no_speech,
        )

    def _believed(self, decoding: _Decoding, speech_s: float, rate: float, task: _Task) -> Recognition:
        """What of a decoding may be believed."""
        verdict = guards.judge(
            decoding.tokens,
            decoding.logprobs,
            capped=decoding.end_logprob is None,
            speech_s=speech_s,
            tokens_per_second=rate,
        )
        text = self.spell(decoding.tokens[: verdict.kept])
        suppressed = verdict.suppressed
        if suppressed is None and decoding.tokens:
            silent = decoding.no_speech > _NO_SPEECH and decoding.belief < _UNLIKELY
            if guards.too_regular(text):
                suppressed = "loop"
            elif silent or not guards.has_words(text) or echoes(text, task.tag, task.hints):
                suppressed = "no_speech"
        kept = len(decoding.tokens) if suppressed else verdict.kept
        return Recognition(
            text="" if suppressed else text,
            confidence=guards.mean_probability(decoding.logprobs[:kept]),
            tokens=decoding.tokens[:kept],
            token_logprobs=decoding.logprobs[:kept],
            token_ms=decoding.token_ms[:kept],
            suppressed=suppressed,
        )

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, as `Recognition.text` has it."""
        return self.vocabulary.pieces.decode(tokens).strip()

    def rest(self) -> None:
        """See `Engine.rest`."""
        self._last = self._heard = None
        self._graphs.rest()
        return_free_memory()

    def self_test(self, expected_rms: float | None = None) -> None:
        """Half a second of a rising tone through both graphs; raises `ModelError` `model_damaged` where the numbers
        make no sense: a tokenizer of another model, or a processor on which a quantised graph computes rubbish.

        `expected_rms` is the root mean square of the encoder's output for this tone, where the catalogue knows it.
        """
        at = np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ
        tone = (0.1 * np.sin(2 * np.pi * (200 + 1800 * at) * at)).astype(np.float32)
        try:
            encoded = self._graphs.encode(log_mel(tone, self.vocabulary.mel_bands))
            rows, cache = self._graphs.begin([self.vocabulary.start], encoded)
            fits = rows.shape[1] == self.vocabulary.first_time + TIMES
            second, _ = self._graphs.step(self.vocabulary.no_timestamps, cache) if fits else (rows, cache)
        except ModelError as error:
            raise senseless(self.name) from error
        if not fits:
            raise senseless(self.name)
        fingerprint(encoded.hidden.numpy(), self.name, expected_rms)
        for numbers in (rows, second):
            fingerprint(numbers, self.name)


def _ask(abort: Callable[[], bool] | None) -> None:
    if abort is not None and abort():
        raise Aborted


def _log_sum(logits: Floats) -> float:
    highest = float(logits.max())
    return highest + math.log(float(np.exp(logits - highest).sum())) if math.isfinite(highest) else highest
