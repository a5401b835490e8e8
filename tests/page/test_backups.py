"""Backups and the reset, over the page and by command: with the real box, which begins anew by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO

import httpx
import pytest

from agentbox.errors import InputError
from tests.page.conftest import Daemon, Phone, audit_of, running, settings_of, until_anew


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "state") as daemon:
        yield daemon


def items(daemon: Daemon) -> list[str]:
    [shopping] = [one for one in daemon.client.call("lists.list") if one["name"] == "shopping"]
    return [item["text"] for item in shopping["items"]]


def add(daemon: Daemon, item: str) -> None:
    assert daemon.client.call("tools.call", {"tool": "add_item", "arguments": {"item": item}})["ok"]


def taken(phone: Phone) -> bytes:
    answer = phone.send("/system/backup")
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    assert len(answer.content) == int(answer.headers["content-length"])
    return answer.content


def send(phone: Phone, archive: bytes, **form: str) -> httpx.Response:
    """As a browser does: the form's key first, then the file."""
    fields = {"form_key": phone.form_key(), **form}
    return phone.browser.post("/system/restore", data=fields, files={"file": ("backup.zip", archive)})


def run(
    daemon: Daemon,
    *command: str,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | int = subprocess.PIPE,
    environ: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentbox", *command, "--config", str(daemon.config)],
        env={**os.environ, "AGENTBOX_STATE": str(daemon.state), **(environ or {})},
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_phone_takes_a_backup_and_brings_it_back(box: Daemon) -> None:
    phone = box.phone()
    (box.state / "secrets").mkdir(mode=0o700)
    (box.state / "secrets" / "weather").write_text("hunter2")
    (box.state / "secrets" / "weather").chmod(0o600)
    add(box, "quinces")
    archive = taken(phone)
    with zipfile.ZipFile(BytesIO(archive)) as packed:
        assert set(packed.namelist()) == {"manifest.json", "agentbox.db", "settings.yaml"}
    add(box, "medlars")
    assert items(box) == ["quinces", "medlars"]
    before = time.monotonic()
    assert "The backup is good." in send(phone, archive).text
    until_anew(box, before)
    assert items(box) == ["quinces"]
    again = box.browser(Cookie=phone.cookie)
    assert "backup_restored" in again.get("/system").text
    assert {row["action"] for row in audit_of(box)} >= {"backup.create", "restore.stage", "pair.redeem"}
    assert (box.state / "secrets" / "weather").read_text() == "hunter2"
    assert not (box.state / "restore.part").exists()


def test_what_is_no_backup_or_nobodys_form_changes_nothing(daemon: Daemon) -> None:
    phone, guest = daemon.phone(), daemon.phone("guest")
    good = taken(phone)
    before = daemon.client.call("status")["up_s"]
    for archive in (b"", b"no zip", good[:-30], good[: len(good) // 2]):
        answer = send(phone, archive)
        assert answer.status_code == 400, archive[:10]
        assert "no backup" in answer.text or "did not come whole" in answer.text
    assert send(phone, good, form_key="wrong").status_code == 403
    assert send(guest, good).status_code == 403
    assert guest.send("/system/backup").status_code == 403
    files = {"file": ("backup.zip", good)}
    assert phone.browser.post("/system/restore", files=files).status_code == 403
    assert phone.browser.post("/system/restore", data={"form_key": phone.form_key()}).status_code == 400
    assert daemon.browser().post("/system/restore", files=files).status_code == 401
    assert phone.send("/system/reset", name="not its name").status_code == 400
    assert not (daemon.state / "restore").exists()
    assert not (daemon.state / "reset").exists()
    assert daemon.client.call("status")["up_s"] > before


def test_only_the_restore_takes_large_bodies(daemon: Daemon) -> None:
    phone = daemon.phone()
    large = b"x" * (3 << 20)
    assert send(phone, large).status_code == 400
    assert phone.browser.post("/lists/change", content=large).status_code == 413


def test_the_page_gets_no_secrets(daemon: Daemon) -> None:
    token = daemon.client.call("devices.add", {"name": "x", "scopes": ["admin"]})["token"]
    page = type(daemon.client)(daemon.state / "page.sock")
    with pytest.raises(Exception, match="secrets_stay"):
        next(page.stream("backup.create", {"secrets": True, "token": token, "address": ""}))


def test_commands_back_up_restore_and_reset_with_and_without_a_daemon(box: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "backup.zip"
    (box.state / "secrets").mkdir(mode=0o700)
    (box.state / "secrets" / "weather").write_text("hunter2")
    (box.state / "secrets" / "weather").chmod(0o600)
    add(box, "quinces")
    assert run(box, "backup", str(file), "--with-secrets").returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as packed:
        assert packed.read("secrets/weather") == b"hunter2"
    add(box, "medlars")
    before = time.monotonic()
    assert "is restored" in run(box, "restore", str(file), "--yes").stdout
    until_anew(box, before)
    assert items(box) == ["quinces"]
    box.stop()
    refused = run(box, "factory-reset")
    assert refused.returncode == 2
    assert (box.state / "agentbox.db").exists()
    assert run(box, "factory-reset", "--yes").returncode == 0
    assert not (box.state / "agentbox.db").exists()
    assert not (box.state / "secrets").exists()
    with file.open("rb") as source:
        assert run(box, "restore", "-", stdin=source).returncode == 2
        assert run(box, "restore", "-", "--yes", stdin=source).returncode == 0
    piped = tmp_path / "piped.zip"
    with piped.open("wb") as out:
        assert " MB" in run(box, "backup", "-", "--with-secrets", stdout=out).stderr
    with zipfile.ZipFile(piped) as packed:
        assert packed.read("secrets/weather") == b"hunter2"
    assert (box.state / "secrets" / "weather").read_text() == "hunter2"
    box.start()
    assert items(box) == ["quinces"]
    assert box.client.call("devices.list") == []


def test_a_reset_by_command_needs_no_settings_of_the_boxs(box: Daemon, tmp_path: Path) -> None:
    """As root does it for a service: with a state folder of its own, where the name that the page gave is not known."""
    box.client.call("config.set", {"key": "page.name", "value": "pantry"})
    add(box, "quinces")
    before = time.monotonic()
    own = {"AGENTBOX_STATE": str(tmp_path / "own"), "AGENTBOX_SOCKET": str(box.state / "control.sock")}
    done = run(box, "factory-reset", "--yes", environ=own)
    assert (done.returncode, done.stderr) == (0, "")
    until_anew(box, before)
    assert "quinces" not in str(box.client.call("lists.list"))
    with pytest.raises(InputError, match="reset_not_confirmed"):
        box.client.call("factory.reset", {"name": "not its name"})


def test_the_page_must_name_the_box_that_it_resets(daemon: Daemon) -> None:
    token = daemon.client.call("devices.add", {"name": "x", "scopes": ["admin"]})["token"]
    page = type(daemon.client)(daemon.state / "page.sock")
    with pytest.raises(InputError, match="bad_parameter"):
        page.call("factory.reset", {"token": token, "address": ""})
    assert not (daemon.state / "reset").exists()


def test_a_reset_by_the_page_leaves_a_new_box(box: Daemon) -> None:
    phone = box.phone()
    add(box, "quinces")
    name = box.client.call("system.show")["name"]
    before = time.monotonic()
    assert "Everything is being deleted" in phone.send("/system/reset", name=name).text
    until_anew(box, before)
    assert items(box) == []
    assert [row["action"] for row in audit_of(box)] == ["pair.start"]
    assert settings_of(box) == {"page": {"lan": True}}  # by the pairing that found the port
    stranger = box.browser(Cookie=phone.cookie)
    assert stranger.get("/system").status_code == 401
    assert "quinces" not in str(box.client.call("transcripts.list", {"limit": 10}))
