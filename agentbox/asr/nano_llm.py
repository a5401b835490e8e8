"""The language model of Fun-ASR-Nano: one graph that is given rows and the keys and values of all rows before.

As its exporter writes it (Wasser1462/FunASR-nano-onnx: scripts/qwen.py, export_llm_onnx.py), by name or by position:
- inputs_embeds f32 [1, n, width], attention_mask i64 [1, p + n] (ones), cache_position i64 [n] (p, p + 1 ...), and per
  layer cache_key_{layer} and cache_value_{layer}, [1, most, heads, head_dim], f32 or f16, of which it reads the first p
  rows (where p is 0: the first one, which then counts for nothing)
- -> logits f32 or f16 [1, n or 1, vocabulary], and per layer key_delta_{layer} and value_delta_{layer}, [1, n, heads,
  head_dim]: the caller's to put into the cache.
The metadata tell vocab_size, max_total_len (most), and a model_type with "kv_delta" in it.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy import typing as npt
from numpy.typing import NDArray

from agentbox.asr.graph_files import GraphFile, Port, damaged, failed
from agentbox.inference import GIVE_BACK, OnnxError

Floats: TypeAlias = NDArray[np.float32]
Cache: TypeAlias = NDArray[Any]
"""float32 or float16."""

_INPUTS = (
    Port("inputs_embeds", ("float32",), (None, None, None)),
    Port("attention_mask", ("int64",), (None, None)),
    Port("cache_position", ("int64",), (None,)),
)
_OUTPUTS = (Port("logits", ("float32", "float16"), (None, None, None)),)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}

_LONGEST = 1 << 16
"""Rows; a number beyond it is none of such a model's."""

_ROWS_PER_RUN = 64
"""A long prompt is worked through in pieces: an export that gives the logits of all rows takes 0.6 MB for each."""


def room_for(shape: Sequence[int], dtype: npt.DTypeLike) -> Cache:
    """Zeros, of which only what is written to takes memory: a row of all caches 0.2 MB, all of them 117.

    numpy's own take all of it with the first row, since it asks for pages of 2 MB.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel that knows no large pages
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype=dtype).reshape(shape)


class LlmState:
    """The rows of one hypothesis so far. `rows` may be set back: what comes after them is forgotten."""

    def __init__(self, caches: Cache) -> None:
        """`caches`: `room_for` [2 * layers, 1, most, heads, head_dim]: of each layer the keys, then the values."""
        self.caches = caches
        self.rows = 0
        # onnxruntime reads what is in the arrays at the time; nothing is copied between steps.
        self.values = [onnxruntime.OrtValue.ortvalue_from_numpy(cache) for cache in caches]

    def copy(self) -> LlmState:
        """Another one with the same rows, for a hypothesis that goes on differently."""
        other = LlmState(room_for(self.caches.shape, self.caches.dtype))
        other.caches[:, :, : self.rows] = self.caches[:, :, : self.rows]
        other.rows = self.rows
        return other


class Llm:
    """The opened graph. Belongs to one thread."""

    def __init__(self, file: Path, threads: int) -> None:
        """Raises `ModelError` `model_damaged`."""
        self._graph = GraphFile(file, threads, _INPUTS, _OUTPUTS, more=True)
        metadata = self._graph.metadata
        if "kv_delta" not in metadata.text("model_type"):
            raise damaged(file, 'the model_type in its metadata has no "kv_delta" in it')
        self.vocabulary = metadata.number("vocab_size")
        self.width = self._graph.shape("inputs_embeds")[2]
        """Of a row; null where the graph does not tell."""
        self._caches = _in_order(file, "input", self._graph.more_inputs, "cache_key_{}", "cache_value_{}")
        self._deltas = _in_order(file, "output", self._graph.more_outputs, "key_delta_{}", "value_delta_{}")
        layers = metadata.number("num_layers", len(self._caches) // 2)
        if not len(self._caches) == len(self._deltas) == 2 * layers > 0:
            counts = f"{len(self._caches)} caches and {len(self._deltas)} deltas"
            raise damaged(file, f"it has {counts} for {layers} layers")
        most, heads, head_dim = self._sizes(file)
        self.most_rows = metadata.number("max_total_len", metadata.number("attention_mask_len", most or 0))
        """Rows that there is room for, the prompt and the answer together."""
        if not 0 < self.most_rows <= _LONGEST or most not in (None, self.most_rows):
            raise damaged(file, f"its caches have {most} rows, and its metadata say {self.most_rows}")
        self._shape = (2 * layers, 1, self.most_rows, heads, head_dim)
        self._binding = self._graph.session.io_binding()
        self._ones = np.ones((1, self.most_rows), dtype=np.int64)
        kind = next(
            node.type for node in self._graph.session.get_outputs() if node.name == self._graph.outputs["logits"]
        )
        one = np.zeros((1, 1, self.vocabulary), dtype=_TYPES[kind])
        self._one_logits = onnxruntime.OrtValue.ortvalue_from_numpy(one)
        self._bound: LlmState | None = None
        self._new: Cache = np.zeros((0, 1, 0, 0, 0), dtype=self._dtype)

    def _sizes(self, file: Path) -> tuple[int | None, int, int]:
        """Rows (null where they are open), heads and head_dim of the caches, which are all alike."""
        inputs = {node.name: node for node in self._graph.session.get_inputs()}
        outputs = {node.name: node for node in self._graph.session.get_outputs()}
        caches = {(inputs[name].type, *inputs[name].shape[1:]) for name in self._caches}
        deltas = {(outputs[name].type, *outputs[name].shape[2:]) for name in self._deltas}
        alike = len(caches) == 1 and all(len(inputs[name].shape) == 4 for name in self._caches)
        kind, most, heads, head_dim = next(iter(caches)) if alike else ("", None, None, None)
        known = kind in _TYPES and all(isinstance(size, int) and size > 0 for size in (heads, head_dim))
        if not known or not all(_fits(delta, (kind, heads, head_dim)) for delta in deltas):
            raise damaged(file, "its caches and deltas are not alike, or their sizes are open")
        self._dtype = _TYPES[kind]
        return most if isinstance(most, int) else None, heads, head_dim

    def start(self) -> LlmState:
        """No rows."""
        return LlmState(room_for(self._shape, self._dtype))

    def bind(self, state: LlmState) -> None:
        """Be ready for `state`, and let go of the one before, which takes 0.2 MB for each of its rows."""
        if self._bound is not state:
            for name, value in zip(self._caches, state.values, strict=True):
                self._binding.bind_ortvalue_input(name, value)
            self._bound = state

    def append(self, rows: Floats, state: LlmState) -> Floats:
        """Add `rows`, [n, width] with n > 0, to `state`, which has room for them. Gives the logits for what comes after
        the last one, float32 [vocabulary]. Raises `ModelError` `model_failed`."""
        try:
            for at in range(0, len(rows), _ROWS_PER_RUN):
                logits = self._run(rows[at : at + _ROWS_PER_RUN], state)
        except OnnxError as error:
            raise failed(self._graph.file.parent.name) from error
        return logits

    def _run(self, rows: Floats, state: LlmState) -> Floats:
        count, after = len(rows), state.rows + len(rows)
        binding, inputs = self._binding, self._graph.inputs
        self.bind(state)
        if self._new.shape[2] != count:
            self._new = np.zeros((*self._shape[:2], count, *self._shape[3:]), dtype=self._dtype)
            binding.clear_binding_outputs()
            if count == 1:
                binding.bind_ortvalue_output(self._graph.outputs["logits"], self._one_logits)
            else:  # for all rows or for the last one: onnxruntime knows
                binding.bind_output(self._graph.outputs["logits"], "cpu")
            for name, cache in zip(self._deltas, self._new, strict=True):
                binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(cache))
        # onnxruntime reads these where they lie: they must have names until it has run.
        given = np.ascontiguousarray(rows[None], dtype=np.float32)
        mask, positions = self._ones[:, :after], np.arange(state.rows, after, dtype=np.int64)
        binding.bind_cpu_input(inputs["inputs_embeds"], given)
        binding.bind_cpu_input(inputs["attention_mask"], mask)
        binding.bind_cpu_input(inputs["cache_position"], positions)
        self._graph.session.run_with_iobinding(binding, GIVE_BACK if count > 1 else None)
        state.caches[:, :, state.rows : after] = self._new
        state.rows = after
        value = self._one_logits if count == 1 else binding.get_outputs()[0]
        # A copy: the next run of as many rows writes to the same place.
        logits: Floats = value.numpy()[0, -1].astype(np.float32)
        if logits.shape != (self.vocabulary,):
            raise failed(self._graph.file.parent.name)
        return logits


def _in_order(file: Path, what: str, names: Sequence[str], key: str, value: str) -> list[str]:
    """The caches or deltas, of each layer the key, then the value: by name, or else as they come."""
    layers = range(len(names) // 2)
    usual = [part.format(layer) for layer in layers for part in (key, value)]
    if len(names) % 2:
        raise damaged(file, f"it has an odd number of {what}s for its keys and values")
    return usual if set(usual) == set(names) else list(names)


def _fits(delta: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """The same type and sizes; one that is left open counts as the same."""
    pairs = zip(delta, wanted, strict=False)
    return len(delta) == len(wanted) and all(one == other or not isinstance(one, type(other)) for one, other in pairs)
