"""When the box may act on words: always, after a wake phrase, or while it was asked to listen. Pure; time is given.

A wake phrase is looked for at the start of the transcript by likeness of letters, since a small model writes
"Hey, compute her" as readily as "Hey computer".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

from rapidfuzz.distance import Levenshtein

from agentbox.asr.wakeful import Wakeful
from agentbox.messages import ActivatedBy

Mode = Literal["always", "wake_phrase", "push_to_talk"]

MAX_FILLER_WORDS = 1
"""Words allowed before the phrase ("um, hey computer")."""

NEEDLESS_LIKENESS = 0.7
"""Likeness of a phrase that was said though none was needed; it is only taken off."""

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:['’][^\W_]+)*")


class Opened(NamedTuple):
    """The gate is open for this utterance. `command` is what is left without the wake phrase."""

    by: ActivatedBy
    command: str
    phrase: str | None = None
    start: int = 0
    """Where in the text the command begins."""
    lead: float = 0.0
    """Which share of the text (0..1) comes before the phrase and is none of the box's business."""


class Found(NamedTuple):
    """A wake phrase at the start of a text."""

    phrase: str
    rest: str
    """What comes after it."""
    begin: int
    """Where it begins: a word may come before."""


class Activation:
    """Decides for each transcript whether it is meant for the box.

    `phrases`: the owner's wake phrases. `attention_s`: how long the box listens after a phrase that stood alone.
    `likeness`: how alike (0..1) a transcript's start must be to a phrase. `sensitivity`: how easily a phrase is heard
    in the sound itself, 0 (strict) to 1.
    """

    def __init__(
        self,
        mode: Mode,
        phrases: Sequence[str],
        attention_s: float,
        likeness: float = 0.85,
        sensitivity: float = 0.5,
    ) -> None:
        self.mode = mode
        self.attention_s = attention_s
        self._phrases = [(phrase, _letters(phrase)) for phrase in phrases]
        self._likeness = likeness
        self._sensitivity = sensitivity
        self._open_until = float("-inf")
        self._follow_until = float("-inf")
        self._pressed_until = float("-inf")
        self._alert_until = float("-inf")
        self.talking = False
        """The box speaks: "stop" counts without a wake phrase."""

    def alert(self, now: float, seconds: float | None = None) -> None:
        """The box makes noise: for `seconds` (default `attention_s`) "stop" counts without a wake phrase."""
        self._alert_until = max(self._alert_until, now + (self.attention_s if seconds is None else seconds))

    def alerting(self, now: float) -> bool:
        """Whether "stop" counts without a wake phrase."""
        return self.talking or now < self._alert_until

    def attend(self, now: float, seconds: float | None = None) -> None:
        """Listen without a wake phrase from `now` on for `seconds` (default `attention_s`)."""
        self._open_until = max(self._open_until, now + (self.attention_s if seconds is None else seconds))

    def answered(self) -> None:
        """What was waited for has been said."""
        self._open_until = self._follow_until = float("-inf")

    def follow(self, now: float) -> None:
        """The box has answered: for `attention_s` the owner may go on without a wake phrase. Others talk as well, so
        that only what is surely a command counts."""
        self._follow_until = now + self.attention_s

    def press(self, now: float, seconds: float) -> None:
        """The owner asked the box to listen (key, signal or `agentbox listen`) to the next utterance."""
        self._pressed_until = now + seconds

    def listening(self, now: float) -> bool:
        """Whether sound is looked at at all: with push-to-talk only while it was asked for."""
        asked = max(self._pressed_until, self._open_until, self._follow_until)
        return self.mode != "push_to_talk" or self.alerting(now) or now < asked

    def opens(self, now: float) -> ActivatedBy | None:
        """Why an utterance that starts now needs no wake phrase, or null if it does."""
        if now < self._pressed_until:
            return "push_to_talk"
        if self.mode == "always":
            return "always"
        if now < self._open_until:
            return "attention"
        return "follow_up" if now < self._follow_until else None

    def wakeful(self, already: ActivatedBy | None) -> Wakeful | None:
        """For an utterance that must begin with a wake phrase (`already` null): how to look for it by sound."""
        phrases = [phrase for phrase, letters in self._phrases if letters]
        if already is not None or self.mode != "wake_phrase" or not phrases:
            return None
        return Wakeful(phrases, self._sensitivity, lambda text: self.find_phrase(text) is not None)

    def decide(self, text: str, already: ActivatedBy | None, wake: str | None = None) -> Opened | None:
        """Whether the words `text` may be acted on. `already`: what `opens` said when the utterance started.

        `wake`: the phrase that the sound begins with; empty where it begins with none: then only the very letters of a
        phrase count; null where nobody looked. A phrase is taken off the command in every mode, so that it does no harm
        where it is not needed.
        """
        least = 1.0 if wake == "" else self._likeness
        # Where no phrase is needed nobody looked for one in the sound; one that was misheard is no part of the command.
        found = self.find_phrase(text, least if already is None else min(least, NEEDLESS_LIKENESS))
        by = already or ("wake_phrase" if found and self.mode == "wake_phrase" else None)
        if by is None:
            return None
        if found is None:
            return Opened(by, text.strip())
        start = text.rindex(found.rest) if found.rest else len(text)
        # Where no phrase was needed, what comes before it was meant as well.
        lead = found.begin / len(text) if already is None else 0.0
        return Opened(by, found.rest, found.phrase, start, lead)

    def used(self) -> None:
        """An utterance took the press; the next one needs another."""
        self._pressed_until = float("-inf")

    def find_phrase(self, text: str, likeness: float | None = None) -> Found | None:
        """The phrase that `text` starts with, or null. `likeness`: other than usual."""
        least = self._likeness if likeness is None else likeness
        words = list(_WORD.finditer(text))
        best: tuple[float, int, int, str] | None = None
        for phrase, letters in self._phrases:
            length = max(1, len(_WORD.findall(phrase)))
            for first in range(min(MAX_FILLER_WORDS + 1, len(words))):
                for count in range(max(1, length - 1), length + 2):
                    if first + count > len(words):
                        continue
                    heard = _letters("".join(word.group() for word in words[first : first + count]))
                    alike = Levenshtein.normalized_similarity(heard, letters)
                    # Of two equally good cuts the one that leaves more of the command, from the first word on.
                    candidate = (alike, -first, -count, phrase)
                    if alike >= least and (best is None or candidate > best):
                        best = candidate
        if best is None:
            return None
        _, first, count, phrase = best
        end = words[-first - count - 1].end()
        return Found(phrase, text[end:].strip(" \t,.!?;:，。！？；：、"), words[-first].start())


def _letters(text: str) -> str:
    """Letters and digits only, in one case, without accents; Chinese characters stay."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(char for char in plain.casefold() if char.isalnum())
