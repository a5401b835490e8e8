"""DashScope's tasks as they run: recognition and voices, one connection for many tasks, its limits and its errors."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.realtime.servers.base import VendorServer, pieces, send, tone

ASR_MODELS = ("fun-asr-realtime", "fun-asr-flash-8k-realtime", "qwen-audio-3.1-asr-flash-streaming")
TTS_MODELS = ("cosyvoice-v3-flash", "qwen-audio-3.1-tts-flash")
VOICES = ("longanyang", "longanhuan", "longanhuan_v3.1")

SENTENCES = (("what", "what is", "What is the weather?"), ("and", "And in Bonn?"))
"""What is recognised, each as it grows; a part every 100 ms of sound."""

MS_A_LETTER = 20
"""Of the sound of a text."""


def sound_of(text: str, rate_hz: int = 24_000) -> bytes:
    return tone(MS_A_LETTER * len(text), rate_hz)


class DashScopeServer(VendorServer):
    path = "/api-ws/v1/inference"

    def __init__(
        self,
        *,
        sentences: Sequence[Sequence[str]] = SENTENCES,
        piece_s: float = 0.0,
        task_idle_s: float = 23.0,
        idle_s: float = 60.0,
        fails: tuple[str, str] | None = None,
        fails_at: str = "input",
        is_mute: bool = False,
    ) -> None:
        """`fails`: code and message, at the task's first input or at once (`fails_at` "run"). `is_mute`: its voice has
        no sound yet."""
        super().__init__(piece_s=piece_s)
        self.sentences = sentences
        self.task_idle_s = task_idle_s
        self.idle_s = idle_s
        self.fails = fails
        self.fails_at = fails_at
        self.is_mute = is_mute
        self.order: list[str] = []
        """What clients sent, over all sessions: actions, and "sound"; runs of the same told once."""

    async def session(self, client: ServerConnection) -> None:
        await DashScopeSession(self, client).run()

    async def _let_in(self, client: ServerConnection, request: Request) -> Response | None:
        # The vendor's pages end the address with a slash, its SDK does not.
        if request.path.rstrip("/") != self.path:
            return client.respond(HTTPStatus.NOT_FOUND, "{}")
        return await super()._let_in(client, request)

    def sent(self, action: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["header"]["action"] == action]


class DashScopeSession:
    """One client's connection."""

    def __init__(self, server: DashScopeServer, client: ServerConnection) -> None:
        self.server = server
        self.client = client
        self.task: Recognition | Synthesis | None = None
        self.is_over = False

    async def run(self) -> None:
        while not self.is_over:
            task = self.task
            limit_s = self.server.task_idle_s if task is not None else self.server.idle_s
            try:
                async with asyncio.timeout(limit_s):
                    frame = await self.client.recv()
            except TimeoutError:
                if task is None:
                    break
                if task is self.task and not task.is_ended:
                    await self.fail("CLIENT_ERROR", f"request timeout after {limit_s:g} seconds.")
                continue
            self.note("sound" if isinstance(frame, bytes) else json.loads(frame)["header"]["action"])
            if isinstance(frame, bytes):
                await self.on_sound(frame)
            else:
                await self.on_message(json.loads(frame))
        await self.client.close()

    def note(self, what: str) -> None:
        if self.server.order[-1:] != [what]:
            self.server.order.append(what)

    async def tell(self, event: str, task_id: str, payload: dict[str, Any] | None = None, **header: str) -> None:
        head = {"task_id": task_id, "event": event, "attributes": {}, **header}
        await send(self.client, {"header": head, "payload": payload or {}})

    async def fail(self, code: str, words: str, task_id: str = "") -> None:
        if self.task is not None:
            task_id = self.task.id
            self.task.stop()
        self.is_over = True
        await self.tell("task-failed", task_id, error_code=code, error_message=words)

    async def on_sound(self, pcm: bytes) -> None:
        if not isinstance(self.task, Recognition) or self.task.is_ended:
            await self.fail("CLIENT_ERROR", "sound that belongs to no task")
            return
        self.server.sound += pcm
        if self.server.fails is not None:
            await self.fail(*self.server.fails)
        else:
            await self.task.hear(pcm)

    async def on_message(self, message: dict[str, Any]) -> None:
        self.server.frames.append(message)
        header, payload = message["header"], message["payload"]
        task_id = header["task_id"]
        if header["streaming"] != "duplex" or not re.fullmatch(r"[0-9a-f]{32}|[0-9a-f-]{36}", task_id):
            await self.fail("InvalidParameter", "bad header")
        elif header["action"] == "run-task":
            await self.start(task_id, payload)
        elif self.task is None or self.task.id != task_id or self.task.is_cancelled:
            await self.fail("CLIENT_ERROR", "no such task", task_id)
        elif header["action"] == "continue-task":
            if self.server.fails is not None:
                await self.fail(*self.server.fails)
            else:
                await self.task.more(payload["input"])
        elif payload["input"].get("directive") == "cancel":
            await self.task.cancel()
        elif header["action"] == "finish-task" and not self.task.is_ended:
            await self.task.end()
        else:
            await self.fail("CLIENT_ERROR", "unknown action")

    async def start(self, task_id: str, payload: dict[str, Any]) -> None:
        if self.task is not None:
            await self.fail("CLIENT_ERROR", "another task is running")
        elif (problem := self.problem(payload)) is not None:
            await self.fail(*problem, task_id)
        elif self.server.fails is not None and self.server.fails_at == "run":
            await self.fail(*self.server.fails, task_id)
        else:
            self.task = (Recognition if payload["task"] == "asr" else Synthesis)(self, task_id, payload)
            await self.tell("task-started", task_id)

    def problem(self, payload: dict[str, Any]) -> tuple[str, str] | None:
        """What is wrong with a task: code and message."""
        model, parameters = payload["model"], payload["parameters"]
        kind = payload["task_group"], payload["task"], payload["function"]
        models = {("audio", "asr", "recognition"): ASR_MODELS, ("audio", "tts", "SpeechSynthesizer"): TTS_MODELS}
        if model not in models.get(kind, ()):
            return "ModelNotFound", f"Model not found ({model})!"
        rate_hz, is_asr = parameters.get("sample_rate"), payload["task"] == "asr"
        if parameters.get("format") != "pcm" or not isinstance(rate_hz, int) or not isinstance(payload["input"], dict):
            return "InvalidParameter", "format, sample_rate or input"
        if is_asr and rate_hz != (8_000 if "8k" in model else 16_000):
            return "InvalidParameter", f"sample_rate {rate_hz}"
        if not is_asr and "voice" not in parameters:
            return "InvalidParameter", "Request voice is invalid!"
        if not is_asr and parameters["voice"] not in VOICES:
            return "InternalError", "[tts:]Engine return error code: 418"
        return None

    async def done(self, usage: dict[str, Any]) -> None:
        assert self.task is not None
        task_id, self.task = self.task.id, None
        # The output is empty: that is how the SDK's older surface knows the end.
        await self.tell("task-finished", task_id, {"output": {}, "usage": usage})


class Recognition:
    def __init__(self, session: DashScopeSession, task_id: str, payload: dict[str, Any]) -> None:
        self.session = session
        self.id = task_id
        self.is_ended = False
        self.is_cancelled = False
        self.parameters = payload["parameters"]
        self.heard_bytes = 0
        self.parts = self._parts()

    def _parts(self) -> Iterator[tuple[int, str, bool]]:
        for number, sentence in enumerate(self.session.server.sentences, start=1):
            for part in sentence:
                yield number, part, part is sentence[-1]

    async def hear(self, pcm: bytes) -> None:
        step = self.parameters["sample_rate"] // 10 * 2
        due = (self.heard_bytes + len(pcm)) // step - self.heard_bytes // step
        self.heard_bytes += len(pcm)
        for _ in range(due):
            if not any(pcm):
                if self.parameters.get("heartbeat"):
                    await self.tell({"text": "", "heartbeat": True, "sentence_end": False, "sentence_id": 0})
            elif (part := next(self.parts, None)) is not None:
                await self.tell_part(*part)

    async def tell_part(self, number: int, text: str, final: bool) -> None:
        sentence = {"text": text, "heartbeat": False, "sentence_end": final, "sentence_id": number}
        await self.tell(sentence | {"end_time": 920 * number} if final else sentence)

    async def tell(self, sentence: dict[str, Any]) -> None:
        usage = self.usage() if sentence.get("end_time") is not None else None
        whole = {"begin_time": 170, "end_time": None, "words": [], **sentence}
        await self.session.tell("result-generated", self.id, {"output": {"sentence": whole}, "usage": usage})

    def usage(self) -> dict[str, Any]:
        """Since the task began."""
        return {"duration": 1 + self.heard_bytes // (self.parameters["sample_rate"] * 2)}

    async def more(self, given: dict[str, Any]) -> None:
        if not isinstance(given.get("context"), list):
            await self.session.fail("InvalidParameter", "input.context")

    async def end(self) -> None:
        self.is_ended = True
        for part in self.parts if self.heard_bytes else ():
            if part[2]:
                await self.tell_part(*part)
        await self.session.done(self.usage())

    async def cancel(self) -> None:
        await self.session.done(self.usage())

    def stop(self) -> None:
        pass


class Synthesis:
    def __init__(self, session: DashScopeSession, task_id: str, payload: dict[str, Any]) -> None:
        self.session = session
        self.id = task_id
        self.is_ended = False
        self.is_cancelled = False
        self.parameters = payload["parameters"]
        self.text = ""
        self.inputs = 0
        self.characters = 0
        self.spoken = 0
        self.sentences: asyncio.Queue[str | None] = asyncio.Queue()
        self.speaker = asyncio.create_task(self.speak())

    async def more(self, given: dict[str, Any]) -> None:
        if given.get("flush"):
            self.flush()
            return
        text, self.inputs = given["text"], self.inputs + 1
        if len(text) > 20_000 or len(text) + self.characters > 200_000:
            await self.session.fail("InvalidParameter", "text is too long")
        elif self.parameters.get("enable_ssml") and self.inputs > 1:
            await self.session.fail("InvalidParameter", "one text only")
        else:
            self.characters += len(text)
            self.text += text
            *whole, self.text = re.split(r"(?<=[.!?。!?])", self.text)
            for sentence in whole:
                self.sentences.put_nowait(sentence)

    def flush(self) -> None:
        if self.text:
            self.sentences.put_nowait(self.text)
        self.text = ""

    async def speak(self) -> None:
        index = 0
        while (sentence := await self.sentences.get()) is not None:
            await self.tell("sentence-begin", index, original_text=sentence)
            rate_hz = self.parameters["sample_rate"]
            sound = b"" if self.session.server.is_mute else sound_of(sentence, rate_hz)
            async for piece in pieces(sound, self.session.server.piece_s, rate_hz=rate_hz):
                await self.tell("sentence-synthesis", index)
                await self.session.client.send(piece)
            self.spoken += len(sentence)
            await self.tell("sentence-end", index, original_text=sentence, usage={"characters": self.spoken})
            index += 1
        await self.session.done({"characters": self.spoken})

    async def tell(self, kind: str, index: int, usage: dict[str, Any] | None = None, **output: str) -> None:
        told: dict[str, Any] = {"output": {"type": kind, "sentence": {"index": index, "words": []}, **output}}
        await self.session.tell("result-generated", self.id, told if usage is None else told | {"usage": usage})

    async def end(self) -> None:
        self.is_ended = True
        self.flush()
        self.sentences.put_nowait(None)

    async def cancel(self) -> None:
        self.stop()
        await asyncio.gather(self.speaker, return_exceptions=True)
        await self.session.done({"characters": self.spoken})

    def stop(self) -> None:
        self.is_ended = self.is_cancelled = True
        self.speaker.cancel()
