"""What an `.onnx` file says about itself, read without loading it: of a gigabyte a few kilobytes are looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_GRAPH, _METADATA = 7, 14
"""onnx.proto3, ModelProto."""

_INPUT, _OUTPUT = 11, 12
"""onnx.proto3, GraphProto."""

_MOST_TEXT = 1 << 20
_MOST_FIELDS = 200_000
"""Of one message. The largest graphs have some thousands; a file that is something else is not read to its end."""


@dataclass(slots=True)
class Outline:
    """Names of a graph's inputs and outputs, in their order, and its metadata."""

    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def outline(file: Path) -> Outline:
    """Empty where it is no such file, or cannot be read; as far as it goes where it is cut off."""
    found = Outline()
    try:
        with file.open("rb") as data:
            _walk(data, file.stat().st_size, found, graph=False)
    except (OSError, EOFError, ValueError):
        pass
    return found


def _walk(data: BinaryIO, end: int, found: Outline, *, graph: bool) -> None:
    """Go through the fields of one message; what is not wanted is jumped over."""
    for _ in range(_MOST_FIELDS):
        if data.tell() >= end:
            return
        key = _varint(data)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("no field of protocol buffers has this number")
        if kind == 0:
            _varint(data)
        elif kind in (1, 5):
            data.seek(8 if kind == 1 else 4, 1)
        elif kind == 2:
            length = _varint(data)
            after = min(data.tell() + length, end)
            if not graph and number == _GRAPH:
                _walk(data, after, found, graph=True)
            elif number in ((_INPUT, _OUTPUT) if graph else (_METADATA,)) and length <= _MOST_TEXT:
                texts = _texts(data.read(length))
                if graph:
                    (found.inputs if number == _INPUT else found.outputs).append(texts.get(1, ""))
                else:
                    found.metadata[texts.get(1, "")] = texts.get(2, "")
            data.seek(after)
        else:
            raise ValueError("no field of protocol buffers is of this kind")


def _texts(message: bytes) -> dict[int, str]:
    """The fields of a small message that are text, by their numbers."""
    texts = {}
    at = 0
    while at < len(message):
        key, at = _varint_in(message, at)
        if key & 7 == 0:
            _, at = _varint_in(message, at)
        elif key & 7 == 2:
            length, at = _varint_in(message, at)
            texts[key >> 3] = message[at : at + length].decode("utf-8", "replace")
            at += length
        else:
            break
    return texts


def _varint(data: BinaryIO) -> int:
    value = 0
    for shift in range(0, 64, 7):
        byte = data.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number is too long")


def _varint_in(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            raise EOFError
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
    raise ValueError("a number is too long")
