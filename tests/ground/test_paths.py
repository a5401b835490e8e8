"""Where things live, as systemd's and XDG's variables say."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from agentbox import paths
from agentbox.config import Asr, Config, Control, Storage
from agentbox.errors import ExitCode, StorageError


def test_the_state_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.state_dir() == home / ".local" / "state" / "agentbox"
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert paths.state_dir() == Path("/xdg/agentbox")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert paths.state_dir() == home / ".local" / "state" / "agentbox", "XDG: a relative path is to be ignored"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/agentbox:/var/lib/other")
    assert paths.state_dir() == Path("/var/lib/agentbox"), "systemd separates several folders by colons"
    monkeypatch.setenv("AGENTBOX_STATE", "/srv/a:b")
    assert paths.state_dir() == Path("/srv/a:b"), "ours is one folder, colon or not"
    monkeypatch.setenv("AGENTBOX_STATE", "~/box")
    assert paths.state_dir() == home / "box"
    monkeypatch.setenv("AGENTBOX_STATE", "")
    assert paths.state_dir() == Path("/var/lib/agentbox")


def test_a_relative_state_folder_does_not_move_with_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTBOX_STATE", "box")
    assert paths.state_dir() == tmp_path / "box"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(StorageError) as caught:
        paths.state_dir()
    assert caught.value.code == "state_not_writable"
    assert caught.value.exit_code is ExitCode.STORAGE
    assert "AGENTBOX_STATE" in caught.value.todo


def test_what_is_in_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", "/state")
    assert paths.database(Config()) == Path("/state/agentbox.db")
    assert paths.models_dir(Config()) == Path("/state/models")
    assert paths.settings_file() == Path("/state/settings.yaml")
    chosen = Config(asr=Asr(models_dir="/models"), storage=Storage(path="/data/box.db"))
    assert paths.database(chosen) == Path("/data/box.db")
    assert paths.models_dir(chosen) == Path("/models")


def test_the_control_socket(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.access("/run/agentbox/control.sock", os.W_OK):
        assert paths.control_socket(Config()) == home / ".local" / "state" / "agentbox" / "control.sock"
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
        assert paths.control_socket(Config()) == Path("/run/user/1000/agentbox/control.sock")
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    assert paths.control_socket(Config()) == tmp_path / "control.sock", "a box of its own has a socket of its own"
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/agentbox:/run/other")
    assert paths.control_socket(Config()) == Path("/run/agentbox/control.sock")
    monkeypatch.setenv("AGENTBOX_SOCKET", "/tmp/box.sock")
    assert paths.control_socket(Config()) == Path("/tmp/box.sock")
    assert paths.control_socket(Config(control=Control(socket="/my.sock"))) == Path("/my.sock")


def test_prepare_makes_private_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert paths.prepare(folder) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o750)
    assert paths.prepare(folder) == folder, "a folder that is there is left as it is"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_prepare_says_why_a_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for impossible in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/agentbox")):
        with pytest.raises(StorageError) as caught:
            paths.prepare(impossible)
        assert caught.value.code == "state_not_writable"
        assert str(impossible) in caught.value.what


def test_a_socket_in_the_state_folder_can_be_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(paths.control_socket(Config())))
    assert paths.control_socket(Config()).is_socket()
