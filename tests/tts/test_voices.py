"""The voices themselves."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from agentbox.config import Speech
from agentbox.errors import ModelError
from agentbox.tts import espeak
from agentbox.tts.engine import speaks
from agentbox.tts.espeak import EspeakVoice
from agentbox.tts.hibari import HibariVoice
from agentbox.tts.load import load_voice
from agentbox.tts.tables import Table
from tests.tts.conftest import Hear

SENTENCES = (
    "Timer set for 1 hour and 10 minutes.",
    "The dishwasher of Mr. Kowalczyk-Nguyen is ready; he read it, and reads it live!",
    "On your shopping list: milk, two dozen eggs and bread.",
    "It is Saturday, November 21, 2026.",
    "ZZXY qwertz 42",
)


def test_it_says_the_same_as_the_package_itself(voice: HibariVoice) -> None:
    theirs = pytest.importorskip("hibari").Hibari()
    for text in SENTENCES:
        assert voice._speaker.phonemize(text) == theirs.phonemize(text)
        expected = np.rint(theirs(text, seed=0) * 32767)
        assert np.abs(voice.say(text) - expected).max() <= 1


def test_dictionaries_stay_on_disk_and_a_broken_file_is_written_anew(voice_cache: Path, tmp_path: Path) -> None:
    [whole] = voice_cache.iterdir()
    file = tmp_path / whole.name
    for broken in (b"", b"SQLite format 3\0 and no more", whole.read_bytes()):
        file.write_bytes(broken)
        if len(broken) > 100:
            with closing(sqlite3.connect(file)) as connection:
                connection.execute("PRAGMA user_version = 0")
        again = HibariVoice(tmp_path)
        assert isinstance(again._speaker.g2p.tagger.weights, Table)
        assert again.say("Hello.").size
        again.close()
        assert file.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("first_page", [3, 300])
def test_a_damaged_file_is_done_without(first_page: int, voice_cache: Path, tmp_path: Path) -> None:
    [whole] = voice_cache.iterdir()
    data = bytearray(whole.read_bytes())
    data[first_page * 4096 :] = b"\xff" * (len(data) - first_page * 4096)
    (tmp_path / whole.name).write_bytes(data)
    voice = HibariVoice(tmp_path)
    assert voice.say("Hello there, Kowalczyk, on the seventh of January.").size
    assert voice.say("Again, please.").size
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written_it_speaks_all_the_same(tmp_path: Path, voice: HibariVoice) -> None:
    (tmp_path / "file").touch()
    for cache in (None, tmp_path / "file" / "cache"):
        other = HibariVoice(cache)
        assert isinstance(other._speaker.g2p.tagger.weights, dict)
        np.testing.assert_array_equal(other.say(SENTENCES[0]), voice.say(SENTENCES[0]))


def test_pace_and_silence(voice: HibariVoice) -> None:
    slow, usual, fast = (voice.say(SENTENCES[0], pace).size for pace in (0.7, 1.0, 1.5))
    assert slow > 1.2 * usual > 1.2 * 1.2 * fast
    assert voice.say("").size == voice.say(" … ").size == 0


def test_it_is_missing_where_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "hibari", None)
    with pytest.raises(ModelError, match="hibari-tts") as failed:
        HibariVoice(None)
    assert failed.value.code == "voice_missing"


@pytest.mark.skipif(
    shutil.which(espeak.PROGRAM) is None, reason="espeak-ng is not installed (apt-get install espeak-ng)"
)
def test_espeak_speaks_what_no_other_voice_does(hear: Hear) -> None:
    chinese = load_voice(Speech(), "zh-CN", None)
    assert (chinese.name, speaks(chinese, "zh-CN"), speaks(chinese, "en")) == ("espeak-cmn", True, False)
    short, long = chinese.say("好的。"), chinese.say("已经为你设置了十分钟的计时器。")
    assert 0 < short.size < long.size
    assert abs(int(long.max())) > 2_000
    english = EspeakVoice("en-US")
    said = hear(english.say("Add milk to the shopping list."), english.sample_rate_hz).lower()
    assert "shopping list" in said
    assert english.say("-v /etc/passwd \u0000").size, "text is text"
    assert english.say("[[h@loU]]").size > 1.2 * english.say("hello").size
    assert english.say("…").size == 0
    assert [EspeakVoice(tag).name for tag in ("pt-BR", "en-GB", "de-DE", "zh-TW")] == [
        *("espeak-pt-br", "espeak-en-gb", "espeak-de-de", "espeak-cmn")
    ]
    with pytest.raises(ModelError, match="xx-klingon") as failed:
        EspeakVoice("xx-klingon")
    assert failed.value.code == "voice_missing"


def test_english_has_the_good_voice(voice_cache: Path) -> None:
    for language in ("en", "en-GB"):
        with_name = load_voice(Speech(), language, voice_cache)
        assert with_name.name == "hibari-heart"
        with_name.close()


def test_a_voice_says_only_its_own_languages(voice_cache: Path) -> None:
    with pytest.raises(ModelError, match="does not speak") as failed:
        load_voice(Speech(voice="hibari"), "de", voice_cache)
    assert failed.value.code == "voice_missing"


def test_a_damaged_value_is_done_without(voice_cache: Path, tmp_path: Path) -> None:
    [whole] = voice_cache.iterdir()
    shutil.copy(whole, tmp_path)
    with closing(sqlite3.connect(tmp_path / whole.name)) as connection:
        connection.execute("UPDATE gold SET value = '{' WHERE key = 'bread'")
        connection.commit()
    assert HibariVoice(tmp_path).say("Some bread, please.").size
    assert not list(tmp_path.iterdir())


def test_the_network_is_part_of_the_voice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hibari.voices.voice_path", lambda *_, **__: str(tmp_path / "gone.onnx"))
    with pytest.raises(ModelError) as failed:
        HibariVoice(None)
    assert failed.value.code == "voice_missing"


def test_without_espeak_the_owner_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "PROGRAM", "espeak-that-is-nowhere")
    with pytest.raises(ModelError, match="apt-get install espeak-ng") as failed:
        load_voice(Speech(), "zh-CN", None)
    assert failed.value.code == "voice_missing"
