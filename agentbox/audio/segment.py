"""Cuts the stream of sound into utterances: a pure object that takes samples with a speech probability.

It knows no clock: time is the count of samples it was given. Frames may have any size. Every sample that was
counted as speech is in exactly one `Ended` or `Dropped` stretch (a property test holds it to that).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.config import Endpoint
from agentbox.messages import SAMPLE_RATE_HZ

Samples: TypeAlias = NDArray[np.int16]
Completeness: TypeAlias = Literal["no", "continuable", "complete"]
EndReason: TypeAlias = Literal["silence", "max_length", "end_of_input", "released", "understood"]

HYSTERESIS = 0.15
"""Speech goes on until the probability falls this far below the threshold (Silero's own `neg_threshold`)."""

STIR_MS = 64
"""So much speech may be the beginning of more: a talking box falls silent on the chance."""

PARTIAL_AFTER_MS = 2000
PARTIAL_EVERY_MS = 500
PARTIAL_STREAMED_MS = 320
"""The first one and all others, where the words so far cost no more than the sound that is new."""

CUT_WITHIN_MS = 3000
"""An utterance at its length cap is cut at the least speech-like frame of this last stretch, not inside a word."""


@dataclass(frozen=True, slots=True)
class Started:
    """Enough speech was heard to call it an utterance. `number` counts utterances from 0."""

    number: int
    first_sample: int


@dataclass(frozen=True, slots=True)
class Stirred:
    """Somebody may have begun to speak. Followed by a `Started` or a `Dropped`."""

    first_sample: int


@dataclass(frozen=True, slots=True)
class PartialDue:
    """The utterance so far, for a partial transcript."""

    number: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class Paused:
    """Speech pauses. If it does not go on, `samples` hold all of it: decode them now, speculatively."""

    number: int
    samples: Samples
    speech_ms: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """Speech went on after a `Paused`: what was decoded from it is void."""

    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The utterance is over."""

    number: int
    first_sample: int
    samples: Samples
    speech_ms: int
    silence_ms: int
    lead_ms: int
    """Sound before the first speech, rounded down."""
    reason: EndReason
    paused: bool
    """True when a `Paused` came after the last speech: its decoding is the utterance's decoding."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sound too short to be speech (a click), `speech_ms` long."""

    first_sample: int
    sample_count: int
    speech_ms: int


SegmentEvent: TypeAlias = Stirred | Started | PartialDue | Paused | Resumed | Ended | Dropped


class _Frame(NamedTuple):
    samples: Samples
    probability: float
    speech: bool


def _ms(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE_HZ


def _count(ms: float) -> int:
    return int(ms * SAMPLE_RATE_HZ / 1000)


class Segmenter:
    """Feeds on frames, gives `SegmentEvent`s.

    `threshold`: speech probability from which a frame starts speech. `pre_roll_ms`: sound kept from before the
    first speech, so that a soft first consonant survives. `partials`: whether `PartialDue` is wanted; `streamed`:
    often, since the engine works while the owner speaks.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        threshold: float = 0.5,
        pre_roll_ms: int = 500,
        partials: bool = True,
        streamed: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._threshold = threshold
        self._pre_roll_samples = _count(pre_roll_ms)
        self._max_samples = _count(endpoint.max_utterance_s * 1000)
        self._min_speech = _count(endpoint.min_speech_ms)
        self._partials = partials
        self.pace(streamed=streamed)
        self._position = 0
        self._number = 0
        self._pre_roll: list[_Frame] = []
        self._reset()

    def pace(self, *, streamed: bool) -> None:
        """How often `PartialDue` comes from now on, where it is wanted."""
        self._partial_after = _count(PARTIAL_STREAMED_MS if streamed else PARTIAL_AFTER_MS)
        self._partial_every = _count(PARTIAL_STREAMED_MS if streamed else PARTIAL_EVERY_MS)

    def _reset(self) -> None:
        self._frames: list[_Frame] = []
        self._active = False
        self._started = False
        self._stirred = False
        self._first_sample = 0
        self._length = 0
        self._speech = 0
        self._silence = 0
        self._paused = False
        self._completeness: Completeness = "no"
        self._next_partial = self._partial_after

    @property
    def active(self) -> bool:
        """True from the first speech of an utterance to its end."""
        return self._active

    @property
    def length(self) -> int:
        """How many samples the utterance under way has, pre-roll included; 0 before the first frame of speech is
        confirmed."""
        return self._length if self._started else 0

    @property
    def silence_ms(self) -> int:
        """How long the utterance under way has been silent by now."""
        return _ms(self._silence) if self._started else 0

    @property
    def so_far(self) -> Samples:
        """The utterance under way, pre-roll included."""
        return self._joined()

    @property
    def position(self) -> int:
        """How many samples were fed so far."""
        return self._position

    def feed(self, samples: Samples, probability: float) -> list[SegmentEvent]:
        """Take the next frame (int16, any length) and the probability 0..1 that it is speech."""
        if samples.size == 0:
            return []
        limit = self._threshold - HYSTERESIS if self._active and not self._silence else self._threshold
        frame = _Frame(samples, probability, probability >= limit)
        events: list[SegmentEvent] = []
        if not self._active:
            if frame.speech:
                self._begin()
            else:
                self._remember(frame)
        self._position += samples.size
        if self._active:
            self._add(frame, events)
        return events

    def set_completeness(self, number: int, completeness: Completeness) -> None:
        """Say what the speculative decoding of utterance `number`'s present pause amounts to as a command."""
        if number == self._number and self._paused:
            self._completeness = completeness

    def finish(self, reason: EndReason = "end_of_input") -> list[SegmentEvent]:
        """End whatever is under way: the input is over, or the talk key was released."""
        events: list[SegmentEvent] = []
        if self._active:
            self._end(reason, events)
        self._pre_roll.clear()
        return events

    def _remember(self, frame: _Frame) -> None:
        self._pre_roll.append(frame)
        kept = sum(one.samples.size for one in self._pre_roll)
        while kept - self._pre_roll[0].samples.size >= self._pre_roll_samples:
            kept -= self._pre_roll.pop(0).samples.size

    def _begin(self, carried: list[_Frame] | None = None) -> None:
        before = self._pre_roll if carried is None else carried
        self._pre_roll = []
        self._reset()
        self._active = True
        self._frames = before
        self._length = sum(frame.samples.size for frame in before)
        self._speech = sum(frame.samples.size for frame in before if frame.speech)
        self._first_sample = self._position - self._length

    def _add(self, frame: _Frame, events: list[SegmentEvent]) -> None:
        self._frames.append(frame)
        self._length += frame.samples.size
        if frame.speech:
            self._hear_speech(frame, events)
        else:
            self._hear_silence(frame, events)
        if self._active and self._length >= self._max_samples:
            self._cut(events)

    def _hear_speech(self, frame: _Frame, events: list[SegmentEvent]) -> None:
        if self._paused:
            events.append(Resumed(self._number))
            self._paused = False
            self._completeness = "no"
        self._silence = 0
        self._speech += frame.samples.size
        if not self._stirred and self._speech >= _count(STIR_MS):
            self._stirred = True
            events.append(Stirred(self._first_sample))
        if not self._started and self._speech >= self._min_speech:
            self._started = True
            events.append(Started(self._number, self._first_sample))
        if self._partials and self._started and self._length >= self._next_partial:
            self._next_partial = self._length + self._partial_every
            events.append(PartialDue(self._number, self._joined()))

    def _hear_silence(self, frame: _Frame, events: list[SegmentEvent]) -> None:
        self._silence += frame.samples.size
        if self._started and not self._paused and self._silence >= _count(self._endpoint.speculate_ms):
            self._paused = True
            events.append(Paused(self._number, self._joined(), _ms(self._speech)))
        wait_ms = {
            "no": self._endpoint.silence_ms,
            "continuable": self._endpoint.continuable_ms,
            "complete": self._endpoint.complete_ms,
        }[self._completeness]
        if self._silence >= _count(wait_ms):
            self._end("silence", events)

    def _lead(self) -> int:
        """Samples before the first speech."""
        return sum(frame.samples.size for frame in itertools.takewhile(lambda frame: not frame.speech, self._frames))

    def _joined(self) -> Samples:
        return np.concatenate([frame.samples for frame in self._frames])

    def _end(self, reason: EndReason, events: list[SegmentEvent]) -> None:
        if self._speech < self._min_speech:
            events.append(Dropped(self._first_sample, self._length, _ms(self._speech)))
        else:
            if not self._started:
                events.append(Started(self._number, self._first_sample))
            events.append(
                Ended(
                    number=self._number,
                    first_sample=self._first_sample,
                    samples=self._joined(),
                    speech_ms=_ms(self._speech),
                    silence_ms=_ms(self._silence),
                    lead_ms=_ms(self._lead()),
                    reason=reason,
                    paused=self._paused,
                )
            )
            self._number += 1
        self._reset()

    def _cut(self, events: list[SegmentEvent]) -> None:
        """End at the length cap, at the quietest place near it; what comes after opens the next utterance."""
        within, lowest, at, speech = 0, 2.0, len(self._frames), self._speech
        for index in range(len(self._frames) - 1, 0, -1):
            frame = self._frames[index]
            within += frame.samples.size
            # What is left of the cut was announced by `Started`: it must keep enough speech to be an utterance.
            if within > _count(CUT_WITHIN_MS) or speech < self._min_speech:
                break
            if frame.probability < lowest:
                lowest, at = frame.probability, index + 1
            speech -= frame.samples.size if frame.speech else 0
        carried = self._frames[at:]
        silence = self._silence
        self._frames = self._frames[:at]
        self._length = sum(frame.samples.size for frame in self._frames)
        self._speech = sum(frame.samples.size for frame in self._frames if frame.speech)
        self._silence = 0
        for frame in reversed(self._frames):
            if frame.speech:
                break
            self._silence += frame.samples.size
        if carried:
            self._paused = False
        self._end("max_length", events)
        if any(frame.speech for frame in carried):
            self._begin(carried)
            self._silence = silence
            self._stirred = True
            if self._speech >= self._min_speech:
                self._started = True
                events.append(Started(self._number, self._first_sample))
        else:
            for frame in carried:
                self._remember(frame)
