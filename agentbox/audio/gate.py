"""The energy gate: decides, for almost nothing, whether sound is worth showing to the voice-activity model.

It follows the noise floor: falls with quiet at once, rises slowly with steady noise, and stays where it is while
somebody speaks, so that a fan closes the gate within seconds and a long sentence does not.
"""

from __future__ import annotations

import numpy as np

from agentbox.audio.segment import Samples

RISE_DB_PER_S = 3.0
FALL_DB_PER_S = 60.0
HOLD_S = 0.6
"""The gate stays open this long after the last loud frame: the gaps between words are quiet."""

SILENCE_DBFS = -96.0


def level_dbfs(samples: Samples) -> float:
    """Root mean square of int16 samples in dB relative to full scale; -96 for digital silence."""
    if samples.size == 0:
        return SILENCE_DBFS
    power = float(np.dot(samples.astype(np.float32), samples.astype(np.float32))) / samples.size
    return max(SILENCE_DBFS, 10.0 * float(np.log10(power / 32768.0**2 + 1e-12)))


class EnergyGate:
    """`open_for(level, seconds, speech)` says whether the gate is open for a frame.

    `margin_db`: how far above the noise floor a frame must be. `least_dbfs`: below this nothing opens the gate.
    """

    def __init__(self, margin_db: float = 4.0, least_dbfs: float = -62.0) -> None:
        self._margin_db = margin_db
        self._least_dbfs = least_dbfs
        self._floor_dbfs = least_dbfs
        self._held_s = 0.0

    @property
    def floor_dbfs(self) -> float:
        return self._floor_dbfs

    def open_for(self, level: float, seconds: float, speech: bool) -> bool:
        """Take one frame's level in dBFS and length; `speech`: an utterance is under way, keep open."""
        if level < self._floor_dbfs:
            self._floor_dbfs = max(level, self._floor_dbfs - FALL_DB_PER_S * seconds)
        elif not speech:
            self._floor_dbfs = min(level, self._floor_dbfs + RISE_DB_PER_S * seconds)
        if level >= max(self._least_dbfs, self._floor_dbfs + self._margin_db):
            self._held_s = HOLD_S
        else:
            self._held_s = max(0.0, self._held_s - seconds)
        return speech or self._held_s > 0.0
