"""The ear: blocks of sound in, segment events out. Energy gate, voice activity and segmenter in a row."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol

import numpy as np

from agentbox.audio.gate import EnergyGate, level_dbfs
from agentbox.audio.segment import Completeness, EndReason, Samples, Segmenter, SegmentEvent
from agentbox.audio.vad import WINDOW_SAMPLES
from agentbox.config import Audio
from agentbox.messages import SAMPLE_RATE_HZ

LOOK_BACK_WINDOWS = 10
"""Windows kept while the gate is closed and shown to the model when it opens: the soft start of a word."""


class VoiceActivity(Protocol):
    def probability(self, window: Samples) -> float: ...
    def reset(self) -> None: ...


_NOTHING: Samples = np.zeros(0, dtype=np.int16)


class _Window(NamedTuple):
    words: Samples
    presence: Samples

    def cut(self, first: int, last: int | None) -> _Window:
        """A copy of a part."""
        words = self.words[first:last].copy()
        return _Window(words, words if self.presence is self.words else self.presence[first:last].copy())


class Ear:
    """`hear(block)` takes int16 blocks of any size and gives what the segmenter makes of them.

    While the gate is closed a window costs one dot product; the model runs only when it opens.
    """

    def __init__(self, config: Audio, vad: VoiceActivity, *, partials: bool = True, streamed: bool = False) -> None:
        """`partials`, `streamed`: see `Segmenter`."""
        self._vad = vad
        self._gate = EnergyGate(config.vad.gate_db, config.vad.gate_floor_dbfs)
        self._segmenter = Segmenter(
            config.endpoint,
            threshold=config.vad.threshold,
            pre_roll_ms=config.pre_roll_ms,
            partials=partials,
            streamed=streamed,
        )
        self._waiting: deque[_Window] = deque()
        self._rest = _Window(_NOTHING, _NOTHING)
        self._open = False
        self.level_dbfs = -96.0
        self.vad_windows = 0
        """How many windows the model has seen: what the gate did not save."""

    @property
    def speaking(self) -> bool:
        return self._segmenter.active

    @property
    def length(self) -> int:
        """How many samples the utterance under way has so far; 0 when there is none."""
        return self._segmenter.length

    @property
    def silence_ms(self) -> int:
        """How long the utterance under way has been silent by now."""
        return self._segmenter.silence_ms

    @property
    def so_far(self) -> Samples:
        """The utterance under way: int16, 16 kHz."""
        return self._segmenter.so_far

    @property
    def position(self) -> int:
        """Samples heard so far, counted to the last whole window."""
        return self._segmenter.position + sum(window.words.size for window in self._waiting)

    def hear(self, block: Samples, presence: Samples | None = None) -> list[SegmentEvent]:
        """`presence`: equally long, the same sound as far as it tells whether anybody speaks (`echo.Heard`)."""
        heard = _Window(block, block if presence is None else presence)
        if self._rest.words.size:
            heard = _Window(*(np.concatenate(pair) for pair in zip(self._rest, heard, strict=True)))
        whole = heard.words.size // WINDOW_SAMPLES * WINDOW_SAMPLES
        # Copies: a window outlives the buffer that the sound card's driver will fill again.
        self._rest = heard.cut(whole, None)
        events: list[SegmentEvent] = []
        for start in range(0, whole, WINDOW_SAMPLES):
            self._window(heard.cut(start, start + WINDOW_SAMPLES), events)
        return events

    def pace(self, *, streamed: bool) -> None:
        """See `Segmenter.pace`."""
        self._segmenter.pace(streamed=streamed)

    def set_completeness(self, number: int, completeness: Completeness) -> None:
        self._segmenter.set_completeness(number, completeness)

    def finish(self, reason: EndReason = "end_of_input") -> list[SegmentEvent]:
        """End what is under way; sound that did not fill a window is padded with silence."""
        events: list[SegmentEvent] = []
        if self._rest.words.size:
            window = np.zeros((2, WINDOW_SAMPLES), dtype=np.int16)
            window[:, : self._rest.words.size] = self._rest
            self._rest = _Window(_NOTHING, _NOTHING)
            self._window(_Window(*window), events)
        while self._waiting:
            events += self._segmenter.feed(self._waiting.popleft().words, 0.0)
        self._vad.reset()
        self._open = False
        return events + self._segmenter.finish(reason)

    def _window(self, window: _Window, events: list[SegmentEvent]) -> None:
        self.level_dbfs = level_dbfs(window.presence)
        is_open = self._gate.open_for(self.level_dbfs, WINDOW_SAMPLES / SAMPLE_RATE_HZ, self._segmenter.active)
        self._waiting.append(window)
        if is_open:
            while self._waiting:
                waiting = self._waiting.popleft()
                self.vad_windows += 1
                events += self._segmenter.feed(waiting.words, self._vad.probability(waiting.presence))
        else:
            if self._open:
                self._vad.reset()
            while len(self._waiting) > LOOK_BACK_WINDOWS:
                events += self._segmenter.feed(self._waiting.popleft().words, 0.0)
        self._open = is_open
