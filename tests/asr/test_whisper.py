"""The Whisper engine on small random models, token for token against onnx-asr."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx_asr.models.whisper import WhisperHf
from onnx_asr.onnx import OnnxSessionOptions
from onnx_asr.preprocessors.numpy_preprocessor import WhisperPreprocessorNumpy

from agentbox.asr.engine import Opening
from agentbox.asr.log_mel import log_mel
from agentbox.asr.whisper import Whisper, open_model
from tests.asr.whisper_models import END, LANGUAGES, MARKS, START, random_model, write_model

SEEDS = range(20)
PROMPT = [MARKS["<|transcribe|>"], MARKS["<|notimestamps|>"]]
UNGUARDED = 1000.0
"""Tokens a second: random models say what they like."""


UNTOLD = {mark: token for mark, token in MARKS.items() if mark != "<|startofprev|>"}
"""Of a model that cannot be told anything before it listens, as onnx-asr tells none."""


def sound(seconds: float, seed: int = 1) -> NDArray[np.float32]:
    """A gliding tone that swells, in a little noise."""
    draw = np.random.default_rng(seed)
    at = np.arange(int(seconds * 16_000)) / 16_000
    glide = 2 * np.pi * (draw.uniform(150, 500) + draw.uniform(50, 400) * at) * at
    tone = 0.3 * np.sin(glide) * (0.5 + 0.5 * np.sin(draw.uniform(3, 12) * at))
    return (tone + draw.normal(0, 0.003, at.size)).astype(np.float32)


CLIPS = [sound(seconds, seed) for seed, seconds in enumerate([0.3, 0.7, 1.2, 2.0, 3.3, 5.0])]


class TheirView:
    """onnx-asr's view of the clips: worked out once."""

    @functools.cache  # noqa: B019 - one, for as long as the tests run
    def of(self, samples: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        clip = next(clip for clip in CLIPS if clip.size == samples)
        return WhisperPreprocessorNumpy("whisper80")(clip[None], np.array([samples]))

    def __call__(
        self, waveforms: NDArray[np.float32], waveforms_lens: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return self.of(int(waveforms_lens[0]))


THEIR_VIEW = TheirView()


def opened(folder: Path) -> Whisper:
    return open_model(folder, Opening(name="small", tokens_per_second=UNGUARDED))


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("samples", [1, 160, 1_600, 48_123, 479_900, 480_000, 500_000])
def test_the_view_of_sound_is_onnx_asrs(bands: int, samples: int) -> None:
    clip = sound(32.0)[:samples]
    theirs, _ = WhisperPreprocessorNumpy(f"whisper{bands}")(clip[None, :480_000], np.array([min(samples, 480_000)]))
    ours = log_mel(clip, bands)
    assert ours.shape == theirs[0].shape == (bands, 3_000)
    # They compute in float32: the quietest lines, next to loud ones, differ most.
    np.testing.assert_allclose(ours, theirs[0], atol=0.02)
    assert np.median(np.abs(ours - theirs[0])) < 1e-4


@pytest.mark.parametrize("seed", SEEDS)
def test_token_for_token_as_onnx_asr(seed: int, tmp_path: Path) -> None:
    folder = write_model(tmp_path, random_model(seed), marks=UNTOLD)
    names = {"vocab": "vocab.json", "added_tokens": "added_tokens.json", "config": "config.json"}
    files = {part: folder / name for part, name in names.items()}
    files |= {"encoder": folder / "encoder_model.onnx", "decoder": folder / "decoder_model_merged.onnx"}
    one_thread = onnxruntime.SessionOptions()
    one_thread.intra_op_num_threads = 1  # more of them wait by spinning
    options: OnnxSessionOptions = {"providers": ["CPUExecutionProvider"], "sess_options": one_thread}
    theirs = WhisperHf(files, lambda _: THEIR_VIEW, options)
    ours = opened(folder)
    for at, clip in enumerate(CLIPS):
        encoded = theirs._encode(clip[None], np.array([clip.size]))
        if at % 2:
            language = "und"
            heard = int(theirs._decoding(encoded, np.array([[START]]), 2)[0, 1])
        else:
            language = LANGUAGES[seed % len(LANGUAGES)].replace("jw", "jv")
            heard = MARKS[f"<|{LANGUAGES[seed % len(LANGUAGES)]}|>"]
        expected = theirs._decoding(encoded, np.array([[START, heard, *PROMPT]]))[0, 4:].tolist()
        assert expected[-1] == END
        found = ours.transcribe(clip, language=language)
        assert found.tokens == tuple(expected[:-1])
        assert found.language == (None if at % 2 == 0 else ours_by_mark(ours, heard))


def ours_by_mark(engine: Whisper, mark: int) -> str:
    return next(tag for tag, token in engine.vocabulary.languages.items() if token == mark)
