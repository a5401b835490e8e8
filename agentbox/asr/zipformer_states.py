"""What a streaming Zipformer encoder remembers from one chunk to the next (online-zipformer2-transducer-model.cc)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.graph_files import GraphFile, damaged

States: TypeAlias = list[NDArray[Any]]
"""In the order of the graph's inputs: attention keys, non-linear attention, two of values and two of convolutions for
each layer; what the first convolutions keep, and how many frames were taken (i64 [1])."""

BINS = 80
"""Of the filter bank."""

_STATE_LIMIT = 64 << 20
"""Bytes. Published models have 5 MB of states; more is no model but a mistake."""


def check_kind(encoder: GraphFile) -> None:
    """Raises `ModelError` `model_damaged` where it is another kind of encoder."""
    kind = encoder.metadata.text("model_type", "")
    if kind != "zipformer2":
        raise damaged(encoder.file, f"its model_type is {kind or 'not given'}, not zipformer2 (a streaming export)")


def initial_states(encoder: GraphFile) -> States:
    """The states before the first chunk: all zero.

    Raises `ModelError` `model_damaged` where the encoder's metadata make no sense or are not those of its inputs.
    """
    keys = "num_encoder_layers encoder_dims num_heads left_context_len query_head_dims value_head_dims"
    lists = [encoder.metadata.numbers(key) for key in (*keys.split(), "cnn_module_kernels")]
    if len({one.size for one in lists}) != 1 or not lists[0].size:
        raise damaged(encoder.file, "the lists in its metadata are not equally long")
    table = np.stack(lists, axis=1)
    if table.min() < 1 or table.max() > 100_000 or table[:, 0].sum() > 1000:
        raise damaged(encoder.file, "the sizes in its metadata make no sense")
    shapes: list[tuple[int, ...]] = []
    for count, width, head_count, past, query, value, kernel in table.astype(int).tolist():
        key, val, conv = (past, 1, query * head_count), (past, 1, value * head_count), (1, width, kernel // 2)
        shapes += [key, (1, 1, past, 3 * width // 4), val, val, conv, conv] * count
    # The first convolutions keep three frames of what they make of the 80 bins.
    shapes += [(1, 128, 3, ((BINS - 1) // 2 - 1) // 2), (1,)]
    _check_states(encoder, shapes)
    return [np.zeros(shape, dtype=np.float32) for shape in shapes[:-1]] + [np.zeros(1, dtype=np.int64)]


def _check_states(encoder: GraphFile, shapes: list[tuple[int, ...]]) -> None:
    if not len(shapes) == len(encoder.more_inputs) == len(encoder.more_outputs):
        raise damaged(
            encoder.file, f"by its metadata it has {len(shapes)} states, and it takes {len(encoder.more_inputs)}"
        )
    if sum(4 * int(np.prod(shape, dtype=np.float64)) for shape in shapes) > _STATE_LIMIT:
        raise damaged(encoder.file, "its states are larger than any model's")
    for name, shape in zip(encoder.more_inputs, shapes, strict=True):
        there = encoder.shape(name)
        fits = len(there) == len(shape) and all(a in (None, b) for a, b in zip(there, shape, strict=True))
        if there and not fits:
            raise damaged(encoder.file, f"its state {name} is of another size than its metadata say")
