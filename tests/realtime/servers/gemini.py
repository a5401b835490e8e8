"""Gemini Live as it answers: manual turns, tools, interruption, resumption, and closes with the documented codes."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from tests.realtime.servers.base import KEY, Call, Say, VendorServer, pieces, tone

MODELS = ("models/gemini-3.8-live", "models/gemini-3.1-flash-live-preview")

SETUP = {
    "model",
    "generationConfig",
    "systemInstruction",
    "tools",
    "realtimeInputConfig",
    "sessionResumption",
    "contextWindowCompression",
    "inputAudioTranscription",
    "outputAudioTranscription",
    "proactivity",
    "historyConfig",
}

SCHEMA = {
    "type",
    "format",
    "description",
    "nullable",
    "pattern",
    "enum",
    "items",
    "properties",
    "required",
    "anyOf",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "title",
    "default",
    "example",
    "propertyOrdering",
}

INVALID = (1007, "Request contains an invalid argument.")


class GeminiServer(VendorServer):
    path = "/ws/google.ai.generativelanguage.v1.GenerativeService.BidiGenerateContent"
    binary = True
    """Its JSON comes in binary frames."""
    snake = False
    """Its fields are named `server_content`."""
    ends_calls = False
    """It ends the turn that calls tools, and the one after their results again."""
    first: dict[str, Any] | None = None
    """Sent as soon as the session is set up."""
    breaks: tuple[int, str] | None = None
    """How every answer's connection is closed instead of one being given."""
    reason = ""
    """Why every answer ends without a word."""

    def is_welcome(self, request: Request) -> bool:
        """Whoever comes is let in as far as the setup; a key in the address is none."""
        return "?" not in request.path

    def kinds(self) -> list[str]:
        kinds: list[str] = []
        for frame in self.frames:
            kind = next(iter(frame))
            kind = next(iter(frame[kind])) if kind == "realtimeInput" else kind
            if not kinds or kinds[-1] != kind:
                kinds.append(kind)
        return kinds

    async def session(self, client: ServerConnection) -> None:
        await GeminiSession(self, client).run()


class Closed(Exception):  # noqa: N818
    """The session is closed with a code and a reason."""


class GeminiSession:
    """One client's session."""

    def __init__(self, server: GeminiServer, client: ServerConnection) -> None:
        self.server = server
        self.client = client
        self.setup: dict[str, Any] = {}
        self.answering: asyncio.Task[None] | None = None
        self.is_activity = False
        self.answers = 0
        self.open_calls: list[str] = []
        self.results: list[Any] = []
        self.results_there = asyncio.Event()

    async def run(self) -> None:
        try:
            async for frame in self.client:
                await self.take(camel(json.loads(frame)))
        except Closed as closed:
            await self.client.close(*closed.args)

    async def take(self, message: dict[str, Any]) -> None:
        ((kind, content),) = message.items()
        if (audio := content.get("audio")) is not None:
            assert audio["mimeType"] == "audio/pcm;rate=16000"
            # The SDK writes it in the alphabet of addresses.
            data = audio.pop("data").replace("-", "+").replace("_", "/")
            self.server.sound += base64.b64decode(data, validate=True)
        self.server.frames.append(message)
        if (kind == "setup") == bool(self.setup):
            raise Closed(1007, "setup must be the first message and only the first")
        await {
            "setup": self.on_setup,
            "realtimeInput": self.on_realtime,
            "clientContent": self.on_content,
            "toolResponse": self.on_results,
        }[kind](content)

    async def tell(self, **message: Any) -> None:
        text = json.dumps(snake(message) if self.server.snake else message)
        await self.client.send(text.encode() if self.server.binary else text)

    async def on_setup(self, setup: dict[str, Any]) -> None:
        if self.client.request is None or self.client.request.headers.get("x-goog-api-key") != KEY:
            raise Closed(1007, "API key not valid. Please pass a valid API key.")
        if setup["model"] not in MODELS:
            words = f"{setup['model']} is not found for API version v1, or is not supported for bidiGenerateContent."
            raise Closed(1008, words)
        if unknown := [name for name in setup if name not in SETUP] + unknown_of(setup):
            raise Closed(1007, f"Invalid JSON payload received. Unknown name \"{unknown[0]}\" at 'setup': Cannot find")
        if not re.fullmatch(r"handle_\d+", setup.get("sessionResumption", {}).get("handle", "handle_0")):
            raise Closed(1008, "BidiGenerateContent session not found")
        self.setup = setup
        await self.tell(setupComplete={"sessionId": "session_1"})
        if self.server.first is not None:
            await self.tell(**self.server.first)

    async def on_realtime(self, content: dict[str, Any]) -> None:
        detection = self.setup.get("realtimeInputConfig", {}).get("automaticActivityDetection", {})
        if not detection.get("disabled"):
            # By its own detection, which here takes the end of the stream for the end of speech.
            if content.get("audioStreamEnd"):
                await self.ask(is_spoken=True)
            elif "activityStart" in content or "activityEnd" in content:
                raise Closed(*INVALID)
            return
        if "audioStreamEnd" in content or (("activityStart" in content) == self.is_activity and "audio" not in content):
            raise Closed(*INVALID)
        if "activityStart" in content:
            self.is_activity = True
            await self.interrupt()
        elif "activityEnd" in content:
            self.is_activity = False
            await self.ask(is_spoken=True)

    async def on_content(self, content: dict[str, Any]) -> None:
        if any(turn.get("role") not in ("user", "model") for turn in content.get("turns", [])):
            raise Closed(1007, "Please use a valid role: user, model.")
        await self.interrupt()
        if content.get("turnComplete"):
            await self.ask(is_spoken=False)

    async def on_results(self, content: dict[str, Any]) -> None:
        for response in content["functionResponses"]:
            if response.get("id") not in self.open_calls:
                raise Closed(1008, "Requested entity was not found.")
            self.open_calls.remove(response["id"])
            self.results.append(response["response"].get("output", response["response"]))
        if not self.open_calls:
            self.results_there.set()

    async def interrupt(self) -> None:
        if self.answering is None or self.answering.done():
            return
        self.answering.cancel()
        await asyncio.gather(self.answering, return_exceptions=True)
        if self.open_calls:
            await self.tell(toolCallCancellation={"ids": self.open_calls})
            self.open_calls = []
        await self.tell(serverContent={"interrupted": True})
        await self.tell(serverContent={"turnComplete": True})

    async def ask(self, *, is_spoken: bool) -> None:
        if self.server.breaks is not None:
            raise Closed(*self.server.breaks)
        self.results = []
        self.answering = asyncio.create_task(self.answer(is_spoken))

    async def answer(self, is_spoken: bool) -> None:
        if is_spoken and "inputAudioTranscription" in self.setup:
            for words in (" what is the", " weather?"):
                await self.tell(serverContent={"inputTranscription": {"text": words}})
        if self.server.reason:
            await self.tell(serverContent={"turnComplete": True, "turnCompleteReason": self.server.reason})
            return
        while True:
            steps = self.server.script(self.answers, self.results)
            self.answers += 1
            self.results = []
            calls = [step for step in steps if isinstance(step, Call)]
            for step in steps:
                if isinstance(step, Say):
                    await self.say(step)
            if not calls:
                break
            await self.call(calls)
        await self.tell(serverContent={"generationComplete": True})
        counts = {"promptTokenCount": 20, "responseTokenCount": 30, "totalTokenCount": 50}
        details = {"responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}]}
        await self.tell(
            serverContent={"turnComplete": True, "interactionStatus": "IDLE"}, usageMetadata=counts | details
        )
        if "sessionResumption" in self.setup:
            update = {"newHandle": f"handle_{self.answers}", "resumable": True}
            await self.tell(sessionResumptionUpdate=update)

    async def say(self, step: Say) -> None:
        if "outputAudioTranscription" in self.setup:
            await self.tell(serverContent={"outputTranscription": {"text": step.text}})
        async for piece in pieces(tone(step.ms), self.server.piece_s):
            data = {"mimeType": "audio/pcm;rate=24000", "data": base64.b64encode(piece).decode()}
            await self.tell(serverContent={"modelTurn": {"parts": [{"inlineData": data}], "role": "model"}})

    async def call(self, calls: list[Call]) -> None:
        self.open_calls = [call.id for call in calls]
        self.results_there.clear()
        told = [{"id": call.id, "name": call.name, "args": call.arguments} for call in calls]
        await self.tell(toolCall={"functionCalls": told})
        if self.server.ends_calls:
            await self.tell(serverContent={"outputTranscription": {"finished": True}})
            await self.tell(serverContent={"turnComplete": True})
        else:
            await self.tell(sessionResumptionUpdate={"resumable": False})
        await self.results_there.wait()


def unknown_of(setup: dict[str, Any]) -> list[str]:
    """Names in tools' parameters that are not of the subset."""
    unknown: list[str] = []

    def walk(schema: dict[str, Any]) -> None:
        unknown.extend(name for name in schema if name not in SCHEMA)
        unknown.extend(
            str(schema["type"]) for _ in range(str(schema.get("type", "A")).upper() != schema.get("type", "A"))
        )
        for inner in [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]:
            walk(inner)
        if "items" in schema:
            walk(schema["items"])

    for tool in setup.get("tools", []):
        for declared in tool["functionDeclarations"]:
            walk(declared.get("parameters", {}))
    return unknown


def camel(message: Any, inside: str = "") -> Any:
    """The SDK writes some fields as `server_content`; what tools are given and give is theirs."""
    if isinstance(message, list):
        return [camel(one) for one in message]
    if not isinstance(message, dict) or inside in ("args", "response", "properties"):
        return message
    named = {re.sub(r"_([a-z])", lambda found: found[1].upper(), key): (key, value) for key, value in message.items()}
    return {name: camel(value, name) for name, (_, value) in named.items()}


def snake(message: Any, inside: str = "") -> Any:
    """The other way of naming fields."""
    if isinstance(message, list):
        return [snake(one) for one in message]
    if not isinstance(message, dict) or inside == "args":
        return message
    named = {re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), key): value for key, value in message.items()}
    return {name: snake(value, name) for name, value in named.items()}
