"""The network of a grammar against hassil, over random templates: what it accepts hassil reads, and the reverse."""

from __future__ import annotations

import random
import re
from typing import Any

from hassil import recognize_all
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentbox.asr.constrain.network import FREE_BEGIN, Network, State
from agentbox.asr.constrain.reading import read
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.tokens import TokenTable
from agentbox.intents.grammar import Grammar
from agentbox.intents.spoken import Spoken
from tests.asr.grammars import FREE_WORDS, sentences, small_table
from tests.intents.sampling import say

TABLE = small_table()
SPELLER = Speller(TABLE)
TWO_FREE = re.compile(r"\{free\}[^a-z0-9{<]*\{free\}|\{free\}[^']*;[^']*\{free\}")
"""One after the other in a template, or in an order that a permutation gives them."""


def network_of(values: dict[str, Any], table: TokenTable = TABLE) -> tuple[Network, Grammar, list[str]]:
    grammar = Grammar("test", values, {})
    spoken = Spoken("en", [grammar])
    return Network(spoken.grammar, Speller(table), table), grammar, spoken.active({})


def accepts(network: Network, roots: list[str], text: str) -> bool:
    state: State | None = network.start(roots)
    for token in SPELLER.encode(f" {text}"):
        if state is None:
            return False
        state = network.step(state, token)
    return state is not None and state.accepts


def meanings(text: str, grammar: Grammar) -> set[str]:
    """The intents and slots that hassil reads in `text`."""
    return {
        f"{result.intent.name} {sorted((entity.name, _value(entity.value)) for entity in result.entities_list)}"
        for result in recognize_all(text, grammar.intents, language="en")
    }


def _value(value: object) -> str:
    """Numbers in words come from hassil as whole numbers, those in digits as broken ones; texts with spaces around."""
    return f"{value:g}" if isinstance(value, int | float) else str(value).strip()


@settings(max_examples=50, deadline=None)
@given(sentences(), st.randoms(use_true_random=False))
def test_every_sentence_of_the_templates_is_accepted_and_read_as_hassil_reads_it(
    values: dict[str, Any], chance: random.Random
) -> None:
    network, grammar, roots = network_of(values)
    for scope in grammar.scopes:
        for template in scope.templates:
            text = " ".join(say(template.sentence.expression, scope, chance).split())
            found = meanings(text, grammar)
            assume(found)  # hassil cannot read all that its own templates say: "(a|)" and the like
            assert accepts(network, roots, text), text
            readings = read(network, SPELLER.encode(f" {text}"), roots)
            assert any(meanings(reading, grammar) & found for reading in readings), (text, readings)


@settings(max_examples=50, deadline=None)
@given(sentences(), st.randoms(use_true_random=False))
def test_whatever_the_network_accepts_hassil_reads(values: dict[str, Any], chance: random.Random) -> None:
    network, grammar, roots = network_of(values)
    for _ in range(4):
        tokens = walk(network, network.start(roots), chance)
        if tokens is None:
            continue
        readings = read(network, tokens, roots)
        assert readings, TABLE.decode(tokens)
        if TWO_FREE.search(str(values["intents"])):
            # Where two free texts meet, hassil looks for the second in the words of the first ("milk milk").
            continue
        assert all(meanings(reading, grammar) for reading in readings), (TABLE.decode(tokens), readings)


def walk(network: Network, state: State, chance: random.Random) -> list[int] | None:
    """A random way to the end of a sentence; null where it went on for too long."""
    tokens: list[int] = []
    while len(tokens) < 120:
        if state.accepts and (not state.tokens.size or chance.random() < 0.4):
            return tokens
        if state.free and (not state.tokens.size or chance.random() < 0.5):
            said = list(SPELLER.encode(f" {chance.choice(FREE_WORDS)}"))
        elif state.tokens.size:
            said = [int(chance.choice(state.tokens.tolist()))]
        else:
            return None
        for token in said:
            after = network.step(state, token)
            if after is None:
                return None  # free text that cannot stand here
            tokens.append(token)
            state = after
    return None


@settings(max_examples=30, deadline=None)
@given(sentences(), st.randoms(use_true_random=False))
def test_the_tokens_of_a_state_are_those_that_lead_on(values: dict[str, Any], chance: random.Random) -> None:
    network, _, roots = network_of(values)
    state = network.start(roots)
    for _ in range(12):
        allowed = {token for token in range(len(TABLE)) if network.step(state, token) is not None}
        free = set(network.tokens_of[state.free].tolist()) if state.free else set()
        assert allowed == set(state.tokens.tolist()) | free
        if not allowed:
            assert state.accepts
            return
        after = network.step(state, chance.choice(sorted(allowed)))
        assert after is not None
        state = after


def test_words_to_skip_may_stand_anywhere_and_are_not_read() -> None:
    values = {
        "language": "en",
        "skip_words": ["please", "can you"],
        "intents": {"A": {"data": [{"sentences": ["turn on {room}"]}]}},
        "lists": {"room": {"values": ["the kitchen"]}},
    }
    network, grammar, roots = network_of(values)
    for text in (
        "can you turn on the kitchen",
        "please can you turn on the kitchen please",
        "turn on please the kitchen",
    ):
        assert accepts(network, roots, text), text
        [reading] = read(network, SPELLER.encode(f" {text}"), roots)
        assert reading == "turn on the kitchen"
        assert meanings(reading, grammar)
    assert not accepts(network, roots, "please")


def test_a_rule_says_in_each_context_what_counts_there() -> None:
    network, grammar, _ = network_of(
        {
            "language": "en",
            "intents": {
                "Switch": {"data": [{"sentences": ["switch <thing>"], "requires_context": {"domain": "light"}}]},
                "Spin": {"data": [{"sentences": ["spin <thing>"], "requires_context": {"domain": "fan"}}]},
            },
            "expansion_rules": {"thing": "the <named>", "named": "{name}"},
            "lists": {
                "name": {
                    "values": [
                        {"in": "lamp", "out": "lamp", "context": {"domain": "light"}},
                        {"in": "blower", "out": "blower", "context": {"domain": "fan"}},
                    ]
                }
            },
        }
    )
    said = {"light": "switch the lamp", "fan": "spin the blower"}
    other = {"light": "switch the blower", "fan": "spin the lamp"}
    for domain in said:
        roots = Spoken("en", [grammar]).active({"domain": domain})
        assert accepts(network, roots, said[domain])
        assert not accepts(network, roots, other[domain])


def test_great_numbers_stay_themselves_and_endless_ranges_cost_little() -> None:
    network, _, roots = network_of(
        {
            "language": "en",
            "intents": {"Call": {"data": [{"sentences": ["call {number}"]}]}},
            "lists": {"number": {"range": {"from": 999_999, "to": 999_999_999, "words": False}}},
        }
    )
    for number in ("999999", "1000000", "1000001"):
        assert accepts(network, roots, f"call {number}")
        tokens = SPELLER.encode(f" call {number}")
        assert read(network, tokens, roots) == [f"call {number}"]


def test_commands_whose_letters_take_several_tokens_are_told_apart() -> None:
    values = {
        "language": "zh-CN",
        "intents": {"Light": {"data": [{"sentences": ["(打开|关闭)(厨房|卧室)灯"]}]}},
    }
    grammar = Spoken("zh-CN", [Grammar("test", values, {})]).grammar
    network = Network(grammar, SPELLER, TABLE)
    texts = [f"{verb}{room}灯" for verb in ("打开", "关闭") for room in ("厨房", "卧室")]
    keys = {b"".join(network.keys[token] for token in SPELLER.encode(text)) for text in texts}
    assert len(keys) == len(texts)
    assert all(network.free_after(FREE_BEGIN, SPELLER.encode(text)[0]) for text in ("盐", "灯"))


def test_who_walks_while_all_is_forgotten_comes_to_the_end() -> None:
    values = {
        "language": "en",
        "intents": {"Put": {"data": [{"sentences": ["put {thing} on [my] {list} list [please]"]}]}},
        "lists": {
            "thing": {"values": ["milk", "oat milk", "soap"]},
            "list": {"values": ["shopping", "oat", "milk"]},
        },
    }
    network, _, roots = network_of(values)
    state = network.start(roots)
    for number, token in enumerate(SPELLER.encode(" put oat milk on my milk list please")):
        if number % 2:
            network.forget()
            network.start(roots)  # makes sets of its own, with the same numbers
        after = network.step(state, token)
        assert after is not None
        state = after
    assert state.accepts
    assert accepts(network, roots, "put soap on oat list")


def test_what_is_forgotten_takes_no_memory() -> None:
    values = {
        "language": "en",
        "intents": {"Say": {"data": [{"sentences": ["<a> [<b>] <a>"]}]}},
        "expansion_rules": {"a": "(one|two|three) [<b>]", "b": "[so] (four|five)"},
    }
    network, _, roots = network_of(values)
    network.start(roots)
    before = network.state_count, network.set_count
    for text in ("one four two", "three so five three so four", "two five one"):
        assert accepts(network, roots, text)
    assert (network.state_count, network.set_count) > before
    network.forget()
    network.start(roots)
    assert (network.state_count, network.set_count) == before
