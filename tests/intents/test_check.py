"""Findings in the owner's sentences, beyond their syntax."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hassil import Intents, recognize_all
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentbox.intents.check.check import check
from agentbox.intents.check.files import Finding
from agentbox.intents.check.saying import texts
from agentbox.intents.grammar import Grammar
from agentbox.intents.numbers import NumberWords
from tests.intents.conftest import INTENTS
from tests.intents.test_docs import FILES as EXAMPLES
from tests.intents.test_owner import FILES as ANY_FILES

FEW = frozenset(("One", "Two", "HassGetCurrentTime"))
DATA = Path(__file__).parents[2].parent / "shared" / "data"


def findings(folder: Path, *texts: str, language: str = "en", **more: object) -> list[Finding]:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"my{number}.yaml")
        paths[-1].write_text(text, encoding="utf-8")
    more = {"intents": FEW, "builtin": False} | more
    return check(paths, language, **more)  # type: ignore[arg-type]


def told(found: list[Finding]) -> list[str]:
    return [f"{one.file.name}:{one.line} {one.notice.level} {one.notice.code}" for one in found]


def two(first: str, second: str, more: str = "", blocks: str = "") -> str:
    """A file with a sentence of each of two intents, in lines 5 and 8, and more after line 8."""
    return f"""intents:
  One:
    data:
      - sentences:
          - {first}
  Two:
    data:
      - sentences: [{second}]
{blocks}{more}"""


WILD = "lists: {what: {wildcard: true}, who: {wildcard: true}}"

CASES = {
    # the same words
    "alike": (
        two("lights on", "'light[s] (on|up)'"),
        ["my0.yaml:8 warning sentences_ambiguous"],
        '"lights on" is both',
    ),
    "apart": (two("lights on", "'blinds up'"), [], ""),
    "in a list": (
        two("play {a} now", "'play {b} [right] now'", "lists: {a: {values: [x y, jazz]}, b: {values: [rock, jazz]}}"),
        ["my0.yaml:8 warning sentences_ambiguous"],
        '"play jazz now" is both',
    ),
    "in numbers": (
        two("set to {1..10:a}", "'set to {8..30:b}'"),
        ["my0.yaml:8 warning sentences_ambiguous"],
        '"set to eight" is both',
    ),
    "no common number": (two("set to {1..10:a}", "'set to {11..30:b}'"), [], ""),
    "a number in words": (
        two("brew (eight|nine) cups", "'brew {9..12:b} cups'"),
        ["my0.yaml:8 warning sentences_ambiguous"],
        '"brew nine cups" is both Two b=9',
    ),
    "two wildcards": (
        two("call {what}", "'call {who}'", WILD),
        ["my0.yaml:8 warning sentences_unreachable"],
        "never understood as Two",
    ),
    "special before general": (
        two("play {what}", "play music", WILD),
        ["my0.yaml:8 info sentences_ambiguous"],
        "Two wins: it has fewer wildcards",
    ),
    "another context": (
        two("again", "again", "", "        requires_context: {last_intent: One}\n").replace(
            "          - again", "          - again\n        excludes_context: {last_intent: One}"
        ),
        [],
        "",
    ),
    # never reached
    "swallowed": (
        two("note {what}", "'note {what} for {who}'", WILD),
        ["my0.yaml:8 warning sentences_unreachable"],
        "never understood as Two",
    ),
    "said twice": (
        two("count [the] orders", "'count the orders'"),
        ["my0.yaml:8 warning sentences_unreachable"],
        "never understood as Two: none of its sentences comes to it",
    ),
    "a list nobody names": (
        two("a b", "c d", "lists: {what: {values: [x]}}"),
        ["my0.yaml:9 warning sentences_unreachable"],
        "no sentence names the list what",
    ),
    "two values": (
        two("a {what}", "c d", "lists:\n  what:\n    values: [big, {in: (big|huge), out: b}, {in: Big, out: c}]"),
        ["my0.yaml:11 warning sentences_ambiguous", "my0.yaml:11 warning sentences_unreachable"],
        "c is never understood",
    ),
    # words
    "a unit": (two("take 8oz", "c d"), ["my0.yaml:5 warning sentences_abbreviation"], 'it is said: "eight ounce"'),
    "a short hour": (two("c d", "wait 5h please"), ["my0.yaml:8 warning sentences_abbreviation"], '"five hours"'),
    "a unit after a slot": (two("take {1..9:n} oz", "c d"), ["my0.yaml:5 warning sentences_abbreviation"], '"ounce"'),
    "no unit": (two("open 3d view and the 1st tab", "it's 5 o'clock"), [], ""),
    # sounds
    "values alike": (
        two(
            "a {what}",
            "c d",
            "lists:\n  what:\n    values:\n      - light roast\n      - white roast\n      - dark roast",
        ),
        ["my0.yaml:13 warning sentences_alike"],
        '"light roast" and "white roast"',
    ),
    "values apart": (two("a {what}", "c d", "lists: {what: {values: [iced mocha, iced coffee]}}"), [], ""),
    "sentences alike": (two("tea time", "tee time"), ["my0.yaml:8 warning sentences_alike"], '"tea time"'),
    "one meaning": (two("a {what}", "c d", "lists: {what: {values: [{in: (light|white), out: x}]}}"), [], ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_found(tmp_path: Path, case: str) -> None:
    text, expected, what = CASES[case]
    found = findings(tmp_path, text)
    assert told(found) == expected
    assert what in " ".join(f"{one.notice.what} {one.notice.todo}" for one in found)
    assert all(one.notice.todo for one in found)


def test_what_adds_nothing_is_only_told(tmp_path: Path) -> None:
    text = "intents:\n  One:\n    data:\n      - sentences:\n          - count [the] orders\n          - count orders\n"
    (found,) = findings(tmp_path, text)
    assert told([found]) == ["my0.yaml:6 info sentences_unreachable"]
    assert "means the same" in found.notice.what


def test_the_first_file_wins(tmp_path: Path) -> None:
    """Whatever the order of wildcards: the box reads one file after the other."""
    wild, plain = two("play {what}", "c d", WILD), two("c e", "play music")
    assert told(findings(tmp_path, wild, plain)) == ["my1.yaml:8 warning sentences_unreachable"]
    (found,) = findings(tmp_path, plain, wild)
    assert told([found]) == ["my1.yaml:5 info sentences_ambiguous"]
    assert f"{tmp_path}/my0.yaml:8" in found.notice.what


def test_built_in_sentences_that_are_shadowed(tmp_path: Path) -> None:
    found = findings(
        tmp_path, two("what time is it", "'remind [me] to brew tea'"), builtin=True, intents={*INTENTS, *FEW}
    )
    assert told(found) == ["my0.yaml:5 info sentences_shadow"]
    assert "shadows the built-in HassGetCurrentTime" in found[0].notice.what


def test_what_the_loader_says_keeps_its_place(tmp_path: Path) -> None:
    found = findings(tmp_path, two("lights on (", "c d"), "intents: [")
    assert told(found) == ["my0.yaml:5 error sentences_invalid", "my1.yaml:1 error sentences_syntax"]
    assert found[0].notice.what.startswith('"lights on (": a ( is never closed')
    assert told(check([tmp_path / "gone.yaml"], "en", intents=FEW)) == ["gone.yaml:1 error sentences_unreadable"]


def test_words_the_model_cannot_write(tmp_path: Path) -> None:
    text = two("feed the 猫 [{what}]", "c d", "lists: {what: {values: [猫, now]}}")
    found = findings(tmp_path, text, spells=str.isascii)
    assert told(found) == ["my0.yaml:5 warning sentences_unspellable"]
    assert "it has no 猫" in found[0].notice.what
    assert findings(tmp_path, text) == []


def test_chinese(tmp_path: Path) -> None:
    found = findings(tmp_path, "language: zh-CN\n" + two("查(一下|询)订单", "'[请]查一下订单'"), language="zh-CN")
    assert told(found) == ["my0.yaml:9 warning sentences_ambiguous"]
    assert '"查一下订单" is both' in found[0].notice.what


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_documents_are_good(tmp_path: Path, number: int) -> None:
    found = findings(tmp_path, EXAMPLES[number], intents={*INTENTS, "CountOrders", "BrewCoffee", "HeatOven"})
    assert [one for one in found if one.notice.level != "info"] == []


@pytest.mark.skipif(not DATA.exists(), reason="the shared recordings are not here")
def test_the_drink_orders_are_not_ambiguous() -> None:
    found = check([DATA / "commands" / "sentences.yaml"], "en", intents={*INTENTS, "orderDrink"})
    assert {one.notice.code for one in found} <= {"sentences_alike"}


TEMPLATES = st.lists(
    st.sampled_from(["a", "b", "c", "[a]", "(a|b)", "(a|b c)", "{few}", "{1..3:n}", "two", "{free}", "d[s]", "ds"]),
    min_size=1,
    max_size=4,
).map(" ".join)
LISTS = {"few": {"values": ["a", "b c", "two"]}, "free": {"wildcard": True}}


@settings(max_examples=40, deadline=None)
@given(st.lists(TEMPLATES, min_size=2, max_size=4, unique=True))
def test_what_is_called_ambiguous_has_two_meanings(
    tmp_path_factory: pytest.TempPathFactory, templates: list[str]
) -> None:
    """hassil, asked about the example of each finding, gives both intents."""
    values = {
        "language": "en",
        "intents": {f"I{n}": {"data": [{"sentences": [text]}]} for n, text in enumerate(templates)},
        "lists": LISTS,
    }
    text = yaml.safe_dump(values)
    found = findings(tmp_path_factory.getbasetemp(), text, intents={f"I{n}" for n in range(4)})
    for one in found:
        if one.notice.code == "sentences_ambiguous":
            said, first, second = re.match(
                r'"([^"]+)" is both (I\d)[^"]*\("[^"]+"\) and (I\d)', one.notice.what
            ).groups()  # type: ignore[union-attr]
            loaded = Intents.from_dict(values)
            spellings = (said, NumberWords("en").to_digits(said))
            read = {result.intent.name for text in spellings for result in recognize_all(text, loaded)}
            assert {first, second} <= read, said


@settings(max_examples=40, deadline=None)
@given(st.lists(TEMPLATES, min_size=2, max_size=3, unique=True))
def test_what_has_two_meanings_is_found(tmp_path_factory: pytest.TempPathFactory, templates: list[str]) -> None:
    """Every sentence that hassil reads as two intents is told, in one way or another."""
    values = {
        "language": "en",
        "intents": {f"I{n}": {"data": [{"sentences": [text]}]} for n, text in enumerate(templates)},
        "lists": LISTS,
    }
    found = findings(tmp_path_factory.getbasetemp(), yaml.safe_dump(values), intents={f"I{n}" for n in range(3)})
    codes = {one.notice.code for one in found}
    assume("sentences_invalid" not in codes)  # "[a]" alone, which the box does not read
    scope = Grammar("mine", {**values, "settings": {}}, {}).scopes[-1]
    loaded = Intents.from_dict(values)
    for template in scope.templates:
        for text in texts(template.sentence.expression, scope)[0][:20]:
            read = {result.intent.name for result in recognize_all(text, loaded)}
            assert len(read) < 2 or codes & {"sentences_ambiguous", "sentences_unreachable"}, text


@settings(max_examples=20, deadline=None)
@given(ANY_FILES)
def test_no_file_breaks_the_check(tmp_path_factory: pytest.TempPathFactory, values: object) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    for one in check([file], "en", builtin=False, intents={"HassNevermind"}, spells=str.isascii):
        assert one.notice.code.startswith("sentences_")
        assert one.line >= 1
