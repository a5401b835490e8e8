"""What a name takes the place of in a reading, and the tokens that write it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.constrain.ctc import forward_logprob
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.ctc import CtcFrames
from agentbox.asr.engine import Aborted, Recognition
from agentbox.asr.hotwords.evidence import FRAMES
from agentbox.asr.hotwords.scoring import Change, changes, logprobs_by_character, respelled
from agentbox.asr.hotwords.text_scorer import TextScorer
from agentbox.asr.tokens import TokenTable

BYTES = [bytes([byte]) for byte in range(256)]


def table_of(*pieces: str) -> TokenTable:
    return TokenTable([b"<blank>", b"<s>", b"</s>", *BYTES, *(piece.encode() for piece in pieces)])


def read_as(table: TokenTable, *pieces: str) -> Recognition:
    tokens = tuple(table.pieces.index(piece.encode()) for piece in pieces)
    return Recognition(
        table.decode(tokens), tokens=tokens, token_logprobs=tuple(-0.1 * at for at, _ in enumerate(tokens))
    )


ENGLISH = table_of("\u2581call", "\u2581ago", "\u2581stin", "o", "\u2581now", "?", "\u2581A", "go", "stino", "\u2581")


@pytest.mark.parametrize(
    ("pieces", "text", "change"),
    [
        (["▁call", "▁ago", "▁stin", "o", "▁now", "?"], "call Agostino now?", Change(1, 4, " Agostino")),
        (["▁call", "▁ago", "▁stin", "o", "▁now", "?"], "call ago stinogo now?", Change(2, 4, " stinogo")),
        (["▁ago", "▁stin", "o", "▁now"], "Agostino now", Change(0, 3, "Agostino")),
        (["▁call", "▁ago", "▁stin", "o"], "call Agostino", Change(1, 4, " Agostino")),
        (["▁call", "▁ago"], "call ago", Change(2, 2, "")),
        (["▁call", "▁now"], "call ago now", Change(1, 2, " ago now")),
        (["▁", "A", "go", "▁", "A", "go"], "Ago call", Change(3, 6, " call")),
        (["打", "电话", "给", "程", "思", "成"], "打电话给陈思诚", Change(3, 6, "陈思诚")),
        (["打", "电话", "给", "程", "思", "成"], "打电话给程思诚", Change(5, 6, "诚")),
        (["打", "电话", "给", "张"], "打电给张", Change(1, 2, "电")),
        (["▁", "程", "思", "成", "▁now"], "陈思诚 now", Change(0, 4, "陈思诚")),
    ],
)
def test_whole_words_and_single_characters_make_room(pieces: list[str], text: str, change: Change) -> None:
    table = table_of(*pieces)
    assert changes(read_as(table, *pieces), [text], table.decode) == [change]


WORDS = st.lists(
    st.sampled_from(["call", "ago", "agostino", "go", "now?", "程思", "张", "打电话", "won't"]), min_size=1
)


@given(WORDS, WORDS, WORDS, WORDS, st.booleans())
def test_whatever_is_said_in_their_place_is_spelled(
    before: list[str], heard: list[str], meant: list[str], after: list[str], spaced: bool
) -> None:
    table, gap = ENGLISH, " " if spaced else ""
    speller = Speller(table)
    old, new = (gap.join([*before, *words, *after]) for words in (heard, meant))
    tokens = speller.encode(f" {old}")
    read = Recognition(old, tokens=tokens, token_logprobs=tuple(-float(at) for at in range(len(tokens))))
    [change] = changes(read, [new], table.decode)
    [ways] = respelled(read, [new], table.decode, table, [speller.encode, speller.longest_first])
    assert ways
    for spelled in ways:
        assert table.decode(spelled).replace(" ", "") == new.replace(" ", "")
        assert spelled[: change.first] == tokens[: change.first]
        assert spelled[len(spelled) - (len(tokens) - change.end) :] == tokens[change.end :]
    assert table.decode(ways[0]) == new
    assert len(logprobs_by_character(read, table.decode)) == len(old)
    assert respelled(read, [old], table.decode, table, [speller.encode]) == [[tokens]]


def test_what_a_model_cannot_spell_is_not_scored() -> None:
    table = TokenTable([b"<blank>", *(piece.encode() for piece in "打电话给程思成")])
    read = read_as(table, *"给程思成")
    assert respelled(read, ["给陈思诚"], table.decode, table, [Speller(table).encode]) == [[]]
    frames = CtcFrames.of(np.zeros((9, len(table)), dtype=np.float32), 0, 60)
    scorer = TextScorer(table, CtcFrames.logprobs_of, FRAMES)
    assert scorer.gains(frames, read, ["给陈思诚"], [-9.0]) == [-math.inf]
    some = scorer.gains(frames, read, ["给陈思诚", "给思程成", "给程思成"], [-9.0] * 3)
    assert some == [-math.inf, pytest.approx(0.0, abs=1e-5), pytest.approx(0.0, abs=1e-5)]
    with pytest.raises(Aborted):
        scorer.gains(frames, read, ["给思程成"], [-9.0], lambda: True)


@pytest.mark.parametrize(
    ("pieces", "heard", "meant"),
    [
        (["▁", *(f"▁{one}" for one in "ac"), *"acgilnost"], "call ago stino", "call Agostino"),
        (["▁", *"ACGILNOST"], "CALL AGO STINO", "CALL Agostino"),
        (["▁", *"ADEHIJOS"], "HI HOSE", "HI José"),
    ],
)
def test_a_model_that_writes_letters_its_own_way_scores_names_too(pieces: list[str], heard: str, meant: str) -> None:
    table = TokenTable([b"<blank>", *(piece.encode() for piece in pieces)])
    tokens = Speller(table).encode(f" {heard}")
    assert table.decode(tokens) == heard
    read = Recognition(heard, tokens=tokens)
    frames = CtcFrames.of(np.zeros((60, len(table)), dtype=np.float32), 0, 60)
    [gain] = TextScorer(table, CtcFrames.logprobs_of, FRAMES).gains(frames, read, [meant], [-99.0])
    assert gain > -20.0


def test_both_ways_to_cut_a_name_count() -> None:
    """Pairs give "▁K oi v"; a tokenizer that does not cut by pairs may write "▁Ko iv"."""
    table = table_of("▁", "▁a", "oi", "▁K", "iv", "▁Ko")
    read = read_as(table, "▁a")
    number = {piece.decode(errors="replace"): at for at, piece in enumerate(table.pieces)}
    by_pairs, other_cut = (number["▁K"], number["oi"], number["v"]), (number["▁Ko"], number["iv"])
    speller = Speller(table)
    assert (speller.encode(" Koiv"), speller.longest_first(" Koiv")) == (by_pairs, other_cut)
    rows = np.random.default_rng(1).normal(size=(7, len(table))).astype(np.float32)
    frames = CtcFrames.of(rows, 0, 60)
    [gain] = TextScorer(table, CtcFrames.logprobs_of, FRAMES).gains(frames, read, ["Koiv"], [-99.0])
    own, *ways = (forward_logprob(frames.logprobs, way, 0) for way in (read.tokens, by_pairs, other_cut))
    assert gain == pytest.approx(float(np.logaddexp(ways[0], ways[1])) - own)


def test_a_letter_that_is_cut_into_bytes_is_as_doubtful_as_its_last_byte() -> None:
    table = TokenTable([b"<blank>", b"<s>", b"</s>", *BYTES])
    read = Recognition(
        "a程b", tokens=tuple(3 + byte for byte in "a程b".encode()), token_logprobs=(-0.1, -0.2, -0.3, -3.0, -0.4)
    )
    assert logprobs_by_character(read, table.decode) == [-0.1, -3.0, -0.4]
