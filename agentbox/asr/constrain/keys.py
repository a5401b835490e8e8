"""What a sequence of tokens says, whatever its letter case and punctuation: hypotheses that say the same are one.

A key is the bytes of the letters and digits, in lower case, and of what makes another number of the same digits: "1.5",
" -5", "50%". It is put together token by token, so it is bytes: a token may be a part of a letter.
"""

from __future__ import annotations

import re

_MARKS = re.compile(rb"(?<![0-9])\.|\.(?=[^0-9])")


def key_of(token: bytes) -> bytes:
    """The part of a key that one token makes. Bytes that are no whole letters stay as they are."""
    if token == b" -":
        return b"-"
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return token
    sign = b"-" if text.startswith(" -") and text[2:3].isdigit() else b""
    return sign + "".join(letter for letter in text.casefold() if letter.isalnum() or letter in ".%").encode()


def longer(key: bytes, part: bytes) -> bytes:
    """`key` with what the next token says; a point counts only between digits."""
    if key.endswith(b".") and not part[:1].isdigit():
        key = key[:-1]
    if b"." not in part:
        return key + part
    return key + _MARKS.sub(b"", key[-1:] + part)[len(key[-1:]) :]


def whole(key: bytes) -> bytes:
    """The key of a sentence that is over."""
    return key.removesuffix(b".")
