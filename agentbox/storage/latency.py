"""How long a turn took, from the times at which its stages were reached. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentbox.messages import JSON

Stage = Mapping[str, JSON]

FIGURES = ("silence_ms", "decode_ms", "tool_ms", "answer_ms", "sound_ms")


def latency(stages: Sequence[Stage]) -> dict[str, float | None]:
    """`stages`: rows of `stage_times` with their timings decoded, in the order of `monotonic_s`.

    `silence_ms`: the silence that ended the turn; `decode_ms`: the speech model's work. The others count from the end
    of the last word, or from when the text was there: `tool_ms` until the first tool began, `answer_ms` until there
    was an answer, `sound_ms` until it was heard. Null for what did not happen.
    """
    figures: dict[str, float | None] = dict.fromkeys(FIGURES)
    began_s: float | None = None
    for stage in stages:
        reached_s, timings = stage["monotonic_s"], stage["timings"]
        match stage["stage"], stage["state"]:
            case "utterance", "ended":
                figures["silence_ms"] = silence_ms = timings.get("silence_ms") or 0.0
                began_s = reached_s - silence_ms / 1000
            case "transcript", "final":
                figures["decode_ms"] = timings.get("decode_ms")
        name = _reached(stage["stage"], stage["state"])
        if name is not None and figures[name] is None:
            begun_s = stages[0]["monotonic_s"] if began_s is None else began_s
            figures[name] = round(max(0.0, reached_s - begun_s) * 1000, 1)
    return figures


def _reached(stage: str, state: str) -> str | None:
    if (stage, state) == ("tool_call", "started"):
        return "tool_ms"
    if stage == "reply" or (stage, state) == ("cloud", "answered"):
        return "answer_ms"
    return "sound_ms" if (stage, state) == ("speaking", "started") else None
