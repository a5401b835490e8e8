"""Hearing with a decoder that is too slow: what it did not get to in time is not waited for, and not told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentbox.asr.engine import Opening, Recognition
from agentbox.asr.listener import Ask
from agentbox.asr.wakeful import Wakeful
from agentbox.asr.worker import InferenceThread, Sound
from agentbox.asr.zipformer import open_model
from agentbox.audio.ear import Ear
from agentbox.audio.segment import Completeness, Samples
from agentbox.config import Audio
from agentbox.daemon.activation import Activation
from agentbox.daemon.events import Events
from agentbox.daemon.hearing import Hearing
from agentbox.messages import ActivatedBy, PartialTranscript, StageEvent
from tests.asr.zipformer_graphs import sound, write


class LoudIsSpeech:
    """Voice activity by loudness."""

    def probability(self, window: Samples) -> float:
        return float(np.abs(window).max() > 3000)

    def reset(self) -> None: ...


class SlowDecoder:
    """Finals are there at once, everything else never."""

    def __init__(self) -> None:
        self.looks: list[asyncio.Future[str | None]] = []
        self.partials = self.primed = 0

    def final(self, samples: Samples, speech_ms: int, ask: Ask, wakeful: Wakeful | None) -> asyncio.Future[Recognition]:
        done: asyncio.Future[Recognition] = asyncio.get_running_loop().create_future()
        done.set_result(Recognition("words"))
        return done

    def speculative(
        self, samples: Samples, speech_ms: int, ask: Ask, wakeful: Wakeful | None
    ) -> asyncio.Future[Recognition]:
        return asyncio.get_running_loop().create_future()

    def look(self, samples: Samples, wakeful: Wakeful) -> asyncio.Future[str | None]:
        self.looks.append(asyncio.get_running_loop().create_future())
        return self.looks[-1]

    def partial(self, samples: Samples, *, told: Callable[[str], None]) -> None:
        self.partials += 1

    def prime(self, samples: Samples, ask: Ask, wakeful: Wakeful | None) -> None:
        self.primed += 1


class Judge:
    activation = Activation("wake_phrase", ["computer"], 6.0)

    def asking(self, by: ActivatedBy | None) -> Ask:
        return lambda _: None

    def confided(self, begin_s: float, end_s: float) -> bool:
        return False

    def overheard(self) -> bool:
        return False

    def amidst(self, text: str, begin_s: float) -> bool:
        return False

    def completeness(self, recognition: Recognition, by: ActivatedBy | None) -> Completeness:
        return "no"


async def test_looks_that_come_too_late_are_called_off() -> None:
    events, seen = Events(), list[StageEvent]()
    events.subscribe(seen.append)
    decoder = SlowDecoder()
    hearing = Hearing(
        Ear(Audio(), LoudIsSpeech(), partials=False), decoder, Judge(), events, engine="none", language="en"
    )
    draw = np.random.default_rng(0)
    speech = draw.integers(-8000, 8000, 3 * 16_000).astype(np.int16)
    for start in range(0, speech.size, 1536):
        hearing.hear(speech[start : start + 1536])
    assert 3 <= len(decoder.looks) <= 10
    assert not any(look.done() for look in decoder.looks)
    # The first one is done in time, and told; the others are not, and called off when the turn ends.
    decoder.looks[0].set_result("computer")
    await asyncio.sleep(0)
    assert [event.stage for event in seen].count("activation") == 1
    hearing.finish()
    assert all(look.cancelled() for look in decoder.looks[1:])
    coming = await hearing.turns.get()
    assert coming is not None
    assert (await coming).transcript.text == "words"
    assert [event.stage for event in seen].count("activation") == 1


@pytest.mark.parametrize(
    ("text", "heard", "language"),
    [
        ("7:30", "zh", "zh-CN"),
        ("7:30", None, "en"),
        ("OK", "zh", "en"),
        ("现在几点", "en", "zh-CN"),
        ("现在几点", None, "zh-CN"),
        ("stop", "ko", "en"),
    ],
)
async def test_the_language_that_an_engine_heard_is_told(text: str, heard: str | None, language: str) -> None:
    """As one of those that may be spoken, and where the words can be of it."""

    class Multilingual(SlowDecoder):
        def final(
            self, samples: Samples, speech_ms: int, ask: Ask, wakeful: Wakeful | None
        ) -> asyncio.Future[Recognition]:
            done: asyncio.Future[Recognition] = asyncio.get_running_loop().create_future()
            done.set_result(Recognition(text, language=heard, emotion="happy", sound_event="laughter"))
            return done

    hearing = Hearing(
        Ear(Audio(), LoudIsSpeech()),
        Multilingual(),
        Attentive(),
        Events(),
        engine="none",
        language="en",
        other_languages=("zh-CN",),
    )
    speak(hearing, 2)
    hearing.finish()
    coming = await hearing.turns.get()
    assert coming is not None
    told = (await coming).transcript
    assert (told.language, told.emotion, told.sound_event) == (language, "happy", "laughter")


class Attentive(Judge):
    activation = Activation("always", [], 6.0)


def speak(hearing: Hearing, seconds: int) -> None:
    for _ in range(seconds):
        hearing.hear(np.random.default_rng(0).integers(-8000, 8000, 16_000).astype(np.int16))


async def test_what_is_only_to_be_shown_is_decoded_while_somebody_looks_on() -> None:
    events, decoder = Events(), SlowDecoder()
    events.subscribe(lambda _: None)
    hearing = Hearing(Ear(Audio(), LoudIsSpeech()), decoder, Attentive(), events, engine="none", language="en")
    speak(hearing, 4)
    assert (decoder.partials, decoder.primed) == (0, 2)  # at 2.0 and 3.5 s
    forget = events.subscribe(lambda _: None, watches=True)
    speak(hearing, 2)
    shown = decoder.partials
    assert (shown, decoder.primed) == (4, 2)
    forget()
    speak(hearing, 1)
    assert decoder.partials == shown


async def test_nothing_is_made_ready_for_what_may_not_be_meant_for_the_box() -> None:
    decoder = SlowDecoder()
    hearing = Hearing(Ear(Audio(), LoudIsSpeech()), decoder, Judge(), Events(), engine="none", language="en")
    speak(hearing, 4)
    assert decoder.primed == 0
    decoder.looks[0].set_result("computer")
    await asyncio.sleep(0)
    speak(hearing, 2)
    assert decoder.primed == 1


async def test_an_engine_that_streams_works_though_nobody_looks_on() -> None:
    decoder = SlowDecoder()
    ear = Ear(Audio(), LoudIsSpeech(), streamed=True)
    hearing = Hearing(ear, decoder, Judge(), Events(), engine="none", language="en", streamed=True)
    speak(hearing, 1)
    assert (decoder.partials, decoder.primed) == (0, 3)
    events = Events()
    events.subscribe(lambda _: None, watches=True)
    watched = SlowDecoder()
    ear = Ear(Audio(), LoudIsSpeech(), streamed=True)
    hearing = Hearing(ear, watched, Judge(), events, engine="none", language="en", streamed=True)
    speak(hearing, 1)
    assert (watched.partials, watched.primed) == (3, 0)


class Kept(InferenceThread):
    """Keeps the last partial, to wait for."""

    shown: asyncio.Future[Recognition] | None = None

    def partial(
        self, sound: Sound, speech_ms: int | None = None, told: Callable[[str], None] | None = None
    ) -> asyncio.Future[Recognition] | None:
        self.shown = super().partial(sound, speech_ms, told)
        return self.shown


async def test_words_are_shown_while_they_are_said(tmp_path: Path) -> None:
    """A real engine that streams, in its thread: it hears everything once, and the end adds only the rest."""
    model = open_model(write(tmp_path / "own", 21), Opening(name="own"))
    worker, events, seen = Kept(model, "en"), Events(), list[StageEvent]()
    events.subscribe(seen.append, watches=True)
    ear = Ear(Audio(), LoudIsSpeech(), streamed=True)
    hearing = Hearing(ear, worker, Attentive(), events, engine="own", language="en", streamed=True)
    worker.start()
    pcm = (np.clip(sound(0, 2.5), -1, 1) * 32767).astype(np.int16)
    try:
        for start in range(0, pcm.size, 1600):
            hearing.hear(pcm[start : start + 1600])
            if worker.shown is not None:
                await asyncio.wait([worker.shown])
            await hearing.settled()
        hearing.finish()
        coming = await hearing.turns.get()
        assert coming is not None
        heard = await asyncio.wait_for(coming, 10)
    finally:
        await worker.stop()
    shown = [event.message.text for event in seen if isinstance(event.message, PartialTranscript)]
    assert len(set(shown)) >= 2
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(shown))
    whole = np.frombuffer(heard.utterance.pcm, np.int16).astype(np.float32) / np.float32(32768)
    said = model.transcribe(whole, language="en", speech_ms=heard.utterance.speech_ms)
    assert (heard.recognition.tokens, heard.transcript.text) == (said.tokens, said.text)
