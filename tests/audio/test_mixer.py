"""What is heard together: order, levels, and how much of it was played."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agentbox.audio.mixer import DUCKED, FADE_MS, LANES, RATE_HZ, Lane, Mixer, State, Track
from agentbox.audio.segment import Samples

FADE_FRAMES = RATE_HZ * FADE_MS // 1000


def steady(frames: int, level: int = 1_000) -> Samples:
    return np.full(frames, level, dtype=np.int16)


def started(mixer: Mixer, lane: Lane, *pieces: Samples) -> Track:
    track = mixer.open(lane)
    for piece in pieces:
        track.add(piece)
    track.add(steady(0), last=True)
    return track


def test_nothing_is_silence() -> None:
    mixer = Mixer()
    assert not mixer.busy
    np.testing.assert_array_equal(mixer.mix(480), steady(480, 0))


def test_tracks_of_a_lane_follow_each_other_without_a_gap_and_are_told_of_when_they_end() -> None:
    ended: list[Track] = []
    mixer = Mixer(ended.append)
    first, second = started(mixer, "speech", steady(100), steady(150)), started(mixer, "speech", steady(300, 2_000))
    block = mixer.mix(400)
    np.testing.assert_array_equal(block, np.concatenate([steady(250), steady(150, 2_000)]))
    assert (first.state, second.state, ended) == (State.DONE, State.PLAYING, [first])
    assert (first.played_frames, second.played_frames, second.left_frames) == (250, 150, 150)
    mixer.mix(400)
    assert ended == [first, second]
    assert not mixer.busy


def test_a_talk_whose_sound_does_not_come_in_time_is_silent_for_a_while_and_not_over() -> None:
    mixer = Mixer()
    track = mixer.open("speech")
    assert mixer.mix(100).max() == 0
    track.add(steady(50))
    assert (mixer.mix(100) > 0).sum() == 50
    assert not track.over
    assert track.played_frames == 50
    track.add(steady(10), last=True)
    track.add(steady(99))
    track.add(steady(99), 16_000)
    assert (mixer.mix(100) > 0).sum() == 10
    assert track.state is State.DONE


def test_what_matters_less_is_turned_down_without_a_click_and_comes_back() -> None:
    mixer = Mixer()
    alert = started(mixer, "alert", steady(48_000))
    assert mixer.mix(480).min() == 1_000
    speech = started(mixer, "speech", steady(2_400, 0))
    levels = mixer.mix(2_400).astype(int)
    assert levels[-1] == round(1_000 * DUCKED)
    assert max(abs(b - a) for a, b in pairwise([1_000, *levels])) <= 1_000 / FADE_FRAMES + 1
    assert speech.state is State.DONE
    assert mixer.mix(2_400)[-1] == 1_000
    assert alert.played_frames == 480 + 2 * 2_400


def test_what_begins_below_something_louder_begins_turned_down() -> None:
    mixer = Mixer()
    started(mixer, "sound", steady(480, 0))
    started(mixer, "speech", steady(480))
    assert mixer.mix(480).max() == round(1_000 * DUCKED)


def test_stop_fades_out_and_counts_what_was_played() -> None:
    mixer = Mixer()
    track, behind = started(mixer, "speech", steady(RATE_HZ)), started(mixer, "speech", steady(100, 500))
    mixer.mix(1_000)
    track.stop()
    block = mixer.mix(1_000)
    assert track.state is State.STOPPED
    assert track.played_frames == 1_000 + FADE_FRAMES
    assert track.played_ms == pytest.approx((1_000 + FADE_FRAMES) * 1000 / RATE_HZ)
    np.testing.assert_array_equal(block[FADE_FRAMES:], np.concatenate([steady(100, 500), steady(420, 0)]))
    assert np.diff(block[:FADE_FRAMES].astype(int)).max() <= 0
    assert behind.state is State.DONE


def test_what_is_stopped_before_it_began_is_never_heard() -> None:
    mixer = Mixer()
    track = started(mixer, "speech", steady(100))
    track.stop()
    assert mixer.mix(100).max() == 0
    assert (track.state, track.played_frames) == (State.STOPPED, 0)


def test_a_pause_loses_and_repeats_nothing() -> None:
    ramp = np.arange(4_800, dtype=np.int16)
    mixer = Mixer()
    track, behind = started(mixer, "speech", ramp), started(mixer, "speech", steady(10))
    played = mixer.mix(960)
    track.pause()
    fading = mixer.mix(960)
    assert track.state is State.PAUSED
    held = track.played_frames
    assert held == 960 + FADE_FRAMES
    assert mixer.mix(960).max() == 0
    assert (track.played_frames, behind.state) == (held, State.WAITING)
    track.resume()
    rest = mixer.mix(4_800)[: 4_800 - held]
    np.testing.assert_array_equal(played, ramp[:960])
    assert fading[0] >= 958
    np.testing.assert_array_equal(rest[FADE_FRAMES:], ramp[held + FADE_FRAMES :])
    assert track.over
    assert track.played_frames == 4_800


def test_other_rates_become_its_own_whatever_the_pieces() -> None:
    at = np.arange(16_000)
    tone = (8_000 * np.sin(2 * np.pi * 440 * at / 16_000)).astype(np.int16)
    mixer = Mixer()
    track = mixer.open("speech")
    for piece in np.array_split(tone, 7):
        track.add(piece, 16_000)
    track.add(steady(0), 16_000, last=True)
    sound = mixer.mix(2 * RATE_HZ)
    assert track.played_frames == RATE_HZ
    expected = 8_000 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    assert np.abs(sound[1_000 : RATE_HZ - 1_000] - expected[1_000:-1_000]).max() < 50


def test_a_track_may_change_its_rate() -> None:
    mixer = Mixer()
    track = mixer.open("speech")
    for rate_hz in (16_000, 16_000, RATE_HZ, 48_000, 16_000):
        track.add(steady(rate_hz // 2, 1_000), rate_hz)
    track.add(steady(0), 16_000, last=True)
    sound = mixer.mix(3 * RATE_HZ)
    assert track.played_frames == pytest.approx(2.5 * RATE_HZ, abs=4)
    # At each seam, and nowhere else, the filters ring for a moment.
    assert (np.abs(sound[: track.played_frames].astype(int) - 1_000) > 50).mean() < 0.01


def test_too_much_together_is_clipped_and_does_not_wrap() -> None:
    mixer = Mixer()
    for lane in LANES:
        started(mixer, lane, steady(100, 32_000))
    assert mixer.mix(100).min() == 32_767


class Account(RuleBasedStateMachine):
    """Whatever is done in whatever order: every frame is played once, in order, or left where the track was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[Track] = []
        self.mixer = Mixer(self.ended.append)
        self.given: dict[Track, int] = {}

    @rule(lane=st.sampled_from(LANES))
    def begin(self, lane: Lane) -> None:
        self.given[self.mixer.open(lane)] = 0

    @rule(which=st.integers(0, 5), frames=st.integers(0, 900), last=st.booleans())
    def add(self, which: int, frames: int, last: bool) -> None:
        if self.given:
            track = list(self.given)[which % len(self.given)]
            if not (track._complete or track._ending or track.over):
                self.given[track] += frames
            track.add(steady(frames), last=last)

    @rule(which=st.integers(0, 5), what=st.sampled_from(["stop", "pause", "resume"]))
    def change(self, which: int, what: str) -> None:
        if self.given:
            getattr(list(self.given)[which % len(self.given)], what)()

    @rule(frames=st.integers(1, 2_000))
    def mix(self, frames: int) -> None:
        assert self.mixer.mix(frames).size == frames

    @invariant()
    def every_frame_is_accounted_for(self) -> None:
        for track, frames in self.given.items():
            if track.state is State.STOPPED:
                assert track.played_frames <= frames
                assert track.left_frames == 0, "what nobody hears takes no memory"
            else:
                assert track.played_frames + track.left_frames == frames
            if track.state is State.DONE:
                assert track.left_frames == 0
        assert all(track.over for track in self.ended)
        assert len(set(map(id, self.ended))) == len(self.ended)
        waiting = [track for lane in LANES for track in self.mixer.tracks(lane)]
        assert {id(track) for track in self.given} == {id(track) for track in [*waiting, *self.ended]}


TestAccount = Account.TestCase
TestAccount.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_the_size_of_the_blocks_changes_nothing(sizes: list[int]) -> None:
    whole, parts = Mixer(), Mixer()
    for mixer in (whole, parts):
        started(mixer, "speech", np.arange(1_500, dtype=np.int16), np.arange(1_500, dtype=np.int16))
        started(mixer, "speech", steady(2_000))
    np.testing.assert_array_equal(np.concatenate([parts.mix(size) for size in sizes]), whole.mix(sum(sizes)))
