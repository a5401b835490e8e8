from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.intents import owner, sources
from agentbox.intents.understand import Understander
from agentbox.messages import Intent, Notice, NotUnderstood

DATA = Path(__file__).parents[2].parent / "shared" / "data"

FEW = frozenset(("Orders", "HassStartTimer", "HassGetCurrentTime", "HassMediaPlayerMute"))
"""A box that can do little loads fast."""

HEAD = "language: en\nintents:\n  Orders:\n    data:\n      - sentences:\n"


def box(folder: Path, *texts: str, language: str = "en", **more: object) -> Understander:
    files = []
    for number, text in enumerate(texts):
        files.append(folder / f"my{number}.yaml")
        files[-1].write_text(text, encoding="utf-8")
    return Understander(language, builtin=False, intents=FEW, owner_files=files, **more)  # type: ignore[arg-type]


def told(problems: list[Notice]) -> list[tuple[str, str]]:
    """Code and place-and-text of each problem, without the folder."""
    return [(problem.code, problem.what.split("my0.yaml:", 1)[-1]) for problem in problems]


def understood(found: Intent | NotUnderstood) -> tuple[str, dict[str, object]] | None:
    return (found.name, found.slots) if isinstance(found, Intent) else None


@pytest.mark.parametrize(
    ("text", "code", "what"),
    [
        ("intents: [", "sentences_syntax", "this is not valid YAML"),
        ("- a\n- b", "sentences_syntax", "expected keys and values"),
        ("intents: 5", "sentences_invalid", "1: intents must hold names and what they stand for."),
        ("language: 7", "sentences_invalid", "1: language must be a tag such as en or zh-CN."),
        ("language: de\nintents: {}", "sentences_language", "1: the sentences are for de, and the box listens to en"),
        ("intentions: {}", "sentences_invalid", "1: intentions means nothing here (did you mean intents?)."),
        ("intents:\n  Orders: 3", "sentences_invalid", "2: intent Orders needs a list `data` with `sentences` in it."),
        (
            "intents:\n  Orders:\n    data:\n      - {}",
            "sentences_invalid",
            "4: expected `sentences` with at least one",
        ),
        (
            HEAD + "          - how many (orders",
            "sentences_invalid",
            '6: "how many (orders": a ( is never closed by ).',
        ),
        (HEAD + "          - 'orders]'", "sentences_invalid", '6: "orders]": a ] closes nothing.'),
        (HEAD + "          - 'orders {}'", "sentences_invalid", '6: "orders {}": {} is empty.'),
        (
            HEAD + "          - orders {wenn}",
            "sentences_invalid",
            '6: "orders {wenn}" names the list {wenn}, which does',
        ),
        (HEAD + "          - <durration>", "sentences_invalid", "which does not exist (did you mean duration?)."),
        (HEAD + "          - '[please]'", "sentences_invalid", '6: "[please]" could be said without a word'),
        (HEAD + "          - ''", "sentences_invalid", "6: this is empty."),
        (HEAD + "          - 42", "sentences_invalid", "6: expected text in quotes, found 42."),
        (HEAD + "          - (a;b;c;d;e;f;g)", "sentences_invalid", "more than 6 parts in any order"),
        (HEAD + "          - 'take {9..1:n}'", "sentences_invalid", "{9..1} is no range of numbers from low to high"),
        (HEAD + "          - orders\n        slots: 5", "sentences_invalid", "7: slots must hold names and values."),
        (HEAD + "          - orders\n        context: 5", "sentences_invalid", "7: context means nothing here"),
        ("lists:\n  x: {}", "sentences_invalid", "2: list x needs `values: [...]`"),
        (
            "lists:\n  x:\n    values:\n      - ok\n      - 3",
            "sentences_invalid",
            "5: expected text in quotes, found 3.",
        ),
        ("lists:\n  x: {range: {from: 9, to: 2}}", "sentences_invalid", "2: a range needs whole numbers"),
        (
            "lists:\n  x: {range: {from: 0, to: 5000}}",
            "sentences_invalid",
            "more than 1000 numbers need `words: false`",
        ),
        ("expansion_rules:\n  a: <b>\n  b: x <a>", "sentences_invalid", "2: <a> -> <b> -> <a> goes round in a circle."),
        ("expansion_rules:\n  a: x <c>", "sentences_invalid", '2: "x <c>" names the rule <c>, which does not exist'),
        ("skip_words: please", "sentences_invalid", "1: skip_words must be a list of words in quotes."),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, code: str, what: str) -> None:
    problems = told(box(tmp_path, text).problems)
    assert any(found == code and what in place for found, place in problems), problems


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    problems = Understander("en", builtin=False, intents=FEW, owner_files=[tmp_path / "gone.yaml"]).problems
    assert [(problem.code, problem.level) for problem in problems] == [("sentences_unreadable", "error")]


def test_the_rest_still_works(tmp_path: Path) -> None:
    broken = """
language: en
intents:
  Orders:
    data:
      - sentences:
          - "how many {orders} {when}"
          - "orders (of {when}"
          - "orders <period>"
      - sentences: [7]
  Broken: 3
  HassStartTimer:
    data:
      - sentences: ["tea time"]
        slots: {minutes: 4, name: tea}
lists:
  orders: {values: [orders, "order[s]", 12]}
  when: {values: [{in: "(last week|the week before)", out: last_week}, today]}
expansion_rules:
  period: "in {nothing}"
"""
    understander = box(tmp_path, broken, "intents: [", HEAD + "          - count everything")
    assert understood(understander.understand("how many orders the week before")) == (
        "Orders",
        {"orders": "orders", "when": "last_week"},
    )
    assert understood(understander.understand("Tea time!")) == ("HassStartTimer", {"minutes": 4, "name": "tea"})
    assert understood(understander.understand("count everything")) == ("Orders", {})
    assert understood(understander.understand("what time is it")) == ("HassGetCurrentTime", {})
    lines = [place.split(":")[0] for code, place in told(understander.problems) if code == "sentences_invalid"]
    assert lines == ["8", "10", "11", "17", "20"]


def test_everything_hassil_can(tmp_path: Path) -> None:
    text = """
language: en
intents:
  Orders:
    data:
      - sentences:
          - "brew [a|an] ([{size}];[{roast}]) coffee [with {0..9:sugar} sugar[s]]"
          - "(note|write down) {note}"
          - "play <what> {place} loud"
        lists:
          place: {values: [here, there]}
        expansion_rules:
          what: "(jazz|rock)"
      - sentences: ["again"]
        requires_context: {last_intent: Orders}
      - sentences: ["brew tea"]
        excludes_context: {last_intent: Orders}
      - sentences: ["move back {far}"]
lists:
  size: {values: [small, large, {in: "(huge|gigantic)", out: xl}]}
  roast: {values: ["dark roast"]}
  note: {wildcard: true}
  far: {range: {from: 10, to: 100, step: 10, multiplier: -1}}
skip_words: [kindly, "my friend"]
responses: {intents: {Orders: {default: "fine"}}}
"""
    understander = box(tmp_path, text)
    assert understander.problems == []
    orders = {"last_intent": "Orders"}
    for said, context, slots in [
        ("kindly brew a dark roast huge coffee", {}, {"size": "xl", "roast": "dark roast"}),
        ("brew a large coffee with 3 sugars", {}, {"size": "large", "sugar": 3}),
        ("brew coffee my friend", {}, {}),
        ("note that I want my friend to come", {}, {"note": "that I want my friend to come"}),
        ("play rock there loud", {}, {"place": "there"}),
        ("again", orders, {}),
        ("brew tea", {}, {}),
        ("move back twenty", {}, {"far": -20}),
    ]:
        assert understood(understander.understand(said, context=context)) == ("Orders", slots), said
    assert understood(understander.understand("again")) is None
    assert understood(understander.understand("brew tea", context=orders)) is None


def test_the_owners_sentences_come_first(tmp_path: Path) -> None:
    understander = box(tmp_path, HEAD + '          - "what time is it"\n', HEAD + '          - "mute"\n')
    found = understander.understand("What time is it?")
    assert isinstance(found, Intent)
    assert (found.name, found.source, found.match, found.sentence) == ("Orders", "my0.yaml", "exact", "what time is it")
    found = understander.understand("mute")
    assert isinstance(found, Intent)
    assert (found.name, found.source) == ("Orders", "my1.yaml")


def test_our_rules_and_lists_can_be_used(tmp_path: Path) -> None:
    understander = box(tmp_path, HEAD + '          - "heat the oven (for <duration>|until <clock>)"\n')
    assert understander.problems == []
    heat = understander.understand("heat the oven for an hour and a half")
    assert understood(heat) == ("Orders", {"hours": 1, "minutes": 30})
    assert understood(understander.understand("heat the oven until 7.30 pm")) == (
        "Orders",
        {"hour": 7, "minute": 30, "period": "pm"},
    )


def test_lists_the_box_fills(tmp_path: Path) -> None:
    text = HEAD + '          - "call {person}"\n'
    filled = box(tmp_path, text, slot_values={"person": ["Anna", "Bert & Söhne"]})
    assert filled.problems == []
    assert understood(filled.understand("call bert & söhne")) == ("Orders", {"person": "Bert & Söhne"})
    empty = box(tmp_path, text, slot_values={"person": []})
    assert empty.problems == []
    assert understood(empty.understand("call Anna")) is None


def test_what_nothing_carries_out_is_kept_and_told(tmp_path: Path) -> None:
    understander = box(tmp_path, HEAD.replace("Orders", "Ordres") + "          - count them all\n")
    assert told(understander.problems) == [
        (
            "sentences_intent_unknown",
            "3: Ordres is understood, but nothing carries it out (did you mean Orders?).",
        )
    ]
    assert understood(understander.understand("count them all")) == ("Ordres", {})


def test_a_folder_of_files_and_a_chinese_file(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(
        "language: zh\nintents: {Orders: {data: [{sentences: [查一下订单]}]}}", encoding="utf-8"
    )
    (tmp_path / "a.yml").write_text("language: en\nintents: {}", encoding="utf-8")
    understander = Understander("zh-CN", builtin=False, intents=FEW, owner_files=[tmp_path])
    assert [problem.code for problem in understander.problems] == ["sentences_language"]
    assert understood(understander.understand("查一下 订单。")) == ("Orders", {})


@pytest.mark.skipif(not DATA.exists(), reason="the shared recordings are not here")
def test_the_drink_orders(tmp_path: Path) -> None:
    file = DATA / "commands" / "sentences.yaml"
    understander = Understander("en", builtin=False, intents={*FEW, "orderDrink"}, owner_files=[file])
    assert understander.problems == []
    for said, slots in [
        ("Make me an 8 oz latte.", {"size": "eight ounce", "coffeeDrink": "latte"}),
        (
            "can i get a sixteen-ounce dark roast mocha",
            {"size": "sixteen ounce", "roast": "dark roast", "coffeeDrink": "mocha"},
        ),
        ("give me a larch cappuccino", {"size": "large", "coffeeDrink": "cappuccino"}),
    ]:
        assert understood(understander.understand(said)) == ("orderDrink", slots)


TEMPLATES = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(
            ["(", ")", "[", "]", "{", "}", "<", ">", "|", ";", ":", "a", "list", "rule", " ", "\\", "1..3"]
        ),
        max_size=10,
    ).map("".join),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEMPLATES)
NAME_WORDS = """
    language intents lists expansion_rules skip_words settings data sentences slots requires_context values range in out
    from to step wildcard Orders list rule words fractions context
"""
NAMES = st.sampled_from(NAME_WORDS.split())
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEMPLATES, inner, max_size=5),
    max_leaves=20,
)
BLOCKS = st.fixed_dictionaries(
    {"sentences": st.lists(TEMPLATES, max_size=3)}, optional={"slots": ANYTHING, "lists": ANYTHING}
)
FILES = st.one_of(
    ANYTHING,
    st.fixed_dictionaries(
        {
            "intents": st.dictionaries(
                NAMES, st.fixed_dictionaries({"data": st.lists(BLOCKS | ANYTHING, max_size=3)}), max_size=3
            )
        },
        optional={
            "lists": st.dictionaries(
                NAMES, st.fixed_dictionaries({"values": st.lists(TEMPLATES, max_size=3)}) | ANYTHING, max_size=3
            ),
            "expansion_rules": st.dictionaries(NAMES, TEMPLATES, max_size=3),
            "skip_words": ANYTHING,
            "language": ANYTHING,
        },
    ),
)


@settings(max_examples=50, deadline=None)
@given(FILES)
def test_no_file_breaks_the_box(tmp_path_factory: pytest.TempPathFactory, values: object) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    understander = Understander("en", builtin=False, intents={"HassNevermind"}, owner_files=[file])
    assert all(problem.code.startswith("sentences_") for problem in understander.problems)
    for text in ["a", "list rule", "never mind"]:
        understander.understand(text)
        understander.completeness(text)


OURS = sources.our_values("en")


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.sampled_from("abc: -[]{}<>|()&*!?'\"\n#%@,\t1"), max_size=80))
def test_no_text_breaks_the_loader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8")
    loaded = owner.load(file, "en", OURS, FEW, ())
    assert loaded.values is not None or loaded.problems
