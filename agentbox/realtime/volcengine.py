"""What Volcengine's speech services have in common: how one signs in, and what their error codes mean.

Sources: the vendor's pages 6561/1594356 (dialogue), 6561/2549732 (dialogue 3.0) and 6561/1354869 (recognition).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

from agentbox.messages import JSON
from agentbox.realtime.failures import Failure, failure, of_words
from agentbox.realtime.session import Account, Frame, Outbox, number_of

HOST = "openspeech.bytedance.com"
APP_KEY = "PlgvMymc7f3tQnJ6"
"""The dialogue's own, the same for everyone: printed in the vendor's page."""

INPUT_HZ = 16_000
OUTPUT_HZ = 24_000
PACKET_BYTES = INPUT_HZ * 20 // 1000 * 2
"""20 ms of a dialogue's sound, as the page recommends strongly."""

IDLE_S = 600.0
"""After ten minutes without a turn the dialogue lets go (error 45000003)."""

_CODES = {
    40000010: "cloud_refused",  # nothing to delete, of the conversation
    42000020: "cloud_settings",
    45000000: "cloud_closed",  # the session has ended
    45000001: "cloud_settings",
    45000002: "cloud_input",  # no sound in it
    45000003: "cloud_idle",  # ten minutes without a turn
    45000010: "cloud_key",
    45000030: "cloud_denied",  # the account has not bought this
    45000081: "cloud_idle",  # 8 s without a packet
    45000151: "cloud_settings",  # no such format of sound
    52000011: "cloud_down",
    52000016: "cloud_down",
    52000022: "cloud_down",
    52000033: "cloud_idle",
    52000035: "cloud_down",
    52000042: "cloud_idle",
    55000031: "cloud_busy",
}
_WORDS = (
    # Codes that stand for more than one thing are told apart by their words.
    (
        re.compile(r"invalid.?speaker|yaml|payload .{1,20}extra is null|is required|cant support", re.I),
        "cloud_settings",
    ),
    (re.compile(r"context.?canceled", re.I), "cloud_closed"),
    (re.compile(r"not granted|grant not found", re.I), "cloud_denied"),
    (re.compile(r"exceeded|\b[qt]pm\b", re.I), "cloud_busy"),
)
_CODE_IN_WORDS = re.compile(r"(?<!\d)[45]\d{7}(?!\d)")


def headers(account: Account, resource: str, app_key: str = "") -> dict[str, str]:
    """With an app's id: its access token (`app_key`: the service's own, where it wants that one). Without: the newer
    API key, which needs no app."""
    connection = str(uuid.uuid4())
    named = {
        "X-Api-Resource-Id": resource,
        "X-Api-Connect-Id": connection,
        "X-Api-Request-Id": connection,
    }
    if not account.app_id:
        return named | {"X-Api-Key": account.key}
    signed = named | {"X-Api-Access-Key": account.key, "X-Api-App-Key": app_key or account.app_id}
    return signed | {"X-Api-App-ID": account.app_id} if app_key else signed


def failure_of(code: object, words: str = "", default: str = "") -> Failure:
    """What an error code (number, or text of one) and its words mean.

    The vendor's rule for codes that are not known: those from 50000000 on are the service's, those below the caller's.
    """
    number = _number(code)
    if number is None and (found := _CODE_IN_WORDS.search(words[:2000])) is not None:
        number = int(found.group())
    ours = _CODES.get(number or 0)
    if ours is not None:
        return failure(ours, number)
    for pattern, ours in _WORDS:
        if pattern.search(words[:2000]):
            return failure(ours, number)
    if not default:
        default = "cloud_refused" if number is not None and 40000000 <= number < 50000000 else "cloud_down"
    return failure(of_words("", words, default=default).code, number)


class Speech:
    """The sound of one turn, in packets. What did not go out yet, since no session stands, can be taken back."""

    def __init__(self, out: Outbox) -> None:
        self.is_open = False
        """A turn is being spoken."""
        self._out = out
        self._rest = bytearray()
        self._held: list[Frame] = []
        self._went_out = False

    def packets(self, pcm: bytes) -> Iterator[bytes]:
        """The packets that are full with this."""
        self._rest += pcm
        while len(self._rest) >= PACKET_BYTES:
            yield bytes(self._rest[:PACKET_BYTES])
            del self._rest[:PACKET_BYTES]

    def last(self) -> Iterator[bytes]:
        """The packet that is not full, if there is one."""
        if self._rest:
            yield bytes(self._rest)
        self._rest.clear()

    def add(self, frame: Frame) -> None:
        """Part of the turn."""
        if self._out.is_open:
            self._out.add(frame)
            self._went_out = True
        else:
            self._held.append(frame)

    def end(self) -> None:
        """The turn is over, and meant."""
        self.session_stands()
        self.is_open = self._went_out = False

    def session_stands(self) -> None:
        self._went_out = bool(self._held)
        for frame in self._held:
            self._out.add(frame)
        self._held = []

    def take_back(self) -> bool:
        """The turn was not meant; true where some of it went out."""
        went_out = self._went_out
        self._rest.clear()
        self._held = []
        self.is_open = self._went_out = False
        return went_out


def pair(text: str, language: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Something to know, as the conversations take it: whole pairs only, what was said and that it was understood."""
    return ("user", text), ("assistant", "知道了。" if language.startswith("zh") else "I see.")


def counts(usage: JSON, prefix: str = "") -> dict[str, float]:
    """The numbers of a bill, those of its parts as `output.audio`."""
    units: dict[str, float] = {}
    for name, value in list(usage.items())[:64] if isinstance(usage, dict) else []:
        if isinstance(value, dict) and not prefix:
            units |= counts(value, f"{name}.")
        elif (count := number_of(usage, name)) is not None:
            units[f"{prefix}{name}"] = count
    return units


def _number(code: object) -> int | None:
    if isinstance(code, int) and not isinstance(code, bool):
        return code if 0 < code < 10**10 else None
    if isinstance(code, str) and re.fullmatch(r"[0-9]{1,10}", code):
        return int(code) or None
    return None
