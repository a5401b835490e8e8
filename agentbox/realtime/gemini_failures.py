"""What Gemini Live means by closing a connection, and by the reasons for which it ends a turn.

There is no frame for errors: they are the close code and its reason. The codes are coarse (1007 a bad argument or a bad
key, 1008 no such model or not allowed, 1011 everything else), so the words count first. They are those of reports in
public repositories and the vendor's forum, 2025 and 2026.
"""

from __future__ import annotations

import re

from agentbox.realtime.failures import Failure, failure, of_words

_WORDS = tuple(
    (re.compile(words, re.IGNORECASE), code)
    for words, code in (
        # Said of a limit by the minute as well, where credit is no matter.
        (r"exceeded your current quota", "cloud_busy"),
        (r"pass a valid api key|api key (not found|expired|was reported)|unregistered callers", "cloud_key"),
        (r"location is not supported", "cloud_denied"),
        (r"session not found", "cloud_expired"),
        (r"publisher model.*not found", "cloud_model"),
        (r"is not supported by the model|unsupported language", "cloud_settings"),
    )
)

_UNTIL_READY = {1003: "cloud_settings", 1007: "cloud_settings", 1008: "cloud_denied", 1011: "cloud_down"}
_AFTERWARDS = {1003: "cloud_refused", 1007: "cloud_refused", 1008: "cloud_down", 1009: "cloud_input"}
_ALWAYS = {1011: "cloud_down", 1012: "cloud_closed", 1013: "cloud_busy"}


def of_close(code: int | None, reason: str, *, is_ready: bool, resumes: bool) -> Failure:
    """`is_ready`: the session was configured; `resumes`: it was to go on with an earlier conversation."""
    if not is_ready and resumes and code in (1007, 1008):
        named = of_reason(reason, code, is_ready=False)
        # Most likely the handle is refused, which is no matter of the settings.
        return named if named.code in ("cloud_key", "cloud_busy") else failure("cloud_expired", code)
    return of_reason(reason, code, is_ready=is_ready)


def of_reason(words: str, code: int | float | None, *, is_ready: bool) -> Failure:
    """What a reason means, and if that is nothing known, what the code does."""
    number = "" if code is None else str(int(code))
    for pattern, found in _WORDS:
        if pattern.search(words[:2000]):
            return failure(found, number)
    # The model may be gone, or it is a known mishap in the middle of a conversation.
    if not is_ready and "entity was not found" in words:
        return failure("cloud_model", number)
    by_code = _ALWAYS | (_AFTERWARDS if is_ready else _UNTIL_READY)
    default = by_code.get(int(code or 0), "cloud_closed")
    return failure(of_words("", words, default=default).code, number)


_REFUSED = ("MALFORMED_FUNCTION_CALL", "RESPONSE_REJECTED", "MAX_REGENERATION_REACHED")
_CONTENT = re.compile(r"PROHIBITED|SAFETY|BLOCKLIST|UNSAFE|INPUT_|GENERATED_|OUTPUT_IMAGE")


def of_turn(reason: str) -> tuple[str, Failure | None]:
    """An answer's status, and why it failed if it did, from the `TurnCompleteReason`."""
    if reason == "NEED_MORE_INPUT":
        return "incomplete", None
    if reason in _REFUSED:
        return "failed", failure("cloud_refused", reason)
    if _CONTENT.search(reason):
        return "failed", failure("cloud_input", reason)
    return "completed", None
