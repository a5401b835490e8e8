"""Filter banks, held against kaldi-native-fbank, and stacked frames against FunASR's rules."""

from __future__ import annotations

import kaldi_native_fbank as knf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentbox.asr.features import Fbank, stacked

BANKS = {
    "funasr": Fbank(),
    "sherpa": Fbank(high_hz=-400.0, snip_edges=False),
    "zipformer": Fbank(high_hz=-400.0, window="povey", snip_edges=False, scale=1.0),
    "forty": Fbank(bins=40, low_hz=60.0, high_hz=7000.0),
}


def kaldi(bank: Fbank, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.window_type = bank.window
    options.frame_opts.snip_edges = bank.snip_edges
    options.mel_opts.num_bins = bank.bins
    options.mel_opts.low_freq = bank.low_hz
    options.mel_opts.high_freq = bank.high_hz
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(16_000, (samples * np.float32(bank.scale)).tolist())
    computer.input_finished()
    rows = [computer.get_frame(at) for at in range(computer.num_frames_ready)]
    return np.array(rows, dtype=np.float32).reshape(-1, bank.bins)


def sound(length: int, seed: int = 1) -> NDArray[np.float32]:
    """A gliding tone that swells, in a little noise."""
    draw = np.random.default_rng(seed)
    at = np.arange(length) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * (200 + 900 * at) * at) * (0.5 + 0.5 * np.sin(9 * at))
    return (tone + draw.normal(0, 0.003, length)).astype(np.float32)


@pytest.mark.parametrize("name", BANKS)
@pytest.mark.parametrize("length", [400, 401, 559, 560, 1_600, 16_000, 33_333])
def test_every_filter_bank_is_kaldis(name: str, length: int) -> None:
    bank = BANKS[name]
    ours, theirs = bank(sound(length)), kaldi(bank, sound(length))
    assert ours.shape == theirs.shape
    # Kaldi computes in float32: the quietest bins, next to loud ones, differ most.
    np.testing.assert_allclose(ours, theirs, atol=3e-3)
    assert np.median(np.abs(ours - theirs)) < 1e-5


@given(st.integers(0, 4_000), st.booleans())
def test_it_says_beforehand_how_many_frames_there_are(length: int, snip_edges: bool) -> None:
    bank = Fbank(snip_edges=snip_edges)
    samples = sound(length)
    assert bank(samples).shape == (bank.frames(length), 80)
    if length >= 160:  # kaldi-native-fbank does not survive less at mirrored edges
        assert bank.frames(length) == len(kaldi(bank, samples))


def test_digital_silence_is_the_floor() -> None:
    assert np.unique(Fbank()(np.zeros(1_600, dtype=np.float32))).tolist() == [np.log(np.finfo(np.float32).eps)]


@given(st.integers(1, 60))
def test_stacked_as_funasr_does(count: int) -> None:
    """wav_frontend.apply_lfr, written down row by row."""
    frames = np.arange(count, dtype=np.float32)[:, None]
    rows = stacked(frames)
    assert len(rows) == -(-count // 6)
    for at, row in enumerate(rows):
        wanted = [min(max(6 * at + offset - 3, 0), count - 1) for offset in range(7)]
        assert row.tolist() == wanted


@given(st.integers(0, 60))
def test_stacked_without_padding_has_whole_rows_only(count: int) -> None:
    frames = np.arange(count, dtype=np.float32)[:, None]
    rows = stacked(frames, padded=False)
    assert rows.tolist() == [list(range(first, first + 7)) for first in range(0, count - 6, 6)]
