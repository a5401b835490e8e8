"""The Whisper engine's rules, guards, hints and windows, on small models; what is said to be so of openai/whisper is
worked out anew here, token by token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentbox.asr.engine import Aborted, Hints
from agentbox.asr.features import Features
from agentbox.asr.load import load_engine
from agentbox.asr.log_mel import log_mel
from agentbox.asr.whisper import Whisper
from agentbox.asr.whisper_graphs import Cache
from agentbox.asr.whisper_prompt import prompt_of
from agentbox.asr.whisper_tokens import Vocabulary
from agentbox.asr.whisper_windows import times_of, windows
from agentbox.errors import InputError
from tests.asr.test_whisper import UNTOLD, opened, sound
from tests.asr.whisper_models import (
    END,
    FIRST_TIME,
    MARKS,
    PIECES,
    SIZE,
    START,
    Model,
    letters,
    random_model,
    scripted_model,
    write_model,
)

EN, TRANSCRIBE, NO_TIMES, PREVIOUS = (
    MARKS[f"<|{name}|>"] for name in ("en", "transcribe", "notimestamps", "startofprev")
)
SUPPRESSED = [3, 15, 200, 210, 48]
"""Of tokens that the random models like to write."""


def may_follow(token: int, said: list[int], *, times: bool, latest_first: int) -> bool:
    """One token at a time, in words: is it allowed?"""
    if token in SUPPRESSED or (END < token < FIRST_TIME) or (not said and token in (END, 7)):
        return False
    if not times:
        return token < FIRST_TIME
    is_time = token >= FIRST_TIME
    if not said:
        return is_time and token - FIRST_TIME <= latest_first
    earlier = [one for one in said if one >= FIRST_TIME]
    opens = len([one for one in said if one >= FIRST_TIME]) % 2 == 1
    if said[-1] >= FIRST_TIME:
        if opens and is_time:
            return False  # a stretch has only begun
        if not opens and token < END:
            return False  # a stretch has ended: the next begins, or all ends
    if is_time and earlier:
        begins = said[-1] >= FIRST_TIME and not opens
        return token >= earlier[-1] if begins else token > earlier[-1]
    return True


def plain(model: Model, clip: NDArray[np.float32], first: list[int], *, times: bool) -> list[int]:
    """What the model says, greedily, without a cache."""
    hidden = model.encode(log_mel(clip))
    said: list[int] = []
    while len(said) < 200:
        scores = model.logits([*first, *said], hidden)[-1].astype(np.float64)
        shares = np.exp(scores - scores.max())
        allowed = np.array([may_follow(token, said, times=times, latest_first=30) for token in range(SIZE)])
        if times and (shares * allowed)[FIRST_TIME:].sum() > (shares * allowed)[:FIRST_TIME].max():
            allowed[:FIRST_TIME] = False
        token = int(np.where(allowed, scores, -np.inf).argmax())
        if token == END:
            return said
        said.append(token)
    raise AssertionError("it never ends")


@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_what_it_may_write_is_what_openais_own_may(seed: int, times: bool, tmp_path: Path) -> None:
    model = random_model(seed, times=times)
    rules = {"suppress_tokens": SUPPRESSED, "begin_suppress_tokens": [7, END], "max_initial_timestamp_index": 30}
    engine = opened(write_model(tmp_path, model, rules=rules))
    for number, (language, told) in enumerate(
        [("en", Hints(times=times)), ("en", Hints(("Anna",), "he", times=times))]
    ):
        clip = sound(1.5 + number, seed)
        prompt = prompt_of(engine.vocabulary, language, told)
        first = [*prompt, START, EN, TRANSCRIBE, *([] if times else [NO_TIMES])]
        expected = plain(model, clip, first, times=times)
        found = engine.transcribe(clip, language=language, hints=told)
        # The random text is not believed, and is decoded again without a prompt: no better.
        assert found.tokens == tuple(token for token in expected if token < END)
        assert len(found.token_ms) == (len(found.tokens) if times else 0)
        assert list(found.token_ms) == sorted(found.token_ms)


def words(*pieces: str) -> list[int]:
    return [PIECES.index(piece) for piece in pieces]


HELLO = words("hell", "o")


Says = Callable[..., Whisper]


@pytest.fixture
def says(tmp_path: Path) -> Says:
    """A model that writes so many tokens, whatever it hears."""

    def engine(text: list[int], at: int = 3, **how: bool) -> Whisper:
        write_model(tmp_path, scripted_model(text, at, **how))
        loaded = load_engine(str(tmp_path), "en", tmp_path)
        assert isinstance(loaded, Whisper)
        return loaded

    return engine


def test_what_it_says_and_how_sure_it_is(says: Says) -> None:
    shown: list[str] = []
    found = says([*HELLO, *words("½")]).transcribe(sound(2.0), language="en", partial=shown.append)
    assert (found.text, found.tokens) == ("hello\ufffd", (*HELLO, *words("½")))
    assert shown[:2] == ["hell", "hello"]
    assert found.confidence == pytest.approx(1.0)
    assert found.token_logprobs == pytest.approx([0.0] * 3)
    assert (found.suppressed, found.language, found.token_ms, found.audio_ms) == (None, None, (), 2000)
    assert found.decode_ms > found.encode_ms > 0


def test_letters_of_several_tokens_are_shown_whole(says: Says) -> None:
    shown: list[str] = []
    found = says(words("ä½ł", "ä½", "ł", *"ok")).transcribe(sound(2.0), language="en", partial=shown.append)
    assert found.text == "你你ok"
    assert shown == ["你", "你你", "你你o", "你你ok"]


def test_a_loop_is_stopped_soon_and_not_believed(says: Says) -> None:
    engine = says(words(*"abc") * 100)
    found = engine.transcribe(sound(28.0), language="en")
    assert (found.text, found.suppressed) == ("", "loop")
    assert len(found.tokens) == 30


def test_text_that_repeats_itself_inside_is_not_believed(says: Says) -> None:
    engine = says([*words(*"the same again, ".replace(" ", "Ġ")) * 6, *words(*"end")])
    found = engine.transcribe(sound(20.0), language="en")
    assert (found.text, found.suppressed) == ("", "loop")


def test_more_words_than_fit_into_the_speech(says: Says) -> None:
    text = words(*"quickbrownfxjmpsvhlazydg")
    assert says(text).transcribe(sound(6.0), language="en", speech_ms=5_000).text == "quickbrownfxjmpsvhlazydg"
    assert says(text).transcribe(sound(6.0), language="en", speech_ms=300).suppressed == "too_many_words"
    # Of sound of one second no more than so many are even decoded.
    assert len(says(text).transcribe(sound(1.0), language="en").tokens) == 7
    assert len(says(text).transcribe(sound(1.0), language="zh").tokens) == 0  # the prompt moved the script


def test_what_has_no_letters_is_nothing_said(says: Says) -> None:
    assert says(words(*"-!-")).transcribe(sound(2.0), language="en").suppressed == "no_speech"


def test_words_that_the_model_itself_doubts(tmp_path: Path) -> None:
    for believed in (False, True):
        model = scripted_model(HELLO, no_speech=True)
        if not believed:
            model.weights["led"][1:-1] /= 40
        engine = opened(write_model(tmp_path / str(believed), model))
        found = engine.transcribe(sound(2.0), language="en")
        assert (found.text, found.suppressed) == (("hello", None) if believed else ("", "no_speech"))


@pytest.mark.parametrize(("hotword", "suppressed"), [("hello", "no_speech"), ("jello", None)])
def test_it_does_not_repeat_what_it_was_told(says: Says, hotword: str, suppressed: str | None) -> None:
    hints = Hints((hotword,))
    told = prompt_of(says(HELLO).vocabulary, "en", hints)
    found = says(HELLO, at=3 + len(told)).transcribe(sound(2.0), language="en", hints=hints)
    assert (found.text, found.suppressed) == ("" if suppressed else "hello", suppressed)


def test_a_prompt_that_leads_astray_is_left_out(tmp_path: Path) -> None:
    # After a prompt this model is past its script, and must not end at once.
    engine = opened(write_model(tmp_path, scripted_model(HELLO), rules={"begin_suppress_tokens": [END]}))
    assert engine.transcribe(sound(2.0), language="en", hints=Hints(before="wow")).text == "hello"


# Languages and hints


def test_a_language_is_heard_among_those_that_may_be_spoken(tmp_path: Path) -> None:
    engine = opened(write_model(tmp_path, scripted_model(HELLO)))  # it always hears Chinese
    assert engine.capabilities.languages == ("en", "zh", "de", "ja", "jv")
    for language, languages, heard in [
        ("und", (), "zh"),
        ("en", ("en",), None),
        ("en", ("en", "zh-TW"), "zh-TW"),
        ("en", ("en", "de", "ja"), "en"),
        ("en", ("en", "tlh"), None),
        ("tlh", ("tlh", "ja"), "zh"),
    ]:
        found = engine.transcribe(sound(1.0), language=language, hints=Hints(languages=languages))
        assert found.language == heard, (language, languages)


def test_an_english_model_has_no_marks_of_languages(tmp_path: Path) -> None:
    model = scripted_model(HELLO, at=1)
    engine = opened(write_model(tmp_path, model, rules={"is_multilingual": False}))
    assert engine.capabilities.languages == ("en",)
    assert engine.transcribe(sound(1.0), language="en").text == "hello"


@pytest.mark.parametrize(
    ("language", "hints", "told"),
    [
        ("en", Hints(), ""),
        ("zh", Hints(), "以下是普通话的句子。"),
        ("zh-CN", Hints(), "以下是普通话的句子。"),
        ("zh-TW", Hints(), "以下是普通話的句子。"),
        ("zh-Hant-HK", Hints(("小明",)), "以下是普通話的句子。小明。"),
        ("zh", Hints(("小明", "客厅"), "打开灯"), "以下是普通话的句子。小明、客厅。打开灯"),
        ("de", Hints(("Anna", "Bad"), "Mach das Licht an."), " Anna, Bad. Mach das Licht an."),
    ],
)
def test_what_it_is_told_before_it_listens(language: str, hints: Hints, told: str, tmp_path: Path) -> None:
    vocabulary = Vocabulary.read(write_model(tmp_path, random_model(0)))
    mark, *tokens = prompt_of(vocabulary, language, hints) or [PREVIOUS]
    assert (mark, vocabulary.pieces.decode(tokens)) == (PREVIOUS, told)


def test_hints_of_any_length_leave_room(tmp_path: Path) -> None:
    engine = opened(write_model(tmp_path, random_model(0)))
    many = Hints(tuple(f"name{n}" for n in range(500)), "before " * 1_000)
    assert len(prompt_of(engine.vocabulary, "zh", many)) < 224
    engine.transcribe(sound(1.0), language="zh", hints=many)


def test_the_same_sound_is_encoded_once_when_it_is_read_again_with_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(write_model(tmp_path / "told", random_model(0)))
    assert engine.capabilities.takes_hotwords
    assert not opened(write_model(tmp_path / "untold", random_model(0), marks=UNTOLD)).capabilities.takes_hotwords
    encoded: list[Features] = []
    encode = engine._graphs.encode

    def counted(features: Features) -> Cache:
        encoded.append(features)
        return encode(features)

    monkeypatch.setattr(engine._graphs, "encode", counted)
    names = Hints(("Anna",))
    told = engine.transcribe(sound(2.0), language="en", hints=names)
    for clip, hints, times in [
        (sound(2.0), names, 1),
        (sound(2.0), Hints(), 2),
        (sound(2.0), names, 2),
        (sound(1.0), names, 3),
        (sound(2.0), names, 4),
    ]:
        heard = engine.transcribe(clip, language="en", hints=hints)
        assert len(encoded) == times
    assert (heard.tokens, heard.token_logprobs) == (told.tokens, told.token_logprobs)
    engine.rest()
    engine.transcribe(sound(2.0), language="en", hints=names)
    assert len(encoded) == 5


GPT_2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


@pytest.fixture(scope="module")
def spelt(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[list[int], list[int]]]:
    """A text's tokens by us and by tiktoken."""
    pieces = Vocabulary.read(write_model(tmp_path_factory.mktemp("spelt"), random_model(0))).pieces
    of_letter = {letter: byte for byte, letter in enumerate(letters())}
    ranks = {bytes(of_letter[letter] for letter in piece): rank for rank, piece in enumerate(PIECES)}
    theirs = tiktoken.Encoding("small", pat_str=GPT_2, mergeable_ranks=ranks, special_tokens={})
    return lambda text: (pieces.encode(text), theirs.encode_ordinary(text))


@given(text=st.text(st.sampled_from("helowanit 'sde19½三 你\n\t\u3000.,-!é'llve")) | st.text())
def test_texts_are_cut_as_gpt_2_cuts_them(text: str, spelt: Callable[[str], tuple[list[int], list[int]]]) -> None:
    ours, theirs = spelt(text)
    assert ours == theirs


# Sound and windows


def test_sound_that_cannot_be_heard(tmp_path: Path) -> None:
    engine = opened(write_model(tmp_path, random_model(0)))
    assert engine.transcribe(sound(0.05), language="en").suppressed == "too_short"
    with pytest.raises(InputError) as wrong:
        engine.transcribe(np.full(16_000, np.nan, dtype=np.float32), language="en")
    assert wrong.value.code == "audio_not_finite"


@pytest.mark.parametrize("asked", range(4))
def test_it_gives_up_when_nobody_wants_the_words(says: Says, asked: int) -> None:
    left = asked

    def abort() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    with pytest.raises(Aborted):
        says(words(*"abcdefgh")).transcribe(sound(2.0), language="en", abort=abort)
    assert left == -1


def test_long_sound_is_heard_in_windows(tmp_path: Path) -> None:
    script = [FIRST_TIME, *HELLO, FIRST_TIME + 100]
    engine = opened(write_model(tmp_path, scripted_model(script, at=2), marks=UNTOLD))
    shown: list[str] = []
    clip = sound(70.0)
    quiet = 27 * 16_000
    clip[quiet : quiet + 3_200] = 0.0
    found = engine.transcribe(clip, language="en", hints=Hints(times=True), partial=shown.append)
    begins = [begin * 1_000 // 16_000 for begin, _ in windows(clip)]
    assert len(begins) == 3
    assert 27_000 <= begins[1] <= 27_200
    assert found.text == "hello hello hello"
    assert found.tokens == (*HELLO, *HELLO, *HELLO)
    assert found.token_ms == tuple(at for begin in begins for at in (begin, begin + 1_000))
    assert found.audio_ms == 70_000
    assert shown[:3] == ["hell", "hello", "hello hell"]


def test_long_sound_of_which_nothing_is_said(tmp_path: Path) -> None:
    engine = opened(write_model(tmp_path, scripted_model(words(*"--"))))
    found = engine.transcribe(sound(31.0), language="en")
    assert (found.text, found.suppressed, found.tokens, found.confidence) == ("", "no_speech", (), None)


@settings(max_examples=30)
@given(st.integers(1, 1_600_000), st.integers(1, 400_000))
def test_windows_leave_nothing_out(samples: int, period: int) -> None:
    clip = np.resize(np.linspace(0.1, 0.9, period, dtype=np.float32), samples)
    cuts = list(windows(clip))
    assert [begin for begin, _ in cuts] == [0, *(end for _, end in cuts[:-1])]
    assert cuts[-1][1] == clip.size
    assert all(0 < end - begin <= 480_000 for begin, end in cuts)


def test_when_words_were_said() -> None:
    times = [FIRST_TIME + at for at in (5, 25, 50, 60)]
    said = [times[0], 1, 2, times[1], times[2], 3, times[3]]
    assert times_of(said, END, FIRST_TIME) == (100, 300, 1_000)
    assert times_of([times[1], 1, 2], END, FIRST_TIME) == (500, 500)
    assert times_of([1, 2], END, FIRST_TIME) == ()


def test_resting_changes_nothing(says: Says) -> None:
    engine = says(HELLO)
    engine.rest()
    assert engine.transcribe(sound(1.0), language="en").text == engine.spell(HELLO) == "hello"
