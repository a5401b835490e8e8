"""The page's words: both languages have the same ones, and the templates ask for no other."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from agentbox.page.render import LANGUAGES, Words

TEMPLATES = sorted((Path(__file__).parents[2] / "agentbox" / "page" / "templates").glob("*.html"))


def all_words(language: str) -> dict[str, str]:
    words = Words(language)._words
    return {f"{section}.{name}": text for section, names in words.items() for name, text in names.items()}


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_words_with_the_same_placeholders(language: str) -> None:
    ours = {key: placeholders(text) for key, text in all_words("en").items()}
    assert {key: placeholders(text) for key, text in all_words(language).items()} == ours
    assert all(text.strip() for text in all_words(language).values())


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: str(file.name))
def test_a_template_asks_only_for_words_that_there_are(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    for key in re.findall(r't\("([\w.]+\w)"[,)]', text):
        assert key in all_words("en"), key
    for section in re.findall(r't\("(\w+)\." ~', text):
        assert any(key.startswith(f"{section}.") for key in all_words("en")), section
    assert "|safe" not in text.replace(" ", "")
    assert not re.search(r"<script(?! src=)|\son\w+=|\sstyle=", text)
