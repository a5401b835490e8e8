"""Scores to tokens: the likeliest way through the frames, against writing it down frame by frame."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentbox.asr.constrain.ctc import forward_logprob
from agentbox.asr.ctc import CtcFrames, greedy
from agentbox.asr.logits import best_of_rows, log_softmax, normalised
from agentbox.asr.tokens import TokenTable


@st.composite
def some_logits(draw: st.DrawFn, least: int = 1) -> NDArray[np.float32]:
    """Rows of scores without ties."""
    rows, tokens = draw(st.integers(least, 90)), draw(st.integers(2, 6))
    seed, scale = draw(st.integers(0, 1_000)), draw(st.sampled_from([0.1, 3.0, 300.0]))
    logits: NDArray[np.float32] = np.random.default_rng(seed).normal(0, scale, (rows, tokens)).astype(np.float32)
    return logits


@given(some_logits(least=0), st.booleans())
def test_repeats_are_one_and_blanks_go(logits: NDArray[np.float32], blank_last: bool) -> None:
    blank = logits.shape[1] - 1 if blank_last else 0
    expected, scores, frames, at = [], [], [], 0
    for token, run in itertools.groupby(logits.argmax(axis=1).tolist()):
        length = len(list(run))
        if token != blank:
            expected.append(token)
            frames.append(at)
            scores.append(float(log_softmax(logits)[at : at + length, token].max()))
        at += length
    path = greedy(logits, blank)
    assert (list(path.tokens), list(path.frames)) == (expected, frames)
    assert path.logprobs == pytest.approx(scores, abs=1e-5)


@given(some_logits())
def test_in_place_or_not_and_again_it_is_the_same(logits: NDArray[np.float32]) -> None:
    expected = log_softmax(logits)
    tokens, logprobs = best_of_rows(logits)
    assert tokens.tolist() == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose(logprobs, expected.max(axis=1), atol=1e-5)
    changed = logits.copy()
    assert normalised(changed) is changed
    np.testing.assert_allclose(changed, expected, atol=1e-5)
    np.testing.assert_allclose(normalised(changed), expected, atol=1e-4)
    np.testing.assert_allclose(np.exp(changed).sum(axis=1), 1, atol=1e-4)


def test_frames_are_what_commands_are_scored_on() -> None:
    logits = np.array([[0, 5, 0], [5, 0, 0], [0, 0, 5]], dtype=np.float32)
    frames = CtcFrames.of(logits, 0, 60)
    said, other = (forward_logprob(frames.logprobs, tokens, frames.blank) for tokens in ((1, 2), (2, 1)))
    assert -0.1 < said < 0
    assert other < -5


def test_marks_are_no_words() -> None:
    logits = np.eye(5, dtype=np.float32)[[1, 1, 0, 2, 3, 3, 4]] * 9
    path = greedy(logits, 0).words(TokenTable([b"<blk>", b"a", b"<|zh|>", b"", b"b"]))
    assert (path.tokens, path.frames) == ((1, 4), (0, 6))
    assert len(path.logprobs) == 2
