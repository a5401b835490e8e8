"""The energy gate: cheap in silence and steady noise, open for whatever stands out, never shut on a speaker."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.audio.gate import HOLD_S, EnergyGate, level_dbfs

FRAME_S = 0.032


def test_levels() -> None:
    assert level_dbfs(np.zeros(512, dtype=np.int16)) == -96.0
    assert level_dbfs(np.zeros(0, dtype=np.int16)) == -96.0
    assert level_dbfs(np.full(512, -32768, dtype=np.int16)) == pytest.approx(0.0, abs=0.01)
    wave = (np.sin(np.arange(16000) / 5) * 3276.7).astype(np.int16)
    assert level_dbfs(wave) == pytest.approx(-23.0, abs=0.1)


def test_a_quiet_room_never_opens_it() -> None:
    gate = EnergyGate()
    assert not any(gate.open_for(-75.0 + index % 3, FRAME_S, False) for index in range(1000))


def test_speech_opens_it_at_once_and_it_is_held_between_words() -> None:
    gate = EnergyGate()
    for _ in range(300):
        gate.open_for(-70.0, FRAME_S, False)
    assert gate.open_for(-40.0, FRAME_S, False)
    held = 0
    while gate.open_for(-70.0, FRAME_S, False):
        held += 1
    assert held == pytest.approx(HOLD_S / FRAME_S, abs=1)


def test_steady_noise_closes_it_within_seconds_and_speech_above_the_noise_opens_it() -> None:
    gate = EnergyGate()
    opened = [gate.open_for(-45.0, FRAME_S, False) for _ in range(600)]
    assert opened[0]
    assert not any(opened[300:]), "still open after 9.6 s of steady noise"
    assert gate.open_for(-38.0, FRAME_S, False)


def test_a_long_sentence_does_not_raise_the_floor() -> None:
    gate = EnergyGate()
    gate.open_for(-70.0, FRAME_S, False)
    before = gate.floor_dbfs
    for _ in range(2000):
        assert gate.open_for(-30.0, FRAME_S, True)
    assert gate.floor_dbfs == before


@given(st.lists(st.tuples(st.floats(-96, 0), st.booleans())))
def test_it_is_open_whenever_an_utterance_is_under_way(frames: list[tuple[float, bool]]) -> None:
    gate = EnergyGate()
    for level, speech in frames:
        is_open = gate.open_for(level, FRAME_S, speech)
        assert is_open or not speech
        assert -96.0 <= gate.floor_dbfs <= 0.0
