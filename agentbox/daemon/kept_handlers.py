"""What the box's own tools keep for the owner, to be looked at. It is changed through the tools (`tools.call`)."""

from __future__ import annotations

from agentbox.control.server import Handler
from agentbox.daemon.core import Core
from agentbox.daemon.params import Params
from agentbox.messages import JSON
from agentbox.tools import lists, timers


class KeptHandlers:
    """`table()` is the methods by name."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def table(self) -> dict[str, Handler]:
        return {"timers.list": self.timers_list, "lists.list": self.lists_list}

    async def timers_list(self, _: Params) -> JSON:
        """Timers, alarms and reminders, what rings next first. Raises `ToolError` `service_missing`."""
        return timers.all_told(self._core.attention.talk.mind.runner.service(timers.Ringer))

    async def lists_list(self, _: Params) -> JSON:
        """The lists with their items."""
        return lists.all_lists(self._core.attention.talk.mind.runner.store("lists"))
