"""Text as it is said: what the voices read wrongly by themselves, written out.

The English voice knows numbers, dates, times, most units and titles; what stands here is what it does not (see
tests/tts/test_spoken.py, where what it says is heard and written down again).
"""

from __future__ import annotations

import re
from collections.abc import Callable

_CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
_ENGLISH: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    # 1,250 € -> 1,250 euros
    (r"(\d[\d,.]*(?: (?:thousand|million|billion))?)\s?([$€£¥])(?!\d)", lambda found: _amount(found[1], found[2])),
    # A telephone number, or what begins with a nought: digit by digit.
    (r"(?<![\d.,:-])(?:(?:1-)?(?:\d{3}-)?\d{3}-\d{4}|0\d{2,})\b(?!-)", lambda found: _digits(found[0])),
    # 9-5, 10 – 12 -> 9 to 5, 10 to 12
    (r"(?<![\d.,-])(\d{1,3})(?:-|\s?–\s?)(\d{1,3})(?![\d-]|\.\d|\s*=)", lambda found: f"{found[1]} to {found[2]}"),
    # 5g of salt, 5 g, but not a 5g network
    (r"(?<![\d.,])1(?: g\b|g(?= of\b))", lambda found: "1 gram"),
    (r"(?<=\d)(?: g\b|g(?= of\b))", lambda found: " grams"),
    (r"(?<=\d)\s?[x×]\s?(?=\d)", lambda found: " times "),
    (r"(?i)\be\.\s?g\.,?", lambda found: "for example"),
    (r"(?i)\bi\.\s?e\.,?", lambda found: "that is"),
    (r"\b[Ee]tc\.(?=\s+[A-Z]|\s*$)", lambda found: "and so on."),
    (r"\b[Ee]tc\.", lambda found: "and so on"),
    # Only the name of a site, and what ends the sentence stays.
    (
        r"\bhttps?://(?:www\.)?([\w.-]*\w)(?:[/?#:]\S*?)?(?=[.,;:!?)\]]*(?:\s|$))",
        lambda found: found[1].replace(".", " dot "),
    ),
)


def spoken(text: str, language: str) -> str:
    """`text` in words that a voice for `language` (BCP-47) says rightly."""
    # A lone half of a pair of UTF-16 (from a program's output, say) is no letter that anybody could write down.
    text = text.encode("utf-8", "replace").decode()
    for pattern, words in _ENGLISH if language.split("-")[0] == "en" else ():
        text = re.sub(pattern, words, text)
    return text


def _amount(number: str, sign: str) -> str:
    name = _CURRENCIES[sign]
    return f"{number} {name if number == '1' or sign == '¥' else name + 's'}"


def _digits(number: str) -> str:
    return ", ".join(" ".join(group) for group in number.split("-"))
