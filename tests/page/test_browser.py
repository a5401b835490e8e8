"""The page in a real browser: a phone's screen, touch and camera as far as they can be had here."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, WebSocketRoute, expect

from agentbox.pairing.codes import LONG_BYTES, MOST_OPEN
from tests.page.browser import PLACES, address_of, admit, chromium, pair, press, read, scanned, visit
from tests.page.conftest import Daemon, audit_of, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def screen_of(daemon: Daemon, *command: str, until: str) -> np.ndarray[Any, Any]:
    """The QR code that a terminal shows of a command, as a picture: half a block of text is one dot."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "agentbox", *command, "--config", str(daemon.config)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "AGENTBOX_STATE": str(daemon.state)},
    )
    os.close(terminal)
    shown = b""
    try:
        while until not in shown.decode(errors="replace"):
            shown += os.read(main, 65536)
    finally:
        process.terminate()
        process.wait(20)
        os.close(main)
    lines = [line for line in shown.decode().splitlines() if len(line) > 30 and set(line) <= set(" \u00a0█▀▄")]
    # Light letters on a dark ground: what is drawn is white.
    upper = [[letter in "█▀" for letter in line] for line in lines]
    lower = [[letter in "█▄" for letter in line] for line in lines]
    width = max(map(len, upper))
    rows = [row + [False] * (width - len(row)) for pair in zip(upper, lower, strict=True) for row in pair]
    return np.kron(np.array(rows, dtype=np.uint8) * 255, np.ones((6, 6), dtype=np.uint8))


def test_a_camera_reads_the_code_on_a_terminal(daemon: Daemon) -> None:
    url = read(screen_of(daemon, "pair", until="fingerprint"))
    assert re.fullmatch(r"https://[0-9a-z.-]+:\d+/pair#[\w-]{32}", url)


def test_the_first_start_at_a_terminal_shows_the_code_where_phones_can_come(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, page={"lan": True})
    assert "/pair#" in read(screen_of(daemon, "run", "--source", "-", until="fingerprint"))


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_camera_reads_the_picture_and_the_phone_is_in(
    daemon: Daemon, browser: Browser, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"code.{kind}"
    url = scanned(browser, daemon, file)
    assert file.stat().st_mode & 0o077 == 0
    with visit(browser, daemon=daemon) as phone:
        phone.goto(url)
        assert "#" not in phone.url
        assert phone.get_by_text("The code was scanned.").is_visible()
        assert not phone.get_by_label("Code", exact=True).is_visible()
        phone.locator("form#pair button").tap()
        phone.wait_for_url(f"{daemon.url}/")
        assert phone.get_by_text("Not listening").is_visible()  # its source is a pipe
        phone.reload()
        assert phone.get_by_role("heading", name="Talk to it").is_visible()


def test_an_expired_used_guessed_or_foreign_code_is_refused_in_plain_words(daemon: Daemon, browser: Browser) -> None:
    used = daemon.offer()["code"]
    daemon.browser().post("/pair", data={"code": used})
    ended = daemon.offer()["url"].partition("#")[2]  # as after ten minutes: newer offers end it (tests/pairing)
    for _ in range(MOST_OPEN):
        daemon.offer()
    foreign = secrets.token_urlsafe(LONG_BYTES)  # well formed, as another box makes them
    for code in (used, ended, "WRNG-C0DE", foreign):
        with visit(browser, daemon=daemon) as phone:
            phone.goto(f"{daemon.url}/pair#{code}")
            phone.locator("form#pair button").click()
            phone.get_by_text("This code is wrong, used or too old.").wait_for()


def test_what_the_box_does_is_seen_while_it_does_it(daemon: Daemon, browser: Browser) -> None:
    with visit(browser, daemon=daemon) as phone, visit(browser, phone=False, daemon=daemon) as desk:
        pair(phone, daemon, name="phone")
        pair(desk, daemon, name="desk")
        desk.get_by_label("Type what you would say").fill("add dragon fruit to my shopping list")
        desk.get_by_role("button", name="Send").click()
        phone.locator("#turns").get_by_text("dragon fruit").first.wait_for()


SPOKEN_CLOUD_TURN = (
    ("speech started", "hearing"),
    ("activation opened", "thinking"),
    ("egress started", "cloud"),
    ("speaking started", "cloud"),
    ("egress started", "cloud"),  # another one: a voice in the cloud
    ("reply done", "cloud"),
    ("speaking ended", "cloud"),
    ("egress ended", "cloud"),
    ("egress ended", "listening"),
    ("speaking started", "speaking"),
    ("speaking ended", "listening"),
    ("capture lost", "not_listening"),
    ("activation opened", "thinking"),
    ("reply done", "not_listening"),
    ("capture muted", "muted"),
    ("activation opened", "thinking"),
    ("egress started", "cloud"),
    ("reply done", "cloud"),
    ("egress ended", "muted"),
)
"""What is told, in the order in which a box tells it, and what is shown then. A guest is told no more of it."""


def test_a_cloud_is_shown_for_as_long_as_something_may_leave_the_box(daemon: Daemon, browser: Browser) -> None:
    box = {"state": "listening", "ears": "listening", "muted": False, "cloud_uses": 0}
    sockets: list[WebSocketRoute] = []
    with visit(browser, phone=False, daemon=daemon) as desk:
        desk.route_web_socket("**/live", lambda socket: sockets.append(socket))
        desk.route("**/state", lambda route: route.fulfill(json=box))
        with desk.expect_response("**/state"):
            pair(desk, daemon, "guest")
        shown = desk.locator("#state")
        expect(shown).to_have_attribute("data-state", "listening")
        for told, state in SPOKEN_CLOUD_TURN:
            stage, _, event = told.partition(" ")
            sockets[-1].send(json.dumps({"stage": stage, "state": event, "message": None}))
            desk.evaluate("() => new Promise(requestAnimationFrame)")
            expect(shown, told).to_have_attribute("data-state", state)
        # Whoever comes back amidst a use sees it too.
        box |= {"state": "cloud", "cloud_uses": 1}
        with desk.expect_response("**/state"):
            sockets[-1].close(code=1012)
        expect(shown).to_have_text("Sending to the cloud")


def test_a_revoked_phone_is_shown_out(daemon: Daemon, browser: Browser) -> None:
    with visit(browser, daemon=daemon) as phone, visit(browser, phone=False, daemon=daemon) as desk:
        pair(phone, daemon, name="left in a taxi")
        pair(desk, daemon, name="desk")
        phone.wait_for_timeout(500)
        desk.goto(f"{daemon.url}/devices")
        desk.get_by_role("button", name="Revoke left in a taxi").click()
        phone.wait_for_url(f"{daemon.url}/pair")
        phone.goto(f"{daemon.url}/devices")
        assert phone.get_by_text("not paired with the box").is_visible()


def test_without_scripts_a_phone_pairs_and_reads_the_state(daemon: Daemon, browser: Browser) -> None:
    with visit(browser, script=False, daemon=daemon) as phone:
        phone.goto(f"{daemon.url}/pair")
        phone.get_by_label("Code").fill(daemon.offer()["code"].lower())
        phone.locator("form#pair button").click()
        phone.wait_for_url(f"{daemon.url}/")
        assert phone.locator("#state").inner_text() in ("Listening", "Not listening")
        phone.get_by_label("Type what you would say").fill("what time is it")
        press(phone, "Send")
        assert "It is" in phone.locator(".talk").inner_text()


def test_names_and_words_from_outside_are_only_text(daemon: Daemon, browser: Browser) -> None:
    attack = "<img src=x onerror=alert(1)>"
    with visit(browser, phone=False, daemon=daemon) as desk:
        desk.on("dialog", lambda dialog: pytest.fail(dialog.message))
        pair(desk, daemon, name=attack)
        desk.get_by_label("Type what you would say").fill(f"add {attack} to my shopping list")
        desk.get_by_role("button", name="Send").click()
        desk.locator("#turns").get_by_text("onerror").first.wait_for()
        desk.goto(f"{daemon.url}/devices")
        assert desk.get_by_role("heading", name=attack).is_visible()
        assert desk.locator("img").count() == 0
    assert attack in {row["device_name"] for row in audit_of(daemon)}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("phone", "dark", "language"), [(True, False, "en"), (False, True, "zh")])
def test_no_page_keeps_anybody_out(
    daemon: Daemon, browser: Browser, place: str, phone: bool, dark: bool, language: str
) -> None:
    """axe-core's rules (WCAG 2.2 AA and good practice), and nothing wider than the screen."""
    with visit(browser, phone=phone, dark=dark, daemon=daemon) as page:
        admit(page, daemon)
        page.context.add_cookies([{"name": "agentbox-language", "value": language, "url": daemon.url}])
        daemon.client.call("ask", {"text": "what time is it"})
        page.goto(address_of(daemon, place))
        found = Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator("html").get_attribute("lang") == language


def test_the_keyboard_alone_reaches_everything(daemon: Daemon, browser: Browser) -> None:
    with visit(browser, phone=False, daemon=daemon) as desk:
        pair(desk, daemon)
        desk.keyboard.press("Tab")
        assert desk.evaluate("document.activeElement.className") == "skip"
        seen = set()
        # Once round: how many links there are depends on what was said before.
        for _ in range(100):
            desk.keyboard.press("Tab")
            if desk.evaluate("document.activeElement.className") == "skip":
                break
            seen.add(desk.evaluate("document.activeElement.id || document.activeElement.innerText"))
        assert {"Now", "Devices", "text", "Send", "language"} <= seen


def test_the_page_comes_back_after_the_box_was_restarted(tmp_path: Path, browser: Browser) -> None:
    with running(tmp_path) as daemon:
        daemon.stop()
        text = daemon.config.read_text().replace("port: 0", f"port: {daemon.port}")
        daemon.config.write_text(text)
        daemon.start()
        with visit(browser, daemon=daemon) as phone:
            pair(phone, daemon)
            daemon.stop()
            phone.locator("#state", has_text="does not answer").wait_for()
            daemon.start()
            phone.locator("#state:not([data-state=away])").wait_for(timeout=30_000)
            phone.reload()
            assert phone.get_by_role("heading", name="Talk to it").is_visible()


def test_an_answer_that_never_comes_is_no_mistake_of_the_page(daemon: Daemon, browser: Browser) -> None:
    """A box that goes away, or a reload, ends what the page has asked for."""
    with visit(browser, daemon=daemon) as phone:
        pair(phone, daemon)
        for place in ("state", "turns"):
            phone.route(f"**/{place}", lambda route: route.abort())
            with phone.expect_event("requestfailed", lambda asked, end=f"/{place}": asked.url.endswith(end)):
                phone.reload()
        phone.unroute_all()
        phone.reload()
        phone.locator("#state:not([data-state=away])").wait_for()


@contextlib.contextmanager
def box_at(daemon: Daemon, name: str) -> Iterator[int]:
    """Another place where the page of `daemon` is served, which is found by `name` too: its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        options = {
            "sockets": str(listening.fileno()),
            "control": str(daemon.state / "page.sock"),
            "certificate": str(daemon.state / "page" / "certificate.pem"),
            "fingerprint": "-",
            "names": f"{name},127.0.0.1",
            "lasting-name": name,
            "language": "en",
        }
        command = [sys.executable, "-m", "agentbox.page", *(f"--{key}={value}" for key, value in options.items())]
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listening.fileno()]) as process:
            yield int(listening.getsockname()[1])
            process.terminate()


def test_a_phone_that_went_on_to_the_boxes_name_finds_it_elsewhere(daemon: Daemon, browser: Browser) -> None:
    secret = daemon.offer()["url"].partition("#")[2]
    with visit(browser) as phone:
        with box_at(daemon, "kitchen.local") as port:
            phone.goto(f"https://127.0.0.1:{port}/pair#{secret}")
            phone.get_by_role("link", name="kitchen.local").click()
            phone.wait_for_url(f"https://kitchen.local:{port}/pair")
            assert phone.get_by_text("The code was scanned.").is_visible()
            assert phone.get_by_role("link", name="kitchen.local").count() == 0
            phone.locator("form#pair button").click()
            phone.wait_for_url(f"https://kitchen.local:{port}/")
        with box_at(daemon, "kitchen.local") as port:
            phone.goto(f"https://kitchen.local:{port}/")
            assert phone.get_by_role("heading", name="Talk to it").is_visible()
            # By its address nobody knows this phone.
            phone.goto(f"https://127.0.0.1:{port}/")
            phone.wait_for_url(f"https://127.0.0.1:{port}/pair")
