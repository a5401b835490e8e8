"""A box in two languages: each utterance is understood, answered, remembered and rung for in its own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from agentbox.asr.engine import NO_HINTS, Capabilities, Hints, Recognition, Samples
from agentbox.asr.listener import Listener
from agentbox.audio.files import read_file
from agentbox.config import Asr, Config, Intents, Speech, Tools
from agentbox.daemon.activation import Opened
from agentbox.daemon.core import Core, open_core
from agentbox.daemon.events import Events
from agentbox.daemon.mind import load_tools, make_understander
from agentbox.daemon.voices import speech_in
from agentbox.messages import Reply, StageEvent, Transcript
from agentbox.paths import database
from agentbox.settings import Loaded
from agentbox.tools.timers.ringer import Ringer
from tests.daemon.conftest import SAMPLE, Home
from tests.daemon.test_turn import heard

BOTH = Asr(language="en", other_languages=["zh"])


@pytest_asyncio.fixture
async def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Core]:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    config = Config(asr=BOTH, tools=Tools(policy={"clear_list": {"cli": "confirm"}}))
    async with open_core(Loaded(config, None, None, {}), Events(), services=False) as core:
        yield core


async def said(core: Core, text: str) -> tuple[str, str]:
    reply = await core.ask(text)
    assert reply is not None
    return reply.language, reply.text


async def test_each_utterance_is_answered_in_its_language(box: Core) -> None:
    assert await said(box, "set a timer for five minutes") == ("en", "Timer set for 5 minutes.")
    assert await said(box, "定一个十分钟的计时器") == ("zh-CN", "好的，计时10分钟。")
    assert await said(box, "设一个 ten 分钟的 pizza timer") == ("zh-CN", "Pizza计时器，10分钟，已开始。")
    assert (await said(box, "add 牛奶 to my shopping list")) == ("en", "Added 牛奶 to your shopping list.")
    assert (await said(box, "什么牛头不对马嘴"))[0] == "zh-CN"
    assert (await said(box, "colourless green ideas sleep"))[0] == "en"


async def test_a_name_misheard_is_put_right_in_two_languages_too(box: Core) -> None:
    assert await said(box, "add milk to my shipping list") == ("en", "Added milk to your shopping list.")


async def test_a_question_is_answered_in_its_language_or_another(box: Core) -> None:
    assert await said(box, "设一个计时器") == ("zh-CN", "要计时多久？")
    assert (await said(box, "十分钟")) == ("zh-CN", "好的，计时10分钟。")
    assert (await said(box, "设一个 timer"))[1] == "要计时多久？"
    assert (await said(box, "ten minutes")) == ("zh-CN", "好的，计时10分钟。")
    assert (await said(box, "set a timer"))[1] == "For how long?"
    assert (await said(box, "十分钟")) == ("zh-CN", "好的，计时10分钟。")


async def test_what_only_the_letters_of_neither_language_tell_is_meant_as_the_question_was(box: Core) -> None:
    await said(box, "把牛奶加到购物清单")
    assert (await said(box, "清空购物清单"))[0] == "zh-CN"
    language, _ = await said(box, "OK")
    assert language == "zh-CN"
    await said(box, "add milk to my shopping list")
    assert (await said(box, "clear my shopping list"))[0] == "en"
    assert (await said(box, "OK"))[0] == "en"


async def test_what_is_said_again_is_said_in_its_language(box: Core) -> None:
    assert (await said(box, "what time is it"))[0] == "en"
    language, text = await said(box, "再说一遍")
    assert (language, text.startswith("It is")) == ("en", True)


async def test_what_an_engine_heard_counts_for_more_than_letters(box: Core) -> None:
    seen: list[StageEvent] = []
    box.events.subscribe(seen.append)
    for text, language, answered in [
        ("现在几点", "zh", "zh-CN"),
        ("what time is it", "en", "en"),
        # Models take a short word for another language now and then: its letters show that it is none of that.
        ("现在几点", "en", "zh-CN"),
        ("what time is it", "ja", "en"),
    ]:
        async with box.turn_lock:
            reply = await box.turns.heard(heard(Recognition(text, language=language)))
        assert reply is not None
        assert (reply.language, reply.outcome) == (answered, "done"), text


async def test_a_sound_is_held_to_sentences_of_a_language_that_the_model_knows(box: Core) -> None:
    """Whatever the typed question was in that it may answer."""
    assert [(one.language, one.heard) for one in box.attention.talk.mind.tongues] == [("en", True), ("zh-CN", False)]
    assert await said(box, "设一个计时器") == ("zh-CN", "要计时多久？")
    asked = box.attention.asking("always")(Recognition("10"))
    assert asked is not None
    assert asked.grammar.language == "en"


async def test_what_a_model_knows_is_asked_anew_with_another_model(box: Core, tmp_path: Path) -> None:
    config = Config(asr=Asr(language="en", other_languages=["zh"], model=str(tmp_path / "a-folder-of-ones-own")))
    await box.reload(Loaded(config, None, None, {}))
    assert [one.heard for one in box.attention.talk.mind.tongues] == [True, True]


async def test_the_journal_keeps_the_language(box: Core) -> None:
    await said(box, "现在几点")
    await said(box, "what time is it")
    await asyncio.to_thread(box.journal.settle)
    with sqlite3.connect(database(box.config)) as db:
        assert db.execute("SELECT language FROM intents ORDER BY rowid").fetchall() == [("zh-CN",), ("en",)]
        assert db.execute("SELECT language FROM replies ORDER BY id").fetchall() == [("zh-CN",), ("en",)]


async def test_a_timer_rings_in_the_language_that_it_was_set_in(box: Core) -> None:
    rung: list[Reply] = []
    box.events.subscribe(lambda event: rung.append(event.message) if isinstance(event.message, Reply) else None)
    await said(box, "set an egg timer for five minutes")
    await said(box, "设一个一分钟的面条计时器")
    ringer = box.attention.talk.mind.runner.service(Ringer)
    rung.clear()
    now = ringer.now()
    ringer.ring(now._replace(elapsed_s=now.elapsed_s + 301, wall=now.wall))
    await asyncio.sleep(0)
    assert sorted((reply.language, "面条" in reply.text, "egg" in reply.text.lower()) for reply in rung) == [
        ("", False, True),
        ("zh-CN", True, False),
    ]


async def test_what_was_set_in_a_language_that_the_box_has_unlearnt_rings_in_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    async with open_core(Loaded(Config(asr=BOTH), None, None, {}), Events(), services=False) as core:
        await said(core, "设一个一分钟的计时器")
    rung: list[Reply] = []
    async with open_core(Loaded(Config(), None, None, {}), Events(), services=False) as core:
        core.events.subscribe(lambda event: rung.append(event.message) if isinstance(event.message, Reply) else None)
        ringer = core.attention.talk.mind.runner.service(Ringer)
        now = ringer.now()
        ringer.ring(now._replace(elapsed_s=now.elapsed_s + 61))
        await asyncio.sleep(0)
    [alert] = rung
    assert (alert.language, "1 minute" in alert.text) == ("", True)


async def test_a_file_of_sentences_is_its_languages_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    files = []
    for name, text in {
        "zh.yaml": "language: zh-CN\nintents: { HassNevermind: { data: [{ sentences: [不玩了] }] } }",
        "en.yaml": "language: en\nintents: { HassNevermind: { data: [{ sentences: [forget the game] }] } }",
        "none.yaml": "intents: { HassNevermind: { data: [{ sentences: [drop the game] }] } }",
        "de.yaml": "language: de\nintents: { HassNevermind: { data: [{ sentences: [lass das Spiel] }] } }",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        files.append(str(tmp_path / name))
    config = Config(asr=BOTH, intents=Intents(sentences=files))
    async with open_core(Loaded(config, None, None, {}), Events(), services=False) as core:
        english, chinese = core.attention.talk.mind.tongues
        assert english.understander.read("forget the game") is not None
        assert english.understander.read("drop the game") is not None
        assert chinese.understander.read("不玩了") is not None
        assert chinese.understander.read("drop the game") is None
        problems = [problem for one in (english, chinese) for problem in one.understander.problems]
        assert [(problem.code, "de.yaml" in problem.what) for problem in problems] == [("sentences_language", True)]


def test_a_file_in_another_language_that_was_asked_for_is_told_and_not_only_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    file = tmp_path / "zh.yaml"
    file.write_text("language: zh\nintents: { HassNevermind: { data: [{ sentences: [不玩了] }] } }", encoding="utf-8")
    config = Config(asr=BOTH, intents=Intents(builtin=False))
    english = make_understander(config, load_tools(config), extra_files=[file])
    assert [problem.code for problem in english.problems] == ["sentences_language"]


async def test_a_sentence_in_the_letters_of_another_language_is_found_where_no_other_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    (tmp_path / "mine.yaml").write_text(
        "intents: { HassGetCurrentTime: { data: [{ sentences: [movie time, what time is it] }] } }"
    )
    asr = Asr(language="zh", other_languages=["en"])
    config = Config(asr=asr, intents=Intents(sentences=[str(tmp_path / "mine.yaml")]))
    async with open_core(Loaded(config, None, None, {}), Events(), services=False) as core:
        understand = core.attention.understand
        heard_as_none = Recognition("movie time", constrain_ms=1.0, sentences_in="en")
        for recognition, text, language in [
            (None, "movie time", "zh-CN"),
            (heard_as_none, "movie time", "zh-CN"),
            (None, "what time is it", "en"),
        ]:
            decision = understand(recognition, Opened("always", text), "turn")
            assert (decision.outcome, decision.language) == ("act", language)
        assert understand(None, Opened("always", "colourless green ideas"), "turn").outcome == "none"


async def test_one_language_loads_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    async with open_core(Loaded(Config(), None, None, {}), Events(), services=False) as core:
        assert [tongue.language for tongue in core.attention.talk.mind.tongues] == ["en"]
        reply = await core.ask("现在几点")
        assert reply is not None
        assert (reply.outcome, reply.language) == ("not_understood", "en")


class Bilingual:
    """An engine's double, for what it is told alone."""

    name = "double"
    capabilities = Capabilities(("zh", "en"), streaming=False, token_scores=False)

    def __init__(self) -> None:
        self.told: list[tuple[str, Hints]] = []

    def transcribe(
        self,
        samples: Samples,
        *,
        language: str,
        speech_ms: int | None = None,
        abort: Callable[[], bool] | None = None,
        hints: Hints = NO_HINTS,
        partial: Callable[[str], None] | None = None,
    ) -> Recognition:
        self.told.append((language, hints))
        return Recognition("现在几点", language="zh")

    def rest(self) -> None: ...


@pytest.mark.parametrize(
    ("languages", "told"),
    [
        (("en",), ("en", NO_HINTS)),
        (("en", "zh-CN"), ("und", Hints(languages=("en", "zh-CN")))),
        (("en", "de"), ("en", NO_HINTS)),
    ],
)
def test_an_engine_is_told_what_may_be_spoken_as_far_as_it_knows_that(
    languages: tuple[str, ...], told: tuple[str, Hints]
) -> None:
    engine = Bilingual()
    Listener(engine, languages=languages).hear(np.zeros(16_000, np.float32), language="en")
    assert engine.told == [told]


def test_by_sound_with_a_model_of_one_language_nothing_changes(home: Home, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "three.wav", np.concatenate(list(read_file(SAMPLE)))[: 16000 * 14], 16000)
    asr = {"models_dir": str(home.models_dir), "other_languages": ["zh"]}
    home.configure({"activation": {"mode": "always"}, "asr": asr})
    events = home.hear(tmp_path / "three.wav")
    told = [event["message"] for event in events if event["message"]]
    assert {one["language"] for one in told if one["type"] in ("Transcript", "Intent")} == {"en"}
    assert [one["name"] for one in told if one["type"] == "Intent"][:3] == [
        "HassGetCurrentTime",
        "HassStartTimer",
        "AgentboxSetReminder",
    ]
    notices = [one for one in told if one["type"] == "Notice"]
    assert ("model_language", "info") in [(one["code"], one["level"]) for one in notices]
    # What is typed meanwhile is Chinese as ever.
    assert home.json("ask", "现在几点")[0]["language"] == "zh-CN"


def test_a_voice_chosen_for_one_language_is_not_asked_for_another() -> None:
    own = Speech(voice="piper", piper_voice="/voices/en.onnx", pace=1.2)
    config = Config(asr=BOTH, speech=own)
    assert speech_in(config, "en") is own
    assert speech_in(config, "zh-CN") == Speech(voice="auto", pace=1.2)


def test_the_transcript_message_and_the_wake_phrases_follow_the_languages() -> None:
    config = Config(asr=BOTH)
    assert config.languages == ("en", "zh-CN")
    assert config.phrases == ["hey computer", "你好小盒"]
    assert config.in_language("zh").languages == ("zh-CN",)
    assert json.dumps(Transcript.__struct_fields__).count("language") == 1


def test_a_language_counts_once() -> None:
    assert Config(asr=Asr(language="zh", other_languages=["en", "zh-CN"])).languages == ("zh-CN", "en")
    with pytest.raises(ValueError, match="zh stands twice"):
        Asr(language="en", other_languages=["zh", "zh-TW"])
