"""Fun-ASR-Nano token for token as sherpa-onnx 2.0.1 writes it, over the same random models.

The engine is set to sherpa-onnx's way (`SHERPA_COMPAT`), which differs from FunASR's in five points. Each of them is
held down: with FunASR's way in that point alone, the answers differ. If sherpa-onnx changes one, a test here fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agentbox.asr.engine import NO_HINTS, Hints
from agentbox.asr.nano import REFERENCE, SHERPA_COMPAT, Convention, Nano
from benchmarks.nano_graphs import Size
from tests.asr.nano_models import Sherpa, small_model, sound

SECONDS = (0.3, 0.7, 1.5, 3.1)
CAP = 20
ENDINGS = (-1.5, 0.4, 1.0)
"""Long answers, middling ones, short ones."""


def never(tokens: Sequence[int]) -> bool:
    """sherpa-onnx lets a model repeat itself."""
    return False


def written(
    engine: Nano, samples: NDArray[np.float32], language: str = "", hints: Hints = NO_HINTS, cap: int = CAP
) -> list[str]:
    """What each token of our answer says."""
    decoding = engine.decode(engine.encode(samples, language=language, hints=hints), cap=cap, stuck=never)
    return [engine.table.bytes_of(token).decode() for token in decoding.tokens]


def compat(folder: Path, *, itn: bool = True, convention: Convention = SHERPA_COMPAT) -> Nano:
    return Nano(folder, name="own", itn=itn, convention=convention)


@pytest.mark.parametrize("seed", range(12))
def test_token_for_token(tmp_path: Path, seed: int) -> None:
    """48 cases: caches of both types, logits for all rows and for the last one, named and unnamed inputs."""
    size = Size(half_caches=seed % 4 == 3, all_logits=seed % 4 == 2, own_names=seed % 3 != 2, layers=2 + seed % 2)
    small_model(tmp_path, 100 * seed, size, ENDINGS[seed % 3])
    engine, sherpa = compat(tmp_path), Sherpa(tmp_path, most_tokens=CAP)
    clips = [sound(10 * seed + at, seconds) for at, seconds in enumerate(SECONDS)]
    answers = [sherpa.tokens(clip) for clip in clips]
    assert [written(engine, clip) for clip in clips] == answers
    assert len(set(map(tuple, answers))) > 1


PROMPTS = [
    ("中文", "", "zh-CN", True),
    ("英文", "", "en", False),
    ("", "", "", False),
    ("", "张三丰", "", True),
    ("中文", "living room,客厅的灯", "zh", True),
    ("日文", "the light,é,ひらがな,O'Neill,4711", "ja-JP", False),
    ("", "a b c,don't,ｆｕｌｌ", "", True),
]


@pytest.mark.parametrize(("theirs", "hotwords", "language", "itn"), PROMPTS)
def test_prompts(tmp_path: Path, theirs: str, hotwords: str, language: str, itn: bool) -> None:
    """42 cases: the task with a language, without figures, with hotwords."""
    hints = Hints(hotwords=tuple(filter(None, hotwords.split(","))))
    for seed in (1, 2):
        small_model(tmp_path, 100 * seed, Size(), ENDINGS[seed])
        engine, sherpa = (
            compat(tmp_path, itn=itn),
            Sherpa(tmp_path, language=theirs, itn=itn, hotwords=hotwords, most_tokens=CAP),
        )
        for at, seconds in enumerate(SECONDS[1:]):
            clip = sound(at, seconds)
            assert written(engine, clip, language, hints) == sherpa.tokens(clip)


@pytest.mark.parametrize("seed", range(6))
def test_little_room(tmp_path: Path, seed: int) -> None:
    """18 cases: the end of the sound is left out, and the answer ends where the cache is full."""
    small_model(tmp_path, 100 * seed, Size(most_rows=130 + 9 * seed))
    engine, sherpa = compat(tmp_path), Sherpa(tmp_path, most_tokens=512)
    for seconds in (0.7, 2.6, 6.3):
        clip = sound(seed, seconds)
        assert written(engine, clip, cap=512) == sherpa.tokens(clip)


DIFFERENCES = {
    "the upper edge of the filter bank": replace(SHERPA_COMPAT, fbank=replace(SHERPA_COMPAT.fbank, high_hz=0.0)),
    "frames at the edges": replace(SHERPA_COMPAT, fbank=replace(SHERPA_COMPAT.fbank, snip_edges=True)),
    "rows at the edges": replace(SHERPA_COMPAT, padded=True),
    "the first eighth of the rows": replace(SHERPA_COMPAT, thinned=True),
    "the position of the answer": replace(SHERPA_COMPAT, gap=0),
}


@pytest.mark.parametrize("convention", DIFFERENCES.values(), ids=DIFFERENCES)
def test_sherpa_onnx_still_differs_from_funasr(tmp_path: Path, convention: Convention) -> None:
    """With one of the five points as FunASR has it, the answers are others."""
    small_model(tmp_path, 300)
    clips = [sound(30 + at, seconds) for at, seconds in enumerate(SECONDS)]
    sherpa, both = Sherpa(tmp_path, most_tokens=CAP), [compat(tmp_path), compat(tmp_path, convention=convention)]
    answers = [sherpa.tokens(clip) for clip in clips]
    ours, changed = [[written(engine, clip) for clip in clips] for engine in both]
    assert ours == answers
    assert changed != answers


def test_the_five_points_are_all() -> None:
    points = [replace(SHERPA_COMPAT.fbank, high_hz=0.0, snip_edges=True), True, True, 0]
    assert Convention(*points) == REFERENCE  # type: ignore[arg-type]
