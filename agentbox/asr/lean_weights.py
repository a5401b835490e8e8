"""The weights of a Moonshine decoder out of a file in onnxruntime's format, by what they are for.

Two exports are known. In the newer one (the default model's) onnxruntime has fused what it could: a matrix is an input
of `DynamicQuantizeMatMul`. In the older one (`moonshine-base-en`) every matrix is kept as integers and made floats in
each run, before anything is multiplied: `Cast`, times the scale, plus an offset, a whole multiple of the scale. That
took nineteen twentieths of a step.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

_LAYER = "/model/decoder/layers.{}"
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64}
"""ort.fbs, TensorDataType, as far as they are met."""


class UnlikeError(Exception):
    """The file is another model's, or another export."""


class Matrix(NamedTuple):
    """A quantised matrix: weight = (values - zero) x scale."""

    values: NDArray[np.int8] | NDArray[np.uint8]
    """[inputs, outputs]"""
    scale: NDArray[np.float32]
    """One for all, or one for each column; `zero` likewise."""
    zero: NDArray[np.int8] | NDArray[np.uint8]

    def beside(self, *others: Matrix) -> Matrix:
        """Several that read the same, as one."""
        parts = [(one.values, *(np.broadcast_to(of, one.values.shape[1]) for of in one[1:])) for one in (self, *others)]
        return Matrix(*(np.concatenate(alike, axis=-1) for alike in zip(*parts, strict=True)))


class Weights(Protocol):
    """A decoder's weights by what they are for. `layer` null: of the decoder as a whole. Raises `LookupError` or
    `UnlikeError` where something is not where it was looked for."""

    layers: int
    heads: int
    head_dim: int
    scale: float
    """What a query's products with the keys are multiplied by."""
    inverse_frequencies: Array
    """Of the rotary positions, [pairs]."""
    embedding: Array
    """Of the tokens, [vocabulary, width], quantised: (values - zero) x scale."""
    embedding_scale: Array
    embedding_zero: Array

    def matrix(self, layer: int | None, part: str) -> Matrix: ...

    def bias(self, layer: int, part: str) -> Array:
        """What is added to the product with a matrix."""
        ...

    def norm(self, layer: int | None, part: str) -> Array:
        """The factors of a normalisation, which adds nothing."""
        ...


def weights_of(graph: Any, *, signed: bool) -> Weights:
    """The weights in the merged decoder `graph`. `signed`: as signed integers. Raises as `Weights` does."""
    fused = _has(_branches(graph)[b"then_branch"], b"LayerNormalization")
    return _Fused(graph, signed) if fused else _Plain(graph, signed)


class _Reader:
    """Tensors and nodes by name."""

    def __init__(self, graph: Any, signed: bool) -> None:
        self._signed = signed
        self._tensors = _tensors_of(graph)
        self._nodes: dict[str, Any] = {}
        branches = _branches(graph)
        # The one for what comes after the first token goes first: names in both are taken from it.
        for name in (b"then_branch", b"else_branch"):
            branch = branches[name]
            self._tensors = _tensors_of(branch) | self._tensors
            for at in range(branch.NodesLength()):
                node = branch.Nodes(at)
                for output in _names(node.Outputs, node.OutputsLength()):
                    self._nodes.setdefault(output, node)
        split = self._inputs(f"{_LAYER.format(0)}/self_attn/Reshape_output_0", "Reshape")[1]
        self.heads, self.head_dim = (int(self._array(name).item()) for name in self._inputs(split, "Concat")[2:])

    def _count(self, output: str) -> int:
        """How many layers have `output`."""
        layers = 0
        while f"{_LAYER.format(layers)}/{output}" in self._nodes:
            layers += 1
        if not layers:
            raise UnlikeError
        return layers

    def _array(self, name: str) -> Array:
        tensor = self._tensors[name]
        shape = [tensor.Dims(axis) for axis in range(tensor.DimsLength())]
        return np.frombuffer(tensor.RawDataAsNumpy(), _TYPES[tensor.DataType()]).reshape(shape)

    def _inputs(self, output: str, *kinds: str) -> list[str]:
        node = self._nodes[output]
        if node.OpType().decode() not in kinds:
            raise UnlikeError
        return _names(node.Inputs, node.InputsLength())


class _Fused(_Reader):
    """The newer export."""

    def __init__(self, graph: Any, signed: bool) -> None:
        super().__init__(graph, signed)
        self.layers = self._count("mlp/fc1/Add_output_0")
        self.scale = _float_attribute(self._nodes[f"{_LAYER.format(0)}/self_attn/MatMul_output_0"], b"alpha")
        expand = self._inputs("/model/decoder/rotary_emb/Expand_output_0", "Expand")
        self.inverse_frequencies: Array = self._array(expand[0]).reshape(-1)
        tokens = self._inputs("/model/decoder/embed_tokens/Gather_output_0", "DequantizeLinear")
        self.embedding: Array = self._array(self._inputs(tokens[0], "Gather")[0])
        self.embedding_scale: Array = self._array(tokens[1])
        self.embedding_zero: Array = self._array(tokens[2])

    def matrix(self, layer: int | None, part: str) -> Matrix:
        if layer is None:
            output = part
        else:
            output = f"{_LAYER.format(layer)}/{part}/{'Add' if part.startswith('mlp/') else 'MatMul'}_output_0"
        inputs = self._inputs(output, "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
        at = (1, 2, 3) if self._nodes[output].OpType() == b"DynamicQuantizeMatMul" else (1, 3, 5)
        values, scale, zero = (self._array(inputs[number]) for number in at)
        if values.dtype != np.uint8 or zero.dtype != np.uint8 or values.ndim != 2:
            raise UnlikeError
        return Matrix(_signed(values), scale, _signed(zero)) if self._signed else Matrix(values, scale, zero)

    def bias(self, layer: int, part: str) -> Array:
        return self._array(self._inputs(f"{_LAYER.format(layer)}/{part}/Add_output_0", "DynamicQuantizeMatMul")[4])

    def norm(self, layer: int | None, part: str) -> Array:
        name = f"/model/decoder/{part}" if layer is None else f"{_LAYER.format(layer)}/{part}"
        inputs = self._inputs(f"{name}/LayerNormalization_output_0", "LayerNormalization")
        if self._array(inputs[2]).any():
            raise UnlikeError
        return self._array(inputs[1])


class _Plain(_Reader):
    """The older export."""

    _PARTS = {"self_attn/o_proj": "self_attn/dense", "encoder_attn/o_proj": "encoder_attn/dense"} | {
        "mlp/fc1": "mlp/up_proj",
        "mlp/fc2": "mlp/down_proj",
    }

    def __init__(self, graph: Any, signed: bool) -> None:
        super().__init__(graph, signed)
        self.layers = self._count("mlp/act_fn/Sigmoid_output_0")
        self.scale = self.head_dim**-0.5
        self.inverse_frequencies: Array = self._array("/model/decoder/rotary_emb/Cast_1_output_0").reshape(-1)
        rows = self._inputs("/model/decoder/embed_tokens/Gather_output_0", "Gather")[0]
        self._table = self._matrix(rows)
        self.embedding: Array = self._table.values
        self.embedding_scale: Array = self._table.scale
        self.embedding_zero: Array = self._table.zero

    def matrix(self, layer: int | None, part: str) -> Matrix:
        if layer is None:
            self._inputs(part, "MatMul")
            # The tokens are scored by the table that they are looked up in.
            across: Array = np.ascontiguousarray(self.embedding.T)
            return Matrix(across, self._table.scale, self._table.zero)
        name = f"{_LAYER.format(layer)}/{self._PARTS.get(part, part)}"
        return self._matrix(self._inputs(f"{name}/MatMul_output_0", "MatMul")[1])

    def bias(self, layer: int, part: str) -> Array:
        inputs = self._inputs(f"{_LAYER.format(layer)}/{self._PARTS.get(part, part)}/Add_output_0", "Add")
        return self._array([name for name in inputs if name in self._tensors][0])  # noqa: RUF015 - none: `LookupError`

    def norm(self, layer: int | None, part: str) -> Array:
        name = f"/model/decoder/{part}" if layer is None else f"{_LAYER.format(layer)}/{part}"
        divided, factors = self._inputs(f"{name}/Mul_output_0", "Mul")
        self._inputs(divided, "Div")
        return self._array(factors)

    def _matrix(self, name: str) -> Matrix:
        base = name.removesuffix("_add_tensor")
        scale, offset = self._array(f"{base}_scale"), self._array(f"{base}_zero_point")
        values = self._array(f"{base}_quantized")
        zeros = -offset / scale
        zero = np.rint(zeros)
        if values.dtype.name != "int8" or values.ndim != 2 or scale.shape != (1,) or abs(zeros - zero).max() > 1e-3:
            raise UnlikeError
        scale, zero = scale.reshape(()), zero.astype(np.int8).reshape(())
        if self._signed:
            return Matrix(values, scale, zero)
        return Matrix(_unsigned(values), scale, _unsigned(zero))


def _has(graph: Any, kind: bytes) -> bool:
    return any(graph.Nodes(at).OpType() == kind for at in range(graph.NodesLength()))


def _signed(values: Array) -> NDArray[np.int8]:
    return (values ^ np.uint8(128)).view(np.int8)


def _unsigned(values: Array) -> NDArray[np.uint8]:
    unsigned: NDArray[np.uint8] = np.asarray(values.view(np.uint8) ^ np.uint8(128))
    return unsigned


def _branches(graph: Any) -> dict[bytes, Any]:
    for at in range(graph.NodesLength()):
        node = graph.Nodes(at)
        if node.OpType() == b"If":
            attributes = map(node.Attributes, range(node.AttributesLength()))
            return {attribute.Name(): attribute.G() for attribute in attributes}
    raise UnlikeError


def _tensors_of(graph: Any) -> dict[str, Any]:
    tensors = map(graph.Initializers, range(graph.InitializersLength()))
    return {tensor.Name().decode(): tensor for tensor in tensors}


def _names(name_at: Any, count: int) -> list[str]:
    return [name_at(at).decode() for at in range(count)]


def _float_attribute(node: Any, name: bytes) -> float:
    for at in range(node.AttributesLength()):
        if node.Attributes(at).Name() == name:
            return float(node.Attributes(at).F())
    raise UnlikeError
