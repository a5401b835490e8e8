"""What a Whisper model is told before it listens: as if it were the text just before, which it goes on with."""

from __future__ import annotations

from agentbox.asr.engine import Hints
from agentbox.asr.whisper_tokens import Vocabulary

_MOST_HOTWORD_TOKENS = 64
_MOST_BEFORE_TOKENS = 96
"""Each row of a first run's answer has 200 KB, and every token takes time."""

_SIMPLIFIED = "以下是普通话的句子。"
_TRADITIONAL = "以下是普通話的句子。"
"""Whisper writes Chinese in either script as it comes, and stays in the one it sees."""

_TRADITIONAL_IN = ("zh-tw", "zh-hk", "zh-mo", "zh-hant")


def style_of(tag: str) -> str:
    """A sentence in the script that is wanted, where a language (BCP-47) has several; else empty."""
    tag = tag.lower()
    if tag.split("-")[0] != "zh":
        return ""
    return _TRADITIONAL if tag.startswith(_TRADITIONAL_IN) else _SIMPLIFIED


def prompt_of(vocabulary: Vocabulary, tag: str, hints: Hints) -> list[int]:
    """The tokens before the start: the script's sentence, the hotwords, and the end of what was said before. Empty
    where there is none of them, or the model cannot be told."""
    if vocabulary.previous is None:
        return []
    encode = vocabulary.pieces.encode
    spaced = not style_of(tag)
    tokens = encode(style_of(tag))
    if hints.hotwords:
        tokens += encode(_listed(hints.hotwords, spaced=spaced))[:_MOST_HOTWORD_TOKENS]
    before = hints.before.strip()
    if before:
        tokens += encode(f" {before}" if spaced else before)[-_MOST_BEFORE_TOKENS:]
    return [vocabulary.previous, *tokens] if tokens else []


def echoes(text: str, tag: str, hints: Hints) -> bool:
    """Whether `text` is nothing but what the model was told."""
    said = _letters(text)
    return bool(said) and said in (_letters(style_of(tag)), _letters(_listed(hints.hotwords, spaced=True)))


def _listed(words: tuple[str, ...], *, spaced: bool) -> str:
    return f" {', '.join(words)}." if spaced else f"{'、'.join(words)}。"


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
