"""Wake phrases by sound: how likely is it that the transcript of this sound begins with the phrase?

An attention decoder is a probability over transcripts, so the phrase's own probability is a product of a few next-token
probabilities (summed over the ways to spell it), whatever is said after it, and no free reading is needed to compare it
with: all that the model would rather have written has taken its share already. A loop in the free reading, or a
reading of cut-off sound that changes with every syllable, cannot turn the figure.

What the decoder expects without the sound is taken out in part, as `constrain/prior` does for sentences: "computer" is
written into noise a thousand times more readily than "snowboy" is. What is left is comparable between phrases, so one
threshold serves all of them, typed by whom they may be.

The first decoder step already rules most sound out: no spelling's first token is likely enough. Then a look costs the
encoder and one step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import soxr

from agentbox.asr import guards
from agentbox.asr.belief import Decoding
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.engine import Aborted, Samples
from agentbox.asr.logits import log_softmax
from agentbox.asr.moonshine import Encoding, Moonshine
from agentbox.asr.tokens import END, START
from agentbox.errors import ConfigError
from agentbox.messages import SAMPLE_RATE_HZ

FIRST_LOOK_MS = 900
"""From the utterance's first sample, pre-roll included: how much sound there is at the first look."""

LOOK_EVERY_MS = 250
SILENT_MS = 32
"""After so much silence there is a look as well, where none was taken in it: whoever said the phrase and waits for a
sign has ended by then, and the pause that is always looked at (160 ms) is late for one."""

LAST_LOOK_MS = 2400
"""A phrase of up to eight letters that begins an utterance has been said by then; of false accepts, one in three came
later ..."""

_LAST_LOOK_MS_PER_LETTER = 100
"""... and a longer one takes so much longer."""

PRIOR_WEIGHT = 0.6
"""How much of the expectation is taken out. 0.5 to 0.7 parted the phrases from other speech equally well."""

THRESHOLD = 3.6
"""Evidence from which a phrase counts as said, at sensitivity 0.5 (docs/benchmarks.md, "Wake phrases")."""

THRESHOLD_SPAN = 4.0
"""By how much sensitivity 0 is stricter than sensitivity 1."""

SURE = 1.8
"""One look is enough so far above the threshold."""

LEAST_EVIDENCE = -3.5
"""A spelling is followed no further when the evidence has fallen so low."""

NEAR = (-1.0, 5.0)
"""Evidence between which one look is not enough."""

LATER_MS = 300
SPEEDS = (1.075, 0.93)
"""How the sound is changed to look again: silence put before it, and its length times these."""

_NOISE_RMS = 0.01
_NOISE_S = (0.2, 1.0, 2.0)


@dataclass(frozen=True, slots=True)
class PhraseScore:
    """How one phrase fits the beginning of one stretch of sound."""

    phrase: str
    logprob: float
    """log P(the transcript begins with the phrase | sound), all spellings added up; minus infinity where it was
    given up."""
    evidence: float
    """`logprob` - `PRIOR_WEIGHT` x the same without the sound. Comparable between phrases."""
    tokens: tuple[int, ...] = ()
    """Its likeliest spelling; see `PhraseScorer.read_on`."""


@dataclass(eq=False, slots=True)
class _Node:
    """The beginning of some spellings."""

    tokens: tuple[int, ...]
    phrases: set[int] = field(default_factory=set)
    """Those whose spellings lead through here."""
    ends: set[int] = field(default_factory=set)
    """Those that are whole here."""
    next: dict[int, _Node] = field(default_factory=dict)


class PhraseScorer:
    """Scores some phrases at the beginning of a sound, all together.

    Not thread-safe: it belongs to whoever runs the model.
    """

    def __init__(self, model: Moonshine, phrases: Sequence[str], *, spaced: bool = True) -> None:
        """`spaced`: the language parts words by spaces. Takes some 50 ms: the phrases are looked for in faint noise.

        Raises `ConfigError` `phrase_without_letters`; `ModelError` `model_failed`.
        """
        self.phrases = tuple(phrases)
        self.last_look_ms = last_look_ms(phrases)
        self._model = model
        speller = Speller(model.table)
        self._root = _Node(())
        for number, phrase in enumerate(phrases):
            if not any(letter.isalnum() for letter in phrase):
                raise ConfigError(
                    "phrase_without_letters",
                    f"The wake phrase {phrase!r} holds nothing that can be said.",
                    "Write it in letters, in activation.phrases.",
                )
            for tokens in spellings(phrase, speller, spaced=spaced):
                self._add(number, tokens)
        first = [model.table.text_of(token)[:1] for token in range(len(model.table))]
        self._boundary = np.array(
            [not spaced or (byte < b"\x80" and not byte.isalnum() and byte != b"'") for byte in first]
        )
        self._boundary[END] = True
        self._floors = [-math.inf] * len(phrases)
        self.priors = self._without_sound()
        """By phrase: its log-probability where there is nothing to hear."""
        self._floors = [PRIOR_WEIGHT * prior + LEAST_EVIDENCE for prior in self.priors]

    def score(self, encoding: Encoding) -> tuple[PhraseScore, ...]:
        """How each phrase fits the beginning of the sound, in their order. Raises `ModelError` `model_failed`."""
        found: list[list[tuple[float, tuple[int, ...]]]] = [[] for _ in self.phrases]
        live = [(0.0, self._root)]
        state = self._model.begin(encoding)
        last = [START]
        while live:
            logits, state = self._model.step(last, state)
            logprobs = log_softmax(logits)
            further: list[tuple[float, _Node]] = []
            rows: list[int] = []
            for row, (so_far, node) in enumerate(live):
                if node.ends:
                    over = _log_sum(logprobs[row, : self._boundary.size][self._boundary])
                    for phrase in node.ends:
                        found[phrase].append((so_far + over, node.tokens))
                for token, child in node.next.items():
                    logprob = so_far + float(logprobs[row, token])
                    if any(logprob >= self._floors[phrase] for phrase in child.phrases):
                        further.append((logprob, child))
                        rows.append(row)
            live = further
            last = [node.tokens[-1] for _, node in live]
            state = state.rows(rows)
        return tuple(self._sum(number, ways) for number, ways in enumerate(found))

    def look(self, samples: Samples, encoding: Encoding | None = None) -> tuple[PhraseScore, ...]:
        """As `score`, of float32 [n] sound, n >= `MIN_SAMPLES`; `encoding` saves the encoder where there is one.

        Where a phrase comes near, the sound is encoded three times more, a little later, slower and faster, and the
        evidence is the mean. What a phrase was said in bears that; what is only by chance like it does not.
        Raises `ModelError` `model_failed`.
        """
        scores = self.score(self._model.encode(samples) if encoding is None else encoding)
        if not any(NEAR[0] <= one.evidence < NEAR[1] for one in scores):
            return scores
        rounds = [scores]
        later = np.concatenate([np.zeros(LATER_MS * SAMPLE_RATE_HZ // 1000, dtype=np.float32), samples])
        others = (later, *(np.asarray(soxr.resample(samples, 1.0, speed), np.float32) for speed in SPEEDS))
        rounds += [self.score(self._model.encode(other)) for other in others]
        return tuple(self._mean(number, [scores[number] for scores in rounds]) for number in range(len(self.phrases)))

    def _mean(self, number: int, scores: Sequence[PhraseScore]) -> PhraseScore:
        if math.isinf(scores[0].logprob):
            return scores[0]
        logprob = float(np.mean([max(one.logprob, self._floors[number]) for one in scores]))
        return PhraseScore(scores[0].phrase, logprob, evidence(logprob, self.priors[number]), scores[0].tokens)

    def read_on(self, encoding: Encoding, score: PhraseScore, abort: Callable[[], bool] | None = None) -> Decoding:
        """What the sound says after the phrase, once it is known that it begins with it: the likeliest continuation
        of the phrase's likeliest spelling. Raises `Aborted`, `ModelError` `model_failed`.
        """
        cap = guards.token_cap(encoding.audio_s, self._model.tokens_per_second)
        logits, state = self._model.begin_after(encoding, score.tokens)
        tokens: list[int] = []
        logprobs: list[float] = []
        capped = True
        while len(score.tokens) + len(tokens) < cap:
            if abort is not None and abort():
                raise Aborted
            row = log_softmax(logits)[0]
            token = int(row.argmax())
            if token == END:
                capped = False
                break
            tokens.append(token)
            logprobs.append(float(row[token]))
            logits, state = self._model.step([token], state)
        return Decoding(tuple(tokens), tuple(logprobs), capped)

    def _add(self, phrase: int, tokens: tuple[int, ...]) -> None:
        node = self._root
        for token in tokens:
            node = node.next.setdefault(token, _Node((*node.tokens, token)))
            node.phrases.add(phrase)
        node.ends.add(phrase)

    def _without_sound(self) -> tuple[float, ...]:
        """The mean over a few lengths of faint noise, which the figure depends on by a nat or two."""
        draw = np.random.default_rng(0)
        self.priors = (0.0,) * len(self.phrases)
        logprobs = []
        for seconds in _NOISE_S:
            noise = draw.standard_normal(int(seconds * SAMPLE_RATE_HZ)).astype(np.float32) * np.float32(_NOISE_RMS)
            logprobs.append([score.logprob for score in self.score(self._model.encode(noise))])
        return tuple(float(value) for value in np.mean(logprobs, axis=0))

    def _sum(self, number: int, ways: list[tuple[float, tuple[int, ...]]]) -> PhraseScore:
        if not ways:
            return PhraseScore(self.phrases[number], -math.inf, -math.inf)
        logprob = _log_sum(np.array([logprob for logprob, _ in ways]))
        return PhraseScore(self.phrases[number], logprob, evidence(logprob, self.priors[number]), max(ways)[1])


def evidence(logprob: float, prior: float) -> float:
    """See `PhraseScore.evidence`."""
    return logprob - PRIOR_WEIGHT * prior


def last_look_ms(phrases: Sequence[str]) -> int:
    """How long an utterance may be, pre-roll included, and still be looked at for these phrases."""
    letters = max((sum(map(str.isalnum, phrase)) for phrase in phrases), default=0)
    return LAST_LOOK_MS + _LAST_LOOK_MS_PER_LETTER * max(0, letters - 8)


def is_due(samples: int, looked_at: int | None, last_ms: int = LAST_LOOK_MS, silence_ms: int = 0) -> bool:
    """Whether to look at an utterance so long. `looked_at`: its length at the last look, 0 before the first; null in a
    pause and at the end, which are always looked at unless the utterance is longer than `last_look_ms` says.
    `silence_ms`: how long it has been silent by now."""
    if samples > last_ms * SAMPLE_RATE_HZ // 1000:
        return False
    if looked_at is None:
        return True
    now_ms, looked_ms = samples * 1000 / SAMPLE_RATE_HZ, looked_at * 1000 / SAMPLE_RATE_HZ
    if silence_ms >= SILENT_MS and looked_ms <= now_ms - silence_ms:
        return now_ms >= FIRST_LOOK_MS
    return now_ms >= max(FIRST_LOOK_MS, looked_ms + LOOK_EVERY_MS)


class Watch:
    """One utterance's looks, put together: a phrase was said when two looks in a row say so, or one is quite sure."""

    def __init__(self, sensitivity: float = 0.5) -> None:
        self._threshold = threshold(sensitivity)
        self._looks = 0
        self._before: int | None = None

    def look(self, evidences: Sequence[float], *, last: bool = False) -> int | None:
        """The number of the phrase that was said, once that is known. `evidences`: by phrase, of one look.

        `last`: no other look will come; an utterance too short for a second one is judged by its only one.
        """
        self._looks += 1
        best = max(range(len(evidences)), key=evidences.__getitem__, default=None)
        if best is None or evidences[best] < self._threshold:
            self._before = None
            return None
        sure = evidences[best] >= self._threshold + SURE or (last and self._looks == 1)
        known = best if sure or best == self._before else None
        self._before = best
        return known


def threshold(sensitivity: float) -> float:
    """The evidence from which a phrase counts as said. `sensitivity`: 0 (strict) to 1 (hears it easily)."""
    return THRESHOLD + THRESHOLD_SPAN * (0.5 - sensitivity)


def spellings(phrase: str, speller: Speller, *, spaced: bool = True) -> Iterator[tuple[int, ...]]:
    """The token sequences by which a recogniser may write `phrase`: letter cases, words joined, hyphened or parted."""
    words = phrase.split()
    forms = [" ".join(words)]
    if len(words) > 1:
        forms += ["".join(words), "-".join(words), ", ".join((words[0], " ".join(words[1:])))]
    elif spaced:
        # A word that is two words to the model may be written so: "snow boy".
        halves = [(phrase[:at], phrase[at:]) for at in range(3, len(phrase) - 2)]
        known = [two for two in halves if all(len(speller.encode(f" {half}")) == 1 for half in two)]
        forms += [first + between + second for first, second in known for between in (" ", "-")]
    yield from dict.fromkeys(tokens for form in forms for tokens in speller.variants(form, spaced=spaced))


def _log_sum(values: np.typing.NDArray[np.floating]) -> float:
    top = float(values.max())
    return top + math.log(float(np.exp(values - top).sum())) if math.isfinite(top) else -math.inf
