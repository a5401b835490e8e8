"""Byte-level byte pair encoding as the Qwen models have it: from vocab.json, merges.txt and tokenizer.json.

A text is put into NFC, split into words (by the pattern in tokenizer.json, which is the same for all Qwen models), and
the bytes of each word are merged pair by pair, the pair that comes first in merges.txt first.

Of 150,000 tokens nothing is kept as a Python object: as dictionaries they would take some 50 MB.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from array import array
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from agentbox.errors import ModelError

FILES = ("vocab.json", "merges.txt", "tokenizer.json")
"""A tokenizer's folder holds these."""

_CONTRACTION = re.compile(r"'(?:s|t|re|ve|m|ll|d)", re.IGNORECASE)
_WORD = re.compile(r"[^RLN]?L+|N|_?O+R*|[_SR]*R+|[_SR]+(?![^_SR])|[_SR]+")
"""The rest of Qwen's pattern, over classes of letters (see `classes`)."""

_SPACES = "\t\x0b\x0c\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""White space by Unicode's property, without the space itself and the ends of lines. (`str.isspace` has four more.)"""

_CLASS_OF = {" ": "_", "\r": "R", "\n": "R", **dict.fromkeys(_SPACES, "S")}

_NO_RANK = 1 << 40
_MOST_MET = 20_000
"""Pairs that are remembered, 0.1 kB each."""


class _AddedToken(msgspec.Struct):
    id: int
    content: str


class _Added(msgspec.Struct):
    added_tokens: list[_AddedToken]


class Bpe:
    """Text to token numbers and back."""

    contraction = _CONTRACTION
    word = _WORD
    """Over classes of letters (see `classes`)."""

    def __init__(self, vocabulary: dict[str, int], merges: Iterable[str], added: dict[str, int]) -> None:
        """`vocabulary`: pieces in the letters that stand for bytes (GPT-2's), to their numbers, which begin with 0 and
        leave none out. `merges`: pairs of pieces, a space between, the first to be merged first.

        Raises `KeyError` or `ValueError` where they do not belong together.
        """
        size = len(vocabulary)
        if sorted(vocabulary.values()) != list(range(size)):
            raise ValueError("the numbers of the pieces are not 0, 1, 2 ...")
        if min(added.values(), default=size) < size:
            raise ValueError("a special token has the number of a piece")
        self.special = added
        """The marks of the model, such as `<|im_end|>`, to their numbers."""
        self._size = max([size - 1, *added.values()]) + 1
        letters = _letters()
        self._of_byte = [vocabulary[letter] for letter in letters]
        pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        self._ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
        to_byte = {ord(letter): byte for byte, letter in enumerate(letters)}
        self._bytes = "".join(pieces).translate(to_byte).encode("latin-1")
        keys, merged = array("q"), array("i")
        for first, second in (line.split(" ") for line in merges):
            keys.append(vocabulary[first] << 32 | vocabulary[second])
            merged.append(vocabulary[first + second])
        order = np.argsort(np.array(keys), kind="stable")
        self._pairs: NDArray[np.int64] = np.array(keys)[order]
        self._rank: NDArray[np.int32] = order.astype(np.int32)
        self._merged: NDArray[np.int32] = np.array(merged)[order]
        self._met: dict[tuple[int, int], int] = {}
        self._merged_at: dict[int, int] = {}
        """By rank."""

    @classmethod
    def read(cls, folder: Path) -> Bpe:
        """The tokenizer in `folder`. Raises `ModelError` `model_damaged`."""
        try:
            vocabulary = msgspec.json.decode((folder / "vocab.json").read_bytes(), type=dict[str, int])
            lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
            added = msgspec.json.decode((folder / "tokenizer.json").read_bytes(), type=_Added)
            merges = (line for line in lines if line and not line.startswith("#version"))
            return cls(vocabulary, merges, {token.content: token.id for token in added.added_tokens})
        except (OSError, ValueError, KeyError, msgspec.MsgspecError) as error:
            raise ModelError(
                "model_damaged",
                f"{folder} cannot be read as a tokenizer: {', '.join(FILES)} are damaged, or do not belong together.",
                "Fetch these files again from where the model came from.",
            ) from error

    def __len__(self) -> int:
        """One more than the highest number of a token."""
        return self._size

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`. What looks like a mark of the model (`<|im_end|>`) is text like any other."""
        text = self.normal(text)
        kinds = classes(text)
        tokens: list[int] = []
        at = 0
        while at < len(text):
            found = self.contraction.match(text, at) or self.word.match(kinds, at)
            assert found is not None
            tokens += self.encode_word(text[at : found.end()].encode())
            at = found.end()
        return tokens

    def normal(self, text: str) -> str:
        """As the model was taught to read it."""
        return unicodedata.normalize("NFC", text)

    def encode_word(self, word: bytes) -> list[int]:
        """The tokens of one word: what a pattern cut out of the text."""
        tokens = [self._of_byte[byte] for byte in word]
        while len(tokens) > 1:
            rank, at = min((self._rank_of(pair), at) for at, pair in enumerate(pairwise(tokens)))
            if rank == _NO_RANK:
                break
            tokens[at : at + 2] = [self._merged_at[rank]]
        return tokens

    def _rank_of(self, pair: tuple[int, int]) -> int:
        """Which merge makes one token of two, the lowest first; `_NO_RANK` for none. Those met are remembered: to look
        one up takes ten times as long."""
        rank = self._met.get(pair)
        if rank is None:
            key = pair[0] << 32 | pair[1]
            found = min(int(np.searchsorted(self._pairs, key)), self._pairs.size - 1)
            known = found >= 0 and int(self._pairs[found]) == key
            rank = int(self._rank[found]) if known else _NO_RANK
            if known:
                self._merged_at[rank] = int(self._merged[found])
            if len(self._met) >= _MOST_MET:
                self._met.clear()
            self._met[pair] = rank
        return rank

    def bytes_of(self, token: int) -> bytes:
        """The bytes of one token; none for a mark of the model, or a number past the table."""
        if not 0 <= token < self._ends.size:
            return b""
        begin = int(self._ends[token - 1]) if token else 0
        return self._bytes[begin : int(self._ends[token])]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`. Bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self.bytes_of, tokens)).decode("utf-8", "replace")


class TextSoFar:
    """The text of tokens that come one by one: a letter whose bytes are not all there yet is held back."""

    def __init__(self, table: Bpe) -> None:
        self._table = table
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""

    def add(self, token: int) -> bool:
        """Whether there is more text than before."""
        more = self._decoder.decode(self._table.bytes_of(token))
        self.text += more
        return bool(more)


def _letters() -> list[str]:
    """The letter that stands for each byte, as GPT-2 has it: itself if it can be printed, else one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def classes(text: str) -> str:
    """For each letter of `text` what it is to the pattern: L a letter, N a number, _ a space, R the end of a line, S
    other white space, O anything else."""
    return "".join(_CLASS_OF.get(letter) or _by_category(letter) for letter in text)


def _by_category(letter: str) -> str:
    category = unicodedata.category(letter)[0]
    return category if category in "LN" else "O"
