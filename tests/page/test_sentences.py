"""Sentences on the page: tried without being done, and the owner's files edited without losing anybody's work."""

from __future__ import annotations

import asyncio
import html
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.page.conftest import Daemon, Phone, audit_of, running, until
from tests.page.test_pairing import socket

ORDERS = """\
language: en
intents:
  HassStartTimer:
    data:
      - sentences: ["tea time"]
        slots: {minutes: 4, name: tea}
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One with two files of sentences of one name, and a folder of them."""
    folder = tmp_path_factory.mktemp("sentences")
    (folder / "more").mkdir()
    for place in ("orders.yaml", "more/orders.yaml"):
        (folder / place).write_text("language: en\nintents: {}\n")
    with running(folder, intents={"sentences": ["orders.yaml", "more"]}) as daemon:
        yield daemon


def field(text: str, name: str) -> str:
    return html.unescape(re.findall(rf'name="{name}" value="([^"]*)"', text)[0])


def shown(text: str) -> str:
    """What stands in the text field."""
    return html.unescape(re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", text, re.DOTALL)[0])


def edit(phone: Phone, file: str, text: str, version: str | None = None, do: str = "save") -> tuple[int, str]:
    page = phone.see(f"/sentences/edit?file={file}")
    version = field(page, "version") if version is None else version
    answer = phone.send("/sentences/edit", file=file, text=text, version=version, do=do)
    return answer.status_code, answer.text


def test_a_sentence_is_tried_and_not_done(box: Daemon) -> None:
    phone = box.phone()
    answer = html.unescape(phone.send("/sentences/try", text="set a pizza timer for ten minutes", do="look").text)
    for part in (
        "HassStartTimer",
        "<dt>minutes</dt><dd>10</dd>",
        "100 % (word for word)",
        "start_timer",
        "Nothing was",
    ):
        assert part in answer
    assert "pizza" not in phone.send("/talk", text="what timers are there").text.partition("<section aria")[0]
    assert "would not understand" in phone.send("/sentences/try", text="gibberish blah", do="look").text


def test_a_sentence_is_tried_and_done(box: Daemon) -> None:
    answer = box.phone().send("/sentences/try", text="add quinces to my shopping list", do="act").text
    assert "The box did it: Added quinces" in answer


def test_whose_sentence_it_is_and_how_sure_that_is(box: Daemon) -> None:
    found = box.client.call("understand", {"text": "at milk to my shopping list"})
    assert (found["intent"], found["match"], found["source"]) == ("HassShoppingListAddItem", "forgiving", "agentbox")
    assert 0.8 < found["confidence"] < 1.0
    assert found["policy"] == "allow"
    assert box.client.call("understand", {"text": "gibberish blah"})["intent"] is None


def test_a_file_is_saved_whole_and_used_at_once(box: Daemon) -> None:
    phone = box.phone()
    assert edit(phone, "orders.yaml", ORDERS.replace("\n", "\r\n"))[0] == 303
    assert (box.state / "orders.yaml").read_text() == ORDERS
    assert (box.state / "orders.yaml.bak").read_text() == "language: en\nintents: {}\n"
    assert (box.state / "more" / "orders.yaml").read_text() == "language: en\nintents: {}\n"
    assert box.client.call("understand", {"text": "tea time"})["source"] == "orders.yaml"
    assert ("sentences.save", "orders.yaml", "ok") in [(r["action"], r["target"], r["outcome"]) for r in audit_of(box)]
    assert "Saved" in phone.see("/sentences/edit?file=orders.yaml&saved=")
    assert not list(box.state.rglob(".*.new"))


def test_the_second_file_of_a_name_is_another(box: Daemon) -> None:
    phone = box.phone()
    text = "language: en\nintents: {}\n# the second\n"
    assert edit(phone, "orders.yaml~2", text)[0] == 303
    assert (box.state / "more" / "orders.yaml").read_text() == text


def test_the_pages_own_file_is_made_when_it_is_first_saved(box: Daemon) -> None:
    phone = box.phone()
    own = box.state / "sentences" / "page.yaml"
    assert not own.exists()
    assert "Sentences of this page" in phone.see("/sentences")
    assert edit(phone, "page.yaml", ORDERS.replace("tea time", "coffee time"))[0] == 303
    assert own.stat().st_mode & 0o777 == 0o600
    assert box.client.call("understand", {"text": "coffee time"})["source"] == "page.yaml"
    box.client.call("reload")
    assert box.client.call("understand", {"text": "coffee time"})["source"] == "page.yaml"


@pytest.mark.parametrize(
    "text", ["intents: [", "language: en\nintents:\n  X:\n    data:\n      - sentences: ['a (b']\n"]
)
def test_a_file_with_errors_is_not_saved_and_not_lost(box: Daemon, text: str) -> None:
    before = (box.state / "orders.yaml").read_bytes()
    status, page = edit(box.phone(), "orders.yaml", text)
    assert status == 409
    assert shown(page) == text
    assert "Not saved: there are errors" in page
    assert re.search(r'data-line="\d+"', page)
    assert (box.state / "orders.yaml").read_bytes() == before


def test_a_warning_is_shown_and_the_file_is_saved(box: Daemon) -> None:
    phone = box.phone()
    text = "language: en\nintents:\n  Nobody:\n    data:\n      - sentences: [do the unheard of]\n"
    _, page = edit(phone, "orders.yaml~2", text, do="check")
    assert "sentences_intent_unknown" in page
    assert shown(page) == text
    assert edit(phone, "orders.yaml~2", text)[0] == 303
    assert "sentences_intent_unknown" in phone.see("/sentences/edit?file=orders.yaml~2&saved=")


def test_of_two_who_edit_one_file_the_second_loses_nothing(box: Daemon) -> None:
    one, two = box.phone(), box.phone()
    version = field(one.see("/sentences/edit?file=orders.yaml"), "version")
    assert edit(two, "orders.yaml", ORDERS + "# two\n", version)[0] == 303
    status, page = edit(one, "orders.yaml", ORDERS + "# one\n", version)
    assert status == 409
    assert "somebody else changed the file" in page
    assert shown(page).endswith("# one\n")
    assert (box.state / "orders.yaml").read_text().endswith("# two\n")


@pytest.mark.parametrize("file", ["config.yaml", "../config.yaml", "/etc/passwd", "", "orders.yaml~3", "orders.yaml/"])
@pytest.mark.parametrize("do", ["save", "check"])
def test_no_other_file_can_be_asked_for(box: Daemon, file: str, do: str) -> None:
    phone = box.phone()
    before = {path: path.read_bytes() for path in box.state.glob("*.yaml")}
    assert phone.browser.get("/sentences/edit", params={"file": file}).status_code == 404
    answer = phone.send("/sentences/edit", file=file, text="language: en\n", version="", do=do)
    assert answer.status_code == 404
    assert {path: path.read_bytes() for path in box.state.glob("*.yaml")} == before


def test_what_is_in_a_file_is_no_markup(box: Daemon) -> None:
    evil = "</textarea><script>alert(1)</script>"
    phone = box.phone()
    text = f"language: en\nintents:\n  '{evil}':\n    data:\n      - sentences: ['say {evil} (']\n"
    status, page = edit(phone, "orders.yaml", text)
    assert status == 409
    assert "<script>alert" not in page
    assert shown(page) == text
    tried = phone.send("/sentences/try", text=f"add {evil} to my shopping list", do="act").text
    assert "<script>alert" not in tried


def test_a_guest_tries_sentences_and_sees_no_file(box: Daemon) -> None:
    guest = box.phone("guest")
    assert "Try a sentence" in guest.see("/sentences")
    assert "orders.yaml" not in guest.see("/sentences")
    assert "HassGetCurrentTime" in guest.send("/sentences/try", text="what time is it", do="look").text
    assert guest.browser.get("/sentences/edit?file=orders.yaml").status_code == 403
    assert guest.send("/sentences/edit", file="orders.yaml", text="", version="", do="save").status_code == 403
    stranger = box.browser()
    assert stranger.get("/sentences").status_code == 401
    assert stranger.post("/sentences/edit", data={"file": "orders.yaml"}).status_code == 401


def test_a_forged_form_saves_nothing(box: Daemon) -> None:
    phone = box.phone()
    before = (box.state / "orders.yaml").read_bytes()
    form = {"file": "orders.yaml", "text": "", "version": "", "do": "save", "form_key": "guess"}
    assert phone.browser.post("/sentences/edit", data=form).status_code == 403
    assert (box.state / "orders.yaml").read_bytes() == before


def test_the_talk_key_is_pressed_from_the_page(box: Daemon) -> None:
    following, pressed = threading.Event(), threading.Event()

    def follow() -> None:
        for event in box.client.stream("events"):
            following.set()
            if (event["stage"], event["state"]) == ("activation", "pressed"):
                pressed.set()
                return

    async def walk() -> None:
        phone = await asyncio.to_thread(box.phone)
        threading.Thread(target=follow, daemon=True).start()
        while not await asyncio.to_thread(following.wait, 0.1):  # until something that happens is told
            await asyncio.to_thread(box.client.call, "ask", {"text": "what time is it"})
        async with socket(box, phone.cookie, place="/sentences/listen"):
            assert await asyncio.to_thread(pressed.wait, 20)

    asyncio.run(walk())
    until(lambda: "listen" in [row["action"] for row in audit_of(box)], box)  # written when the page has hung up


def test_without_scripts_it_says_so(box: Daemon) -> None:
    text = box.phone().see("/sentences")
    assert re.search(r"<noscript>.*agentbox listen.*</noscript>", text)
    assert re.search(r'<button id="listen"[^>]* hidden>', text)


def test_the_page_speaks_chinese(tmp_path: Path, box: Daemon) -> None:
    phone = box.phone()
    phone.browser.cookies.set("agentbox-language", "zh")
    assert "试一句话" in phone.see("/sentences")
    assert "谁可以用" in phone.see("/tools")
    assert "编辑句子" in phone.see("/sentences/edit?file=page.yaml")
