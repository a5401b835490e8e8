"""Names put right by the default model in a synthetic voice's speech, and everything else left as it is."""

from __future__ import annotations

import numpy as np
import pytest

from agentbox.asr.engine import NO_HINTS, Capabilities, Correction, Hints, Recognition, Samples
from agentbox.asr.hotwords.correct import corrected_by_text, in_candidates
from agentbox.asr.hotwords.index import MOST, HotwordIndex
from agentbox.asr.hotwords.scoring import logprobs_by_character
from agentbox.asr.hotwords.step_scorer import StepScorer
from agentbox.asr.listener import Listener, Sentences
from agentbox.asr.moonshine import Moonshine
from agentbox.errors import ModelError
from agentbox.speech_grammar import Arc, Candidate, Free, Rule, Say, SpeechGrammar
from benchmarks.voices import Voice, load_voice, pad

NAMES = ("Quintanilla", "Agostino", "Koivula", "Felisa Alberola", "Miro Lindfors", "Goudriaan", "Simone Backlund")
OTHERS = ("Whitehouse", "Kersti Tuomi", "Maddalena Salamanca", "Claire", "Zacco", "Akdeniz", "Colin Chandler")


@pytest.fixture(scope="module")
def voice() -> Voice:
    return load_voice("hibari")


@pytest.fixture
def listener(engine: Moonshine) -> Listener:
    listener = Listener(engine)
    listener.names.hotwords = HotwordIndex([*NAMES, *OTHERS])
    return listener


def hear(listener: Listener, voice: Voice, text: str, **more: object) -> Recognition:
    return listener.hear(pad(voice(text)), language="en", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_written_as_the_owner_writes_it(listener: Listener, voice: Voice, name: str) -> None:
    text = f"Is {name} coming to dinner on Friday?"
    plain = hear(listener, voice, text, names=False)
    assert name not in plain.text
    assert plain.hotwords_ms is None
    named = hear(listener, voice, text)
    assert named.text == text
    assert [one.meant for one in named.corrections] == [name]
    assert named.text.replace(name, named.corrections[0].heard) == plain.text
    assert named.tokens == plain.tokens
    assert named.hotwords_ms is not None


@pytest.mark.parametrize(
    "text",
    ["Set a timer for ten minutes.", "Will it rain tomorrow afternoon?", "Clear the table."],
)
def test_what_is_no_name_stays_as_it_is(listener: Listener, voice: Voice, text: str) -> None:
    plain = hear(listener, voice, text, names=False)
    named = hear(listener, voice, text)
    assert named.text == plain.text
    assert named.corrections == ()


def test_without_names_nothing_is_looked_for(engine: Moonshine, voice: Voice) -> None:
    for hotwords in (None, HotwordIndex([])):
        listener = Listener(engine)
        listener.names.hotwords = hotwords
        assert hear(listener, voice, "Who is Agostino?").hotwords_ms is None


def free_after(*words: str) -> SpeechGrammar:
    """One sentence: these words and free text."""
    arcs = [Arc(0 if at == 0 else at + 1, at + 2, Say(word, (word,))) for at, word in enumerate(words)]
    arcs.append(Arc(len(words) + 1, 1, Free()))
    return SpeechGrammar("en", True, {"call": Rule(tuple(arcs))}, ("call",))


def test_the_free_text_of_a_sentence_holds_the_name_too(listener: Listener, voice: Voice) -> None:
    grammar = free_after("please", "call")
    named = hear(listener, voice, "Please call Miro Lindfors.", ask=lambda _: Sentences(grammar, ("call",)))
    assert named.free is not None
    assert "Miro Lindfors" in named.free.text
    right = [one for one in named.candidates if "Miro Lindfors" in one.readings[0]]
    assert right
    assert "Miro Lindfors" not in right[0].readings[-1], "the reading that decoding found stays behind it"


def test_where_the_words_are_not_for_the_box_no_name_is_looked_for(listener: Listener, voice: Voice) -> None:
    heard = hear(listener, voice, "Who is Agostino?", ask=lambda _: None)
    assert heard.corrections == ()
    assert heard.hotwords_ms is None


def test_a_wake_phrase_is_never_taken_for_a_name(listener: Listener, voice: Voice) -> None:
    grammar = free_after("who", "is")
    listener.names.hotwords = HotwordIndex([*NAMES, "Hej Compiuta"])
    text = "Hey computer, who is Agostino?"
    plain = hear(listener, voice, text, names=False)
    after = plain.text.lower().index("computer") + len("computer, ")
    named = hear(listener, voice, text, ask=lambda _: Sentences(grammar, ("call",), after))
    assert named.text.startswith(plain.text[:after])
    assert [one.meant for one in named.corrections] == ["Agostino"]


def test_what_is_scored_is_what_the_model_holds_likely(engine: Moonshine, voice: Voice) -> None:
    """The reading's own words gain nothing, others lose, and what falls behind too far is given up."""
    read, encoding = engine.listen(pad(voice("Set a timer for ten minutes.")))
    assert encoding is not None
    texts = [read.text, read.text.replace("timer", "time or"), read.text.replace("timer", "hippopotamus")]
    scorer = StepScorer(engine)
    same, near, far = scorer.gains(encoding, read, texts, [-100.0] * 3)
    assert same == pytest.approx(0.0, abs=1e-3)
    assert far < near < -1.0
    # One text alone has the score that it has among others.
    assert scorer.gains(encoding, read, texts[1:2], [-100.0])[0] == pytest.approx(near, abs=0.05)
    assert scorer.gains(encoding, read, texts[1:], [-100.0, -5.0])[1] == -np.inf
    assert scorer.gains(encoding, read, texts[1:], [-0.1, -0.1]) == [-np.inf, -np.inf]
    assert scorer.gains(encoding, read, [], []) == []


def test_every_character_has_the_figure_of_its_token(engine: Moonshine, voice: Voice) -> None:
    read, _ = engine.listen(pad(voice("Who is Agostino?")))
    figures = logprobs_by_character(read, engine.spell)
    assert len(figures) == len(read.text)
    assert figures[0] == read.token_logprobs[0]
    assert figures[-1] == read.token_logprobs[-1]


class ToldEngine:
    """An engine that is told names: it writes what it was given for these names, and keeps what it was told."""

    name = "told"

    def __init__(self, text: str, *, takes_hotwords: bool, again: str = "") -> None:
        self.capabilities = Capabilities((), streaming=False, token_scores=False, takes_hotwords=takes_hotwords)
        self.told: list[tuple[str, ...]] = []
        self._texts = (text, again)

    def transcribe(self, samples: Samples, *, hints: Hints = NO_HINTS, **_: object) -> Recognition:
        self.told.append(hints.hotwords)
        return Recognition(self._texts[bool(hints.hotwords)], decode_ms=7.0 if hints.hotwords else 5.0)

    def rest(self) -> None: ...


SILENCE: Samples = np.zeros(16_000, dtype=np.float32)


def test_an_engine_that_takes_names_is_told_the_ten_that_are_nearest() -> None:
    engine = ToldEngine("打电话给章威", takes_hotwords=True, again="打电话给张伟")
    listener = Listener(engine)
    listener.names.hotwords = HotwordIndex(["张伟", *(f"王{one}" for one in "一二三四五六七八九十"), "客厅"])
    heard = listener.hear(SILENCE, language="zh-CN")
    assert heard.text == "打电话给张伟"
    assert heard.decode_ms == 5.0, "the second reading counts as time for names"
    first, second = engine.told
    assert first == ()
    assert second[0] == "张伟"
    assert len(second) <= MOST


def test_it_is_not_asked_twice_where_no_name_is_near_and_keeps_what_it_read_where_it_falls_silent() -> None:
    engine = ToldEngine("今天天气怎么样", takes_hotwords=True)
    listener = Listener(engine)
    listener.names.hotwords = HotwordIndex(["陈思诚"])
    assert listener.hear(SILENCE, language="zh-CN").text == "今天天气怎么样"
    assert len(engine.told) == 1
    engine = ToldEngine("打电话给陈思诚", takes_hotwords=True, again="打电话给程诗城")
    listener.engine = engine
    assert listener.hear(SILENCE, language="zh-CN").text == "打电话给陈思诚", "it is written right already"
    assert len(engine.told) == 1
    engine = ToldEngine("打电话给程诗城", takes_hotwords=True, again="")
    listener.engine = engine
    assert listener.hear(SILENCE, language="zh-CN").text == "打电话给程诗城"
    assert len(engine.told) == 2


def test_the_name_for_which_it_reads_again_is_told_however_many_are_nearer() -> None:
    short = ["Anna", "Hannah", "Ama", "Una", "Onna", "Ona", "Ina", "Ena", "Enna", "Inna", "Anne", "Hanna"]
    engine = ToldEngine("Tell Ana that Shevon Casually came", takes_hotwords=True, again="Tell Anna that")
    listener = Listener(engine)
    listener.names.hotwords = HotwordIndex([*short, "Siobhan Casserly"])
    listener.hear(SILENCE, language="en")
    assert engine.told[1][0] == "Siobhan Casserly"
    assert "Anna" in engine.told[1]
    assert len(engine.told[1]) == MOST


def test_a_short_name_that_sounds_just_like_what_it_read_is_worth_another_reading() -> None:
    engine = ToldEngine("Call Ana now.", takes_hotwords=True, again="Call Anna now.")
    listener = Listener(engine)
    listener.names.hotwords = HotwordIndex(["Anna"])
    assert listener.hear(SILENCE, language="en").text == "Call Anna now."


def test_it_is_not_asked_twice_for_a_name_that_is_hardly_like_what_it_read() -> None:
    engine = ToldEngine("Set a timer for ten minutes.", takes_hotwords=True, again="Set Akdeniz a timer.")
    listener = Listener(engine)
    listener.names.hotwords = HotwordIndex([*NAMES, *OTHERS])
    assert listener.names.hotwords.near("Set a timer for ten minutes."), "one is a little like it"
    assert listener.hear(SILENCE, language="en").text == "Set a timer for ten minutes."
    assert len(engine.told) == 1


def test_what_was_read_is_not_lost_where_it_cannot_be_read_again() -> None:
    class Weak(ToldEngine):
        def transcribe(self, samples: Samples, *, hints: Hints = NO_HINTS, **more: object) -> Recognition:
            if hints.hotwords:
                raise ModelError("model_failed", "what", "todo")
            return super().transcribe(samples, hints=hints, **more)

    listener = Listener(Weak("打电话给程诗城", takes_hotwords=True))
    listener.names.hotwords = HotwordIndex(["陈思诚"])
    assert listener.hear(SILENCE, language="zh-CN").text == "打电话给程诗城"


def test_nobody_asks_what_words_mean_where_there_are_no_names_to_put_right() -> None:
    asked = list[str]()

    def ask(read: Recognition) -> None:
        asked.append(read.text)

    for hotwords in (None, HotwordIndex([]), HotwordIndex(["陈思诚"])):
        listener = Listener(ToldEngine("打电话给程诗城", takes_hotwords=False))
        listener.names.hotwords = hotwords
        listener.hear(SILENCE, language="zh-CN", ask=ask)
    assert asked == ["打电话给程诗城"]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("打电话给程思成", "打电话给陈思诚"),
        ("打开玉石加湿气", "打开浴室加湿器"),
        ("程功了", "程功了"),  # of two syllables every other word is one: 成功 is no name
        ("浴室在哪里", "浴室在哪里"),
        ("Is Felissa Alberolla coming?", "Is Felisa Alberola coming?"),
        ("Felisa and Alberto are coming.", "Felisa and Alberto are coming."),
        ("A table at Macdonald's Garden's door", "A table at McDonald's Garden's door"),
        ("A table at McDonald's Garden", "A table at McDonald's Garden"),
        ("Is Maximiliana there?", "Is Maximilian there?"),
        ("Is Maximiliana's car there?", "Is Maximilian's car there?"),
        ("Dinner at Castagnolli's?", "Dinner at Castagnoli's?"),
        ("Dinner at Castagnolli’s?", "Dinner at Castagnoli's?"),
        ("Dinner at Castagnoli's?", "Dinner at Castagnoli's?"),
        ("Dinner at Castagnolli?", "Dinner at Castagnoli's?"),
    ],
)
def test_an_engine_that_takes_none_is_only_put_right_where_a_long_name_sounds_just_so(text: str, right: str) -> None:
    listener = Listener(ToldEngine(text, takes_hotwords=False))
    listener.names.hotwords = HotwordIndex(
        ["陈思诚", "浴室加湿器", "成功", "Felisa Alberola", "McDonald's Garden", "Maximilian", "Castagnoli's"]
    )
    assert listener.hear(SILENCE, language="zh-CN").text == right


def test_a_name_that_stands_there_is_not_put_right_to_another_one() -> None:
    hotwords = HotwordIndex(["欧阳石文", "欧阳诗雯", "石文"])
    for text in ("请欧阳石文过来", "请欧阳诗雯过来"):
        assert corrected_by_text(hotwords, Recognition(text)).text == text
    assert corrected_by_text(hotwords, Recognition("请欧洋石文过来")).text == "请欧阳石文过来"


def test_two_names_in_one_sentence_are_both_put_right() -> None:
    hotwords = HotwordIndex(["陈思诚", "石文斌", "欧阳石文"])
    put_right = corrected_by_text(hotwords, Recognition("请程思成和石文宾过来"))
    assert put_right.text == "请陈思诚和石文斌过来"
    assert put_right.corrections == (Correction("程思成", "陈思诚", 1), Correction("石文宾", "石文斌", 5))


def test_only_whole_words_of_a_reading_are_put_right() -> None:
    candidate = Candidate(("call perc", "call percy"), "Call perc", -1.0, -1.0, 3)
    [made] = in_candidates([candidate], [Correction("Perc", "Perck \\1", 0)])
    assert made.readings == ("call Perck \\1", "call percy", "call perc")
    assert in_candidates([candidate], []) == (candidate,)
