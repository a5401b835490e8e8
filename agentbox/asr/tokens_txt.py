"""Token tables as sherpa-onnx writes them (`tokens.txt`: a piece and its number on each line), and as FunASR does
(`tokens.json`: a list of pieces)."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

import msgspec

from agentbox.asr.graph_files import damaged
from agentbox.asr.tokens import TokenTable

_MOST = 1_000_000
"""Numbers above this are no vocabulary."""

_LINE = re.compile(r"(?:([^ \t]+)[ \t]+)?([0-9]{1,9})")
_BYTE = re.compile(rb"<0x([0-9A-Fa-f]{2})>")
"""How sentencepiece writes a piece that is a single byte."""


def parse(text: str, *, encoded: bool | None = None) -> list[bytes]:
    """The pieces in the order of their numbers; a number that is missing has an empty piece.

    A line without a piece is a space. `encoded`: the pieces are written in base64; null: they are where all of them can
    be. Raises `ValueError`.
    """
    pieces: dict[int, str | None] = {}
    for line in text.split("\n"):  # a piece may be one of the rarer characters that end a line
        if not (stripped := line.strip(" \t\r")):
            continue
        found = _LINE.fullmatch(stripped)
        if found is None:
            raise ValueError("a line is no piece and its number")
        number = int(found[2])
        if number >= _MOST or number in pieces:
            raise ValueError(f"the number {number} is there twice or too large")
        pieces[number] = found[1]
    if not pieces:
        raise ValueError("it is empty")
    decoded = None if encoded is False else _decoded(pieces)
    if encoded and decoded is None:
        raise ValueError("a piece is no base64")
    if decoded is None:
        decoded = {number: _plain(piece) for number, piece in pieces.items()}
    return [decoded.get(number, b"") for number in range(max(decoded) + 1)]


def _plain(piece: str | None) -> bytes:
    data = b" " if piece is None else piece.encode()
    byte = _BYTE.fullmatch(data)
    return bytes([int(byte[1], 16)]) if byte else data


def _decoded(pieces: dict[int, str | None]) -> dict[int, bytes] | None:
    """Null where one of them is no base64."""
    try:
        return {number: _bytes(piece or "") for number, piece in pieces.items()}
    except (binascii.Error, ValueError):
        return None


def _bytes(piece: str) -> bytes:
    # OpenAI's multilingual table, of which those of other models are made, has a last token without text, and writes a
    # mark of padding for it, with nothing before.
    return b"" if piece == "=" else base64.b64decode(piece, validate=True)


def read(path: Path, *, size: int | None = None, encoded: bool | None = None) -> TokenTable:
    """The table of a `tokens.txt`, or of a `tokens.json`; see `parse` for `encoded`.

    `size`: how many tokens the model scores: the table must not have more, nor lack any but the last (some exporters
    leave the blank out). Raises `ModelError` `model_damaged`.
    """
    try:
        data = path.read_bytes()
        pieces = _listed(data) if path.suffix == ".json" else parse(data.decode(), encoded=encoded)
    except (OSError, ValueError) as error:
        why = "it cannot be read" if isinstance(error, OSError | UnicodeDecodeError) else str(error)
        raise damaged(path, why) from error
    if size is not None and not size - 1 <= len(pieces) <= size:
        raise damaged(path, f"it has {len(pieces)} tokens, and the model {size}")
    return TokenTable(pieces)


def _listed(data: bytes) -> list[bytes]:
    try:
        pieces = msgspec.json.decode(data, type=list[str])
    except msgspec.MsgspecError as error:
        raise ValueError("it is no list of pieces") from error
    return [_plain(piece) for piece in pieces]


def find(folder: Path) -> Path | None:
    """The token table in `folder`, by its usual names; null where there is none."""
    return next((folder / name for name in ("tokens.txt", "tokens.json") if (folder / name).is_file()), None)
