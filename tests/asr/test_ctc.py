"""CTC scoring against the enumeration of every alignment, and the search against every sentence of a grammar."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.asr.constrain.ctc import Logprobs, forward_logprob, forward_logprobs, search
from agentbox.asr.constrain.network import Network, State
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.engine import Aborted
from agentbox.asr.tokens import FIRST_PIECE, TokenTable
from agentbox.speech_grammar import END_NODE, START_NODE, Arc, Call, Free, Rule, Say, SpeechGrammar

BLANK = 0


@st.composite
def some_logprobs(draw: st.DrawFn, tokens: int = 3, most_frames: int = 5) -> Logprobs:
    """Rows of probabilities, some of them zero."""
    frames = draw(st.integers(1, most_frames))
    shares = st.lists(st.integers(0, 5), min_size=tokens, max_size=tokens).filter(any)
    rows = np.array(draw(st.lists(shares, min_size=frames, max_size=frames)), dtype=np.float32)
    with np.errstate(divide="ignore"):
        logprobs: Logprobs = np.log(rows / rows.sum(axis=1, keepdims=True))
    return logprobs


def collapsed(alignment: tuple[int, ...]) -> tuple[int, ...]:
    """What an alignment says: repeats are one, then blanks go."""
    return tuple(token for token, _ in itertools.groupby(alignment) if token != BLANK)


def enumerated(logprobs: Logprobs) -> dict[tuple[int, ...], float]:
    """The probability of every token sequence, by adding up all alignments."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    probabilities = np.exp(logprobs.astype(np.float64))
    for alignment in itertools.product(range(logprobs.shape[1]), repeat=len(logprobs)):
        found[collapsed(alignment)] += math.prod(probabilities[frame, token] for frame, token in enumerate(alignment))
    return found


def assert_same(scores: list[float], expected: list[float]) -> None:
    assert not np.isnan(scores).any()
    np.testing.assert_allclose(np.exp(scores), expected, rtol=1e-5, atol=1e-12)


@settings(deadline=None)
@given(some_logprobs())
def test_the_forward_score_is_the_sum_over_all_alignments(logprobs: Logprobs) -> None:
    expected = enumerated(logprobs)
    sequences = [s for length in range(len(logprobs) + 2) for s in itertools.product((1, 2), repeat=length)]
    assert_same([forward_logprob(logprobs, tokens, BLANK) for tokens in sequences], [expected[s] for s in sequences])
    assert_same(list(forward_logprobs(logprobs, sequences, BLANK)), [expected[s] for s in sequences])


def test_long_sound_neither_underflows_nor_becomes_nan() -> None:
    logprobs = np.full((2_000, 4), -np.inf, dtype=np.float32)
    logprobs[:, BLANK] = np.log(1e-30)
    logprobs[5::10, 1] = np.log(1e-30)
    with np.errstate(all="raise"):
        found = forward_logprobs(logprobs, [(1,) * 200, (1,) * 201, (2,), ()], BLANK)
    np.testing.assert_allclose(found, [2_000 * np.log(1e-30), -np.inf, -np.inf, 2_000 * np.log(1e-30)], rtol=1e-6)


def test_another_blank_and_no_candidates() -> None:
    logprobs = np.log(np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]], dtype=np.float32))
    assert forward_logprob(logprobs, [0], 2) == pytest.approx(math.log(0.2 * 0.6 + 0.2 * 0.3 + 0.3 * 0.6))
    assert forward_logprobs(logprobs, [], 2).shape == (0,)
    assert forward_logprob(np.zeros((0, 3), np.float32), [], 2) == 0
    assert forward_logprob(np.zeros((0, 3), np.float32), [1], 2) == -np.inf


@pytest.mark.parametrize("token", [BLANK, 3, -1])
def test_a_token_without_a_score_is_refused(token: int) -> None:
    with pytest.raises(ValueError, match="no score"):
        forward_logprob(np.zeros((2, 3), np.float32), [1, token], BLANK)


PIECES = ["\u2581a", "\u2581b", "b", "a", "\u2581", "\u2581ab", "c"]
TABLE = TokenTable(
    [b"<unk>", b"<s>", b"</s>", *(bytes([byte]) for byte in range(256)), *(piece.encode() for piece in PIECES)]
)


def words(rule: str) -> tuple[Arc, ...]:
    """A rule for some sentences, parted by `|`; `*` is free text, `<x>` a call."""
    arcs, fresh = [], 2
    for sentence in rule.split("|"):
        node = START_NODE
        parts = sentence.split()
        for number, word in enumerate(parts):
            target = END_NODE if number == len(parts) - 1 else fresh
            label = Free() if word == "*" else Call(word[1:-1]) if word[0] == "<" else Say(word, (word,))
            arcs.append(Arc(node, target, label))
            node, fresh = target, fresh + 1
    return tuple(arcs)


def network(**rules: str) -> Network:
    grammar = SpeechGrammar("en", True, {name: Rule(words(rule)) for name, rule in rules.items()}, ("root",))
    return Network(grammar, Speller(TABLE), TABLE)


def piece(text: str) -> int:
    return FIRST_PIECE + PIECES.index(text)


def sentences_of(some: Network, longest: int, tokens: list[int]) -> Iterator[tuple[int, ...]]:
    """Every sentence of up to `longest` of these tokens."""

    def on(state: State, prefix: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if prefix and state.accepts:
            yield prefix
        for token in tokens if len(prefix) < longest else ():
            after = some.step(state, token)
            if after is not None:
                yield from on(after, (*prefix, token))

    return on(some.start(["root"]), ())


def over_pieces(rows: Logprobs) -> Logprobs:
    """Scores for all tokens, where only the blank and the pieces are heard."""
    logprobs = np.full((len(rows), len(TABLE)), -np.inf, dtype=np.float32)
    logprobs[:, [BLANK, *range(FIRST_PIECE, len(TABLE))]] = rows
    return logprobs


GRAMMARS = [
    {"root": "a b | ab b | b"},
    {"root": "a <x> | <x> <x>", "x": "a | bb | b a"},
    {"root": "a * | b"},
]


@pytest.mark.parametrize("rules", GRAMMARS, ids=[rules["root"] for rules in GRAMMARS])
@settings(deadline=None, max_examples=25)
@given(some_logprobs(tokens=len(PIECES) + 1, most_frames=3))
def test_a_wide_search_finds_every_sentence_with_its_exact_score(rules: dict[str, str], rows: Logprobs) -> None:
    some = network(**rules)
    logprobs = over_pieces(rows)
    heard = [FIRST_PIECE + number for number in range(len(PIECES))]
    scored = {s: forward_logprob(logprobs, s, BLANK) for s in sentences_of(some, len(rows), heard)}
    expected = {tokens: score for tokens, score in scored.items() if score > -np.inf}
    found = search(logprobs, some, ["root"], 1_000, BLANK)
    assert {sentence.tokens: sentence.logprob for sentence in found} == pytest.approx(expected)
    assert [sentence.logprob for sentence in found] == sorted(expected.values(), reverse=True)


def test_only_what_the_grammar_allows_is_heard() -> None:
    some = network(root="a b")
    rows = np.full((4, len(PIECES) + 1), 0.02, dtype=np.float32)
    for frame, text in enumerate(["\u2581ab", "\u2581a", "c", "\u2581b"]):
        rows[frame, 1 + PIECES.index(text)] = 0.8
    logprobs = over_pieces(np.log(rows / rows.sum(axis=1, keepdims=True)))
    best, *others = search(logprobs, some, ["root"], 4, BLANK)
    assert TABLE.decode(best.tokens) == "a b"
    assert best.logprob == pytest.approx(forward_logprob(logprobs, best.tokens, BLANK))
    assert all(other.logprob <= best.logprob for other in others)
    assert {TABLE.decode(other.tokens).replace(",", "") for other in others} <= {"a b", "A b", "a B"}


def test_a_whole_sentence_is_not_pushed_out_by_longer_beginnings() -> None:
    """With a beam of one the way on ("a b ...") is likelier for a while, and then nothing more is said."""
    some = network(root="a | a b a b a")
    rows = np.full((5, len(PIECES) + 1), 1e-4, dtype=np.float32)
    rows[0, 1 + PIECES.index("\u2581a")] = 1
    rows[1, 1 + PIECES.index("\u2581b")], rows[1, 0] = 0.6, 0.4
    rows[2:, 0] = 1
    logprobs = over_pieces(np.log(rows / rows.sum(axis=1, keepdims=True)))
    assert [TABLE.decode(found.tokens) for found in search(logprobs, some, ["root"], 1, BLANK)] == ["a"]


def test_a_doubled_token_needs_a_blank_between() -> None:
    some = network(root="a a")
    rows = np.full((3, len(PIECES) + 1), -np.inf, dtype=np.float32)
    rows[:, 1 + PIECES.index("\u2581a")] = np.log(0.5)
    rows[:, 0] = np.log(0.5)
    assert search(over_pieces(rows)[:2], some, ["root"], 8, BLANK) == []
    (found,) = search(over_pieces(rows), some, ["root"], 8, BLANK)
    assert found.tokens == (piece("\u2581a"),) * 2
    assert found.logprob == pytest.approx(3 * math.log(0.5))


def test_nothing_fits_nothing_is_heard() -> None:
    assert search(over_pieces(np.zeros((0, len(PIECES) + 1), np.float32)), network(root="a"), ["root"], 4, BLANK) == []


def test_the_search_can_be_given_up() -> None:
    with pytest.raises(Aborted):
        search(np.zeros((3, len(TABLE)), np.float32), network(root="a"), ["root"], 4, BLANK, abort=lambda: True)
