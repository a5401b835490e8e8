"""What left the box is shown with what it came to; and that nothing has, where nothing has."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from agentbox.messages import Egress, new_id
from agentbox.page.chart import DAY_WIDTH, HEIGHT, LEAST, charts
from tests.page.conftest import Daemon, running
from tests.page.filling import fill

USES = 40
HOSTILE = "<b>cloud</b>"


def use(number: int) -> Egress:
    return Egress(
        id=new_id(),
        backend=("first", HOSTILE)[number % 2],
        model="m1",
        reason="turn",
        turn_id="",
        seconds_out=3.0,
        seconds_in=9.0,
        bytes_out=2000,
        bytes_in=1000,
        price=0.0125,
        outcome="ok" if number % 10 else "cloud_closed",
    )


@pytest.fixture(scope="module")
def noon() -> Iterator[None]:
    """Where it is about noon now: today is the same day until the last test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", f"NOON{time.gmtime().tm_hour - 12:+d}")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="module")
def box(noon: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Of today four uses, all at one moment; of some days before, the others."""
    state = tmp_path_factory.mktemp("egress")
    now = time.time()
    at = [now if number < 4 else now - (1 + number % 3) * 86_400 for number in range(USES)]
    fill(state, [], [(one, use(number)) for number, one in enumerate(at)])
    with running(state, cloud={"minutes_per_day": 10, "money_per_day": 0.05}) as daemon:
        yield daemon


def test_a_box_from_which_nothing_left_says_so(daemon: Daemon) -> None:
    page = daemon.phone().see("/egress")
    assert "Nothing has left this box." in page
    assert "<svg" not in page
    assert "The cloud is off." in page
    chinese = daemon.browser(Cookie=f"{daemon.phone().cookie}; agentbox-language=zh").get("/egress").text
    assert "没有任何内容离开过这个盒子" in chinese


def test_every_use_is_there_once_by_pages(box: Daemon) -> None:
    owner = box.phone()
    page, rows = owner.see("/egress"), 0
    while True:
        table = page.rpartition("<tbody>")[2]
        rows += table.count("<tr>")
        following = re.findall(r'rel="next" href="([^"]+)"', page)
        if not following:
            break
        page = owner.see(following[0])
    assert rows == USES
    assert owner.browser.get("/egress?before=x").status_code == 400


def test_the_days_are_drawn_and_told(box: Daemon) -> None:
    page = box.phone().see("/egress")
    assert page.count("<svg") == 3 * 2, "seconds, bytes and price, of two backends"
    assert page.count('role="img"') == 6
    assert "style" not in page.replace("stylesheet", "")
    assert HOSTILE not in page
    assert "&lt;b&gt;cloud&lt;/b&gt;" in page
    today = datetime.now().astimezone().date().isoformat()
    assert f"<title>{today}: 24.0 s</title>" in page
    assert f'<th scope="row">{today}</th><td>first</td><td class="number">2</td>' in page
    assert "cloud_closed" in page


def test_the_budget_says_what_was_used_and_what_is_left(box: Daemon) -> None:
    budget = box.client.call("egress.budget")
    assert (budget["spent_minutes"], budget["left_minutes"]) == pytest.approx((0.8, 9.2))
    assert (budget["spent_money"], budget["left_money"]) == pytest.approx((0.05, 0.0))
    page = box.phone().see("/egress")
    assert "0.8 of 10.0 used; 9.2 left" in page
    assert "0.0500 of 0.0500 used; 0.0000 left" in page


def row(day: str, backend: str = "b", **values: float) -> dict[str, object]:
    names = ("seconds_out", "seconds_in", "bytes_out", "bytes_in", "price")
    return {"day": day, "backend": backend, **dict.fromkeys(names, 0.0), **values}


def test_bars_stand_on_the_ground_and_share_one_scale() -> None:
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    sums = [
        row(days[0], seconds_out=30.0, seconds_in=30.0),
        row(days[2], seconds_out=15.0),
        row(days[2], "a", seconds_out=0.001),
        row("2025-12-31", seconds_out=999.0),
    ]
    found = charts(sums, days)
    assert list(found) == ["seconds"], "nothing is drawn of what was nothing"
    first, second = found["seconds"]
    assert (first.backend, second.backend) == ("a", "b")
    assert [(bar.day, bar.height) for bar in second.bars] == [(days[0], HEIGHT), (days[2], HEIGHT / 4)]
    assert [bar.height for bar in first.bars] == [LEAST]
    assert all(bar.y + bar.height == HEIGHT for bar in first.bars + second.bars)
    assert second.bars[1].x == 2 * DAY_WIDTH
    assert (second.total, second.most, second.width) == (75.0, 60.0, 3 * DAY_WIDTH)
    assert charts([], days) == {}
