"""Backups: what goes in comes out, what somebody else packed changes nothing, and a restore survives being cut off."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from agentbox import paths, settings
from agentbox.cli import main, system
from agentbox.config import Config
from agentbox.control.client import Client
from agentbox.daemon import anew, backup
from agentbox.daemon.local import LocalBox
from agentbox.errors import AgentboxError, ConfigError, InputError, StorageError
from agentbox.page.backups import STAGE_S
from agentbox.settings import Loaded
from agentbox.storage.journal import Journal

SENTENCES = "language: en\nintents: {}\n"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box's folder with something in each place."""
    state = tmp_path / "state"
    monkeypatch.setenv("AGENTBOX_STATE", str(state))
    monkeypatch.setenv("AGENTBOX_CONFIG", str(tmp_path / "config.yaml"))
    (tmp_path / "config.yaml").write_text("{}")
    fill(state, "old")
    return state


def fill(state: Path, mark: str) -> None:
    journal = Journal.open(state / "agentbox.db")
    journal.store("lists").put("shopping", [{"text": mark, "done": False}])
    journal.store("paired_devices").put(f"d-{mark}", {"token_hash": f"hash-{mark}"})
    journal.store("paired_devices").delete("d-old" if mark == "new" else "d-new")
    journal.close()
    (state / "settings.yaml").write_text(yaml.safe_dump({"persona": {"name": mark}, "page": {"lan": mark == "new"}}))
    for folder, name, text in (("sentences", "mine.yaml", SENTENCES + f"# {mark}"), ("secrets", "weather", mark)):
        (state / folder).mkdir(exist_ok=True)
        (state / folder / name).write_text(text)
        (state / folder / name).chmod(0o600)


def seen(state: Path) -> dict[str, Any]:
    """What a box that starts now would find."""
    with closing(sqlite3.connect(state / "agentbox.db")) as database:
        rows = database.execute("SELECT namespace, key, value FROM tool_store").fetchall()
    return {
        "lists": [json.loads(value)[0]["text"] for namespace, _, value in rows if namespace == "lists"],
        "devices": [key for namespace, key, _ in rows if namespace == "paired_devices"],
        "name": settings.load().config.persona.name,
        "lan": settings.load().config.page.lan,
        "sentences": (state / "sentences" / "mine.yaml").read_text()[-3:],
        "secret": (state / "secrets" / "weather").read_text(),
    }


def made(folder: Path, *, secrets: bool = False) -> Path:
    folder.mkdir()
    return backup.make(Config(), folder, secrets=secrets)


OLD = {"lists": ["old"], "devices": ["d-new"], "name": "old", "lan": True, "sentences": "old", "secret": "new"}
"""After a restore: of the backup, but devices, reachability and (unless they are in it) secrets."""


def test_what_goes_in_comes_out_and_devices_stay(state: Path, tmp_path: Path) -> None:
    archive = made(tmp_path / "made")
    assert archive.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(archive) as packed:
        assert set(packed.namelist()) == {"manifest.json", "agentbox.db", "settings.yaml", "sentences/mine.yaml"}
        assert not [name for name in packed.namelist() if b"hash-old" in packed.read(name)]
    fill(state, "new")
    before = seen(state)
    plan = anew.stage(archive, settings.load(), by_page=False)
    assert plan.left == ["page.lan"]
    assert seen(state) == before
    loaded, [notice] = anew.begin(settings.load())
    assert (loaded.config.persona.name, notice.code) == ("old", "backup_restored")
    assert seen(state) == OLD
    [aside] = state.glob("agentbox.db.before-restore-*")
    assert b"new" in aside.read_bytes()
    assert anew.begin(loaded) == (loaded, [])


def test_secrets_come_along_only_where_they_were_asked_for(state: Path, tmp_path: Path) -> None:
    archive = made(tmp_path / "made", secrets=True)
    fill(state, "new")
    anew.stage(archive, settings.load(), by_page=False)
    anew.begin(settings.load())
    assert seen(state) == OLD | {"secret": "old"}
    assert (state / "secrets" / "weather").stat().st_mode & 0o777 == 0o600


class CutError(BaseException):
    """The power is gone."""


@contextmanager
def power_for(steps: int) -> Iterator[None]:
    """Every change of a file's name is a step."""
    left = steps

    def limited(change: Callable[..., Any]) -> Callable[..., Any]:
        def work(*args: Any, **more: Any) -> Any:
            nonlocal left
            if left == 0:
                raise CutError
            left -= 1
            return change(*args, **more)

        return work

    with pytest.MonkeyPatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(Path, name, limited(getattr(Path, name)))
        patch.setattr(shutil, "rmtree", limited(shutil.rmtree))
        yield


@pytest.mark.parametrize("steps", range(9))
def test_a_restore_that_is_cut_off_is_finished_by_the_next_start(state: Path, tmp_path: Path, steps: int) -> None:
    archive = made(tmp_path / "made")
    fill(state, "new")
    anew.stage(archive, settings.load(), by_page=False)
    loaded = settings.load()
    cut = False
    try:
        with power_for(steps + 1):  # the first is the tidying up before it
            anew.begin(loaded)
    except CutError:
        cut = True
    assert cut == (steps < 7)
    anew.begin(settings.load())
    assert seen(state) == OLD
    assert not (state / "restore").exists()


def test_the_page_restores_no_setting_that_runs_or_reaches_something(state: Path, tmp_path: Path) -> None:
    evil = {
        "persona": {"name": "old", "manner": "warm"},
        "tools": {"command": {"enabled": True, "commands": [{"name": "x", "argv": ["sh"]}]}, "plugins_dir": "/tmp/x"},
        "speech": {"piper_program": "/tmp/evil", "pace": 1.5},
        "brain": {"kind": "openai", "url": "https://evil.example"},
        "page": {"enabled": False, "guests_read": True},
    }
    (state / "settings.yaml").write_text(yaml.safe_dump(evil))
    archive = made(tmp_path / "made")
    fill(state, "new")
    by_page = anew.stage(archive, settings.load(), by_page=True)
    assert by_page.left == [
        "brain.kind",
        "brain.url",
        "page.enabled",
        "speech.piper_program",
        "tools.command",
        "tools.plugins_dir",
    ]
    config = anew.begin(settings.load())[0].config
    assert (config.persona.manner, config.speech.pace, config.page.guests_read) == ("warm", 1.5, True)
    assert not config.tools.command.enabled
    assert (config.brain.kind, config.speech.piper_program, config.page.enabled) == ("none", "piper", True)
    anew.stage(archive, settings.load(), by_page=False)
    assert anew.begin(settings.load())[0].config.tools.command.enabled


def packed(members: dict[str, bytes], *, attr: dict[str, int] | None = None, manifest: Any = None) -> bytes:
    """An archive as `backup.make` would have made it, of these members."""
    files = {name: {"bytes": len(data), "sha256": sha256(data).hexdigest()} for name, data in members.items()}
    told = {"kind": "agentbox backup", "format": 1, "agentbox": "0", "made_at": 1.0, "name": "x", "files": files}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(told | (manifest or {})))
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (attr or {}).get(name, 0o100600) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda db: b"", "backup_invalid"),
        (lambda db: b"PK" * 40, "backup_invalid"),
        (lambda db: packed({"settings.yaml": b"{}"}), "backup_invalid"),
        (lambda db: packed({"agentbox.db": b"SQLite format 3\0" + b"x" * 5000}), "backup_damaged"),
        (lambda db: packed({"agentbox.db": db, "../evil": b"x"}), "backup_invalid"),
        (lambda db: packed({"agentbox.db": db, "/etc/evil": b"x"}), "backup_invalid"),
        (lambda db: packed({"agentbox.db": db, "sentences/../../evil.yaml": b"x"}), "backup_invalid"),
        (lambda db: packed({"agentbox.db": db, "secrets/.evil": b"x"}), "backup_invalid"),
        (lambda db: packed({"agentbox.db": db, "models/evil": b"x"}), "backup_invalid"),
        (
            lambda db: packed({"agentbox.db": db, "secrets/a": b"/etc/shadow"}, attr={"secrets/a": 0o120777}),
            "backup_invalid",
        ),
        (lambda db: packed({"agentbox.db": db, "settings.yaml": b"#" * (5 << 20)}), "backup_invalid"),
        (lambda db: packed({"agentbox.db": db} | {f"secrets/s{n}": b"" for n in range(1500)}), "backup_invalid"),
        (lambda db: packed({"agentbox.db": db}, manifest={"format": 2}), "backup_newer"),
        (lambda db: packed({"agentbox.db": db}, manifest={"kind": "else"}), "backup_invalid"),
        (lambda db: packed({"agentbox.db": db}, manifest={"files": {}}), "backup_invalid"),
        (
            lambda db: packed({"agentbox.db": db}, manifest={"files": {"agentbox.db": {"bytes": 9, "sha256": ""}}}),
            "backup_damaged",
        ),
        (lambda db: packed({"agentbox.db": db})[:-300] + packed({"agentbox.db": db})[-22:], "backup_damaged"),
        (lambda db: packed({"agentbox.db": db}) + b"trailer", "backup_invalid"),
        (lambda db: packed({"agentbox.db": db, "settings.yaml": b"no: [yaml"}), "config_syntax"),
        (lambda db: packed({"agentbox.db": db, "settings.yaml": b"later: {key: 1}"}), "config_invalid"),
    ],
)
def test_what_somebody_else_packed_changes_nothing(
    state: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], code: str
) -> None:
    with zipfile.ZipFile(made(tmp_path / "made")) as archive:
        database = archive.read("agentbox.db")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    evil = tmp_path / "evil.zip"
    evil.write_bytes(spoil(database))
    with pytest.raises((InputError, ConfigError)) as caught:
        anew.stage(evil, settings.load(), by_page=False)
    assert caught.value.code == code
    evil.unlink()
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert anew.begin(settings.load())[1] == []


def test_a_good_one_packed_that_way_is_taken(state: Path, tmp_path: Path) -> None:
    """Or the refusals above would prove nothing."""
    with zipfile.ZipFile(made(tmp_path / "made")) as archive:
        database = archive.read("agentbox.db")
    good = tmp_path / "good.zip"
    good.write_bytes(packed({"agentbox.db": database, "secrets/weather": b"old", "sentences/mine.yaml": b"old"}))
    fill(state, "new")
    anew.stage(good, settings.load(), by_page=False)
    anew.begin(settings.load())
    assert seen(state) | {"name": "agentbox"} == OLD | {"secret": "old", "name": "agentbox"}


def test_a_bomb_is_refused_before_it_is_unpacked(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / "bomb.zip"
    bomb.write_bytes(packed({"agentbox.db": b"\0" * (64 << 20)}))
    assert bomb.stat().st_size < 1 << 20
    monkeypatch.setattr(backup, "MOST_JOURNAL_BYTES", 32 << 20)
    with pytest.raises(InputError) as caught:
        anew.stage(bomb, settings.load(), by_page=True)
    assert caught.value.code == "backup_invalid"


def test_without_room_nothing_is_begun(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = made(tmp_path / "made")
    monkeypatch.setattr(backup, "ROOM_BYTES", 1 << 60)
    (tmp_path / "more").mkdir()
    for work in (
        lambda: backup.make(Config(), tmp_path / "more", secrets=False),
        lambda: anew.stage(archive, settings.load(), by_page=False),
    ):
        with pytest.raises(StorageError) as caught:
            work()
        assert caught.value.code == "disk_full"
    assert list((tmp_path / "more").iterdir()) == []


def test_nothing_larger_is_given_than_is_taken_back(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = made(tmp_path / "made")
    for name, most, fits in (("fits", archive.stat().st_size + 10, True), ("not", 100, False)):
        monkeypatch.setattr(backup, "MOST_ARCHIVE_BYTES", most)
        with nullcontext() if fits else pytest.raises(StorageError, match="too large"):
            made(tmp_path / name)


def test_the_command_lays_a_backup_down_in_one_piece_where_no_daemon_runs(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = made(tmp_path / "made")
    fill(state, "new")
    monkeypatch.setattr(LocalBox, "call", lambda *_: pytest.fail("the whole box was opened"))
    result = CliRunner().invoke(main, ["restore", str(archive), "--yes"], catch_exceptions=False)
    assert "page.lan stays as it is" in result.output
    assert "is restored" in result.output
    assert seen(state) == OLD
    assert archive.exists()


def test_the_command_waits_for_a_large_backup_as_long_as_the_page(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = made(tmp_path / "made")
    waited: dict[str, float] = {}

    class Patient(Client):
        def call(self, method: str, params: dict[str, Any] | None = None, timeout_s: float = 0.0) -> Any:
            waited[method] = timeout_s
            return {"bytes": 0, "made_at": 0.0, "left": []}

    monkeypatch.setattr(system, "connect", lambda _: Patient(tmp_path / "socket"))
    CliRunner().invoke(main, ["restore", str(archive), "--yes"], catch_exceptions=False)
    assert waited == {"restore.put": 0.0, "restore.stage": STAGE_S, "restart": 0.0}


def test_a_journal_in_use_is_not_replaced(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anew, "_WAIT_S", 0.2)
    anew.stage(made(tmp_path / "made"), settings.load(), by_page=False)
    other = Journal.open(state / "agentbox.db")
    with pytest.raises(AgentboxError) as caught:
        anew.begin(settings.load())
    assert caught.value.code == "journal_in_use"
    other.close()
    assert anew.begin(settings.load())[1][0].code == "backup_restored"


class FailingDisk:
    """Changes of files' names and deletions work so often, and then fail once."""

    def __init__(self, works_for: int) -> None:
        self.left = works_for
        self.failed = False

    def __enter__(self) -> FailingDisk:
        self._patch = pytest.MonkeyPatch()
        for name in ("rename", "replace", "unlink"):
            self._patch.setattr(Path, name, self._limited(getattr(Path, name)))
        self._patch.setattr(shutil, "rmtree", self._limited(shutil.rmtree))
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    def _limited(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def work(*args: Any, **more: Any) -> Any:
            # One that fails once only lets what follows be put back.
            if self.left == 0 and not self.failed and not more.get("ignore_errors"):
                self.failed = True
                raise OSError(28, "No space left on device")
            self.left = max(0, self.left - 1)
            return change(*args, **more)

        return work


def test_a_disk_that_cannot_be_written_starts_all_the_same(state: Path) -> None:
    anew.upload_file().write_text("left half sent")
    loaded = settings.load()
    with pytest.MonkeyPatch.context() as patch:

        def read_only(*_: Any, **__: Any) -> None:
            raise OSError(30, "Read-only file system")

        patch.setattr(Path, "unlink", read_only)
        assert anew.begin(loaded) == (loaded, [])
        assert anew.begin_or_tell(loaded) == (loaded, [])
    assert anew.begin(loaded) == (loaded, [])
    assert not anew.upload_file().exists()


@pytest.mark.parametrize("other_disk", [False, True])
@pytest.mark.parametrize("steps", range(2, 12))  # the first is the tidying up before it
def test_a_restore_that_fails_is_told_and_done_by_the_next_start(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, other_disk: bool
) -> None:
    archive = made(tmp_path / "made")
    fill(state, "new")
    (state / "agentbox.db-wal").write_bytes(b"")
    anew.stage(archive, settings.load(), by_page=False)
    if other_disk:
        monkeypatch.setattr(anew, "_is_beside", lambda *_: False)
    with FailingDisk(steps) as disk:
        _, [notice] = anew.begin_or_tell(settings.load())
    if disk.failed:
        assert (notice.code, notice.level) == ("disk_failed", "error")
        assert "backup was to be restored" in notice.what
        assert seen(state)["devices"] == ["d-new"]  # nothing is lost meanwhile
        journal = Journal.open(state / "agentbox.db")  # the box goes on with it
        journal.store("paired_devices").put("d-later", {})
        journal.close()
        _, [notice] = anew.begin_or_tell(settings.load())
    assert notice.code == "backup_restored"
    found = seen(state)
    assert found | {"devices": sorted(found["devices"])[-1:]} == OLD
    assert ("d-later" in found["devices"]) == disk.failed
    assert not (state / "restore").exists()


def test_a_reset_that_fails_is_told_and_tried_again(state: Path) -> None:
    anew.want_reset()
    with FailingDisk(2):
        loaded, [notice] = anew.begin_or_tell(settings.load())
    assert (notice.code, notice.level) == ("disk_failed", "error")
    assert "was to be deleted" in notice.what
    with FailingDisk(2), pytest.raises(StorageError):  # a command says so too
        anew.begin(loaded)
    assert anew.begin_or_tell(loaded)[1][0].code == "reset_done"
    assert not (state / "secrets").exists()


def test_a_reset_deletes_all_of_the_owners_and_nothing_else(state: Path, tmp_path: Path) -> None:
    archive = made(tmp_path / "made")
    for name in ("models/moonshine/model.onnx", "cache/x", "page/certificate.pem", "backups/agentbox-1.db"):
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_text("x")
    (state / "muted.json").write_text("{}")
    (state / "agentbox.db.corrupt-20260101T000000").write_text("x")
    anew.stage(archive, settings.load(), by_page=False)
    anew.begin(settings.load())  # leaves files aside
    anew.stage(archive, settings.load(), by_page=False)  # waits
    anew.want_reset()
    loaded, [notice] = anew.begin(settings.load())
    assert notice.code == "reset_done"
    left = {str(file.relative_to(state)) for file in state.rglob("*") if file.is_file()}
    assert left == {"models/moonshine/model.onnx", "agentbox.db-lock"}
    assert loaded.settings_file is None
    assert (tmp_path / "config.yaml").exists()
    assert paths.state_dir() == state
    assert isinstance(loaded, Loaded)
