"""Paired devices: known by their tokens, which change, and let out at once when they are revoked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.daemon.paired import open_devices
from agentbox.errors import InputError
from agentbox.pairing.devices import (
    GRACE_S,
    IDLE_S,
    MOST_DEVICES,
    MOST_NAME,
    OFFER_AGAIN_S,
    ROTATE_S,
    Device,
    Devices,
    named,
)
from agentbox.storage.journal import Journal

NOW = 1_800_000_000.0


class Kept:
    """A store in memory; the one on disk is tested in tests/storage."""

    def __init__(self) -> None:
        self.rows: dict[str, Device] = {}

    def all(self) -> Iterable[Device]:
        return list(self.rows.values())

    def put(self, device: Device) -> None:
        self.rows[device.id] = device

    def delete(self, device_id: str) -> None:
        del self.rows[device_id]


def test_a_device_is_known_by_its_token_after_a_restart() -> None:
    kept = Kept()
    device, token = Devices(kept).add("Ann's phone", "owner", NOW, address="192.168.1.20")
    entered = Devices(kept).enter(token, NOW + 10)
    assert entered is not None
    assert entered.device.id == device.id
    assert "admin" in entered.device.scopes


def test_the_token_is_kept_nowhere() -> None:
    kept = Kept()
    _, token = Devices(kept).add("phone", "owner", NOW)
    assert token not in repr(kept.rows)


@given(st.text(max_size=100))
def test_nobody_else_is_known(token: str) -> None:
    devices = Devices(Kept())
    devices.add("phone", "owner", NOW)
    assert devices.enter(token, NOW) is None


def test_a_week_old_token_is_replaced_and_the_old_one_dies() -> None:
    kept = Kept()
    devices = Devices(kept)
    _, old = devices.add("phone", "owner", NOW)
    then = NOW + ROTATE_S + 1
    first = devices.enter(old, then, rotates=True)
    assert first is not None
    fresh = first.fresh_token
    assert fresh
    second = devices.enter(old, then + 1, rotates=True)
    assert second is not None
    assert not second.fresh_token  # one is under way
    assert devices.enter(fresh, then + 2) is not None
    assert devices.enter(old, then + GRACE_S) is not None  # a request that was on its way
    assert devices.enter(old, then + 3 + GRACE_S) is None
    assert Devices(kept).enter(fresh, then + 3 + GRACE_S) is not None


def test_a_fresh_token_that_got_lost_locks_nobody_out() -> None:
    devices = Devices(Kept())
    _, old = devices.add("phone", "owner", NOW)
    then = NOW + ROTATE_S + 1
    lost = devices.enter(old, then, rotates=True)
    assert lost is not None
    again = devices.enter(old, then + OFFER_AGAIN_S + 1, rotates=True)
    assert again is not None
    assert again.fresh_token not in ("", lost.fresh_token)
    assert devices.enter(lost.fresh_token, then + OFFER_AGAIN_S + 2) is None
    assert devices.enter(again.fresh_token, then + OFFER_AGAIN_S + 2) is not None


def test_a_programs_token_stays_as_it_is() -> None:
    devices = Devices(Kept())
    _, token = devices.add("cron", "script", NOW, scopes=("state", "talk"))
    entered = devices.enter(token, NOW + ROTATE_S + 1, rotates=True)
    assert entered is not None
    assert entered.fresh_token == ""
    assert entered.device.scopes == ("state", "talk")


def test_a_phone_not_seen_for_half_a_year_pairs_anew() -> None:
    devices = Devices(Kept())
    _, token = devices.add("phone", "owner", NOW)
    assert devices.enter(token, NOW + IDLE_S - 1) is not None
    assert devices.enter(token, NOW + 2 * IDLE_S) is None


@pytest.mark.parametrize("jump_to", [0.0, 86_400.0, NOW - IDLE_S])
def test_a_clock_that_jumps_back_lets_nobody_out(jump_to: float) -> None:
    """A box without a battery starts in 1970."""
    devices = Devices(Kept())
    _, token = devices.add("phone", "owner", NOW)
    for now in (jump_to, jump_to + 100, NOW + 200):
        entered = devices.enter(token, now, rotates=True)
        assert entered is not None
        token = entered.fresh_token or token


def test_a_clock_that_showed_the_far_future_for_a_moment_lets_nobody_out() -> None:
    devices = Devices(Kept())
    _, token = devices.add("phone", "owner", NOW)
    assert devices.enter(token, NOW + 10 * IDLE_S) is None
    assert devices.enter(token, NOW + 60) is not None


BEHIND = NOW - 3 * IDLE_S
"""What the clock of an old image shows."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / "agentbox.db")
    yield journal
    journal.close()


@pytest.mark.parametrize("behind", [0.0, BEHIND])
def test_who_was_paired_while_the_clock_was_behind_stays_when_it_is_corrected(journal: Journal, behind: float) -> None:
    uptime_s = 100.0
    devices = open_devices(journal, lambda: uptime_s)
    _, token = devices.add("phone", "owner", behind)
    _, other = devices.add("other", "owner", behind)
    uptime_s += 50
    assert devices.enter(token, NOW) is not None
    assert [device.seen_at for device in devices.all()] == [NOW - 50, NOW - 50]
    uptime_s += IDLE_S - 100
    assert devices.enter(other, NOW + IDLE_S - 100) is not None
    uptime_s += 200
    assert devices.enter(token, NOW + IDLE_S + 100) is None  # half a year of an even clock


def test_who_was_paired_in_1970_stays_when_the_box_starts_with_the_right_time(journal: Journal) -> None:
    _, token = open_devices(journal).add("phone", "owner", 100.0)
    assert open_devices(journal).enter(token, NOW) is not None
    assert open_devices(journal).enter(token, NOW + IDLE_S + 1) is None


def test_nobody_is_idle_by_a_clock_that_is_doubted(journal: Journal) -> None:
    _, token = open_devices(journal).add("phone", "owner", BEHIND)
    for now, uptime_s in ((BEHIND, 0.0), (BEHIND + 700, 700.0), (NOW, 800.0), (NOW + 700, 1500.0)):
        journal.sweep(now, uptime_s)
    assert open_devices(journal).enter(token, NOW + 700) is not None
    assert open_devices(journal).all()[0].seen_at == NOW + 700


def test_who_is_revoked_is_out_at_once() -> None:
    kept = Kept()
    devices = Devices(kept)
    device, token = devices.add("phone", "owner", NOW)
    told: list[str] = []
    devices.on_revoked(device.id, lambda: told.append("socket"))
    forget = devices.on_revoked(device.id, lambda: told.append("closed before"))
    forget()
    devices.revoke(device.id[:16])
    assert told == ["socket"]
    assert devices.enter(token, NOW) is None
    assert not kept.rows


@pytest.mark.parametrize("what", ["", "0", "nobody"])
def test_a_device_that_is_not_there(what: str) -> None:
    devices = Devices(Kept())
    devices.add("a", "owner", NOW)
    devices.add("b", "owner", NOW)
    with pytest.raises(InputError) as caught:
        devices.revoke(what)
    assert caught.value.code == "paired_device_missing"
    assert len(devices.all()) == 2


@given(st.text(max_size=200))
def test_a_name_is_one_line_that_can_be_read(name: str) -> None:
    if not 1 <= len(" ".join("".join(x if x.isprintable() else " " for x in name).split())) <= MOST_NAME:
        with pytest.raises(InputError):
            named(name)
        return
    plain = named(name)
    assert 1 <= len(plain) <= MOST_NAME
    assert plain.isprintable()
    assert named(plain) == plain


def test_there_is_an_end_to_devices() -> None:
    devices = Devices(Kept())
    for number in range(MOST_DEVICES):
        devices.add(f"phone {number}", "guest", NOW)
    with pytest.raises(InputError) as caught:
        devices.add("one more", "owner", NOW)
    assert caught.value.code == "devices_full"
