"""How likely a transducer holds tokens: against the enumeration of everything it can say in so many frames."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agentbox.asr import transducer
from agentbox.asr.engine import Aborted, Opening
from agentbox.asr.logits import Floats, log_softmax
from agentbox.asr.transducer import forward_logprobs
from agentbox.asr.zipformer import Zipformer, ZipformerStream, open_model
from tests.asr.zipformer_graphs import sound, write

WIDTH, VOCABULARY = 5, 5


class Random:
    """A transducer of random numbers that knows the last `context` tokens; two of its tokens write nothing."""

    silent_tokens = (0, 2)

    def __init__(self, seed: int, context: int) -> None:
        draw = np.random.default_rng(seed)
        self.no_tokens = (*[-1] * (context - 1), 0)
        self.rows = list(draw.normal(size=(4, WIDTH)).astype(np.float32))
        self._embedding = draw.normal(size=(context, VOCABULARY + 1, WIDTH)).astype(np.float32)
        self._out = draw.normal(size=(WIDTH, VOCABULARY)).astype(np.float32)

    def predict(self, contexts: Sequence[Sequence[int]]) -> Floats:
        predicted: Floats = sum(
            self._embedding[at][list(tokens)] for at, tokens in enumerate(zip(*contexts, strict=True))
        )
        return predicted

    def join(self, rows: Floats, predicted: Floats) -> Floats:
        logits: Floats = np.tanh(rows + predicted) @ self._out
        return logits


def enumerated(model: Random) -> dict[tuple[int, ...], float]:
    """The probability of every token sequence: one token in each frame, of which some write nothing."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for alignment in itertools.product(range(VOCABULARY), repeat=len(model.rows)):
        context, probability, said = model.no_tokens, 1.0, list[int]()
        for row, token in zip(model.rows, alignment, strict=True):
            logprobs = log_softmax(model.join(row[None], model.predict([context])))[0]
            probability *= math.exp(logprobs[token])
            if token not in model.silent_tokens:
                said.append(token)
                context = (*context[1:], token)
        found[tuple(said)] += probability
    return found


@pytest.mark.parametrize("context", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_score_is_the_sum_over_all_alignments(seed: int, context: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Random(seed, context)
    expected = enumerated(model)
    monkeypatch.setattr(transducer, "MARGIN", math.inf)
    ways = [way for length in range(6) for way in itertools.product((1, 3, 4), repeat=length)]
    found = forward_logprobs(model, model.rows, ways)
    np.testing.assert_allclose(np.exp(found), [expected[way] for way in ways], rtol=1e-4, atol=1e-9)
    assert sum(np.exp(found)) == pytest.approx(1.0, rel=1e-4)
    assert forward_logprobs(model, model.rows, ways[5:6]) == pytest.approx(found[5:6]), (
        "others beside it change nothing"
    )


def test_without_frames_or_ways() -> None:
    model = Random(1, 2)
    assert forward_logprobs(model, [], [(), (1,)]) == [0.0, -math.inf]
    assert forward_logprobs(model, model.rows, []) == []


def test_it_stops_when_nobody_wants_it_any_more() -> None:
    model = Random(1, 2)
    with pytest.raises(Aborted):
        forward_logprobs(model, model.rows, [(1,)], lambda: True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Zipformer:
    return open_model(write(tmp_path_factory.mktemp("zipformer") / "own", 21), Opening(name="own"))


def finished(model: Zipformer, seed: int, seconds: float) -> tuple[ZipformerStream, tuple[int, ...]]:
    stream = model.open_stream(language="en")
    stream.accept(sound(seed, seconds))
    return stream, stream.finish().tokens


@pytest.mark.parametrize("seed", range(6))
def test_what_is_left_out_far_from_the_likeliest_hardly_counts(
    model: Zipformer, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, read = finished(model, seed, 2.0)
    ways = [read, *(read[:at] + read[at + 1 :] for at in range(len(read))), (9,) * len(read)]
    quick = np.array(stream.logprobs(ways))
    monkeypatch.setattr(transducer, "MARGIN", math.inf)
    whole = np.array(stream.logprobs(ways))
    assert (quick <= whole + 1e-3).all()
    likely = whole > whole[0] - 12
    assert likely.sum() > 3
    np.testing.assert_allclose(quick[likely], whole[likely], atol=0.3)


def test_more_sound_is_another_score(model: Zipformer, tmp_path: Path) -> None:
    """And what was finished once can be gone on with."""
    stream, read = finished(model, 3, 1.0)
    before = stream.logprobs([read])
    stream.accept(sound(4, 1.0))
    assert stream.logprobs([read]) == before, "until it is finished again"
    longer = stream.finish().tokens
    whole = model.open_stream(language="en")
    whole.accept(np.concatenate([sound(3, 1.0), sound(4, 1.0)]))
    assert whole.finish().tokens == longer
    assert stream.logprobs([read, longer]) == pytest.approx(whole.logprobs([read, longer]))
    assert stream.logprobs([read]) != pytest.approx(before)
