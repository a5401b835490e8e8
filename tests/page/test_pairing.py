"""A phone comes in by a code, stays in over restarts, and is out the moment it is revoked."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket

from agentbox.daemon.pairing_handlers import MOST_FAILURES
from tests.page.conftest import Daemon, Phone, audit_of, running, settings_of


def socket(daemon: Daemon, cookie: str, origin: str | None = None, place: str = "/live") -> Any:
    headers = {"Cookie": cookie} if cookie else {}
    place = f"wss://127.0.0.1:{daemon.port}{place}"
    origin = f"https://127.0.0.1:{daemon.port}" if origin is None else origin
    return connect_socket(place, ssl=daemon.trust, additional_headers=headers, origin=origin, proxy=None)  # type: ignore[arg-type]


async def reply(live: ClientConnection) -> str:
    """Everything that is told until the box has answered."""
    seen = ""
    while '"stage": "reply"' not in seen:
        seen += str(await asyncio.wait_for(live.recv(), 10))
    return seen


@pytest.mark.parametrize("kind", ["typed", "scanned"])
def test_a_code_makes_a_phone_an_owner(daemon: Daemon, kind: str) -> None:
    offer = daemon.offer()
    phone = Phone(daemon.browser())
    phone.pair(offer["code"] if kind == "typed" else offer["url"].partition("#")[2], "Ann's phone")
    assert "Ann&#39;s phone" in phone.see("/devices")
    [cookie] = [one for one in phone.browser.cookies.jar if one.name.startswith("__Host-")]
    assert cookie.secure
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"
    assert phone.browser.post("/pair", data={"code": offer["code"]}).status_code == 403


def test_pairing_lets_the_local_network_in_and_remembers_it(daemon: Daemon) -> None:
    daemon.offer()
    assert settings_of(daemon)["page"]["lan"] is True


def test_who_is_not_paired_sees_how_to_pair_and_nothing_else(daemon: Daemon) -> None:
    stranger = daemon.browser()
    assert stranger.get("/").headers["location"] == "/pair"
    assert "Fingerprint" in stranger.get("/pair").text
    for place in ("/turns", "/devices"):
        assert stranger.get(place).status_code == 401
    for place in ("/talk", "/devices/revoke", "/devices/rename"):
        assert stranger.post(place, data={"id": "", "name": "x", "text": "hello"}).status_code == 401


def test_a_guest_talks_and_reads_nothing(daemon: Daemon) -> None:
    owner, guest = daemon.phone(), daemon.phone("guest", "visitor")
    owner.send("/talk", text="add pomegranates to my shopping list")
    assert "pomegranates" in owner.see("/")
    assert "pomegranates" not in guest.see("/")
    for text in ("say that again", "cancel that"):
        assert "pomegranates" not in guest.send("/talk", text=text).text
    assert "It is" in guest.send("/talk", text="what time is it").text
    assert guest.browser.get("/devices").status_code == 403
    revoked = guest.send("/devices/revoke", id=daemon.client.call("devices.list")[0]["id"])
    assert revoked.status_code == 403
    assert "not_permitted" in {row["outcome"] for row in audit_of(daemon)}


def test_two_phones_at_once_and_one_is_revoked_while_its_page_is_open(daemon: Daemon) -> None:
    async def walk() -> None:
        kept = await asyncio.to_thread(daemon.phone, "owner", "kept")
        lost = await asyncio.to_thread(daemon.phone, "owner", "lost")
        async with socket(daemon, kept.cookie) as kept_socket, socket(daemon, lost.cookie) as lost_socket:
            [device] = [one for one in daemon.client.call("devices.list") if one["name"] == "lost"]
            await asyncio.to_thread(kept.send, "/talk", text="what day is it")
            await reply(kept_socket)
            await reply(lost_socket)
            answer = await asyncio.to_thread(kept.send, "/devices/revoke", id=device["id"])
            assert answer.status_code == 303
            await asyncio.wait_for(lost_socket.wait_closed(), 10)
            assert lost_socket.close_code == 4401
            assert lost.browser.get("/devices").status_code == 401
            await asyncio.to_thread(kept.send, "/talk", text="what time is it")
            await asyncio.wait_for(kept_socket.recv(), 10)

    asyncio.run(walk())


def test_a_guests_socket_carries_no_words(daemon: Daemon) -> None:
    async def walk() -> None:
        owner = await asyncio.to_thread(daemon.phone)
        guest = await asyncio.to_thread(daemon.phone, "guest")
        async with socket(daemon, guest.cookie) as live:
            await asyncio.to_thread(owner.send, "/talk", text="add persimmons to my shopping list")
            assert "persimmon" not in await reply(live)

    asyncio.run(walk())


@pytest.mark.parametrize(("paired", "origin"), [(False, None), (True, "https://evil.example"), (True, "")])
def test_a_socket_is_refused_to_others(daemon: Daemon, paired: bool, origin: str | None) -> None:
    async def walk() -> None:
        cookie = (await asyncio.to_thread(daemon.phone)).cookie if paired else ""
        with pytest.raises((websockets.InvalidStatus, websockets.ConnectionClosed)):
            async with socket(daemon, cookie, origin or None if origin != "" else "null") as live:
                await asyncio.wait_for(live.recv(), 10)

    asyncio.run(walk())


def test_10_000_guesses_get_nowhere_and_the_owner_still_pairs(tmp_path: Path) -> None:
    """Over the page, as fast as one machine may; the count is of what the box looked at."""
    with running(tmp_path) as daemon:
        guesser = daemon.browser()
        wrong = [guesser.post("/pair", data={"code": f"WRNG{number:04d}"}).status_code for number in range(200)]
        assert wrong.count(403) == 5
        assert wrong.count(429) == 195
        phone = Phone(daemon.browser())
        phone.pair(daemon.offer()["url"].partition("#")[2], "owner")
        long = [guesser.post("/pair", data={"code": f"{number:032d}"}).status_code for number in range(50)]
        assert long.count(403) == 50
        rows = [row["outcome"] for row in audit_of(daemon) if row["action"] == "pair.redeem"]
        assert rows.count("pairing_code_wrong") == MOST_FAILURES
        assert set(rows) == {"pairing_code_wrong", "ok"}


def test_a_phone_stays_paired_over_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        phone = daemon.phone()
        key = phone.form_key()
        cookie = phone.cookie
        daemon.stop()
        daemon.start()
        again = daemon.browser(Cookie=cookie)
        assert "Talk to it" in again.get("/").text
        answer = again.post("/talk", data={"form_key": key, "text": "what time is it"})
        assert "It is" in answer.text


def test_no_code_and_no_token_is_logged_or_kept(tmp_path: Path) -> None:
    with running(tmp_path, log={"level": "debug"}) as daemon:
        offer = daemon.offer()
        phone = Phone(daemon.browser())
        phone.pair(offer["code"], "phone")
        phone.send("/talk", text="what time is it")
        daemon.browser().post("/pair", data={"code": "SECRETCODE"})
        token = phone.cookie.partition("=")[2]
        daemon.stop()
        secrets = (offer["code"], offer["code"].replace("-", ""), offer["url"].partition("#")[2], token, "SECRETCODE")
        for file in (one for one in tmp_path.rglob("*") if one.is_file()):
            data = file.read_bytes()
            assert not [one for one in secrets if one.encode() in data], file


def test_the_page_is_there_only_while_somebody_looks(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        assert daemon.process is not None
        assert children(daemon.process.pid) == []
        daemon.browser().get("/pair")
        [page] = children(daemon.process.pid)
        os.kill(page, signal.SIGKILL)  # nobody notices but the log
        until_s = time.monotonic() + 20
        while page in children(daemon.process.pid) and time.monotonic() < until_s:
            time.sleep(0.05)
        assert daemon.browser().get("/pair").status_code == 200
        assert "page_failed" in daemon.log()
        daemon.stop()
        assert not Path(f"/proc/{page}").exists()


def children(pid: int) -> list[int]:
    """The page's processes."""
    found = [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    return [child for child in found if b"agentbox.page" in Path(f"/proc/{child}/cmdline").read_bytes()]
