"""Takes outputs that nobody wants out of an ONNX model.

Exporters of Whisper leave every layer's attention among the encoder's outputs. onnxruntime keeps an output until the
run is over, whether it was asked for or not: 72 MB a layer, 430 MB for the base model (peak 626 MB, 272 MB without).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from agentbox.asr.onnx_writer import field_head

_GRAPH = 7
"""onnx.proto3, ModelProto."""

_OUTPUT = 12
"""GraphProto."""

_NAME = 1
"""ValueInfoProto."""

_MOST_BYTES = 1 << 30


def without_outputs(file: Path, wanted: Collection[str]) -> bytes | None:
    """The model in `file` with no other outputs than `wanted`; null where the file must or can be opened as it is: it
    has no others, has weights outside of the file, is very large, or cannot be read (onnxruntime will tell)."""
    if file.suffix != ".onnx" or any(file.with_name(file.name + end).exists() for end in ("_data", ".data")):
        return None
    try:
        if file.stat().st_size > _MOST_BYTES:
            return None
        return trimmed(file.read_bytes(), wanted)
    except (OSError, ValueError, IndexError):
        return None


def trimmed(model: bytes, wanted: Collection[str]) -> bytes | None:
    """`model` with the outputs `wanted`; null where it has no others or not all of them.

    Raises `ValueError` or `IndexError` where it is no protocol buffer.
    """
    whole = memoryview(model)
    pieces: list[memoryview | bytes] = []
    kept: set[str] = set()
    dropped = 0
    for field, message, content in _fields(whole):
        if field != _GRAPH:
            pieces.append(message)
            continue
        graph = []
        for part, written, value in _fields(content):
            if part == _OUTPUT:
                name = next((bytes(text).decode() for one, _, text in _fields(value) if one == _NAME), "")
                if name not in wanted:
                    dropped += 1
                    continue
                kept.add(name)
            graph.append(written)
        pieces += [field_head(_GRAPH, sum(map(len, graph))), *graph]
    return b"".join(pieces) if dropped and kept == set(wanted) else None


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Number, all bytes, and content (of what has a length) of each field."""
    at = 0
    while at < len(message):
        begun = at
        key, at = _varint(message, at)
        content = at
        match key & 7:
            case 0:
                _, at = _varint(message, at)
            case 1:
                at += 8
            case 2:
                length, content = _varint(message, at)
                at = content + length
            case 5:
                at += 4
            case _:
                raise ValueError("no such wire type")
        if at > len(message):
            raise ValueError("the data ends inside a field")
        yield key >> 3, message[begun:at], message[content:at]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
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
