"""Language tags (BCP-47): how they are written, and which serves which."""

from __future__ import annotations


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
