"""tokens.txt, as several exporters write it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.tokens_txt import parse, read
from agentbox.errors import ModelError


def test_plain_pieces(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text(
        "<blk> 0\n<|zh|> 3\n\u2581the 1\r\n灯 2\n<0xE7> 4\n 5\n\u2028 6\n", encoding="utf-8"
    )
    table = read(tmp_path / "tokens.txt")
    assert table.pieces == [b"<blk>", "\u2581the".encode(), "灯".encode(), b"<|zh|>", b"\xe7", b" ", "\u2028".encode()]
    assert table.decode([3, 1, 2]) == "the灯"
    assert table.is_special(3)


def test_pieces_in_base64(tmp_path: Path) -> None:
    pieces = ["灯".encode()[:2], "灯".encode()[2:], b" a b", b"<|x|>"]
    lines = "".join(f"{base64.b64encode(piece).decode()} {number}\n" for number, piece in enumerate(pieces))
    (tmp_path / "tokens.txt").write_text(lines)
    assert read(tmp_path / "tokens.txt").pieces == pieces
    assert read(tmp_path / "tokens.txt", encoded=False).pieces != pieces
    assert read(tmp_path / "tokens.txt").decode([0, 1, 2]) == "灯 a b"


def test_a_token_without_text_in_base64(tmp_path: Path) -> None:
    """The last line of OpenAI's multilingual.tiktoken is `= 50256`."""
    (tmp_path / "tokens.txt").write_text("IFBha2lzdGFuaQ== 0\n5Zy6 1\n= 2\n")
    for encoded in (True, None):
        table = read(tmp_path / "tokens.txt", encoded=encoded)
        assert table.pieces == [b" Pakistani", "场".encode(), b""]
        assert table.is_special(2)


def test_the_encoding_can_be_told_where_it_cannot_be_seen() -> None:
    assert parse("abcd 0", encoded=False) == [b"abcd"]
    assert parse("abcd 0") == parse("abcd 0", encoded=True) == [base64.b64decode("abcd")]
    assert parse("灯 0\nabcd 1") == ["灯".encode(), b"abcd"]


@given(st.lists(st.binary(min_size=1, max_size=6), min_size=1, max_size=30))
def test_whatever_the_pieces_are_base64_brings_them_back(pieces: list[bytes]) -> None:
    lines = [f"{base64.b64encode(piece).decode()} {number}" for number, piece in enumerate(pieces)]
    assert parse("\n".join(reversed(lines)), encoded=True) == parse("\n".join(lines)) == pieces


def test_missing_numbers_are_empty() -> None:
    assert parse("a 2") == [b"", b"", b"a"]


@pytest.mark.parametrize(
    "text", ["", "\n\n", "a b c\n", "a 1\nb 1\n", "a -1\n", "a 99999999999\n", "a 1000000\n", "a x\n", "a 1.5\n"]
)
def test_what_is_no_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens.txt").write_text(text)
    with pytest.raises(ModelError) as refused:
        read(tmp_path / "tokens.txt")
    assert refused.value.code == "model_damaged"


@given(st.text(max_size=60))
def test_any_text_is_a_table_or_a_value_error(text: str) -> None:
    try:
        pieces = parse(text)
    except ValueError:
        return
    assert any(pieces) or text.split()


def test_bytes_that_are_no_text_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_bytes(b"\xff\xfe 1\n")
    for name in ("tokens.txt", "nothing.txt"):
        with pytest.raises(ModelError, match="cannot be read"):
            read(tmp_path / name)


def test_a_table_of_another_model(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text("a 0\nbc 1\nc 2\n")
    assert len(read(tmp_path / "tokens.txt", size=3)) == 3
    assert len(read(tmp_path / "tokens.txt", size=4)) == 3  # without the blank, which comes last
    for size in (2, 5):
        with pytest.raises(ModelError, match=f"3 tokens, and the model {size}"):
            read(tmp_path / "tokens.txt", size=size)
