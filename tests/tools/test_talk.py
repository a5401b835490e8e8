"""Stop, never mind, say that again, what can you do, cancel that; time and date."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from agentbox import config
from agentbox.tools.time_source import SystemClock, local_zone

from .box import SetClock, a_box


async def test_stop_silences_what_plays() -> None:
    async with a_box() as box:
        box.talk.playing = True
        assert (await box.call("stop")).text == "Stopped."
        assert not box.talk.playing
        assert (await box.call("stop")).text == "All right."


async def test_say_that_again() -> None:
    async with a_box() as box:
        assert (await box.call("repeat")).text == "I have not said anything yet."
        await box.call("get_date")
        assert (await box.call("repeat")).text == "It is Saturday, November 21, 2026."


async def test_help_names_what_the_box_can_do() -> None:
    web = [config.WebRequest(name="last_orders", url="http://127.0.0.1/")]
    async with a_box(config.Tools(web=web)) as box:
        result = await box.call("help")
        assert result.text == (
            "I can tell the time and the date, set timers, alarms and reminders, keep lists, change the volume, "
            "pair a new phone and do more: last orders."
        )
        assert {"name": "get_time", "description": "Tell what time it is."} in result.data
    async with a_box(language="zh") as box:
        assert (
            await box.call("help")
        ).text == "我可以报时间和日期、设置计时器、闹钟和提醒、记清单、调音量和配对新手机。"


async def test_taking_back_obeys_the_policy_too() -> None:
    settings = config.Tools(policy={"cancel_timer": {"speech": "deny"}})
    async with a_box(settings) as box:
        await box.call("start_timer", minutes=5)
        assert (await box.call("undo")).error_code == "tool_denied"


async def test_taking_back_what_needs_a_yes_is_not_done_in_passing() -> None:
    settings = config.Tools(policy={"cancel_timer": {"speech": "confirm"}})
    async with a_box(settings) as box:
        await box.call("start_timer", minutes=5)
        assert (await box.call("undo", confirmed=True)).error_code == "tool_denied"
        assert (await box.call("timer_status")).ok


async def test_the_result_names_the_tool_that_took_it_back() -> None:
    async with a_box() as box:
        await box.call("start_timer", minutes=5)
        result = await box.undo()
        assert (result.tool, result.undo) == ("cancel_timer", None)


async def test_taking_back_cannot_be_done_twice() -> None:
    async with a_box() as box:
        await box.call("add_item", item="milk")
        assert (await box.undo()).text == "Removed milk from your shopping list."
        assert (await box.undo()).text == "There is nothing to take back."


async def test_time_and_date() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    clock = SetClock(datetime(2026, 11, 21, 15, 4, tzinfo=zone), zone)
    async with a_box(clock=clock) as box:
        assert (await box.call("get_time")).text == "It is 3:04 PM."
        assert (await box.call("get_time")).data == {"now": "2026-11-21T15:04:00+08:00"}
    async with a_box(clock=clock, language="zh") as box:
        assert (await box.call("get_time")).text == "现在是下午3点04分。"
        assert (await box.call("get_date")).text == "今天是2026年11月21日，星期六。"


@pytest.mark.parametrize(
    ("value", "summer_hours"),
    [("Europe/Berlin", 2), (":Europe/Berlin", 2), ("/usr/share/zoneinfo/Asia/Tokyo", 9), ("Etc/UTC", 0)],
)
def test_the_zone_is_the_machines(monkeypatch: pytest.MonkeyPatch, value: str, summer_hours: int) -> None:
    monkeypatch.setenv("TZ", value)
    offset = datetime(2026, 7, 1, tzinfo=local_zone()).utcoffset()
    assert offset is not None
    assert offset.total_seconds() == summer_hours * 3600


def test_a_zone_that_is_a_rule_still_gives_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "NOT/A/ZONE")
    assert SystemClock().read().wall.tzinfo is not None


def test_the_machines_clocks() -> None:
    clock = SystemClock()
    one, two = clock.read(), clock.read()
    assert one.elapsed_s <= two.elapsed_s
    assert one.boot_id == two.boot_id
