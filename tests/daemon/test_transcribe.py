"""Sound of any length to text, subtitles and JSON."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from agentbox.asr.catalogue import Model
from agentbox.asr.engine import NO_HINTS, Capabilities, Correction, Hints, Recognition
from agentbox.asr.engine import Samples as Floats
from agentbox.asr.load import load_engine
from agentbox.asr.moonshine import Moonshine
from agentbox.asr.pull import ensure
from agentbox.audio.files import read_file
from agentbox.audio.segment import Samples
from agentbox.audio.vad import SileroVad
from agentbox.daemon.long import Reader, split_words, words_of
from agentbox.daemon.transcribe import Speech
from agentbox.errors import InputError
from benchmarks.voices import load_voice, pad
from tests.asr import tiny_models
from tests.asr.conftest import BECKETT
from tests.daemon.conftest import SAMPLE, Home


@pytest.fixture(scope="session")
def vad(models_dir: Path) -> SileroVad:
    return SileroVad(next((models_dir / "silero-vad-16k").glob("*.onnx")))


@pytest.fixture(scope="session")
def engine(models_dir: Path) -> Moonshine:
    loaded = load_engine("moonshine-tiny-en", "en", models_dir)
    assert isinstance(loaded, Moonshine)
    return loaded


@pytest.fixture(scope="session")
def two_cities(models_dir: Path) -> Path:
    """44 s read aloud."""
    return ensure(msgspec.convert(BECKETT, Model), models_dir) / "two_cities.wav"


class Written:
    """An engine that gives what it is told to, and keeps what it was given."""

    name = "written"
    capabilities = Capabilities((), streaming=False, token_scores=False)

    def __init__(self, *answers: Recognition) -> None:
        self.answers = list(answers)
        self.hints: list[Hints] = []

    def transcribe(self, samples: Floats, *, hints: Hints = NO_HINTS, **_: Any) -> Recognition:
        self.hints.append(hints)
        return self.answers.pop(0)

    def rest(self) -> None:
        pass


class Loud:
    """Takes every loud window for speech."""

    def probability(self, window: Samples) -> float:
        return float(np.abs(window).max() > 1000)

    def reset(self) -> None:
        pass


def bursts(pauses_s: Sequence[float], speech_s: float = 0.8) -> Iterator[Samples]:
    """So much silence before each burst of noise, and two seconds at the end."""
    noise = np.random.default_rng(5)
    for pause_s in pauses_s:
        yield np.zeros(int(pause_s * 16000), np.int16)
        yield noise.integers(-9000, 9000, int(speech_s * 16000), dtype=np.int16)
    yield np.zeros(32000, np.int16)


def said(text: str, **more: Any) -> Recognition:
    return Recognition(text, decode_ms=10.0, **more)


def test_a_long_recording_is_read_between_its_pauses(two_cities: Path, engine: Moonshine, vad: SileroVad) -> None:
    reader = Reader(engine, vad, "en")
    segments = list(reader.read(read_file(two_cities)))
    assert len(segments) == 4
    assert reader.audio_s == pytest.approx(soundfile.info(two_cities).duration, abs=0.01)
    assert segments[0].text.startswith("It was the best of times.")
    assert all(one.start_s < one.end_s <= two.start_s for one, two in itertools.pairwise(segments))
    # What stands in a segment is said between its times: alone, that stretch gives the same words.
    sound = np.concatenate(list(read_file(two_cities))).astype(np.float32) / np.float32(32768)
    shortest = min(segments, key=lambda one: one.end_s - one.start_s)
    cut = sound[int(shortest.start_s * 16000) - 4000 : int(shortest.end_s * 16000) + 4000]
    assert engine.transcribe(cut, language="en").text.split()[:3] == shortest.text.split()[:3]


def test_times_stay_right_in_the_second_sound_of_one_reader(engine: Moonshine, vad: SileroVad) -> None:
    reader = Reader(engine, vad, "en")
    sound = np.concatenate(list(read_file(SAMPLE)))[: 16000 * 12]
    first = list(reader.read([sound]))
    assert len(first) > 1
    assert [one.start_s for one in reader.read([sound])] == [one.start_s for one in first]


def test_what_was_said_before_goes_along() -> None:
    engine = Written(said("One."), said("Two."), said("Three."), said("Four."))
    reader = Reader(engine, Loud(), "en")
    assert [one.text for one in reader.read(bursts([1, 1, 1, 20]))] == ["One.", "Two.", "Three.", "Four."]
    assert [hints.before for hints in engine.hints] == ["", "One.", "One. Two.", ""]  # after 20 s nothing leads on
    assert reader.decode_s == pytest.approx(0.04)


def test_the_context_stays_short_and_begins_with_a_word() -> None:
    words = [f"word{n:03}" for n in range(60)]
    engine = Written(said(" ".join(words)), said("end"))
    list(Reader(engine, Loud(), "en").read(bursts([1, 1])))
    before = engine.hints[1].before
    assert 190 < len(before) <= 200
    assert before.split() == words[-len(before.split()) :]


@pytest.mark.parametrize("misled", [said("", suppressed="loop"), said("hello there")])
def test_a_context_that_misleads_is_left_out(misled: Recognition) -> None:
    engine = Written(said("hello there"), misled, said("goodbye"))
    assert [one.text for one in Reader(engine, Loud(), "en").read(bursts([1, 1]))] == ["hello there", "goodbye"]
    assert [hints.before for hints in engine.hints] == ["", "hello there", ""]


def test_after_words_that_nobody_said_the_context_begins_anew() -> None:
    engine = Written(said("one"), said("", suppressed="no_speech"), said("two"))
    assert [one.text for one in Reader(engine, Loud(), "en").read(bursts([1, 1, 1]))] == ["one", "two"]
    assert [hints.before for hints in engine.hints] == ["", "one", ""]


def test_words_have_times_where_the_model_tells(engine: Moonshine, two_cities: Path, vad: SileroVad) -> None:
    class Telling(Written):
        """The real model's words, and made-up times: 100 ms for each token."""

        def transcribe(self, samples: Floats, **given: Any) -> Recognition:
            return _timed(engine.transcribe(samples, **given))

        def spell(self, tokens: Sequence[int]) -> str:
            return engine.spell(tokens)

    first = next(Reader(Telling(), vad, "en").read(read_file(two_cities)))
    assert [word.text for word in first.words] == first.text.split()
    starts = [word.start_s for word in first.words]
    assert starts == sorted(starts)
    assert first.words[0].start_s < first.start_s  # the tokens' times count from the sound before the first speech
    assert first.words[-1].start_s > first.words[0].start_s + 3


@pytest.mark.parametrize("family", ["sense_voice", "nano_ctc", "paraformer"])
def test_words_have_times_of_models_that_write_all_at_once(tmp_path: Path, family: str) -> None:
    """Random words."""
    getattr(tiny_models, family)(tmp_path, 1)
    engine = load_engine(str(tmp_path), "zh", tmp_path)
    segments = list(Reader(engine, Loud(), "zh").read(bursts([1.0, 1.5], speech_s=1.6)))
    assert len(segments) == 2
    for one in segments:
        starts = [word.start_s for word in one.words]
        assert [word.text for word in one.words] == [word for _, word in split_words(one.text)]
        assert len(set(starts)) > 3
        assert starts == sorted(starts)
        assert one.start_s - 1 < starts[0] < starts[-1] < one.end_s + 1


def test_a_word_begins_with_its_first_token(tmp_path: Path) -> None:
    tiny_models.sense_voice(tmp_path, 1)
    engine = load_engine(str(tmp_path), "zh", tmp_path)
    heard = Recognition("w1 w2字3", tokens=(1, 2, 3), token_ms=(60, 120, 240))
    starts = [(word.text, round(word.start_s, 3)) for word in words_of(heard, engine, 10.0)]
    assert starts == [("w1", 10.06), ("w2", 10.12), ("字", 10.24), ("3", 10.24)]


def test_a_name_that_was_put_right_begins_where_what_was_read_in_its_place_does(tmp_path: Path) -> None:
    tiny_models.sense_voice(tmp_path, 1)
    engine = load_engine(str(tmp_path), "zh", tmp_path)
    heard = Recognition(
        "w1 Ann Lee, b3 at w1",
        tokens=(1, 2, 3, 1),
        token_ms=(60, 120, 240, 360),
        as_read="w1 w2字3 w1",
        corrections=(Correction("w2字", "Ann Lee, b", 3), Correction("w1", "at w1", 8)),
    )
    starts = [(word.text, round(word.start_s, 3)) for word in words_of(heard, engine, 10.0)]
    assert starts == [
        ("w1", 10.06),
        ("Ann", 10.12),
        ("Lee,", 10.12),
        ("b3", 10.12),
        ("at", 10.36),
        ("w1", 10.36),
    ]


def _timed(heard: Recognition) -> Recognition:
    return Recognition(
        heard.text, heard.confidence, heard.tokens, token_ms=tuple(100 * n for n in range(len(heard.tokens)))
    )


def test_an_hour_takes_no_more_memory_than_a_minute() -> None:
    def peak(minutes: int) -> int:
        engine = Written(*(said("and so on") for _ in range(2 * 15 * minutes)))
        tracemalloc.start()
        try:
            assert len(list(Reader(engine, Loud(), "en").read(bursts([3.2] * 15 * minutes)))) == 15 * minutes
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(10) < peak(1) + 500_000


def breaks_off() -> Iterator[Samples]:
    """A burst of noise amidst which the file is damaged."""
    yield from itertools.islice(bursts([1]), 2)
    raise InputError("file_damaged", "x.flac is damaged after 1.8 s.", "Copy it again.")


def test_what_was_being_said_when_the_file_breaks_off_is_read() -> None:
    read = Reader(Written(said("before the damage")), Loud(), "en").read(breaks_off())
    assert next(read).text == "before the damage"
    with pytest.raises(InputError) as caught:
        next(read)
    assert caught.value.code == "file_damaged"


class Recorded(Loud):
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def probability(self, window: Samples) -> float:
        self.asked.append("probability")
        return super().probability(window)

    def reset(self) -> None:
        self.asked.append("reset")


def test_a_sound_that_was_left_amidst_leaves_nothing_to_the_next() -> None:
    vad: Any = Recorded()
    next(Reader(Written(said("one")), vad, "en").read(bursts([1, 1])))
    vad.asked.clear()
    assert len(list(Reader(Written(said("two")), vad, "en").read(bursts([1])))) == 1
    assert vad.asked[0] == "reset"
    with pytest.raises(InputError):
        list(Speech(breaks_off(), vad))
    assert vad.asked[-1] == "probability"
    vad.asked.clear()
    assert len(list(Speech(bursts([1]), vad))) == 1
    assert vad.asked[0] == "reset"


def test_a_segment_is_one_line() -> None:
    [read] = Reader(Written(said("one\n\ntwo\u2028three")), Loud(), "en").read(bursts([1]))
    assert read.text == "one two three"


def test_times_and_languages_are_asked_for() -> None:
    plain, full = Written(said("one")), Written(said("one"), said("", suppressed="loop"), said("two"))
    list(Reader(plain, Loud(), "en", ("en",)).read(bursts([1])))
    assert plain.hints == [NO_HINTS]
    list(Reader(full, Loud(), "zh", ("zh", "en"), times=True).read(bursts([1, 1])))
    assert full.hints == [Hints(before=before, languages=("zh", "en"), times=True) for before in ("", "one", "")]


# The command


def test_the_command_writes_every_form(home: Home, two_cities: Path, tmp_path: Path) -> None:
    forms = ("txt", "srt", "vtt", "json")
    options = [option for form in forms for option in ("--format", form)]
    done = home.run("transcribe", str(tmp_path / "none.wav"), str(two_cities), *options, "--out", str(tmp_path / "out"))
    assert done.returncode == 3
    assert "[file_missing]" in done.stderr
    made = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert sorted(made) == sorted(f"two_cities.{form}" for form in forms)
    whole = json.loads(made["two_cities.json"])
    assert whole["audio_s"] == pytest.approx(soundfile.info(two_cities).duration, abs=0.01)
    assert made["two_cities.txt"].split("\n")[:-1] == [one["text"] for one in whole["segments"]]
    spoken = re.sub(r"^(\d+|.*-->.*|WEBVTT)?$", "", made["two_cities.vtt"], flags=re.MULTILINE).split()
    assert spoken == whole["text"].split()


def test_the_owners_names_are_put_right(home: Home, tmp_path: Path) -> None:
    speech = load_voice("hibari")
    for file, name in (("one.wav", "Quintanilla"), ("two.wav", "Agostino")):
        soundfile.write(tmp_path / file, pad(speech(f"Is {name} coming to dinner on Friday?")), 16000)
    sentences = tmp_path / "mine.yaml"
    sentences.write_text("""
        language: en
        lists: {person: {values: [Agostino]}}
        intents: {HassNevermind: {data: [{sentences: ["nothing for {person}"]}]}}
    """)
    (tmp_path / "broken.yaml").write_text("lists: [")
    missing = str(tmp_path / "none.txt")
    asr = {"models_dir": str(home.models_dir), "hotwords": ["Quintanilla"], "hotwords_file": missing}
    home.configure({"asr": asr, "intents": {"sentences": [str(sentences), str(tmp_path / "broken.yaml")]}})
    done = home.run("transcribe", str(tmp_path / "one.wav"), str(tmp_path / "two.wav"))
    assert done.stdout.splitlines() == [
        f"{tmp_path}/one.wav: Is Quintanilla coming to dinner on Friday?",
        f"{tmp_path}/two.wav: Is Agostino coming to dinner on Friday?",
    ]
    assert "hotwords_file" in done.stderr, "what cannot be read is told"
    assert "broken.yaml" in done.stderr


def test_standard_input_raw_and_as_a_file(home: Home, spoken_timer: Path) -> None:
    sound = np.concatenate(list(read_file(spoken_timer)))
    from_raw = home.run("transcribe", "-", "--format", "srt", input=sound.astype("<i2").tobytes())
    assert "pizza timer" in from_raw.stdout
    assert " --> " in from_raw.stdout
    file = io.BytesIO()
    soundfile.write(file, sound, 16000, format="FLAC")
    flac = json.loads(home.run("transcribe", "-", "--json", input=file.getvalue()).stdout)
    assert "pizza timer" in flac["text"]
    assert flac["file"] == "-"
    assert home.run("transcribe", "-", input=b"").stderr.startswith("error [file_empty]")


def test_what_stands_before_the_damage_is_written(home: Home, tmp_path: Path) -> None:
    sound = np.concatenate(list(read_file(SAMPLE)))
    soundfile.write(tmp_path / "cut.flac", sound, 16000)
    whole = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) * 2 // 3] + bytes(len(whole) // 3))
    done = home.run("transcribe", str(tmp_path / "cut.flac"), "--format", "json", "--out", str(tmp_path))
    assert done.returncode == 3
    assert "[file_damaged]" in done.stderr
    found = json.loads((tmp_path / "cut.json").read_text())
    assert found["error"] == "file_damaged"
    assert found["segments"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("-", "-"),
        ("a.wav", "--out", "x"),
        ("a.wav", "--format", "srt", "--format", "vtt"),
        ("a.wav", "b.wav", "--format", "srt"),
        ("a.wav", "b/a.flac", "--format", "srt", "--out", "x"),
        ("a.wav", "--json", "--format", "srt"),
    ],
)
def test_what_cannot_be_meant(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from agentbox.cli import main

    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    done = CliRunner().invoke(main, ["transcribe", *arguments])
    assert done.exit_code == 2, done.output


@pytest.mark.parametrize(
    ("forms", "times"), [((), False), (("txt",), False), (("txt", "srt"), True), (("json",), True)]
)
def test_times_are_asked_for_where_they_are_written(
    forms: tuple[str, ...], times: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from agentbox.cli import main, transcribe

    engine = Written(said("hello"))
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setattr(transcribe, "load_speech", lambda *_, **__: engine)
    monkeypatch.setattr(transcribe, "load_vad", lambda _: Loud())
    sound = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))  # not every file's name is UTF-8
    with sound.open("wb") as file:
        soundfile.write(file, np.concatenate(list(bursts([1]))), 16000, format="WAV")
    options = [option for form in forms for option in ("--format", form)] + (["--out", str(tmp_path)] if forms else [])
    done = CliRunner().invoke(main, ["transcribe", str(sound), *(options or ["--json"])])
    assert done.exit_code == 0, done.output
    assert [hints.times for hints in engine.hints] == [times]
    written = [file.read_text() for file in tmp_path.glob("caf*.json")] + ([] if forms else [done.output])
    assert all(json.loads(text)["file"] == f"{tmp_path}/caf\ufffd.wav" for text in written)
    assert bool(written) is (forms in ((), ("json",)))


def test_a_folder_that_cannot_be_written(home: Home, tmp_path: Path, spoken_timer: Path) -> None:
    (tmp_path / "file").touch()
    done = home.run("transcribe", str(spoken_timer), "--format", "txt", "--out", str(tmp_path / "file" / "out"))
    assert done.returncode == 3
    assert "[file_unwritable]" in done.stderr
