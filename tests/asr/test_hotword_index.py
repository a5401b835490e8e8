"""Names found by sound: which of thousands a text may have misheard, in Chinese and in Latin letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.hotwords.index import MOST, HotwordIndex, Near
from agentbox.asr.hotwords.sounds import BLURRED, coarse_keys, likeness, words_of
from agentbox.phonetics import syllables_of

CHINESE = (
    "张伟",
    "章子怡",
    "李娜",
    "陈思诚",
    "石文斌",
    "小米电视",
    "范冰冰",
    "浴室加湿器",
    "客厅",
    "银行",
    "王芳",
    "林静",
)


@pytest.fixture(scope="module")
def chinese() -> HotwordIndex:
    return HotwordIndex(CHINESE)


def best(index: HotwordIndex, text: str) -> tuple[str, str, float]:
    found = index.near(text)
    return (found[0].hotword, text[found[0].start : found[0].end], found[0].likeness) if found else ("", "", 0.0)


@pytest.mark.parametrize(
    ("text", "hotword", "heard"),
    [
        ("打电话给章威", "张伟", "章威"),  # the same syllables, other characters and tones
        ("打电话给脏味", "张伟", "脏味"),  # zh - z
        ("给尼娜发消息", "李娜", "尼娜"),  # n - l
        ("程诗城明天来吗", "陈思诚", "程诗城"),  # en - eng, s - sh, ch
        ("打电话给四问宾", "石文斌", "四问宾"),  # sh - s
        ("打电话给时闻冰", "石文斌", "时闻冰"),  # in - ing
        ("打开玉石加湿气", "浴室加湿器", "玉石加湿气"),
        ("打开小米点是", "小米电视", "小米点是"),
        ("问一下环冰冰", "范冰冰", "环冰冰"),  # f - h is near, an - uan is not
        ("去一趟音航", "银行", "音航"),  # a character with two readings
        ("关掉克亭的灯", "客厅", "克亭"),  # ting
        ("给您静打电话", "林静", "您静"),  # n - l
    ],
)
def test_a_chinese_name_is_found_by_its_syllables(chinese: HotwordIndex, text: str, hotword: str, heard: str) -> None:
    found, at, alike = best(chinese, text)
    assert (found, at) == (hotword, heard)
    assert alike >= 0.6


def test_tones_and_characters_do_not_count_and_blurred_sounds_count_less_than_others() -> None:
    assert likeness("章威", "张伟") == 1.0
    blurred = likeness("脏味", "张伟")
    other = likeness("方味", "张伟")
    assert blurred == pytest.approx(1 - BLURRED / 2)
    assert other < blurred < 1.0


@pytest.mark.parametrize(
    ("text", "hotword", "heard"),
    [
        ("Remind me to phone Shove on tomorrow.", "Shavon", "Shove on"),
        ("Is quentinilla coming to dinner?", "Quintanilla", "quentinilla"),
        ("Call-perc.", "Perck", "perc"),
        ("When is the train of Denny's car trite going to arrive?", "Denis Cartwright", "Denny's car trite"),
        ("What did Wallen's brother say?", "Wallin", "Wallen"),
        ("Send a message to White House.", "Whitehouse", "White House"),
        ("Ask Jose Nunez about it.", "José Núñez", "Jose Nunez"),
        ("Call Yukasz.", "Łukasz", "Yukasz"),
    ],
)
def test_a_name_in_latin_letters_is_found_by_its_sounds(text: str, hotword: str, heard: str) -> None:
    others = ("Miller", "Bologna", "Christmas tree", "Stuttgart", "Ecclestone")
    assert best(HotwordIndex([hotword, *others]), text)[:2] == (hotword, heard)


def test_scripts_are_mixed_as_people_mix_them() -> None:
    index = HotwordIndex(["小米Pro", "living room"])
    assert best(index, "打开小蜜pro")[:2] == ("小米Pro", "小蜜pro")
    assert best(index, "打开 leaving room 的灯")[:2] == ("living room", "leaving room")


def test_a_possessive_is_no_part_of_a_name() -> None:
    assert [word.text for word in words_of("It's O'Brien's day")] == ["it", "o'brien", "day"]


def test_at_most_ten_are_given_the_likeliest_first() -> None:
    index = HotwordIndex(
        [f"Tam{end}" for end in ("in", "an", "on", "un", "en", "ino", "ano", "oni", "une", "ene", "ana")]
    )
    found = index.near("Please call Tamin now")
    assert len(found) == MOST
    assert [one.likeness for one in found] == sorted((one.likeness for one in found), reverse=True)
    assert found[0].hotword == "Tamin"


@pytest.mark.parametrize("hotwords", [[], ["", "  ", "?!", "🙂"], ["a"]])
def test_what_has_no_sound_is_never_found(hotwords: list[str]) -> None:
    index = HotwordIndex(hotwords)
    assert len(index) == 0
    assert index.near("What is that?") == []


def test_an_empty_text_holds_no_name(chinese: HotwordIndex) -> None:
    assert chinese.near("") == []
    assert chinese.near("...") == []


@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=8))
def test_any_text_may_be_looked_through_for_any_names(text: str, hotwords: list[str]) -> None:
    for near in HotwordIndex(hotwords).near(text):
        assert isinstance(near, Near)
        assert 0 <= near.start < near.end <= len(text)
        assert 0.6 <= near.likeness <= 1.0


@given(st.text(alphabet="张章伟威李尼娜那石四文问斌冰bcdaeiou ", min_size=2, max_size=8))
def test_a_name_that_stands_there_is_found_and_wholly_alike(name: str) -> None:
    index = HotwordIndex([name])
    if len(index):
        alone = index.near(index.hotwords[0])
        assert alone
        assert alone[0].likeness == pytest.approx(1.0)


def test_every_character_of_the_table_has_a_key_of_two_sounds() -> None:
    known = [character for character in map(chr, range(0x4E00, 0xA000)) if syllables_of(character)]
    assert len(known) > 8_000
    assert {len(key) for character in known for key in coarse_keys([character])} == {2}
