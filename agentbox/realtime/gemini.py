"""Google Gemini Live (BidiGenerateContent) with an API key of the Gemini API.

Its messages have no ids: what belongs to an interrupted answer is told from the next one by their order alone.
`gemini_turns` keeps that order; here is how a session is set up and what its frames mean.

Sources: types, converters and live client of the vendor's SDK (google-genai 3.4.0), the frames it sends, the vendor's
model pages, and reports in public repositories where those say nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import lru_cache

from agentbox.messages import JSON
from agentbox.realtime.events import (
    AnswerSound,
    AnswerText,
    Event,
    Expiring,
    Failed,
    Heard,
    Ready,
    Resumable,
    ToolCalled,
    ToolsCancelled,
    Used,
)
from agentbox.realtime.gemini_failures import of_close, of_reason, of_turn
from agentbox.realtime.gemini_turns import Turns
from agentbox.realtime.openapi import openapi
from agentbox.realtime.session import (
    Account,
    Capabilities,
    Endpoint,
    Frame,
    Outbox,
    Setup,
    ToolSpec,
    merged,
    nonsense,
    number_of,
    packed,
    unpacked,
)

Message = dict[str, JSON]

URL = "wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1.GenerativeService.BidiGenerateContent"
"""Version and method as the SDK has them; `v1beta` is another that is served."""

MODEL = "gemini-3.8-live"

IN_HZ = 16_000

CAPABILITIES = Capabilities(input_rate_hz=IN_HZ, output_rate_hz=24_000, session_s=600.0)
"""A connection lasts about ten minutes, a conversation goes on over many of them (limits of the Live API, 2026). The
models that are served differ in none of these."""

_DOES_NOT_WAIT = ("3.8",)
"""Parts of the names of models that go on talking while a tool runs unless they are told to wait."""

_MOST_TEXT = 100_000
_MOST_NOTES = 32


class GeminiDialog:
    """See `session.RealtimeDialog`.

    Nothing can be cancelled or truncated: the beginning of the next turn is what ends an answer, and what had been sent
    of it is all that the model remembers. `account.options` are laid over `setup`.
    """

    def __init__(self, account: Account, setup: Setup) -> None:
        self.account = account
        self.setup = setup
        self.capabilities = CAPABILITIES
        self._request = self._setup()
        modalities = look(self._request, "generationConfig", "responseModalities")
        self._speaks = not isinstance(modalities, list) or "AUDIO" in modalities
        self._out = Outbox()
        self._turns = Turns()
        self._is_activity = False
        """The owner's turn was begun and is not over."""
        self._notes: list[JSON] = []
        self._heard = ""
        self._is_heard = True
        """What was understood was told as final, or is of no more use."""
        self._is_deaf = False
        """What is being understood was not meant."""
        self._handlers: dict[str, Callable[[JSON], list[Event]]] = {
            "error": self._on_error,
            "setupComplete": self._on_ready,
            "usageMetadata": self._on_usage,
            "serverContent": self._on_content,
            "toolCall": self._on_calls,
            "toolCallCancellation": self._on_cancelled,
            "goAway": self._on_go_away,
            "sessionResumptionUpdate": self._on_resumable,
        }

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.account.url or URL, {"x-goog-api-key": self.account.key})

    def opened(self) -> None:
        self._out.hello(packed({"setup": self._request}))

    def frames(self) -> list[Frame]:
        return self._out.take()

    def finish(self) -> None:
        """There is no word for it: the connection is closed."""

    def closed(self, code: int | None, reason: str) -> list[Event]:
        return [Failed(of_close(code, reason, is_ready=self._out.is_open, resumes=bool(self.setup.resume)))]

    def receive(self, frame: Frame) -> list[Event]:
        message = unpacked(frame)
        if message is None:
            return nonsense()
        events: list[Event] = []
        for key, handler in self._handlers.items():
            if (content := look(message, key)) is not None:
                events += handler(content)
        self._send_notes()
        return events

    def append(self, pcm: bytes) -> None:
        self._begin()
        data = base64.b64encode(pcm).decode("ascii")
        self._realtime(audio={"data": data, "mimeType": f"audio/pcm;rate={IN_HZ}"})

    def commit(self) -> None:
        self._begin()
        self._end()
        self._turns.asked(is_spoken=True)

    def discard(self) -> None:
        """There is no word for it either: the turn is ended, and the answer to it is not told."""
        if self._is_activity:
            self.commit()
            self._turns.drop()
            self._is_deaf = True
            self._forget_heard()

    def write(self, text: str) -> None:
        self.discard()
        self._turns.drop()
        self._forget_heard()
        turns = [*self._notes, _said("user", text)]
        self._notes = []
        self._content(turns, is_complete=True)
        self._turns.asked(is_spoken=False)

    def note(self, text: str) -> None:
        """Any content ends the answer that is being given, so it waits for the end of that."""
        self._notes = [*self._notes, _said("model", text)][-_MOST_NOTES:]
        self._send_notes()

    def tool_result(self, call_id: str, output: JSON) -> None:
        told = output if isinstance(output, dict) and "error" in output else {"output": output}
        self._respond(self._turns.has_result(call_id, told))

    def interrupt(self, heard_ms: float) -> None:
        self._turns.drop()

    def _setup(self) -> Message:
        model = self.account.model or MODEL
        setup: Message = {
            "model": model if "/" in model else f"models/{model}",
            "generationConfig": {"responseModalities": ["AUDIO"]},
            "realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}},
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
            "sessionResumption": {"handle": self.setup.resume} if self.setup.resume else {},
            "contextWindowCompression": {"slidingWindow": {}},
        }
        if self.setup.voice:
            voice: Message = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": self.setup.voice}}}
            setup = merged(setup, {"generationConfig": {"speechConfig": voice}})
        # Some models refuse what is there and empty.
        if self.setup.instructions:
            setup["systemInstruction"] = {"parts": [{"text": self.setup.instructions}]}
        if self.setup.tools:
            waits = any(part in model for part in _DOES_NOT_WAIT)
            setup["tools"] = [{"functionDeclarations": [_declared(tool, waits) for tool in self.setup.tools]}]
        return merged(setup, self.account.options)

    def _begin(self) -> None:
        """A turn of the owner's, which ends the answer before."""
        if self._is_activity:
            return
        self._turns.drop()
        if self._notes:
            self._content(self._notes, is_complete=False)
            self._notes = []
        self._is_activity = True
        self._is_deaf = False
        self._forget_heard()
        self._realtime(activityStart={})

    def _end(self) -> None:
        self._is_activity = False
        self._realtime(activityEnd={})

    def _forget_heard(self) -> None:
        self._heard = ""
        self._is_heard = True

    def _send_notes(self) -> None:
        if self._notes and self._turns.is_quiet and not self._is_activity:
            self._content(self._notes, is_complete=False)
            self._notes = []

    def _realtime(self, **what: JSON) -> None:
        self._out.add(packed({"realtimeInput": what}))

    def _content(self, turns: list[JSON], *, is_complete: bool) -> None:
        self._out.add(packed({"clientContent": {"turns": turns, "turnComplete": is_complete}}))

    def _respond(self, responses: list[JSON]) -> None:
        if responses:
            self._out.add(packed({"toolResponse": {"functionResponses": responses}}))

    def _on_ready(self, content: JSON) -> list[Event]:
        if self._out.is_open or not isinstance(content, dict):
            return []
        self._out.open()
        return [Ready(_text(content, "sessionId"))]

    def _on_error(self, error: JSON) -> list[Event]:
        """None is documented, but the SDK expects that one may come."""
        words = f"{_text(error, 'status')} {_text(error, 'message')}"
        return [Failed(of_reason(words, number_of(error, "code"), is_ready=self._out.is_open))]

    def _on_content(self, content: JSON) -> list[Event]:
        events = self._on_heard(look(content, "inputTranscription"))
        parts = look(content, "modelTurn", "parts")
        for part in parts if isinstance(parts, list) else []:
            events += self._on_part(part)
        if words := _text(content, "outputTranscription", "text"):
            events += self._on_words(words)
        if look(content, "interrupted") is True:
            events += self._turns.interrupted()
        if _is_over(content):
            events += self._on_over(_text(content, "turnCompleteReason"))
        return events

    def _on_part(self, part: JSON) -> list[Event]:
        data = _text(part, "inlineData", "data")
        if data and (_text(part, "inlineData", "mimeType") or "audio/pcm").startswith("audio/pcm"):
            try:
                # Its alphabet may be that of addresses (RFC 4648, 5), as in all of the vendor's JSON.
                pcm = base64.b64decode(data.replace("-", "+").replace("_", "/"), validate=True)
            except (binascii.Error, ValueError):
                return nonsense()
            pcm = pcm[: len(pcm) // 2 * 2]
            if not pcm or not self._turns.is_wanted():
                return []
            answer_id, events = self._turns.answer()
            return [*events, AnswerSound(answer_id, pcm)]
        # What is written beside sound is not what is said: it is the model's thoughts.
        if (words := _text(part, "text")) and look(part, "thought") is not True and not self._speaks:
            return self._on_words(words)
        return []

    def _on_words(self, words: str) -> list[Event]:
        # Words may come after the sound that they belong to, and begin no answer while its tools are running.
        if self._turns.is_calling or not self._turns.is_wanted():
            return []
        answer_id, events = self._turns.answer()
        return [*events, AnswerText(answer_id, words)]

    def _on_heard(self, transcription: JSON) -> list[Event]:
        more = _text(transcription, "text")
        is_final = look(transcription, "finished") is True
        if self._is_deaf or not (more or (is_final and not self._is_heard)):
            return []
        self._heard = (self._heard + more).lstrip()[:_MOST_TEXT]
        # It may come after all else of the turn.
        self._is_heard = is_final or (self._turns.is_quiet and not self._is_activity)
        return [Heard(self._heard, self._is_heard)] if self._heard else []

    def _on_over(self, reason: str) -> list[Event]:
        events = self._turns.over(*of_turn(reason))
        if events and not self._is_heard and not self._is_activity:
            self._is_heard = True
            return [Heard(self._heard, final=True), *events]
        return events

    def _on_calls(self, content: JSON) -> list[Event]:
        calls = look(content, "functionCalls")
        if not isinstance(calls, list) or not calls or not self._turns.is_wanted():
            return []
        answer_id, events = self._turns.answer()
        told = False
        for call in calls:
            call_id, name = _text(call, "id"), _text(call, "name")
            arguments = look(call, "args")
            if not call_id or not self._turns.calls(call_id, name):
                continue
            if arguments is not None and not isinstance(arguments, dict):
                self.tool_result(call_id, {"error": "the arguments are not a JSON object"})
                continue
            told = True
            events.append(ToolCalled(answer_id, call_id, name, arguments or {}))
        # Nothing more comes until the results are there, and no word of its own says so.
        return [*events, *self._turns.called()] if told else events

    def _on_cancelled(self, content: JSON) -> list[Event]:
        ids = look(content, "ids")
        known = tuple(one for one in ids if isinstance(one, str)) if isinstance(ids, list) else ()
        known, responses = self._turns.forget(known)
        self._respond(responses)
        return [ToolsCancelled(known)] if known else []

    def _on_usage(self, usage: JSON) -> list[Event]:
        units = _units(usage)
        return [Used(units)] if units else []

    def _on_go_away(self, content: JSON) -> list[Event]:
        """`timeLeft` is a duration as protobuf writes it in JSON: seconds with an `s`."""
        left = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", _text(content, "timeLeft"))
        return [Expiring(float(left[1]) if left else None)]

    def _on_resumable(self, content: JSON) -> list[Event]:
        handle = _text(content, "newHandle")
        return [Resumable(handle)] if handle and look(content, "resumable") is True else []


def look(message: JSON, *keys: str) -> JSON:
    """The value at a path of keys, each of which may be written as `serverContent` or `server_content`."""
    for key in keys:
        if not isinstance(message, dict):
            return None
        message = message.get(key, message.get(_snake(key)))
    return message


@lru_cache(maxsize=256)
def _snake(key: str) -> str:
    return re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), key)


def _text(message: JSON, *keys: str) -> str:
    value = look(message, *keys)
    return value if isinstance(value, str) else ""


def _said(role: str, text: str) -> JSON:
    """Content; roles are `user` and `model`, there is none beside them."""
    return {"role": role, "parts": [{"text": text}]}


def _declared(tool: ToolSpec, waits: bool) -> Message:
    """`parametersJsonSchema` would take the schema as it is, but the Live API calls such tools without arguments."""
    declared: Message = {"name": tool.name, "description": tool.description}
    parameters = openapi(tool.parameters)
    if parameters.get("properties"):
        declared["parameters"] = parameters
    if waits:
        declared["behavior"] = "BLOCKING"
    return declared


def _is_over(content: JSON) -> bool:
    """Models that think beside talking end several turns in one answer, and say by their status that more comes."""
    return look(content, "turnComplete") is True and _text(content, "interactionStatus") != "IN_PROGRESS"


def _units(usage: JSON) -> dict[str, float]:
    """The counts as the vendor names them, those by modality as `promptTokensDetails.AUDIO`."""
    units: dict[str, float] = {}
    for name, value in list(usage.items())[:64] if isinstance(usage, dict) else ():
        for part in value[:16] if isinstance(value, list) else ():
            count = number_of({"n": look(part, "tokenCount")}, "n")
            if count is not None and (modality := _text(part, "modality")):
                units[f"{name}.{modality}"[:100]] = count
        if (count := number_of(usage, name)) is not None:
            units[name[:100]] = count
    return units
