"""The token table of a Moonshine model (`tokenizer.bin`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from agentbox.errors import ModelError

_SPECIAL = re.compile(rb"<.+>", re.DOTALL)
"""Pieces that are no text: <s>, </s>, <unk>, <<ST_0>>. (Pieces for single bytes are stored as the byte itself.)"""

START, END = 1, 2
"""Token numbers of <s> and </s>."""

FIRST_PIECE = 3 + 256
"""Three special ones and all single bytes come before the first piece of text."""

_SPACE = "\u2581".encode()


def parse(data: bytes) -> list[bytes]:
    """The pieces of a `tokenizer.bin`, in the order of their numbers.

    Each entry is its length and its bytes. A length under 128 is one byte (0: an empty piece); a longer one is two
    bytes, low seven bits first, with the high bit of the first byte set (moonshine: core/bin-tokenizer).

    Raises `ValueError` when the data ends inside an entry.
    """
    pieces = []
    at = 0
    end = len(data)
    while at < end:
        length = data[at]
        at += 1
        if length >= 128:
            if at == end:
                raise ValueError("the data ends inside a length")
            length += (data[at] - 1) * 128
            at += 1
        if at + length > end:
            raise ValueError("the data ends inside a piece")
        pieces.append(data[at : at + length])
        at += length
    return pieces


class TokenTable:
    """Token numbers to text."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self._text = [b"" if _SPECIAL.fullmatch(piece) else piece.replace(_SPACE, b" ") for piece in pieces]

    @classmethod
    def read(cls, path: Path) -> TokenTable:
        """Raises `ModelError` `model_damaged` when the file cannot be read or is no token table."""
        try:
            pieces = parse(path.read_bytes())
            if len(pieces) < FIRST_PIECE:
                raise ValueError("too few pieces")
        except (OSError, ValueError) as error:
            raise ModelError(
                "model_damaged", f"{path} cannot be read as a token table.", "Run: agentbox models verify"
            ) from error
        return cls(pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def is_special(self, token: int) -> bool:
        """Whether `token` is no text: a mark of the model's own, or past the table."""
        return token >= len(self.pieces) or not self._text[token]

    def text_of(self, token: int) -> bytes:
        """The bytes of one token, with a space in front where a word begins; a letter may be cut in half."""
        return self._text[token] if token < len(self._text) else b""

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`. Bytes that are no UTF-8 (a letter cut in half) become U+FFFD.

        A number past the table is no text: some models score more tokens (`<<ST_n>>`) than their table has.
        """
        size = len(self._text)
        return b"".join(self._text[token] for token in tokens if token < size).decode("utf-8", "replace").strip()
