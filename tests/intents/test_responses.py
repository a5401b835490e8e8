"""The responses of the owner's files: which one is said, with which slots, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentbox.intents.check.check import check
from agentbox.intents.understand import Understander
from agentbox.messages import Intent, Notice

INTENTS = frozenset(("Orders", "HassStartTimer", "HassListAddItem", "HassShoppingListAddItem"))

ORDERS = """\
language: en
intents:
  Orders:
    data:
      - sentences: ["how many orders {period}", "[the] {number} last orders [for {guest}]"]
      - sentences: ["count the orders {period}"]
        response: counted
      - sentences: ["my orders"]
        slots: {number: 3}
        response: no_such
lists:
  period: {values: [{in: "(last week|the week before)", out: last_week}]}
  number: {range: {from: 1, to: 20}}
  guest: {wildcard: true}
responses:
  intents:
    Orders:
      default: "{{ slots.period or slots.number }}{{ slots.guest }}: {{ answer }}"
      counted: "I counted {{ slots.period }}."
"""


def box(folder: Path, *texts: str, language: str = "en") -> Understander:
    for number, text in enumerate(texts):
        (folder / f"my{number}.yaml").write_text(text, encoding="utf-8")
    return Understander(language, intents=INTENTS, owner_files=[folder])


def said(understander: Understander, text: str, answer: str = "7.") -> str | Notice | None:
    intent = understander.understand(text)
    assert isinstance(intent, Intent)
    return understander.responses.say(intent, answer)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("how many orders the week before", "the week before: 7."),
        ("the five last orders", "5: 7."),
        ("the 5 last orders for Anna Maria", "5Anna Maria: 7."),
        ("count the orders last week", "I counted last week."),
        ("my orders", "3: 7."),  # what it names is not there
        ("set a timer for five minutes", None),
    ],
)
def test_the_sentence_says_which_response(tmp_path: Path, text: str, sentence: str | None) -> None:
    assert said(box(tmp_path, ORDERS), text) == sentence


def test_a_response_counts_for_every_sentence_of_its_intent(tmp_path: Path) -> None:
    timer = 'responses: {intents: {HassStartTimer: {default: "{{ slots.minutes }} minutes, go."}}}'
    understander = box(tmp_path, timer)
    assert understander.problems == []
    assert said(understander, "set a timer for five minutes") == "5 minutes, go."
    zh = 'language: zh-CN\nresponses: {intents: {HassStartTimer: {default: "{{ slots.minutes }}分钟，开始。"}}}'
    assert said(box(tmp_path, zh, language="zh-CN"), "设置一个五分钟的计时器") == "5分钟，开始。"


def test_the_name_that_the_community_uses_is_found_for_our_sentences_too(tmp_path: Path) -> None:
    text = 'responses: {intents: {HassListAddItem: {item_added: "{{ slots.item }}: noted."}}}'
    assert said(box(tmp_path, text), "put milk on my garden list") == "milk: noted."


def test_the_first_file_counts_and_one_may_name_a_response_of_another(tmp_path: Path) -> None:
    one = 'responses: {intents: {Orders: {no_such: "There you are.", counted: "First."}}}'
    understander = box(tmp_path, one, ORDERS)
    assert understander.problems == []
    assert said(understander, "my orders") == "There you are."
    assert said(understander, "count the orders last week") == "First."


def test_another_language_s_responses_are_not_said(tmp_path: Path) -> None:
    text = 'language: de\nresponses: {intents: {HassStartTimer: {default: "Los."}}}'
    assert said(box(tmp_path, text), "set a timer for five minutes") is None


WRONG = """\
responses:
  intents:
    Orders:
      default: "{{ states('sun.sun') }}"
      other: "{{ slots."
      third: [a]
    HassStartTimr: {default: "Hi."}
    HassStartTimer: Hi.
intents:
  Orders:
    data:
      - sentences: ["my orders"]
        response: no_such
      - sentences: ["all orders"]
        response: [a]
"""

FOUND = [
    (4, "response_invalid", "the response default of Orders is left out: states cannot be used here: there are"),
    (5, "response_invalid", "the response other of Orders is left out: line 1 of it is no Jinja2: "),
    (6, "response_invalid", "the response third of Orders is left out: it must be text in quotes."),
    (7, "sentences_intent_unknown", "there are responses for HassStartTimr, but nothing carries it out."),
    (8, "response_invalid", "the responses of HassStartTimer must hold names and what is said."),
    (13, "response_unknown", "no file has a response no_such of Orders."),
    (15, "response_invalid", "response must be the name of one."),
]


def test_what_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    understander = box(tmp_path, WRONG)
    problems = sorted(understander.problems, key=lambda problem: int(problem.what.split(":")[1]))
    assert [problem.code for problem in problems] == [code for _, code, _ in FOUND]
    for problem, (line, _, what) in zip(problems, FOUND, strict=True):
        assert problem.what.startswith(f"{tmp_path}/my0.yaml:{line}: {what}")
    assert said(understander, "all orders") is None


def test_the_check_of_sentences_tells_the_same(tmp_path: Path) -> None:
    (tmp_path / "my0.yaml").write_text(WRONG)
    found = check([tmp_path], "en", intents=INTENTS)
    assert [(one.line, one.notice.code) for one in found] == [(line, code) for line, code, _ in FOUND]


@pytest.mark.parametrize(
    "text", ["responses: []", "responses: {intents: [a]}", "responses: {errors: {no_intent: No.}}"]
)
def test_responses_of_another_form(tmp_path: Path, text: str) -> None:
    assert [problem.code for problem in box(tmp_path, text).problems] == ["response_invalid"]


def test_what_fails_while_it_is_said_is_a_notice_without_the_words(tmp_path: Path) -> None:
    text = "responses: {intents: {HassListAddItem: {default: \"{{ '%d' % slots.item }}\"}}}"
    failed = said(box(tmp_path, text), "put milk on my garden list")
    assert isinstance(failed, Notice)
    assert failed.code == "response_failed"
    assert failed.what == "my0.yaml: the response default of HassListAddItem could not be said: it fails (TypeError)."
