"""The two graphs of a Whisper model as optimum exports them: an encoder, and a decoder with two branches.

- encoder: input_features f32 [1, bands, 3000] -> last_hidden_state f32 [1, 1500, width]
- decoder: input_ids i64 [1, n], encoder_hidden_states, past_key_values.{layer}.{decoder,encoder}.{key,value} f32
  [1, heads, p, head_dim], use_cache_branch bool [1] -> logits f32 [1, n, vocabulary], present.* like past_key_values.*
The decoder's first run has use_cache_branch false and pasts of length zero; it alone works out the sound's keys and
values. Later runs take one token, and add one position to the decoder's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnxruntime import OrtValue

from agentbox.asr.features import Features
from agentbox.asr.graph_files import GraphFile, Port, damaged, failed, find_graph
from agentbox.asr.onnx_outputs import without_outputs
from agentbox.asr.onnx_read import mapped
from agentbox.asr.whisper_lean import Decoder, with_quick_head, with_signed_weights
from agentbox.inference import GIVE_BACK, Content, OnnxError, has_vnni

Floats: TypeAlias = NDArray[np.float32]

ENCODER, DECODER = "encoder_model", "decoder_model_merged"
"""The files' names, before the suffix for the numbers' type."""

_FLOATS = ("float32", "float16")
_KINDS: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}
_HIDDEN = "last_hidden_state"


@dataclass(frozen=True, slots=True)
class Cache:
    """Where a decoding stands. A step makes a new one and leaves the old one valid."""

    hidden: OrtValue
    sound: dict[str, OrtValue]
    """The sound's keys and values, by the decoder's input; empty before the first run."""
    own: dict[str, OrtValue]
    """Keys and values of the tokens so far, likewise."""

    def until(self, tokens: int) -> Cache:
        """Where it stood after its first `tokens`."""
        own = {name: _value(value.numpy()[:, :, :tokens]) for name, value in self.own.items()}
        return Cache(self.hidden, self.sound, own)


def find(folder: Path) -> tuple[Path, Path] | None:
    """The encoder's and the decoder's file: beside the tokenizer, or in `onnx`, as they lie in the hub."""
    for place in (folder, folder / "onnx"):
        encoder, decoder = find_graph(place, ENCODER), find_graph(place, DECODER)
        if encoder is not None and decoder is not None:
            return encoder, decoder
    return None


class WhisperGraphs:
    """A model's encoder and decoder. Keys and values stay where onnxruntime put them."""

    def __init__(self, encoder: Path, decoder: Path, threads: int, bands: int) -> None:
        """Raises `ModelError` `model_damaged`."""
        self._encoder = GraphFile(
            encoder,
            threads,
            [Port("input_features", _FLOATS, (None, bands, None))],
            [Port(_HIDDEN, _FLOATS, (None, None, None))],
            content=_lean_encoder(encoder),
        )
        lean = _lean_decoder(decoder)
        self._decoder = GraphFile(
            decoder,
            threads,
            [
                Port("input_ids", ("int64", "int32"), (None, None)),
                Port("encoder_hidden_states", _FLOATS, (None, None, None)),
                Port("use_cache_branch", ("bool",), (1,)),
            ],
            [Port("logits", _FLOATS, (None, None, None))],
            more=True,
            content=None if lean is None else lean.model,
        )
        pasts = [name for name in self._decoder.more_inputs if name.startswith("past_key_values.")]
        self._own = [name for name in pasts if ".decoder." in name]
        self._sound = [name for name in pasts if ".encoder." in name]
        presents = {name.replace("past_key_values", "present") for name in pasts}
        odd = [name for name in self._decoder.more_inputs if name not in pasts]
        if not self._own or len(self._own) != len(self._sound) or odd:
            raise damaged(decoder, f"its inputs are another model's ({', '.join(odd) or 'no keys and values'})")
        if not presents <= set(self._decoder.more_outputs):
            raise damaged(decoder, "it does not give back its keys and values")
        sizes = self._decoder.shape(self._own[0])
        if len(sizes) != 4 or sizes[1] is None or sizes[3] is None:
            raise damaged(decoder, "the sizes of its keys and values are not written in it")
        kind = partial(_kind, self._decoder)
        self._ids_kind = kind(self._decoder.inputs["input_ids"])
        self._hidden_kind = kind(self._decoder.inputs["encoder_hidden_states"])
        self._sound_kind = _kind(self._encoder, self._encoder.inputs["input_features"])
        self._width = self._decoder.shape("encoder_hidden_states")[2]
        nothing = np.zeros((1, sizes[1], 0, sizes[3]), dtype=kind(self._own[0]))
        self._nothing = OrtValue.ortvalue_from_numpy(nothing)
        once = lean is not None and lean.hears_once and self._width is not None
        self._no_sound = _value(np.zeros((1, 1, self._width or 0), dtype=self._hidden_kind)) if once else None
        """What is given to a step instead of the sound, where it does not look at that."""
        self._branch = [OrtValue.ortvalue_from_numpy(np.array([cached])) for cached in (False, True)]

    @property
    def name(self) -> str:
        return self._encoder.file.parent.name

    def encode(self, features: Features) -> Cache:
        """The state before the first token. `features`: [bands, frames]. Raises `ModelError` `model_failed`."""
        sound = _value(features[None].astype(self._sound_kind, copy=False))
        # Attention over half a minute takes much, and is given back.
        return Cache(self._run(self._encoder, {"input_features": sound}, [_HIDDEN], give_back=True)[0], {}, {})

    def begin(self, tokens: Sequence[int], encoded: Cache) -> tuple[Floats, Cache]:
        """The logits after each of `tokens`, [n, vocabulary], which are the first ones. Raises `ModelError`
        `model_failed`."""
        nothing = dict.fromkeys([*self._own, *self._sound], self._nothing)
        kept = [*self._own, *self._sound]
        logits, *present = self._decode(tokens, encoded.hidden, nothing, kept, cached=False)
        values = dict(zip(kept, present, strict=True))
        sound = {name: values.pop(name) for name in self._sound}
        return _numbers(logits)[0], Cache(encoded.hidden, sound, values)

    def step(self, token: int, cache: Cache) -> tuple[Floats, Cache]:
        """The logits after one more token, [vocabulary]. Raises `ModelError` `model_failed`."""
        hidden = self._no_sound or cache.hidden
        logits, *present = self._decode([token], hidden, {**cache.sound, **cache.own}, self._own, cached=True)
        own = dict(zip(self._own, present, strict=True))
        return _numbers(logits)[0, -1], Cache(cache.hidden, cache.sound, own)

    def _decode(
        self,
        tokens: Sequence[int],
        hidden: OrtValue,
        pasts: dict[str, OrtValue],
        kept: Sequence[str],
        *,
        cached: bool,
        give_back: bool = False,
    ) -> list[OrtValue]:
        feeds = {
            "input_ids": _value(np.array([tokens], dtype=self._ids_kind)),
            "encoder_hidden_states": hidden,
            "use_cache_branch": self._branch[cached],
            **pasts,
        }
        outputs = ["logits", *(name.replace("past_key_values", "present") for name in kept)]
        return self._run(self._decoder, feeds, outputs, give_back=give_back)

    def rest(self) -> None:
        """Give back the memory of past runs: the arena does so only after a run, here of one frame."""
        if self._width is not None:
            hidden = _value(np.zeros((1, 1, self._width), dtype=self._hidden_kind))
            nothing = dict.fromkeys([*self._own, *self._sound], self._nothing)
            self._decode([0], hidden, nothing, [], cached=False, give_back=True)

    def _run(
        self, graph: GraphFile, feeds: dict[str, OrtValue], outputs: Sequence[str], *, give_back: bool = False
    ) -> list[OrtValue]:
        named = {graph.inputs.get(name, name): value for name, value in feeds.items()}
        wanted = [graph.outputs.get(name, name) for name in outputs]
        try:
            found: list[OrtValue] = graph.session.run_with_ort_values(wanted, named, GIVE_BACK if give_back else None)
        except OnnxError as error:
            raise failed(self.name) from error
        return found


def _lean_encoder(file: Path) -> Content | None:
    """What is opened instead of the file; null where it is the file itself."""
    less = without_outputs(file, {_HIDDEN})
    model = mapped(file) if less is None else less
    if model is None or not has_vnni():
        return less
    try:
        return with_signed_weights(model) or less
    except (ValueError, IndexError):
        return less


def _lean_decoder(file: Path) -> Decoder | None:
    """Likewise."""
    model = mapped(file)
    try:
        return None if model is None else with_quick_head(model, signed=has_vnni())
    except (ValueError, IndexError):
        return None


def _kind(graph: GraphFile, name: str) -> type[np.generic]:
    """The type of the numbers that one of the graph's own inputs takes. Raises `ModelError` `model_damaged`."""
    found = next(node.type for node in graph.session.get_inputs() if node.name == name)
    if found not in _KINDS:
        raise damaged(graph.file, f"its input {name} is {found}")
    return _KINDS[found]


def _value(values: NDArray[Any]) -> OrtValue:
    return OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values))


def _numbers(value: OrtValue) -> Floats:
    numbers: Floats = value.numpy().astype(np.float32, copy=False)
    return numbers
