"""How well other words fit a sound than those that were read: log P(text | sound), forced through the decoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.engine import Aborted, Recognition
from agentbox.asr.logits import log_softmax
from agentbox.asr.moonshine import Encoding, Moonshine
from agentbox.asr.tokens import END, TokenTable


class Scorer:
    """Scores texts with one model. Belongs to the inference thread."""

    def __init__(self, model: Moonshine) -> None:
        self.model = model
        self._speller = Speller(model.table)

    def gains(
        self,
        encoding: Encoding,
        read: Recognition,
        texts: Sequence[str],
        least: Sequence[float],
        abort: Callable[[], bool] | None = None,
    ) -> list[float]:
        """log P(text | sound) - log P(what was read | sound) for each of `texts`: below 0 as a rule, and minus infinity
        where it fell below `least` before the text was through.

        All texts go through the decoder as one batch, from the first word in which one differs; one run for each token,
        some 3 ms. Raises `Aborted`, `ModelError` `model_failed`.
        """
        spelled = [self._spelled(read.tokens, text) for text in texts]
        same = min((_same(read.tokens, tokens) for tokens in spelled), default=0)
        already = sum(read.token_logprobs[same:])
        tails = [read.tokens[same:], *(tokens[same:] for tokens in spelled)]
        floors = [-math.inf, *(already + one for one in least)]
        totals = self._follow(encoding, read.tokens[:same], tails, floors, abort)
        return [total - totals[0] for total in totals[1:]]

    def _spelled(self, read: Sequence[int], text: str) -> tuple[int, ...]:
        """The tokens of a text: those that were read as far as it begins like them, then the tokenizer's. Only where a
        word ends do they go over into one another."""
        table, whole = self.model.table, f" {text}".encode()
        written = b"" if table.text_of(read[0])[:1] == b" " else b" "
        kept = end = 0
        for at, token in enumerate(read):
            written += table.text_of(token)
            if not whole.startswith(written):
                break
            if whole[len(written) : len(written) + 1] == b" ":
                kept, end = at + 1, len(written)
        return (*read[:kept], *self._speller.encode(whole[end:].decode()))

    def _follow(
        self,
        encoding: Encoding,
        before: Sequence[int],
        tails: Sequence[Sequence[int]],
        floors: Sequence[float],
        abort: Callable[[], bool] | None,
    ) -> list[float]:
        """log P(tail and the end | sound, `before`) of each; the first, which is what was read, is followed no longer
        than one of the others is."""
        totals = [0.0] * len(tails)
        live = list(range(len(tails)))
        logits, state = self.model.begin_after(encoding, before)
        rows = [0] * len(tails)
        at = 0
        while live:
            if abort is not None and abort():
                raise Aborted
            logprobs = log_softmax(logits)
            further: list[int] = []
            kept: list[int] = []
            for tail, row in zip(live, rows, strict=True):
                token = tails[tail][at] if at < len(tails[tail]) else END
                totals[tail] += float(logprobs[row, token])
                if totals[tail] < floors[tail]:
                    totals[tail] = -math.inf
                elif token != END:
                    further.append(tail)
                    kept.append(row)
            if all(map(math.isinf, totals[1:])):
                break
            live, rows, at = further, list(range(len(further))), at + 1
            if live:
                logits, state = self.model.step([tails[tail][at - 1] for tail in live], state.rows(kept))
        return totals


def logprobs_by_character(read: Recognition, table: TokenTable) -> list[float]:
    """For each character of what was read the log-probability of its token."""
    found: list[float] = []
    written = ""
    data = b""
    for token, logprob in zip(read.tokens, read.token_logprobs, strict=True):
        data += table.text_of(token)
        now = data.decode("utf-8", "ignore")  # a letter may be cut in half
        found += [logprob] * (len(now) - len(written))
        written = now
    return found[len(written) - len(written.lstrip()) :]


def _same(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
