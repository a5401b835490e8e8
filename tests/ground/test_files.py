"""Files that are replaced whole, and the settings that several set at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentbox import choices
from agentbox.errors import ConfigError
from agentbox.files import replace_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def test_the_new_one_is_on_the_disk_before_it_takes_the_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []

    def noted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*given: Any) -> Any:
            did.append(name)
            return work(*given)

        return noting

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(Path, "replace", noted("replace", Path.replace))
    file = folder / "settings.yaml"
    choices.remember("persona.name", "Ann", file)
    assert did == ["fsync", "replace", "fsync"]  # and the folder
    assert file.stat().st_mode & 0o777 == 0o600
    replace_file(file, b"x", 0o644)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"x", 0o644)
    assert list(folder.iterdir()) == [file]


def test_what_cannot_be_written_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "settings.yaml"
    choices.remember("persona.name", "Ann", file)
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError) as caught:
        choices.remember("persona.name", "Bob", file)
    assert caught.value.code == "config_unwritable"
    assert (file.read_bytes(), list(folder.iterdir())) == (before, [file])


def test_what_a_loss_of_power_left_goes_after_a_day(folder: Path) -> None:
    old, new, other = (folder / name for name in (".a.1f.new", ".a.2f.new", "b.new"))
    for left in (old, new, other):
        left.write_text("half")
    for left in (old, other):
        os.utime(left, (0, 0))
    replace_file(folder / "a", b"")
    assert sorted(file.name for file in folder.iterdir()) == [".a.2f.new", "a", "b.new"]


def test_of_settings_made_at_once_none_is_lost(folder: Path) -> None:
    file, together = folder / "settings.yaml", threading.Barrier(8)

    def set_some(number: int) -> None:
        together.wait()
        for key in range(10):
            choices.remember(f"tools.policy.t{number}.k{key}", "deny", file)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(set_some, range(8)))
    kept = yaml.safe_load(file.read_text())["tools"]["policy"]
    assert {name: len(keys) for name, keys in kept.items()} == {f"t{number}": 10 for number in range(8)}


def test_what_is_taken_back_leaves_what_others_set_since(folder: Path) -> None:
    file = folder / "settings.yaml"
    undo = choices.remember_all({"persona.name": "Ann", "speech.pace": 2.0}, file)
    undo()
    assert not file.exists()
    choices.remember("speech.pace", 1.5, file)
    before = file.read_bytes()
    choices.remember_all({"speech.pace": 2.0}, file)()
    assert file.read_bytes() == before
    undo = choices.remember_all({"persona.name": "Ann", "speech.pace": 2.0, "page.lan": True}, file)
    choices.remember_all({"cloud.use": "local", "page.lan": False}, file)
    undo()
    left = {"speech": {"pace": 1.5}, "persona": {}, "page": {"lan": False}, "cloud": {"use": "local"}}
    assert yaml.safe_load(file.read_text()) == left
