"""Guards against words that nobody said. Pure: they see token numbers, their probabilities and the time there was.

A decoder that hears noise writes something all the same: it repeats itself until it is stopped, or writes more words
than fit into the speech, or a short phrase it does not believe in. No list of known phrases is kept.

The figures were set on 2,000 decodings by the default model: 160 spoken commands, 240 single words, 500 telephone
prompts, half of the commands and a third of the words again in kitchen noise at 12, 6 and 0 dB; pieces of noise, hum,
music and clicks (docs/models.md, "Words that nobody said").
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

TOKENS_PER_SECOND = 6.5
"""Most tokens per second of sound; moonshine's own figure for Latin scripts (docs/api/options.md). Measured speech
in the default model's languages stays under 5 over a whole clip."""

DENSE_TOKENS_PER_SECOND = 13.0
"""The same for scripts whose letters take several tokens each."""

_RATE_IN_SPEECH = 1.4
"""The voice detector's speech is shorter than the clip, so more tokens fall on a second of it: up to 9.2 were measured
(1.4 x 6.5 = 9.1) ..."""

_SPARE_TOKENS = 4
"""... and a short word it clipped still has its tokens: allowed are these beyond the rate."""

_MIN_RATE = 1.2
"""Speech has at least this many tokens a second; what is left before a loop must explain the speech there was."""

_MIN_SPEECH_S = 0.064
"""Two windows of the voice detector."""

_PACKED_RATIO = 2.4
"""Text that packs better only repeats itself; the limit is openai/whisper's (transcribe.py)."""

_LITTLE_SPEECH_S = 0.4
_LITTLE_BELIEF = 0.45
"""Noise and music that passed the voice detector: at most 0.35 s, mean probability up to 0.43. Real speech as short:
0.48."""


_STUCK_TOKENS = 30
_STUCK_ROUNDS = 5
"""The last so many tokens are at least so many rounds of the same; a laugh has fewer tokens, a number fewer rounds."""

SECOND_LOOK_S = 0.4
"""Where a model writes nothing although there was so much speech, it is asked again, and may not end at once ..."""

SECOND_LOOK_BELIEF = 0.6
"""... and is only believed then where the mean probability of its tokens is at least this."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much of a decoding is kept."""

    kept: int
    """The first so many tokens are the transcript; fewer than were decoded where a loop was cut off."""
    suppressed: str | None = None
    """Null, or why none of them is: `loop`, `too_many_words`, `no_speech`."""


def token_cap(audio_s: float, tokens_per_second: float = TOKENS_PER_SECOND) -> int:
    """How many tokens may be decoded from so much sound."""
    return math.ceil(audio_s * tokens_per_second)


def mean_probability(logprobs: Sequence[float]) -> float | None:
    """Mean probability, 0..1, of tokens given as logarithms; null where there are none."""
    return math.fsum(map(math.exp, logprobs)) / len(logprobs) if logprobs else None


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit in it; notes of music (the default model's word for silence) are none."""
    return any(letter.isalnum() for letter in text)


def too_regular(text: str) -> bool:
    """Whether `text` repeats itself so much that nobody says it, wherever in it. Short texts never do."""
    plain = text.encode()
    return len(plain) > _PACKED_RATIO * len(zlib.compress(plain))


def tail_loop(tokens: Sequence[int], min_repeats: int) -> int | None:
    """Where the repetition at the end of `tokens` begins to repeat: `tokens[:n]` ends with the first round.

    Null when nothing is repeated `min_repeats` times in a row at the end. The last round may be incomplete. Of several
    readings the longest stretch counts, then the shortest round: in `a b b a b b` that is `a b b`, twice.
    """
    best: tuple[int, int] | None = None
    for period in range(1, len(tokens) // min_repeats + 1):
        at = len(tokens) - 1
        while at >= period and tokens[at] == tokens[at - period]:
            at -= 1
        run = len(tokens) - 1 - at + period
        if run >= min_repeats * period and (best is None or run > best[0]):
            best = (run, period)
    return None if best is None else len(tokens) - best[0] + best[1]


def is_stuck(tokens: Sequence[int]) -> bool:
    """Whether a decoder that has written `tokens` will only repeat itself: so often in a row that no speaker does, and
    so long that waiting for the cap would cost seconds."""
    tail = tokens[-_STUCK_TOKENS:]
    return len(tail) == _STUCK_TOKENS and any(
        tail[period:] == tail[:-period] for period in range(1, _STUCK_TOKENS // _STUCK_ROUNDS + 1)
    )


def judge(
    tokens: Sequence[int],
    logprobs: Sequence[float],
    *,
    capped: bool,
    speech_s: float,
    tokens_per_second: float = TOKENS_PER_SECOND,
) -> Verdict:
    """What of a decoding may be believed.

    `capped`: the cap ended it. `speech_s`: how much speech the voice detector heard; the length of the sound where
    nobody measured.
    """
    if not tokens:
        return Verdict(0)
    if speech_s < _MIN_SPEECH_S:
        return Verdict(0, "no_speech")
    most = _SPARE_TOKENS + _RATE_IN_SPEECH * tokens_per_second * speech_s
    kept = len(tokens)
    if capped or kept > most:
        # Where the words do not fit, two rounds are a loop; where only the cap was met, somebody may speak fast.
        cut = tail_loop(tokens, 2 if kept > most else 3)
        if cut is not None:
            kept = cut
            if not _MIN_RATE * speech_s <= kept <= most:
                return Verdict(0, "loop")
        elif kept > most:
            return Verdict(0, "too_many_words")
    belief = mean_probability(logprobs[:kept])
    if speech_s < _LITTLE_SPEECH_S and belief is not None and belief < _LITTLE_BELIEF:
        return Verdict(0, "no_speech")
    return Verdict(kept)
