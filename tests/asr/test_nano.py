"""The Fun-ASR-Nano engine in FunASR's way, over small random models."""

from __future__ import annotations

import functools
import itertools
import resource
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from agentbox import inference
from agentbox.asr import guards, nano_llm
from agentbox.asr.belief import Decoding
from agentbox.asr.engine import Aborted, Hints, Spelling
from agentbox.asr.features import Fbank, stacked
from agentbox.asr.nano import Nano, thinned_rows
from agentbox.asr.sound import MIN_SAMPLES
from agentbox.errors import InputError, ModelError
from benchmarks.nano_graphs import Size
from benchmarks.qwen_table import letters
from tests.asr.nano_models import MERGED, small_model, sound


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("nano"), 300)


@pytest.fixture(scope="module")
def engine(folder: Path) -> Nano:
    return Nano(folder, name="own")


def plain_features(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """FunASR's features by their definition, without any of the engine's code: [rows, 560]."""
    sound = samples.astype(np.float64) * 32768
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(400) / 399)

    def mel(hz: float) -> float:
        return 1127 * float(np.log(1 + hz / 700))

    step = (mel(8000) - mel(20)) / 81
    lines, at = np.arange(256), np.arange(400)
    waves = np.exp(-2j * np.pi * np.outer(at, lines) / 512)
    distance = [[abs(mel(line * 31.25) - mel(20) - (bin_ + 1) * step) / step for bin_ in range(80)] for line in lines]
    triangles = np.maximum(0.0, 1.0 - np.array(distance))
    frames = []
    for start in range(0, len(sound) - 399, 160):
        frame = sound[start : start + 400] - sound[start : start + 400].mean()
        frame = np.array([frame[0] * 0.03] + [frame[n] - 0.97 * frame[n - 1] for n in range(1, 400)]) * window
        frames.append(np.log(np.maximum(np.abs(frame @ waves) ** 2 @ triangles, 2.0**-23)))
    count = -(-len(frames) // 6)
    clipped = [[min(max(6 * row + n - 3, 0), len(frames) - 1) for n in range(7)] for row in range(count)]
    return np.array([np.concatenate([frames[n] for n in row]) for row in clipped])


def plain_tokens(text: str) -> list[int]:
    """The small tokenizer's, by replacing one pair after the other."""
    spelt = letters()
    vocabulary, merges = list(spelt), []
    for word in MERGED:
        first, *rest = [spelt[byte] for byte in word.encode()]
        for letter in rest:
            if first + letter not in vocabulary:
                merges.append((first, letter))
                vocabulary.append(first + letter)
            first += letter
    pieces = [spelt[byte] for byte in text.encode()]
    for pair in merges:
        at = 0
        while at < len(pieces) - 1:
            if (pieces[at], pieces[at + 1]) == pair:
                pieces[at : at + 2] = ["".join(pair)]
            at += 1
    return [vocabulary.index(piece) for piece in pieces]


def run(folder: Path, part: str, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = session_of(folder / f"{part}.onnx").run(None, feeds)[0]
    return found


@functools.cache
def session_of(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def plain_answer(folder: Path, samples: NDArray[np.float32], most: int) -> list[int]:
    """FunASR's way from sound to tokens: everything is worked out anew for every token, and nothing is cached."""
    words = len({word[:n] for word in (word.encode() for word in MERGED) for n in range(2, len(word) + 1)})
    mark = {"end of text": 256 + words, "start": 256 + words + 1, "end": 256 + words + 2}
    features = plain_features(samples).astype(np.float32)
    rows = len(features)
    a = 1 + (rows - 3 + 2) // 2
    b = 1 + (a - 3 + 2) // 2
    heard = run(folder, "encoder_adaptor", {"x": features[None]})[0][: (b - 1) // 2 + 1]
    line = plain_tokens("\n")
    before = [mark["start"], *plain_tokens("system\nYou are a helpful assistant."), mark["end"], *line]
    before += [mark["start"], *plain_tokens("user\n语音转写成中文：")]
    after = [mark["end"], *line, mark["start"], *plain_tokens("assistant\n")]
    empty = {
        f"cache_{part}_{layer}": np.zeros((1, 512, 2, 8), np.float32) for part in ("key", "value") for layer in (0, 1)
    }
    tokens: list[int] = []
    while len(tokens) < most:
        table = [run(folder, "embedding", {"input_ids": np.array([ids])})[0] for ids in (before, after + tokens)]
        given = np.concatenate([table[0], heard, table[1]])[None]
        at = np.arange(given.shape[1])
        feeds = {"inputs_embeds": given, "attention_mask": np.ones_like(at)[None], "cache_position": at, **empty}
        token = int(run(folder, "llm", feeds)[0, -1].argmax())
        if token in (mark["end of text"], mark["end"]):
            break
        tokens.append(token)
    return tokens


@pytest.mark.parametrize("seconds", [0.1, 0.43, 1.0])
def test_the_reference_by_its_definition(folder: Path, engine: Nano, seconds: float) -> None:
    samples = sound(4, seconds)
    expected = plain_answer(folder, samples, 12)
    decoding = engine.decode(engine.encode(samples, language="zh-CN"), cap=12)
    assert list(decoding.tokens) == expected
    assert len(set(expected)) > 3


def test_features_by_their_definition() -> None:
    samples = sound(5, 0.2)
    expected = plain_features(samples)
    assert expected.shape == (3, 560)
    np.testing.assert_allclose(Fbank()(samples)[::6], expected[:, 3 * 80 : 4 * 80], atol=1e-4)
    np.testing.assert_allclose(stacked(Fbank()(samples)), expected, atol=1e-4)


def test_rows_given_to_the_language_model() -> None:
    """FunASR counts them by halving three times; a minute is said to make 126."""
    for rows in range(1, 700):
        a = 1 + (rows - 3 + 2) // 2
        b = 1 + (a - 3 + 2) // 2
        assert thinned_rows(rows) == (b - 1) // 2 + 1
    assert thinned_rows(1000) == 125


def test_one_encoding_can_be_decoded_again(engine: Nano) -> None:
    encoding = engine.encode(sound(1, 1.0))
    first = engine.decode(encoding, cap=9)
    assert len(first.tokens) == 9
    assert first.capped
    assert engine.decode(encoding, cap=9) == first


def test_a_copied_state_goes_its_own_way(engine: Nano) -> None:
    encoding = engine.encode(sound(1, 1.0))
    state = encoding.begun
    one, two = state.copy(), state.copy()
    apart = [engine.step(token, own) for token, own in ((70, one), (71, two))]
    assert np.abs(apart[0] - apart[1]).max() > 0.1
    assert one.rows == two.rows == state.rows + 1
    again = engine.step(70, state)
    np.testing.assert_array_equal(again, apart[0])
    state.rows -= 1
    np.testing.assert_array_equal(engine.step(71, state), apart[1])


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def test_a_state_takes_memory_for_its_rows_and_no_more() -> None:
    """There is room for 134 MB in each of these; 40 rows are 5 MB."""
    state = nano_llm.LlmState(nano_llm.room_for((32, 1, 1024, 8, 128), np.float32))
    state.caches[:, :, :40] = 1.0
    state.rows = 40
    before = resident_mb()
    copies = [state.copy() for _ in range(3)]
    assert resident_mb() - before < 60
    assert all((copy.caches[:, :, :41].sum(axis=(0, 1, 3, 4)) == [*[32 * 1024.0] * 40, 0.0]).all() for copy in copies)


def test_only_what_the_mask_leaves_is_chosen(engine: Nano) -> None:
    allowed = engine.table.encode("the light on")

    def mask(tokens: Sequence[int], logits: nano_llm.Floats) -> nano_llm.Floats:
        left = np.full_like(logits, -np.inf)
        left[allowed[len(tokens)]] = logits[allowed[len(tokens)]]
        return left

    decoding = engine.decode(engine.encode(sound(1, 1.0)), cap=len(allowed), mask=mask)
    assert engine.table.decode(decoding.tokens) == "the light on"
    # How likely they are is another matter.
    logits = engine.encode(sound(1, 1.0)).logits.astype(np.float64)
    logprob = logits[allowed[0]] - np.log(np.exp(logits).sum())
    assert logprob < -1
    assert decoding.logprobs[0] == pytest.approx(logprob, abs=1e-3)


def test_where_the_mask_leaves_nothing_the_model_has_failed(engine: Nano) -> None:
    with pytest.raises(ModelError) as failed:
        engine.decode(engine.encode(sound(1, 1.0)), mask=lambda _, logits: np.full_like(logits, -np.inf))
    assert failed.value.code == "model_failed"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("/sil", ""),
        ("[breath]", ""),
        ("<|zh|>/silendofbreak", ""),
        ("开灯[noise] the<|en|> light", "开灯 the light"),
        ("a < b/c", "a < b/c"),
    ],
)
def test_what_stands_for_no_words_is_no_text(engine: Nano, written: str, text: str) -> None:
    tokens = tuple(engine.table.encode(written))
    assert isinstance(engine, Spelling)
    assert engine.spell(tokens) == text
    heard = engine.believed(Decoding(tokens, (-0.1,) * len(tokens), capped=False), speech_s=20.0)
    assert (heard.text, heard.suppressed) == (text, None if text else "no_speech")


def test_a_long_prompt_in_pieces_is_the_same(engine: Nano, monkeypatch: pytest.MonkeyPatch) -> None:
    hints = Hints(hotwords=("living room", "客厅"), before="开灯")
    whole = engine.encode(sound(1, 1.0), language="zh", hints=hints)
    monkeypatch.setattr(nano_llm, "_ROWS_PER_RUN", 5)
    pieces = engine.encode(sound(1, 1.0), language="zh", hints=hints)
    assert whole.begun.rows == pieces.begun.rows > 100
    np.testing.assert_allclose(whole.logits, pieces.logits, atol=1e-4)


def test_hints_change_what_is_heard_and_go_first_when_there_is_no_room(tmp_path: Path) -> None:
    hints = Hints(hotwords=("living room",))
    for room, helps in ((512, True), (140, False)):
        engine = Nano(small_model(tmp_path / str(room), 300, Size(most_rows=room)), name="own")
        with_hints, without = (engine.encode(sound(1, 1.0), hints=some) for some in (hints, Hints()))
        assert (with_hints.begun.rows > without.begun.rows) is helps
        assert np.array_equal(with_hints.logits, without.logits) is not helps


def test_sound_longer_than_the_room_is_heard_in_part(tmp_path: Path) -> None:
    engine = Nano(small_model(tmp_path, 300, Size(most_rows=130)), name="own")
    encoding = engine.encode(sound(1, 40.0))
    assert encoding.begun.rows == 130
    assert engine.decode(encoding) == Decoding((), (), capped=True)
    heard = engine.transcribe(sound(1, 40.0), language="")
    assert (heard.text, heard.suppressed) == ("", None)


def test_partials_grow_by_whole_letters(engine: Nano) -> None:
    told: list[str] = []
    heard = engine.transcribe(sound(2, 1.5), language="zh", partial=told.append)
    assert len(told) > 5
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(told))
    assert told[-1] == engine.table.decode(heard.tokens).strip()
    assert heard.audio_ms == 1500
    assert 0 < heard.encode_ms < heard.decode_ms
    assert heard.confidence is not None
    assert len(heard.tokens) == len(heard.token_logprobs) <= guards.token_cap(1.5, guards.DENSE_TOKENS_PER_SECOND)


def test_what_is_no_speech(engine: Nano) -> None:
    assert engine.transcribe(sound(1, 1.0)[: MIN_SAMPLES - 1], language="zh").suppressed == "too_short"
    assert engine.transcribe(sound(1, 1.0), language="zh", speech_ms=0).suppressed == "no_speech"
    with pytest.raises(InputError) as refused:
        engine.transcribe(np.full(MIN_SAMPLES, np.nan, dtype=np.float32), language="zh")
    assert refused.value.code == "audio_not_finite"


def test_decoding_stops_when_it_is_no_longer_wanted(engine: Nano) -> None:
    asked = iter([False, False, True])
    with pytest.raises(Aborted):
        engine.transcribe(sound(2, 1.5), language="zh", abort=lambda: next(asked))
    assert next(asked, None) is None


def test_a_model_that_repeats_itself_is_stopped(tmp_path: Path) -> None:
    """One layer more or less, and random models fall into a circle soon."""
    engine = Nano(small_model(tmp_path, 600, Size(layers=1), ending=-99.0), name="own")
    samples = sound(3, 12.0)
    decoding = engine.decode(engine.encode(samples))
    assert decoding.capped
    assert len(decoding.tokens) < guards.token_cap(12.0, guards.DENSE_TOKENS_PER_SECOND)
    assert guards.is_stuck(decoding.tokens)
    assert not guards.is_stuck(decoding.tokens[:-1])
    assert engine.transcribe(samples, language="zh").suppressed == "loop"


@pytest.mark.parametrize(("speech_ms", "believed"), [(300, None), (900, False), (900, True)])
def test_a_model_that_ends_at_once_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech_ms: int, believed: bool | None
) -> None:
    engine = Nano(small_model(tmp_path, 300, ending=99.0), name="own")
    samples = sound(1, 1.0)
    assert engine.decode(engine.encode(samples)) == Decoding((), (), capped=False)
    monkeypatch.setattr(guards, "SECOND_LOOK_BELIEF", 0.0 if believed else 0.9)
    heard = engine.transcribe(samples, language="zh", speech_ms=speech_ms)
    assert bool(heard.text) is bool(believed)
    assert len(heard.tokens) == (0 if believed is None else 1)
    assert heard.suppressed == ("no_speech" if believed is False else None)


def test_signed_bytes_where_their_sums_would_overflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime is then told to use unsigned ones: the same numbers, here too."""
    folder = small_model(tmp_path, 300, replace(Size(), quantised=True))
    samples = sound(1, 1.0)
    logits = []
    for able in (True, False):
        monkeypatch.setattr(inference, "has_vnni", lambda able=able: able)
        logits.append(Nano(folder, name="own").encode(samples).logits)
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-3)


def test_rest(engine: Nano) -> None:
    before = engine.transcribe(sound(1, 1.0), language="zh").text
    last = weakref.ref(engine.encode(sound(1, 1.0)).begun)
    assert last() is not None
    engine.rest()
    assert last() is None
    assert engine.transcribe(sound(1, 1.0), language="zh").text == before
