"""How words become searchable in any script. Pure.

SQLite's tokenizer takes a run of Chinese for one word. So that two characters of a sentence can be found, each
Chinese character is indexed as a word of its own, and a run of them is searched as a phrase.
"""

from __future__ import annotations

import re
import unicodedata

_CHARACTER = re.compile(r"([\u2e80-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff])")
_MARK = re.compile(r"[\u0300-\u036f]")
_WORD = re.compile(r"[^\W_]+")


def indexed(text: str) -> str:
    """The text as it goes into the index."""
    return " ".join(_CHARACTER.sub(r" \1 ", _plain(text)).split())


def query(text: str) -> str:
    """What a person typed as an FTS5 query: every word must be there, the last one may be only begun.

    Nothing in it can be an operator. Empty when there is no word in it.
    """
    terms = [" ".join(_WORD.findall(_CHARACTER.sub(r" \1 ", part))) for part in _plain(text).split()]
    terms = [term for term in terms if term]
    if not terms:
        return ""
    quoted = [f'"{term}"' for term in terms]
    return " AND ".join([*quoted[:-1], f"{quoted[-1]} *"])


def _plain(text: str) -> str:
    """One spelling of what looks the same: full-width letters (ＦＵＬＬ), letters with a mark of their own (e + ´)."""
    return _MARK.sub("", unicodedata.normalize("NFKC", text))
