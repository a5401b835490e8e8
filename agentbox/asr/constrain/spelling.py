"""Words as a model's tokens: the segmentation its tokenizer was trained with, and the letter cases it may write.

The tables of Llama-like tokenizers keep the pieces in the order in which byte-pair encoding merged them (sentencepiece:
the score of a piece is minus its rank), so the table alone is enough to encode: again and again the neighbours whose
joined piece comes first in the table are merged. On 160 transcripts of the default model this gave the model's own
tokens in 155, taking the longest piece from the left in 56.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from agentbox.asr.bpe import Bpe
from agentbox.asr.tokens import FIRST_PIECE, TokenTable

_MARK = "\u2581"
"""What most tables write in place of a space."""
_LONGEST_SHOUTED = 4
"""Words up to so many letters may be written in capitals ("TV", "PM")."""


class Cases:
    """What may stand for a word, whatever it is spelled with."""

    bare = False
    """The first word may have no space before it."""

    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of `text`. A leading space counts."""
        raise NotImplementedError

    def longest_first(self, text: str) -> tuple[int, ...]:
        """Another way to cut `text`, where there is one."""
        return self.encode(text)

    def variants(self, text: str, *, spaced: bool = True, first: bool = True) -> Iterator[tuple[int, ...]]:
        """The token sequences for `text` as a word of its own: as it is, in lower case, with a capital, in capitals.

        `spaced`: a space goes before it. `first`: it is the first of a sentence; others have a capital only where they
        are no piece of their own without: names mostly ("Monday"). A model may write any word with a capital, but to
        allow it would make odd words out of common ones ("Setup Eats a Timer").
        """
        lower, capital = text.lower(), text[:1].upper() + text[1:]
        cases = [text, lower]
        pieces = len(self.encode(f" {lower}"))
        if first or len(text) == 1 or (pieces > 1 and len(self.encode(f" {capital}")) <= pieces):
            cases.append(capital)
        if len(text) <= _LONGEST_SHOUTED:
            cases.append(text.upper())
        for case in dict.fromkeys(cases):
            written = f" {case}" if spaced else case
            yield self.encode(written)
            yield self.longest_first(written)
            if first and spaced and self.bare:
                yield self.encode(case)


class BpeTable:
    """A tokenizer as `constrain.model.Table`."""

    def __init__(self, pieces: Bpe) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return len(self._pieces)

    def text_of(self, token: int) -> bytes:
        return self._pieces.bytes_of(token)

    def decode(self, tokens: Iterable[int]) -> str:
        return self._pieces.decode(tokens).strip()


class BpeSpeller(Cases):
    """Spells words with a tokenizer of its own."""

    def __init__(self, table: Bpe, *, bare: bool = False) -> None:
        """`bare`: see `Cases`."""
        self.bare = bare
        self._encode = lru_cache(maxsize=2_048)(lambda text: tuple(table.encode(text)))

    def encode(self, text: str) -> tuple[int, ...]:
        return self._encode(text)


class Speller(Cases):
    """Spells words with the pieces of one token table."""

    def __init__(self, table: TokenTable) -> None:
        # Where a single byte is also a piece of its own, the piece is what the tokenizer writes.
        self._ids = {piece: number for number, piece in enumerate(table.pieces) if not table.is_special(number)}
        self._space = _MARK if any(piece.startswith(_MARK.encode()) for piece in self._ids) else " "
        self.bare = self._space == " "
        self._longest = max(map(len, self._ids))
        self._encode_word = lru_cache(maxsize=2_048)(self._merge)

    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of `text`. A leading space counts; a letter the table lacks is spelled in bytes."""
        words = text.replace(" ", "\0" + self._space).split("\0")
        return tuple(token for word in words if word for token in self._encode_word(word))

    def longest_first(self, text: str) -> tuple[int, ...]:
        """The tokens of `text` by the longest piece from the left: what a model writes that begins with one word and
        goes on to another ("ice" - "iced")."""
        data = text.replace(" ", self._space).encode()
        tokens: list[int] = []
        at = 0
        while at < len(data):
            ends = range(min(len(data), at + self._longest), at, -1)
            end = next((end for end in ends if data[at:end] in self._ids), 0)
            if not end:
                return self.encode(text)
            tokens.append(self._ids[data[at:end]])
            at = end
        return tuple(tokens)

    def knows(self, text: str) -> bool:
        """Whether `text` can be spelled without falling back to bytes."""
        return all(token >= FIRST_PIECE for token in self.encode(text))

    def _merge(self, word: str) -> tuple[int, ...]:
        parts: list[bytes] = []
        for letter in word:
            encoded = letter.encode()
            parts += [encoded] if encoded in self._ids else [bytes([byte]) for byte in encoded]
        while len(parts) > 1:
            joined = [(self._ids.get(a + b, -1), at) for at, (a, b) in enumerate(pairwise(parts))]
            best, at = min(((rank, at) for rank, at in joined if rank >= 0), default=(-1, -1))
            if best < 0:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return tuple(self._ids[part] for part in parts if part in self._ids)
