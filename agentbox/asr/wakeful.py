"""One utterance that counts only if it begins with a wake phrase: its looks by sound, and what they found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from agentbox.asr import guards
from agentbox.asr.belief import Decoding
from agentbox.asr.engine import Recognition, Samples
from agentbox.asr.moonshine import Encoding, Moonshine
from agentbox.asr.wake import PhraseScorer, Watch, is_due, last_look_ms
from agentbox.messages import SAMPLE_RATE_HZ


class Wakeful:
    """Made in the event loop, one for each utterance; looked with in the inference thread alone.

    `begins(text)`: whether a free reading begins with a phrase by its letters.
    """

    def __init__(self, phrases: Sequence[str], sensitivity: float, begins: Callable[[str], bool]) -> None:
        self.phrases = tuple(phrases)
        self.begins = begins
        self.phrase: str | None = None
        """The phrase it begins with, once that is known."""
        self.looks = 0
        self._last_ms = last_look_ms(self.phrases)
        self._watch = Watch(sensitivity)
        self._looked_at = 0

    def is_due(self, samples: int, silence_ms: int = 0) -> bool:
        """Whether to look now that the utterance is so long, and has been silent for so long; called in the event loop,
        and then it is looked at."""
        due = self.phrase is None and is_due(samples, self._looked_at, self._last_ms, silence_ms)
        if due:
            self._looked_at = samples
        return due

    def look(
        self, scorer: PhraseScorer, samples: Samples, encoding: Encoding | None = None, *, last: bool = False
    ) -> None:
        """Look at the sound so far. `last`: it is a pause, or the end; of an utterance that is too long by then only
        the beginning is looked at, and not even that where it was before."""
        if self.phrase is not None:
            return
        if last and not is_due(samples.size, None, self._last_ms):
            if self.looks:
                return
            # Nobody had the time to look while it was spoken.
            samples, encoding = samples[: self._last_ms * SAMPLE_RATE_HZ // 1000], None
        scores = scorer.look(samples, encoding)
        self.looks += 1
        found = self._watch.look([score.evidence for score in scores], last=last)
        self.phrase = None if found is None else self.phrases[found]


def with_phrase(
    model: Moonshine,
    scorer: PhraseScorer,
    wakeful: Wakeful,
    recognition: Recognition,
    encoding: Encoding,
    *,
    speech_ms: int | None = None,
    abort: Callable[[], bool] | None = None,
) -> Recognition:
    """The recognition with what the looks found; read anew where the free reading missed the phrase.

    Then the phrase's likeliest spelling is taken as said, and the rest is what the model writes after it; nothing,
    where that cannot be believed. Raises `Aborted`, `ModelError` `model_failed`.
    """
    if not wakeful.looks:
        return recognition
    found = wakeful.phrase or ""
    if found and not wakeful.begins(recognition.text):
        score = scorer.score(encoding)[wakeful.phrases.index(found)]
        if score.tokens:
            phrase = Decoding(score.tokens, (score.logprob, *(0.0 for _ in score.tokens[1:])), capped=False)
            rest = scorer.read_on(encoding, score, abort)
            both = Decoding(phrase.tokens + rest.tokens, phrase.logprobs + rest.logprobs, rest.capped)
            speech_s = encoding.audio_s if speech_ms is None else speech_ms / 1000
            read = model.believed(both, speech_s)
            if len(read.tokens) < len(phrase.tokens) or read.suppressed:
                read = Recognition(
                    text=model.table.decode(phrase.tokens),
                    confidence=guards.mean_probability(phrase.logprobs),
                    tokens=phrase.tokens,
                    token_logprobs=phrase.logprobs,
                )
            return replace(
                read,
                wake=found,
                audio_ms=recognition.audio_ms,
                encode_ms=recognition.encode_ms,
                decode_ms=recognition.decode_ms,
            )
    return replace(recognition, wake=found)
