"""Sound of any length to text with times: cut where nobody speaks, each piece read with what was said before it.

Cutting at pauses and not by the clock is worth more than anything else here (docs/models.md, "Long recordings").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field, replace
from typing import NamedTuple

import numpy as np

from agentbox.asr.engine import Engine, Hints, Recognition, Spelling
from agentbox.asr.engine import Samples as Floats
from agentbox.asr.hotwords.index import HotwordIndex
from agentbox.asr.listener import Listener
from agentbox.audio.ear import Ear, VoiceActivity
from agentbox.audio.segment import Ended, Samples
from agentbox.config import Audio
from agentbox.errors import InputError
from agentbox.messages import SAMPLE_RATE_HZ

BEFORE_LETTERS = 200
"""So much of what was said before goes along: one or two sentences. Models that were trained with it had no more than
some 220 tokens."""

BEFORE_S = 15.0
"""After a longer pause, something else begins."""

_CONTEXT_MISLEADS = ("loop", "too_many_words")
"""What a model writes that goes on with its context instead of with the sound."""


class Word(NamedTuple):
    """A word, or a character of a script without spaces, and when it begins in the whole sound."""

    text: str
    start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Speech between two pauses. Times are seconds of the whole sound."""

    start_s: float
    """Where speech begins, by the voice detector ..."""
    end_s: float
    """... and where it ends."""
    text: str
    confidence: float | None
    words: tuple[Word, ...] = ()
    """Empty where the model does not tell when it heard what."""
    language: str | None = None
    """These three: where the model tells."""
    emotion: str | None = None
    sound_event: str | None = None


@dataclass
class Reader:
    """Reads sound that comes in blocks. `audio_s`, `decode_s`: how much of it has come, and what decoding took.

    `languages`: all that may be spoken, where they are more than `language`; `times`: those of the words are wanted, of
    a model that tells them; `hotwords`: names that are put right, as in what the microphone hears.
    """

    engine: Engine
    vad: VoiceActivity
    language: str
    languages: tuple[str, ...] = ()
    times: bool = False
    hotwords: InitVar[HotwordIndex | None] = None
    audio_s: float = 0.0
    decode_s: float = 0.0
    _before: str = field(default="", init=False)
    _before_end_s: float = field(default=0.0, init=False)
    _listener: Listener = field(init=False)

    def __post_init__(self, hotwords: HotwordIndex | None) -> None:
        self._listener = Listener(self.engine, languages=self.languages)
        self._listener.names.hotwords = hotwords

    def read(self, blocks: Iterable[Samples]) -> Iterator[Segment]:
        """The segments of one sound, as they come; those without words are left out. `blocks`: int16, 16 kHz, any
        size. Never more than one utterance is held in memory.

        Raises what `blocks` and `Engine.transcribe` raise. Where `blocks` raise `InputError`, all speech that came
        before has been read.
        """
        self.audio_s = self.decode_s = 0.0
        self._before, self._before_end_s = "", 0.0
        for ended in _utterances(self._counted(blocks), self.vad):
            segment = self._segment(ended)
            if segment.text:
                yield segment

    def _counted(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        for block in blocks:
            self.audio_s += block.size / SAMPLE_RATE_HZ
            yield block

    def _segment(self, ended: Ended) -> Segment:
        first_s = ended.first_sample / SAMPLE_RATE_HZ
        start_s = first_s + ended.lead_ms / 1000
        end_s = first_s + ended.samples.size / SAMPLE_RATE_HZ - ended.silence_ms / 1000
        close = start_s - self._before_end_s <= BEFORE_S
        recognition = self._recognize(ended, self._before if close else "")
        # A language model may write several lines; a line here is a segment, and an empty one ends a subtitle.
        text = " ".join(recognition.text.split())
        # What a guard threw away is no context, and what stood before it may have led to it.
        self._before = "" if recognition.suppressed else _tail(f"{self._before if close else ''} {text}")
        self._before_end_s = end_s
        return Segment(
            start_s=start_s,
            end_s=end_s,
            text=text,
            confidence=recognition.confidence,
            words=words_of(recognition, self.engine, first_s),
            language=recognition.language,
            emotion=recognition.emotion,
            sound_event=recognition.sound_event,
        )

    def _recognize(self, ended: Ended, before: str) -> Recognition:
        hints = Hints(before=before, times=self.times)
        said = self._transcribe(ended, hints)
        if before and (said.suppressed in _CONTEXT_MISLEADS or _is_echo(said.text, before)):
            said = self._transcribe(ended, replace(hints, before=""))
        return said

    def _transcribe(self, ended: Ended, hints: Hints) -> Recognition:
        samples: Floats = ended.samples.astype(np.float32) / np.float32(32768)
        said = self._listener.hear(samples, language=self.language, speech_ms=ended.speech_ms, hints=hints)
        self.decode_s += (said.decode_ms + (said.hotwords_ms or 0.0)) / 1000
        return said


def words_of(recognition: Recognition, engine: Engine, first_s: float) -> tuple[Word, ...]:
    """The words of a recognition with their times; `first_s` is where its sound begins. Empty where the model does not
    tell the times, or its tokens do not make up the text. A name that was put right begins where what was read in its
    place does."""
    if not recognition.token_ms or not isinstance(engine, Spelling):
        return ()
    as_read = recognition.as_read or recognition.text
    spelt = [engine.spell(recognition.tokens[: n + 1]).strip() for n in range(len(recognition.tokens))]
    if not spelt or spelt[-1] != as_read or len(recognition.token_ms) != len(spelt):
        return ()
    found = []
    for at, word in split_words(recognition.text):
        read_at = _read_at(at, recognition)
        # A letter may take several tokens; until the last of them something else stands in its place.
        token = next(n for n, text in enumerate(spelt) if text[: read_at + 1] == as_read[: read_at + 1])
        found.append(Word(word, first_s + recognition.token_ms[token] / 1000))
    return tuple(found)


def _read_at(at: int, recognition: Recognition) -> int:
    """Where in what was read the letter `at` of the text comes from."""
    more = 0
    for heard, meant, start in recognition.corrections:
        if at < start + more:
            break
        if at < start + more + len(meant):
            return start
        more += len(meant) - len(heard)
    return at - more


def split_words(text: str) -> list[tuple[int, str]]:
    """Each word of `text` and where it begins; of scripts without spaces, each character with the signs after it."""
    found: list[tuple[int, str]] = []
    fresh = True
    for at, letter in enumerate(text):
        if letter.isspace():
            fresh = True
        elif fresh or is_unspaced(letter) or (is_unspaced(found[-1][1][0]) and letter.isalnum()):
            found.append((at, letter))
            fresh = False
        else:
            found[-1] = (found[-1][0], found[-1][1] + letter)
    return found


def is_unspaced(letter: str) -> bool:
    """Chinese, Japanese kana: no spaces between words."""
    return "\u3040" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff" or "\U00020000" <= letter <= "\U0003ffff"


def _utterances(blocks: Iterable[Samples], vad: VoiceActivity) -> Iterator[Ended]:
    vad.reset()  # the sound before may have broken off
    ear = Ear(Audio(), vad, partials=False)
    broken: InputError | None = None
    try:
        for block in blocks:
            yield from (event for event in ear.hear(block) if isinstance(event, Ended))
    except InputError as error:
        broken = error
    yield from (event for event in ear.finish() if isinstance(event, Ended))
    if broken is not None:
        raise broken


def _tail(text: str) -> str:
    """The end of `text`, from the beginning of a word on."""
    text = text.strip()
    if len(text) <= BEFORE_LETTERS:
        return text
    kept: Sequence[tuple[int, str]] = split_words(text)
    return next((text[at:] for at, _ in kept if len(text) - at <= BEFORE_LETTERS), "")


def _is_echo(text: str, before: str) -> bool:
    """Whether a model that was given `before` said just that again: it may have read it out instead of listening."""
    return len(text) > 3 and before.endswith(text)
