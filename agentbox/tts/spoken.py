"""Text as it is said: what the voices read wrongly by themselves, written out.

The English voice knows numbers, dates, times, most units and titles; what stands here is what it does not (see
tests/tts/test_spoken.py, where what it says is heard and written down again).
"""

from __future__ import annotations

import re
from collections.abc import Callable

_CURRENCIES = {"$": "dollars", "€": "euros", "£": "pounds", "¥": "yen"}
_ENGLISH: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    # 1,250 € -> 1,250 euros
    (r"(\d)\s?([$€£¥])(?!\d)", lambda found: f"{found[1]} {_CURRENCIES[found[2]]}"),
    # A telephone number, or what begins with a nought: digit by digit.
    (r"\b\d{3,4}(?:-\d{3,4})+\b|(?<![\d.,:-])0\d{2,}\b", lambda found: _digits(found[0])),
    # 9-5, 10–12 -> 9 to 5, 10 to 12
    (r"(?<![\d.-])(\d{1,3})\s?[-–]\s?(\d{1,3})(?![\d-]|\.\d)", lambda found: f"{found[1]} to {found[2]}"),
    (r"(?<=\d)\s?g\b", lambda found: " grams"),
    (r"(?<=\d)\s?[x×]\s?(?=\d)", lambda found: " times "),
    (r"(?i)\be\.\s?g\.,?", lambda found: "for example"),
    (r"(?i)\bi\.\s?e\.,?", lambda found: "that is"),
    (r"(?i)\betc\.", lambda found: "and so on"),
    (r"\bhttps?://(?:www\.)?([\w.-]*\w)\S*", lambda found: found[1].replace(".", " dot ")),
)


def spoken(text: str, language: str) -> str:
    """`text` in words that a voice for `language` (BCP-47) says rightly."""
    for pattern, words in _ENGLISH if language.split("-")[0] == "en" else ():
        text = re.sub(pattern, words, text)
    return text


def _digits(number: str) -> str:
    return ", ".join(" ".join(group) for group in number.split("-"))
