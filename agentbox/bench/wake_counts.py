"""What the scores of `bench wake` mean at a sensitivity: misses, false accepts, delays, and how sure the counts are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from agentbox.asr.wake import Watch, evidence
from agentbox.bench.wake import Measured, Scored
from agentbox.messages import SAMPLE_RATE_HZ

SENSITIVITIES = (0.1, 0.3, 0.5, 0.7, 0.9)


def detections(
    scored: Scored, phrases: Sequence[str], priors: Sequence[float], sensitivity: float
) -> list[tuple[str, int]]:
    """The phrase heard in each utterance that began with one, and the sample at which that was known."""
    found = []
    for utterance in scored.utterances:
        watch = Watch(sensitivity)
        for number, look in enumerate(utterance):
            values = [
                -math.inf if logprob is None else evidence(logprob, prior)
                for logprob, prior in zip(look.logprobs, priors, strict=True)
            ]
            phrase = watch.look(values, last=number + 1 == len(utterance))
            if phrase is not None:
                found.append((phrases[phrase], look.end_sample))
                break
    return found


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if of == 0:
        return 0.0, 1.0
    z = 1.959964
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def poisson(count: int) -> tuple[float, float]:
    """The exact 95 % interval of a count's mean (Garwood 1936), by bisection on the Poisson distribution."""

    def tail(mean: float, below: int) -> float:
        return math.fsum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(below))

    def solve(below: int, wanted: float) -> float:
        low, high = 1e-9, 10.0 * count + 50.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle, below) > wanted else (low, middle)
        return low

    return (solve(count, 0.975) if count else 0.0), solve(count + 1, 0.025)


class Missed(msgspec.Struct, frozen=True):
    """Clips of one phrase, or of all, in one condition."""

    phrase: str
    condition: str
    """`clean`, `10 dB`, or `both`."""
    clips: int
    missed: int

    def __str__(self) -> str:
        low, high = wilson(self.missed, self.clips)
        return f"{self.missed}/{self.clips}\n{self.missed / self.clips:.1%}\n{100 * low:.1f}-{100 * high:.1f}"


class FalseAccepts(msgspec.Struct, frozen=True):
    """Utterances in which a phrase was heard that nobody said."""

    kind: str
    hours: float
    utterances: int
    count: int
    """Utterances in which any of the phrases was heard."""

    def __str__(self) -> str:
        low, high = (bound / self.hours if self.hours else 0.0 for bound in poisson(self.count))
        return f"{self.count}\n{low:.2f}-{high:.2f}"


class Row(msgspec.Struct, frozen=True):
    """What one sensitivity does."""

    sensitivity: float
    misses: list[Missed]
    false_accepts: list[FalseAccepts]
    delay_ms: list[float]
    """Of the clips that were heard, in noise and without: from the end of the phrase to the decision, by the sound's
    time. Negative where it was known before the voice detector heard the end."""


def row(measured: Measured, sensitivity: float) -> Row:
    """Misses and delays over the trials, false accepts over the other sound and the clips of the other phrases."""
    tried, phrases, priors = measured.trials, measured.phrases, measured.priors
    counts: dict[tuple[str, str], list[int]] = {}
    delays: list[float] = []
    crossed = 0
    for trial in tried:
        found = detections(trial.scored, phrases, priors, sensitivity)
        ends = [end for phrase, end in found if phrase == trial.phrase]
        crossed += sum(phrase != trial.phrase for phrase, _ in found)
        if ends:
            delays.append((ends[0] - trial.speech_end_sample) * 1000 / SAMPLE_RATE_HZ)
        for key in ((trial.phrase, trial.condition), ("all", trial.condition), ("all", "both")):
            count = counts.setdefault(key, [0, 0])
            count[0] += 1
            count[1] += not ends
    in_order = sorted(counts.items(), key=lambda item: (item[0][0] == "all", item[0][1] == "both"))
    misses = [Missed(*key, *count) for key, count in in_order]
    wrong = [
        FalseAccepts(
            kind,
            sum(one.seconds for one in scored) / 3600,
            sum(len(one.utterances) for one in scored),
            sum(len(detections(one, phrases, priors, sensitivity)) for one in scored),
        )
        for kind, scored in measured.others.items()
    ]
    of = [trial.scored for trial in tried]
    hours = sum(one.seconds for one in of) / 3600
    wrong.append(FalseAccepts("other phrases", hours, sum(len(one.utterances) for one in of), crossed))
    return Row(sensitivity, misses, wrong, delays)
