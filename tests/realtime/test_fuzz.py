"""Whatever a server sends: an adapter gives events, and never raises, hangs or grows."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import pkgutil
import random
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbox import realtime
from agentbox.realtime.events import Event
from agentbox.realtime.session import RealtimeDialog, Session, StreamingASR, StreamingTTS
from tests.realtime.adapters import ADAPTERS

FRAMES_AN_EXAMPLE = 250
EXAMPLES = 400
"""100,000 frames an adapter."""

MOST_BYTES = 2_000_000
"""Of an adapter's state after any one example: a few answers' worth of sound and words."""

ODD: list[Any] = [None, True, -1, 2**63, 1e308, float("nan"), "", "\ud800", "x" * 5_000, [], [[]], {}, {"id": {}}]


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_no_frame_breaks_an_adapter(name: str) -> None:
    sample = ADAPTERS[name]

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(st.integers(0, 2**32))
    def run(seed: int) -> None:
        draw = random.Random(seed)
        adapter = sample.make()
        adapter.opened()
        for frame in sample.greeting:
            adapter.receive(frame)
        commands = sample.commands(adapter)
        for _ in range(FRAMES_AN_EXAMPLE):
            for event in adapter.receive(mutated(draw, draw.choice(sample.frames))):
                assert isinstance(event, get_args(Event))
            if draw.random() < 0.05:
                draw.choice(commands)()
            if draw.random() < 0.5:
                assert all(isinstance(frame, str | bytes) for frame in adapter.frames())
        adapter.frames()
        assert len(pickle.dumps(state(adapter))) < MOST_BYTES

    run()


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_a_frame_cut_short_breaks_no_adapter(name: str) -> None:
    sample = ADAPTERS[name]
    for frame in sample.frames:
        for end in range(0, len(frame), max(1, len(frame) // 400)):
            adapter = sample.make()
            adapter.opened()
            for greeting in sample.greeting:
                adapter.receive(greeting)
            adapter.receive(frame[:end])


def mutated(draw: random.Random, frame: str | bytes) -> str | bytes:
    """The frame, or one like it: a field left out, moved, or of another type; bytes changed, added or cut."""
    way = draw.random()
    if way < 0.2:
        return frame
    if isinstance(frame, bytes):
        return mangled(draw, frame)
    if way < 0.3:
        return mangled(draw, frame.encode()) if draw.random() < 0.5 else mangled(draw, frame.encode()).decode("latin-1")
    message = json.loads(frame)
    for _ in range(draw.randint(1, 3)):
        change(draw, message)
    return json.dumps(message)


def mangled(draw: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed[: draw.randint(0, len(changed))] if draw.random() < 0.4 else changed)


def change(draw: random.Random, message: Any) -> None:
    """Change one place of a JSON value, however deep."""
    while isinstance(message, dict | list) and message:
        key = draw.choice(list(message)) if isinstance(message, dict) else draw.randrange(len(message))
        inner = message[key]
        if isinstance(inner, dict | list) and inner and draw.random() < 0.7:
            message = inner
            continue
        if draw.random() < 0.3:
            del message[key]
        else:
            message[key] = copy.deepcopy(draw.choice(ODD))
        return


def state(adapter: Any) -> dict[str, Any]:
    """All that an adapter keeps, without its handlers."""
    return {key: value for key, value in vars(adapter).items() if key != "_handlers"}


def test_every_adapter_is_here() -> None:
    """Whatever class in the room can be driven by frames is among the samples."""
    names = [found.name for found in pkgutil.iter_modules(realtime.__path__)]
    modules = [importlib.import_module(f"{realtime.__name__}.{name}") for name in names]
    made = {type(sample.make()) for sample in ADAPTERS.values()}
    classes = {
        one
        for module in modules
        for one in vars(module).values()
        if isinstance(one, type) and one.__module__ == module.__name__ and hasattr(one, "endpoint")
    }
    assert classes - {Session, RealtimeDialog, StreamingASR, StreamingTTS} == made
