"""Where things live on disk: one place that knows systemd's and XDG's environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from agentbox.config import Config
from agentbox.errors import StorageError


def state_dir() -> Path:
    """The folder that holds what must outlive a restart: database, models, settings.

    `$AGENTBOX_STATE`, else systemd's `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/agentbox` (by default
    `~/.local/state/agentbox`). Raises `StorageError` `state_not_writable` for a user without a home.
    """
    if value := os.environ.get("AGENTBOX_STATE"):
        return Path(os.path.abspath(os.path.expanduser(value)))
    if value := os.environ.get("STATE_DIRECTORY"):
        return Path(value.split(":")[0])
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():  # the XDG specification: ignore a relative one
        base = Path(os.path.expanduser("~/.local/state"))
    if not base.is_absolute():
        raise StorageError(
            "state_not_writable", "This user has no home folder.", "Set AGENTBOX_STATE to a folder for agentbox."
        )
    return base / "agentbox"


def prepare(folder: Path) -> Path:
    """Make `folder` (0700) when it is not there. Raises `StorageError` `state_not_writable`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            "state_not_writable",
            f"The folder {folder} cannot be made: {error.strerror}.",
            "Give this user write access to it, or set AGENTBOX_STATE to another folder.",
        ) from error
    return folder


def database(config: Config) -> Path:
    return Path(config.storage.path).expanduser() if config.storage.path else state_dir() / "agentbox.db"


def models_dir(config: Config) -> Path:
    return Path(config.asr.models_dir).expanduser() if config.asr.models_dir else state_dir() / "models"


def cache_dir() -> Path:
    """What can be made again, and takes a while: sentences ready to be listened for."""
    return state_dir() / "cache"


def settings_file() -> Path:
    """Settings changed by page or voice; they override the config file key by key."""
    return state_dir() / "settings.yaml"


def mute_file() -> Path:
    """There while the owner has muted the box."""
    return state_dir() / "muted.json"


def measured_file() -> Path:
    """What speech models cost on this machine."""
    return state_dir() / "measured.json"


def set_up_file() -> Path:
    """There once the owner has been led through the set-up, or skipped it."""
    return state_dir() / "set-up"


def sentences_dir() -> Path:
    """The owner's sentences that were written on the page."""
    return state_dir() / "sentences"


def secrets_dir() -> Path:
    """Secrets that were set on the page, a file each."""
    return state_dir() / "secrets"


def page_dir() -> Path:
    """The page's certificate and its key."""
    return state_dir() / "page"


def page_sentences() -> Path:
    """Sentences that were written on the page; they are read after those of the configuration."""
    return state_dir() / "sentences" / "page.yaml"


def page_socket(config: Config) -> Path:
    """Where the page asks the daemon: there nothing is answered without a device's token."""
    return control_socket(config).with_name("page.sock")


def control_socket(config: Config) -> Path:
    """The daemon's Unix socket: `control.socket`, `$AGENTBOX_SOCKET`, systemd's `$RUNTIME_DIRECTORY`,
    a socket of the installed service when it is there, else `$XDG_RUNTIME_DIR`, else the state directory."""
    if config.control.socket:
        return Path(config.control.socket).expanduser()
    if value := os.environ.get("AGENTBOX_SOCKET"):
        return Path(value)
    if value := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(value.split(":")[0]) / "control.sock"
    if os.environ.get("AGENTBOX_STATE"):
        return state_dir() / "control.sock"
    service = Path("/run/agentbox/control.sock")
    if os.access(service, os.W_OK):
        return service
    if value := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(value) / "agentbox" / "control.sock"
    return state_dir() / "control.sock"
