"""Muted from the page: the microphone is closed, every page says so, and only an owner may."""

from __future__ import annotations

import asyncio
import re

from tests.page.conftest import Daemon, audit_of
from tests.page.test_pairing import socket

SIGN = re.compile(r'<p id="muted" class="muted" role="status"( hidden)?>')


def sign(page: str) -> bool:
    """Whether the header says that the box is muted."""
    [hidden] = SIGN.findall(page)
    return not hidden


def test_every_page_shows_it_and_the_box_hears_nothing(daemon: Daemon) -> None:
    owner = daemon.phone()
    assert not sign(owner.see("/devices"))
    assert owner.send("/mute", minutes="60").headers["location"] == "/"
    try:
        status = daemon.client.call("status")
        assert status["muted"]
        assert status["muted_until"]
        assert status["level_dbfs"] is None
        assert sign(owner.see("/devices"))
        assert 'data-state="muted"' in owner.see("/")
        assert "It is" in owner.send("/talk", text="what time is it").text
    finally:
        owner.send("/unmute")
    assert not daemon.client.call("status")["muted"]
    assert not sign(owner.see("/"))
    rows = [(row["action"], row["outcome"]) for row in audit_of(daemon)]
    assert ("mute", "ok") in rows
    assert ("unmute", "ok") in rows


def test_a_guest_sees_it_and_may_not_change_it(daemon: Daemon) -> None:
    guest = daemon.phone("guest")
    assert guest.send("/mute").status_code == 403
    assert guest.send("/unmute").status_code == 403
    assert 'action="/mute"' not in guest.see("/")


def test_no_form_no_mute(daemon: Daemon) -> None:
    owner = daemon.phone()
    assert owner.browser.post("/mute", data={"form_key": "guess"}).status_code == 403
    for minutes in ("x", "-1", "1e9", "999999", "٣"):
        assert owner.send("/mute", minutes=minutes).status_code == 400
    assert not daemon.client.call("status")["muted"]


def test_the_live_view_is_told(daemon: Daemon) -> None:
    async def walk() -> None:
        owner = await asyncio.to_thread(daemon.phone)
        async with socket(daemon, owner.cookie) as live:
            await asyncio.to_thread(owner.send, "/mute")
            seen = ""
            try:
                while '"state": "muted"' not in seen:
                    seen += str(await asyncio.wait_for(live.recv(), 10))
            finally:
                await asyncio.to_thread(owner.send, "/unmute")
            while '"state": "unmuted"' not in seen:
                seen += str(await asyncio.wait_for(live.recv(), 10))

    asyncio.run(walk())
