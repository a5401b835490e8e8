"""StepFun's streaming voices.

Source: the vendor's page "streaming speech synthesis" (June 2026), and nothing else: no client of it was at hand.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import deque
from collections.abc import Callable, Sequence
from urllib.parse import quote

from agentbox.messages import JSON
from agentbox.realtime.events import AnswerSound, Event, Failed, Finished, Ready
from agentbox.realtime.failures import Failure, failure, of_status, of_words
from agentbox.realtime.session import (
    Account,
    Capabilities,
    Endpoint,
    Frame,
    Setup,
    at,
    merged,
    nonsense,
    packed,
    rate_of,
    text_of,
    unpacked,
)
from agentbox.realtime.stepfun import PING_S

URL = "wss://api.stepfun.com/v1/realtime/audio"
MODEL = "step-tts-2"
"""By the page, stepaudio-2.5-tts sounds worse here than where a text is spoken as a whole."""
VOICE = "cixingnansheng"
RATE_HZ = 24_000
IDLE_S = 60.0

_PIECE_CHARACTERS = 1_000
_TAIL = 4
_BRACKETS = re.compile(r"\s*[()（）]\s*")
"""What stands in them is an instruction, and not spoken."""


class StepFunVoice:
    """See `session.StreamingTTS`. `options` are laid over the data of `tts.create`; the sound is PCM in any case.

    A `commit` has the service speak all that it was given. It tells the end of each of its own sentences, with the
    text: a commit has ended where these hold as many letters, or all its ends that are alike. There is no word for an
    interruption.
    """

    def __init__(self, account: Account, setup: Setup) -> None:
        rate_hz = rate_of(account, RATE_HZ)
        self.account = account
        self.setup = setup
        self.capabilities = Capabilities(
            output_rate_hz=rate_hz, tools=False, tells_heard=False, survives_interrupt=False, idle_s=IDLE_S
        )
        self._now: list[Frame] = []
        self._later: list[tuple[str, dict[str, JSON]]] = []
        """Wait for the session, whose name they need."""
        self._is_open = False
        self._id = ""
        self._text = ""
        """Since the last commit."""
        self._asked: deque[str] = deque()
        """The letters of texts that were committed and are not spoken yet."""
        self._told = ""
        """Letters that are spoken, of the first of them."""
        self._sounded = False
        self._half = b""
        self._wanted = True
        self._ended = False
        self._handlers: dict[str, Callable[[dict[str, JSON]], list[Event]]] = {
            "tts.connection.done": self._on_greeting,
            "tts.response.created": self._on_created,
            "tts.response.audio.delta": self._on_sound,
            "tts.text.flushed": self._on_flushed,
            "tts.response.sentence.end": self._on_sentence,
            "tts.response.audio.done": self._on_done,
            "tts.response.error": self._on_error,
        }

    @property
    def endpoint(self) -> Endpoint:
        model = quote(self.account.model or MODEL, safe="")
        headers = {"Authorization": f"Bearer {self.account.key}"}
        return Endpoint(f"{self.account.url or URL}?model={model}", headers, PING_S)

    def opened(self) -> Sequence[Event] | None:
        return None

    def frames(self) -> list[Frame]:
        taken, self._now = self._now, []
        return taken

    def receive(self, frame: Frame) -> list[Event]:
        message = unpacked(frame)
        if message is None:
            return nonsense()
        handler = self._handlers.get(text_of(message, "type"))
        return handler(message) if handler is not None else []

    def closed(self, code: int | None, reason: str) -> list[Event]:
        if self._ended:
            return []
        default = "cloud_closed" if self._asked or not self._is_open else "cloud_idle"
        return [Failed(of_words("", reason, default=default))]

    def say(self, text: str) -> None:
        if self._ended or not self._wanted:
            return
        self._text += text
        spoken = _BRACKETS.sub(", ", text)
        for begin in range(0, len(spoken), _PIECE_CHARACTERS):
            self._add("tts.text.delta", text=spoken[begin : begin + _PIECE_CHARACTERS])

    def commit(self) -> None:
        if not self._ended and self._wanted:
            self._asked.append(_letters(self._text))
            self._text = ""
            self._add("tts.text.flush")

    def interrupt(self, heard_ms: float) -> None:
        self._wanted = False
        self._now, self._later = [], []

    def finish(self) -> None:
        if not self._ended and self._wanted and self._is_open:
            self._add("tts.text.done")
        self._ended = True

    def _add(self, kind: str, **data: JSON) -> None:
        if self._is_open:
            self._now.append(packed({"type": kind, "data": {"session_id": self._id, **data}}))
        else:
            self._later.append((kind, data))

    def _on_greeting(self, message: dict[str, JSON]) -> list[Event]:
        if self._id:
            return self._on_created(message)  # by the page's example both have this name
        self._id = text_of(message, "data", "session_id")
        if not self._id:
            return nonsense()
        usual: dict[str, JSON] = {"voice_id": self.setup.voice or VOICE, "sample_rate": RATE_HZ}
        data = merged(usual, self.account.options) | {"session_id": self._id, "response_format": "pcm"}
        self._now.append(packed({"type": "tts.create", "data": data}))
        return []

    def _on_created(self, message: dict[str, JSON]) -> list[Event]:
        if self._is_open or not self._id:
            return []
        self._is_open = True
        later, self._later = self._later, []
        for kind, data in later:
            self._add(kind, **data)
        return [Ready(self._id)]

    def _on_sound(self, message: dict[str, JSON]) -> list[Event]:
        try:
            pcm = self._half + base64.b64decode(text_of(message, "data", "audio"), validate=True)
        except (binascii.Error, ValueError):
            return nonsense()
        whole = len(pcm) // 2 * 2
        self._half = pcm[whole:]
        if not whole or not self._wanted:
            return []
        self._sounded = True
        return [AnswerSound(self._id, pcm[:whole])]

    def _on_flushed(self, message: dict[str, JSON]) -> list[Event]:
        """It begins to speak what it has. Of a text without letters nothing more is told."""
        return self._over() if self._asked and not self._asked[0] else []

    def _on_sentence(self, message: dict[str, JSON]) -> list[Event]:
        self._half = b""
        if not self._asked or not self._wanted:
            return []
        asked = self._asked[0]
        self._told = (self._told + _letters(text_of(message, "data", "text")))[: len(asked) + _PIECE_CHARACTERS]
        return self._over() if self._is_all_told(asked) else []

    def _is_all_told(self, asked: str) -> bool:
        """Other sentences of it may end as the whole does: that end must have come as often as it is in the text."""
        tail = asked[-_TAIL:]
        ends = bool(self._told) and self._told.endswith(tail) and self._told.count(tail) >= asked.count(tail)
        return ends or len(self._told) >= len(asked)

    def _over(self) -> list[Event]:
        asked = self._asked.popleft()
        self._told = ""
        sounded, self._sounded = self._sounded, False
        events: list[Event] = [Finished()]
        if asked and not sounded:
            events = [Failed(failure("cloud_silent"), session=False)]
        while self._asked and not self._asked[0]:
            self._asked.popleft()
            events.append(Finished())
        return events

    def _on_done(self, message: dict[str, JSON]) -> list[Event]:
        """It hangs up now."""
        self._ended = True
        events: list[Event] = []
        while self._asked and self._wanted:
            events += self._over()
        return events

    def _on_error(self, message: dict[str, JSON]) -> list[Event]:
        return [Failed(_failure_of(at(message, "data")))]


def _letters(text: str) -> str:
    """What of a text is spoken, whatever its spaces and marks."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _failure_of(error: JSON) -> Failure:
    code = text_of(error, "code")
    known = of_status(int(code)) if re.fullmatch(r"[45][0-9]{2}", code) else failure("cloud_down", code)
    return of_words("", text_of(error, "message"), default=known.code)
