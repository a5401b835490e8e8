"""StepFun's streaming voice as its page tells it; no client of others' holds this one to it."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.realtime.servers.base import VendorServer, pieces, send, tone

MODELS = ("step-tts-2", "step-tts-mini", "stepaudio-2.5-tts")
RATES_HZ = (8_000, 16_000, 22_050, 24_000, 48_000)
MS_A_LETTER = 30


class StepFunVoiceServer(VendorServer):
    path = "/v1/realtime/audio"
    created = "tts.response.created"
    """By the page's example, `tts.connection.done` again."""
    is_mute = False
    fails: tuple[str, str] | None = None
    """Code and message, at the first text."""

    async def _let_in(self, client: ServerConnection, request: Request) -> Response | None:
        refusal = await super()._let_in(client, request)
        model = parse_qs(urlsplit(request.path).query).get("model", [""])[0]
        known = model in MODELS or refusal is not None
        return refusal if known else client.respond(HTTPStatus.BAD_REQUEST, "model not found\n")

    async def session(self, client: ServerConnection) -> None:
        await Session(self, client).run()


class Session:
    def __init__(self, server: StepFunVoiceServer, client: ServerConnection) -> None:
        self.server = server
        self.client = client
        self.create: dict[str, Any] | None = None
        self.text = ""
        self.sentences: asyncio.Queue[str | None] = asyncio.Queue()

    async def run(self) -> None:
        await self.tell("tts.connection.done")
        speaker = asyncio.create_task(self.speak())
        try:
            async for frame in self.client:
                message = json.loads(frame)
                self.server.frames.append(message)
                if (problem := self.problem(message)) is not None:
                    await self.tell("tts.response.error", code="400", message=problem)
                    return
                await getattr(self, "on_" + message["type"].replace(".", "_"))(message["data"])
        finally:
            speaker.cancel()
            await self.client.close()

    async def tell(self, kind: str, **data: Any) -> None:
        await send(self.client, {"event_id": "e", "type": kind, "data": {"session_id": "sess_1", **data}})

    def problem(self, message: dict[str, Any]) -> str | None:
        kind, data = message["type"], message["data"]
        if data.get("session_id") != "sess_1":
            return "session_id"
        if (kind == "tts.create") != (self.create is None):
            return "order of events"
        if kind == "tts.create":
            wrong = not data.get("voice_id") or data.get("response_format") != "pcm"
            return "voice_id or response_format" if wrong or data.get("sample_rate") not in RATES_HZ else None
        if kind == "tts.text.delta" and len(data["text"]) > 1_000:
            return "text is too long"
        return None if kind in ("tts.text.delta", "tts.text.flush", "tts.text.done") else "type"

    async def on_tts_create(self, data: dict[str, Any]) -> None:
        self.create = data
        await self.tell(self.server.created)

    async def on_tts_text_delta(self, data: dict[str, Any]) -> None:
        if self.server.fails is not None:
            code, words = self.server.fails
            await self.tell("tts.response.error", code=code, message=words, details={"error": words})
            return
        *whole, self.text = re.split(r"(?<=[。！？!?])", self.text + data["text"])
        for sentence in whole:
            self.sentences.put_nowait(sentence)

    async def on_tts_text_flush(self, data: dict[str, Any]) -> None:
        await self.tell("tts.text.flushed")
        self.flush()

    async def on_tts_text_done(self, data: dict[str, Any]) -> None:
        self.flush()
        self.sentences.put_nowait(None)

    def flush(self) -> None:
        if any(letter.isalnum() for letter in self.text):
            self.sentences.put_nowait(self.text)
        self.text = ""

    async def speak(self) -> None:
        while (sentence := await self.sentences.get()) is not None:
            await self.tell("tts.response.sentence.start", text=sentence, started_at=1)
            assert self.create is not None
            rate_hz = self.create["sample_rate"]
            sound = b"" if self.server.is_mute else tone(MS_A_LETTER * len(sentence), rate_hz)
            async for piece in pieces(sound, self.server.piece_s, rate_hz=rate_hz):
                audio = base64.b64encode(piece).decode()
                await self.tell("tts.response.audio.delta", status="unfinished", audio=audio, duration=0.1)
            await self.tell("tts.response.sentence.end", text=sentence, ended_at=2)
        await self.tell("tts.response.audio.done", audio="")
        await self.client.close()
