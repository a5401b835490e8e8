"""How words sound, roughly: keys of Latin letters, and the syllables of Chinese characters.

Latin letters are brought to a key of about a dozen sounds: vowels are one sound, voiced and unvoiced consonants are
one, "r" is only heard before a vowel. (The idea is Philips' Metaphone, 1990, made coarser and keeping vowels, since
"list" and "least" must differ less than "list" and "lost property".)

Chinese characters have the syllables of Mandarin, in pinyin without tones (`pinyin.txt`, made by
benchmarks/make_pinyin). What many speakers do not tell apart, or a recogniser does not, is one sound to `blurred`:
zh/z, ch/c, sh/s, n/l, f/h, an/ang, en/eng, in/ing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

_SPELLINGS = [
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^h(?=our|on)", ""),
        (r"^(?:kn|gn|pn)", "n"),
        (r"^wr", "r"),
        (r"^wh", "w"),
        (r"^ps", "s"),
        (r"^x", "s"),
        (r"(.)\1+", r"\1"),
        (r"tch|tsch|ch", "J"),
        (r"[tc]i(?=o|a)|sh|sch", "S"),
        (r"ph", "f"),
        (r"igh", "i"),
        (r"(?<=[aeiou])gh", ""),
        (r"gh", "k"),
        (r"dg(?=[eiy])|j", "J"),
        (r"g(?=[eiy])", "J"),
        (r"c(?=[eiy])", "s"),
        (r"ck|[cgq]", "k"),
        (r"x", "ks"),
        (r"th", "t"),
        (r"mb$", "m"),
        (r"(?<=[a-z])e$", ""),
        (r"(?<=[aeiouy])[rhw](?![aeiouy])", ""),
        (r"(?<=.)h", ""),
    )
]
_VOWELS = re.compile(r"[aeiouy]+")
_MERGED = str.maketrans("dbvz", "tpfs")

_INITIALS = re.compile(r"zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw]?")
_BLURRED_INITIALS = {"zh": "z", "ch": "c", "sh": "s", "n": "l", "f": "h"}
_BLURRED_FINALS = {
    **{"ang": "an", "eng": "en", "ing": "in", "iang": "ian", "uang": "uan"},
    **{"v": "u", "ve": "ue"},
}


class Syllable(NamedTuple):
    """A syllable of Mandarin, without its tone: "zhang" is `zh` and `ang`."""

    initial: str
    """Empty where it begins with a vowel; `y` and `w` count as initials."""
    final: str

    @property
    def blurred(self) -> Syllable:
        """The same for all that are easily taken for one another."""
        initial = _BLURRED_INITIALS.get(self.initial, self.initial)
        return Syllable(initial, _BLURRED_FINALS.get(self.final, self.final))


@lru_cache(maxsize=4096)
def sound_of(word: str) -> str:
    """The key of a lower-case word's sound: "said" and "set" have one key, "timer" begins with the key of "time"."""
    return _once(_VOWELS.sub("a", _consonants(word)).translate(_MERGED))


@lru_cache(maxsize=16_384)
def spoken_letters(word: str) -> str:
    """A finer key: voiced and unvoiced consonants are two, and vowels are `i` (spelled with e, i, y), `o` (o, u) or
    `a`."""
    return _once(_VOWELS.sub(lambda found: _vowel(found[0]), _consonants(word)))


def _consonants(word: str) -> str:
    for pattern, sound in _SPELLINGS:
        word = pattern.sub(sound, word)
    return word


def _vowel(letters: str) -> str:
    if all(letter in "eiy" for letter in letters):
        return "i"
    return "o" if all(letter in "ouw" for letter in letters) else "a"


def _once(word: str) -> str:
    return re.sub(r"(.)\1+", r"\1", word)


def syllables_of(character: str) -> tuple[Syllable, ...]:
    """How a Chinese character may be said, the usual way first; none where it is not in the table."""
    return _readings().get(character, ())


def split(syllable: str) -> Syllable:
    """ "zhang" -> `zh`, `ang`."""
    found = _INITIALS.match(syllable)
    at = found.end() if found is not None else 0
    return Syllable(syllable[:at], syllable[at:])


@lru_cache(maxsize=1)
def _readings() -> dict[str, tuple[Syllable, ...]]:
    """The table: some 9 000 characters, read in a few milliseconds when one is first asked for."""
    found: defaultdict[str, tuple[Syllable, ...]] = defaultdict(tuple)
    text = resources.files("agentbox").joinpath("pinyin.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        said, characters = line.split(" ")
        syllable = split(said)
        for character in characters:
            found[character] += (syllable,)
    return dict(found)
