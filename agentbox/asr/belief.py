"""From what a decoder wrote to what may be believed of it, the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentbox.asr import guards
from agentbox.asr.engine import NO_HINTS, Aborted, Hints, Recognition, Samples, StreamingEngine
from agentbox.messages import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Decoding:
    """Tokens without start and end, with the logarithm of each one's probability over the whole vocabulary."""

    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    capped: bool = False
    """The cap, the room there was or a repetition stopped it, not the model."""


def believed(
    text_of: Callable[[Sequence[int]], str],
    tokens: Sequence[int],
    logprobs: Sequence[float],
    token_ms: Sequence[int] = (),
    *,
    capped: bool,
    speech_s: float,
    tokens_per_second: float,
) -> Recognition:
    """What of a decoding may be believed (`guards.judge`), without times. `text_of`: the words of tokens; none for
    tokens that are only marks."""
    verdict = guards.judge(tokens, logprobs, capped=capped, speech_s=speech_s, tokens_per_second=tokens_per_second)
    text, suppressed = text_of(tokens[: verdict.kept]), verdict.suppressed
    if tokens and suppressed is None and not guards.has_words(text):
        text, suppressed = "", "no_speech"
    kept = len(tokens) if suppressed else verdict.kept
    return Recognition(
        text=text,
        confidence=guards.mean_probability(logprobs[:kept]),
        tokens=tuple(tokens[:kept]),
        token_logprobs=tuple(logprobs[:kept]),
        token_ms=tuple(token_ms[:kept]),
        suppressed=suppressed,
    )


def heard_whole(
    engine: StreamingEngine,
    samples: Samples,
    *,
    language: str,
    speech_ms: int | None,
    abort: Callable[[], bool] | None,
    hints: Hints = NO_HINTS,
    partial: Callable[[str], None] | None = None,
) -> Recognition:
    """`Engine.transcribe` of an engine that streams."""
    stream = engine.open_stream(language=language, hints=hints)
    for start in range(0, samples.size, SAMPLE_RATE_HZ):
        if abort is not None and abort():
            raise Aborted
        stream.accept(samples[start : start + SAMPLE_RATE_HZ])
        if partial is not None:
            partial(stream.partial(abort=abort))
    return stream.finish(speech_ms=speech_ms, abort=abort)
