"""The lines of the HTTP interface about speech models, and what comes out of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from agentbox.page import api_params as p
from agentbox.page.api_line import Line


class OneModel(p.Params, frozen=True):
    name: p.Text


class MeasuredHere(msgspec.Struct, frozen=True):
    threads: int
    rtf: float
    command_s: float
    command_s_by_threads: dict[str, float]
    load_s: float
    peak_mb: float
    resting_mb: float
    at: float


class SpeechModel(msgspec.Struct, frozen=True):
    name: str
    kind: Literal["speech", "vad"]
    languages: list[str]
    licence: str
    bytes: int
    present: bool
    about: str
    memory_mb: float | None
    rtf: float | None
    wrong: dict[str, float]
    measured: MeasuredHere | None
    in_use: bool
    second: bool


class JudgedModel(msgspec.Struct, frozen=True):
    name: str
    verdict: Literal["fits", "language", "memory", "slow", "unmeasured"]
    why: str


class ModelUsed(msgspec.Struct, frozen=True):
    model: str
    former: str
    counts: Literal["now", "later"]


LINES = (
    Line(
        verb="GET",
        path="/models",
        method="models.list",
        scope="settings",
        summary="The speech models that the box knows, and what they cost.",
        answer=list[SpeechModel],
    ),
    Line(
        verb="GET",
        path="/models/recommended",
        method="models.recommend",
        scope="settings",
        summary="The speech models, the best for this box first, and why.",
        answer=list[JudgedModel],
    ),
    Line(
        verb="POST",
        path="/models/{name}/use",
        method="models.use",
        scope="settings",
        summary="Hear with another model of the catalogue from now on; one that cannot be used changes nothing.",
        params=OneModel,
        answer=ModelUsed,
    ),
)
