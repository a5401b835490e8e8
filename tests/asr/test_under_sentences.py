"""Sounds held against sentences with engines that are no Moonshine: CTC outputs, Whisper, Fun-ASR-Nano."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentbox.asr.constrain.ctc import forward_logprob
from agentbox.asr.constrain.frames import FrameSentences
from agentbox.asr.constrain.sentences import How, Sentences, TakesSentences
from agentbox.asr.ctc import CtcFrames
from agentbox.asr.engine import Opening, Recognition, Samples
from agentbox.asr.listener import Listener
from agentbox.asr.load import load_engine
from agentbox.asr.logits import log_softmax
from agentbox.asr.nano import Nano
from agentbox.asr.nano_llm import Llm
from agentbox.asr.sense_voice import open_model
from agentbox.asr.tokens import TokenTable
from agentbox.asr.whisper import Whisper
from agentbox.asr.whisper_graphs import Cache, WhisperGraphs
from agentbox.intents.grammar import Grammar
from agentbox.intents.spoken import Spoken
from benchmarks import ctc_commands
from tests.asr import nano_models, tiny_models, whisper_models

Counted = dict[str, int]


def sentences_of(language: str, *texts: str, after: int = 0) -> Sentences:
    intents = {f"Intent{at}": {"data": [{"sentences": [text]}]} for at, text in enumerate(texts)}
    spoken = Spoken(language, [Grammar("test", {"language": language, "intents": intents}, {})])
    return Sentences(spoken.grammar, tuple(spoken.active({})), after)


def held(engine: Any, samples: Samples, sentences: Sentences, language: str) -> Recognition:
    listener = Listener(engine)
    assert not listener.novel
    for _ in listener.prepare(sentences):
        pass
    return listener.hear(samples, language=language, ask=lambda _: sentences)


# Fun-ASR-Nano.

CHINESE = ("开灯", "语音转写", "开灯语音", "转写(开灯|语音)")


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Nano:
    folder = nano_models.small_model(tmp_path_factory.mktemp("nano"), 3, ending=2.0)
    return Nano(folder, name="small", tokens_per_second=6)


def logprob_by_steps(nano: Nano, samples: Samples, tokens: list[int]) -> float:
    """log P(tokens, end | sound), a token at a time in a cache of its own."""
    encoding = nano.encode(samples, language="zh")
    state, logits, total = encoding.begun.copy(), encoding.logits, 0.0
    for token in tokens:
        total += float(log_softmax(logits[None])[0, token])
        logits = nano.step(token, state)
    return total + float(log_softmax(logits[None])[0, nano.table.special["<|im_end|>"]])


@pytest.mark.parametrize("seed", range(4))
def test_the_language_models_candidates_have_their_exact_scores(nano: Nano, seed: int) -> None:
    samples = nano_models.sound(seed, 1.5)
    plain = nano.transcribe(samples, language="zh")
    heard = held(nano, samples, sentences_of("zh", *CHINESE), "zh")
    assert (heard.text, heard.tokens) == (plain.text, plain.tokens)
    assert heard.sentences_in == "zh"
    assert heard.free is not None
    assert heard.free.plain
    assert heard.candidates
    for candidate in heard.candidates:
        tokens = nano.table.encode(candidate.text)
        assert candidate.score >= candidate.logprob - 1e-3
        if heard.candidates.index(candidate) == 0:
            assert len(tokens) == candidate.tokens
            # A prompt in one run and in pieces comes to the same but for rounding.
            assert candidate.logprob == pytest.approx(logprob_by_steps(nano, samples, tokens), abs=1e-3)


def test_something_is_found_and_what_the_free_reading_knew_costs_nothing(
    nano: Nano, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = nano_models.sound(0, 1.5)
    rows: list[int] = []
    append = Llm.append

    def counted(llm: Llm, given: Any, state: Any) -> Any:
        rows.append(len(given))
        return append(llm, given, state)

    decoder = nano.sentence_decoder(None)
    read, sound = nano.read(samples, How(language="zh"))
    assert sound is not None
    free = sentences_of("zh", nano.table.decode(read.tokens))
    monkeypatch.setattr(Llm, "append", counted)
    found = decoder.hold(free, read, sound, read.text)
    assert found.candidates
    best = found.candidates[0]
    assert best.text == nano.table.decode(read.tokens)
    # Only what punctuation and another way to cut it may add was run; the sentence itself was known.
    assert len(rows) <= 2 * len(read.tokens) + 4
    monkeypatch.setattr(Llm, "append", append)
    again = decoder.hold(free, read, sound, read.text)
    assert again.candidates == found.candidates
    assert nano.transcribe(samples, language="zh").tokens == read.tokens


def test_a_long_answer_stops_where_the_room_ends(nano: Nano) -> None:
    from agentbox.asr.nano_steps import steps_of

    encoding = nano.encode(nano_models.sound(1, 1.0), language="zh")
    steps = steps_of(nano, end=7)
    logits, _ = steps.begin_after(encoding, [65] * (nano.room_after(encoding) + 1))
    assert logits[0].argmax() == 7
    assert np.isneginf(np.delete(logits[0], 7)).all()


# Whisper.


@pytest.fixture
def whisper(tmp_path: Path) -> Whisper:
    whisper_models.write_model(tmp_path, whisper_models.random_model(8))
    engine = load_engine(str(tmp_path), "en", tmp_path)
    assert isinstance(engine, Whisper)
    return engine


def test_whispers_candidates_have_their_exact_scores(whisper: Whisper, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = tiny_models.sound(32_000)
    read, sound = whisper.read(samples, How(language="en"))
    assert sound is not None
    texts = ("hell", "an inn", "then he", "[oh] well")
    assert len(read.tokens) > 2
    found = whisper.sentence_decoder(None).hold(sentences_of("en", *texts), read, sound, read.text)
    encode = whisper.vocabulary.pieces.encode
    checked = 0
    for candidate in found.candidates:
        tokens = encode(f" {candidate.text}")
        if len(tokens) != candidate.tokens:
            continue
        rows, _ = whisper._graphs.begin([*sound.first, *tokens], sound.encoded)
        logprobs = log_softmax(rows[len(sound.first) - 1 :])
        said = [*tokens, whisper.vocabulary.end]
        expected = sum(float(row[token]) for row, token in zip(logprobs, said, strict=True))
        assert candidate.logprob == pytest.approx(expected, abs=1e-3)
        checked += 1
    assert checked
    # The caches that the free reading left are cut where a sentence parts from it.
    steps: list[int] = []
    step = WhisperGraphs.step

    def counted(graphs: WhisperGraphs, token: int, cache: Cache) -> Any:
        steps.append(token)
        return step(graphs, token, cache)

    monkeypatch.setattr(WhisperGraphs, "step", counted)
    way = tuple(read.tokens[:2])
    other = (way[0] + 1) % 200
    model = whisper.sentence_decoder(None)._model
    _, state = model.begin_after(sound, way)
    assert steps == []
    logits, _ = model.step([other], state)
    rows, _ = whisper._graphs.begin([*sound.first, *way, other], sound.encoded)
    np.testing.assert_allclose(logits[0], rows[-1], atol=1e-4)
    assert steps == [other]


def test_nothing_is_held_where_there_are_several_windows(whisper: Whisper) -> None:
    heard = held(whisper, np.tile(tiny_models.sound(16_000), 31), sentences_of("en", "hell"), "en")
    assert (heard.candidates, heard.constrain_ms) == ((), None)


# CTC outputs.


def test_one_run_of_the_encoder_reads_and_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_models.sense_voice(tmp_path, 1)
    engine = open_model(tmp_path, Opening(name="small"))
    runs: list[int] = []
    scores = type(engine.reader).scores

    def counted(*given: Any) -> Any:
        runs.append(1)
        return scores(*given)

    monkeypatch.setattr(type(engine.reader), "scores", counted)
    samples = tiny_models.sound(32_000)
    plain, kept = engine.listen(samples, language="zh")
    assert kept is not None
    frames = engine.frames(kept)
    assert frames is not None
    runs.clear()
    read = engine.spell(plain.tokens)
    heard = held(engine, samples, sentences_of("zh", read), "zh")
    assert runs == [1]
    assert heard.text == plain.text
    assert heard.free is not None
    assert heard.free.logprob == pytest.approx(forward_logprob(frames.logprobs, plain.tokens, frames.blank))
    assert heard.free.logprob > -np.inf


def test_an_engine_without_such_outputs_holds_nothing(tmp_path: Path) -> None:
    from agentbox.asr import paraformer

    tiny_models.paraformer(tmp_path, 1)
    engine = paraformer.open_model(tmp_path, Opening(name="small"))
    assert isinstance(engine, TakesSentences)
    assert engine.sentence_decoder(None) is None
    heard = held(engine, tiny_models.sound(32_000), sentences_of("zh", "开灯"), "zh")
    assert (heard.candidates, heard.free, heard.constrain_ms) == ((), None, None)


def test_what_follows_a_wake_phrase_is_held_without_it() -> None:
    single = [bytes([byte]) for byte in range(256)]
    pieces = [b"<blank>", b"<s>", b"</s>", *single, *(one.encode() for one in "小盒开灯关")]
    table = TokenTable(pieces)
    small, box, on, light, off = range(259, 264)
    rows = np.full((12, len(pieces)), -12.0, dtype=np.float32)
    rows[:, 0] = 0.0
    for frame, token in ((1, small), (3, box), (6, off), (9, light)):
        rows[frame, [0, token]] = -9.0, 0.0
    rows[6, on] = -1.0
    frames = CtcFrames.of(rows, 0, 60)
    read = Recognition("小盒关灯", tokens=(small, box, off, light), token_ms=(60, 180, 360, 540))
    decoder = FrameSentences(table)
    found = decoder.hold(sentences_of("zh", "开灯", "小盒", after=2), read, frames, "关灯")
    assert [candidate.text for candidate in found.candidates] == ["开灯"]
    assert found.free is not None
    assert found.free.logprob == pytest.approx(forward_logprob(frames.logprobs[4:], (off, light), 0))
    assert found.free.logprob - found.candidates[0].logprob == pytest.approx(1.0, abs=0.05)
    assert decoder.hold(sentences_of("zh", "开灯"), read, frames, "", under_way=True).candidates == ()


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["how much time is left on the timer", "what time is it"]),
        ("zh", ["设置一个五分钟的计时器", "音量调到百分之三十"]),
    ],
)
def test_a_command_is_found_in_frames_where_the_free_reading_is_wrong(language: str, texts: list[str]) -> None:
    found = ctc_commands.run(language, texts, 0.25, size=2_000)
    assert any(one.free != one.text for one in found)
    assert [one.text for one in found if not one.right] == []
