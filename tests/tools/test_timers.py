"""Timers, alarms and reminders as tools: what is said, what is kept, and that they ring."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from agentbox.errors import StorageError
from agentbox.messages import JSON, Reply
from agentbox.tools.store import MemoryStore, Store
from agentbox.tools.time_source import SystemClock
from agentbox.tools.timers import Ringer
from agentbox.tools.timers.book import RING_S

from .box import Box, SetClock, a_box


def ring(box: Box, clock: SetClock) -> list[str]:
    """What the box says unasked when it looks now."""
    service = box.runner._services["timers"]
    assert isinstance(service, Ringer)
    box.said.clear()
    service.ring(clock.read())
    return box.replies


async def said(box: Box, tool: str, **arguments: Any) -> str:
    result = await box.call(tool, **arguments)
    assert result.ok, result
    return result.text


async def refused(box: Box, tool: str, **arguments: Any) -> tuple[str | None, str]:
    result = await box.call(tool, **arguments)
    assert not result.ok
    return result.error_code, result.text


async def test_a_named_timer_from_start_to_end() -> None:
    clock = SetClock()
    async with a_box(clock=clock) as box:
        assert await said(box, "start_timer", hours=1, minutes="10", name="pizza") == (
            "Pizza timer set for 1 hour and 10 minutes."
        )
        clock.pass_(minutes=50, seconds=5)
        assert await said(box, "timer_status", name="pizza") == "Pizza timer: 19 minutes and 55 seconds left."
        assert ring(box, clock) == []
        clock.pass_(minutes=20)
        assert ring(box, clock) == ["Your pizza timer is done."]
        [alert] = box.said
        assert alert == Reply(utterance_id="", text="Your pizza timer is done.", sound="timer", outcome="alert")
        clock.pass_(seconds=4)
        assert ring(box, clock) == [""]  # the sound again, without words
        assert await said(box, "stop") == "Stopped."
        assert await said(box, "stop") == "All right."
        clock.pass_(seconds=4)
        assert ring(box, clock) == []
        assert (await refused(box, "timer_status"))[0] == "timer_none"


async def test_several_timers_and_which_is_meant() -> None:
    clock = SetClock()
    async with a_box(clock=clock) as box:
        await said(box, "start_timer", minutes=5)
        await said(box, "start_timer", minutes=10)
        await said(box, "start_timer", minutes=10, name="eggs")
        code, text = await refused(box, "cancel_timer")
        assert code == "timer_ambiguous"
        assert text == "There are several: timer for 5 minutes, timer for 10 minutes and eggs timer. Which one?"
        assert await said(box, "cancel_timer", start_minutes=5) == "Timer for 5 minutes cancelled."
        assert (await refused(box, "cancel_timer", start_minutes=10))[0] == "timer_ambiguous"
        assert await said(box, "cancel_timer", name="Egg") == "Eggs timer cancelled."
        assert (await refused(box, "cancel_timer", name="pizza"))[0] == "timer_not_found"
        assert await said(box, "cancel_timer") == "Timer for 10 minutes cancelled."
        assert (await refused(box, "cancel_timer"))[0] == "timer_none"


async def test_pause_resume_more_and_less_time() -> None:
    clock = SetClock()
    async with a_box(clock=clock) as box:
        await said(box, "start_timer", minutes=5)
        assert (await refused(box, "resume_timer"))[0] == "timer_not_paused"
        clock.pass_(minutes=1)
        assert await said(box, "pause_timer") == "Timer for 5 minutes paused with 4 minutes left."
        assert (await refused(box, "pause_timer"))[0] == "timer_not_running"
        clock.pass_(hours=5)
        assert await said(box, "timer_status") == "Timer for 5 minutes: paused with 4 minutes left."
        assert await said(box, "resume_timer") == "Timer for 5 minutes goes on, 4 minutes left."
        assert await said(box, "increase_timer", minutes=2) == "Timer for 5 minutes: 6 minutes left now."
        assert await said(box, "undo") == "Timer for 5 minutes: 4 minutes left now."
        assert await said(box, "decrease_timer", hours=1) == "Timer for 5 minutes: 0 seconds left now."
        assert ring(box, clock) == ["Your timer for 5 minutes is done."]
        assert await said(box, "increase_timer", minutes=1) == "Timer for 5 minutes: 1 minute left now."


async def test_stop_the_timer_means_the_one_that_rings() -> None:
    clock = SetClock()
    async with a_box(clock=clock) as box:
        await said(box, "start_timer", minutes=1, name="tea")
        await said(box, "start_timer", minutes=9)
        clock.pass_(minutes=1)
        assert ring(box, clock) == ["Your tea timer is done."]
        assert await said(box, "cancel_timer") == "Tea timer stopped."
        assert await said(box, "timer_status") == "Timer for 9 minutes: 8 minutes left."


async def test_another_length_for_the_timer_that_was_set_last() -> None:
    clock = SetClock()
    async with a_box(clock=clock) as box:
        assert (await refused(box, "change_timer", minutes=10))[0] == "timer_none"
        await said(box, "start_timer", minutes=30)
        await said(box, "start_timer", minutes=5, name="pizza")
        clock.pass_(minutes=1)
        assert await said(box, "change_timer", minutes=10) == "Pizza timer set for 10 minutes."
        assert await said(box, "undo") == "All right, it is back."
        assert await said(box, "timer_status", name="pizza") == "Pizza timer: 4 minutes left."
        assert (await refused(box, "change_timer"))[0] == "timer_no_duration"
        assert (await refused(box, "change_timer", hours=999))[0] == "timer_too_long"
        assert await said(box, "timer_status", start_minutes=30) == "Timer for 30 minutes: 29 minutes left."
        clock.pass_(minutes=4)
        assert ring(box, clock) == ["Your pizza timer is done."]
        await said(box, "change_timer", minutes=2)
        assert box.talk.last_undo is None  # it rang: there is no way back
        clock.pass_(minutes=1)
        assert ring(box, clock) == []
        clock.pass_(minutes=1)
        assert ring(box, clock) == ["Your pizza timer is done."]


@pytest.mark.parametrize("cancel", ["cancel_timer", "cancel_all_timers"])
async def test_what_was_done_can_be_taken_back(cancel: str) -> None:
    clock = SetClock()
    async with a_box(clock=clock) as box:
        await said(box, "start_timer", minutes=5)
        assert await said(box, "undo") == "Timer for 5 minutes cancelled."
        await said(box, "start_timer", minutes=5)
        await said(box, cancel)
        clock.pass_(minutes=2)
        assert await said(box, "undo") == "All right, it is back."
        assert await said(box, "timer_status") == "Timer for 5 minutes: 3 minutes left."
        assert await said(box, "undo") == "There is nothing to take back."


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "timer_no_duration"),
        ({"hours": 31 * 24 + 1}, "timer_too_long"),
        ({"minutes": -5}, "tool_bad_arguments"),
    ],
)
async def test_a_duration_that_is_none(arguments: dict[str, Any], code: str) -> None:
    async with a_box() as box:
        assert (await refused(box, "start_timer", **arguments))[0] == code


async def test_there_is_an_end_to_how_many() -> None:
    async with a_box() as box:
        for _ in range(100):
            await said(box, "start_timer", minutes=1)
        assert (await refused(box, "set_reminder", in_minutes=1))[0] == "timers_full"


async def test_alarms() -> None:
    clock = SetClock()  # a Saturday, 10 in the morning
    async with a_box(clock=clock) as box:
        assert await said(box, "list_alarms") == "No alarm is set."
        assert (
            await said(box, "set_alarm", hour=7, minute=30, period="am") == "Your alarm will ring tomorrow at 7:30 AM."
        )
        assert await said(box, "set_alarm", hour=6, day="monday", name="work") == (
            "Your work alarm will ring on Monday at 6 AM."
        )
        assert await said(box, "set_alarm", in_minutes=90) == "Your alarm will ring today at 11:30 AM."
        assert await said(box, "list_alarms") == (
            "You have these alarms: today at 11:30 AM, tomorrow at 7:30 AM and work, on Monday at 6 AM."
        )
        assert (await refused(box, "cancel_alarm"))[0] == "alarm_ambiguous"
        assert await said(box, "cancel_alarm", hour=7, minute=30) == "Cancelled: the alarm tomorrow at 7:30 AM."
        assert await said(box, "undo") == "All right, it is back."
        assert await said(box, "cancel_alarm", day="tomorrow") == "Cancelled: the alarm tomorrow at 7:30 AM."
        assert (await refused(box, "cancel_alarm", hour=7, minute=30))[0] == "alarm_not_found"
        clock.pass_(minutes=90)
        assert ring(box, clock) == ["It is 11:30 AM: your alarm."]
        assert await said(box, "cancel_alarm", hour=11, minute=30) == "Cancelled: the alarm today at 11:30 AM."
        assert await said(box, "cancel_alarm", name="work") == "Cancelled: the work alarm on Monday at 6 AM."
        assert (await refused(box, "set_alarm"))[0] == "time_missing"
        assert (await refused(box, "set_alarm", hour=9, period="am", day="today"))[0] == "time_past"
        assert (await refused(box, "set_alarm", hour=14, period="am"))[0] == "time_unclear"


async def test_reminders() -> None:
    clock = SetClock()
    async with a_box(clock=clock) as box:
        assert await said(box, "set_reminder", message="call mum", day="tomorrow", hour=8) == (
            "I will remind you tomorrow at 8 AM: call mum."
        )
        assert await said(box, "set_reminder", message="water the plants", in_minutes=10) == (
            "I will remind you in 10 minutes: water the plants."
        )
        assert (
            await said(box, "set_reminder", message="pay", day="monday") == "I will remind you on Monday at 9 AM: pay."
        )
        assert await said(box, "list_reminders") == (
            "You have these reminders: water the plants, today at 10:10 AM, call mum, tomorrow at 8 AM and pay, "
            "on Monday at 9 AM."
        )
        clock.pass_(minutes=10)
        assert ring(box, clock) == ["Reminder: water the plants."]
        await said(box, "nevermind")
        assert await said(box, "cancel_reminder", message="call my mum") == "Cancelled: call mum, tomorrow at 8 AM."
        assert await said(box, "cancel_reminder") == "Cancelled: pay, on Monday at 9 AM."
        assert (await refused(box, "cancel_reminder"))[0] == "reminder_none"
        assert (await refused(box, "set_reminder", message="x"))[0] == "time_missing"


async def test_another_time_for_the_alarm_that_was_set_last() -> None:
    clock = SetClock()  # a Saturday, 10 in the morning
    async with a_box(clock=clock) as box:
        assert (await refused(box, "change_alarm", hour=8))[0] == "alarm_none"
        await said(box, "set_alarm", hour=9, day="sunday")
        await said(box, "set_alarm", hour=7, day="monday", name="work")
        assert await said(box, "change_alarm", hour=8) == "Your work alarm will ring on Monday at 8 AM."
        assert await said(box, "change_alarm", day="tomorrow") == "Your work alarm will ring tomorrow at 8 AM."
        assert await said(box, "undo") == "All right, it is back."
        assert await said(box, "change_alarm", in_hours=1) == "Your work alarm will ring today at 11 AM."
        assert await said(box, "change_alarm", hour=7, minute=30, period="pm") == (
            "Your work alarm will ring today at 7:30 PM."
        )
        assert (await refused(box, "change_alarm"))[0] == "time_missing"
        assert (await refused(box, "change_alarm", hour=9, period="am", day="today"))[0] == "time_past"
        assert await said(box, "list_alarms") == ("You have these alarms: work, today at 7:30 PM and tomorrow at 9 AM.")


async def test_another_time_for_the_reminder_that_was_set_last() -> None:
    clock = SetClock()
    async with a_box(clock=clock) as box:
        assert (await refused(box, "change_reminder", hour=8))[0] == "reminder_none"
        await said(box, "set_reminder", message="call mum", day="tomorrow", hour=8)
        assert await said(box, "change_reminder", hour=8, minute=30) == (
            "I will remind you tomorrow at 8:30 AM: call mum."
        )
        assert await said(box, "change_reminder", hour=3, day="monday") == (
            "I will remind you on Monday at 3 PM: call mum."
        )
        assert await said(box, "change_reminder", in_seconds=90) == (
            "I will remind you in 1 minute and 30 seconds: call mum."
        )
        clock.pass_(seconds=90)
        assert ring(box, clock) == ["Reminder: call mum."]


async def test_cancel_all_of_one_kind_and_take_it_back() -> None:
    async with a_box() as box:
        assert (await refused(box, "cancel_all_alarms"))[0] == "alarm_none"
        assert (await refused(box, "cancel_all_reminders"))[0] == "reminder_none"
        await said(box, "start_timer", minutes=5)
        await said(box, "set_alarm", hour=7)
        await said(box, "set_alarm", hour=8)
        await said(box, "set_reminder", message="pay", in_hours=1)
        assert await said(box, "cancel_all_alarms") == "All alarms cancelled."
        assert await said(box, "undo") == "All right, it is back."
        assert len((await box.call("list_alarms")).data) == 2
        assert await said(box, "cancel_all_reminders") == "All reminders cancelled."
        assert await said(box, "list_reminders") == "There is no reminder."
        assert len((await box.call("list_alarms")).data) == 2
        assert len((await box.call("timer_status")).data) == 1


async def test_in_chinese() -> None:
    clock = SetClock()
    async with a_box(clock=clock, language="zh-CN") as box:
        assert await said(box, "start_timer", minutes=5) == "好的，计时5分钟。"
        assert await said(box, "set_alarm", hour=8, period="pm", day="tomorrow") == "好的，明天晚上8点的闹钟。"
        assert await said(box, "change_alarm", hour=9) == "好的，明天晚上9点的闹钟。"
        assert await said(box, "cancel_all_alarms") == "所有闹钟都已取消。"
        assert await said(box, "set_reminder", message="开会", in_hours=1) == "好的，我会在1小时后提醒你：开会。"
        clock.pass_(minutes=5)
        assert ring(box, clock) == ["5分钟的计时器时间到了。"]
        await said(box, "stop")
        clock.pass_(minutes=75)
        assert ring(box, clock) == ["20分钟前的提醒：开会。"]


async def test_all_of_it_survives_a_restart_and_a_reboot() -> None:
    clock = SetClock()
    stores: dict[str, Store] = {}
    async with a_box(clock=clock, stores=stores) as box:
        await said(box, "start_timer", minutes=30, name="pizza")
        await said(box, "start_timer", hours=3)
        await said(box, "set_alarm", hour=10, minute=20, period="am")
        await said(box, "set_alarm", hour=10, minute=5, period="am", day="today")
        await said(box, "set_reminder", message="call mum", in_minutes=50)
    clock.reboot(minutes=70)
    async with a_box(clock=clock, stores=stores) as box:
        assert ring(box, clock) == [
            "I missed your alarm today at 10:05 AM.",
            "Your alarm for 10:20 AM was 50 minutes ago.",
            "Your pizza timer was done 40 minutes ago.",
            "Reminder from 20 minutes ago: call mum.",
        ]
        assert await said(box, "timer_status", start_hours=3) == "Timer for 3 hours: 1 hour and 50 minutes left."
        clock.pass_(seconds=RING_S)
        ring(box, clock)
    async with a_box(clock=clock, stores=stores) as box:
        assert ring(box, clock) == []
        assert len((await box.call("timer_status")).data) == 1


class FullDisk(MemoryStore):
    def put(self, key: str, value: JSON) -> None:
        raise StorageError("disk_full", "The disk is full.", "Free some space.")


async def test_on_a_full_disk_timers_still_run_and_the_owner_is_told() -> None:
    clock = SetClock()
    async with a_box(clock=clock, stores={"timers": FullDisk()}) as box:
        await said(box, "start_timer", minutes=1)
        assert box.notices == ["timers_not_saved"]
        clock.pass_(minutes=1)
        assert ring(box, clock) == ["Your timer for 1 minute is done."]


async def test_what_was_kept_and_cannot_be_read_is_told() -> None:
    store = MemoryStore()
    store.put("book", {"entries": "?"})
    async with a_box(stores={"timers": store}) as box:
        assert box.notices == ["timers_not_read"]
        await said(box, "start_timer", minutes=1)


async def test_it_really_rings() -> None:
    async with a_box(clock=SystemClock()) as box:
        life = asyncio.create_task(box.runner.services()["timers"]())
        await asyncio.sleep(0.05)  # asleep with nothing to wait for; a new timer wakes it
        before = SystemClock().read()
        await said(box, "start_timer", seconds=1)
        async with asyncio.timeout(20):
            while not box.replies:
                await asyncio.sleep(0.02)
        assert box.replies == ["Your timer for 1 second is done."]
        assert SystemClock().read().wall - before.wall >= timedelta(seconds=0.99)
        life.cancel()
        with pytest.raises(asyncio.CancelledError):
            await life
