"""The Qwen tokenizer against the one in Alibaba's own SDK, which has the real token table."""

from __future__ import annotations

import itertools
import random
import unicodedata
from importlib.resources import files
from pathlib import Path

import pytest
import tiktoken
from dashscope.tokenizers import qwen_tokenizer
from hypothesis import example, given
from hypothesis import strategies as st

from agentbox.asr.bpe import Bpe, TextSoFar
from agentbox.asr.engine import Hints
from agentbox.asr.nano_prompt import MOST_HOTWORDS, Chat, user_prompt
from agentbox.errors import ModelError
from benchmarks import qwen_table
from tests.asr.nano_models import MERGED, small_tokenizer

TEXTS = [
    "请结合上下文信息，更加准确地完成语音转写任务。如果没有相关信息，我们会留空。\n\n\n**上下文信息：**\n\n\n",
    "热词列表：[张三丰, Living Room, O'Neill's, ひらがな, 한국어, ไทย, Ёлка]\n语音转写成中文，不进行文本规整：",
    "system\nYou are a helpful assistant.",
    "user\n",
    "assistant\n",
    "打开 living room 的灯 at 7:30  pm\t\r\n I'LL DON'T ſ 'ſ e\u0301 ½ Ⅷ ² _a_b  \u3000\u2003x\x1cy\u0085 😀👨‍👩‍👧",
    "<|im_end|>",
    "",
]
_WORDS = [word for text in TEXTS for word in text.split(" ")]
_DRAW = random.Random(5)
TEXTS += [" ".join(_DRAW.sample(_WORDS, 6)) for _ in range(30)]


def table_of(tokens: list[bytes], text: bytes | None = None) -> Bpe:
    """A tokenizer with all `tokens`, and the merges that can be met in `text`, or all."""
    pieces, merges = qwen_table.spelt(tokens, text)
    return Bpe({piece: number for number, piece in enumerate(pieces)}, merges, qwen_table.MARKS)


@pytest.fixture(scope="module")
def real() -> Bpe:
    """The whole table, with the merges that can be met in `TEXTS`: to work out all of them takes long."""
    return table_of(qwen_table.tokens(), "\n".join(unicodedata.normalize("NFC", text) for text in TEXTS).encode())


def test_the_real_table(real: Bpe) -> None:
    file = str(files("dashscope") / "resources" / "qwen.tiktoken")
    oracle = qwen_tokenizer.QwenTokenizer(file)  # type: ignore[no-untyped-call]
    for text in TEXTS:
        tokens = real.encode(text)
        assert tokens == oracle.encode(unicodedata.normalize("NFC", text), allowed_special=set(), disallowed_special=())
        assert real.decode(tokens) == unicodedata.normalize("NFC", text)
    assert len(real) == 151646


def test_the_prompt(real: Bpe) -> None:
    """The 18 tokens before the sound and the 5 after it."""
    chat = Chat.of(real)
    head = [151644, 8948, 198, 2610, 525, 264, 10950, 17847, 13, 151645, 198, 151644, 872, 198]
    assert [*chat.head, *real.encode(user_prompt("", Hints()))] == [*head, 105761, 46670, 61443, 5122]
    assert list(chat.tail) == [151645, 198, 151644, 77091, 198]
    assert chat.ends == {151643, 151645}
    task = [105761, 46670, 61443, 12857, 104811, 3837, 16530, 71817, 108704, 74386, 63431, 5122]
    assert real.encode(user_prompt("zh-CN", Hints(), itn=False)) == task


SMALL = qwen_table.tokens()[:3000]
SMALL_ORACLE = tiktoken.Encoding(
    "small",
    pat_str=qwen_tokenizer.PAT_STR,
    mergeable_ranks={token: number for number, token in enumerate(SMALL)},
    special_tokens={},
)
SMALL_TABLE = table_of(SMALL)


@given(
    st.text(
        st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("abstvmrel'SLD  \n\r\t.,，")), max_size=40
    )
)
@example("'s'ſ'LL'd")
def test_any_text(text: str) -> None:
    """Letters that Unicode took up lately may be unknown to one of the two: all others are cut alike."""
    text = "".join(letter for letter in text if unicodedata.category(letter) != "Cn")
    tokens = SMALL_TABLE.encode(text)
    assert tokens == SMALL_ORACLE.encode_ordinary(unicodedata.normalize("NFC", text))
    assert SMALL_TABLE.decode(tokens) == unicodedata.normalize("NFC", text)


@given(st.lists(st.integers(-1, 3010)))
def test_any_tokens_have_a_text(tokens: list[int]) -> None:
    known = [token for token in tokens if 0 <= token < len(SMALL)]
    assert SMALL_TABLE.decode(tokens) == b"".join(SMALL[token] for token in known).decode("utf-8", "replace")


@given(st.text(max_size=12))
def test_a_letter_is_told_when_it_is_whole(text: str) -> None:
    so_far = TextSoFar(SMALL_TABLE)
    told = [so_far.text for token in SMALL_TABLE.encode(text) if so_far.add(token)]
    assert all("\ufffd" not in one for one in told) or "\ufffd" in text
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(told))
    assert so_far.text == unicodedata.normalize("NFC", text)


def test_hotwords_in_the_prompt() -> None:
    many = tuple(f"名字{number}" for number in range(20))
    prompt = user_prompt("en-GB", Hints(hotwords=("", " \n", *many)))
    assert f"热词列表：[{', '.join(many[: MOST_HOTWORDS - 2])}]\n语音转写成英文：" in prompt
    lines = user_prompt("", Hints(hotwords=("a\nb\u2028<c>" + "x" * 100,), before="他 说：\n" + "好" * 200)).split("\n")
    assert lines[-2] == f"热词列表：[a b <c>{'x' * 33}]"
    assert lines[-3] == "好" * 100
    assert user_prompt("tlh", Hints(before="好")).endswith("\n好\n语音转写：")


def test_marks_in_a_hotword_are_text(real: Bpe) -> None:
    assert not set(real.encode("<|im_end|><|endoftext|>")) & set(qwen_table.MARKS.values())


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 7}', b"\xff\xfe", b"a b c\n", b"zz yy\n"])
def test_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    small_tokenizer(tmp_path)
    assert Bpe.read(tmp_path).encode(MERGED[0]) == [258 - 1]
    if name == "merges.txt" and content == b"":
        return  # a table of bytes alone
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError) as damaged:
        Bpe.read(tmp_path)
    assert damaged.value.code == "model_damaged"
