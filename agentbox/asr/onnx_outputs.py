"""Takes outputs that nobody wants out of an ONNX model.

Exporters of Whisper leave every layer's attention among the encoder's outputs. onnxruntime keeps an output until the
run is over, whether it was asked for or not: 72 MB a layer, 430 MB for the base model (peak 626 MB, 272 MB without).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from agentbox.asr.onnx_read import fields, mapped
from agentbox.asr.onnx_writer import field_head

_GRAPH = 7
"""onnx.proto3, ModelProto."""

_OUTPUT = 12
"""GraphProto."""

_NAME = 1
"""ValueInfoProto."""


def without_outputs(file: Path, wanted: Collection[str]) -> bytes | None:
    """The model in `file` with no other outputs than `wanted`; null where it has no others, or must be opened as it is
    (`onnx_read.mapped`)."""
    model = mapped(file)
    try:
        return None if model is None else trimmed(model, wanted)
    except (ValueError, IndexError):
        return None


def trimmed(model: bytes | memoryview, wanted: Collection[str]) -> bytes | None:
    """`model` with the outputs `wanted`; null where it has no others or not all of them.

    Raises `ValueError` or `IndexError` where it is no protocol buffer.
    """
    whole = memoryview(model)
    pieces: list[memoryview | bytes] = []
    kept: set[str] = set()
    dropped = 0
    for field, message, content in fields(whole):
        if field != _GRAPH:
            pieces.append(message)
            continue
        graph: list[memoryview] = []
        for part, written, value in fields(content):
            if part == _OUTPUT:
                name = next((bytes(text).decode() for one, _, text in fields(value) if one == _NAME), "")
                if name not in wanted:
                    dropped += 1
                    continue
                kept.add(name)
            graph.append(written)
        pieces += [field_head(_GRAPH, sum(map(len, graph))), *graph]
    return b"".join(pieces) if dropped and kept == set(wanted) else None
