"""What Fun-ASR-Nano is told before the sound: the chat of Qwen, and in it the task in the words it was trained with.

The wording is FunASR's (funasr/models/fun_asr_nano/model.py, get_prompt); what was said before stands where
transformers' chat template for this model puts it, above the hotwords.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentbox.asr.bpe import Bpe
from agentbox.asr.engine import Hints

MOST_HOTWORDS = 10
"""The model's authors advise no more; each one also takes time, and may be heard where nobody said it."""

_MOST_LETTERS = 40
"""Of one hotword: a name, no sentence."""

_MOST_LETTERS_BEFORE = 100
"""Of what was said before, its end."""

_SYSTEM = "You are a helpful assistant."
_CONTEXT = "请结合上下文信息，更加准确地完成语音转写任务。如果没有相关信息，我们会留空。\n\n\n**上下文信息：**\n\n\n"

_LANGUAGES = {
    "ar": "阿拉伯语",
    "bg": "保加利亚语",
    "cs": "捷克语",
    "da": "丹麦语",
    "el": "希腊语",
    "en": "英文",
    "et": "爱沙尼亚语",
    "fi": "芬兰语",
    "fil": "菲律宾语",
    "ga": "爱尔兰语",
    "hi": "印地语",
    "hr": "克罗地亚语",
    "hu": "匈牙利语",
    "id": "印尼语",
    "ja": "日文",
    "ko": "韩文",
    "lt": "立陶宛语",
    "lv": "拉脱维亚语",
    "ms": "马来语",
    "mt": "马耳他语",
    "nl": "荷兰语",
    "pl": "波兰语",
    "pt": "葡萄牙语",
    "ro": "罗马尼亚语",
    "sk": "斯洛伐克语",
    "sl": "斯洛文尼亚语",
    "sv": "瑞典语",
    "th": "泰语",
    "vi": "越南语",
    "yue": "粤语",
    "zh": "中文",
}
"""The languages of Fun-ASR-Nano (Chinese, English, Japanese) and of Fun-ASR-MLT-Nano, as its README names them."""

_START, _END = "<|im_start|>", "<|im_end|>"
_ENDS = (_END, "<|endoftext|>")


def user_prompt(language: str, hints: Hints, *, itn: bool = True) -> str:
    """The task. `language`: BCP-47; one that the model has no word for is left to its ears, and so
    is which it is of several in `hints.languages`. `itn`: numbers, dates and
    the like are to be written as such; else as they are spoken."""
    words = [word for one in hints.hotwords[:MOST_HOTWORDS] if (word := _line(one)[:_MOST_LETTERS])]
    before = _line(hints.before)[-_MOST_LETTERS_BEFORE:]
    prompt = _CONTEXT if words or before else ""
    prompt += f"{before}\n" if before else ""
    prompt += f"热词列表：[{', '.join(words)}]\n" if words else ""
    named = _LANGUAGES.get(language.split("-")[0].lower()) if len(hints.languages) < 2 else None
    prompt += f"语音转写成{named}" if named else "语音转写"
    return prompt + ("：" if itn else "，不进行文本规整：")


def _line(text: str) -> str:
    """As one line."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


@dataclass(frozen=True, slots=True)
class Chat:
    """The chat around the task and the sound, as tokens."""

    head: tuple[int, ...]
    """What every prompt begins with. Then come the task, the rows of the sound, and `tail`."""
    tail: tuple[int, ...]
    end: int
    """Ends what is said in the chat."""
    ends: frozenset[int]
    """The tokens that end the answer: this one, and the end of everything."""

    @classmethod
    def of(cls, table: Bpe) -> Chat:
        """Raises `KeyError` where `table` has no such marks: another model's."""
        start, end = table.special[_START], table.special[_END]
        line = table.encode("\n")
        head = [start, *table.encode(f"system\n{_SYSTEM}"), end, *line, start, *table.encode("user\n")]
        tail = [end, *line, start, *table.encode("assistant\n")]
        return cls(tuple(head), tuple(tail), end, frozenset(table.special[mark] for mark in _ENDS))
