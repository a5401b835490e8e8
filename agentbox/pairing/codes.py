"""Pairing codes: short-lived, used once, and not to be guessed.

Each offer has two codes for the same door: a long one that a camera reads from the QR code (in the URL's fragment,
which no browser sends and no server logs), and a short one for fingers. Times are monotonic seconds given as arguments:
the wall clock of a box may jump.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import secrets
from collections import OrderedDict, deque

import msgspec

from agentbox.errors import InputError
from agentbox.messages import Role

LIFE_S = 600.0
MOST_OPEN = 3

LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Digits and capitals that no eye mistakes for one another: no 0 and O, no 1, I and L, no U beside V."""

SHORT_LENGTH = 8
"""30 ** 8 codes: with three open and `MOST_WRONG` guesses in each window, a guesser who never rests needs 90,000 years
for an even chance."""

LONG_BYTES = 24
"""192 bits from the system's random source: not worth guessing, and so never locked."""

WRONG_BY_ADDRESS = 5
WINDOW_S = 600.0
LOCK_S = 600.0
LONGEST_LOCK_S = 86_400.0
"""A locked address that guesses on is locked for twice as long each time, up to this."""

MOST_WRONG = 30
"""Wrong short codes from all addresses in one window; past that short codes wait, and the QR code still works."""

MOST_ADDRESSES = 1024
"""Remembered; past that the one that was quiet for longest is forgotten. Who has more is held by `MOST_WRONG`."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever shows a code on the box's behalf is given. The only place where the codes stand in clear."""

    long: str
    """43 or fewer letters of base64url, for the URL's fragment."""
    short: str
    """As it is shown: `K7PQ-2M4X`."""
    role: Role
    seconds: float
    """How long it can be used."""


class _Open(msgspec.Struct, frozen=True):
    long: bytes
    short: bytes
    role: Role
    until_s: float


class _Guesser(msgspec.Struct):
    wrong: deque[float]
    locked_until_s: float = -math.inf
    next_lock_s: float = LOCK_S


class Codes:
    """The offers that are open now. Nothing of it is written down: a restart ends them all."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()
        self._wrong: deque[float] = deque()
        self._key = secrets.token_bytes(32)

    def offer(self, role: Role, now_s: float) -> Offer:
        """A new offer. The oldest ends where more than `MOST_OPEN` would be open."""
        self._end_old(now_s)
        short = "".join(secrets.choice(LETTERS) for _ in range(SHORT_LENGTH))
        long = secrets.token_urlsafe(LONG_BYTES)
        self._open.append(_Open(self._digest(long), self._digest(short), role, now_s + LIFE_S))
        del self._open[:-MOST_OPEN]
        return Offer(long=long, short=f"{short[:4]}-{short[4:]}", role=role, seconds=LIFE_S)

    def open_count(self, now_s: float) -> int:
        self._end_old(now_s)
        return len(self._open)

    def redeem(self, code: str, address: str, now_s: float) -> Role:
        """Use up the offer that `code` belongs to, and tell which role it gives.

        `address`: whoever asks, an IP address. Raises `InputError` `pairing_code_wrong` for one that is wrong, used or
        too old (which of these is nobody's business), `pairing_locked` after too many of them.
        """
        self._end_old(now_s)
        is_long = len(code) > 2 * SHORT_LENGTH
        guesser = self._guesser(address)
        # A long code is compared even for who is locked out: it cannot have been guessed.
        if not is_long and (wait_s := self._locked_s(guesser, now_s)) > 0:
            raise InputError(
                "pairing_locked",
                "Too many wrong codes were entered.",
                f"Scan the QR code, or wait {math.ceil(wait_s / 60)} min: agentbox pair shows both.",
            )
        digest = self._digest(code if is_long else _plain(code))
        found = None
        for one in self._open:  # all of them, so that the time taken tells nothing
            if hmac.compare_digest(digest, one.long if is_long else one.short):
                found = one
        if found is None:
            self._wrong_code(guesser, now_s, counts_for_all=not is_long)
            raise InputError(
                "pairing_code_wrong",
                "This code is wrong, used or too old.",
                'Get a new one: say the wake phrase and "pair a new phone", or run agentbox pair.',
            )
        self._open.remove(found)
        self._guessers.pop(_who(address), None)
        return found.role

    def _end_old(self, now_s: float) -> None:
        self._open = [one for one in self._open if one.until_s > now_s]

    def _guesser(self, address: str) -> _Guesser:
        who = _who(address)
        guesser = self._guessers.setdefault(who, _Guesser(deque()))
        self._guessers.move_to_end(who)
        if len(self._guessers) > MOST_ADDRESSES:
            self._guessers.popitem(last=False)
        return guesser

    def _locked_s(self, guesser: _Guesser, now_s: float) -> float:
        """How long this guesser still waits."""
        _forget(self._wrong, now_s)
        wait_s = guesser.locked_until_s - now_s
        if len(self._wrong) >= MOST_WRONG:
            wait_s = max(wait_s, self._wrong[-MOST_WRONG] + WINDOW_S - now_s)
        return wait_s

    def _wrong_code(self, guesser: _Guesser, now_s: float, *, counts_for_all: bool) -> None:
        if counts_for_all:
            self._wrong.append(now_s)
        _forget(guesser.wrong, now_s)
        guesser.wrong.append(now_s)
        if len(guesser.wrong) >= WRONG_BY_ADDRESS:
            guesser.wrong.clear()
            guesser.locked_until_s = now_s + guesser.next_lock_s
            guesser.next_lock_s = min(2 * guesser.next_lock_s, LONGEST_LOCK_S)

    def _digest(self, code: str) -> bytes:
        """What is kept and compared: a look into memory shows no code, and all comparisons are of one length."""
        return hmac.digest(self._key, code.encode(errors="replace"), hashlib.sha256)


def _plain(code: str) -> str:
    """A short code as it was made, from what fingers make of it."""
    return "".join(letter for letter in code.upper() if letter.isalnum())


def _forget(times: deque[float], now_s: float) -> None:
    while times and times[0] <= now_s - WINDOW_S:
        times.popleft()


def _who(address: str) -> str:
    """Whose address that is: of IPv6 the network (/64), since each machine has as many addresses there as it likes."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
