"""OpenAI Realtime (the generally available interface, models `gpt-realtime-2` and after) and its transcription
sessions. Any server that speaks this protocol counts as OpenAI when `url` names it.

Source: types and resources of the vendor's SDK (openai 3.52.0), and the frames it sends.
"""

from __future__ import annotations

from agentbox.realtime.events import Event, Failed, Finished
from agentbox.realtime.failures import Failure
from agentbox.realtime.like_openai import Dialog, Events, Message
from agentbox.realtime.session import Account, Capabilities, Endpoint, Setup

URL = "wss://api.openai.com/v1/realtime"
MODEL = "gpt-realtime-2.1"
VOICE = "marin"
TRANSCRIPTION = "gpt-realtime-whisper"

RATE_HZ = 24_000
"""The only rate of its PCM, in and out."""

CAPABILITIES = Capabilities(
    input_rate_hz=RATE_HZ,
    output_rate_hz=RATE_HZ,
    truncates=True,
    session_s=3600.0,
)
"""An hour a session (developer notes, 2025)."""

_FORMAT = {"type": "audio/pcm", "rate": RATE_HZ}


def _endpoint(account: Account, query: str) -> Endpoint:
    return Endpoint(f"{account.url or URL}?{query}", {"Authorization": f"Bearer {account.key}"})


class OpenAIDialog(Dialog):
    """See `session.RealtimeDialog`."""

    def __init__(self, account: Account, setup: Setup) -> None:
        super().__init__(account, setup, CAPABILITIES)

    @property
    def endpoint(self) -> Endpoint:
        return _endpoint(self.account, f"model={self.account.model or MODEL}")

    def session(self) -> Message:
        language = self.setup.language.split("-")[0]
        return {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": self.setup.instructions,
            "audio": {
                "input": {
                    "format": _FORMAT,
                    "turn_detection": None,
                    "transcription": {"model": TRANSCRIPTION, "language": language},
                },
                "output": {"format": _FORMAT, "voice": self.setup.voice or VOICE},
            },
            "tools": [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                }
                for tool in self.setup.tools
            ],
            "tool_choice": "auto",
        }

    def _failed(self, failed: Failure, event_id: str, ends: bool) -> list[Event]:
        events = super()._failed(failed, event_id, ends)
        # A server that listens for the end of a turn by itself answers already: that answer is the one to tell.
        return [] if failed.vendor_code == "conversation_already_has_active_response" else events


class OpenAITranscription(Events):
    """See `session.StreamingASR`."""

    def __init__(self, account: Account, setup: Setup) -> None:
        super().__init__(account, setup, CAPABILITIES)
        self._handlers["conversation.item.input_audio_transcription.failed"] = self._on_not_heard

    @property
    def endpoint(self) -> Endpoint:
        return _endpoint(self.account, "intent=transcription")

    def session(self) -> Message:
        transcription = {
            "model": self.account.model or TRANSCRIPTION,
            "language": self.setup.language.split("-")[0],
        }
        return {
            "type": "transcription",
            "audio": {"input": {"format": _FORMAT, "turn_detection": None, "transcription": transcription}},
        }

    def commit(self) -> None:
        self._send("input_audio_buffer.commit")

    def _on_heard(self, message: Message) -> list[Event]:
        return [*super()._on_heard(message), Finished()]

    def _on_not_heard(self, message: Message) -> list[Event]:
        return [Failed(self.failure_of(message.get("error")), session=False)]
