"""Which of thousands of names a text may have misheard: found by sound, in milliseconds.

A name is looked for in every run of words about as long as it. First those names are taken that share enough pairs of
neighbouring sounds with the text; what is left is compared run by run, roughly for all of them and finely for the best.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from agentbox.asr.hotwords.sounds import Word, coarse_keys, likeness, words_of

MOST = 10
"""So many names are given at the most: as many as a prompt bears."""

LEAST_LIKENESS = 0.6

_SHARED = 0.34
"""The share of its pairs of sounds that a text must have for a name to be looked at."""

_ROUGH = 0.55
_COMPARED = 120
"""So many of the roughly most alike are compared finely."""

_MORE_WORDS = 2
"""A name may have been written in so many words more than it has ("shove on" for "Siobhan")."""

_LEAST_SOUNDS = 3
"""Of a shorter name every other word would hold one: it is only looked for where it is Chinese (two syllables)."""


class Near(NamedTuple):
    """A name that sounds like `text[start:end]`."""

    hotword: str
    start: int
    end: int
    likeness: float
    """0..1."""


class _Run(NamedTuple):
    words: tuple[str, ...]
    start: int
    end: int


class HotwordIndex:
    """Names and terms by their sounds. Not changed by use."""

    def __init__(self, hotwords: Iterable[str]) -> None:
        """Takes some 20 ms for a thousand of them."""
        self.hotwords: list[str] = []
        self._words: list[tuple[str, ...]] = []
        self._keys: list[str] = []
        self._of_key: list[int] = []
        with_pair: defaultdict[str, list[int]] = defaultdict(list)
        for hotword in dict.fromkeys(" ".join(one.split()) for one in hotwords):
            words = tuple(word.text for word in words_of(hotword))
            keys = [key for key in coarse_keys(words) if len(key) >= _LEAST_SOUNDS] if words else []
            if not keys:
                continue
            for key in keys:
                for pair in _pairs(key):
                    with_pair[pair].append(len(self._keys))
                self._of_key.append(len(self.hotwords))
                self._keys.append(key)
            self.hotwords.append(hotword)
            self._words.append(words)
        self._with_pair = {pair: np.array(keys, dtype=np.int32) for pair, keys in with_pair.items()}
        self._pairs = np.array([max(1, len(_pairs(key))) for key in self._keys], dtype=np.float32)
        self._most_words = max(map(len, self._words), default=0)

    def __len__(self) -> int:
        return len(self.hotwords)

    def near(self, text: str, most: int = MOST, *, places: int = 1) -> list[Near]:
        """The names that `text` may hold, each in the `places` where it fits best, the likeliest first. A name that
        stands there as it is has the likeness 1."""
        words = words_of(text)
        keys = self._sharing(words)
        if not keys.size:
            return []
        runs = [*self._runs(words)]
        run_keys = [(run, key) for run in runs for key in coarse_keys(run.words)]
        alike = cdist(
            [key for _, key in run_keys],
            [self._keys[key] for key in keys],
            scorer=Levenshtein.normalized_similarity,
            score_cutoff=_ROUGH,
            dtype=np.float32,
        )
        compared: defaultdict[int, dict[_Run, float]] = defaultdict(dict)
        for flat in _largest(alike, _COMPARED):
            run, number = run_keys[flat // keys.size][0], self._of_key[keys[flat % keys.size]]
            compared[number][run] = likeness(run.words, self._words[number])
        found = [
            Near(self.hotwords[number], run.start, run.end, runs[run])
            for number, runs in compared.items()
            for run in sorted(runs, key=lambda run: (-runs[run], run.end - run.start))[:places]
            if runs[run] >= LEAST_LIKENESS
        ]
        return sorted(found, key=lambda near: -near.likeness)[:most]

    def _sharing(self, words: Sequence[Word]) -> NDArray[np.int32]:
        """Keys of which the text has enough pairs of sounds."""
        whole = {pair for key in coarse_keys([word.text for word in words]) for pair in _pairs(key)}
        known = [self._with_pair[pair] for pair in whole if pair in self._with_pair]
        if not known:
            return np.zeros(0, dtype=np.int32)
        shared = np.bincount(np.concatenate(known), minlength=len(self._keys)) / self._pairs
        return np.flatnonzero(shared >= _SHARED).astype(np.int32)

    def _runs(self, words: Sequence[Word]) -> Iterable[_Run]:
        for first in range(len(words)):
            for end in range(first + 1, min(first + self._most_words + _MORE_WORDS, len(words)) + 1):
                some = words[first:end]
                yield _Run(tuple(word.text for word in some), some[0].start, some[-1].end)


def _pairs(key: str) -> set[str]:
    return {key[at : at + 2] for at in range(len(key) - 1)}


def _largest(alike: NDArray[np.float32], count: int) -> list[int]:
    """Where the largest of `alike` are that are not zero, flat."""
    flat = alike.ravel()
    places = np.flatnonzero(flat)
    if places.size > count:
        places = places[np.argpartition(flat[places], -count)[-count:]]
    return [int(place) for place in places]
