"""What the box says, in its owner's language: short sentences (en.yaml, zh.yaml) and how times and counts are said.

The language is picked by its primary subtag (`zh-CN` -> `zh`); any other than Chinese is answered in English.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from importlib import resources
from typing import Protocol

from agentbox import package_yaml

LANGUAGES = ("en", "zh")


class Grammar(Protocol):
    """How one language says durations, times and lists."""

    def duration(self, seconds: float) -> str:
        """ "1 hour and 10 minutes"; rounded to whole seconds."""

    def time(self, moment: datetime) -> str:
        """ "7:30 AM": the time of day of `moment`, as its own clock shows it."""

    def calendar_day(self, day: date) -> str:
        """ "Saturday, November 21, 2026"."""

    def day(self, day: date, today: date) -> str:
        """ "tomorrow", "on Sunday": a day as seen from `today`."""

    def when(self, moment: datetime, now: datetime) -> str:
        """ "tomorrow at 7:30 AM": a moment as seen from `now`."""

    def join(self, items: Sequence[str]) -> str:
        """ "milk, eggs and bread"."""


class English:
    _WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    _MONTHS = (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    )

    def duration(self, seconds: float) -> str:
        units = zip(_split(seconds), ("day", "hour", "minute", "second"), strict=True)
        return self.join([f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in units if count]) or (
            "0 seconds"
        )

    def time(self, moment: datetime) -> str:
        if moment.minute == 0 and moment.hour in (0, 12):
            return "noon" if moment.hour else "midnight"
        minute = f":{moment.minute:02}" if moment.minute else ""
        return f"{(moment.hour + 11) % 12 + 1}{minute} {'AM' if moment.hour < 12 else 'PM'}"

    def calendar_day(self, day: date) -> str:
        return f"{self._WEEKDAYS[day.weekday()]}, {self._MONTHS[day.month - 1]} {day.day}, {day.year}"

    def day(self, day: date, today: date) -> str:
        ahead = (day - today).days
        if ahead in (-1, 0, 1):
            return ("yesterday", "today", "tomorrow")[ahead + 1]
        weekday = f"on {self._WEEKDAYS[day.weekday()]}"
        return weekday if 0 < ahead < 7 else f"{weekday}, {self._MONTHS[day.month - 1]} {day.day}"

    def when(self, moment: datetime, now: datetime) -> str:
        return f"{self.day(moment.date(), now.date())} at {self.time(moment)}"

    def join(self, items: Sequence[str]) -> str:
        return " and ".join([*([", ".join(items[:-1])] if len(items) > 1 else []), *items[-1:]])


class Chinese:
    _WEEKDAYS = "一二三四五六日"
    _PERIODS = ((5, "凌晨"), (9, "早上"), (12, "上午"), (13, "中午"), (18, "下午"), (24, "晚上"))

    def duration(self, seconds: float) -> str:
        units = zip(_split(seconds), ("天", "小时", "分钟", "秒"), strict=True)
        return "".join(f"{count}{unit}" for count, unit in units if count) or "0秒"

    def time(self, moment: datetime) -> str:
        period = next(name for end, name in self._PERIODS if moment.hour < end)
        hour = moment.hour - 12 if moment.hour > 12 else moment.hour
        minute = {0: "", 30: "半"}.get(moment.minute, f"{moment.minute:02}分")
        return f"{period}{hour}点{minute}"

    def calendar_day(self, day: date) -> str:
        return f"{day.year}年{day.month}月{day.day}日，星期{self._WEEKDAYS[day.weekday()]}"

    def day(self, day: date, today: date) -> str:
        ahead = (day - today).days
        if -2 < ahead < 3:
            return ("昨天", "今天", "明天", "后天")[ahead + 1]
        weekday = f"星期{self._WEEKDAYS[day.weekday()]}"
        return weekday if 0 < ahead < 7 else f"{day.month}月{day.day}日{weekday}"

    def when(self, moment: datetime, now: datetime) -> str:
        return f"{self.day(moment.date(), now.date())}{self.time(moment)}"

    def join(self, items: Sequence[str]) -> str:
        return "和".join([*(["、".join(items[:-1])] if len(items) > 1 else []), *items[-1:]])


class Phrases:
    """The sentences of one language. `grammar` says durations, times and lists in it.

    `manner`: sentences that there are in it (`<key>.<manner>`) go before the plain ones; `own`: the owner's, before
    all.
    """

    def __init__(self, language: str, manner: str = "plain", own: Mapping[str, str] | None = None) -> None:
        self.language = spoken_language(language)
        self.grammar: Grammar = Chinese() if self.language == "zh" else English()
        every = load(self.language)
        in_manner = {key.removesuffix(f".{manner}"): text for key, text in every.items() if key.endswith(f".{manner}")}
        self.sentences: Mapping[str, str] = {**every, **in_manner, **(own or {})}
        """By key, with their placeholders."""

    def say(self, key: str, **values: object) -> str:
        """The sentence `key` with its `{placeholders}` filled, and a capital at its start."""
        sentence = self.part(key, **values)
        return sentence[:1].upper() + sentence[1:]

    def part(self, key: str, **values: object) -> str:
        """As `say`, for a piece that goes into a sentence. What a value holds is never read as a template."""
        return self.sentences[key].format(**values)

    def failure(self, code: str) -> str:
        """What is said for an error: its own sentence, if there is one that needs no more words, or the general one."""
        sentence = self.sentences.get(code, "")
        return sentence if sentence and "{" not in sentence else self.sentences["tool_failed"]


def spoken_language(language: str) -> str:
    """The one of `LANGUAGES` in which a box of `language` (BCP-47) answers."""
    subtag = language.lower().split("-")[0]
    return subtag if subtag in LANGUAGES else "en"


def load(language: str) -> dict[str, str]:
    """All sentences of `language`, one of `LANGUAGES`."""
    sentences: dict[str, str] = package_yaml.read(resources.files(__name__) / f"{language}.yaml")
    return sentences


def _split(seconds: float) -> tuple[int, int, int, int]:
    """Days, hours, minutes and seconds."""
    whole = timedelta(seconds=round(max(0.0, seconds)))
    minutes, second = divmod(whole.seconds, 60)
    return whole.days, *divmod(minutes, 60), second
