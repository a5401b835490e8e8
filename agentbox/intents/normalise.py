"""Brings what a recogniser wrote to the form the sentences are written in. Pure text in, pure text out.

Recognisers spell one spoken thing in many ways: "7:30", "7.30 p.m.", "730"; "50%", "50 per cent"; "8oz"; "１０分钟";
with capitals, commas and full stops. `normalise` removes what no sentence should have to care about and keeps what a
list or a reminder should keep: letter case, commas inside a sentence, names. Normalising twice changes nothing.

Number words are left alone ("remind me to call one of them"); see `numbers.NumberWords` for the other spellings.
"""

from __future__ import annotations

import re
import unicodedata

from agentbox.intents.chinese import CJK, chinese

MAX_CHARACTERS = 600
"""More than anybody says in one utterance of 25 s; longer texts are not looked at."""

_MAX_ROUNDS = 10

_FRACTIONS = str.maketrans({"½": " 1/2", "¼": " 1/4", "¾": " 3/4"})
_QUOTES = str.maketrans("‘’ʼ´`“”", "'''''\"\"")

_BETWEEN_CJK = re.compile(rf"(?<=[{CJK}])[\s,。、!?;:~…]+(?=[{CJK}])")
_AROUND_NUMBER = re.compile(rf"(?<=[{CJK}])[\s,。、!?;]+(?=\d)|(?<=\d)\s+(?=[{CJK}])|(?<=%)[\s,。]+(?=[{CJK}])")

_THOUSANDS = re.compile(r"(?<![\d,.])(\d{1,3}),(\d{3})(?![\d,])")
_PERCENT = re.compile(r"(?<=\d)\s+%")

_OLD_SPELLING = re.compile(r"\bto[- ](morrow)\b|\bto-(day|night)\b", re.IGNORECASE)
"""As the default model likes to write them."""

_FILLERS = re.compile(r"(?<![\w'-])(?:u+h*m+|u+h+|erm+|e+r|h+m+|mhm)(?![\w'-])[\s,.…]*", re.IGNORECASE)
_CLOCK = r"([01]?\d|2[0-3])"
_HALF_OF_DAY = re.compile(r"(?<=\d)\s*([ap])(?:\.\s?m\b\.*|m\b\.*)|\b([ap])\.\s?m\b\.*", re.IGNORECASE)
_DOTTED_TIME = re.compile(rf"(?<![\d.:,]){_CLOCK}\s?[.:]\s?([0-5]\d)(?= ?[ap]m\b)", re.IGNORECASE)
_DOTTED_TIME_AFTER = re.compile(
    rf"(\b(?:at|by|for|until|till|alarm|before|past)\s){_CLOCK}\s?[.:]\s?([0-5]\d)(?![\d.:,]|\s?%)"
    r"(?!\s*(?:hour|minute|second|percent|per cent)s?\b)",
    re.IGNORECASE,
)
_JOINED_TIME = re.compile(
    r"(\b(?:at|for|alarm)\s)(1[0-2]|[1-9])([0-5]\d)(?![\d.:,%])(?!\s*(?:hour|minute|second|percent|per cent|of)s?\b)",
    re.IGNORECASE,
)
UNITS = {
    "oz": "ounce", "lb": "pound", "lbs": "pounds", "min": "minutes", "mins": "minutes", "sec": "seconds",
    "secs": "seconds", "hr": "hours", "hrs": "hours", "h": "hours",
}  # fmt: skip
_UNIT = re.compile(rf"(?<=\d)[\s-]*({'|'.join(sorted(UNITS, key=len, reverse=True))})\b\.*", re.IGNORECASE)
_NUMBER_THEN_LETTER = re.compile(r"(?<=\d)(?=(?:hours?|minutes?|seconds?|percent)\b)", re.IGNORECASE)
_HALF_UNIT = re.compile(r"(?<![\d.,])(\d{1,2})\.5(?= (?:hour|minute)s?\b)", re.IGNORECASE)


def normalise(text: str, language: str) -> str:
    """`text` as sentences expect it, in the BCP-47 `language`. Idempotent; letter case and inner commas stay.

    English (`en`): "7.30 p.m." -> "7:30 pm", "at 730" -> "at 7:30", "1.5 hours" -> "1 and a half hours",
    "8 oz" -> "8 ounce", "to morrow" -> "tomorrow"; "um" and the like go. Chinese, Japanese and Korean: punctuation
    and spaces between characters become one space, which hassil ignores. Chinese (`zh`): "1.5小时" and "一个半小时"
    -> "1个半小时", "一百零五分钟" -> "105分钟", "ten 分钟" -> "10分钟", "半夜两点" -> "凌晨两点"; quotation
    marks and brackets go.
    """
    # What one rule leaves may be what another looks for; two rounds are the most that was ever needed.
    for _ in range(_MAX_ROUNDS):
        before, text = text, _once(text, language)
        if text == before:
            break
    return text


def _once(text: str, language: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_FRACTIONS)).replace("\u2044", "/").translate(_QUOTES)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text if _is_kept(c))
    text = _THOUSANDS.sub(r"\1\2", text)
    text = _PERCENT.sub("%", text)
    text = _BETWEEN_CJK.sub(" ", text)
    text = _AROUND_NUMBER.sub("", text)
    if language.startswith("zh"):
        text = chinese(text)
    elif language.startswith("en"):
        text = _english(text)
    return " ".join(text.split())


def _is_kept(character: str) -> bool:
    """Invisible characters (zero-width joiners, surrogates, private use) carry no sound."""
    return unicodedata.category(character) not in ("Cf", "Cs", "Co", "Cn")


def _english(text: str) -> str:
    text = _FILLERS.sub("", text)
    text = _OLD_SPELLING.sub(lambda found: "to" + (found[1] or found[2]).lower(), text)
    text = " ".join(text.split())
    text = _HALF_OF_DAY.sub(lambda found: f" {(found[1] or found[2]).lower()}m", text)
    text = " ".join(text.split())
    text = _DOTTED_TIME.sub(r"\1:\2", text)
    text = _DOTTED_TIME_AFTER.sub(r"\1\2:\3", text)
    text = _JOINED_TIME.sub(r"\1\2:\3", text)
    text = _UNIT.sub(lambda found: " " + UNITS[found[1].lower()], text)
    text = _NUMBER_THEN_LETTER.sub(" ", text)
    return _HALF_UNIT.sub(r"\1 and a half", text)
