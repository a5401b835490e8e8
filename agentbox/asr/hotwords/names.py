"""The owner's names in what an engine read: scored, told, or by the text alone, whichever the engine can do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from agentbox.asr.constrain.sentences import Sound
from agentbox.asr.engine import Capabilities, Recognition
from agentbox.asr.hotwords.correct import corrected, corrected_by_text, likely
from agentbox.asr.hotwords.index import HotwordIndex
from agentbox.asr.hotwords.scoring import Rescorer
from agentbox.errors import ModelError

_log = logging.getLogger(__name__)

Again: TypeAlias = Callable[[tuple[str, ...]], Recognition]
"""Reads the same sound once more, with these names as hints."""


class Names:
    """Belongs to the inference thread but for `hotwords`."""

    def __init__(self) -> None:
        self.hotwords: HotwordIndex | None = None
        """Names and terms; replaced as a whole, by any thread."""

    def scored(
        self,
        rescorer: Rescorer[Sound],
        read: Recognition,
        sound: Sound,
        *,
        after: int = 0,
        abort: Callable[[], bool] | None = None,
    ) -> Recognition:
        """Those written that the sound bears out. `after`: so many characters stay as they are (a wake phrase). What
        was read stays where it cannot be looked at again.

        Raises `Aborted`.
        """
        hotwords = self.hotwords
        if not hotwords or not read.text:
            return read
        started = time.perf_counter()
        try:
            put_right = corrected(hotwords, read, rescorer, sound, after=after, abort=abort)
        except ModelError as error:
            _log.warning("names could not be held against what was heard [%s]", error.code)
            put_right = read
        return _timed(put_right, started)

    def told(self, capabilities: Capabilities, read: Recognition, again: Again, *, after: int = 0) -> Recognition:
        """By an engine whose words cannot be scored here: it reads once more and is told what it may have missed; where
        it takes no names, only what sounds just like one is put right. What was read stays where it cannot read again.

        Raises `Aborted`.
        """
        hotwords = self.hotwords
        if not hotwords or not read.text:
            return read
        started = time.perf_counter()
        if not capabilities.takes_hotwords:
            return _timed(corrected_by_text(hotwords, read, after=after), started)
        names = likely(hotwords, read.text, after=after)
        try:
            anew = again(names) if names else read
        except ModelError as error:
            _log.warning("an utterance could not be read again with names [%s]", error.code)
            anew = read
        if not anew.text:
            return _timed(read, started)
        return _timed(replace(anew, encode_ms=read.encode_ms, decode_ms=read.decode_ms), started)


def _timed(recognition: Recognition, started: float) -> Recognition:
    return replace(recognition, hotwords_ms=(time.perf_counter() - started) * 1000)
