"""A real browser: Debian's chromium, driven by playwright; skipped with the reason where one of them is missing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import zxingcpp
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize, expect, sync_playwright

from agentbox.page.render import MENU
from agentbox.page.topics import STEPS, TOPICS
from tests.page.conftest import Daemon, Phone

PLACES = {name: place for name, place, _ in MENU}
PLACES |= {"editor": "/sentences/edit?file=page.yaml", "pair": "/pair", "error": "/nowhere"}
PLACES |= {"checks": "/system?checks=1", "delete": "/transcripts/delete?all=1", "turn": "/transcripts/{turn}"}
PLACES |= {f"settings-{topic}": f"/settings/{topic}" for topic in TOPICS}
PLACES |= {f"setup-{step}": f"/setup/{step}" for step in STEPS}
"""Every page, by a name for its picture; `{turn}` is for a turn's id."""

expect.set_options(timeout=30_000)
"""A machine that has much to do is no mistake of the page's: its 5 s were too few beside two browsers."""

NAMES = "--host-resolver-rules=MAP *.local 127.0.0.1"
"""What mDNS says in a home's network, said without one."""

PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1280, "height": 900}


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", NAMES])
        try:
            yield browser
        finally:
            browser.close()


def read(picture: Any) -> str:
    """The QR code in a grey picture, by a reader that is none of ours."""
    [found] = zxingcpp.read_barcodes(picture)
    return str(found.text)


def scanned(browser: Browser, daemon: Daemon, file: Path) -> str:
    """The address in the code that `agentbox pair` writes into `file` (.png or .svg), as a camera takes it from a
    screen; at loopback, where the phones of the tests are."""
    command = [sys.executable, "-m", "agentbox", "pair", f"--{file.suffix[1:]}", str(file)]
    environ = {**os.environ, "AGENTBOX_STATE": str(daemon.state)}
    subprocess.run([*command, "--config", str(daemon.config)], check=True, env=environ, capture_output=True)
    shot = file.with_name("shot.png")
    with visit(browser) as camera:
        camera.goto(file.as_uri())
        camera.screenshot(path=str(shot))
    return re.sub(r"//[^:]+:", "//127.0.0.1:", read(PIL.Image.open(shot).convert("L")))


def pair(page: Page, daemon: Daemon, role: str = "owner", name: str = "Ann's phone") -> None:
    """As a phone does that has scanned the code."""
    secret = daemon.offer(role)["url"].partition("#")[2]
    page.goto(f"{daemon.url}/pair#{secret}")
    page.get_by_label("Name").fill(name)
    page.locator("form#pair button").click()
    page.wait_for_url(f"{daemon.url}/")


def admit(page: Page, daemon: Daemon) -> None:
    """An owner's phone that was paired before it came: it has the cookie."""
    with daemon.browser() as phone:
        Phone(phone).pair(daemon.offer()["code"], "Ann's phone")
        page.context.add_cookies(
            [{"name": one.name, "value": one.value or "", "url": daemon.url} for one in phone.cookies.jar]
        )


def press(page: Page, button: str) -> None:
    """Of a form; back when the page it brings is there (a click alone is done while the old one still stands)."""
    with page.expect_navigation():
        page.get_by_role("button", name=button).click()


def address_of(daemon: Daemon, place: str) -> str:
    """Of one of `PLACES`; where it is a turn's, the last one's."""
    if "{turn}" in place:
        [last] = daemon.client.call("transcripts.list", {"limit": 1})
        place = place.format(turn=last["id"])
    return f"{daemon.url}{place}"


@contextlib.contextmanager
def visit(
    browser: Browser,
    *,
    phone: bool = True,
    dark: bool = False,
    script: bool = True,
    language: str | None = None,
    daemon: Daemon | None = None,
) -> Iterator[Page]:
    """A fresh visitor, whose browser knows nothing of the box, and who goes on past its warning. A mistake of a script,
    or a request to elsewhere, fails the test."""
    context = browser.new_context(
        viewport=PHONE if phone else DESK,
        is_mobile=phone,
        has_touch=phone,
        device_scale_factor=2,
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
        ignore_https_errors=True,
    )
    wrong: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def said(line: ConsoleMessage) -> None:
        if "Content Security Policy" in line.text:
            wrong.append(line.text)

    def asked(request: Request) -> None:
        if daemon is not None and not request.url.startswith((daemon.url, "data:")):
            wrong.append(request.url)

    page.on("console", said)
    page.on("request", asked)
    if daemon is not None and language is not None:
        context.add_cookies([{"name": "agentbox-language", "value": language, "url": daemon.url}])
    try:
        yield page
    finally:
        context.close()
    assert not wrong, wrong
