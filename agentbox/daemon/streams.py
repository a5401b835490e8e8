"""Talks, and those that are still being made while they are said: a cloud model's sound, and a text model's words."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from agentbox.audio.mixer import RATE_HZ, Track
from agentbox.messages import Reply
from agentbox.tts.engine import Samples
from agentbox.tts.narrator import Narrator
from agentbox.tts.pieces import written_so_far

Pieces: TypeAlias = AsyncGenerator[tuple[Samples, int], None]
"""Sound, each piece with its rate in Hz."""


class Unfinished:
    """What both have in common."""

    def __init__(self) -> None:
        self.text = ""
        self.received_ms = 0.0
        """How long it is, as far as it has come."""
        self.heard_ms = 0.0
        """How much of it has left the speaker."""
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Done when nothing more of it will be heard; whether it was heard to its end."""

    def end(self, whole: bool, heard_ms: float) -> None:
        if not self.ended.done():
            self.heard_ms = heard_ms
            self.ended.set_result(whole)


class Stream(Unfinished):
    """A talk whose sound comes from elsewhere, piece by piece: see `Speaking.stream`."""

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        self.rate_hz = rate_hz
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    def add(self, pcm: bytes) -> None:
        """More sound: mono signed 16-bit little-endian PCM."""
        self.received_ms += len(pcm) / 2 * 1000 / self.rate_hz
        self._pieces.put_nowait(pcm)

    def add_words(self, more: str) -> None:
        """What the sound says."""
        self.text += more

    def finish(self) -> None:
        """No more sound comes."""
        self._pieces.put_nowait(None)

    async def pieces(self) -> Pieces:
        while (pcm := await self._pieces.get()) is not None:
            yield np.frombuffer(pcm, dtype="<i2"), self.rate_hz


class Narration(Unfinished):
    """A text that is said by the box's own voice while it is still being written: see `Speaking.narrate`."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = ""
        self._again: deque[str] = deque()
        self._is_over = False
        self._sentences: asyncio.Queue[str | None] = asyncio.Queue()
        self._said: list[tuple[str, float]] = []

    def add_words(self, more: str) -> None:
        """What is written next; whole sentences are said as soon as they are."""
        self.text += more
        whole, self._rest = written_so_far(self._rest + more)
        for sentence in whole:
            self._sentences.put_nowait(sentence)

    def finish(self) -> None:
        """No more is written."""
        if self._rest.strip():
            self._sentences.put_nowait(self._rest.strip())
        self._sentences.put_nowait(None)

    async def next_sentence(self) -> str | None:
        """What is to be said next, once it is written; null: all was taken."""
        if self._again:
            return self._again.popleft()
        if not self._is_over:
            sentence = await self._sentences.get()
            self._is_over = sentence is None
            return sentence
        return None

    def give_back(self, sentences: Sequence[str]) -> None:
        """They were taken and not said: they come next."""
        self._again.extendleft(reversed(sentences))

    def begin(self, sentence: str) -> None:
        """The sound that comes next is of `sentence`."""
        self._said.append((sentence, 0.0))

    def note(self, more_ms: float) -> None:
        """So much more of its sound is there."""
        self.received_ms += more_ms
        sentence, ms = self._said[-1]
        self._said[-1] = (sentence, ms + more_ms)

    def cut(self, words: str) -> None:
        """Its sound broke off after these words of it."""
        self._said[-1] = (words, self._said[-1][1])

    async def pieces(self, narrator: Narrator) -> Pieces:
        """Raises `ModelError` `voice_failed`."""
        rate_hz = narrator.voice.sample_rate_hz
        while (sentence := await self.next_sentence()) is not None:
            self.begin(sentence)
            async with aclosing(narrator.say(sentence)) as sounds:
                async for sound in sounds:
                    self.note(sound.size * 1000 / rate_hz)
                    yield sound, rate_hz

    def heard_text(self) -> str:
        """The words that were heard: of a sentence that was cut off, as many as its share of the time."""
        heard, left_ms = [], self.heard_ms
        for sentence, ms in self._said:
            if ms <= 0:
                break  # it was not said yet
            words = sentence.split(" ")
            share = 1.0 if left_ms >= ms else left_ms / ms
            heard += words[: int(len(words) * share)]
            left_ms -= ms
            if left_ms <= 0:
                break
        return " ".join(heard)


class Said(NamedTuple):
    """Words that were heard from the speaker, at least in part."""

    talk: Talk
    begin_s: float
    end_s: float
    """Infinite while they are being said."""


@dataclass(slots=True)
class Talk:
    reply: Reply
    words: str
    volume: float
    asked_s: float
    stream: Unfinished | None = None
    """Where its words or its sound come from; null: it is complete."""
    track: Track | None = None
    heard: bool = False
    """The first sound of it has left the speaker."""
    unwanted: bool = False
    confided: bool = False
    """Kept nowhere, and said slowly."""

    @property
    def text(self) -> str:
        """What it says, as far as is known."""
        return self.words if self.stream is None else self.stream.text

    def left_s(self) -> float:
        """How much of what is there is still to be played."""
        return 0.0 if self.track is None else self.track.left_frames / RATE_HZ


class Elsewhere(Protocol):
    """A voice that is not the box's own: see `cloud_voice.CloudVoice`, which is there only where the owner wants it."""

    def speaks(self, reply: Reply) -> bool:
        """Whether it may say `reply` now."""
        ...

    def say(self, text: Narration, turn_id: str, left_s: Callable[[], float]) -> Pieces:
        """The sound of `text`, as far as it can be had; the rest is left in it. `left_s`: how much of what was given
        is still to be heard."""
        ...


def written(text: str) -> Narration:
    """One that is complete."""
    narration = Narration()
    narration.add_words(text)
    narration.finish()
    return narration


async def next_piece(pieces: Pieces, over: asyncio.Task[None]) -> tuple[Samples, int] | None:
    """The next piece; null where there is none, or when `over` is done before it comes."""
    more = asyncio.ensure_future(anext(pieces, None))
    try:
        await asyncio.wait([more, over], return_when=asyncio.FIRST_COMPLETED)
        return more.result() if more.done() else None
    finally:
        if not more.done():
            # Nobody may close the pieces while one is being made.
            more.cancel()
            await asyncio.gather(more, return_exceptions=True)
