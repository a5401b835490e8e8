"""Names put right in what was read: retrieved by sound, and written where the sound itself bears them out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec

from agentbox.asr.constrain.sentences import Sound
from agentbox.asr.engine import Correction, Recognition
from agentbox.asr.hotwords.evidence import SCORED, THRESHOLD, WRITTEN, Weights, evidence, gain_needed
from agentbox.asr.hotwords.index import MOST, HotwordIndex, Near
from agentbox.asr.hotwords.scoring import Rescorer, logprobs_by_character
from agentbox.asr.hotwords.sounds import past_possessive, words_of
from agentbox.speech_grammar import Candidate

LOOKED_AT = 80
"""So many names are weighed up by what was read before a few of them are scored."""

PLACES = 2
"""Where a name begins and ends among the words is not always clear by the letters ("is Cisco Sanio", "Cisco Sanio")."""

SCORED_AT_ONCE = 8

ALIKE = 0.95
"""What sounds so much like a name is worth another reading however short it is (Anna, Ana)."""


class Weighed(NamedTuple):
    """A name with what speaks for it."""

    near: Near
    doubt: float
    """How unsure the model was of what it wrote there: minus the least log-probability of a token."""
    evidence: float


def corrected(
    hotwords: HotwordIndex,
    read: Recognition,
    rescorer: Rescorer[Sound],
    sound: Sound,
    *,
    after: int = 0,
    abort: Callable[[], bool] | None = None,
) -> Recognition:
    """`read` with the names written that the sound bears out; `tokens` and their figures stay those that were read.

    `after`: so many characters of the text stay as they are. Raises `Aborted`, `ModelError` `model_failed`.
    """
    if not read.text or not read.tokens:
        return read
    weights = rescorer.weights
    nears = _nears(hotwords, read.text, after)
    # As a rule a name fits the sound no better than what was read.
    hopeful = _hopeful(nears, weights, logprobs_by_character(read, rescorer.spell))[:SCORED_AT_ONCE]
    if not hopeful:
        return read
    texts = [_with(read.text, one.near) for one in hopeful]
    least = [gain_needed(weights, one.evidence) for one in hopeful]
    gains = rescorer.gains(sound, read, texts, least, abort)
    by_text = [one.near for one in _hopeful(nears, WRITTEN)] if rescorer.text_is_enough else []
    scored = {
        one.near: one._replace(evidence=evidence(weights, one.near, one.doubt, gain))
        for one, gain in zip(hopeful, gains, strict=True)
    }
    proven = {near: one for near, one in scored.items() if one.evidence >= THRESHOLD}
    proven |= {near: scored.get(near, Weighed(near, 0.0, -math.inf)) for near in by_text}
    return written(read, [*proven.values()])


def corrected_by_text(hotwords: HotwordIndex, read: Recognition, *, after: int = 0) -> Recognition:
    """The same where there is nothing but the text: only long names that sound just like what was written."""
    return written(read, _hopeful(_nears(hotwords, read.text, after), WRITTEN))


def likely(hotwords: HotwordIndex, text: str, *, after: int = 0) -> tuple[str, ...]:
    """The names that may have been said and were not read, the likeliest first, and then the nearest others, those that
    were read among them: for the prompt of an engine that takes them. None where none is likely enough for a whole
    utterance to be read again.

    Of 193 ordinary sentences that are 22 % with 100 names and 88 % with 5,000 (95 and 100 % where any likeness is
    enough); of the names that the default model misread 81 % are told, with 100 and with 5,000 (95 and 70 % are among
    the ten nearest).
    """
    weighed = _weighed(_nears(hotwords, text, after), SCORED)
    hopeful = [one.near for one in weighed if one.evidence >= THRESHOLD or one.near.likeness >= ALIKE]
    if not hopeful:
        return ()
    return tuple(dict.fromkeys(near.hotword for near in [*hopeful, *hotwords.near(text, MOST)]))[:MOST]


def _nears(hotwords: HotwordIndex, text: str, after: int) -> list[Near]:
    """The names near to what was read; not those that stand there already, and none in place of one that does."""
    every = [_whole(text, near) for near in hotwords.near(text, LOOKED_AT, places=PLACES)]
    standing = [near for near in every if _stands(text, near)]
    return [near for near in every if near.start >= after and not any(_gives_way(near, one) for one in standing)]


def _weighed(nears: Sequence[Near], weights: Weights, logprobs: Sequence[float] = ()) -> list[Weighed]:
    """The likeliest first. `logprobs`: of the characters of what was read."""
    found = []
    for near in nears:
        doubt = -min(logprobs[near.start : near.end], default=0.0)
        found.append(Weighed(near, doubt, evidence(weights, near, doubt)))
    return sorted(found, key=lambda one: -one.evidence)


def _hopeful(nears: Sequence[Near], weights: Weights, logprobs: Sequence[float] = ()) -> list[Weighed]:
    return [one for one in _weighed(nears, weights, logprobs) if one.evidence >= THRESHOLD]


def _whole(text: str, near: Near) -> Near:
    """With the "'s" that was read behind it, where the name has one of its own ("McDonald's")."""
    end = words_of(near.hotword)[-1].end
    has_one = past_possessive(near.hotword, end) > end
    return near._replace(end=past_possessive(text, near.end)) if has_one else near


def _stands(text: str, near: Near) -> bool:
    """Whether the name is written there already; its "'s" counts where it has one ("McDonald's")."""
    end = near.start + len(near.hotword)
    return end >= near.end and text[near.start : end].casefold() == near.hotword.casefold()


def _gives_way(near: Near, standing: Near) -> bool:
    """Whether a name is not written because one stands there: the same, or another in no more words."""
    if near.hotword == standing.hotword:
        return near.start < standing.end and standing.start < near.end
    return standing.start <= near.start and near.end <= standing.end


def written(read: Recognition, proven: Sequence[Weighed]) -> Recognition:
    """`read` with names in place of what was read; of two in one place the one for which more speaks."""
    taken: list[Near] = []
    for one in sorted(proven, key=lambda one: (-one.evidence, -one.near.likeness)):
        if all(one.near.end <= other.start or other.end <= one.near.start for other in taken):
            taken.append(one.near)
    if not taken:
        return read
    text = read.text
    for near in sorted(taken, key=lambda near: -near.start):
        text = _with(text, near)
    in_order = sorted(taken, key=lambda near: near.start)
    corrections = tuple(Correction(read.text[near.start : near.end], near.hotword, near.start) for near in in_order)
    return replace(read, text=text, corrections=corrections, as_read=read.text)


def _with(text: str, near: Near) -> str:
    return text[: near.start] + near.hotword + text[near.end :]


def in_candidates(candidates: Sequence[Candidate], corrections: Sequence[Correction]) -> tuple[Candidate, ...]:
    """The candidates with the same names put right in their free text: such a reading goes before the one it is made
    of, which stays for where the words are the sentence's own."""
    made = []
    for candidate in candidates:
        readings = [*dict.fromkeys(_put_right(reading, corrections) for reading in candidate.readings)]
        made.append(msgspec.structs.replace(candidate, readings=tuple(dict.fromkeys((*readings, *candidate.readings)))))
    return tuple(made)


def _put_right(text: str, corrections: Sequence[Correction]) -> str:
    for correction in corrections:
        heard = re.escape(correction.heard)
        meant = correction.meant.replace("\\", r"\\")
        text = re.sub(rf"(?<![a-zA-Z]){heard}(?![a-zA-Z])", meant, text, flags=re.IGNORECASE)
    return text
