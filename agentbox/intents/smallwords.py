"""Words that carry little meaning, in English and Chinese."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


MAY_BE_MISSING = _set(
    "a an the my our to for of in on at by and me us is are s it 的 了 吧 啊 个 一 把 请 帮 给 我 那 这 在 里 去 来 下"
)
"""Small words that are swallowed when people speak fast."""

SMALL_WORDS = MAY_BE_MISSING | _set(
    "your this that its was be been am or i you do does did will would can could there then so just please now have has"
    " got with from as 呀 呢 吗 嘛 将 你 您 它 是 和 到 为 成 有 就 都 也 再 还 得 地"
)
"""Words that carry little: they may be too many, or heard as each other."""

FILLERS = _set(
    "um uh er erm ah oh eh hm well so like okay ok right please just now then hey yeah actually maybe kindly really"
    " 嗯 呃 哦 啊 吧 呢 呀 哎 喂"
)
"""What people say while they think; it may be too much at hardly any cost."""
