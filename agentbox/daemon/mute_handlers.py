"""What commands and pages can ask about the box's listening: closed, and open again."""

from __future__ import annotations

from agentbox.control.server import Handler
from agentbox.daemon.mute import Mute
from agentbox.daemon.params import Params, want
from agentbox.errors import ControlError
from agentbox.messages import JSON


class MuteHandlers:
    """`table()` is the methods by name. `mute` is null where no daemon runs: then nothing listens anyway."""

    def __init__(self, mute: Mute | None = None) -> None:
        self._mute = mute

    def table(self) -> dict[str, Handler]:
        return {"mute": self.mute, "unmute": self.unmute}

    async def mute(self, params: Params) -> JSON:
        """`{"minutes"}`, optional -> how it is: the microphone is closed."""
        mute = self._needs_daemon()
        minutes = want(params, "minutes", float) if params.get("minutes") is not None else None
        closed = await mute.mute(minutes)
        return {"muted": mute.muted, "muted_until": mute.until, "closed": closed}

    async def unmute(self, _: Params) -> JSON:
        mute = self._needs_daemon()
        mute.unmute()
        return {"muted": mute.muted, "muted_until": mute.until}

    def _needs_daemon(self) -> Mute:
        if self._mute is None:
            raise ControlError("not_running", "No agentbox daemon is running.", "Start one: agentbox run")
        return self._mute
