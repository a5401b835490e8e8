"""Doubao's dialogue 3.0, as far as it is known (see the head of `agentbox/realtime/doubao_duplex.py`): JSON frames,
answers without being asked for them, tools' results in one piece, silences that must be declared."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from tests.realtime.servers.base import Call, Say, VendorServer, pieces, send, tone
from tests.realtime.servers.doubao import APP_KEY, signed

HEARD = "conversation.item.input_audio_transcription"


class DoubaoDuplexServer(VendorServer):
    """`may_begin_again`: another session may follow a closed one on the same connection."""

    path = "/api/v3/duplex/realtime/dialogue"
    may_begin_again = True
    transcript = "what is the weather?"

    def is_welcome(self, request: Request) -> bool:
        return signed(request, APP_KEY)

    async def session(self, client: ServerConnection) -> None:
        await _Session(self, client).run()


class _Session:
    def __init__(self, server: DoubaoDuplexServer, client: ServerConnection) -> None:
        self.server = server
        self.client = client
        self.is_created = False
        self.is_muted = False
        self.buffered = 0
        self.answers = 0
        self.calls: set[str] = set()
        self.answering: asyncio.Task[None] | None = None

    async def run(self) -> None:
        async for frame in self.client:
            message = json.loads(frame)
            if "audio" in message:
                sound = base64.b64decode(message.pop("audio"), validate=True)
                self.server.sound += sound
                self.buffered += len(sound)
            self.server.frames.append(message)
            kind = message["type"]
            if not self.is_created and kind != "session.create":
                await self.error("45000001", "no session active")
                return
            await getattr(self, "on_" + kind.replace(".", "_"))(message)

    async def tell(self, kind: str, **fields: Any) -> None:
        await send(self.client, {"type": kind, "event_id": "e", **fields})

    async def error(self, code: str, words: str) -> None:
        await self.tell("error", error={"type": "invalid_request", "code": code, "message": words})
        await self.client.close()

    async def on_session_create(self, message: dict[str, Any]) -> None:
        session = message["session"]
        for part in ("asr", "tts", "dialog"):
            if message["extension"].get(part, {}).get("extra") is None:
                await self.error("42000020", f"StartSession event payload {part} extra is null")
                return
        if session["model"] != "1.2.6.1":
            await self.error("45000001", "unknown model")
            return
        self.is_created = True
        await self.tell("session.created", session={"id": session.get("id") or "dlg_1"})

    async def on_session_close(self, message: dict[str, Any]) -> None:
        await self.cut_off()
        self.is_created = False
        self.buffered = 0
        await self.tell("error", error={"type": "server_error", "code": "55000000", "message": "the stream is done"})
        await self.tell("session.closed")
        if not self.server.may_begin_again:
            await self.client.close()

    async def on_input_audio_mute_commit(self, message: dict[str, Any]) -> None:
        self.is_muted = True

    async def on_input_audio_unmute_commit(self, message: dict[str, Any]) -> None:
        self.is_muted = False

    async def on_input_audio_buffer_append(self, message: dict[str, Any]) -> None:
        assert not self.is_muted

    async def on_input_audio_buffer_commit(self, message: dict[str, Any]) -> None:
        await self.tell("input_audio_buffer.committed", item_id="item_u")
        heard, self.buffered = self.buffered, 0
        if not heard or not self.server.transcript:
            await self.tell(f"{HEARD}.failed", item_id="item_u", error={"code": "audio_unintelligible", "message": ""})
            return
        await self.tell(f"{HEARD}.started", item_id="item_u")
        for text in ("what is", "what is the"):
            await self.tell(f"{HEARD}.delta", item_id="item_u", delta=text)
        await self.tell(f"{HEARD}.completed", item_id="item_u", transcript=self.server.transcript)
        self.begin([])

    async def on_conversation_item_create(self, message: dict[str, Any]) -> None:
        items = message["items"]
        results = [item for item in items if item["role"] == "tool"]
        if not results:
            assert [item["role"] for item in items] == ["user", "assistant"]
            return
        assert {item["call_id"] for item in results} == self.calls
        self.calls = set()
        self.begin([json.loads(item["content"][0]["text"]) for item in results])

    async def on_response_cancel(self, message: dict[str, Any]) -> None:
        if self.answering is None:
            return
        await self.cut_off()
        await self.tell("response.canceled")
        # A few pieces that were on their way arrive nonetheless.
        await self.sound(tone(100))

    async def cut_off(self) -> None:
        if self.answering is not None:
            self.answering.cancel()
            await asyncio.gather(self.answering, return_exceptions=True)
            self.answering = None

    def begin(self, results: list[Any]) -> None:
        steps = list(self.server.script(self.answers, results))
        self.answers += 1
        self.answering = asyncio.create_task(self.answer(steps))

    async def answer(self, steps: list[Say | Call]) -> None:
        calls = [step for step in steps if isinstance(step, Call)]
        for step in steps:
            if isinstance(step, Say):
                await self.tell("response.output_text.delta", delta=step.text)
                await self.tell("response.output_audio.started", tts_type="default")
                async for piece in pieces(tone(step.ms), self.server.piece_s):
                    await self.sound(piece)
                await self.tell("response.output_text.done", text=step.text)
                await self.tell("response.output_audio.done", status_code="20000000")
        if calls:
            items = [
                {
                    "type": "function_call",
                    "call_id": call.id,
                    "name": call.name,
                    "arguments": json.dumps(call.arguments),
                }
                for call in calls
            ]
            self.calls = {call.id for call in calls}
            await self.tell("response.function_call_arguments.done", items=items)
        self.answering = None
        await self.tell("response.done", usage={"total_tokens": 50, "output_token_details": {"audio_tokens": 25}})

    async def sound(self, pcm: bytes) -> None:
        await self.tell("response.output_audio.delta", delta=base64.b64encode(pcm).decode())
