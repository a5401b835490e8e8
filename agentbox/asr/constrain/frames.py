"""Holding a sound against sentences with a model that has CTC outputs (see `ctc`): one run of its encoder is all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from agentbox.asr.constrain.ctc import Sentence, forward_logprob, search
from agentbox.asr.constrain.decoder import MAX_CANDIDATES
from agentbox.asr.constrain.keys import longer, whole
from agentbox.asr.constrain.network import Network
from agentbox.asr.constrain.reading import read as read_sentence
from agentbox.asr.constrain.sentences import Held, Sentences
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.ctc import CtcFrames
from agentbox.asr.engine import Recognition
from agentbox.asr.tokens import TokenTable
from agentbox.speech_grammar import Candidate, FreeReading, SpeechGrammar

BEAM = 12
"""Beginnings of sentences that are followed at a time."""

FREE_COST = 3.0
"""Natural logarithm, for each token of free text. Set by hand: there are no real weights here to fit it to."""

_MOST_BEFORE = 2
"""A token's scores may begin to rise so many frames before the one where it is likeliest."""


class FrameSentences:
    """See `SentenceDecoder`."""

    learns = False
    scored_by = None

    def __init__(self, table: TokenTable, beam: int = BEAM) -> None:
        self._table = table
        self._beam = beam
        self._networks: dict[str, Network] = {}
        """By language."""

    def hold(
        self,
        sentences: Sentences,
        read: Recognition,
        sound: CtcFrames,
        text: str,
        *,
        under_way: bool = False,
        abort: Callable[[], bool] | None = None,
    ) -> Held:
        """See `SentenceDecoder`; scores are log-probabilities: there is no language model in them to be taken out."""
        if under_way:
            return Held()
        said = read.text[: sentences.after].rstrip()
        before = next((n for n in range(len(read.tokens)) if len(self._decoded(read.tokens[:n])) >= len(said)), 0)
        tokens = read.tokens[before:]
        logprobs = sound.logprobs[_first_frame(read, before, sound.frame_ms) :]
        network = self._network(sentences.grammar)
        found = search(logprobs, network, sentences.roots, self._beam, sound.blank, free_cost=FREE_COST, abort=abort)
        candidates = tuple(self._candidates(network, found, sentences.roots))
        free = forward_logprob(logprobs, tokens, sound.blank)
        return Held(candidates[:MAX_CANDIDATES], FreeReading(text, free, free, len(tokens), plain=True))

    def _candidates(self, network: Network, found: Sequence[Sentence], roots: Sequence[str]) -> Iterator[Candidate]:
        """The likeliest first, spellings of the same words as one: each is another way to say them."""
        together: dict[bytes, list[Sentence]] = {}
        for sentence in found:
            key = b""
            for token in sentence.tokens:
                key = longer(key, network.keys[token])
            together.setdefault(whole(key), []).append(sentence)
        for alike in together.values():
            best = alike[0]
            yield Candidate(
                readings=tuple(read_sentence(network, best.tokens, roots)),
                text=self._decoded(best.tokens),
                score=best.score,
                logprob=best.logprob,
                tokens=len(best.tokens),
            )

    def _decoded(self, tokens: Sequence[int]) -> str:
        return self._table.decode(tokens)

    def prepare(self, sentences: Sentences) -> Iterator[None]:
        """See `SentenceDecoder`."""
        network = self._network(sentences.grammar)
        yield from network.spell_all()
        network.start(sentences.roots)

    def _network(self, grammar: SpeechGrammar) -> Network:
        known = self._networks.get(grammar.language)
        if known is None or known.grammar is not grammar:
            known = self._networks[grammar.language] = Network(grammar, Speller(self._table), self._table)
        return known


def _first_frame(read: Recognition, before: int, frame_ms: int) -> int:
    """Where the sound of the token after the first `before` ones begins."""
    if not 0 < before < len(read.token_ms):
        return 0
    last, first = read.token_ms[before - 1] // frame_ms, read.token_ms[before] // frame_ms
    return max(last + 1, first - _MOST_BEFORE)
