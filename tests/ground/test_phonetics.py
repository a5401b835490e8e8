"""Syllables and sounds: the table is what it says, and what people do not tell apart is one sound."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from agentbox.phonetics import Syllable, sound_of, split, spoken_letters, syllables_of


def said(character: str) -> list[str]:
    return ["".join(one) for one in syllables_of(character)]


@pytest.mark.parametrize(
    ("character", "readings"),
    [
        ("张", ["zhang"]),
        ("行", ["hang", "xing"]),
        ("单", ["dan", "shan"]),
        ("吕", ["lv"]),
        ("台", ["tai"]),
        ("臺", ["tai"]),
    ],
)
def test_a_character_has_the_readings_that_are_common_and_those_of_surnames(
    character: str, readings: list[str]
) -> None:
    assert sorted(said(character)) == readings


def test_what_is_no_chinese_character_has_no_reading() -> None:
    assert syllables_of("a") == ()


def test_every_line_of_the_table_is_a_syllable_and_its_characters() -> None:
    lines = resources.files("agentbox").joinpath("pinyin.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 402
    for line in lines:
        syllable, characters = line.split(" ")
        assert "".join(split(syllable)) == syllable
        assert re.fullmatch(r"(zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])?[aeiouv]{1,3}(n|ng|r)?|n", syllable)
        assert len(set(characters)) == len(characters)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("zhi", "zi"), ("chang", "cang"), ("shi", "si"), ("niu", "liu"), ("fu", "hu"), ("fei", "hei")),
        *(("shan", "shang"), ("jin", "jing"), ("zhen", "zheng"), ("lian", "liang"), ("chuan", "chuang")),
        *(("shang", "san"), ("lv", "nu")),
    ],
)
def test_what_many_do_not_tell_apart_is_one_sound(one: str, other: str) -> None:
    assert split(one).blurred == split(other).blurred


@pytest.mark.parametrize(("one", "other"), [("ba", "pa"), ("ji", "qi"), ("tan", "tian"), ("gong", "gen"), ("wo", "o")])
def test_what_everybody_tells_apart_is_two(one: str, other: str) -> None:
    assert split(one).blurred != split(other).blurred


def test_a_syllable_is_its_initial_and_its_final() -> None:
    assert split("zhuang") == Syllable("zh", "uang")
    assert split("an") == Syllable("", "an")


def test_the_finer_key_of_letters_keeps_voices_and_vowels_apart() -> None:
    assert sound_of("bad") == sound_of("pet")
    assert spoken_letters("bad") != spoken_letters("pet")
    assert spoken_letters("koivula") == spoken_letters("coivula")
    assert spoken_letters("gosh") == spoken_letters("ghosh")
