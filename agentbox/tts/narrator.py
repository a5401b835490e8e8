"""Says texts of any length: piece by piece in a thread of its own, the next one made while the last is heard."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

from agentbox.tts.engine import Samples, Voice
from agentbox.tts.pieces import pieces
from agentbox.tts.spoken import spoken

REMEMBERED_BYTES = 4 << 20
"""Pieces that were said last are kept (87 s at 24 kHz): a box says much the same all day."""


SLOWLY = 0.75
"""Of the usual pace: what somebody types while they listen."""


class Narrator:
    """One voice at one pace, in one language (BCP-47)."""

    def __init__(
        self, voice: Voice, language: str, pace: float = 1.0, remembered_bytes: int = REMEMBERED_BYTES
    ) -> None:
        self.voice = voice
        self._language = language
        self._pace = pace
        self._remembered: OrderedDict[str, Samples] = OrderedDict()
        self._left_bytes = remembered_bytes
        self._thread = ThreadPoolExecutor(1, "voice")
        self._closed = False

    async def say(self, text: str, *, confided: bool = False) -> AsyncGenerator[Samples]:
        """The sound of `text`, a piece at a time, mono int16 at the voice's rate. Raises `ModelError` `voice_failed`.

        `confided`: slowly, since it is written down by hand, and without remembering a piece of it.

        Whoever stops asking stops the work too, at the end of the piece that is being made.
        """
        loop = asyncio.get_running_loop()
        parts = [] if self._closed else list(pieces(spoken(text, self._language)))
        made = self._slowly if confided else self._made
        coming: asyncio.Future[Samples] | None = None
        try:
            for at in range(len(parts) + 1):
                ready, coming = coming, None
                sound = await ready if ready is not None else None
                if at < len(parts) and not self._closed:
                    coming = loop.run_in_executor(self._thread, made, parts[at])
                if sound is not None and sound.size:
                    yield sound
        finally:
            if coming is not None:
                coming.cancel()

    def _made(self, text: str) -> Samples:
        """In the voice's thread."""
        sound = self._remembered.pop(text, None)
        if sound is None:
            sound = self.voice.say(text, self._pace)
            self._left_bytes -= sound.nbytes
        if sound.size:
            self._remembered[text] = sound
        while self._left_bytes < 0:
            _, oldest = self._remembered.popitem(last=False)
            self._left_bytes += oldest.nbytes
        return sound

    def _slowly(self, text: str) -> Samples:
        """In the voice's thread."""
        return self.voice.say(text, SLOWLY * self._pace)

    async def close(self) -> None:
        """Let what is being made end, and let go of the voice. What is still to be said is left out."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self.voice.close()
