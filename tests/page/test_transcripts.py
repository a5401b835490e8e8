"""What was said can be found, read, taken away and deleted, by whom the owner lets."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import pytest
from markupsafe import escape

from agentbox.errors import InputError
from agentbox.page import export
from agentbox.page.box import Asker
from agentbox.page.paging import PAGE, day_of, place_of
from tests.page.conftest import Daemon, Phone, audit_of, running, until
from tests.page.filling import fill

COUNT = 60
HOSTILE = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "{{ 7 * 7 }}")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """With turns of two days, three of each moment; it stays as it is."""
    state = tmp_path_factory.mktemp("transcripts")
    noon = datetime.now().astimezone().replace(hour=12).timestamp()
    fill(
        state,
        [(noon - (3 + number % 2) * 86_400 - number // 6, f"add item{number} 牛奶{number}") for number in range(COUNT)],
    )
    with running(state) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def owner(box: Daemon) -> Phone:
    return box.phone()


def listed(page: str) -> list[str]:
    return re.findall(r'class="when"><a href="/transcripts/([0-9a-f]{32})"', page)


def older(page: str) -> str:
    found = re.findall(r'rel="next" href="([^"]+)"', page)
    return found[0].replace("&amp;", "&") if found else ""


def test_pages_show_every_turn_once_newest_first_even_while_somebody_talks(box: Daemon, owner: Phone) -> None:
    wanted = [turn["id"] for turn in box.client.call("transcripts.list", {"limit": 1000})]
    page, seen = owner.see("/transcripts"), []
    while True:
        seen += listed(page)
        if not older(page):
            break
        owner.send("/talk", text="what time is it")
        page = owner.see(older(page))
    assert seen == wanted
    assert len(seen) >= COUNT
    assert len(listed(owner.see("/transcripts"))) == PAGE


def test_a_search_finds_words_of_any_script_and_no_operator_is_one(owner: Phone) -> None:
    def found(text: str) -> int:
        answer = owner.send("/transcripts", text=text)
        assert answer.status_code == 200, answer.text
        return len(listed(answer.text))

    assert found("item7") == found("牛奶 item7") == found("ITEM7 add") == found("牛奶7") == 1
    assert found("item1") == 11, "the last word may be only begun"
    assert found('"item7"') == found("item7*") == found("(item7") == 1
    for text in (
        "item7 OR item8",
        "NOT item7",
        "NEAR(item7 item8)",
        "words:item7",
        '"',
        "'",
        "*",
        "-",
        ";",
        "item7 AND",
    ):
        assert found(text) == 0, text


def test_a_search_goes_by_pages_and_leaves_no_word_in_an_address(owner: Phone) -> None:
    page = owner.send("/transcripts", text="item")
    seen = listed(page.text)
    while (place := re.findall(r'name="before" value="([^"]+)"', page.text)[-1:]) and place[0]:
        page = owner.send("/transcripts", text="item", before=place[0])
        seen += listed(page.text)
    assert len(seen) == len(set(seen)) == COUNT
    assert not re.findall(r'(?:href|action)="[^"]*item', page.text)


def test_filters_narrow_the_list_and_go_into_the_address(box: Daemon, owner: Phone) -> None:
    owner.send("/talk", text="colourless green ideas sleep")
    answer = owner.send("/transcripts", text="", outcome="not_understood", activated_by="control")
    assert answer.headers["location"] == "/transcripts?activated_by=control&outcome=not_understood"
    assert "colourless" in owner.see(answer.headers["location"])
    assert "add item" not in owner.see(answer.headers["location"])
    oldest = box.client.call("transcripts.list", {"limit": 1000})[-1]
    day = datetime.fromtimestamp(oldest["started_at"]).astimezone().date().isoformat()
    assert 0 < box.client.call("transcripts.kept", cast(Any, day_of(day)))["turns"] < COUNT
    assert oldest["id"] in listed(owner.see(older(owner.see(f"/transcripts?day={day}&tool=list_add"))))
    assert listed(owner.see(f"/transcripts?day={day}&tool=no_such_tool")) == []


@pytest.mark.parametrize(
    "query", ["before=x", "before=1_", "before=1e9_x", "day=2026-13-01", "day=x", "day=0001-01-01"]
)
def test_an_address_that_nobody_made_is_refused(owner: Phone, query: str) -> None:
    assert owner.browser.get(f"/transcripts?{query}").status_code == 400


def test_a_turn_is_shown_whole(box: Daemon, owner: Phone) -> None:
    turn = box.client.call("transcripts.list", {"limit": 1, "text": "item7"})[0]
    page = owner.see(f"/transcripts/{turn['id']}")
    for text in ("90 %", "moonshine", "HassListAddItem", "list_add", "word for word", "7 ms", "Until the answer"):
        assert text in page
    assert f"/transcripts/{turn['id']}" in owner.see("/transcripts?before=" + f"{turn['started_at'] + 1!r}_0")
    assert owner.browser.get("/transcripts/01a1fce443c5").status_code == 404


def test_how_it_was_said_is_shown_where_the_model_told(tmp_path: Path, box: Daemon, owner: Phone) -> None:
    [turn] = fill(tmp_path, [(time.time() - 60, "hello")], emotion="happy", sound_event="laughter")
    with running(tmp_path) as daemon:
        phone = daemon.phone()
        page = phone.see(f"/transcripts/{turn}")
    assert "<dt>Said in this mood</dt><dd>happy</dd>" in page
    assert "<dt>Also heard</dt><dd>laughter</dd>" in page
    silent = owner.see(f"/transcripts/{box.client.call('transcripts.list', {'limit': 1})[0]['id']}")
    assert "Said in this mood" not in silent
    assert "Also heard" not in silent


def test_what_was_read_first_is_shown_where_a_second_model_read_otherwise(tmp_path: Path) -> None:
    [turn] = fill(tmp_path, [(time.time() - 60, "whites the sky blew")], read_as="why is the sky blue")
    with running(tmp_path) as daemon:
        phone = daemon.phone()
        page = phone.see(f"/transcripts/{turn}")
        table = phone.send("/transcripts/export", format="csv")
    assert '<dd lang="en">why is the sky blue</dd>' in page
    assert '<dt>Read first as</dt><dd lang="en">whites the sky blew (moonshine)</dd>' in page
    [row] = csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"), newline=""))
    assert (row["heard"], row["other_readings"]) == ("why is the sky blue", "whites the sky blew")


def test_the_home_page_links_each_turn_and_says_how_long_it_took(owner: Phone) -> None:
    answer = owner.send("/talk", text="what time is it")
    assert re.search(r'/transcripts/[0-9a-f]{32}"><time>.*\n.*answered after \d+\.\d\d s', answer.text)


class _Markup(HTMLParser):
    """The elements and attributes that a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag if tag != "script" or dict(attrs).get("src") == "/static/live.js" else "inline script")
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("text", HOSTILE)
def test_no_word_is_ever_markup(owner: Phone, text: str) -> None:
    said = f"add {text} to my shopping list"
    typed = owner.send("/talk", text=said).text
    lists = [owner.see("/"), owner.see("/turns"), owner.see("/transcripts")]
    found = owner.send("/transcripts", text=said).text
    [newest] = listed(found)
    whole = [owner.see(f"/transcripts/{newest}"), owner.see(f"/transcripts/delete?id={newest}")]
    for page in (typed, *lists, found, *whole):
        assert escape(said) in page
        seen = _Markup(page)
        assert not seen.elements & {"inline script", "img", "svg"}
        assert not [name for name in seen.attributes if name.startswith("on") or name == "style"]


def test_a_guest_reads_nothing_and_deletes_nothing(box: Daemon) -> None:
    guest = box.phone("guest", "visitor")
    assert "/transcripts" not in guest.see("/")
    for place in ("/transcripts", "/transcripts/01a1fce443c5", "/transcripts/delete?all=1", "/egress"):
        assert guest.browser.get(place).status_code == 403, place
    for place, form in (
        ("/transcripts", {"text": "item"}),
        ("/transcripts/delete", {"all": "1"}),
        ("/transcripts/export", {"format": "csv"}),
    ):
        answer = guest.send(place, **form)
        assert answer.status_code == 403, place
        assert "item" not in answer.text
    assert {"transcripts.list", "transcripts.export", "transcripts.delete"} <= {
        row["action"] for row in audit_of(box) if row["outcome"] == "not_permitted"
    }


def test_who_may_read_and_not_change_is_offered_no_deletion(tmp_path: Path) -> None:
    with running(tmp_path, page={"guests_read": True}) as daemon:
        daemon.phone().send("/talk", text="what time is it")
        guest = daemon.phone("guest", "visitor")
        [turn] = listed(guest.see("/transcripts"))
        assert "delete" not in guest.see("/transcripts").lower().replace("is deleted by itself", "")
        assert "/transcripts/delete" not in guest.see(f"/transcripts/{turn}")
        assert guest.browser.get("/transcripts/delete?all=1").status_code == 403
        assert guest.send("/transcripts/delete", all="1").status_code == 403
        assert listed(guest.see("/transcripts")) == [turn]


def test_forms_of_other_sites_do_nothing(owner: Phone) -> None:
    for place in ("/transcripts", "/transcripts/delete", "/transcripts/export"):
        assert owner.browser.post(place, data={"all": "1", "format": "csv", "text": "item"}).status_code == 403


def test_deleting_asks_first_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    now = time.time()
    days = [now - 5 * 86_400, now - 3 * 86_400, now - 3 * 86_400, now]
    words = ["elephant", "giraffe", "flamingo", "hedgehog"]
    ids = fill(tmp_path, list(zip(days, words, strict=True)))
    with running(tmp_path) as daemon:
        owner = daemon.phone()

        def left() -> list[str]:
            files = b"".join(file.read_bytes() for file in tmp_path.glob("agentbox.db*"))
            return [word for word in words if word.encode() in files]

        assert left() == words
        assert "elephant" in owner.see(f"/transcripts/delete?id={ids[0]}")
        day = datetime.fromtimestamp(days[1]).astimezone().date().isoformat()
        assert "all 2 turns" in owner.see(f"/transcripts/delete?day={day}")
        assert "all 4 turns" in owner.see("/transcripts/delete?all=1")
        assert left() == words, "to be asked deletes nothing"
        assert owner.browser.get("/transcripts/delete").status_code == 400
        assert owner.send("/transcripts/delete").status_code == 400
        assert owner.browser.get("/transcripts/delete?id=01a1fce443c5").status_code == 404

        answer = owner.send("/transcripts/delete", id=ids[0])
        assert answer.headers["location"] == "/transcripts?deleted=1"
        assert "Turns deleted: 1." in owner.see(answer.headers["location"])
        assert left() == words[1:]
        assert owner.browser.get(f"/transcripts/{ids[0]}").status_code == 404
        owner.send("/transcripts/delete", day=day)
        assert left() == words[3:]
        owner.send("/transcripts/delete", all="1")
        assert left() == []
        assert listed(owner.see("/transcripts")) == []
        assert [row["outcome"] for row in audit_of(daemon) if row["action"] == "transcripts.delete"] == ["ok"] * 3
        with sqlite3.connect(tmp_path / "agentbox.db") as database:
            assert database.execute("SELECT count(*) FROM stage_times").fetchone() == (0,)


def test_an_export_holds_every_turn_in_both_forms_and_is_written_down(tmp_path: Path) -> None:
    count = 600
    hostile = '=HYPERLINK("http://x")\n\'牛奶\', "quoted"'
    fill(
        tmp_path,
        [(time.time() - count + number, f"turn{number}") for number in range(count)] + [(time.time(), hostile)],
    )
    with running(tmp_path) as daemon:
        owner = daemon.phone()
        lines = owner.send("/transcripts/export", format="jsonl")
        assert "content-length" not in lines.headers
        assert re.fullmatch(r'attachment; filename="agentbox-[0-9-]+\.jsonl"', lines.headers["content-disposition"])
        turns = [json.loads(line) for line in lines.text.splitlines()]
        assert turns == list(daemon.client.stream("transcripts.export"))
        assert [turn["text"] for turn in turns[:-1]] == [f"turn{number}" for number in range(count)]
        table = owner.send("/transcripts/export", format="csv")
        assert table.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"), newline="")))
        assert [row["id"] for row in rows] == [turn["id"] for turn in turns]
        assert rows[-1]["text"] == f"'{hostile}", "no spreadsheet takes it for a formula"
        assert (rows[0]["tools"], rows[0]["outcome"], rows[0]["decode_ms"]) == ("list_add", "done", "7.0")
        assert owner.send("/transcripts/export", format="xls").status_code == 400
        exported = "transcripts.export"  # whose row is written after the last byte
        until(lambda: [r["outcome"] for r in audit_of(daemon) if r["action"] == exported] == ["ok"] * 2, daemon)


class _Endless:
    """A box with more turns than any memory holds."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = False

    async def stream(self, method: str) -> AsyncIterator[dict[str, Any]]:
        assert method == "transcripts.export"
        try:
            while True:
                self.asked += 1
                yield {"id": self.asked, "transcript": None, "intent": None, "tool_calls": [], "replies": []} | {
                    "started_at": 0.0,
                    "activated_by": "control",
                    "text": "x",
                    "readings": [],
                    "latency": {
                        "silence_ms": None,
                        "decode_ms": None,
                        "tool_ms": None,
                        "answer_ms": None,
                        "sound_ms": None,
                    },
                }
        finally:
            self.closed = True


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
async def test_an_export_is_never_in_memory_as_a_whole(kind: str) -> None:
    box = _Endless()
    answer = cast(Any, await export.download(cast(Asker, box), kind))
    pieces = answer.body_iterator
    for number in range(1, 50):
        await anext(pieces)
        assert box.asked <= number + 1
    await pieces.aclose()
    assert box.closed


def test_places_and_days_are_read_or_refused() -> None:
    assert place_of("") == day_of("") == {}
    assert place_of("1790000000.125_01a1fc") == {"before": 1790000000.125, "before_id": "01a1fc"}
    day = day_of("2026-03-29")
    assert 22 * 3600 <= day["until"] - day["since"] <= 26 * 3600
    with pytest.raises(InputError):
        place_of("1790000000_<x>")
