"""What can go wrong with a cloud model, sorted by what to do about it.

A vendor's own words are looked at and never passed on: they may quote the key or what was said. What remains of them is
a code of ours and, where it has the form of one, the vendor's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from agentbox.errors import AgentboxError


class Kind(StrEnum):
    """What to do about a failure."""

    RETRY_NOW = "retry_now"
    """A new connection will most likely work."""
    BACKOFF = "backoff"
    """Later, and not in a hurry."""
    FATAL_CONFIG = "fatal_config"
    """Never by itself: the owner must change something (key, model, credit)."""
    FATAL_INPUT = "fatal_input"
    """Not with this input; the next turn may be fine."""


class Problem(NamedTuple):
    """One sort of failure, as the owner hears of it."""

    kind: Kind
    what: str
    todo: str


PROBLEMS: dict[str, Problem] = {
    "cloud_dns": Problem(Kind.BACKOFF, "The address of the service cannot be looked up.", "Check the network."),
    "cloud_unreachable": Problem(Kind.BACKOFF, "The service cannot be reached.", "Check the network."),
    "cloud_timeout": Problem(Kind.BACKOFF, "The service does not answer in time.", "Check the network."),
    "cloud_tls": Problem(
        Kind.FATAL_CONFIG,
        "The service does not prove who it is (TLS certificate).",
        "Check the address; a network that looks into connections needs its certificate in SSL_CERT_FILE.",
    ),
    "cloud_clock": Problem(
        Kind.BACKOFF,
        "The service's certificate is not valid at the time that this box's clock shows.",
        "Set the clock: timedatectl set-ntp true",
    ),
    "cloud_key": Problem(
        Kind.FATAL_CONFIG, "The service does not accept the key.", "Check the key, and that it is for this region."
    ),
    "cloud_no_key": Problem(
        Kind.FATAL_CONFIG,
        "There is no key for the service.",
        "Keep one as a secret of the backend's name (docs/cloud.md).",
    ),
    "cloud_denied": Problem(
        Kind.FATAL_CONFIG,
        "The key may not use this model, or not from here.",
        "Check the key's rights and the service's region.",
    ),
    "cloud_model": Problem(Kind.FATAL_CONFIG, "The service does not know this model.", "Check model and url."),
    "cloud_address": Problem(Kind.FATAL_CONFIG, "There is no such service at this address.", "Check url."),
    "cloud_credit": Problem(
        Kind.FATAL_CONFIG, "The account has no credit left.", "Top it up with the vendor, or use another backend."
    ),
    "cloud_settings": Problem(
        Kind.FATAL_CONFIG, "The service refuses the settings of the session.", "Check voice, model and options."
    ),
    "cloud_busy": Problem(Kind.BACKOFF, "The service is busy, or was asked too often.", "It is tried again later."),
    "cloud_down": Problem(Kind.BACKOFF, "The service has an error of its own.", "It is tried again later."),
    "cloud_closed": Problem(Kind.RETRY_NOW, "The service closed the connection.", "It is connected again."),
    "cloud_idle": Problem(Kind.RETRY_NOW, "The service closed a session that was silent.", "It is connected again."),
    "cloud_expired": Problem(Kind.RETRY_NOW, "The session reached the service's limit.", "It is connected again."),
    "cloud_protocol": Problem(
        Kind.BACKOFF, "The service speaks otherwise than it should.", "Check that url and kind belong together."
    ),
    "cloud_silent": Problem(
        Kind.BACKOFF, "The service accepted the session and then gave no answer.", "Check model and url."
    ),
    "cloud_loop": Problem(
        Kind.FATAL_INPUT, "The model asked for tools again and again, and gave no answer.", "Say it in other words."
    ),
    "cloud_endless": Problem(
        Kind.FATAL_INPUT, "The answer was longer than any may be, and was broken off.", "Ask for a shorter one."
    ),
    "cloud_proxy": Problem(
        Kind.FATAL_CONFIG,
        "The proxy that the environment names cannot be used.",
        "HTTPS_PROXY must hold an http:// address, or none.",
    ),
    "cloud_input": Problem(Kind.FATAL_INPUT, "The service does not take what was said.", "Say it in other words."),
    "cloud_refused": Problem(Kind.FATAL_INPUT, "The service refused a request.", "Try it again."),
}
"""By our code; docs/errors.md tells the owner about each."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}|[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Failure:
    """`code`: a key of `PROBLEMS`; `vendor_code`: the vendor's, for the log; never its words."""

    code: str
    vendor_code: str = ""

    @property
    def kind(self) -> Kind:
        return PROBLEMS[self.code].kind

    @property
    def what(self) -> str:
        return PROBLEMS[self.code].what

    @property
    def todo(self) -> str:
        return PROBLEMS[self.code].todo


class CloudError(AgentboxError):
    """A cloud model could not be used; `failure` says what to do about it."""

    def __init__(self, failed: Failure) -> None:
        super().__init__(failed.code, failed.what, failed.todo)
        self.failure = failed


def failure(code: str, vendor_code: object = "") -> Failure:
    """A failure with the vendor's code, if that is one and no sentence."""
    text = str(vendor_code) if isinstance(vendor_code, str | int) else ""
    return Failure(code, text if _CODE.fullmatch(text) else "")


_BY_STATUS = {
    400: "cloud_model",
    401: "cloud_key",
    402: "cloud_credit",
    403: "cloud_denied",
    404: "cloud_address",
    408: "cloud_timeout",
    413: "cloud_input",
    429: "cloud_busy",
    451: "cloud_input",
}


def of_status(status: int) -> Failure:
    """What an HTTP status means, of a request or of a connection that was not upgraded (RFC 9110; 402 and 451 as
    StepFun's page of error codes has them)."""
    code = _BY_STATUS.get(status) or ("cloud_down" if status >= 500 else "cloud_protocol")
    return Failure(code, str(status))


_WORDS: tuple[tuple[str, str], ...] = (
    # The first that is found counts: what is narrow stands before what is wide.
    (r"arrearage|insufficient.?(quota|balance)|free.?tier|credit balance|billing|unpurchased", "cloud_credit"),
    (r"data.?inspection|content.?filter|risk.?blocked|sensitive|safety|moderation", "cloud_input"),
    (r"session.?expired|maximum duration|deadline expired|go.?away", "cloud_expired"),
    (r"idle|no response was generated|no data|request timeout after", "cloud_idle"),
    (r"throttl|rate.?limit|too many|quota|concurren|overloaded|busy|resource.?exhausted", "cloud_busy"),
    (r"invalid.{0,12}api.?key|api.?key.{0,24}(invalid|not valid|incorrect)|incorrect.{0,12}api.?key|unauthori[sz]ed|"
     r"authentication|invalid.?token|unauthenticated", "cloud_key"),
    (r"access.?denied|permission|forbidden|not.{0,8}allowed.{0,20}model", "cloud_denied"),
    (r"model.{0,40}(not.?(found|exist|support)|does not exist|unknown|invalid)|(unknown|invalid|no such).{0,12}model|"
     r"model.?not.?found|not found for api version", "cloud_model"),
    (r"internal|server.?error|unavailable|gateway|timeout", "cloud_down"),
)  # fmt: skip
_PATTERNS = tuple((re.compile(words, re.IGNORECASE), code) for words, code in _WORDS)


def of_words(vendor_code: object, *words: object, default: str) -> Failure:
    """What a vendor's error code and its message mean; `default`: our code where they say nothing known.

    The expressions are those seen in vendors' own pages, SDKs and captured frames; they are looked for in the code
    first, then in the message.
    """
    for text in (vendor_code, *words):
        if not isinstance(text, str):
            continue
        for pattern, code in _PATTERNS:
            if pattern.search(text[:2000]):
                return failure(code, vendor_code)
    return failure(default, vendor_code)
