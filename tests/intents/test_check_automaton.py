"""The search for common texts, against all texts of small templates; the sayer, against what it counts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.intents.check.alike import ALIKE, distance
from agentbox.intents.check.automaton import Automata, common_texts
from agentbox.intents.check.saying import count, texts
from agentbox.intents.grammar import Grammar
from agentbox.intents.numbers import NumberWords
from agentbox.intents.words import words_of

NUMBERS = NumberWords("en")
PIECES = [
    "a",
    "b",
    "[a]",
    "(a|b c)",
    "{few}",
    "<rule>",
    "[<rule>] c",
    "two",
    "d[s]",
    "(d|da)s",
    "(a;b)",
    "d<end>",
    "{ends}s",
]
TEMPLATES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join)


def grammar_of(*templates: str) -> Grammar:
    values = {
        "language": "en",
        "settings": {},
        "skip_words": [],
        "intents": {f"I{n}": {"data": [{"sentences": [text]}]} for n, text in enumerate(templates)},
        "lists": {"few": {"values": ["a", "b c", "(2|d)"]}, "ends": {"values": ["d", "a b"]}},
        "expansion_rules": {"rule": "[b] {few}", "end": "(s|a s|)"},
    }
    return Grammar("mine", values, {}, per_sentence=True)


def plain(text: str) -> str:
    return " ".join(word.text for word in words_of(NUMBERS.to_digits(text)))


@settings(deadline=None, max_examples=300)
@given(TEMPLATES, TEMPLATES)
def test_common_texts_are_found_where_there_are_some(one: str, other: str) -> None:
    grammar = grammar_of(one, other)
    scope = grammar.scopes[-1]
    said = []
    for template in scope.templates:
        some, all_said = texts(template.sentence.expression, scope)
        if not all_said:
            return
        said.append({plain(text) for text in some})
    automata = Automata(NUMBERS)
    starts = [automata.start(scope, template) for template in scope.templates]
    common = {plain(text) for text in common_texts(automata, starts[0], starts[1], most=1_000)}
    assert common <= said[0] & said[1]
    assert bool(common) == bool(said[0] & said[1])
    lengths = [len(text.split()) for text in said[0] & said[1]]
    assert not common or min(len(text.split()) for text in common) == min(lengths)


@given(TEMPLATES)
def test_a_few_sentences_are_all_said(template: str) -> None:
    grammar = grammar_of(template)
    scope = grammar.scopes[-1]
    expression = scope.templates[0].sentence.expression
    some, all_said = texts(expression, scope)
    assert all_said == (count(expression, scope) <= 200)
    assert 0 < len(some) <= count(expression, scope)
    assert texts(expression, scope)[0] == some


WORDS = st.text(alphabet="abcdeghiklmnoprstuw ", min_size=1, max_size=14)


@given(WORDS, WORDS, WORDS)
def test_the_distance_of_sounds_is_one(one: str, other: str, shared: str) -> None:
    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one) >= 0
    assert distance(f"{shared} {one}", f"{shared} {other}") == distance(one, other)
    assert (distance(one, other, ALIKE) <= ALIKE) == (distance(one, other) <= ALIKE)


def test_what_sounds_alike() -> None:
    near = [
        ("light roast", "white roast"),
        ("thirteen", "thirty"),
        ("no", "now"),
        ("milk", "silk"),
        ("a larm", "alarm"),
    ]
    far = [("iced mocha", "iced coffee"), ("sugar", "sweetener"), ("on", "off"), ("small", "medium"), ("up", "down")]
    assert [pair for pair in near if distance(*pair) > ALIKE] == []
    assert [pair for pair in far if distance(*pair) <= ALIKE] == []
