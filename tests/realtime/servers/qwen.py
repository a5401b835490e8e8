"""Qwen's realtime address as it answers: three dialects of conversation, recognition and synthesis, by the model in the
query. A model that does not exist is greeted and then hung up on, without a word.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection

from tests.realtime.servers.base import pieces, tone
from tests.realtime.servers.openai import OpenAIServer, OpenAISession

MODELS = (
    "qwen-audio-3.0-realtime-plus",
    "qwen3.8-omni-flash-realtime",
    "qwen3.5-omni-flash-realtime",
    "qwen3-omni-flash-realtime",
    "qwen3-asr-flash-realtime",
    "qwen3-tts-flash-realtime",
)


class QwenServer(OpenAIServer):
    path = "/api-ws/v1/realtime"
    audio = "response.audio"
    names_errors = True
    """Errors name the event they are about; their documents show some that do not."""

    async def session(self, client: ServerConnection) -> None:
        assert client.request is not None
        model = parse_qs(urlsplit(client.request.path).query)["model"][0]
        kind = QwenASRSession if "-asr-" in model else QwenTTSSession if "-tts-" in model else QwenSession
        await kind(self, client, model).run()


class QwenSession(OpenAISession):
    """A conversation."""

    server: QwenServer

    def __init__(self, server: QwenServer, client: ServerConnection, model: str) -> None:
        super().__init__(server, client)
        self.model = model
        self.config = {
            "id": "sess_1",
            "object": "realtime.session",
            "model": model,
            "modalities": ["text", "audio"],
            "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 800},
        }
        self.written: list[dict[str, Any]] = []
        """Messages of the conversation."""

    @property
    def is_audio(self) -> bool:
        return self.model.startswith("qwen-audio-")

    @property
    def is_nested(self) -> bool:
        return self.model.startswith("qwen3.8-omni-")

    async def run(self) -> None:
        if self.model in MODELS:
            await super().run()
            return
        await self.tell("session.created", session=self.config)
        await self.client.recv()
        await self.client.close(1000)

    async def tell(self, kind: str, **fields: Any) -> None:
        await super().tell(kind, **fields)
        if kind == "response.output_item.added":
            await super().tell("conversation.item.created", item=fields["item"], previous_item_id=None)

    async def error(self, code: str, words: str, message: dict[str, Any], param: str | None = None) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": words, "param": param or message["type"]}
        await self.tell("error", error=error | ({"event_id": message["event_id"]} if self.server.names_errors else {}))

    def problem(self, session: dict[str, Any]) -> str | None:
        if not set(session.get("modalities", ["text"])) <= {"text", "audio"}:
            return "session.modalities"
        if any(tool.get("type") != "function" or "name" not in tool["function"] for tool in session.get("tools", [])):
            return "session.tools"
        flat = {"voice", "input_audio_format", "output_audio_format"} & session.keys()
        if "audio" in session and (flat - {"voice"} or (self.is_nested and flat)):
            return "session.audio"
        if self.is_nested and "voice" in flat:
            return "session.voice"
        return None

    async def transcribed(self, item_id: str, *words: str) -> None:
        heard = "conversation.item.input_audio_transcription"
        where = {"item_id": item_id, "content_index": 0}
        item = {"id": item_id, "object": "realtime.item", "type": "message", "role": "user", "content": []}
        await self.tell("conversation.item.created", item=item, previous_item_id=None)
        if self.is_audio or self.is_nested:
            # What is settled, and what may still change: together the whole so far.
            await self.tell(f"{heard}.delta", text="", stash=words[0], **where)
            await self.tell(f"{heard}.delta", text=words[0], stash="whether", **where)
        await self.tell(f"{heard}.completed", transcript="".join(words), **where)

    async def on_conversation_item_create(self, message: dict[str, Any]) -> None:
        item = message["item"]
        if item["type"] == "function_call_output":
            if item["call_id"] not in self.calls:
                await self.error("invalid_value", "no such call", message, param="item.call_id")
                return
            self.results.append(json.loads(item["output"]))
        elif self.model.startswith(("qwen3-", "qwen3.5-")):
            await self.error("invalid_value", "item.type must be function_call_output", message, param="item.type")
            return
        else:
            kinds = {"system": "input_text", "user": "input_text", "assistant": "output_text"}
            if any(part["type"] != kinds[item["role"]] for part in item["content"]):
                await self.error("invalid_value", "content type", message, param="item.content")
                return
            self.written.append(item)
        await self.tell("conversation.item.created", item={"id": "item_x", **item}, previous_item_id=None)

    async def on_conversation_item_delete(self, message: dict[str, Any]) -> None:
        if self.items.pop(message["item_id"], None) is None:
            await self.error("invalid_value", "Item not found.", message, param="item_id")
            return
        await self.tell("conversation.item.deleted", item_id=message["item_id"])

    async def on_response_create(self, message: dict[str, Any]) -> None:
        if self.answering is not None:
            words = "Cannot create response while another response is in progress."
            await self.error("invalid_value", words, message, param="response.create")
            return
        await super().on_response_create(message)

    async def on_response_cancel(self, message: dict[str, Any]) -> None:
        if self.answering is None:
            await self.error("invalid_value", "Conversation has no active response.", message)
            return
        await super().on_response_cancel(message)

    async def on_session_finish(self, message: dict[str, Any]) -> None:
        if self.is_audio:
            await self.error("invalid_value", "Invalid value: 'session.finish'", message, param="type")
            return
        if not self.is_nested:
            await self.tell("session.finished")
        await self.client.close(1000)


class QwenASRSession(QwenSession):
    """Recognition of `what is the weather?`, and of nothing where no sound came."""

    async def transcribed(self, item_id: str, *words: str) -> None:
        heard = "conversation.item.input_audio_transcription"
        where = {"item_id": item_id, "content_index": 0, "language": "en", "emotion": "neutral"}
        await self.tell(f"{heard}.text", text="", stash=words[0], **where)
        await self.tell(f"{heard}.text", text=words[0], stash="whether", **where)
        await self.tell(f"{heard}.completed", transcript="".join(words), **where)

    async def on_session_finish(self, message: dict[str, Any]) -> None:
        if self.buffered:
            await self.transcribed("item_u9", "what is the ", "weather?")
        await self.tell("session.finished")
        await self.client.close(1000)


class QwenTTSSession(QwenSession):
    """Synthesis: 50 ms of sound a character. The end of a session speaks what is left, and closes."""

    def __init__(self, server: QwenServer, client: ServerConnection, model: str) -> None:
        super().__init__(server, client, model)
        self.text = ""

    def problem(self, session: dict[str, Any]) -> str | None:
        if session.get("mode") not in ("server_commit", "commit"):
            return "session.mode"
        return "session.voice" if session.get("voice") in (None, "", "nobody") else None

    async def on_input_text_buffer_append(self, message: dict[str, Any]) -> None:
        self.text += message["text"]
        if self.config["mode"] == "server_commit" and self.text.endswith((".", "。")):
            self.speak()

    async def on_input_text_buffer_commit(self, message: dict[str, Any]) -> None:
        await self.tell("input_text_buffer.committed", item_id="item_t")
        self.speak()

    async def on_input_text_buffer_clear(self, message: dict[str, Any]) -> None:
        self.text = ""
        await self.tell("input_text_buffer.cleared")

    async def on_session_finish(self, message: dict[str, Any]) -> None:
        self.speak()
        if self.answering is not None:
            await asyncio.gather(self.answering, return_exceptions=True)
        await self.tell("session.finished")
        await self.client.close(1000)

    def speak(self) -> None:
        if not self.text:
            return
        before, text, self.text = self.answering, self.text, ""
        self.answering = asyncio.create_task(self.spoken(before, text))

    async def spoken(self, before: asyncio.Task[None] | None, text: str) -> None:
        if before is not None:
            await before
        self.answers += 1
        self.answer_id = f"resp_{self.answers}"
        where = {"response_id": self.answer_id, "item_id": f"item_{self.answers}", "output_index": 0}
        await self.tell("response.created", response=self.response("in_progress"))
        ms = 0 if self.config["voice"] == "deploying" else 50 * len(text)
        async for piece in pieces(tone(ms), self.server.piece_s):
            delta = base64.b64encode(piece).decode()
            await self.tell("response.audio.delta", delta=delta, content_index=0, **where)
        await self.tell("response.audio.done", content_index=0, **where)
        await self.tell("response.done", response=self.response("completed", usage={"characters": len(text)}))
