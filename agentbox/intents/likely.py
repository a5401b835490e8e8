"""Which templates a misheard text may have been: a quick look by sound, before any is laid along the words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, pairwise

from hassil import Expression, TextChunk, TextSlotList
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from agentbox.intents.grammar import BUILTIN, OURS, Scope, Template
from agentbox.intents.smallwords import SMALL_WORDS
from agentbox.intents.sounds import same_syllable
from agentbox.intents.templates import parts_of
from agentbox.intents.words import Word, pieces_of, words_of
from agentbox.phonetics import sound_of

_MIN_CLOSE = 0.52
"""Below this, two words are not even compared with care. Less than `_MIN_LIKENESS`: pieces of words count here."""


class Index:
    """The templates of a scope by the words they cannot do without."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.is_fixed = scope.grammar.source in (OURS, BUILTIN)
        words = _words_in(rule.expression for rule in scope.rules.values())
        words |= _words_in(template.sentence.expression for template in scope.templates)
        lists = [slot_list for slot_list in scope.lists.values() if isinstance(slot_list, TextSlotList)]
        self.values = _words_in(value.text_in for slot_list in lists for value in slot_list.values)
        self.words = sorted(words | self.values)
        self._sounds = [sound_of(word) for word in self.words]
        self._needs = {
            id(template): template.sentence.get_required_clauses(scope.rules) for template in scope.templates
        }
        clauses = {clause for clauses in self._needs.values() for clause in clauses}
        self._pieces = {piece: _texts(words_of(piece)) for clause in clauses for piece in clause}

    def near(self, words: Sequence[Word]) -> list[frozenset[str]]:
        """For each heard word the words of the templates that it, or it and the next in one, may have been."""
        if not words or not self.words:
            return [frozenset() for _ in words]
        joined = [one.text + two.text for one, two in pairwise(words)]
        heard = [word.text for word in words] + joined
        sounds = [sound_of(word) for word in heard]
        by_sound = cdist(sounds, self._sounds, scorer=Levenshtein.normalized_similarity)
        by_letters = cdist(heard, self.words, scorer=Levenshtein.normalized_similarity)
        close = 0.7 * by_sound + 0.3 * by_letters >= _MIN_CLOSE
        sets = [
            frozenset(compress(self.words, row)) | _beginnings(word) | same_syllable(word)
            for word, row in zip(heard, close, strict=True)
        ]
        pairs = [*sets[len(words) :], frozenset[str]()]
        return [alone | pair for alone, pair in zip(sets, pairs, strict=False)]

    def likely(self, heard: str, near: Sequence[frozenset[str]], first: frozenset[str]) -> Iterator[Template]:
        """Templates that may begin with `first`, and of which every required piece was heard, or something near."""
        folded = heard.casefold()
        anywhere = SMALL_WORDS.union(*near)
        there = {
            piece
            for piece, words in self._pieces.items()
            if piece in folded or sum(word in anywhere for word in words) * 2 >= max(1, len(words))
        }
        for template in self.scope.starting_with(first):
            if all(not there.isdisjoint(clause) for clause in self._needs[id(template)]):
                yield template


def _texts(words: Iterable[Word]) -> tuple[str, ...]:
    return tuple(word.text for word in words)


def _beginnings(word: str) -> frozenset[str]:
    return frozenset(word[:length] for length in range(1, len(word) + 1))


def _words_in(expressions: Iterable[Expression]) -> frozenset[str]:
    chunks = (part.text for expression in expressions for part in parts_of(expression) if isinstance(part, TextChunk))
    return frozenset(word for chunk in chunks for word in pieces_of(chunk).words)
