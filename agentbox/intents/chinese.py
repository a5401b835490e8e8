"""Chinese as recognisers write it, brought to the form its sentences are written in. Pure text in, pure text out.

Numbers past a hundred become digits before a measure word, "二点五小时" and "一个半小时" become "2个半小时", twelve at
night no noon. English number words count where a Chinese one could stand ("ten 分钟", "音量调到 fifty percent"), and so
do English measure words after a number; other English words are left to the sentences, names and lists.
"""

from __future__ import annotations

import re

CJK = "\u4e00-\u9fff\u3400-\u4dbf\u3040-\u30ff\uac00-\ud7af"
"""Character ranges of scripts without spaces, as hassil has them (`hassil.util.CJK`)."""

_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"两": 2}
_MEASURE = r"(?=个?(?:分|秒|小时|钟头))"

_FILLERS = re.compile(rf"^(?:[嗯呃哎][\s,。、…]*)+(?=[{CJK}]{{2}})")
_BRACKETS = re.compile(r'["《》〈〉【】「」『』()\[\]{}~]|-{2,}|[—–―…]|\.{2,}')
_POINTS = re.compile(rf"(?<=[{CJK}])\s*[,;:、]\s*|\s*[,;、]\s*(?=[{CJK}])|[、,;]\s*$")

_NINE = "[一二三四五六七八九]"
_HUNDREDS = re.compile(rf"([一二两三四五六七八九])百(?:零({_NINE})|({_NINE})(?:十({_NINE})?)?)?{_MEASURE}")
_TENTHS = re.compile(r"百分之百")
_PARTS_OF_TEN = re.compile(r"(?<=[到为成至])([一二两三四五六七八九])成(?=[吧了\s,。!]*$)")

_ZERO_AND_A_HALF = re.compile(r"(?<![\d.点])(?:零点五|0\.5)个?(?=小时|钟头)")
_SPOKEN_HALF = re.compile(r"(?<![点十百\d])([一二两三四五六七八九十])点五个?(?=小时|钟头)")
_HALF = re.compile(r"(?<![\d.])(\d{1,2})\.5个?(?=小时|钟头)")
_ONE_AND_A_HALF = re.compile(r"(?<![一二两三四五六七八九十百\d])一个半(?=小时|钟头)")
_SMALL_HOURS = re.compile(r"(?:半夜|午夜|深夜|夜里)(?=(?:一|两|二|三|四|五|[1-5])点)")
_NIGHT = re.compile(r"(?:半夜|午夜|深夜|夜里|(?<=今)夜)(?=(?:七|八|九|十|十一|十二|零|[7-9]|1[0-2]|0)点)")

_WORDS_TO_19 = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_ONES = dict(zip(_WORDS_TO_19.split(), range(1, 20), strict=True))
_TENS = dict(
    zip(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], range(20, 100, 10), strict=True)
)
_TEN, _ONE, _SMALL = ("|".join(words) for words in (_TENS, list(_ONES)[:9], _ONES))
_NUMBER = rf"(?<![A-Za-z])(?:({_TEN})(?:[ -]?({_ONE}))?|({_SMALL}))(?![A-Za-z])"
_UNITS = {"hour": "小时", "hr": "小时", "minute": "分钟", "min": "分钟", "second": "秒", "sec": "秒"}
_UNIT = rf"({'|'.join(_UNITS)})s?(?![A-Za-z])"
_MEASURED = re.compile(
    rf"{_NUMBER}(?=\s*(?:[个分秒点时刻%]|小时|钟头|百分|{_UNIT.replace('(', '(?:', 1)}|per ?cent|and a half))",
    re.IGNORECASE,
)
_AFTER_TO = re.compile(rf"(?<=[到为成至])\s*{_NUMBER}(?=[吧了\s,。!]*$)", re.IGNORECASE)
_HALF_AN_HOUR = re.compile(r"(?<![A-Za-z])half an? (hour|minute)(?![A-Za-z])", re.IGNORECASE)
_AN_HOUR = re.compile(rf"(?<![A-Za-z])an? {_UNIT}", re.IGNORECASE)
_HALVES = re.compile(r"(\d+)\s*and a half\s*(?:个?小时|个?钟头|(?:hour|hr)s?(?![A-Za-z]))", re.IGNORECASE)
_ENGLISH_UNIT = re.compile(rf"(?<=\d)\s*{_UNIT}", re.IGNORECASE)
_PERCENT = re.compile(r"(?<=\d)\s*per ?cent(?![A-Za-z])", re.IGNORECASE)


def chinese(text: str) -> str:
    """One round of what `normalise` does for Chinese."""
    text = _BRACKETS.sub(" ", text)
    text = _POINTS.sub(" ", text)
    text = _FILLERS.sub("", text.strip())
    if re.search("[A-Za-z]", text):
        text = _english(text)
    text = _HUNDREDS.sub(_hundreds, text)
    text = _TENTHS.sub("百分之一百", text)
    text = _PARTS_OF_TEN.sub(lambda found: f"百分之{found[1].replace('两', '二')}十", text)
    text = _ZERO_AND_A_HALF.sub("半个", text)
    text = _SPOKEN_HALF.sub(lambda found: "1个半" if found[1] == "一" else f"{found[1]}个半", text)
    text = _HALF.sub(r"\1个半", text)
    text = _ONE_AND_A_HALF.sub("1个半", text)
    text = _SMALL_HOURS.sub("凌晨", text)
    return _NIGHT.sub("晚上", text)


def _english(text: str) -> str:
    text = _MEASURED.sub(_number, text)
    text = _AFTER_TO.sub(_number, text)
    text = _HALF_AN_HOUR.sub(lambda found: "半" + _UNITS[found[1].lower()], text)
    text = _AN_HOUR.sub(lambda found: "1" + _UNITS[found[1].lower()], text)
    text = _HALVES.sub(r"\1个半小时", text)
    text = _ENGLISH_UNIT.sub(lambda found: _UNITS[found[1].lower()], text)
    return _PERCENT.sub("%", text)


def _number(found: re.Match[str]) -> str:
    tens, ones, small = (part and part.lower() for part in found.groups())
    return str(_ONES[small] if small else _TENS[tens or ""] + (_ONES[ones] if ones else 0))


def _hundreds(found: re.Match[str]) -> str:
    """ "一百零五" -> 105, "一百二" -> 120, "二百五十五" -> 255."""
    hundreds, alone, tens, ones = found.groups()
    rest = _DIGITS[alone] if alone else 10 * _DIGITS[tens] + (_DIGITS[ones] if ones else 0) if tens else 0
    return str(100 * _DIGITS[hundreds] + rest)
