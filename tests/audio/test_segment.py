"""The segmenter under any frame sizes and any voice-activity sequence, and at each of its edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.audio.segment import (
    HYSTERESIS,
    Dropped,
    Ended,
    PartialDue,
    Paused,
    Resumed,
    Samples,
    Segmenter,
    SegmentEvent,
    Started,
    Stirred,
)
from agentbox.config import Endpoint

WINDOW = 512
ENDPOINT = Endpoint()


def frame(number: int, size: int = WINDOW) -> Samples:
    return np.full(size, number % 30000, dtype=np.int16)


def run(segmenter: Segmenter, pattern: str) -> list[SegmentEvent]:
    """Feed one 32 ms frame per letter: `s` speech, `-` silence. The frames are numbered in their samples."""
    events: list[SegmentEvent] = []
    start = segmenter.position // WINDOW
    for offset, letter in enumerate(pattern):
        events += segmenter.feed(frame(start + offset), 0.9 if letter == "s" else 0.01)
    return events


def kinds(events: list[SegmentEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def the_end(events: list[SegmentEvent]) -> Ended:
    [ended] = [event for event in events if isinstance(event, Ended)]
    return ended


def test_one_utterance_has_its_pre_roll_its_speech_and_the_silence_that_ended_it() -> None:
    events = run(Segmenter(ENDPOINT, pre_roll_ms=320), "-" * 40 + "s" * 20 + "-" * 30)
    assert kinds(events) == ["Stirred", "Started", "Paused", "Ended"]
    ended = the_end(events)
    assert ended.first_sample == 30 * WINDOW
    assert ended.samples[0] == 30
    assert ended.speech_ms == 20 * 32
    assert ended.silence_ms == 704  # the first whole frame at or after 700 ms
    assert ended.samples.size == (10 + 20 + 22) * WINDOW
    assert ended.reason == "silence"
    assert ended.paused


def test_a_complete_command_ends_early_and_a_continuable_one_a_little_later() -> None:
    waits: dict[str, int] = {}
    for completeness in ("complete", "continuable", "no"):
        segmenter = Segmenter(ENDPOINT)
        paused = run(segmenter, "s" * 20 + "-" * 5)
        assert isinstance(paused[-1], Paused)
        segmenter.set_completeness(0, completeness)
        waits[completeness] = the_end(run(segmenter, "-" * 30)).silence_ms
    assert waits == {"complete": 256, "continuable": 480, "no": 704}


def test_what_was_decoded_from_a_pause_is_void_when_speech_goes_on() -> None:
    segmenter = Segmenter(ENDPOINT)
    assert kinds(run(segmenter, "s" * 20 + "-" * 6)) == ["Stirred", "Started", "Paused"]
    segmenter.set_completeness(0, "complete")
    assert kinds(run(segmenter, "s" * 3)) == ["Resumed"]
    # The old verdict is gone with the pause it was made for: the next one waits its whole time.
    ended = the_end(run(segmenter, "-" * 30))
    assert ended.silence_ms == 704
    assert ended.speech_ms == 23 * 32


def test_a_verdict_that_comes_too_late_or_for_another_utterance_changes_nothing() -> None:
    segmenter = Segmenter(ENDPOINT)
    run(segmenter, "s" * 20)
    segmenter.set_completeness(0, "complete")  # no pause yet
    run(segmenter, "-" * 6)
    segmenter.set_completeness(7, "complete")
    assert the_end(run(segmenter, "-" * 30)).silence_ms == 704


def test_a_click_is_dropped_and_never_offered_for_decoding() -> None:
    events = run(Segmenter(ENDPOINT), "-" * 20 + "s" * 2 + "-" * 30)
    assert kinds(events) == ["Stirred", "Dropped"]
    dropped = events[-1]
    assert isinstance(dropped, Dropped)
    assert dropped.speech_ms == 64


def test_the_least_sound_stirs_nobody() -> None:
    assert kinds(run(Segmenter(ENDPOINT), "-" * 20 + "s" + "-" * 30)) == ["Dropped"]


def test_partials_come_from_two_seconds_on_every_half_second() -> None:
    events = run(Segmenter(ENDPOINT, pre_roll_ms=100), "s" * 125)
    lengths = [event.samples.size // 16 for event in events if isinstance(event, PartialDue)]
    assert lengths == [2016, 2528, 3040, 3552]


def test_partials_come_often_where_the_engine_streams() -> None:
    events = run(Segmenter(ENDPOINT, streamed=True), "s" * 50)
    lengths = [event.samples.size // 16 for event in events if isinstance(event, PartialDue)]
    assert lengths == [320, 640, 960, 1280, 1600]


def test_partials_can_be_off() -> None:
    events = run(Segmenter(ENDPOINT, partials=False), "s" * 125)
    assert kinds(events) == ["Stirred", "Started"]


def test_endless_speech_is_cut_at_the_least_speech_like_place_near_the_cap() -> None:
    segmenter = Segmenter(Endpoint(max_utterance_s=10))
    events: list[SegmentEvent] = []
    for number in range(400):
        events += segmenter.feed(frame(number), 0.6 if number == 280 else 0.95)
    ended = the_end(events)
    assert ended.reason == "max_length"
    assert ended.samples[-1] == 280
    # The next utterance goes on with the very next sample.
    following = the_end(run(segmenter, "-" * 30))
    assert following.first_sample == ended.first_sample + ended.samples.size
    assert following.samples[0] == 281


def test_the_end_of_the_input_ends_the_utterance() -> None:
    segmenter = Segmenter(ENDPOINT)
    assert kinds(run(segmenter, "s" * 20)) == ["Stirred", "Started"]
    ended = the_end(segmenter.finish())
    assert ended.reason == "end_of_input"
    assert not ended.paused
    assert segmenter.finish() == []


def test_hysteresis_keeps_a_fading_word_in_the_utterance() -> None:
    segmenter = Segmenter(ENDPOINT, threshold=0.5)
    assert segmenter.feed(frame(0), 0.5 - HYSTERESIS) == []
    assert not segmenter.active
    segmenter.feed(frame(1), 0.5)
    for number in range(10):
        segmenter.feed(frame(2 + number), 0.5 - HYSTERESIS + 0.01)
    assert the_end(segmenter.finish()).speech_ms == 11 * 32


def test_impossible_endpoint_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="must hold"):
        Endpoint(complete_ms=900, silence_ms=700)


probabilities = st.one_of(st.sampled_from([0.0, 0.4, 0.6, 1.0]), st.floats(0, 1))
frames = st.lists(st.tuples(st.integers(0, 3000), probabilities, st.sampled_from(["no", "continuable", "complete"])))


@settings(max_examples=200, deadline=None)
@given(
    frames=frames,
    pre_roll_ms=st.integers(100, 1000),
    max_s=st.sampled_from([2.0, 2.5, 5.0]),
    runs=st.lists(st.integers(1, 60), min_size=1, max_size=12),
)
def test_every_sample_of_speech_is_in_exactly_one_stretch(
    frames: list[tuple[int, float, str]], pre_roll_ms: int, max_s: float, runs: list[int]
) -> None:
    segmenter = Segmenter(Endpoint(max_utterance_s=max_s), pre_roll_ms=pre_roll_ms)
    # Random frames alone seldom make whole utterances: stretch them by runs.
    fed: list[tuple[int, int, float]] = []
    events: list[SegmentEvent] = []
    for index, (size, probability, completeness) in enumerate(frames):
        for _ in range(runs[index % len(runs)]):
            first = segmenter.position
            samples = np.arange(first, first + size, dtype=np.int64).astype(np.int16)
            before = segmenter.active
            events += segmenter.feed(samples, probability)
            fed.append((first, size, probability))
            assert segmenter.position == first + size
            if before:
                number = sum(isinstance(event, Ended) for event in events)
                segmenter.set_completeness(number, completeness)  # type: ignore[arg-type]
    events += segmenter.finish()

    stretches: list[tuple[int, int]] = []
    for event in events:
        if isinstance(event, Ended):
            stretches.append((event.first_sample, event.samples.size))
            expected = np.arange(event.first_sample, event.first_sample + event.samples.size).astype(np.int16)
            assert np.array_equal(event.samples, expected)
        elif isinstance(event, Dropped):
            stretches.append((event.first_sample, event.sample_count))
    covered = np.zeros(segmenter.position, dtype=np.int32)
    for first, count in stretches:
        assert first >= 0
        covered[first : first + count] += 1
    assert covered.max(initial=0) <= 1, "stretches overlap"
    for first, size, probability in fed:
        if probability >= 0.5:
            assert (covered[first : first + size] == 1).all(), "speech was lost"

    # Whoever is stirred is told what of.
    told = [event for event in events if isinstance(event, Stirred | Started | Dropped)]
    for event, following in zip(told, [*told[1:], None], strict=False):
        assert not isinstance(event, Stirred) or isinstance(following, Started | Dropped)

    ended = [event for event in events if isinstance(event, Ended)]
    started = [event for event in events if isinstance(event, Started)]
    assert [event.number for event in ended] == list(range(len(ended)))
    assert [event.number for event in started] == list(range(len(ended)))
    assert [event.first_sample for event in started] == [event.first_sample for event in ended]


@given(st.lists(st.integers(0, 4), max_size=60))
def test_pauses_and_resumptions_alternate(choices: list[int]) -> None:
    segmenter = Segmenter(ENDPOINT)
    events: list[SegmentEvent] = []
    for choice in choices:
        events += run(segmenter, {0: "s" * 10, 1: "-" * 3, 2: "-" * 8, 3: "s", 4: "-" * 30}[choice])
    events += segmenter.finish()
    open_pause = False
    for event in events:
        if isinstance(event, Paused):
            assert not open_pause
            open_pause = True
        elif isinstance(event, Resumed):
            assert open_pause
            open_pause = False
        elif isinstance(event, Ended):
            assert event.paused == open_pause
            open_pause = False
