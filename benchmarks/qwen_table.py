"""The real token table of the Qwen models, from Alibaba's own SDK (dashscope, in the test extra)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib.resources import files

MARKS = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}

_PRINTABLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}


def letters() -> list[str]:
    """The letter that stands for each byte in vocab.json and merges.txt (GPT-2's)."""
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in _PRINTABLE else chr(next(others)) for byte in range(256)]


def tokens() -> list[bytes]:
    """What each token says, in the order of their numbers."""
    lines = (files("dashscope") / "resources" / "qwen.tiktoken").read_bytes().splitlines()
    return [base64.b64decode(line.split()[0]) for line in lines]


def spelt(table: Sequence[bytes], text: bytes | None = None) -> tuple[list[str], list[str]]:
    """The pieces of vocab.json, and the lines of merges.txt: those that can be met in `text`, or all.

    The SDK's file has no merges; each is worked out by what the ones before it make of a token's bytes.
    """
    letter = letters()
    numbers = {token: number for number, token in enumerate(table)}
    pieces = ["".join(letter[byte] for byte in token) for token in table]
    wanted = [token for token in table if len(token) > 1 and (text is None or token in text)]
    merges = [" ".join(pieces[numbers[part]] for part in _parts(token, numbers)) for token in wanted]
    return pieces, merges


def _parts(token: bytes, numbers: dict[bytes, int]) -> list[bytes]:
    """The two tokens that `token` is put together of."""
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        pairs = [numbers.get(parts[at] + parts[at + 1], 1 << 30) for at in range(len(parts) - 1)]
        at = pairs.index(min(pairs))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts
