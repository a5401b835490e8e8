"""All methods of the control socket, put together: the same table with a daemon and without."""

from __future__ import annotations

from agentbox.control.server import Handler
from agentbox.daemon.backup_handlers import BackupHandlers
from agentbox.daemon.core import Core
from agentbox.daemon.entrance import Entrance
from agentbox.daemon.handlers import Daemon, Handlers
from agentbox.daemon.kept_handlers import KeptHandlers
from agentbox.daemon.model_handlers import ModelHandlers
from agentbox.daemon.mute import Mute
from agentbox.daemon.mute_handlers import MuteHandlers
from agentbox.daemon.pairing_handlers import PairingHandlers
from agentbox.daemon.secrets_handlers import SecretsHandlers
from agentbox.daemon.sentence_handlers import SentenceHandlers
from agentbox.daemon.settings_handlers import SettingsHandlers
from agentbox.daemon.setup_handlers import SetupHandlers
from agentbox.daemon.system_handlers import SystemHandlers
from agentbox.daemon.tool_handlers import ToolHandlers
from agentbox.messages import Caller
from agentbox.pairing.devices import Devices


def methods(
    core: Core,
    devices: Devices,
    daemon: Daemon | None = None,
    entrance: Entrance | None = None,
    mute: Mute | None = None,
    caller: Caller = "cli",
) -> dict[str, Handler]:
    """By name. `daemon`, `entrance` and `mute` are null where none runs. `caller`: as whom tools are called."""
    reload = None if daemon is None else daemon.reload
    settings = SettingsHandlers(core, reload)
    return (
        Handlers(core, daemon, caller).table()
        | PairingHandlers(core, devices, entrance, mute).table()
        | KeptHandlers(core).table()
        | SystemHandlers(core, daemon).table()
        | BackupHandlers(core, caller).table()
        | SentenceHandlers(core, daemon, caller).table()
        | ToolHandlers(core, settings).table()
        | MuteHandlers(mute).table()
        | settings.table()
        | ModelHandlers(core, settings, daemon, caller).table()
        | SecretsHandlers(core, reload).table()
        | SetupHandlers(core).table()
    )
