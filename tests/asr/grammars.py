"""Random sentence templates, and a small token table to spell them with, for tests of decoding under a grammar."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from agentbox.asr.tokens import TokenTable

PIECES = (
    "\u2581", "\u2581t", "he", "in", "\u2581the", "\u2581l", "ight", "\u2581light", "s", "\u2581a", "on", "er",
    "\u2581on", "\u2581to", "\u2581five", "1", "2", "5", "\u2581T", "\u2581Light", ",", ".", "?", "-", "'",
)  # fmt: skip


def small_table() -> TokenTable:
    """Three special pieces, all single bytes and some pieces of words, as a model's table has them."""
    single = [bytes([byte]) for byte in range(256)]
    return TokenTable([b"<unk>", b"<s>", b"</s>", *single, *(piece.encode() for piece in PIECES)])


WORDS = ("light", "lamp", "on", "off", "the", "kitchen", "in", "to", "twenty", "five", "what's", "8", "café", "ounce")
FREE_WORDS = ("milk", "eggs and ham", "to", "blue one")

_word = st.sampled_from(WORDS)
_slot = st.sampled_from(("{room}", "{number}", "{tenths}", "{free}", "<rule>", "{room:place}"))

_STEMS = ("light", "lamp", "{room}", "<rule>")


def _groups(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        several.map(lambda parts: " ".join(parts)),
        several.map(lambda parts: f"({'|'.join(parts)})"),
        several.map(lambda parts: f"({';'.join(parts)})"),
        inner.map(lambda part: f"[{part}]"),
        st.tuples(st.sampled_from(_STEMS), st.sampled_from(("s", "ing"))).map(lambda parts: f"{parts[0]}[{parts[1]}]"),
    )


template = st.recursive(st.one_of(_word, _slot), _groups, max_leaves=7)


@st.composite
def sentences(draw: st.DrawFn) -> dict[str, Any]:
    """A file of sentences in hassil's format, none of which can be said without a word."""
    blocks = draw(st.lists(st.lists(template, min_size=1, max_size=3), min_size=1, max_size=3))
    intents = {
        f"Intent{number}": {"data": [{"sentences": [f"{WORDS[number]} {text}" for text in texts]}]}
        for number, texts in enumerate(blocks)
    }
    return {
        "language": "en",
        "intents": intents,
        "lists": {
            "room": {
                "values": [
                    "kitchen",
                    {"in": "living room", "out": "lounge"},
                    {"in": "(big|small) hall[way]", "out": "hall"},
                    {"in": "room twenty five", "out": "25"},
                ]
            },
            "number": {"range": {"from": 0, "to": 120}},
            "tenths": {"range": {"from": -20, "to": 40, "step": 20, "type": "percentage"}},
            "free": {"wildcard": True},
        },
        "expansion_rules": {"rule": "[please] (turn|switch) [the] {room}"},
    }
