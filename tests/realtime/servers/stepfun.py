"""StepFun's realtime addresses as they answer: conversation, the variant that keeps nothing, and recognition."""

from __future__ import annotations

import asyncio
import base64
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.realtime.servers.base import Call, Say, pieces, tone
from tests.realtime.servers.openai import OpenAIServer, OpenAISession

MODELS = ("stepaudio-2.5-realtime", "step-audio-2-mini", "step-audio-r1.1", "step-overture-preview")


class StepFunServer(OpenAIServer):
    """Where the vendor's documents and other people's code disagree, a test says which."""

    audio = "response.audio"
    acknowledges_by = "session.updated"
    """By the example of the page it is `session.created`, without an id."""
    cancels_by = "response.done"
    """By the page it is `response.cancelled`."""
    names_answers = True
    """The page's examples leave `response_id` out of the events that carry sound and words."""
    repeats_words = False
    """Recognition tells all of a turn again, and not what is new."""
    interrupted = 0
    restored = 0

    async def _let_in(self, client: ServerConnection, request: Request) -> Response | None:
        refusal = await super()._let_in(client, request)
        if refusal is not None or "/asr/" in request.path:
            return refusal
        model = parse_qs(urlsplit(request.path).query).get("model", [""])[0]
        return None if model in MODELS else client.respond(HTTPStatus.BAD_REQUEST, "model not found\n")

    async def session(self, client: ServerConnection) -> None:
        assert client.request is not None
        path = urlsplit(client.request.path).path
        kind = StatelessSession if "/stateless" in path else ASRSession if "/asr/" in path else StepFunSession
        await kind(self, client).run()


class StepFunSession(OpenAISession):
    """A conversation."""

    server: StepFunServer

    def __init__(self, server: StepFunServer, client: ServerConnection) -> None:
        super().__init__(server, client)
        self.config = {"object": "realtime.session", "modalities": ["text", "audio"], "instructions": ""}
        self.metadata: Any = None
        self.written: list[dict[str, Any]] = []

    async def run(self) -> None:
        await self.greet()
        async for frame in self.client:
            message = json.loads(frame)
            if "audio" in message:
                pcm = base64.b64decode(message.pop("audio"), validate=True)
                self.server.sound += pcm
                self.buffered += len(pcm)
            self.server.frames.append(message)
            handler = getattr(self, "on_" + message["type"].replace(".", "_"), None)
            if handler is None:
                await self.error("invalid_value", f"无效值: {message['type']!r}", message)
            else:
                await handler(message)

    async def greet(self) -> None:
        await self.tell("session.created", session={"id": "sess_1", **self.config})

    async def error(self, code: str, words: str, message: dict[str, Any], param: str | None = None) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": words, "event_id": message.get("event_id")}
        await self.tell("error", error=error)

    async def on_session_update(self, message: dict[str, Any]) -> None:
        if (problem := self.problem(message["session"])) is not None:
            await self.error("invalid_param", problem, message)
            return
        self.config |= message["session"]
        told = {"id": "sess_1"} if self.server.acknowledges_by == "session.updated" else {}
        await self.tell(self.server.acknowledges_by, session=told | self.config)

    def problem(self, session: dict[str, Any]) -> str | None:
        if session.get("modalities", ["text", "audio"]) != ["text", "audio"]:
            return "modalities"
        if {session.get(f"{way}_audio_format", "pcm16") for way in ("input", "output")} != {"pcm16"}:
            return "audio_format"
        if (session.get("turn_detection") or {"type": "server_vad"})["type"] != "server_vad":
            return "turn_detection"
        return "voice" if session.get("voice") == "nobody" else None

    async def on_conversation_item_create(self, message: dict[str, Any]) -> None:
        item = message["item"]
        if item["type"] == "function_call_output":
            if item["call_id"] not in self.calls:
                await self.error("invalid_param", "no such call", message)
                return
            self.results.append(json.loads(item["output"]))
        else:
            kind = "text" if item["role"] == "assistant" else "input_text"
            if any(part["type"] != kind for part in item["content"]):
                await self.error("invalid_param", "content", message)
                return
            self.written.append(item)
        await self.tell("conversation.item.created", item={"id": f"msg_{self.events}", **item}, previous_item_id=None)

    async def on_conversation_item_delete(self, message: dict[str, Any]) -> None:
        if self.items.pop(message["item_id"], None) is None:
            await self.error("invalid_param", "no such item", message)
            return
        await self.tell("conversation.item.deleted", item_id=message["item_id"])

    async def transcribed(self, item_id: str, *words: str) -> None:
        """Whole turns only."""
        item = {"id": item_id, "object": "realtime.item", "type": "message", "role": "user", "content": []}
        await self.tell("conversation.item.created", item=item, previous_item_id=None)
        kind = "conversation.item.input_audio_transcription.completed"
        await self.tell(kind, item_id=item_id, content_index=0, transcript="".join(words))

    async def on_response_create(self, message: dict[str, Any]) -> None:
        if self.answering is None:
            self.metadata = message.get("response", {}).get("metadata")
        await super().on_response_create(message)

    async def on_response_cancel(self, message: dict[str, Any]) -> None:
        if self.answering is None:
            await self.error("invalid_param", "no response to cancel", message)
            return
        self.answering.cancel()
        await asyncio.gather(self.answering, return_exceptions=True)
        self.answering = None
        if self.server.cancels_by == "response.cancelled":
            await self.tell("response.cancelled", response_id=self.answer_id)
        else:
            await self.tell("response.done", response=self.response("cancelled", status_details=None))

    def response(self, status: str, **fields: Any) -> dict[str, Any]:
        metadata = {"metadata": self.metadata} if self.metadata else {}
        return super().response(status, **metadata, **fields)

    async def say(self, step: Say, item_id: str, place: dict[str, Any]) -> dict[str, Any]:
        part = place | {"content_index": 0}
        told = part if self.server.names_answers else {key: part[key] for key in ("item_id", "output_index")}
        item: dict[str, Any] = {"id": item_id, "object": "realtime.item", "type": "message"}
        item |= {"role": "assistant", "content": []}
        await self.added(item | {"status": "in_progress"}, place)
        await self.tell("conversation.item.created", item=item | {"status": "in_progress"}, previous_item_id=None)
        await self.tell("response.content_part.added", part={"type": "audio", "transcript": ""}, **part)
        await self.tell("response.thinking.delta", delta="They want to know.", **part)
        await self.tell("response.thinking.done", thinking="They want to know.", **part)
        self.items[item_id] = 0
        await self.tell(f"{self.server.audio}_transcript.delta", delta=step.text, **told)
        async for piece in pieces(tone(step.ms), self.server.piece_s):
            self.items[item_id] += len(piece) // 48
            await self.tell(f"{self.server.audio}.delta", delta=base64.b64encode(piece).decode(), **told)
        await self.tell(f"{self.server.audio}.done", **part)
        await self.tell(f"{self.server.audio}_transcript.done", transcript=step.text, **part)
        await self.tell("response.content_part.done", part={"type": "audio", "transcript": step.text}, **part)
        item |= {"status": "completed", "content": [{"type": "text", "text": step.text}]}
        where = {key: place[key] for key in ("response_id", "output_index")}
        await self.tell("response.output_item.done", item=item, **where)
        return item

    async def call(self, step: Call, item_id: str, place: dict[str, Any]) -> dict[str, Any]:
        self.calls.add(step.id)
        item = {
            "id": item_id,
            "type": "function_call",
            "object": "realtime.item",
            "call_id": step.id,
            "name": step.name,
        }
        where = {key: place[key] for key in ("response_id", "output_index")}
        await self.added(item | {"status": "in_progress"}, place)
        await self.tell("conversation.item.created", item=item | {"status": "incomplete"}, previous_item_id=None)
        arguments = json.dumps(step.arguments, ensure_ascii=False)
        told = (place if self.server.names_answers else {}) | {"call_id": step.id, "name": step.name}
        await self.tell("response.function_call_arguments.delta", delta=arguments, **told)
        await self.tell("response.function_call_arguments.done", arguments=arguments, **told)
        item |= {"status": "completed", "arguments": arguments}
        await self.tell("response.output_item.done", item=item, **where)
        return item


class StatelessSession(StepFunSession):
    """No greeting and no acknowledgements, a request that carries all, and a session that must be restored."""

    def __init__(self, server: StepFunServer, client: ServerConnection) -> None:
        super().__init__(server, client)
        self.is_idle = True
        self.awaits_restore = False

    async def greet(self) -> None:
        """There is none."""

    async def is_ready(self, message: dict[str, Any]) -> bool:
        if not self.is_idle:
            await self.error("invalid_request", "audio already committed", message)
        return self.is_idle

    async def on_session_update(self, message: dict[str, Any]) -> None:
        await self.client.close(1000)

    async def on_input_audio_buffer_append(self, message: dict[str, Any]) -> None:
        await self.is_ready(message)

    async def on_input_audio_buffer_commit(self, message: dict[str, Any]) -> None:
        if await self.is_ready(message):
            await super().on_input_audio_buffer_commit(message)

    async def on_response_cancel(self, message: dict[str, Any]) -> None:
        """Ignored."""

    async def on_response_create(self, message: dict[str, Any]) -> None:
        response = message["response"]
        if response.get("interrupt_current_response") and self.answering is not None:
            self.server.interrupted += 1
            self.answering.cancel()
            await asyncio.gather(self.answering, return_exceptions=True)
            self.answering = None
            await self.ended("cancelled")
            self.answer_id += "_stop"
            await self.tell("response.created", response=self.response("in_progress"))
            await self.ended("completed")
            return
        if not {"modalities", "instructions", "history"} <= response.keys():
            await self.error("missing_param", "history", message)
            return
        if any(not part.get("content", [{}])[0].get("text", "-") for part in response["history"]):
            await self.error("invalid_param", "history item without text", message)
            return
        if await self.is_ready(message):
            self.is_idle = False
            await super().on_response_create(message)

    async def ended(self, status: str) -> None:
        self.awaits_restore = True
        await self.tell("response.done", response=self.response(status))

    async def answer(self, steps: list[Say | Call]) -> None:
        await super().answer(steps)
        self.awaits_restore = True

    async def on_session_restore(self, message: dict[str, Any]) -> None:
        if self.answering is not None or not self.awaits_restore:
            await self.client.close(1000)
            return
        self.server.restored += 1
        self.awaits_restore = False
        self.is_idle = True
        await self.tell("session.restored")


class ASRSession(StepFunSession):
    """Recognition of `what is the weather?`."""

    async def tell(self, kind: str, **fields: Any) -> None:
        await super().tell(kind, meta={"session_id": "trace_1", "timestamp": 1766470145337}, **fields)

    async def greet(self) -> None:
        await self.tell("session.created", session={"audio": {"input": {}}})

    async def on_session_update(self, message: dict[str, Any]) -> None:
        sound = message["session"].get("audio", {}).get("input", {})
        if "model" not in sound.get("transcription", {}):
            await self.error("missing_param", "session.audio.input.transcription.model", message)
        elif sound["format"]["codec"] != "pcm_s16le":
            await self.error("invalid_value", "session.audio.input.format", message)
        else:
            await self.tell(self.server.acknowledges_by, session=message["session"])

    async def on_input_audio_buffer_commit(self, message: dict[str, Any]) -> None:
        if not self.buffered:
            await self.error("invalid_value", "no audio", message)
            return
        self.buffered = 0
        await self.tell("input_audio_buffer.committed", item_id="item_u1", previous_item_id=None)
        said = ""
        for words in ("what is", " the", " weather"):
            said += words
            told = said if self.server.repeats_words else words
            kind = "conversation.item.input_audio_transcription.delta"
            await self.tell(kind, item_id="item_u1", content_index=0, text=told, start_time=0, end_time=500)
        usage = {"prompt_tokens": 0, "completion_tokens": 10, "total_tokens": 10}
        kind = "conversation.item.input_audio_transcription.completed"
        await self.tell(kind, item_id="item_u1", content_index=0, transcript=f"{said}?", usage=usage)
