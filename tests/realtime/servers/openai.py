"""OpenAI Realtime as it answers: GA names, manual turns, tools, truncation, and the errors of the documented kind."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from websockets.asyncio.server import ServerConnection

from tests.realtime.servers.base import Call, Say, VendorServer, pieces, send, tone, until_gone


class OpenAIServer(VendorServer):
    """`names`: the prefix of the events that carry sound, words of the sound, and text."""

    path = "/v1/realtime"
    audio = "response.output_audio"

    async def session(self, client: ServerConnection) -> None:
        await OpenAISession(self, client).run()


class OpenAISession:
    """One client's session."""

    def __init__(self, server: OpenAIServer, client: ServerConnection) -> None:
        self.server = server
        self.client = client
        self.config: dict[str, Any] = {"type": "realtime", "id": "sess_1", "output_modalities": ["audio"]}
        self.buffered = 0
        self.answering: asyncio.Task[None] | None = None
        self.answer_id = ""
        self.answers = 0
        self.events = 0
        self.items: dict[str, int] = {}
        self.calls: set[str] = set()
        self.results: list[Any] = []

    async def run(self) -> None:
        await self.tell("session.created", session=self.config)
        async for frame in self.client:
            message = json.loads(frame)
            if "audio" in message:
                pcm = base64.b64decode(message.pop("audio"), validate=True)
                self.server.sound += pcm
                self.buffered += len(pcm)
            self.server.frames.append(message)
            handler = getattr(self, "on_" + message["type"].replace(".", "_"), None)
            if handler is None:
                await self.error("invalid_value", f"Invalid value: {message['type']!r}", message, param="type")
            else:
                await handler(message)

    async def tell(self, kind: str, **fields: Any) -> None:
        self.events += 1
        await send(self.client, {"event_id": f"event_{self.events}", "type": kind, **fields})

    async def error(self, code: str, words: str, message: dict[str, Any], param: str | None = None) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": words, "param": param}
        await self.tell("error", error=error | {"event_id": message.get("event_id")})

    async def on_session_update(self, message: dict[str, Any]) -> None:
        if (problem := self.problem(message["session"])) is not None:
            await self.error("invalid_value", f"Invalid value for {problem}", message, param=problem)
            return
        self.config |= message["session"]
        await self.tell("session.updated", session=self.config)

    def problem(self, session: dict[str, Any]) -> str | None:
        """What is wrong with a configuration: the parameter's name."""
        if session.get("type") not in ("realtime", "transcription"):
            return "session.type"
        sound = session.get("audio", {})
        formats = [sound.get(way, {}).get("format") for way in ("input", "output")]
        if any(one not in (None, {"type": "audio/pcm", "rate": 24_000}) for one in formats):
            return "session.audio.format"
        if any("name" not in tool for tool in session.get("tools", [])):
            return "session.tools"
        return None

    async def on_input_audio_buffer_append(self, message: dict[str, Any]) -> None:
        """Not acknowledged."""

    async def on_input_audio_buffer_clear(self, message: dict[str, Any]) -> None:
        self.buffered = 0
        await self.tell("input_audio_buffer.cleared")

    async def on_input_audio_buffer_commit(self, message: dict[str, Any]) -> None:
        if not self.buffered:
            await self.error("input_audio_buffer_commit_empty", "buffer too small", message)
            return
        self.buffered = 0
        await self.tell("input_audio_buffer.committed", item_id="item_u1", previous_item_id=None)
        await self.transcribed("item_u1", "what is the ", "weather?")

    async def transcribed(self, item_id: str, *words: str) -> None:
        for word in words:
            await self.tell(
                "conversation.item.input_audio_transcription.delta", item_id=item_id, content_index=0, delta=word
            )
        await self.tell(
            "conversation.item.input_audio_transcription.completed",
            item_id=item_id,
            content_index=0,
            transcript="".join(words),
            usage={"type": "duration", "seconds": 1},
        )

    async def on_conversation_item_create(self, message: dict[str, Any]) -> None:
        item = message["item"]
        if item["type"] == "function_call_output":
            if item["call_id"] not in self.calls:
                await self.error("invalid_tool_call_id", "no such call", message, param="item.call_id")
                return
            self.results.append(json.loads(item["output"]))
        await self.tell("conversation.item.added", item={"id": "item_x", **item}, previous_item_id=None)
        await self.tell("conversation.item.done", item={"id": "item_x", **item}, previous_item_id=None)

    async def on_conversation_item_truncate(self, message: dict[str, Any]) -> None:
        if message["audio_end_ms"] > self.items.get(message["item_id"], -1):
            await self.error("invalid_value", "audio_end_ms is after the end", message, param="audio_end_ms")
            return
        kept = {key: message[key] for key in ("item_id", "content_index", "audio_end_ms")}
        await self.tell("conversation.item.truncated", **kept)

    async def on_response_cancel(self, message: dict[str, Any]) -> None:
        if self.answering is None:
            await self.error("response_cancel_not_active", "Cancellation failed: no active response found", message)
            return
        self.answering.cancel()
        await asyncio.gather(self.answering, return_exceptions=True)
        self.answering = None
        details = {"type": "cancelled", "reason": "client_cancelled"}
        await self.tell("response.done", response=self.response("cancelled", status_details=details))

    async def on_response_create(self, message: dict[str, Any]) -> None:
        if self.answering is not None:
            await self.error("conversation_already_has_active_response", "one at a time", message)
            return
        steps = self.server.script(self.answers, self.results)
        self.results = []
        self.answers += 1
        self.answer_id = f"resp_{self.answers}"
        self.answering = asyncio.create_task(until_gone(self.answer(list(steps))))

    def response(self, status: str, **fields: Any) -> dict[str, Any]:
        return {"id": self.answer_id, "object": "realtime.response", "status": status, "output": [], **fields}

    async def answer(self, steps: list[Say | Call]) -> None:
        await self.tell("response.created", response=self.response("in_progress"))
        output = []
        for index, step in enumerate(steps):
            item_id = f"item_{self.answer_id}_{index}"
            place = {"response_id": self.answer_id, "item_id": item_id, "output_index": index}
            if isinstance(step, Say):
                output.append(await self.say(step, item_id, place))
            else:
                output.append(await self.call(step, item_id, place))
        usage = {
            "input_tokens": 20,
            "output_tokens": 30,
            "total_tokens": 50,
            "output_token_details": {"audio_tokens": 25, "text_tokens": 5},
        }
        self.answering = None
        await self.tell("response.done", response=self.response("completed", output=output, usage=usage))

    async def added(self, item: dict[str, Any], place: dict[str, Any]) -> None:
        where = {key: place[key] for key in ("response_id", "output_index")}
        await self.tell("response.output_item.added", item=item, **where)

    async def say(self, step: Say, item_id: str, place: dict[str, Any]) -> dict[str, Any]:
        part = place | {"content_index": 0}
        item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
        await self.tell(
            "response.output_item.added", item=item, **{k: place[k] for k in ("response_id", "output_index")}
        )
        await self.tell(f"{self.server.audio}_transcript.delta", delta=step.text, **part)
        self.items[item_id] = 0
        async for piece in pieces(tone(step.ms), self.server.piece_s):
            self.items[item_id] += len(piece) // 48
            await self.tell(f"{self.server.audio}.delta", delta=base64.b64encode(piece).decode(), **part)
        await self.tell(f"{self.server.audio}.done", **part)
        await self.tell(f"{self.server.audio}_transcript.done", transcript=step.text, **part)
        return item

    async def call(self, step: Call, item_id: str, place: dict[str, Any]) -> dict[str, Any]:
        self.calls.add(step.id)
        item = {"id": item_id, "type": "function_call", "call_id": step.id, "name": step.name, "arguments": ""}
        await self.tell(
            "response.output_item.added", item=item, **{k: place[k] for k in ("response_id", "output_index")}
        )
        arguments = json.dumps(step.arguments)
        told = place | {"call_id": step.id}
        await self.tell("response.function_call_arguments.delta", delta=arguments, **told)
        await self.tell("response.function_call_arguments.done", arguments=arguments, name=step.name, **told)
        return item | {"arguments": arguments}
