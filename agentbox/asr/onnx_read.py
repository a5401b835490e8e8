"""The fields of a protocol buffer's message, for whoever takes an ONNX model apart and puts it together anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

_MOST_BYTES = 1 << 30


class Field(NamedTuple):
    """One field of a message."""

    number: int
    message: memoryview
    """All bytes of it."""
    content: memoryview
    """Without number and length, where it has a length."""


def mapped(file: Path) -> memoryview | None:
    """An ONNX model's bytes, mapped into memory; null where it must be opened as it is: it is of another kind, has
    weights outside of the file, is very large, or cannot be read (onnxruntime will tell)."""
    if file.suffix != ".onnx" or any(file.with_name(file.name + end).exists() for end in ("_data", ".data")):
        return None
    try:
        return np.memmap(file, mode="r").data if file.stat().st_size <= _MOST_BYTES else None
    except (OSError, ValueError):
        return None


def fields(message: memoryview) -> Iterator[Field]:
    """Raises `ValueError` or `IndexError` where it is no protocol buffer."""
    at = 0
    while at < len(message):
        begun = at
        key, at = varint(message, at)
        content = at
        match key & 7:
            case 0:
                _, at = varint(message, at)
            case 1:
                at += 8
            case 2:
                length, content = varint(message, at)
                at = content + length
            case 5:
                at += 4
            case _:
                raise ValueError("no such wire type")
        if at > len(message):
            raise ValueError("the data ends inside a field")
        yield Field(key >> 3, message[begun:at], message[content:at])


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")
