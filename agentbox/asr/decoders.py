"""A Moonshine model's decoder, as it was exported or put together anew (`lean`): the same numbers either way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr import lean
from agentbox.errors import ModelError
from agentbox.inference import GIVE_BACK, has_vnni, open_session

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]
Feeds: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class DecoderState:
    """Where a batch of hypotheses stands: one row each. A step makes a new state and leaves the old one valid."""

    sound: Feeds
    """Decoder inputs that stay the same from one step to the next, by name: one row, which all hypotheses share. The
    merged graph broadcasts it, bit for bit as if it were copied to each row, and a beam of 16 takes half the time so.
    """
    own: tuple[Floats, ...]
    """Per layer key and value of the tokens so far: [batch, heads, position, head_dim]."""

    def rows(self, indices: Sequence[int] | Ints) -> DecoderState:
        """The state whose row i is this one's row `indices[i]`: a beam copies, reorders and drops hypotheses."""
        at = np.asarray(indices, dtype=np.int64)
        return DecoderState(self.sound, tuple(cache[at] for cache in self.own))


class Decoder(Protocol):
    """What `Moonshine` needs of a decoder. All of it raises what onnxruntime raises (`inference.OnnxError`)."""

    def begin(self, hidden: Floats, mask_samples: int = 1) -> DecoderState:
        """The state before the first token of one hypothesis. `hidden`: the encoder's output, [1, t, width].
        `mask_samples`: how long the mask of the samples is, where there is one; 1 stands for all of them."""
        ...

    def append(self, ids: Ints, state: DecoderState) -> tuple[Floats, DecoderState]:
        """Tokens, [batch, n], for each hypothesis; n > 1 only at the beginning. Gives the logits for the token that
        follows, [batch, vocabulary], and the new state."""
        ...

    def continuations(self, begun: DecoderState, prefixes: Ints) -> Floats:
        """The logits for the token after each of `prefixes`, [batch, n], which begin with `START`, in one run. Gives
        back the memory it took."""
        ...


def open_decoder(file: Path, threads: int) -> Decoder:
    """The quickest decoder for a file. Raises `ModelError` `model_damaged`."""
    graphs = lean.build(file, signed=has_vnni()) if file.suffix == ".ort" else None
    return MergedDecoder(file, threads) if graphs is None else LeanDecoder(graphs, file, threads)


class LeanDecoder:
    """The graphs of `lean`."""

    def __init__(self, graphs: lean.Graphs, file: Path, threads: int) -> None:
        """`file`: what they were made of."""
        self._sound = open_session(file, threads, graphs.sound)
        self._step = open_session(file, threads, graphs.step)
        parts = [f"{part}.{layer}" for layer in range(graphs.layers) for part in ("key", "value")]
        self._of_sound = parts
        self._past = [f"past_{part}" for part in parts]
        self._outputs = ["logits", *(f"present_{part}" for part in parts)]
        self._size = (graphs.heads, graphs.head_dim)

    def begin(self, hidden: Floats, mask_samples: int = 1) -> DecoderState:
        """See `Decoder`; there is no mask."""
        sound = self._sound.run(self._of_sound, {"hidden": hidden})
        return DecoderState(dict(zip(self._of_sound, sound, strict=True)), self._nothing(1))

    def append(self, ids: Ints, state: DecoderState) -> tuple[Floats, DecoderState]:
        logits, *own = self._step.run(self._outputs, self._feeds(ids, state.sound, state.own))
        return logits, DecoderState(state.sound, tuple(own))

    def continuations(self, begun: DecoderState, prefixes: Ints) -> Floats:
        feeds = self._feeds(prefixes, begun.sound, self._nothing(len(prefixes)))
        logits: Floats = self._step.run(["logits"], feeds, GIVE_BACK)[0]
        return logits

    def _feeds(self, ids: Ints, sound: Feeds, own: tuple[Floats, ...]) -> Feeds:
        position = np.array([own[0].shape[2]], dtype=np.int64)
        return {"input_ids": ids, "position": position, **sound, **dict(zip(self._past, own, strict=True))}

    def _nothing(self, batch: int) -> tuple[Floats, ...]:
        heads, head_dim = self._size
        return (np.zeros((batch, heads, 0, head_dim), dtype=np.float32),) * len(self._past)


class MergedDecoder:
    """The graph as it is exported: a branch for the first run and one for later ones.

    - input_ids i64 [b, n], encoder_hidden_states, past_key_values.{layer}.{decoder,encoder}.{key,value} f32
      [b, heads, p, head_dim], use_cache_branch bool [1] (and encoder_attention_mask i64 [b, samples]: the mask of the
      samples, not of the encoder's frames) -> logits f32 [b, n, vocabulary], present.* in the order of
      past_key_values.*
    The first call has use_cache_branch false and pasts of length zero; it alone computes the encoder's keys and
    values. Later calls are fed with them and add one position to the decoder's own.

    One sound is decoded at a time, so no sample is ever masked. The graph thins the mask out to one value per frame,
    which is added to the attention scores; a mask for one frame broadcasts to all of them. It gives the same numbers
    bit for bit as a mask of the sound's length (the self-test compares them) and leaves a quarter of a million ones
    unwritten.
    """

    def __init__(self, file: Path, threads: int) -> None:
        self._session = open_session(file, threads)
        inputs = {node.name: node.shape for node in self._session.get_inputs()}
        self._own = [name for name in inputs if name.startswith("past_key_values") and ".decoder." in name]
        self._cross = [name for name in inputs if name.startswith("past_key_values") and ".encoder." in name]
        self._masked = "encoder_attention_mask" in inputs
        if not self._own or len(self._own) != len(self._cross):
            raise ModelError(
                "model_damaged",
                f"{file.parent} has files with a Moonshine model's names, but the decoder's inputs are another "
                "model's.",
                "See docs/models.md for the files a model folder needs.",
            )
        _, heads, _, head_dim = inputs[self._own[0]]
        self._no_past: Floats = np.zeros((1, heads, 0, head_dim), dtype=np.float32)
        own_out = [name.replace("past_key_values", "present") for name in self._own]
        cross_out = [name.replace("past_key_values", "present") for name in self._cross]
        self._first_outputs = ["logits", *own_out, *cross_out]
        self._outputs = ["logits", *own_out]

    def begin(self, hidden: Floats, mask_samples: int = 1) -> DecoderState:
        sound = dict.fromkeys(self._cross, self._no_past)
        return DecoderState(
            self._with_sound(sound, hidden, mask_samples, cached=False), (self._no_past,) * len(self._own)
        )

    def _with_sound(self, cross: dict[str, Floats], hidden: Floats, mask_samples: int, *, cached: bool) -> Feeds:
        sound = {**cross, "encoder_hidden_states": hidden, "use_cache_branch": np.array([cached])}
        if self._masked:
            sound["encoder_attention_mask"] = np.ones((len(hidden), mask_samples), dtype=np.int64)
        return sound

    def append(self, ids: Ints, state: DecoderState) -> tuple[Floats, DecoderState]:
        first = state.own[0].shape[2] == 0
        feeds = {"input_ids": ids, **state.sound, **dict(zip(self._own, state.own, strict=True))}
        logits, *present = self._session.run(self._first_outputs if first else self._outputs, feeds)
        sound = state.sound
        if first:
            # From here on the sound is in these keys and values. The encoder's output must still be given, but nobody
            # looks at it.
            cross = dict(zip(self._cross, present[len(self._own) :], strict=True))
            nothing = np.zeros_like(sound["encoder_hidden_states"][:, :1])
            sound = self._with_sound(cross, nothing, 1, cached=True)
        return logits[:, -1], DecoderState(sound, tuple(present[: len(self._own)]))

    def continuations(self, begun: DecoderState, prefixes: Ints) -> Floats:
        batch = len(prefixes)
        # The first run works the sound's keys and values out row by row and does not broadcast them.
        hidden = np.repeat(begun.sound["encoder_hidden_states"], batch, axis=0)
        sound = self._with_sound(dict.fromkeys(self._cross, self._nothing(batch)), hidden, 1, cached=False)
        feeds = {"input_ids": prefixes, **sound, **dict.fromkeys(self._own, self._nothing(batch))}
        logits: Floats = self._session.run(["logits"], feeds, GIVE_BACK)[0]
        return logits[:, -1]

    def _nothing(self, batch: int) -> Floats:
        """Keys or values of no position."""
        return np.repeat(self._no_past, batch, axis=0)
