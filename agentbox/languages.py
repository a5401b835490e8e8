"""Language tags (BCP-47): how they are written, which serves which, and in which of some a text is written."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

_SCRIPTS = {
    "zh": ("CJK",), "yue": ("CJK",), "ja": ("HIRAGANA", "KATAKANA", "CJK"), "ko": ("HANGUL", "CJK"),
    "ru": ("CYRILLIC",), "uk": ("CYRILLIC",), "be": ("CYRILLIC",), "bg": ("CYRILLIC",), "mk": ("CYRILLIC",),
    "el": ("GREEK",), "he": ("HEBREW",), "ar": ("ARABIC",), "fa": ("ARABIC",), "ur": ("ARABIC",), "th": ("THAI",),
    "hi": ("DEVANAGARI",), "mr": ("DEVANAGARI",), "ne": ("DEVANAGARI",), "bn": ("BENGALI",), "ta": ("TAMIL",),
    "te": ("TELUGU",), "ka": ("GEORGIAN",), "hy": ("ARMENIAN",),
}  # fmt: skip
"""Of languages that are not written in Latin letters: how the Unicode names of their letters begin."""

_SINGLE = ("CJK", "HIRAGANA", "KATAKANA", "THAI")
"""Scripts without spaces: a letter counts as a word does elsewhere."""


def normal_language(tag: str) -> str:
    """A BCP-47 tag in its usual letter case; a bare `zh` becomes `zh-CN`."""
    parts = tag.split("-")
    usual = [parts[0].lower()]
    usual += [
        part.upper() if len(part) == 2 else part.title() if len(part) == 4 else part.lower() for part in parts[1:]
    ]
    return "zh-CN" if usual == ["zh"] else "-".join(usual)


def covers(tag: str, language: str) -> bool:
    """Whether what is made for `tag` serves `language`: `en` covers `en-GB`, `zh-CN` does not cover `zh-TW`."""
    tag, language = tag.lower(), language.lower()
    return language == tag or language.startswith(tag + "-")


def primary(tag: str) -> str:
    """The language itself, without its region or script: `zh` for `zh-CN`."""
    return tag.lower().split("-")[0]


def likeliest(text: str, languages: Sequence[str], *, heard: str | None = None, asked: str = "") -> tuple[str, ...]:
    """`languages`, the one that `text` is likeliest in first: by what an engine `heard`, unless not one letter of the
    text is of that language, then by how many words are in its letters, then the one that was `asked` in, then as they
    stand. All are BCP-47.

    A few words of one language in a sentence of another do no harm: "打开 living room 的灯" is Chinese.
    """
    if len(languages) < 2:
        return tuple(languages)
    words = _words_by_script(text)
    counts = {language: sum(words[name] for name in scripts(language)) for language in languages}
    any_word = any(counts.values())

    def rank(language: str) -> tuple[bool, int, bool]:
        told = bool(heard) and primary(heard or "") == primary(language) and bool(counts[language] or not any_word)
        return not told, -counts[language], language != asked

    return tuple(sorted(languages, key=rank))


def is_in_letters_of(text: str, language: str) -> bool:
    """Whether any word of `text` is written in the letters of `language`, or there are no letters at all."""
    words = _words_by_script(text)
    return not words or any(words[name] for name in scripts(language))


def scripts(language: str) -> tuple[str, ...]:
    """How the Unicode names of the letters of a language begin."""
    return _SCRIPTS.get(primary(language), ("LATIN",))


def _words_by_script(text: str) -> Counter[str]:
    """Words by script; in scripts without spaces letters."""
    found: Counter[str] = Counter()
    before = ""
    for letter in unicodedata.normalize("NFKC", text):
        if not letter.isalpha():
            before = before if letter in "'’" else ""
            continue
        script = unicodedata.name(letter, "").split(" ")[0]
        if script in _SINGLE or script != before:
            found[script] += 1
        before = script
    return found
