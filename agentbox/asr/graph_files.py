"""Model graphs as they are published: found by name, opened, and looked at before they are trusted.

Exporters name the same part of a model differently: `model.int8.onnx` and `encoder.onnx` (sherpa-onnx),
`model_quant.onnx` (FunASR), `decoder_model_merged_quantized.onnx` (Hugging Face), `encoder_model.ort` (Moonshine). Some
programs bind inputs and outputs by position, so exporters need not keep the names either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentbox.errors import ModelError
from agentbox.inference import GIVE_BACK, Content, OnnxError, open_session

DTYPES = ("int8", "uint8", "quant", "quantized", "q8", "", "fp16", "float16", "fp32", "float32")
"""What a file's name may end with to say how its numbers are kept, the wanted one first: the smallest is the quickest
on the processors of small boxes. Nothing: whatever the publisher takes for usual."""

_KINDS = (".ort", ".onnx")

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(bool)": "bool",
}
"""onnxruntime's names for numpy's types."""


def find_graph(folder: Path, *parts: str, dtypes: Sequence[str] = DTYPES) -> Path | None:
    """The file of one part of a model in `folder`; null where there is none.

    `parts`: names it may have without type and suffix, the likeliest first; `*` stands for anything
    (`encoder-epoch-*`). Of several files the first of `dtypes` counts, then `.ort` before `.onnx`, then the alphabet.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError:
        return None
    for part in parts:
        stem = ".*".join(map(re.escape, part.split("*")))
        for dtype in dtypes:
            for kind in _KINDS:
                wanted = re.compile(stem + (f"[._-]{dtype}" if dtype else "") + re.escape(kind))
                # A part with a star would also find other types' files where none is named.
                found = [n for n in names if wanted.fullmatch(n) and (dtype or not _typed(n, dtypes))]
                if found:
                    return folder / found[0]
    return None


def _typed(name: str, dtypes: Sequence[str]) -> bool:
    return any(re.search(rf"[._-]{dtype}\.[a-z]+\Z", name) for dtype in dtypes if dtype)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output that a graph must have."""

    name: str
    """As its usual exporter calls it."""
    kinds: tuple[str, ...] = ("float32",)
    """The types it may have, as numpy calls them."""
    shape: tuple[int | None, ...] | None = None
    """Sizes; null where it may be any, or nobody knows before it runs."""


class Metadata:
    """What an exporter wrote into a graph beside the numbers."""

    def __init__(self, values: Mapping[str, str], file: Path) -> None:
        self.values = dict(values)
        self._file = file

    def text(self, key: str, default: str | None = None) -> str:
        """Raises `ModelError` `model_damaged` where it is missing and there is no `default`."""
        if key in self.values:
            return self.values[key]
        if default is None:
            raise damaged(self._file, f"its metadata lack {key}")
        return default

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number. Raises `ModelError` `model_damaged`."""
        text = self.text(key, None if default is None else str(default))
        try:
            return int(text)
        except ValueError:
            raise damaged(self._file, f"{key} in its metadata is no whole number") from None

    def numbers(self, key: str, count: int | None = None) -> NDArray[np.float32]:
        """Numbers between commas, float32 [count], all finite. Raises `ModelError` `model_damaged`."""
        try:
            values = np.array([float(one) for one in self.text(key).split(",") if one.strip()], dtype=np.float32)
        except ValueError:
            raise damaged(self._file, f"{key} in its metadata are no numbers") from None
        if not np.isfinite(values).all():
            raise damaged(self._file, f"{key} in its metadata are not finite")
        if count is not None and values.size != count:
            raise damaged(self._file, f"{key} in its metadata are {values.size} numbers, not {count}")
        return values


class GraphFile:
    """An opened graph, of which `inputs` and `outputs` are there, whatever the exporter called them."""

    def __init__(
        self,
        file: Path,
        threads: int,
        inputs: Sequence[Port],
        outputs: Sequence[Port],
        *,
        more: bool = False,
        content: Content | None = None,
    ) -> None:
        """`more`: it may take inputs beyond these, which the caller knows to feed. `content`: what was made of the file
        and is opened instead of it.

        Raises `ModelError` `model_damaged`: onnxruntime cannot load it, or it lacks an input or output, or one is of
        another type or shape, or it wants more than it will be given.
        """
        self.file = file
        self.session = open_session(file, threads, content)
        self.metadata = Metadata(self.session.get_modelmeta().custom_metadata_map, file)
        self.inputs = _bound(file, "input", inputs, self.session.get_inputs())
        """The graph's own names by the names of the ports."""
        self.outputs = _bound(file, "output", outputs, self.session.get_outputs())
        taken = {*self.inputs.values(), *self.outputs.values()}
        self.more_inputs = tuple(node.name for node in self.session.get_inputs() if node.name not in taken)
        """Names of what else it takes, in its order: caches, states."""
        if self.more_inputs and not more:
            raise damaged(file, f"it also wants the input {', '.join(self.more_inputs)}")
        self.more_outputs = tuple(node.name for node in self.session.get_outputs() if node.name not in taken)

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str], *, give_back: bool = False
    ) -> list[NDArray[Any]]:
        """The `outputs`; they and `feeds` go by the ports' names, or by the graph's own for what else it has.

        `give_back`: return memory that only this run needed. Raises `ModelError` `model_failed`.
        """
        named = {self.inputs.get(name, name): values for name, values in feeds.items()}
        wanted = [self.outputs.get(name, name) for name in outputs]
        try:
            found: list[NDArray[Any]] = self.session.run(wanted, named, GIVE_BACK if give_back else None)
        except (*OnnxError, ValueError) as error:  # the latter where an input was left out
            raise failed(self.file.parent.name) from error
        return found

    def shape(self, name: str) -> tuple[int | None, ...]:
        """The sizes of an input or output, by its port's name or its own; null where they are open."""
        own = {self.inputs.get(name, name), self.outputs.get(name, name)}
        nodes = [*self.session.get_inputs(), *self.session.get_outputs()]
        found = next(node.shape for node in nodes if node.name in own)
        return tuple(size if isinstance(size, int) else None for size in found)


def _bound(file: Path, what: str, ports: Sequence[Port], nodes: Sequence[Any]) -> dict[str, str]:
    """The nodes for `ports`: by name where all of the names are there, else by position."""
    named = {node.name: node for node in nodes}
    if all(port.name in named for port in ports):
        chosen = [named[port.name] for port in ports]
    elif len(nodes) >= len(ports):
        chosen = list(nodes[: len(ports)])
    else:
        lacking = ", ".join(port.name for port in ports if port.name not in named)
        raise damaged(file, f"it lacks the {what} {lacking}")
    for port, node in zip(ports, chosen, strict=True):
        kind = _TYPES.get(node.type, node.type)
        if kind not in port.kinds:
            raise damaged(file, f"its {what} {port.name} is {kind}, not {' or '.join(port.kinds)}")
        if port.shape is not None and not _fits(port.shape, node.shape):
            raise damaged(
                file, f"its {what} {port.name} has the shape {_written(node.shape)}, not {_written(port.shape)}"
            )
    return {port.name: node.name for port, node in zip(ports, chosen, strict=True)}


def _fits(wanted: tuple[int | None, ...], found: Sequence[int | str | None]) -> bool:
    # onnxruntime says `[]` where the exporter left the shape out.
    if not found:
        return True
    return len(found) == len(wanted) and all(
        size is None or not isinstance(there, int) or there == size for size, there in zip(wanted, found, strict=True)
    )


def _written(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def fingerprint(values: NDArray[Any], name: str, expected_rms: float | None = None) -> float:
    """The root mean square of an output, in a self-test of the model `name`: what a catalogue can pin.

    Raises `ModelError` `model_damaged` where the numbers make no sense: none at all, not finite, all the same, or not
    within a tenth of `expected_rms` (quantised graphs differ that much between processors when they are right).
    """
    numbers = values.astype(np.float64)
    finite = bool(np.isfinite(numbers).all())
    if not numbers.size or not finite or (numbers.size > 1 and np.ptp(numbers) == 0.0):
        raise senseless(name)
    rms = float(np.sqrt(np.square(numbers).mean()))
    if expected_rms is not None and not 0.9 < rms / expected_rms < 1.1:
        raise senseless(name)
    return rms


def damaged(file: Path, why: str) -> ModelError:
    """`why`: a clause, "it lacks ..."."""
    return ModelError(
        "model_damaged", f"{file} is not the model that it should be: {why}.", "See docs/models.md for what is needed."
    )


def senseless(name: str) -> ModelError:
    """What a self-test says that found the numbers wrong."""
    return ModelError(
        "model_damaged",
        f"The model {name} failed its self-test: its numbers make no sense.",
        "Run: agentbox models verify. If it finds nothing, this processor cannot run this model.",
    )


def failed(name: str) -> ModelError:
    """What is said where onnxruntime gives up in the middle."""
    return ModelError("model_failed", f"onnxruntime could not run the model {name}.", "Run: agentbox models verify")
