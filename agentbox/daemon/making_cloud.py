"""Makes the switch of the owner's configuration, or none where nothing may leave the box."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from agentbox.config import LOCAL, Config
from agentbox.config import Backend as Settings
from agentbox.daemon.backend import Backend
from agentbox.daemon.brain import NAME as BRAIN
from agentbox.daemon.brain import TextBrain
from agentbox.daemon.cloud import Cloud
from agentbox.daemon.cloud_voice import CloudVoice
from agentbox.daemon.egress import Meter
from agentbox.daemon.events import Events
from agentbox.daemon.instructions import instructions
from agentbox.daemon.keys import credentials_of
from agentbox.daemon.manner import is_quiet
from agentbox.daemon.mind import Mind
from agentbox.daemon.speaking import Speaking
from agentbox.daemon.underway import Underway
from agentbox.errors import AgentboxError, InputError
from agentbox.messages import Caller, Notice
from agentbox.realtime.backends import VOICES
from agentbox.realtime.brain import Brain, Limits
from agentbox.realtime.connection import is_loopback
from agentbox.realtime.event_stream import EventStreams
from agentbox.realtime.events import Used
from agentbox.realtime.prices import Budget, Moment, Spent
from agentbox.realtime.session import Account, Setup, ToolSpec
from agentbox.realtime.text_services import SERVICES, Choices, text_model
from agentbox.storage.journal import Journal

TEST_S = 8.0

MOST_DAYS = 1_000
"""Rows of days and backends that are looked at for what was spent."""


def make_models(
    config: Config,
    events: Events,
    journal: Journal,
    speaking: Speaking | None,
    turns: asyncio.Lock,
    mind: Callable[[], Mind],
) -> Models:
    """Those elsewhere, as the owner wants them. `mind` gives what the box can do now; `turns` is held while the box
    takes a turn. What is wrong with one of them is told, and it is left out."""
    meter = Meter(events, budget_of(config, journal), _now)
    underway = Underway(turns, speaking)
    cloud = voice = brain = None
    if config.cloud.is_wanted:
        cloud = Cloud(config.cloud, make_backends(config, meter, mind), meter, events, speaking, underway)
        if any(backend.speaks for backend in cloud.backends):
            voice = CloudVoice(cloud, events)
    problems = []
    if may_ask_brain(config):
        try:
            brain = _make_brain(config, events, meter, speaking, underway, mind, cloud)
        except AgentboxError as error:
            problems.append(Notice(code=error.code, what=error.what, todo=error.todo))
    return Models(cloud, voice, brain, underway, problems)


class Models(NamedTuple):
    """Who is asked beside the box itself."""

    cloud: Cloud | None
    voice: CloudVoice | None
    brain: TextBrain | None
    underway: Underway
    problems: list[Notice]

    async def close(self) -> None:
        """End what is being said, and say goodbye to everybody."""
        if self.voice is not None:
            self.voice.close()
        await self.underway.close()
        await asyncio.gather(*(model.close() for model in (self.cloud, self.brain) if model is not None))


def make_backends(config: Config, meter: Meter, mind: Callable[[], Mind]) -> list[Backend]:
    """The owner's backends in the order in which they are used: the one that they chose last comes first."""
    credentials = credentials_of(config)

    def setup(settings: Settings) -> Setup:
        if settings.kind in VOICES:
            return Setup(voice=settings.voice, language=config.language)  # it need not know who speaks
        return Setup(
            instructions=instructions(config.persona, *config.languages),
            voice=settings.voice,
            language=config.language,
            tools=tools_for(mind(), "cloud"),
        )

    ordered = sorted(config.cloud.backends, key=lambda settings: settings.name != config.cloud.use)
    return [Backend(settings, setup, credentials, meter) for settings in ordered]


async def test_backend(name: str, config: Config, events: Events, mind: Mind) -> float:
    """How long the backend `name` took to acknowledge a session, in seconds: nothing is said to it.

    Raises `CloudError`, and `InputError` `backend_missing`.
    """
    meter = Meter(events, Budget(), _now)
    backend = next((one for one in make_backends(config, meter, lambda: mind) if one.name == name), None)
    if backend is None:
        raise backend_missing(name)
    begun_s = time.monotonic()
    try:
        await backend.probe(TEST_S, "test")
        return time.monotonic() - begun_s
    finally:
        # Where no daemon runs, nobody else waits until the farewell is said and put down.
        await backend.close()


def backend_missing(name: str) -> InputError:
    """For a name that is none of the owner's backends."""
    return InputError(
        "backend_missing", f"There is no backend {name!r}.", "cloud.backends in the configuration names them."
    )


def _make_brain(
    config: Config,
    events: Events,
    meter: Meter,
    speaking: Speaking | None,
    underway: Underway,
    mind: Callable[[], Mind],
    cloud: Cloud | None,
) -> TextBrain:
    """The text model that is asked what nobody else understood. Raises `CloudError` where the owner must name a model
    or an address, and `ConfigError` for a key that cannot be read."""
    chosen = config.brain
    url = chosen.url or SERVICES[chosen.kind].url
    key = credentials_of(config).find(chosen.key or BRAIN) or ""
    is_here = is_loopback(url)
    if url.startswith("http:") and not is_here:
        key = ""  # anyone on the way could read it
    account = Account(key=key, model=chosen.model, url=chosen.url, options=chosen.options)
    model = text_model(
        chosen.kind, account, Choices(max_tokens=chosen.max_length, user=chosen.user, auth=chosen.header)
    )
    limits = Limits(tool_rounds=chosen.tool_rounds, total_s=chosen.total_s)

    def make(used: Callable[[Used], None]) -> Brain:
        return Brain(model, EventStreams(), limits, on_used=used)

    return TextBrain(
        chosen,
        make,
        instructions(config.persona, *config.languages),
        lambda: tools_for(mind(), "brain"),
        meter,
        events,
        speaking,
        underway,
        # What is on this machine is no cloud.
        allowed=lambda: is_here or _may_leave(config, cloud),
    )


def _may_leave(config: Config, cloud: Cloud | None) -> bool:
    """Whether the owner lets words leave the box now."""
    if cloud is not None:
        return cloud.is_on
    return config.cloud.use != LOCAL and not is_quiet(config.cloud.quiet_hours, datetime.now().time())  # noqa: DTZ005


def may_ask_brain(config: Config) -> bool:
    """Whether there is a text model that the owner's policy lets the box ask: with `local_only` one on this machine."""
    chosen = config.brain
    if chosen.kind == "none":
        return False
    return config.cloud.policy != "local_only" or is_loopback(chosen.url or SERVICES[chosen.kind].url)


def tools_for(mind: Mind, caller: Caller) -> tuple[ToolSpec, ...]:
    """The tools that the owner's policy lets a model ask for."""
    runner = mind.runner
    return tuple(
        ToolSpec(tool.name, tool.description, tool.schema)
        for tool in runner.registry.tools.values()
        if runner.policies.decide(tool, caller) != "deny"
    )


def budget_of(config: Config, journal: Journal) -> Budget:
    """The day's budget, and what was spent of it before the box was started."""
    earlier: dict[str, Spent] = {}
    for row in journal.egress_days(limit=MOST_DAYS):
        spent = earlier.get(row["day"], Spent())
        minutes = (row["seconds_out"] + row["seconds_in"]) / 60
        earlier[row["day"]] = Spent(spent.minutes + minutes, spent.money + row["price"])
    return Budget(config.cloud.minutes_per_day, config.cloud.money_per_day, earlier)


def _now() -> Moment:
    wall_s = time.time()
    day = datetime.fromtimestamp(wall_s).date().isoformat()  # noqa: DTZ006 - the box's own day
    return Moment(day, wall_s, time.clock_gettime(time.CLOCK_BOOTTIME))
