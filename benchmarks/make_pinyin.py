"""Makes agentbox/pinyin.txt: which Chinese characters are said with which syllable, tones left out.

    pip install pypinyin
    python -m benchmarks.make_pinyin

The readings are those of Unicode's Unihan database as pypinyin carries them (both free to use). Taken are the
characters of GB 2312 and the commoner half of Big5. A second reading is kept where it is common in pypinyin's phrases,
or where it is how a surname is said.
"""

from __future__ import annotations

import importlib
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

OUT = Path(__file__).parents[1] / "agentbox" / "pinyin.txt"

COMMON = 0.04
"""Share of the phrases with a character from which a reading of it counts."""

LEAST_PHRASES = 3

SURNAMES = {
    **{"单": "shan", "仇": "qiu", "解": "xie", "区": "ou", "覃": "qin", "查": "zha", "翟": "zhai", "盖": "ge"},
    **{"朴": "piao", "尉": "yu", "缪": "miao", "乐": "yue", "召": "shao", "万": "wan", "哈": "ha"},
}

_BIG5_RARER = 0xC9


def toneless(syllable: str) -> str:
    """ "lǜ" -> "lv": without its tone, in the letters a to z."""
    parts = unicodedata.normalize("NFD", syllable.replace("ü", "v"))
    letters = "".join("v" if part == "\u0308" else part for part in parts if part.isascii() or part == "\u0308")
    return letters.replace("uv", "v")


def is_taken(character: str) -> bool:
    """Whether it is of GB 2312, or of the commoner half of Big5."""
    for encoding in ("gb2312", "big5"):
        try:
            code = character.encode(encoding)
        except UnicodeEncodeError:
            continue
        if encoding == "gb2312" or code[0] < _BIG5_RARER:
            return True
    return False


def main() -> None:
    constants = importlib.import_module("pypinyin.constants")
    in_phrases: dict[str, Counter[str]] = defaultdict(Counter)
    for phrase, syllables in constants.PHRASES_DICT.items():
        if len(phrase) == len(syllables):
            for character, said in zip(phrase, syllables, strict=True):
                in_phrases[character][toneless(said[0])] += 1
    table: dict[str, list[str]] = defaultdict(list)
    for code, readings in sorted(constants.PINYIN_DICT.items()):
        character = chr(code)
        if not is_taken(character):
            continue
        counts = in_phrases[character]
        least = max(LEAST_PHRASES, COMMON * counts.total())
        kept = [toneless(readings.split(",")[0]), *(one for one, count in counts.items() if count >= least)]
        kept += [SURNAMES[character]] if character in SURNAMES else []
        for syllable in dict.fromkeys(kept):
            table[syllable].append(character)
    lines = [f"{syllable} {''.join(characters)}" for syllable, characters in sorted(table.items())]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} syllables, {len(set(''.join(map(''.join, table.values()))))} characters")


if __name__ == "__main__":
    main()
