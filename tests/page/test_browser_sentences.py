"""Tools and sentences in a real browser, with scripts and without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.page.browser import chromium, pair, press, visit
from tests.page.conftest import Daemon, running

WRONG = "language: en\nintents:\n  X:\n    data:\n      - sentences: ['count (orders']\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("browser")) as daemon:
        yield daemon


def typed(phone: Page, box: Daemon) -> None:
    """Pair without scripts."""
    phone.goto(f"{box.url}/pair")
    phone.get_by_label("Code").fill(box.offer()["code"])
    phone.locator("form#pair button").click()
    phone.wait_for_url(f"{box.url}/")


@pytest.mark.parametrize("script", [True, False])
def test_a_file_is_mended_and_saved(box: Daemon, browser: Browser, script: bool) -> None:
    with visit(browser, script=script, daemon=box) as phone:
        if script:
            pair(phone, box)
        else:
            typed(phone, box)
        phone.goto(f"{box.url}/sentences")
        phone.get_by_role("link", name="Sentences of this page").click()
        text = phone.get_by_label("Text of the file")
        text.fill(WRONG)
        press(phone, "Save")
        assert phone.get_by_role("alert").inner_text().startswith("Not saved")
        assert text.input_value() == WRONG
        if script:
            assert not Axe().run(phone).response["violations"]
            phone.get_by_role("button", name="5", exact=True).click()
            assert phone.evaluate("getSelection().toString()") == "      - sentences: ['count (orders']"
            assert phone.get_by_text("Line 5").is_visible()
        text.fill(WRONG.replace("(", ""))
        phone.get_by_role("button", name="Save").click()
        phone.get_by_text("Saved, and used from now on").wait_for()
        assert "nothing carries it out" in phone.locator("table").inner_text()


def test_a_sentence_is_tried_and_its_tool_is_shut(box: Daemon, browser: Browser) -> None:
    with visit(browser, daemon=box) as phone:
        pair(phone, box)
        phone.goto(f"{box.url}/sentences")
        phone.get_by_label("Type a sentence").fill("mute")
        press(phone, "What would it mean?")
        assert "Nothing was done." in phone.locator(".talk").inner_text()
        phone.locator(".talk").get_by_role("link", name="mute").click()
        card = phone.locator("#mute")
        card.get_by_text("Who may use it").click()
        card.get_by_label("A cloud model").select_option("no")
        assert not Axe().run(phone).response["violations"]
        card.get_by_role("button", name="Save who may use mute").click()
        phone.wait_for_url(f"{box.url}/tools#mute")
        [tool] = [one for one in box.client.call("tools.list") if one["name"] == "mute"]
        assert tool["policy"]["cloud"] == "deny"


def test_the_talk_key_listens(box: Daemon, browser: Browser) -> None:
    with visit(browser, daemon=box) as phone:
        pair(phone, box)
        phone.goto(f"{box.url}/sentences")
        phone.get_by_role("button", name="Listen now").tap()
        phone.get_by_text("Speak now.").wait_for()
        assert phone.get_by_role("button", name="Listen now").is_disabled()


def test_without_scripts_there_is_no_key(box: Daemon, browser: Browser) -> None:
    with visit(browser, script=False, daemon=box) as phone:
        typed(phone, box)
        phone.goto(f"{box.url}/sentences")
        assert not phone.get_by_role("button", name="Listen now").is_visible()
