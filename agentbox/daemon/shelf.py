"""The speech models a box could use: what is known of each, which is the best for it, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from agentbox import paths
from agentbox.asr.catalogue import Catalogue, Model
from agentbox.asr.load import is_folder
from agentbox.config import Config
from agentbox.daemon.changeable import is_installed
from agentbox.daemon.measured import Machine, Measured, known
from agentbox.languages import covers
from agentbox.messages import JSON

COMMAND_S = 4.0
QUICK_MS = 400.0
"""Whoever speaks a command of 4 s waits no longer for its words. (What was decoded in the pause at its end, and the
decoding under sentences, are not in it.)"""

ROOM = 0.5
"""A model may take so much of the machine's memory: the rest is for the box, its page and the system."""

Verdict = Literal["fits", "language", "memory", "slow", "unmeasured"]


class Facts(NamedTuple):
    """What counts when models are compared."""

    name: str
    speaks: bool
    """It knows the box's language."""
    licence: str
    bytes: int
    present: bool
    memory_mb: float | None = None
    """What it adds to the process; null: nobody measured."""
    command_ms: float | None = None
    """Time for a command of 4 s."""
    measured: bool = False
    """On this machine; else by the catalogue's figures, of another."""
    wrong: float | None = None
    """Percent of the words (characters, in Chinese) that it gets wrong in the box's language, where that is known."""


class Judged(NamedTuple):
    """A model, whether it fits this box, and why (not)."""

    facts: Facts
    verdict: Verdict
    why: str


def facts_of(model: Model, config: Config, measured: Measured | None) -> Facts:
    """`measured`: on this machine."""
    rtf_ms = None if model.rtf is None else model.rtf * COMMAND_S * 1000
    return Facts(
        name=model.name,
        speaks=model.speaks(config.language),
        licence=model.licence,
        bytes=model.bytes,
        present=is_installed(model, paths.models_dir(config)),
        memory_mb=measured.peak_mb if measured else model.memory_mb,
        command_ms=measured.command_ms[measured.threads] if measured else rtf_ms,
        measured=measured is not None,
        wrong=_of_language(model.wrong, config.language),
    )


def _of_language(figures: dict[str, float], language: str) -> float | None:
    return next((figure for tag, figure in figures.items() if covers(tag, language)), None)


def judge(facts: Facts, machine: Machine, language: str) -> Judged:
    """Whether one model fits."""
    if not facts.speaks:
        return Judged(facts, "language", f"does not know {language}")
    room_mb = ROOM * machine.memory_mb
    if facts.memory_mb is not None and facts.memory_mb > room_mb:
        why = f"takes {facts.memory_mb:.0f} MB of memory; half of this machine's is {room_mb:.0f} MB"
        return Judged(facts, "memory", why)
    if facts.memory_mb is None or facts.command_ms is None:
        return Judged(facts, "unmeasured", f"not measured yet: agentbox models measure {facts.name}")
    time = f"{facts.command_ms / 1000:.2f} s for a command of {COMMAND_S:.0f} s"
    where = f"measured here on {machine.cores} cores" if facts.measured else "on another machine: not measured here"
    if facts.command_ms > QUICK_MS:
        return Judged(facts, "slow", f"needs {time} ({where}); {QUICK_MS / 1000:.1f} s is what one waits gladly")
    accuracy = "" if facts.wrong is None else f", {facts.wrong:g} % wrong"
    licence = f", {facts.licence}" if "not for commercial" in facts.licence else ""
    return Judged(facts, "fits", f"{time} ({where}), {facts.memory_mb:.0f} MB{accuracy}{licence}")


def recommend(models: Sequence[Facts], machine: Machine, language: str) -> list[Judged]:
    """All models, the recommended one first; none is where the first does not fit.

    Of those that fit the one with the fewest errors; those whose errors nobody counted come after, and the larger of
    them first, since of two models of one maker that is the better one.
    """

    def rank(judged: Judged) -> tuple[bool, bool, bool, float, float]:
        facts = judged.facts
        return (
            judged.verdict != "fits",
            not facts.speaks,
            facts.wrong is None,
            facts.wrong or 0.0,
            -facts.bytes,
        )

    return sorted((judge(facts, machine, language) for facts in models), key=rank)


def shelf(config: Config, catalogue: Catalogue | None = None) -> list[dict[str, Any]]:
    """Every model of the catalogue with what is known of it, and those in use that are folders of the owner's."""
    machine = Machine.here()
    rows = [_row(model, config, machine) for model in (catalogue or Catalogue.load()).models.values()]
    for name in dict.fromkeys(name for name in (config.asr.model, config.asr.second_model) if name and is_folder(name)):
        own = dict.fromkeys(rows[0]) | {"name": name, "kind": "speech", "languages": [], "wrong": {}}
        own |= {"licence": "your own", "about": "a folder of your own", "bytes": 0, "present": True}
        rows.append(own | {"measured": _maybe(known(name, config, machine))} | _used(name, config))
    return rows


def _used(name: str, config: Config) -> dict[str, bool]:
    return {"in_use": name == config.asr.model, "second": name == config.asr.second_model}


def _row(model: Model, config: Config, machine: Machine) -> dict[str, Any]:
    return {
        "name": model.name,
        "kind": model.kind,
        "languages": list(model.languages),
        "licence": model.licence,
        "bytes": model.bytes,
        "present": is_installed(model, paths.models_dir(config)),
        "about": model.about,
        "memory_mb": model.memory_mb,
        "rtf": model.rtf,
        "wrong": dict(model.wrong),
        "measured": _maybe(known(model.name, config, machine)),
        **_used(model.name, config),
    }


def _maybe(measured: Measured | None) -> JSON:
    return None if measured is None else shown(measured)


def shown(measured: Measured) -> dict[str, JSON]:
    """What was measured, as it is printed."""
    return {
        "threads": measured.threads,
        "rtf": round(measured.rtf[measured.threads], 4),
        "command_s": round(measured.command_ms[measured.threads] / 1000, 4),
        "command_s_by_threads": {str(number): round(ms / 1000, 4) for number, ms in measured.command_ms.items()},
        "load_s": round(measured.load_s, 2),
        "peak_mb": round(measured.peak_mb, 1),
        "resting_mb": round(measured.resting_mb, 1),
        "at": round(measured.at, 1),
    }


def recommendation(config: Config, catalogue: Catalogue | None = None) -> list[Judged]:
    """The speech models of the catalogue, for this machine and the box's language: see `recommend`."""
    machine = Machine.here()
    models = [model for model in (catalogue or Catalogue.load()).models.values() if model.kind == "speech"]
    facts = [facts_of(model, config, known(model.name, config, machine)) for model in models]
    return recommend(facts, machine, config.language)
