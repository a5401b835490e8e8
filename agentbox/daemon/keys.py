"""Where the owner of a box keeps secrets."""

from __future__ import annotations

from pathlib import Path

from agentbox import paths
from agentbox.config import Config
from agentbox.credentials import Credentials


def credentials_of(config: Config) -> Credentials:
    """The secrets of a box with this configuration."""
    file = Path(config.storage.secrets_file) if config.storage.secrets_file else None
    return Credentials(paths.secrets_dir(), file)
