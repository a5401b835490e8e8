"""The box's own voice: says replies one after the other, and can be held, let go on, and hushed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from agentbox.audio.mixer import RATE_HZ, Track
from agentbox.audio.output import Output
from agentbox.config import Config
from agentbox.daemon.events import Events
from agentbox.daemon.manner import Manner, manner, volume
from agentbox.daemon.streams import Elsewhere, Narration, Pieces, Said, Stream, Talk, Unfinished, next_piece, written
from agentbox.daemon.voices import Voices
from agentbox.errors import ModelError
from agentbox.messages import Notice, Reply, StageEvent
from agentbox.tts.engine import NOTHING
from agentbox.tts.load import Load, load_voice
from agentbox.tts.narrator import Narrator

AHEAD_S = 5.0
"""So much is made beforehand, and no more: a long text needs no memory, and one that is stopped cost little."""

LOOK_S = 0.02
MOST_WAITING = 4
"""Replies that wait to be said. More than that is a device that hangs; words minutes late would only confuse."""

REMEMBERED_S = 60.0
"""How long it is known what was said when: an utterance is no longer."""

_SIGN = {"pause": "awaited", "at_once": "noticed", "none": None}


U = TypeVar("U", bound=Unfinished)


class Speaking:
    """A sink of stage events: it gives each reply its sound, its words, or both. All in the event loop.

    `ended(reply, whole)` is called when something was said, or when it was stopped before its end.
    """

    def __init__(
        self,
        config: Config,
        output: Output,
        events: Events,
        *,
        cache: Path | None,
        ended: Callable[[Reply, bool], None] = lambda reply, whole: None,
        load: Load = load_voice,
        clock: Callable[[], datetime] = datetime.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._events = events
        self._cache = cache
        self._ended = ended
        self._load = load
        self._clock = clock
        self._monotonic = monotonic
        self._waiting: deque[Talk] = deque()
        self._now: Talk | None = None
        self.elsewhere: Elsewhere | None = None
        """The voice that answers are said by, where it can be had; null: the box's own."""
        self.half_duplex = False
        """The microphone hears the box while it speaks."""
        self._held_s: float | None = None
        """Since when it is held; null: it is not."""
        self._signed = ""
        """The utterance for which the box has shown that it listens."""
        self._said: deque[Said] = deque()
        self._voices: Voices | None = None
        self._saying: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Speak as `config` says from the next reply on."""
        if self._voices is not None:
            self._let_go(self._voices)
        self._config = config
        self._voices = Voices(config, self._cache, self._load, self._events.notice)

    def _prepare(self) -> None:
        """Have the voices ready, or on their way, unless the owner wants sounds alone."""
        if self._voices is not None and self._config.speech.verbosity != "sounds":
            for language in self._config.languages:
                self._voices.of(language)

    def __call__(self, event: StageEvent) -> None:
        if isinstance(event.message, Reply):
            self._reply(event.message)
        elif event.stage == "box" and event.state in ("started", "reloaded"):
            # Not before: the ears are wanted first.
            self._prepare()
        elif event.stage == "activation" and event.state == _SIGN[self._config.activation.feedback]:
            # The sign that the box listens, while the owner may still be speaking.
            self._signed = event.utterance_id
            if self._config.audio.sounds:
                self._output.play("heard", volume=volume(self._config.speech, self._clock().time()))

    @property
    def saying(self) -> bool:
        """Words are being said, or are held."""
        return self._now is not None or bool(self._waiting)

    @property
    def audible(self) -> bool:
        """Words are being said and are not held."""
        return self._now is not None and self._now.heard and self._held_s is None

    @property
    def heard(self) -> bool:
        """The first sound of what is being said has left the speaker."""
        return self._now is not None and self._now.heard

    @property
    def held(self) -> bool:
        """It was told to be silent."""
        return self._held_s is not None

    def said(self, begin_s: float, end_s: float) -> str:
        """What the box said between two moments of the monotonic clock."""
        return " ".join(one.talk.text for one in self._said if one.begin_s < end_s and one.end_s > begin_s)

    def began(self, begin_s: float, end_s: float) -> list[str]:
        """What it began to say between two moments."""
        return [one.talk.text for one in self._said if begin_s <= one.begin_s < end_s]

    def confiding(self, begin_s: float, end_s: float) -> bool:
        """Whether any of that was confided."""
        return any(one.talk.confided for one in self._said if one.begin_s < end_s and one.end_s > begin_s)

    def hold(self) -> bool:
        """Be silent until `go_on`; whether there was anything to hold."""
        if self._held_s is not None or self._now is None:
            return False
        self._held_s = self._monotonic()
        if self._now.track is not None:
            self._now.track.pause()
        self._emit("paused", self._now)
        return True

    def go_on(self) -> None:
        """Go on with the first sample that was not played."""
        if self._held_s is None:
            return
        held_ms = (self._monotonic() - self._held_s) * 1000
        self._held_s = None
        if self._now is not None:
            if self._now.track is not None:
                self._now.track.resume()
            self._emit("resumed", self._now, held_ms=held_ms)

    def hush(self) -> bool:
        """Say no more of anything; whether there was something to say."""
        was = self.saying
        self._drop(lambda talk: True)
        self._stop_now()
        return was

    async def close(self) -> None:
        """Say no more, and let go of the voice."""
        self._drop(lambda talk: True)
        if self._saying is not None:
            self._saying.cancel()
            await asyncio.gather(self._saying, return_exceptions=True)
        if self._voices is not None:
            self._let_go(self._voices)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _reply(self, reply: Reply) -> None:
        way = manner(reply, self._config.speech, self._clock().time(), sounds=self._config.audio.sounds)
        if reply.utterance_id and (way.text or reply.speak == "always"):
            self.outdate()
        if way.sound is not None and (reply.outcome != "attention" or reply.utterance_id != self._signed):
            self._output.play(way.sound, "alert" if reply.outcome == "alert" else "sound", way.volume)
        if way.text:
            self._enqueue(Talk(reply, way.text, way.volume, self._monotonic()))
        else:
            self._ended(reply, True)

    def confide(self, reply: Reply, words: str) -> None:
        """Say `words`, which no event carries, slowly and in any case; `reply` is what is told of them."""
        self.outdate()
        loudness = volume(self._config.speech, self._clock().time())
        self._enqueue(Talk(reply, words, loudness, self._monotonic(), confided=True))

    def outdate(self) -> None:
        """The owner has gone on: earlier answers are not waited for any more. What rings is told all the same."""
        self._drop(lambda talk: bool(talk.reply.utterance_id))
        if self._now is not None and self._now.reply.utterance_id:
            self._stop_now()

    def _drop(self, unwanted: Callable[[Talk], bool]) -> None:
        """Say nothing of talks that wait."""
        waiting, self._waiting = self._waiting, deque()
        for talk in waiting:
            if not unwanted(talk):
                self._waiting.append(talk)
            elif talk.stream is not None:
                talk.stream.end(False, 0.0)

    def _stop_now(self) -> None:
        self._held_s = None
        if self._now is not None:
            self._now.unwanted = True
            if self._now.track is not None:
                self._now.track.stop()

    def stream(self, reply: Reply, rate_hz: int) -> Stream | None:
        """Say `reply` with sound that comes from elsewhere, instead of by the box's own voice; its text may still be
        empty. Earlier answers are not waited for. Null: the owner wants no words now."""
        way = self._unfinished(reply)
        return None if way is None else self._begin(reply, way, Stream(rate_hz))

    def narrate(self, reply: Reply) -> Narration | None:
        """Say `reply` by the box's own voice while its text is still being written; otherwise as `stream`."""
        way = self._unfinished(reply)
        return None if way is None else self._begin(reply, way, Narration())

    def _unfinished(self, reply: Reply) -> Manner | None:
        """How a reply is said whose words are not known yet; null: it is not."""
        reply = msgspec.structs.replace(reply, text="…")
        way = manner(reply, self._config.speech, self._clock().time(), sounds=self._config.audio.sounds)
        return way if way.text else None

    def _begin(self, reply: Reply, way: Manner, made: U) -> U:
        self.outdate()
        self._enqueue(Talk(reply, "", way.volume, self._monotonic(), made))
        return made

    def _enqueue(self, talk: Talk) -> None:
        if len(self._waiting) >= MOST_WAITING:
            if talk.stream is not None:
                talk.stream.end(False, 0.0)
            self._ended(talk.reply, False)
            return
        self._waiting.append(talk)
        if self._saying is None or self._saying.done():
            self._saying = asyncio.create_task(self._say_all(), name="speaking")

    async def _say_all(self) -> None:
        while self._waiting:
            self._now = self._waiting.popleft()
            try:
                if isinstance(self._now.stream, Stream):
                    await self._play(self._now, self._now.stream.pieces())
                else:
                    await self._say(self._now)
            finally:
                if self._now.stream is not None:
                    self._now.stream.end(False, 0.0)
                self._now = None

    async def _say(self, talk: Talk) -> None:
        narrator = None
        if self._voices is not None and (talk.confided or self._config.speech.verbosity != "sounds"):
            narrator = await asyncio.shield(self._voices.of(talk.reply.language))
        if talk.unwanted:
            return
        # What is kept nowhere leaves the box least of all.
        other = (
            None if talk.confided or self.elsewhere is None or not self.elsewhere.speaks(talk.reply) else self.elsewhere
        )
        if narrator is None and other is None:
            self._mark(talk)
            self._ended(talk.reply, True)
            return
        await self._play(talk, self._narrated(narrator, other, talk))
        if narrator is None and not talk.heard:
            self._mark(talk)

    def _mark(self, talk: Talk) -> None:
        """A voice that cannot be had was told of; a sound says at least that there is an answer."""
        wanted = self._config.audio.sounds and not talk.unwanted
        if wanted and talk.reply.sound is not None and talk.reply.outcome != "alert":
            self._output.play(talk.reply.sound, volume=talk.volume)

    async def _play(self, talk: Talk, sounds: Pieces) -> None:
        """Play pieces of sound, each with its rate in Hz."""
        if talk.unwanted:
            return
        talk.track = track = self._output.open("speech", talk.volume)
        if self._held_s is not None:
            track.pause()
        watching = asyncio.create_task(self._watch(talk, track))
        try:
            await self._fill(track, sounds, watching)
            await watching
        finally:
            watching.cancel()
            # Whatever happened: nothing must wait behind it for ever.
            track.stop()
            self._done(talk, track)

    async def _fill(self, track: Track, sounds: Pieces, over: asyncio.Task[None]) -> None:
        rate_hz = RATE_HZ
        async with aclosing(sounds):
            while not over.done():
                piece = await next_piece(sounds, over)
                if piece is None:
                    break
                sound, rate_hz = piece
                track.add(sound, rate_hz)
                while track.left_frames > AHEAD_S * RATE_HZ and not track.over:  # noqa: ASYNC110 - a thread plays
                    await asyncio.sleep(LOOK_S)
        track.add(NOTHING, rate_hz, last=True)

    async def _narrated(self, narrator: Narrator | None, other: Elsewhere | None, talk: Talk) -> Pieces:
        """A text by `other`, and by the box's own voice what that does not say."""
        narration = talk.stream if isinstance(talk.stream, Narration) else None
        if other is not None:
            narration = narration or written(talk.text)
            async with aclosing(other.say(narration, talk.reply.utterance_id, talk.left_s)) as pieces:
                async for piece in pieces:
                    yield piece
        if narrator is None:
            return
        try:
            if narration is not None:
                async with aclosing(narration.pieces(narrator)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            async with aclosing(narrator.say(talk.text, confided=talk.confided)) as sounds:
                async for sound in sounds:
                    yield sound, narrator.voice.sample_rate_hz
        except ModelError as error:
            self._events.notice(Notice(code=error.code, what=error.what, todo=error.todo))

    async def _watch(self, talk: Talk, track: Track) -> None:
        """Until the last of it has left the speaker; tells when the first has."""
        over = False
        while not over:
            heard_ms = self._output.heard_ms(track)
            if talk.stream is not None:
                talk.stream.heard_ms = heard_ms
            over = track.over and heard_ms >= track.played_ms
            if heard_ms > 0.0 and not talk.heard:
                talk.heard = True
                self._begun(talk, heard_ms)
            if not over:
                await asyncio.sleep(LOOK_S)

    def _begun(self, talk: Talk, heard_ms: float) -> None:
        now_s = self._monotonic()
        began_s = now_s - heard_ms / 1000  # the loop may have been late to see it
        self._said.append(Said(talk, began_s, float("inf")))
        while self._said[0].end_s < now_s - REMEMBERED_S:
            self._said.popleft()
        self._emit("started", talk, first_sound_ms=(began_s - talk.asked_s) * 1000)

    def _done(self, talk: Talk, track: Track) -> None:
        self._held_s = None
        if talk.heard:
            self._said[-1] = self._said[-1]._replace(end_s=self._monotonic())
        whole = track.over and track.state.value == "done"
        heard_ms = self._output.heard_ms(track)
        if talk.stream is not None:
            talk.stream.end(whole, heard_ms)
        self._emit("ended" if whole else "stopped", talk, heard_ms=heard_ms)
        self._ended(talk.reply, whole)

    def _emit(self, state: str, talk: Talk, **timings: float) -> None:
        self._events.emit("speaking", state, utterance_id=talk.reply.utterance_id, timings=timings)

    def _let_go(self, voices: Voices) -> None:
        """Close voices that are not used any more, when what is said has been said."""
        closing = asyncio.create_task(voices.close(self._saying))
        # The loop keeps only weak references to its tasks.
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
