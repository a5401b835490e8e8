"""Timers and lists on the page: what it shows is what the box has, and what it changes goes through the tools."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.page.conftest import Daemon, Phone, audit_of


@pytest.fixture
def phone(daemon: Daemon) -> Phone:
    return daemon.phone()


def timers(daemon: Daemon) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.client.call("timers.list")
    return found


def on_list(daemon: Daemon, name: str) -> list[tuple[str, bool]]:
    kept = {one["name"]: one["items"] for one in daemon.client.call("lists.list")}
    return [(item["text"], item["done"]) for item in kept.get(name, [])]


def test_a_timer_is_started_paused_and_stopped(daemon: Daemon, phone: Phone) -> None:
    answer = phone.send("/timers/add", kind="timer", hours="", minutes="12", seconds="", name="<b>tea</b>")
    assert answer.status_code == 303
    [timer] = [one for one in timers(daemon) if one["name"] == "<b>tea</b>"]
    assert 700 < timer["left_s"] <= 720
    text = phone.see("/timers")
    assert "&lt;b&gt;tea&lt;/b&gt;" in text
    assert "<b>tea" not in text
    assert float(re.findall(r'data-left-s="([0-9.]+)"', text)[0]) <= 720
    change = {"kind": "timer", "id": str(timer["id"])}
    assert phone.send("/timers/change", do="pause_timer", **change).status_code == 303
    assert [one["paused"] for one in timers(daemon) if one["id"] == timer["id"]] == [True]
    assert "paused" in phone.see("/timers")
    assert phone.send("/timers/change", do="resume_timer", **change).status_code == 303
    assert phone.send("/timers/change", do="stop", **change).status_code == 303
    assert timer["id"] not in [one["id"] for one in timers(daemon)]
    assert ("tools.call", "cancel_timer") in {(row["action"], row["target"]) for row in audit_of(daemon)}


@pytest.mark.parametrize(
    ("given", "at"), [("07:30", "07:30"), ("12:05", "12:05"), ("00:10", "00:10"), ("19:45", "19:45")]
)
def test_an_alarm_rings_at_the_time_that_a_browser_sends(daemon: Daemon, phone: Phone, given: str, at: str) -> None:
    assert phone.send("/timers/add", kind="alarm", time=given, day="tomorrow", name="up").status_code == 303
    [alarm] = [one for one in timers(daemon) if one["kind"] == "alarm"]
    assert alarm["rings_at"][11:16] == at
    assert phone.send("/timers/change", do="stop", kind="alarm", id=str(alarm["id"])).status_code == 303
    assert "alarm" not in [one["kind"] for one in timers(daemon)]


def test_a_reminder_comes_after_minutes_or_on_a_day(daemon: Daemon, phone: Phone) -> None:
    phone.send("/timers/add", kind="reminder", message="call mum", in_minutes="5", time="", day="")
    phone.send("/timers/add", kind="reminder", message="water plants", in_minutes="", time="18:00", day="monday")
    found = {one["message"]: one for one in timers(daemon)}
    assert found["call mum"]["left_s"] <= 300
    assert found["water plants"]["rings_at"][11:16] == "18:00"
    for one in found.values():
        phone.send("/timers/change", do="stop", kind="reminder", id=str(one["id"]))


@pytest.mark.parametrize(
    ("place", "form"),
    [
        ("/timers/add", {"kind": "timer", "minutes": "0"}),
        ("/timers/add", {"kind": "timer", "minutes": "-5"}),
        ("/timers/add", {"kind": "alarm", "time": "25:00"}),
        ("/timers/add", {"kind": "alarm", "time": "07:30", "day": "someday"}),
        ("/timers/add", {"kind": "egg"}),
        ("/timers/change", {"do": "stop", "kind": "timer", "id": "999"}),
        ("/timers/change", {"do": "set_volume", "id": "1"}),
        ("/lists/change", {"do": "clear_list", "list": "shopping"}),
        ("/lists/change", {"do": "add", "list": "shopping", "item": " "}),
        ("/lists/change", {"do": "remove", "list": "no such list", "item": "milk"}),
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(
    daemon: Daemon, phone: Phone, place: str, form: dict[str, str]
) -> None:
    before = timers(daemon), daemon.client.call("lists.list")
    answer = phone.send(place, **form)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert (timers(daemon), daemon.client.call("lists.list")) == before


def test_items_are_added_checked_off_had_again_and_removed(daemon: Daemon, phone: Phone) -> None:
    item = "<script>oats & honey</script>"
    change = {"list": "camping", "item": item}
    assert phone.send("/lists/change", do="add", **change).status_code == 303
    assert on_list(daemon, "camping") == [(item, False)]
    text = phone.see("/lists")
    assert "<script>oats" not in text
    assert "&lt;script&gt;oats &amp; honey" in text
    for do, then in (("check", [(item, True)]), ("again", [(item, False)]), ("remove", [])):
        assert phone.send("/lists/change", do=do, **change).status_code == 303
        assert on_list(daemon, "camping") == then


def test_nobody_else_sees_or_changes_them(daemon: Daemon, phone: Phone) -> None:
    result = daemon.client.call("tools.call", {"tool": "add_item", "arguments": {"item": "figs"}})
    assert result["ok"]
    guest = daemon.phone("guest")
    for place in ("/timers", "/lists"):
        assert guest.browser.get(place).status_code == 403
        assert daemon.browser().get(place).status_code == 401
    for text in (guest.see("/sentences"), guest.see("/")):
        assert 'id="listen"' not in text
    assert guest.send("/lists/change", do="remove", list="", item="figs").status_code == 403
    assert guest.send("/timers/add", kind="timer", minutes="12", name="a guest's").status_code == 403
    assert "a guest's" not in {one["name"] for one in timers(daemon)}
    assert phone.browser.post("/lists/change", data={"do": "remove", "list": "", "item": "figs"}).status_code == 403
    assert ("figs", False) in on_list(daemon, "shopping")
