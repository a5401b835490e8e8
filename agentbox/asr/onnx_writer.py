"""Writes small ONNX models as bytes: what of onnx.proto3 a graph of plain nodes needs, and no more."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.generic]
Attribute: TypeAlias = int | float | bytes | Sequence[int]
"""Bytes: a graph (`Graph.branch`)."""
Shape: TypeAlias = Sequence[int | str]
"""Sizes; a name stands for one that is known only when the graph runs."""

_IR_VERSION = 8
_OPSETS = {"": 18, "com.microsoft": 1}
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10}
"""onnx.proto3, TensorProto.DataType."""

_FLOAT, _INT, _GRAPH, _INTS = 1, 2, 5, 7
"""onnx.proto3, AttributeProto.AttributeType."""


@dataclass
class Graph:
    """A graph under construction; values are known by their names."""

    _nodes: list[bytes] = field(default_factory=list)
    _constants: list[tuple[bytes, Array]] = field(default_factory=list)
    """All of a TensorProto but its values, and these: not copied before the model is written."""
    _inputs: list[bytes] = field(default_factory=list)
    _outputs: list[bytes] = field(default_factory=list)
    _count: int = 0

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: int | Sequence[str] = 1,
        *,
        domain: str = "",
        **attributes: Attribute,
    ) -> list[str]:
        """Add a node; gives the names of its outputs. An empty name: left out. `outputs`: names, or how many."""
        self._count += 1
        names = [f"{kind}_{self._count}_{at}" for at in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self._nodes.append(
            b"".join(_text(1, name) for name in inputs)
            + b"".join(_text(2, name) for name in names)
            + _text(4, kind)
            + b"".join(_bytes(5, _attribute(name, value)) for name, value in attributes.items())
            + _text(7, domain)
        )
        return names

    def constant(self, name: str, values: Array) -> str:
        """Add a constant; gives its name."""
        head = b"".join(_number(1, size) for size in values.shape) + _number(2, _TYPES[values.dtype.name])
        self._constants.append((head + _text(8, name), np.ascontiguousarray(values)))
        return name

    def input(self, name: str, kind: str, shape: Shape) -> str:
        """Name an input of type `kind` (as numpy calls it)."""
        self._inputs.append(value_info(name, kind, shape))
        return name

    def output(self, name: str, kind: str, shape: Shape) -> None:
        """Make a value an output."""
        self._outputs.append(value_info(name, kind, shape))

    def model(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """The whole as a ModelProto, with what an exporter tells about it in `metadata`."""
        pieces = [_GRAPH_NAME, *self.pieces()]
        graph = _head(7, sum(map(len, pieces)))
        properties = [_bytes(14, _text(1, key) + _text(2, value)) for key, value in (metadata or {}).items()]
        return b"".join([_number(1, _IR_VERSION), _opsets(_OPSETS), *properties, graph, *pieces])

    def branch(self) -> bytes:
        """The graph as an attribute of an `If`: it may use the outer graph's values by their names, and its own must
        have others."""
        return b"".join([_GRAPH_NAME, *self.pieces()])

    def pieces(self) -> list[bytes | memoryview]:
        """The fields of the GraphProto but its name, to be written one after the other."""
        pieces: list[bytes | memoryview] = [_bytes(1, node) for node in self._nodes]
        for head, values in self._constants:
            begun = head + _head(9, values.nbytes)
            pieces += [_head(5, len(begun) + values.nbytes), begun, values.reshape(-1).view(np.uint8).data]
        pieces += [_bytes(11, one) for one in self._inputs]
        pieces += [_bytes(12, one) for one in self._outputs]
        return pieces


def _opsets(versions: Mapping[str, int]) -> bytes:
    return b"".join(_bytes(8, _text(1, domain) + _number(2, version)) for domain, version in versions.items())


def value_info(name: str, kind: str, shape: Shape) -> bytes:
    """A ValueInfoProto, as a graph has it for each input and output."""
    dims = b"".join(_bytes(1, _text(2, size) if isinstance(size, str) else _number(1, size)) for size in shape)
    tensor = _number(1, _TYPES[kind]) + _bytes(2, dims)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _INT)
    if isinstance(value, float):
        return _text(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, _FLOAT)
    if isinstance(value, bytes):
        return _text(1, name) + _bytes(6, value) + _number(20, _GRAPH)
    return _text(1, name) + b"".join(_number(8, one) for one in value) + _number(20, _INTS)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative number is written in ten bytes
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field_number: int, value: int) -> bytes:
    return _varint(field_number << 3) + _varint(value)


def _head(field_number: int, length: int) -> bytes:
    """What stands before so many bytes."""
    return _varint(field_number << 3 | 2) + _varint(length)


def _bytes(field_number: int, value: bytes) -> bytes:
    return _head(field_number, len(value)) + value


def _text(field_number: int, value: str) -> bytes:
    return _bytes(field_number, value.encode())


_GRAPH_NAME = _text(2, "graph")

field_head = _head
"""For whoever puts a model together from pieces of another."""
