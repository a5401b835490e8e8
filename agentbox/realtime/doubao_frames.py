"""The binary frames of Volcengine's speech services: four bytes of header, then fields that the header announces. Pure.

    byte 0   version 1, length of the header in words of 4 bytes (1)
    byte 1   sort of message, flags
    byte 2   serialization (0 raw, 1 JSON), compression (0 none, 1 gzip)
    byte 3   0
    then     error code, sequence, event, id (of a session or a connection), size of the payload, payload

Everything is big-endian. Sources: the vendor's pages 6561/1594356 (dialogue) and 6561/1354869 (recognition), and the
byte arrays printed there.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

MAX_PAYLOAD_BYTES = 4 << 20
"""Of a payload, unpacked: a minute and a half of sound. More is a bomb."""

_WITH_SEQUENCE, _LAST, _WITH_EVENT, _ANY = 0b0001, 0b0010, 0b0100, 0b1111
"""Flags. The vendor's table of fields writes the last of them for errors, and it announces nothing."""
_MOST_ID_BYTES = 1024
_CONNECTION_EVENTS = frozenset({1, 2, 50, 51, 52})
"""These belong to no session. Whether the server's carry a connection's id instead is seen both ways."""

_SENTENCES = frozenset({350, 351})


class Sort(IntEnum):
    """Of message."""

    CLIENT = 0x1
    CLIENT_SOUND = 0x2
    SERVER = 0x9
    SERVER_SOUND = 0xB
    ERROR = 0xF


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame. `payload` is what it holds before compression and after unpacking."""

    sort: Sort
    payload: bytes = b""
    event: int | None = None
    id: str = ""
    """Of the session; of the connection where the event belongs to one."""
    sequence: int | None = None
    """Signed; negative on the last of a row."""
    is_last: bool = False
    code: int = 0
    """Of an error."""
    is_json: bool = True
    is_gzip: bool = False


def pack(packet: Packet) -> bytes:
    """A packet as it goes over the wire."""
    flags = _WITH_SEQUENCE if packet.sequence is not None else 0
    flags |= _LAST if packet.is_last else 0
    flags |= _WITH_EVENT if packet.event is not None else 0
    parts = [bytes((0x11, packet.sort << 4 | flags, packet.is_json << 4 | packet.is_gzip, 0))]
    if packet.sort is Sort.ERROR:
        parts.append(struct.pack(">I", packet.code))
    if packet.sequence is not None:
        parts.append(struct.pack(">i", packet.sequence))
    if packet.event is not None:
        parts.append(struct.pack(">i", packet.event))
        if packet.id or packet.event not in _CONNECTION_EVENTS:
            parts.append(_sized(packet.id.encode()))
    # No time of day in it: the same packet gives the same bytes.
    parts.append(_sized(gzip.compress(packet.payload, 6, mtime=0) if packet.is_gzip else packet.payload))
    return b"".join(parts)


def unpack(frame: bytes) -> Packet | None:
    """What a frame says; null where it is cut short, too large, or no such frame."""
    if len(frame) < 8 or frame[0] >> 4 != 1 or frame[3] != 0:
        return None
    begin = (frame[0] & 0xF) * 4
    flags, form = frame[1] & 0xF, frame[2]
    try:
        sort = Sort(frame[1] >> 4)
    except ValueError:
        return None
    if begin < 4 or form >> 4 > 1 or form & 0xF > 1:
        return None
    for fields in _layouts(sort, flags):
        packet = _read(frame, begin, sort, fields, form)
        if packet is not None:
            return packet
    return None


def _layouts(sort: Sort, flags: int) -> Iterator[str]:
    """The orders of fields that a frame may have, the likely ones first; only one fits it to its last byte.

    `c` error code, `s` sequence, `e` event, `i` id; `l`: the last of a row.
    """
    announced = ("l" if flags & _LAST else "") + ("s" if flags & _WITH_SEQUENCE else "")
    begin = "c" if sort is Sort.ERROR else ""
    if begin and flags == _ANY:
        yield begin
    if flags & _WITH_EVENT:
        yield f"{begin}{announced}ei"
        yield f"{begin}{announced}e"
    else:
        yield begin + announced
    if begin and flags != 0:
        yield begin


def _read(frame: bytes, at: int, sort: Sort, fields: str, form: int) -> Packet | None:
    values: dict[str, int] = {}
    for field in fields:
        if field in "cse":
            if len(frame) < at + 4:
                return None
            values[field] = struct.unpack_from(">I" if field == "c" else ">i", frame, at)[0]
            at += 4
    event = values.get("e")
    is_free = event in _CONNECTION_EVENTS
    if "e" in fields and "i" not in fields and not is_free and sort is not Sort.ERROR:
        return None
    name = b""
    if "i" in fields:
        piece = _piece(frame, at)
        if piece is None or len(piece) > _MOST_ID_BYTES:
            return None
        name, at = piece, at + 4 + len(piece)
    payload = _piece(frame, at)
    if payload is None:
        return None
    if at + 4 + len(payload) != len(frame):
        # The size of sentences was seen to count characters instead of bytes (volcengine-audio 0.3.0, `tts.py`).
        if event not in _SENTENCES or sort is not Sort.SERVER or form & 0xF:
            return None
        payload = frame[at + 4 :]
    unpacked = _unzipped(payload) if form & 0xF else payload
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return None
    if unpacked is None or len(unpacked) > MAX_PAYLOAD_BYTES:
        return None
    return Packet(
        sort,
        unpacked,
        event,
        text,
        values.get("s"),
        "l" in fields,
        values.get("c", 0),
        bool(form >> 4),
        bool(form & 0xF),
    )


def _sized(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _piece(frame: bytes, at: int) -> bytes | None:
    """Bytes that stand behind their number."""
    if len(frame) < at + 4:
        return None
    size = struct.unpack_from(">I", frame, at)[0]
    return frame[at + 4 : at + 4 + size] if size <= len(frame) - at - 4 else None


def _unzipped(data: bytes) -> bytes | None:
    """Null for what is no gzip, is cut short, or grows without bounds. An empty payload stays one."""
    if not data:
        return b""
    reader = zlib.decompressobj(wbits=31)
    try:
        unpacked = reader.decompress(data, MAX_PAYLOAD_BYTES + 1)
    except zlib.error:
        return None
    return unpacked if reader.eof and not reader.unused_data else None
