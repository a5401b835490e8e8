"""From what decoding found to what was meant, and what to do about it: act, ask, or take it for no command."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from agentbox.intents import confidence
from agentbox.intents.confidence import Evidence, Outcome
from agentbox.intents.understand import Understander
from agentbox.intents.words import words_of
from agentbox.messages import JSON, Intent
from agentbox.speech_grammar import Candidate, FreeReading


@dataclass(frozen=True, slots=True)
class Decision:
    """`intent` is the likeliest meaning, whatever the outcome; null where no sentence fits the sound at all."""

    outcome: Outcome
    intent: Intent | None = None
    evidence: Evidence | None = None
    language: str = ""
    """Of the words (BCP-47), be they understood or not; empty where there is only one that they could be in."""

    @property
    def confidence(self) -> float:
        """The probability, 0..1, that `intent` was meant."""
        return self.intent.score if self.intent is not None else 0.0


@dataclass(slots=True)
class _Meaning:
    intent: Intent
    best: Candidate
    score: float

    @property
    def key(self) -> bytes:
        return msgspec.json.encode((self.intent.name, self.intent.slots), order="sorted")


def decide(
    understander: Understander,
    candidates: Sequence[Candidate],
    free: FreeReading | None,
    context: Mapping[str, JSON] | None = None,
    utterance_id: str = "",
) -> Decision:
    """What `candidates`, the likeliest first, mean in `context`, and how sure that is beside the `free` reading.

    Candidates that say the same in other words count together.
    """
    if free is None:
        return Decision("none")
    meanings = _meanings(understander, candidates, context or {})
    exact = _as_it_stands(understander, free, context or {}, meanings)
    if exact is not None:
        meanings = [exact, *(meaning for meaning in meanings if meaning.key != exact.key)]
    if not meanings:
        return Decision("none")
    first = meanings[0]
    evidence = _evidence(first, meanings[1:] if exact is None else (), free)
    probability = confidence.probability(evidence, confidence.PLAIN_WEIGHTS if free.plain else confidence.WEIGHTS)
    others: list[dict[str, JSON]] = [
        {
            "name": other.intent.name,
            "slots": other.intent.slots,
            "text": other.intent.text,
            "behind": round(first.score - other.score, 2),
        }
        for other in meanings[1:]
    ]
    intent = msgspec.structs.replace(
        first.intent, utterance_id=utterance_id, match="spoken", score=probability, alternatives=others
    )
    return Decision(confidence.outcome(probability), intent, evidence)


def _as_it_stands(
    understander: Understander, free: FreeReading, context: Mapping[str, JSON], meanings: Sequence[_Meaning]
) -> _Meaning | None:
    """The free reading where it is a sentence as it stands.

    All of it in words of the sentence: then that was said. With free text in it: then the free text is what was read
    freely, unless decoding found quite another sentence.
    """
    intent = understander.read(free.text, context)
    if intent is None:
        return None
    if meanings and meanings[0].intent.name != intent.name and understander.free_slots(free.text, context):
        return None
    return _Meaning(intent, Candidate((free.text,), free.text, free.score, free.logprob, free.tokens), free.score)


def _meanings(
    understander: Understander, candidates: Iterable[Candidate], context: Mapping[str, JSON]
) -> list[_Meaning]:
    found: dict[bytes, _Meaning] = {}
    for candidate in candidates:
        intent = next(
            (intent for text in candidate.readings if (intent := understander.read(text, context)) is not None), None
        )
        if intent is None:
            continue
        meaning = _Meaning(intent, candidate, candidate.score)
        known = found.get(meaning.key)
        if known is None:
            found[meaning.key] = meaning
        else:
            known.score = _log_add(known.score, candidate.score)
    return sorted(found.values(), key=lambda meaning: -meaning.score)


def _evidence(first: _Meaning, others: Sequence[_Meaning], free: FreeReading) -> Evidence:
    best = first.best
    return Evidence(
        ratio=(free.logprob - best.logprob) / max(best.tokens, free.tokens, 1),
        loss=(free.score - best.score) / max(best.tokens, 1),
        margin=first.score - others[0].score if others else math.inf,
        gain=best.score / max(best.tokens, 1),
        tokens=best.tokens,
        same_words=_letters(best.text) == _letters(free.text),
    )


def _letters(text: str) -> str:
    return "".join(word.text for word in words_of(text))


def _log_add(one: float, two: float) -> float:
    high, low = max(one, two), min(one, two)
    return high + math.log1p(math.exp(low - high))
