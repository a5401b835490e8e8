from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr import guards
from agentbox.asr.guards import Verdict, judge, tail_loop

SURE = math.log(0.9)
UNSURE = math.log(0.3)


def verdict(tokens: str, *, speech_s: float, capped: bool = False, logprob: float = SURE) -> Verdict:
    """One letter is one token."""
    return judge([ord(letter) for letter in tokens], [logprob] * len(tokens), capped=capped, speech_s=speech_s)


def kept(tokens: str, *, speech_s: float, capped: bool = False) -> str:
    return tokens[: verdict(tokens, speech_s=speech_s, capped=capped).kept]


@given(
    st.text("abc", max_size=6),
    st.text("abcdef", min_size=1, max_size=8),
    st.integers(2, 6),
    st.integers(0, 7),
)
def test_a_loop_is_found_wherever_it_begins(before: str, round_: str, rounds: int, more: int) -> None:
    tokens = before + round_ * rounds + round_[: more % len(round_)]
    cut = tail_loop([ord(letter) for letter in tokens], 2)
    assert cut is not None
    assert cut <= len(before) + len(round_)
    # What was cut off is the last round that was kept, over and over.
    assert any((tokens[cut - length : cut] * len(tokens)).startswith(tokens[cut:]) for length in range(1, cut + 1))


@given(st.lists(st.integers(0, 50), unique=True, max_size=40), st.integers(2, 4))
def test_there_is_no_loop_where_nothing_repeats(tokens: list[int], min_repeats: int) -> None:
    assert tail_loop(tokens, min_repeats) is None


def test_the_longest_stretch_counts() -> None:
    assert tail_loop([1, 2, 2, 1, 2, 2], 2) == 3
    assert tail_loop([9, 5, 5, 5, 5], 2) == 2
    assert tail_loop([1, 2, 1, 2], 3) is None
    assert tail_loop([], 2) is None


def test_a_loop_behind_words_that_explain_the_speech_is_cut_off() -> None:
    # "computer", heard once, written ten times: 20 tokens in 0.64 s of speech, until the cap.
    assert kept("c." * 10, speech_s=0.64, capped=True) == "c."
    assert kept("abcdefgh" + "xyz" * 9, speech_s=3.0, capped=True) == "abcdefghxyz"


def test_a_loop_that_leaves_speech_unexplained_is_thrown_away() -> None:
    assert verdict("abcdef" * 28, speech_s=23.7, capped=True) == Verdict(0, "loop")


def test_somebody_who_says_it_three_times_is_believed() -> None:
    assert kept("turn it off " * 3, speech_s=6.0) == "turn it off " * 3
    assert kept("no no no no no ", speech_s=2.0) == "no no no no no "


def test_a_cap_without_a_loop_cuts_nothing() -> None:
    assert kept("abcdef", speech_s=0.7, capped=True) == "abcdef"


def test_more_words_than_fit_into_the_speech() -> None:
    assert verdict("abcdefghijklmnopqrstuv", speech_s=1.0) == Verdict(0, "too_many_words")
    assert verdict("abcdefghijklm", speech_s=1.0) == Verdict(13)


def test_no_speech_no_words() -> None:
    assert verdict("a", speech_s=0.0) == Verdict(0, "no_speech")
    assert verdict("abc", speech_s=0.29, logprob=UNSURE) == Verdict(0, "no_speech")
    assert verdict("abc", speech_s=0.29) == Verdict(3)
    assert verdict("abc", speech_s=0.8, logprob=UNSURE) == Verdict(3)


def test_nothing_decoded_is_nothing_suppressed() -> None:
    assert verdict("", speech_s=0.0) == Verdict(0)


@given(
    st.lists(st.integers(0, 3), max_size=60),
    st.booleans(),
    st.floats(0.0, 30.0),
    st.sampled_from([guards.TOKENS_PER_SECOND, guards.DENSE_TOKENS_PER_SECOND]),
)
def test_a_verdict_keeps_a_beginning_or_says_why_not(
    tokens: list[int], capped: bool, speech_s: float, rate: float
) -> None:
    found = judge(tokens, [SURE] * len(tokens), capped=capped, speech_s=speech_s, tokens_per_second=rate)
    assert 0 <= found.kept <= len(tokens)
    assert (found.suppressed is None) or found.kept == 0
    assert found.suppressed is not None or not tokens or found.kept > 0


def test_caps_and_probabilities() -> None:
    assert guards.token_cap(3.0) == 20
    assert guards.token_cap(0.01) == 1
    assert guards.token_cap(2.0, guards.DENSE_TOKENS_PER_SECOND) == 26
    assert guards.mean_probability([]) is None
    mean = guards.mean_probability([math.log(0.5), 0.0])
    assert mean is not None
    assert math.isclose(mean, 0.75)
    assert guards.has_words("Ja!")
    assert guards.has_words("\u4f60")
    assert not guards.has_words("\u266a \u266a ...")


def test_text_that_only_repeats_itself() -> None:
    sentence = "It was the best of times, it was the worst of times, it was the age of wisdom. "
    assert not guards.too_regular(sentence)
    assert not guards.too_regular("no no no no")
    assert not guards.too_regular("")
    assert guards.too_regular(sentence * 5)
    assert guards.too_regular("请不吝点赞订阅转发打赏支持" * 8)
