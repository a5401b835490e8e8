"""Makes the switch of the owner's configuration, or none where nothing may leave the box."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from agentbox.config import Backend as Settings
from agentbox.config import Config
from agentbox.credentials import Credentials
from agentbox.daemon.backend import Backend
from agentbox.daemon.cloud import Cloud
from agentbox.daemon.egress import Meter
from agentbox.daemon.events import Events
from agentbox.daemon.instructions import instructions
from agentbox.daemon.mind import Mind
from agentbox.daemon.speaking import Speaking
from agentbox.errors import InputError
from agentbox.paths import state_dir
from agentbox.realtime.prices import Budget
from agentbox.realtime.session import Setup, ToolSpec
from agentbox.storage.journal import Journal

TEST_S = 8.0


def make_cloud(
    config: Config,
    events: Events,
    journal: Journal,
    speaking: Speaking | None,
    turns: asyncio.Lock,
    mind: Callable[[], Mind],
) -> Cloud:
    """The switch. `mind` gives what the box can do now; `turns` is held while the box takes a turn."""
    meter = Meter(events, spent_today(config, journal), _today)
    return Cloud(config.cloud, make_backends(config, meter, mind), meter, events, speaking, turns)


def make_backends(config: Config, meter: Meter, mind: Callable[[], Mind]) -> list[Backend]:
    """The owner's backends in the order in which they are used: the one that they chose last comes first."""
    credentials = credentials_of(config)

    def setup(settings: Settings) -> Setup:
        return Setup(
            instructions=instructions(config.persona, config.language),
            voice=settings.voice,
            language=config.language,
            tools=tools_for_cloud(mind()),
        )

    ordered = sorted(config.cloud.backends, key=lambda settings: settings.name != config.cloud.use)
    return [Backend(settings, setup, credentials, meter) for settings in ordered]


async def test_backend(name: str, config: Config, events: Events, mind: Mind) -> float:
    """How long the backend `name` took to acknowledge a session, in seconds: nothing is said to it.

    Raises `CloudError`, and `InputError` `backend_missing`.
    """
    meter = Meter(events, Budget(), _today)
    backend = next((one for one in make_backends(config, meter, lambda: mind) if one.name == name), None)
    if backend is None:
        raise backend_missing(name)
    begun_s = time.monotonic()
    await backend.probe(TEST_S, "test")
    return time.monotonic() - begun_s


def backend_missing(name: str) -> InputError:
    """For a name that is none of the owner's backends."""
    return InputError(
        "backend_missing", f"There is no backend {name!r}.", "cloud.backends in the configuration names them."
    )


def credentials_of(config: Config) -> Credentials:
    """Where the owner keeps keys."""
    file = Path(config.storage.secrets_file) if config.storage.secrets_file else None
    return Credentials(state_dir() / "secrets", file)


def tools_for_cloud(mind: Mind) -> tuple[ToolSpec, ...]:
    """The tools that the owner's policy lets a cloud model ask for."""
    runner = mind.runner
    return tuple(
        ToolSpec(tool.name, tool.description, tool.schema)
        for tool in runner.registry.tools.values()
        if runner.policies.decide(tool, "cloud") != "deny"
    )


def spent_today(config: Config, journal: Journal) -> Budget:
    """The day's budget, less what was spent of it before the box was started."""
    budget = Budget(config.cloud.minutes_per_day, config.cloud.money_per_day)
    midnight = datetime.combine(date.today(), datetime.min.time()).timestamp()  # noqa: DTZ011 - the box's own day
    for row in journal.egress(limit=100_000, since=midnight):
        budget.spend(_today(), (row["seconds_out"] + row["seconds_in"]) / 60, row["price"])
    return budget


def _today() -> str:
    return date.today().isoformat()  # noqa: DTZ011 - the box's own day
