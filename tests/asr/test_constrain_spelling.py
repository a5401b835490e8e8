"""Words as tokens: the model's own segmentation, and the cases a recogniser may write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.moonshine import Moonshine
from tests.asr.grammars import small_table

TABLE = small_table()
SPELLER = Speller(TABLE)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\u2581\0"), max_size=12))
def test_what_is_spelled_reads_the_same(text: str) -> None:
    assert TABLE.decode(SPELLER.encode(f" {text}")) == text.strip()


def test_the_piece_that_was_merged_first_is_taken() -> None:
    assert [TABLE.pieces[token] for token in SPELLER.encode(" the")] == ["\u2581the".encode()]
    # "he" stands before "er" in the table, so "r" is left alone.
    assert [TABLE.pieces[token] for token in SPELLER.encode("her")] == [b"he", b"r"]


def test_letters_the_table_lacks_are_spelled_in_bytes() -> None:
    assert not SPELLER.knows(" é")
    assert TABLE.decode(SPELLER.encode(" é")) == "é"
    assert SPELLER.knows(" the on")


def written(word: str) -> list[str]:
    """The ways the word may be written, however it is cut into tokens."""
    return list(dict.fromkeys(TABLE.decode(tokens) for tokens in SPELLER.variants(word)))


def test_cases() -> None:
    assert written("light") == ["light", "Light"]
    assert written("tv") == ["tv", "Tv", "TV"]
    assert written("McCoy") == ["McCoy", "mccoy"]


def test_inside_a_sentence_only_names_have_a_capital(engine: Moonshine) -> None:
    speller = Speller(engine.table)

    def inside(word: str) -> set[str]:
        return {engine.table.decode(tokens) for tokens in speller.variants(word, first=False)}

    assert inside("coffee") == {"coffee"}
    assert "Monday" in inside("monday")
    assert "I" in inside("i")


def test_a_word_may_be_cut_by_its_longest_beginning(engine: Moonshine) -> None:
    """ "ice" is a piece, and a model that has begun with it can still say "iced"."""
    speller = Speller(engine.table)
    cuts = {tuple(engine.table.text_of(token) for token in tokens) for tokens in speller.variants("iced", first=False)}
    assert (b" ice", b"d") in cuts
    assert len(cuts) > 1
    assert speller.longest_first(" 厨") == speller.encode(" 厨")


def test_the_models_own_tokens_are_found_again(engine: Moonshine, recordings: dict[str, NDArray[np.float32]]) -> None:
    """The model writes as its tokenizer segments; where it does not, its text is still what was spelled."""
    speller = Speller(engine.table)
    tokens = engine.decode(engine.encode(recordings["two_cities"][: 20 * 16_000])).tokens
    text = engine.table.decode(tokens)
    assert len(tokens) > 40
    assert speller.encode(f" {text}") == tokens


def test_a_word_of_the_owners_script_is_known_where_the_table_has_it(models_dir: Path, engine: Moonshine) -> None:
    speller = Speller(engine.table)
    assert speller.knows(" living room")
    assert not speller.knows(" 厨房里的灯䴊")
