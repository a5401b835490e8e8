"""Doubao's spoken dialogue as it answers: binary frames, push-to-talk, context, and the errors of its page."""

from __future__ import annotations

import asyncio
import json
from itertools import groupby
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from agentbox.realtime.doubao import Code
from agentbox.realtime.doubao_frames import Packet, Sort, pack, unpack
from tests.realtime.servers.base import KEY, Say, VendorServer, pieces, tone

APP = "app"
APP_KEY = "PlgvMymc7f3tQnJ6"
SPEAKERS = ("zh_female_vv_jupiter_bigtts", "en_female_dacey_uranus_bigtts")
USAGE = {
    "input_text_tokens": 10,
    "input_audio_tokens": 20,
    "cached_text_tokens": 0,
    "cached_audio_tokens": 0,
    "output_text_tokens": 5,
    "output_audio_tokens": 30,
}


def signed(request: Request, app_key: str) -> bool:
    """By an app's access token, or by an API key."""
    have = request.headers
    if have.get("X-Api-Key"):
        return have["X-Api-Key"] == KEY
    return have.get("X-Api-Access-Key") == KEY and have.get("X-Api-App-Key") == app_key


class DoubaoServer(VendorServer):
    """`connect_id`: what its frames about the connection carry. Frames are told by their event's number, as `type`."""

    path = "/api/v3/realtime/dialogue"
    connect_id = ""
    transcript = "what is the weather?"

    def is_welcome(self, request: Request) -> bool:
        have = request.headers
        app = have.get("X-Api-App-ID") == APP or bool(have.get("X-Api-Key"))
        return signed(request, APP_KEY) and app and have.get("X-Api-Resource-Id") == "volc.speech.dialog"

    async def session(self, client: ServerConnection) -> None:
        await DoubaoSession(self, client).run()

    def events(self) -> list[int]:
        """The events that clients sent, runs of the same told once."""
        return [event for event, _ in groupby(frame["type"] for frame in self.frames)]


class DoubaoSession:
    """One client's connection."""

    def __init__(self, server: DoubaoServer, client: ServerConnection) -> None:
        self.server = server
        self.client = client
        self.session_id = ""
        self.heard = 0
        self.turns = 0
        self.lengths: dict[str, int] = {}
        self.answering: asyncio.Task[None] | None = None

    async def run(self) -> None:
        async for frame in self.client:
            packet = unpack(frame) if isinstance(frame, bytes) else None
            if packet is None or packet.event is None:
                await self.fail(42000020, "unable to decode V1 protocol message")
                return
            message = json.loads(packet.payload) if packet.sort is Sort.CLIENT else {}
            self.server.frames.append({"type": packet.event, "session": packet.id, **message})
            if packet.event > Code.START_SESSION and packet.id != self.session_id:
                await self.fail(45000000, "no such session")
                return
            await getattr(self, f"on_{Code(packet.event).name.lower()}")(packet, message)

    async def tell(self, code: Code, message: dict[str, Any], name: str | None = None) -> None:
        name = self.session_id if name is None else name
        await self.client.send(pack(Packet(Sort.SERVER, json.dumps(message).encode(), code, name)))

    async def fail(self, code: int, words: str) -> None:
        await self.client.send(pack(Packet(Sort.ERROR, json.dumps({"error": words}).encode(), code=code)))
        await self.client.close()

    async def on_start_connection(self, packet: Packet, message: dict[str, Any]) -> None:
        await self.tell(Code.CONNECTION_STARTED, {}, self.server.connect_id)

    async def on_finish_connection(self, packet: Packet, message: dict[str, Any]) -> None:
        await self.tell(Code.CONNECTION_FINISHED, {}, self.server.connect_id)
        await self.client.close()

    async def on_start_session(self, packet: Packet, message: dict[str, Any]) -> None:
        if self.session_id:
            await self.fail(45000001, "one session at a time")
            return
        self.session_id = packet.id
        for part in ("asr", "tts"):
            if message.get(part, {}).get("extra") is None:
                await self.fail(42000020, f"StartSession event payload {part} extra is null")
                return
        if message["tts"].get("speaker", SPEAKERS[0]) not in SPEAKERS:
            await self.fail(55000001, "ClientError:InvalidSpeaker")
            return
        assert message["tts"]["audio_config"]["format"] == "pcm_s16le"
        await self.tell(Code.SESSION_STARTED, {"dialog_id": message["dialog"].get("dialog_id") or "dlg_1"})

    async def on_finish_session(self, packet: Packet, message: dict[str, Any]) -> None:
        await self.cut_off()
        await self.tell(Code.SESSION_FINISHED, {})
        self.session_id = ""
        self.heard = 0

    async def on_task_request(self, packet: Packet, message: dict[str, Any]) -> None:
        assert packet.sort is Sort.CLIENT_SOUND
        self.server.sound += packet.payload
        if not self.heard:
            self.turns += 1
            await self.tell(Code.ASR_INFO, {"question_id": f"q_{self.turns}"})
            await self.understood(self.server.transcript.rpartition(" ")[0], is_interim=True)
        self.heard += len(packet.payload)

    async def understood(self, text: str, *, is_interim: bool) -> None:
        if text:
            await self.tell(Code.ASR_RESPONSE, {"results": [{"text": text, "is_interim": is_interim}]})

    async def on_end_asr(self, packet: Packet, message: dict[str, Any]) -> None:
        heard, self.heard = self.heard, 0
        if not heard or not self.server.transcript:
            await self.tell(Code.ASR_ENDED, {"no_content": True})
            return
        await self.understood(self.server.transcript, is_interim=False)
        await self.tell(Code.ASR_ENDED, {"user_duration": 500})
        await self.ask()

    async def on_chat_text_query(self, packet: Packet, message: dict[str, Any]) -> None:
        self.turns += 1
        await self.tell(Code.CHAT_TEXT_QUERY_CONFIRMED, {"question_id": f"q_{self.turns}"})
        await self.ask()

    async def on_conversation_create(self, packet: Packet, message: dict[str, Any]) -> None:
        assert [item["role"] for item in message["items"]] == ["user", "assistant"]

    async def on_conversation_truncate(self, packet: Packet, message: dict[str, Any]) -> None:
        if message["audio_end_ms"] > self.lengths.get(message["item_id"], -1):
            await self.tell(Code.DIALOG_COMMON_ERROR, {"status_code": "40000010", "message": "no such item"})

    async def on_client_interrupt(self, packet: Packet, message: dict[str, Any]) -> None:
        await self.cut_off()

    async def cut_off(self) -> None:
        """What was on its way arrives nonetheless."""
        if self.answering is None:
            return
        self.answering.cancel()
        await asyncio.gather(self.answering, return_exceptions=True)
        self.answering = None
        await self.sound(tone(100))

    async def ask(self) -> None:
        step = self.server.script(self.turns - 1, [])[0]
        assert isinstance(step, Say)
        self.answering = asyncio.create_task(self.answer(step, {"question_id": f"q_{self.turns}"}))

    async def answer(self, step: Say, question: dict[str, Any]) -> None:
        reply = question | {"reply_id": f"r_{self.turns}"}
        await self.tell(Code.CHAT_RESPONSE, reply | {"content": step.text})
        await self.tell(Code.TTS_SENTENCE_START, reply | {"tts_type": "default", "text": step.text})
        self.lengths[reply["reply_id"]] = 0
        async for piece in pieces(tone(step.ms), self.server.piece_s):
            self.lengths[reply["reply_id"]] += len(piece) // 48
            await self.sound(piece)
        await self.tell(Code.TTS_SENTENCE_END, reply)
        await self.tell(Code.TTS_ENDED, reply)
        await self.tell(Code.USAGE, {"usage": USAGE})
        await self.tell(Code.CHAT_ENDED, reply)
        self.answering = None

    async def sound(self, pcm: bytes) -> None:
        packet = Packet(Sort.SERVER_SOUND, pcm, Code.TTS_RESPONSE, self.session_id, is_json=False)
        await self.client.send(pack(packet))
