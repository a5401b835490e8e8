from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.moonshine import Moonshine
from agentbox.asr.tokens import TokenTable, parse
from agentbox.errors import ModelError


def packed(pieces: list[bytes]) -> bytes:
    """What `parse` undoes, written from the format's description."""
    data = b""
    for piece in pieces:
        size = len(piece)
        data += bytes([size]) if size < 128 else bytes([size % 128 + 128, size // 128])
        data += piece
    return data


@given(st.lists(st.binary(max_size=400), max_size=30))
def test_every_table_is_read_back(pieces: list[bytes]) -> None:
    assert parse(packed(pieces)) == pieces


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_a_value_error(data: bytes) -> None:
    try:
        pieces = parse(data)
    except ValueError:
        return
    assert packed(pieces) == data or any(len(piece) < 128 for piece in pieces)


@pytest.mark.parametrize("data", [b"\x03ab", b"\x81", b"\x80\x01" + b"a" * 127])
def test_a_table_that_ends_inside_an_entry_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="ends inside"):
        parse(data)


def test_decoding_joins_bytes_and_skips_what_is_no_text() -> None:
    pieces = [b"<unk>", b"<s>", b"</s>", "\u4f60".encode()[:1], "\u4f60".encode()[1:], "\u2581hi".encode(), b"<", b""]
    table = TokenTable(pieces)
    assert table.decode([1, 5, 3, 4, 7, 0, 2]) == "hi\u4f60"
    assert table.decode([6, 5]) == "< hi"
    assert table.decode([3]) == "\ufffd"
    assert table.decode([9999]) == ""


def test_a_file_that_is_no_table_is_a_model_error(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.bin"
    with pytest.raises(ModelError, match="token table") as missing:
        TokenTable.read(path)
    path.write_bytes(b"\x7fshort")
    with pytest.raises(ModelError) as broken:
        TokenTable.read(path)
    assert missing.value.code == broken.value.code == "model_damaged"


def test_the_default_models_table(engine: Moonshine, models_dir: Path) -> None:
    table = TokenTable.read(models_dir / "moonshine-tiny-en" / "tokenizer.bin")
    assert len(table) == 32768
    assert table.pieces[:4] == [b"<unk>", b"<s>", b"</s>", b"\x00"]
    assert table.decode(range(32000, 32768)) == ""
