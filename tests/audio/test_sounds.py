from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from agentbox.audio.sounds import LEVEL, sound
from agentbox.messages import SoundName


@pytest.mark.parametrize("name", get_args(SoundName))
def test_each_sound_is_short_quiet_and_begins_and_ends_without_a_click(name: SoundName) -> None:
    samples = sound(name)
    assert 500 <= samples.size <= 16_000
    assert 0.5 * LEVEL * 32767 < np.abs(samples).max() <= LEVEL * 32767
    assert abs(int(samples[0])) < 50
    assert abs(int(samples[-1])) < 50
