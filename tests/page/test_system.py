"""The system page: what it tells is true, and the box comes back from a restart with its phones."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from agentbox import __version__
from agentbox.service import LastRecords
from tests.page.conftest import Daemon, Phone, audit_of, running, until_anew


@pytest.fixture
def phone(daemon: Daemon) -> Phone:
    return daemon.phone()


def test_it_tells_what_the_box_is_and_has(daemon: Daemon, phone: Phone) -> None:
    text = phone.see("/system")
    assert __version__ in text
    assert str(daemon.state) in text
    before = time.time()
    found = daemon.client.call("system.show")
    assert found["clock_is_set"] is True
    assert before <= found["at"] <= time.time()
    assert found["free_bytes"] > 0
    assert found["folder_bytes"] >= (daemon.state / "agentbox.db").stat().st_size


def test_the_checks_are_those_of_doctor(daemon: Daemon, phone: Phone) -> None:
    found = {one["check"]: one["state"] for one in daemon.client.call("doctor")}
    assert (found["daemon"], found["database"], found["model"], found["clock"]) == ("ok",) * 4
    assert set(found) == {
        "daemon", "tools", "microphone", "speaker", "voice", "echo", "model", "database", "disk", "clock",
    }  # fmt: skip
    assert '<th scope="row">database</th><td>well</td>' in phone.see("/system?checks=1")


def test_the_log_is_shown_and_holds_no_words(daemon: Daemon, phone: Phone) -> None:
    phone.send("/talk", text="add quinces to my shopping list")
    text = phone.see("/system")
    assert "quinces" not in text
    lines = daemon.client.call("log.list", {"limit": 500})
    assert [line["at"] for line in lines] == sorted((line["at"] for line in lines), reverse=True)


def test_the_log_in_memory_is_escaped_and_short() -> None:
    with LastRecords(3) as last:
        for number in range(5):
            logging.getLogger("agentbox.test").warning("line %d of <%s>", number, "b")
        assert [line["message"] for line in last.lines(2)] == ["line 4 of <b>", "line 3 of <b>"]
        assert [line["level"] for line in last.lines(10)] == ["warning"] * 3
    logging.getLogger("agentbox.test").warning("after")
    assert "after" not in [line["message"] for line in last.lines(10)]


def test_only_who_may_sees_it_or_restarts(daemon: Daemon) -> None:
    guest, owner = daemon.phone("guest"), daemon.phone()
    before = time.monotonic()
    for place in ("/system", "/system?checks=1"):
        assert guest.browser.get(place).status_code == 403
        assert daemon.browser().get(place).status_code == 401
    assert guest.send("/system/restart").status_code == 403
    assert owner.browser.post("/system/restart", data={}).status_code == 403
    seen = {row["outcome"] for row in audit_of(daemon) if row["action"] == "restart"}
    assert seen == {"not_permitted"}, "a box that restarts tells so before it ends"
    asked = time.monotonic()
    assert daemon.client.call("status")["up_s"] >= asked - before


def test_it_restarts_in_the_foreground_and_phones_stay_paired(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        phone = daemon.phone()
        before = time.monotonic()
        assert 'http-equiv="refresh"' in phone.send("/system/restart").text
        until_anew(daemon, before)
        assert daemon.process is not None
        assert daemon.process.poll() is None
        again = daemon.browser(Cookie=phone.cookie)
        assert again.get("/system").status_code == 200
        assert ("restart", "ok") in {(row["action"], row["outcome"]) for row in audit_of(daemon)}


def test_under_a_service_manager_it_ends_and_says_that_it_wants_to_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with running(tmp_path) as daemon:
        process = daemon.process
        assert process is not None
        daemon.client.call("restart")
        assert process.wait(30) == 75
        daemon.process = None
    unit = (Path(__file__).parents[2] / "systemd" / "agentbox.service").read_text()
    assert "RestartForceExitStatus=75" in unit
