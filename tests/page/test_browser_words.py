"""Transcripts and what left the box in a real browser: found, taken away and deleted without a script."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.page.browser import chromium, pair, press, visit
from tests.page.conftest import Daemon, running
from tests.page.filling import fill
from tests.page.test_egress import use


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    state = tmp_path_factory.mktemp("words")
    now = time.time()
    turns = [(now - number, f"add item{number} 牛奶") for number in range(40)]
    fill(state, turns, [(now - number * 80_000, use(number)) for number in range(40)])
    with running(state, cloud={"minutes_per_day": 10}) as daemon:
        yield daemon


@pytest.mark.parametrize(("phone", "dark", "language"), [(True, False, "en"), (False, True, "zh")])
def test_full_pages_keep_nobody_out(box: Daemon, browser: Browser, phone: bool, dark: bool, language: str) -> None:
    with visit(browser, phone=phone, dark=dark, daemon=box, language=language) as page:
        page.goto(f"{box.url}/pair#{box.offer()['url'].partition('#')[2]}")
        page.locator("form#pair button").click()
        page.wait_for_url(f"{box.url}/")
        turn = page.locator("ol.turns a").first.get_attribute("href")
        for place in ("/transcripts", f"{turn}", f"/transcripts/delete?id={str(turn)[-32:]}", "/egress"):
            page.goto(f"{box.url}{place}")
            found = Axe().run(page).response["violations"]
            assert [(place, one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place


def test_without_scripts_a_turn_is_found_taken_away_and_deleted(box: Daemon, browser: Browser) -> None:
    with visit(browser, script=False, daemon=box) as phone:
        phone.goto(f"{box.url}/pair")
        phone.get_by_label("Code").fill(box.offer()["code"])
        phone.locator("form#pair button").click()
        phone.wait_for_url(f"{box.url}/")
        phone.get_by_role("link", name="Transcripts", exact=True).click()
        with phone.expect_download() as download:
            phone.get_by_role("button", name="CSV").click()
        assert "item39" in download.value.path().read_text(encoding="utf-8-sig")
        phone.get_by_label("Words that were heard").fill("牛奶 item7")
        press(phone, "Show")
        assert phone.url == f"{box.url}/transcripts"
        phone.locator("ol.turns a").click()
        phone.get_by_role("link", name="Delete this turn").click()
        press(phone, "Delete for good")
        assert phone.get_by_role("status").inner_text() == "Turns deleted: 1."
        phone.get_by_label("Words that were heard").fill("item7")
        press(phone, "Show")
        assert phone.locator("ol.turns li").count() == 0


def test_search_results_go_on_by_a_button(box: Daemon, browser: Browser) -> None:
    with visit(browser, daemon=box) as phone:
        pair(phone, box)
        phone.goto(f"{box.url}/transcripts")
        phone.get_by_label("Words that were heard").fill("牛奶")
        press(phone, "Show")
        first = phone.locator("ol.turns a").first.get_attribute("href")
        press(phone, "Older")
        assert phone.locator("ol.turns li").count() in (14, 15)
        press(phone, "Newest")
        assert phone.locator("ol.turns a").first.get_attribute("href") == first
