"""How alike two words sound. Rough, and good enough to tell a mishearing from another word.

Latin letters are alike as far as the keys of their sounds are (`phonetics`). Chinese characters are alike when Mandarin
speakers say them alike but for the tone; a short table holds those of our own sentences.
"""

from __future__ import annotations

from functools import lru_cache

from rapidfuzz.distance import Levenshtein

from agentbox.intents.words import is_single
from agentbox.phonetics import sound_of

# Characters of our Chinese sentences (and of what is heard in their place), one group for each toneless syllable.
# Numerals are in no group: a number is never guessed.
_SYLLABLES = """
    定订顶钉盯 时是事试式市实失师诗石世 钟中终种重众 闹脑恼 提题替体踢 醒行性型形星姓 音因银引饮印 亮量辆凉良
    调挑条跳掉钓 静净竟景经 停听厅挺庭 取曲去区 消小笑肖校晓 暂站战占赞 清请情青轻 单但蛋担 购够构狗 物务无误
    加家假价佳 删山闪衫 除出初处 记计季即及级机 其器气奇 早找照 晚完玩碗 明名鸣 天填甜 后候厚 现线先显限 在再载
    间见件简 号好浩 倒到道导 关管观惯 开凯 大打达 声生升圣 增曾憎 减检剪 给个各 把吧爸 还海 剩圣胜 多夺 久就旧
    设社射 置只知直值 播拨波 放方房 继季 续需许 恢会回 复负服福
"""
_SAME: dict[str, frozenset[str]] = {}
for _group in _SYLLABLES.split():
    for _character in _group:
        _SAME[_character] = _SAME.get(_character, frozenset()) | frozenset(_group)


def same_syllable(character: str) -> frozenset[str]:
    """The Chinese characters of the table that sound like this one; none when it is not there."""
    return _SAME.get(character, frozenset())


@lru_cache(maxsize=16384)
def likeness(heard: str, meant: str) -> float:
    """How alike two lower-case words sound, 0..1. Chinese characters: 0.85 for one syllable, else 0."""
    if heard == meant:
        return 1.0
    if is_single(heard) or is_single(meant):
        return 0.85 if meant in same_syllable(heard) else 0.0
    sounds = sound_of(heard), sound_of(meant)
    by_sound = Levenshtein.normalized_similarity(*sounds)
    by_letters = Levenshtein.normalized_similarity(heard, meant)
    alike = 0.7 * by_sound + 0.3 * by_letters
    # The beginning of a word is what is misheard least.
    return alike if sounds[0][:1] == sounds[1][:1] else alike * 0.85
