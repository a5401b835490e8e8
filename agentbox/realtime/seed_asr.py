"""Seed-ASR, Doubao's streaming recognition: the binary frames of Volcengine, a connection a recognition.

Source: the vendor's page 6561/1354869; the numbered packets and their compression are those of its demonstration.
"""

from __future__ import annotations

import json

from agentbox.messages import JSON
from agentbox.realtime.doubao_frames import Packet, Sort, pack, unpack
from agentbox.realtime.events import Event, Failed, Finished, Heard, Ready
from agentbox.realtime.failures import of_words
from agentbox.realtime.session import (
    Account,
    Capabilities,
    Endpoint,
    Frame,
    Outbox,
    Setup,
    at,
    merged,
    nonsense,
    packed,
    text_of,
    unpacked,
)
from agentbox.realtime.volcengine import HOST, INPUT_HZ, failure_of, headers

URL = f"wss://{HOST}/api/v3/sauc/bigmodel_async"
"""Tells only what is new; `/bigmodel` answers each packet, `/bigmodel_nostream` the whole."""

MODEL = "volc.seedasr.sauc.duration"
"""What is billed, and with it the generation of the model; `volc.bigasr.sauc.duration` is the one before."""

PACKET_BYTES = INPUT_HZ * 200 // 1000 * 2
"""200 ms: best for this address, says the page."""

CAPABILITIES = Capabilities(input_rate_hz=INPUT_HZ, tools=False, takes_text=False, idle_s=8.0)
"""Eight seconds without a packet end the session (error 45000081)."""

_OK = (0, 1000, 20000000)
_NO_SPEECH = (1013, 45000002)
"""In a result, and as an error: there was nothing to understand."""

_MOST_TEXT = 100_000

Message = dict[str, JSON]


class SeedASR:
    """See `session.StreamingASR`. After `Finished` the service hangs up: the next recognition needs a new one.

    Sound does not wait for the acknowledgement: not every one of the addresses gives one.
    """

    def __init__(self, account: Account, setup: Setup) -> None:
        self.account = account
        self.setup = setup
        self.capabilities = CAPABILITIES
        self._out = Outbox()
        self._rest = bytearray()
        self._sequence = 1
        self._was_ready = False
        self._is_over = False
        """There is no more sound."""
        self._is_finished = False
        self._told = 0
        """Segments that are final."""
        self._partial = ""

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.account.url or URL, headers(self.account, self.account.model or MODEL))

    def session(self) -> Message:
        """What is to be recognised, and how it is told; the account's options are laid over it."""
        request: Message = {
            "model_name": "bigmodel",
            "enable_itn": True,
            "enable_punc": True,
            "show_utterances": True,
            "result_type": "full",
        }
        if self.setup.hotwords:
            words = [{"word": word} for word in self.setup.hotwords]
            request["corpus"] = {"context": json.dumps({"hotwords": words}, ensure_ascii=False)}
        audio = {"format": "pcm", "codec": "raw", "rate": INPUT_HZ, "bits": 16, "channel": 1}
        return merged({"user": {"uid": "agentbox"}, "audio": audio, "request": request}, self.account.options)

    def opened(self) -> None:
        payload = packed(self.session()).encode()
        self._out.hello(pack(Packet(Sort.CLIENT, payload, sequence=1, is_gzip=True)))
        self._out.open()

    def frames(self) -> list[Frame]:
        return self._out.take()

    def append(self, pcm: bytes) -> None:
        """What comes after `commit` belongs to no recognition."""
        if self._is_over:
            return
        self._rest += pcm
        # The last packet says that it is the last: one is always kept back.
        while len(self._rest) > PACKET_BYTES:
            self._send(bytes(self._rest[:PACKET_BYTES]))
            del self._rest[:PACKET_BYTES]

    def commit(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._send(bytes(self._rest))
        self._rest.clear()

    def finish(self) -> None:
        """There is no word for it: the connection is closed."""

    def receive(self, frame: Frame) -> list[Event]:
        packet = unpack(frame) if isinstance(frame, bytes) else None
        if packet is None:
            return nonsense()
        if self._is_finished:
            return []
        if packet.sort is Sort.ERROR:
            words = packet.payload[:2000].decode("utf-8", "replace")
            return self._on_error(packet.code, words)
        if packet.sort is not Sort.SERVER:
            return []
        message = unpacked(packet.payload) if packet.payload else {}
        if message is None:
            return nonsense()
        code = at(message, "code")
        if isinstance(code, int) and code not in _OK:
            return self._on_error(code, text_of(message, "message"))
        events: list[Event] = [] if self._was_ready else [Ready()]
        self._was_ready = True
        is_last = packet.is_last or (packet.sequence or 0) < 0
        events += self._heard(at(message, "result"), is_last)
        return [*events, *self._finish()] if is_last else events

    def closed(self, code: int | None, reason: str) -> list[Event]:
        return [Failed(of_words("", reason, default="cloud_closed"))]

    def _send(self, sound: bytes) -> None:
        self._sequence += 1
        sequence = -self._sequence if self._is_over else self._sequence
        self._out.add(
            pack(Packet(Sort.CLIENT_SOUND, sound, sequence=sequence, is_last=self._is_over, is_gzip=True)),
        )

    def _heard(self, result: JSON, is_last: bool) -> list[Event]:
        """Segments in their order: those that are definite once, the one that is not whenever it changed."""
        # The older generation wraps its result in a list.
        result = result[0] if isinstance(result, list) and result else result
        segments = at(result, "utterances")
        if not isinstance(segments, list) or not segments:
            segments = [{"text": text_of(result, "text")}] if not self._told else []
        events: list[Event] = []
        for index, segment in enumerate(segments[self._told :], self._told):
            text = text_of(segment, "text")[:_MOST_TEXT].strip()
            is_definite = at(segment, "definite") is True
            if is_definite or (is_last and text):
                self._told = index + 1
                self._partial = ""
            if text and (is_definite or is_last):
                events.append(Heard(text, final=True, segment=index))
            elif text and text != self._partial:
                self._partial = text
                events.append(Heard(text, final=False, segment=index))
        return events

    def _finish(self) -> list[Event]:
        # The last packet may come without what was told before it.
        left, self._partial = self._partial, ""
        self._is_finished = True
        return [*([Heard(left, final=True, segment=self._told)] if left else []), Finished()]

    def _on_error(self, code: int, words: str) -> list[Event]:
        if code in _NO_SPEECH and self._is_over:
            return self._finish()
        return [Failed(failure_of(code, words, "" if self._was_ready else "cloud_settings"))]
