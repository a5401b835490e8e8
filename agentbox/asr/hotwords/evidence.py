"""Whether a name was said where something else was read: what is known of it, in one figure.

A logistic regression over 300 names that two synthetic voices said among 5,000 others, and 390 sentences without any
(`benchmarks.hotwords`, the part that is not measured on).
"""

from __future__ import annotations

from typing import NamedTuple

from agentbox.asr.hotwords.index import Near
from agentbox.asr.hotwords.sounds import is_chinese, letters_of, words_of

_MOST_SOUNDS = 14
_MOST_DOUBT = 2.0

_OF_SYLLABLE = 3.0
"""A syllable of Chinese, one of 400, tells as much as so many sounds of a dozen."""


class Weights(NamedTuple):
    """`likeness` and `doubt` as they are; `sounds`: likeness x the number of sounds; `gain`: per natural logarithm."""

    likeness: float
    sounds: float
    doubt: float
    gain: float
    constant: float


SCORED = Weights(likeness=6.6, sounds=0.85, doubt=0.76, gain=0.26, constant=-10.5)
"""With the model's own figures for what it read, and for the name in its place."""

FRAMES = Weights(likeness=6.6, sounds=0.85, doubt=0.76, gain=1.0, constant=-10.5)
"""With the figures of a model that was never tried on speech here: a gain is taken for what it says, the logarithm of
how much likelier the name is. One of two syllables that sounds just like what was read must be a sixth as likely, where
the model was sure of that; longer ones may be less."""

WRITTEN = Weights(likeness=17.4, sounds=0.97, doubt=0.0, gain=0.0, constant=-24.3)
"""Of the text alone; half a nat stricter than it was fitted. Two syllables of Chinese never count as a name then."""

THRESHOLD = -0.5
"""Evidence from which a name is written."""


def sounds_in(hotword: str) -> float:
    """How many sounds a name has, as far as they tell it from others."""
    words = [word.text for word in words_of(hotword)]
    chinese = sum(map(is_chinese, words))
    return _OF_SYLLABLE * chinese + len(letters_of([word for word in words if not is_chinese(word)]))


def evidence(weights: Weights, near: Near, doubt: float, gain: float = 0.0) -> float:
    """What speaks for a name: the logarithm of the odds that it was said. `doubt`: minus the least log-probability of
    what was read there; `gain`: see `scoring.Rescorer.gains`."""
    sounds = min(sounds_in(near.hotword), _MOST_SOUNDS)
    return (
        weights.constant
        + weights.likeness * near.likeness
        + weights.sounds * near.likeness * sounds
        + weights.doubt * min(doubt, _MOST_DOUBT)
        + weights.gain * gain
    )


def gain_needed(weights: Weights, without: float) -> float:
    """From which gain on the evidence is enough; `without`: what it is without any."""
    return (THRESHOLD - without) / weights.gain
