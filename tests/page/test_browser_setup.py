"""What moves on the pages of the set-up, in a real browser: the level, and the sign that the box is muted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.browser import chromium, pair, visit
from tests.page.conftest import Daemon, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def hears(daemon: Daemon, amplitude: int) -> None:
    """A second of noise comes from its microphone."""
    assert daemon.process is not None
    assert daemon.process.stdin is not None
    noise = np.random.default_rng(1).integers(-amplitude, amplitude + 1, 16_000, dtype=np.int16)
    daemon.process.stdin.write(noise.tobytes())
    daemon.process.stdin.flush()


def shows(page: Page, wanted: Callable[[float], bool]) -> None:
    """Wait until the meter does: the page lets no text be run as a script, so that the browser cannot wait for it."""
    until_s = time.monotonic() + 20
    while not wanted(page.locator("#level").evaluate("meter => meter.value")):
        assert time.monotonic() < until_s
        page.wait_for_timeout(100)


def test_the_level_moves_and_the_sign_of_a_muted_box_comes_and_goes(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as daemon, visit(browser, daemon=daemon) as page:
        pair(page, daemon)
        page.goto(f"{daemon.url}/setup/sound")
        hears(daemon, 20)
        shows(page, lambda value: value < -50)
        hears(daemon, 10_000)
        shows(page, lambda value: value > -20)
        page.goto(daemon.url)
        expect(page.locator("#muted")).to_be_hidden()
        daemon.client.call("mute")
        expect(page.locator("#muted")).to_be_visible()
        expect(page.locator("#state")).to_have_attribute("data-state", "muted")
        page.get_by_role("button", name="Unmute").click()
        expect(page.locator("#muted")).to_be_hidden()
        assert not daemon.client.call("status")["muted"]
        page.goto(f"{daemon.url}/setup/sound")
        daemon.client.call("mute")
        shows(page, lambda value: value <= -80)
