"""The owner's names held against the sound by every family that can score them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from agentbox.asr import nano_ctc, paraformer, sense_voice, tokens_txt
from agentbox.asr.constrain.ctc import forward_logprob
from agentbox.asr.constrain.sentences import How, Sentences
from agentbox.asr.ctc import CtcFrames, greedy
from agentbox.asr.engine import Aborted, Capabilities, Opening, Recognition, Samples
from agentbox.asr.hotwords.evidence import FRAMES, SCORED, THRESHOLD, WRITTEN, evidence
from agentbox.asr.hotwords.index import HotwordIndex, Near
from agentbox.asr.hotwords.text_scorer import RowScorer, TextScorer
from agentbox.asr.listener import Listener
from agentbox.asr.logits import Floats, log_softmax
from agentbox.asr.moonshine_streaming import CHUNK_SAMPLES
from agentbox.asr.moonshine_streaming import open_model as open_streaming
from agentbox.asr.single_run import SingleRun
from agentbox.asr.tokens import TokenTable
from agentbox.asr.zipformer import open_model as open_zipformer
from agentbox.errors import ModelError
from agentbox.speech_grammar import SpeechGrammar
from tests.asr import moonshine_graphs, tiny_models, zipformer_graphs
from tests.asr.test_respelling import read_as, table_of

LETTERS = [letter.encode() for at, letter in enumerate(zipformer_graphs.LETTERS) if at % 3]
"""What the small transducer writes within a word."""

# CTC outputs.


class FramesEngine:
    """An engine that heard these frames."""

    name = "frames"
    capabilities = Capabilities((), streaming=False, token_scores=True)

    def __init__(self, table: TokenTable, rows: Floats) -> None:
        self.table = table
        self.frames = CtcFrames.of(rows, 0, 60)

    def read(self, samples: Samples, how: How) -> tuple[Recognition, CtcFrames]:
        path = greedy(self.frames.logprobs, 0)
        return Recognition(
            self.table.decode(path.tokens), tokens=path.tokens, token_logprobs=path.logprobs
        ), self.frames

    def transcribe(self, samples: Samples, **_: object) -> Recognition:
        raise AssertionError("the sound is to be kept")

    def rescorer(self) -> TextScorer[CtcFrames]:
        return TextScorer(self.table, CtcFrames.logprobs_of, FRAMES)

    def rest(self) -> None: ...


def heard_in(table: TokenTable, *said: Mapping[str, float]) -> Floats:
    """A frame for each of these tokens, with how likely it is beside others (natural logarithm), and one of silence
    before and after each."""
    rows = np.full((2 * len(said) + 1, len(table)), -14.0, dtype=np.float32)
    rows[:, 0] = 0.0
    for at, tokens in enumerate(said):
        rows[2 * at + 1, 0] = -14.0
        for piece, logit in tokens.items():
            rows[2 * at + 1, table.pieces.index(piece.encode())] = logit
    return rows


SILENCE: Samples = np.zeros(16_000, dtype=np.float32)


def sure(text: str) -> list[dict[str, float]]:
    return [{character: 0.0} for character in text]


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        # Of two syllables every other word is one: only the sound can tell a name from it.
        ("张伟", [{"章": 0.0, "张": -0.7}, {"伟": 0.0}], "给张伟打电话"),
        ("张伟", [{"章": 0.0, "张": -9.0}, {"伟": 0.0}], "给章伟打电话"),
        ("张伟", sure("章伟"), "给章伟打电话"),
        # What sounds just like a long name is one, as by the text alone.
        ("陈思诚", sure("程思成"), "给陈思诚打电话"),
        # A name that sounds a little otherwise than what was read: by the text alone it is never written.
        ("陈思诚", [{"陈": 0.0}, {"西": 0.0, "思": -0.7}, {"诚": 0.0}], "给陈思诚打电话"),
        ("陈思诚", [{"陈": 0.0}, {"西": 0.0}, {"诚": 0.0}], "给陈西诚打电话"),
    ],
)
def test_a_name_is_written_where_the_frames_bear_it_out(name: str, said: list[dict[str, float]], expected: str) -> None:
    table = table_of(*dict.fromkeys("给打电话章张伟程思成陈诚西"))
    engine = FramesEngine(table, heard_in(table, {"给": 0.0}, *said, *sure("打电话")))
    listener = Listener(engine)
    listener.names.hotwords = HotwordIndex([name, "客厅的灯"])
    heard = listener.hear(SILENCE, language="zh-CN")
    assert heard.text == expected
    assert [one.meant for one in heard.corrections] == [name] * (name in expected)
    assert heard.hotwords_ms is not None


def test_names_of_latin_letters_are_held_against_frames_too() -> None:
    table = table_of("▁", "▁call", "▁koi", "▁vi", "lla", "▁now", "la", "ula", "iv", "▁K", "▁Ko")
    said = [("▁call",), ("▁koi", "▁Ko"), ("▁vi", "iv"), ("lla", "ula"), ("▁now",)]
    for weaker, expected in ((0.0, "call Koivula now"), (12.0, "call koi villa now")):
        frames = [dict(zip(pieces, (0.0, -0.2 - weaker), strict=False)) for pieces in said]
        listener = Listener(FramesEngine(table, heard_in(table, *frames)))
        listener.names.hotwords = HotwordIndex(["Koivula"])
        assert listener.hear(SILENCE, language="en").text == expected


@pytest.mark.parametrize("names", [["陈思成", "陈思诚"], ["陈思诚", "陈思成"]])
def test_of_two_names_that_sound_alike_the_sound_tells(names: list[str]) -> None:
    table = table_of(*"给打电话陈司城思诚成")
    said = [{"给": 0.0}, {"陈": 0.0}, {"司": 0.0, "思": -8.0}, {"城": 0.0, "诚": -1.0, "成": -14.0}, *sure("打电话")]
    listener = Listener(FramesEngine(table, heard_in(table, *said)))
    listener.names.hotwords = HotwordIndex(names)
    assert listener.hear(SILENCE, language="zh-CN").text == "给陈思诚打电话"


def test_a_word_that_was_heard_surely_is_no_name_of_two_syllables() -> None:
    table = table_of(*"今天成程功了")
    said = [*sure("今天"), {"成": 0.0, "程": -3.3}, *sure("功了")]
    listener = Listener(FramesEngine(table, heard_in(table, *said)))
    listener.names.hotwords = HotwordIndex(["程功"])
    assert listener.hear(SILENCE, language="zh-CN").text == "今天成功了"


def test_what_is_said_before_stays_as_it_is() -> None:
    table = table_of(*"章张伟打电话给")
    twice = [{"章": 0.0, "张": -0.5}, *sure("伟给"), {"章": 0.0, "张": -0.5}, *sure("伟")]
    listener = Listener(FramesEngine(table, heard_in(table, *twice)))
    listener.names.hotwords = HotwordIndex(["张伟"])
    sentences = Sentences(SpeechGrammar("zh", False, {}, ()), (), after=3)
    assert listener.hear(SILENCE, language="zh-CN", ask=lambda _: sentences).text == "章伟给张伟"


def test_what_was_read_is_kept_where_names_cannot_be_scored(caplog: pytest.LogCaptureFixture) -> None:
    table = table_of(*"给章张伟")

    class Weak(FramesEngine):
        def rescorer(self) -> TextScorer[CtcFrames]:
            def fails(*_: object) -> list[float]:
                raise ModelError("model_failed", "what", "todo")

            return TextScorer(self.table, fails, FRAMES)

    listener = Listener(Weak(table, heard_in(table, {"给": 0.0}, {"章": 0.0, "张": -0.1}, {"伟": 0.0})))
    listener.names.hotwords = HotwordIndex(["张伟"])
    assert listener.hear(SILENCE, language="zh-CN").text == "给章伟"
    assert "[model_failed]" in caplog.text
    assert "张" not in caplog.text


# Random graphs of every family: what is written is what the evidence says, reckoned another way.

ALIKE = ("陈程", "思司", "诚成", "张章", "伟委", "石时", "文纹", "明名", "李里", "华滑", "欧鸥")
CHARACTERS = "".join(ALIKE)


def other(character: str) -> str:
    """The one that sounds the same."""
    pair = next(pair for pair in ALIKE if character in pair)
    return pair[character == pair[0]]


def known(text: str) -> bool:
    return all(character in CHARACTERS for character in text)


def sounds_of(text: str) -> str:
    return "".join(min(character, other(character)) if known(character) else character for character in text)


class Misread(NamedTuple):
    """A name of two characters that sounds like what was read somewhere."""

    name: str
    text: str
    """What was read, with the name in its place."""
    tokens: tuple[int, ...]
    places: tuple[int, int]
    """Which of the tokens."""


def misread(engine: SingleRun, read: Recognition) -> Iterator[Misread]:
    for at in range(len(read.text) - 1):
        said = read.text[at : at + 2]
        places = [n for n in range(len(read.tokens)) if at <= len(engine.spell(read.tokens[:n])) < at + 2]
        once = sounds_of(read.text).count(sounds_of(said)) == 1
        if not known(said) or not once or len(places) != 2:  # a space before it, or what writes nothing
            continue
        name = said[0] + other(said[1])
        token = engine.table.pieces.index(name[1].encode())
        first, second = places
        tokens = (*read.tokens[:second], token, *read.tokens[second + 1 :])
        yield Misread(name, read.text[:at] + name + read.text[at + 2 :], tokens, (first, second))


def tiny(kind: str, folder: Path, seed: int) -> SingleRun:
    """A model of random numbers that writes `CHARACTERS` among others."""
    folder.mkdir(parents=True)
    encoded = kind == "nano_ctc"
    module: Any = {"sense_voice": sense_voice, "nano_ctc": nano_ctc, "paraformer": paraformer}[kind]
    getattr(tiny_models, kind)(folder, seed)
    pieces = [piece.decode() for piece in tokens_txt.read(folder / "tokens.txt", size=None, encoded=encoded).pieces]
    words = [at for at, piece in enumerate(pieces) if not piece.startswith("<")]
    for at, character in zip(words, CHARACTERS, strict=False):
        pieces[at] = character
    tiny_models.write_tokens(folder, pieces, encoded=encoded)
    opened: SingleRun = module.open_model(folder, Opening(name="tiny"))
    return opened


@pytest.mark.parametrize("kind", ["sense_voice", "nano_ctc", "paraformer"])
def test_random_models_write_what_their_scores_say(kind: str, tmp_path: Path) -> None:
    seen: set[bool] = set()
    for seed in range(40):
        engine = tiny(kind, tmp_path / str(seed), seed)
        samples = tiny_models.sound(14_000, seed)
        read, sound = engine.read(samples, How(language="zh"))
        for name, text, tokens, places in misread(engine, read):
            if isinstance(sound, CtcFrames):
                own, new = (forward_logprob(sound.logprobs, way, sound.blank) for way in (read.tokens, tokens))
            else:
                rows = log_softmax(engine.reader.scores(engine.frontend(samples), "zh").logits)
                own, new = (sum(float(rows[at, way[at]]) for at in places) for way in (read.tokens, tokens))
            assert engine.rescorer().gains(sound, read, [text], [-math.inf]) == [pytest.approx(new - own, abs=1e-3)]
            listener = Listener(engine)
            listener.names.hotwords = HotwordIndex([name])
            doubt = -min(read.token_logprobs[at] for at in places)
            borne_out = evidence(FRAMES, Near(name, 0, 2, 1.0), doubt, new - own) >= THRESHOLD
            assert listener.hear(samples, language="zh").text == (text if borne_out else read.text)
            seen.add(borne_out)
    assert seen == {True, False}


def test_rows_are_scored_only_where_as_many_tokens_are_said(tmp_path: Path) -> None:
    pieces = ["<blank>", "<s>", "</s>", *"程思成陈诚司", "an@@", "na", "hannah"]
    table = TokenTable([piece.encode() for piece in pieces])
    scorer = RowScorer(table, lambda tokens: "".join(pieces[token] for token in tokens))
    read = read_as(table, *"程思成")
    rows = np.arange(3 * len(pieces), dtype=np.float32).reshape(3, -1)
    texts = ["陈思诚", "陈思", "陈思诚司", "陈an诚", "张思诚", "程思成"]
    told = scorer.gains(rows, read, texts, [-9.0] * len(texts))
    assert told == [3.0 + 2.0, *[-math.inf] * 4, 0.0]


def test_rows_are_scored_for_a_name_behind_a_word_of_letters(tmp_path: Path) -> None:
    tiny_models.paraformer(tmp_path, 1)
    pieces = [*tiny_models.PARAFORMER_PIECES]
    pieces[3:9] = ["call", "k", *"程思成陈"]
    tiny_models.write_tokens(tmp_path, pieces)
    engine = paraformer.open_model(tmp_path, Opening(name="tiny"))
    rows = np.zeros((5, len(pieces)), dtype=np.float32)
    rows[1, pieces.index("陈")] = -2.0
    rows[4, pieces.index("k")] = -1.0
    said = tuple(map(pieces.index, ["call", "程", "思", "成", "成"]))
    read = Recognition("call 程思成成", tokens=said)
    assert engine.spell(said) == read.text
    told = engine.rescorer().gains(rows, read, ["call 陈思成成", "call 程思成K"], [-9.0] * 2)
    assert told == [-2.0, -math.inf]
    read = Recognition("程 call", tokens=said[1::-1])
    assert engine.rescorer().gains(rows, read, ["陈 call", "K call"], [-9.0] * 2) == [0.0, 0.0]


# Models that work while the owner speaks.


def test_a_streaming_moonshine_scores_what_its_decoder_would_write(tmp_path: Path) -> None:
    weights = moonshine_graphs.Weights(3)
    folder = moonshine_graphs.write(tmp_path / "own", weights)
    table = TokenTable.read(folder / "tokenizer.bin")
    pieces = [*table.pieces[:-1], "\u2581".encode()]
    (folder / "tokenizer.bin").write_bytes(b"".join(bytes([len(piece)]) + piece for piece in pieces))
    engine = open_streaming(folder, Opening(name="own"))
    samples = zipformer_graphs.sound(3, 2.6)
    stream = engine.open_stream(language="en")
    stream.accept(samples)
    read = stream.finish()
    assert read.tokens
    memory = moonshine_graphs.memory_of(weights, samples, CHUNK_SAMPLES)
    ways: list[Sequence[int]] = [read.tokens, (*read.tokens[:-1], 262), (261, 262)]
    for way, found in zip(ways, stream.logprobs(ways), strict=True):
        said = [1, *way, 2]
        after = [moonshine_graphs.scores_after(weights, said[:at], memory) for at in range(1, len(said))]
        rows = log_softmax(np.array(after, dtype=np.float32))
        expected = float(sum(row[token] for row, token in zip(rows, said[1:], strict=True)))
        assert found == pytest.approx(expected, abs=1e-3)
    scorer = engine.rescorer()
    assert scorer.weights is SCORED
    same, less = scorer.gains(stream, read, [read.text, f"{read.text} c"], [-math.inf] * 2)
    assert same == pytest.approx(0.0, abs=1e-4)
    longer, own = stream.logprobs([(*read.tokens, 261), read.tokens])
    assert less == pytest.approx(longer - own, abs=1e-4)
    with pytest.raises(Aborted):
        stream.logprobs(ways, lambda: True)


def test_a_streaming_engines_names_are_held_against_what_it_heard(tmp_path: Path) -> None:
    folder = zipformer_graphs.write(tmp_path / "own", 21)
    lines = (folder / "tokens.txt").read_text().splitlines()
    (folder / "tokens.txt").write_text("\n".join([*lines[:-1], f"\u2581 {len(lines) - 1}"]))
    engine = open_zipformer(folder, Opening(name="own"))
    seen: set[bool] = set()
    for seed in range(200):
        samples = zipformer_graphs.sound(seed, 1.4)
        stream = engine.open_stream(language="en")
        stream.accept(samples)
        read = stream.finish()
        last = read.text.split()[-1] if read.text else ""
        letter, hotwords = last[-1:].upper().encode(), HotwordIndex([last + last[-1:]])
        text = read.text + last[-1:]
        if letter not in LETTERS or text not in (one.hotword for one in hotwords.near(read.text)):
            continue
        own, longer = stream.logprobs([read.tokens, (*read.tokens, engine.table.pieces.index(letter))])
        assert engine.rescorer().gains(stream, read, [text], [-math.inf]) == [pytest.approx(longer - own, abs=1e-3)]
        [near] = hotwords.near(read.text)
        listener = Listener(engine)
        listener.names.hotwords = hotwords
        heard = listener.hear(samples, language="en")
        doubt = -min(read.token_logprobs)
        borne_out = (
            evidence(FRAMES, near, doubt, longer - own) >= THRESHOLD or evidence(WRITTEN, near, 0.0) >= THRESHOLD
        )
        assert heard.text == (text if borne_out else read.text)
        seen.add(borne_out)
    assert seen == {True, False}
