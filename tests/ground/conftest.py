"""A home of its own for every test here: no file or variable of the machine reaches it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder; `AGENTBOX_*`, XDG's and systemd's variables are unset."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in os.environ:
        if name.startswith(("AGENTBOX_", "XDG_")):
            monkeypatch.delenv(name)
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    return folder
