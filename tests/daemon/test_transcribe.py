"""Sound of any length to text, subtitles and JSON."""

from __future__ import annotations

import io
import itertools
import json
import re
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.catalogue import Model
from agentbox.asr.engine import NO_HINTS, Capabilities, Hints, Recognition
from agentbox.asr.engine import Samples as Floats
from agentbox.asr.load import load_engine
from agentbox.asr.moonshine import Moonshine
from agentbox.asr.pull import ensure
from agentbox.audio.files import read_file, read_pipe
from agentbox.audio.segment import Samples
from agentbox.audio.vad import SileroVad
from agentbox.daemon.captions import LINE_LETTERS, LONGEST_S, cues, make_writer
from agentbox.daemon.long import Reader, Segment, Word, split_words, words_of
from agentbox.errors import InputError
from tests.asr import tiny_models
from tests.asr.conftest import BECKETT
from tests.daemon.conftest import SAMPLE, Home

SAYINGS = st.text("ab, 的灯é.9", max_size=200).map(lambda text: " ".join(text.split()))


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
    first = list(reader.read(read_file(SAMPLE)))
    assert [one.start_s for one in reader.read(read_file(SAMPLE))] == [one.start_s for one in first]


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


# Subtitles


def segment(text: str, start_s: float = 1.0, end_s: float = 4.0, words: tuple[Word, ...] = ()) -> Segment:
    return Segment(start_s=start_s, end_s=end_s, text=text, confidence=0.5, words=words)


@given(SAYINGS, st.floats(0, 1e5), st.floats(0.1, 60))
def test_subtitles_hold_every_letter_in_order_of_time(text: str, start_s: float, length_s: float) -> None:
    made = cues(segment(text, start_s, start_s + length_s))
    assert "".join("".join(cue.lines) for cue in made).replace(" ", "") == text.replace(" ", "")
    for cue, after in zip(made, [*made[1:], None][: len(made)], strict=True):
        assert 1 <= len(cue.lines) <= 2
        assert cue.start_s <= cue.end_s
        assert after is None or cue.end_s == pytest.approx(after.start_s)
        words = [word for line in cue.lines for _, word in split_words(line)]
        assert len(words) == 1 or cue.end_s - cue.start_s <= LONGEST_S + 0.001
        assert all(len(line) <= LINE_LETTERS or len(split_words(line)) == 1 for line in cue.lines)


@given(SAYINGS)
def test_words_are_all_of_the_text(text: str) -> None:
    split = split_words(text)
    assert "".join(word for _, word in split) == text.replace(" ", "")
    assert all(text[at : at + len(word)] == word for at, word in split)


def test_words_of_mixed_scripts() -> None:
    assert [word for _, word in split_words("打开 living room 的灯。A1好")] == [
        *("打", "开", "living", "room", "的", "灯。"),
        *("A1", "好"),
    ]


def test_a_subtitle_ends_with_a_sentence_where_one_ends_near() -> None:
    text = (
        "It was the age of wisdom, and of that. It was the age of foolishness. It was the epoch of belief, they said."
    )
    assert next(" ".join(cue.lines) for cue in cues(segment(text, 0.0, 9.0))).endswith("foolishness.")


def test_known_times_of_words_are_kept() -> None:
    words = tuple(Word(f"word{n}", 10.0 + 3 * n) for n in range(4))
    made = cues(segment("word0 word1 word2 word3", 10.0, 20.0, words))
    assert [(cue.start_s, cue.end_s, cue.lines) for cue in made] == [
        (10.0, 16.0, ("word0 word1",)),
        (16.0, 20.0, ("word2 word3",)),
    ]


def written(form: Any, *segments: Segment) -> str:
    out = io.StringIO()
    writer = make_writer(form, out.write)
    writer.begin()
    for one in segments:
        writer.segment(one)
    writer.end({"file": "x.wav"})
    return out.getvalue()


def test_subrip() -> None:
    made = written("srt", segment("Hello.", 1.0, 1.2), segment("打开灯。", 3661.0015, 3663.0))
    assert made == (
        "1\n00:00:01,000 --> 00:00:02,000\nHello.\n\n2\n01:01:01,002 --> 01:01:03,000\n打开灯。\n\n"
    )  # the first stays for a second


def test_a_short_subtitle_does_not_cover_the_next() -> None:
    assert "00:00:01,000 --> 00:00:01,400" in written("srt", segment("Yes.", 1.0, 1.2), segment("No.", 1.4, 3.0))


def test_webvtt_hides_no_word_in_a_mark() -> None:
    made = written("vtt", segment("a <b> & c", 0.0, 2.0))
    assert made == "WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.000\na &lt;b&gt; &amp; c\n\n"


def test_json_and_text() -> None:
    one, two = segment("打开", words=(Word("打", 1.0), Word("开", 1.5))), segment("the light", 5.0, 6.0)
    found = json.loads(written("json", one, two))
    assert found["text"] == "打开 the light"
    assert found["file"] == "x.wav"
    assert found["segments"][0]["words"] == [{"text": "打", "start_s": 1.0}, {"text": "开", "start_s": 1.5}]
    assert "words" not in found["segments"][1]
    assert json.loads(written("json"))["segments"] == []
    assert written("txt", one, two) == "打开\nthe light\n"


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


def test_standard_input_raw_and_as_a_file(home: Home) -> None:
    raw = np.concatenate(list(read_file(SAMPLE)))[16000 * 3 : 16000 * 8].astype("<i2").tobytes()
    from_raw = home.run("transcribe", "-", "--format", "srt", input=raw)
    assert "pizza timer" in from_raw.stdout
    assert " --> " in from_raw.stdout
    flac = json.loads(home.run("transcribe", "-", "--json", input=SAMPLE.read_bytes()).stdout)
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


def test_a_folder_that_cannot_be_written(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = home.run("transcribe", str(SAMPLE), "--format", "txt", "--out", str(tmp_path / "file" / "out"))
    assert done.returncode == 3
    assert "[file_unwritable]" in done.stderr


# What comes through a pipe


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100_001])
def test_raw_sound_comes_whole_however_it_is_cut(size: int) -> None:
    data = np.random.default_rng(2).integers(1, 255, size, dtype=np.uint8).tobytes()
    found = b"".join(block.astype("<i2").tobytes() for block in read_pipe(io.BytesIO(data)))
    assert found == data[: size // 2 * 2]


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "AIFF", "CAF", "AU", "MP3"])
def test_a_sound_file_through_a_pipe(form: str, tmp_path: Path) -> None:
    sound = np.random.default_rng(2).integers(-5000, 5000, 40_000, dtype=np.int16)
    soundfile.write(tmp_path / "x", sound, 48_000, format=form)
    with (tmp_path / "x").open("rb") as pipe:
        assert sum(block.size for block in read_pipe(pipe)) == pytest.approx(
            40_000 / 3, abs=1000 if form == "MP3" else 2
        )


@pytest.mark.parametrize(
    ("data", "code"), [(b"RIFFxxxxnonsense", "file_not_audio"), (b"fLaC", "file_not_audio"), (b"", "file_empty")]
)
def test_what_is_no_sound(data: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_pipe(io.BytesIO(data)))
    assert caught.value.code == code
