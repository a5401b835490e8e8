"""SenseVoice: token for token as sherpa-onnx, number for number as numpy, and what its tags become."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import sherpa_onnx

from agentbox.asr.engine import Aborted, Hints, Opening
from agentbox.asr.features import Features
from agentbox.asr.graph_files import fingerprint
from agentbox.asr.sense_voice import is_model_folder, open_model
from agentbox.asr.single_run import Scores, SingleRun, known_sentence
from agentbox.errors import InputError, ModelError
from tests.asr.tiny_models import (
    SENSE_VOICE_PIECES,
    heard_by_sherpa,
    rows_by_kaldi,
    sense_voice,
    sense_voice_saying,
    sound,
    told,
    write_tokens,
)

LENGTHS = (4_000, 16_000, 33_333, 48_000)


def opened(folder: Path, **more: object) -> SingleRun:
    return open_model(folder, Opening(name="tiny", **more))  # type: ignore[arg-type]


def spelled(tokens: tuple[int, ...]) -> list[str]:
    return [SENSE_VOICE_PIECES[token].replace("\u2581", " ") for token in tokens]


@pytest.mark.parametrize("seed", range(10))
def test_token_for_token_as_sherpa(tmp_path: Path, seed: int) -> None:
    """10 models x 3 languages x 4 sounds."""
    sense_voice(tmp_path, seed)
    engine = opened(tmp_path)
    found: set[int] = set()
    for language in ("auto", "zh", "en"):
        oracle = sherpa_onnx.OfflineRecognizer.from_sense_voice(
            model=str(tmp_path / "model.onnx"),
            tokens=str(tmp_path / "tokens.txt"),
            language="" if language == "auto" else language,
            use_itn=True,
        )
        for length in LENGTHS:
            samples = sound(length, seed * 10 + length)
            theirs = heard_by_sherpa(oracle, samples)
            scores = engine.reader.scores(engine.frontend(samples), language)
            ours = engine.reader.read(scores, engine.frontend.row_ms)
            assert spelled(ours.tokens) == list(theirs.tokens)
            assert ours.token_ms == tuple(round(1000 * at) for at in theirs.timestamps)
            tags = [SENSE_VOICE_PIECES[token] for token in scores.logits[:3].argmax(axis=1)]
            assert tags == [theirs.lang, theirs.emotion, theirs.event]
            found.update(ours.tokens)
    assert len(found) >= 5


@pytest.mark.parametrize("seed", range(3))
def test_number_for_number_as_numpy(tmp_path: Path, seed: int) -> None:
    weights = sense_voice(tmp_path, seed)
    engine = opened(tmp_path)
    samples = sound(20_000, seed)
    rows = (rows_by_kaldi(samples) + np.float32(weights.mean)) * weights.scale
    asked = np.stack([weights.queries[at] for at in (4, 1, 2, 14)])
    first, others = weights.tag_biases()
    logits = weights.hidden(np.concatenate([asked, rows])) @ weights.out + weights.bias
    logits = logits + np.concatenate([first, np.tile(others, (len(rows), 1))])
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    recognition, scores_of_it = engine.listen(samples, language="en-GB")
    assert scores_of_it is not None
    frames = engine.frames(scores_of_it)
    assert frames is not None
    assert (frames.blank, frames.frame_ms) == (0, 60)
    np.testing.assert_allclose(frames.logprobs, logprobs[4:], atol=0.02)
    at, tokens, scores, times = 0, [], [], []
    for token, run in itertools.groupby(logprobs[4:].argmax(axis=1).tolist()):
        length = len(list(run))
        if token:
            tokens.append(token)
            scores.append(logprobs[4 + at : 4 + at + length, token].max())
            times.append(at * 60)
        at += length
    heard = engine.reader.read(engine.reader.scores(engine.frontend(samples), "en"), 60)
    assert (list(heard.tokens), list(heard.token_ms)) == (tokens, times)
    assert heard.logprobs == pytest.approx(scores, abs=0.02)
    assert recognition.tokens == heard.tokens


@pytest.mark.parametrize(
    ("tags", "language", "emotion", "event"),
    [
        (("zh", "HAPPY", "Laughter", "withitn"), "zh", "happy", "laughter"),
        (("yue", "SAD", "BGM", "woitn"), "yue", "sad", "music"),
        (("en", "EMO_UNKNOWN", "Speech", "withitn"), "en", None, "speech"),
        (("ko", "NEUTRAL", "Event_UNK", "withitn"), "ko", "neutral", None),
    ],
)
def test_tags_become_fields(
    tmp_path: Path, tags: tuple[str, ...], language: str, emotion: str | None, event: str | None
) -> None:
    sense_voice_saying(tmp_path, *tags)
    heard = opened(tmp_path).transcribe(sound(32_000, 5), language="zh-CN")
    assert (heard.language, heard.emotion, heard.sound_event) == (language, emotion, event)
    assert heard.text
    assert "<" not in heard.text
    assert len(heard.tokens) == len(heard.token_logprobs) == len(heard.token_ms) > 3
    assert heard.audio_ms == 2_000
    assert 0 < heard.encode_ms <= heard.decode_ms


def test_what_the_model_takes_for_no_speech_is_no_text(tmp_path: Path) -> None:
    sense_voice_saying(tmp_path, "nospeech", "EMO_UNKNOWN", "BGM", "withitn")
    heard = opened(tmp_path).transcribe(sound(32_000, 5), language="zh")
    assert (heard.text, heard.suppressed, heard.sound_event) == ("", "no_speech", "music")
    assert heard.tokens


def test_text_keeps_its_punctuation(tmp_path: Path) -> None:
    sense_voice(tmp_path, 1)
    pieces = list(SENSE_VOICE_PIECES)
    pieces[1:8] = ["打", "开", "\u2581living", "\u2581room", "，", "。", "！"]
    write_tokens(tmp_path, pieces)
    reader = opened(tmp_path).reader
    assert reader.spell((1, 2, 3, 4, 5, 1, 6, 7)) == "打开 living room，打。！"


def test_another_language_is_found_out(tmp_path: Path) -> None:
    """A language that the model does not know is asked for as `auto`, by tags with regions and without."""
    weights = sense_voice(tmp_path, 2, metadata={"lang_zh": "5", "lang_auto": "9"})
    reader = opened(tmp_path).reader
    features = np.random.default_rng(1).normal(0, 1, (5, 560)).astype(np.float32)
    for language, number in {"zh": 5, "zh-TW": 5, "ZH-cn": 5, "en-AU": 4, "de": 9, "": 9, "auto": 9}.items():
        asked = np.stack([weights.queries[at] for at in (number, 1, 2, 14)])
        logits = weights.hidden(np.concatenate([asked, features])) @ weights.out + weights.bias
        first, _ = weights.tag_biases()
        np.testing.assert_allclose(reader.scores(features, language).logits[:2], (logits[:4] + first)[:2], atol=1e-3)


def test_of_several_languages_it_finds_out_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sense_voice(tmp_path, 1)
    engine = opened(tmp_path)
    told: list[str] = []
    scores = engine.reader.scores

    def listening(features: Features, language: str) -> Scores:
        told.append(language)
        return scores(features, language)

    monkeypatch.setattr(engine.reader, "scores", listening)
    for languages in ((), ("zh",), ("zh", "en")):
        engine.transcribe(sound(16_000), language="zh", hints=Hints(languages=languages))
    assert told == ["zh", "zh", "und"]


def test_as_funasr_exports_it(tmp_path: Path) -> None:
    """No metadata, other names, normalisation in am.mvn, and a list of tokens."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    weights = sense_voice(tmp_path / "a", 1)
    sense_voice(tmp_path / "b", 1, published=False)
    (tmp_path / "b" / "model.onnx").rename(tmp_path / "b" / "model_quant.onnx")
    (tmp_path / "b" / "tokens.txt").unlink()
    (tmp_path / "b" / "tokens.json").write_text(json.dumps(SENSE_VOICE_PIECES, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(ModelError, match=r"am\.mvn"):
        opened(tmp_path / "b")
    vectors = [told(values).replace(",", " ") for values in (weights.mean, weights.scale)]
    (tmp_path / "b" / "am.mvn").write_text(
        "<Nnet> \n<Splice> 560 560\n[ 0 ]\n"
        f"<AddShift> 560 560 \n<LearnRateCoef> 0 [ {vectors[0]} ]\n"
        f"<Rescale> 560 560 \n<LearnRateCoef> 0 [ {vectors[1]} ]\n</Nnet>\n"
    )
    assert is_model_folder(tmp_path / "a")
    assert is_model_folder(tmp_path / "b")
    samples = sound(40_000, 9)
    ours, theirs = (opened(tmp_path / name).transcribe(samples, language="zh") for name in "ab")
    assert ours.tokens == theirs.tokens
    assert ours.text == theirs.text != ""


def test_short_odd_and_unwanted_sound(tmp_path: Path) -> None:
    sense_voice(tmp_path, 1)
    engine = opened(tmp_path)
    too_short, nothing = engine.listen(sound(1_599), language="zh")
    assert (too_short.suppressed, nothing) == ("too_short", None)
    assert engine.transcribe(sound(16_000), language="zh", speech_ms=32).suppressed == "no_speech"
    assert engine.transcribe(sound(48_000), language="zh", speech_ms=70).suppressed in ("loop", "too_many_words")
    with pytest.raises(InputError, match="no numbers"):
        engine.transcribe(np.full(16_000, np.nan, dtype=np.float32), language="zh")
    with pytest.raises(Aborted):
        engine.transcribe(sound(16_000), language="zh", abort=lambda: True)
    engine.rest()


@pytest.mark.parametrize(
    "damage",
    [
        {"neg_mean": "1,2,3"},
        {"inv_stddev": "a,b"},
        {"neg_mean": told([float("nan")] * 560)},
        {"vocab_size": "999"},
        {"vocab_size": "many"},
        {"blank_id": "60"},
        {"lfr_window_shift": "0"},
        {"lfr_window_size": "5"},
    ],
)
def test_metadata_that_do_not_fit(tmp_path: Path, damage: dict[str, str]) -> None:
    sense_voice(tmp_path, 1, metadata=damage)
    with pytest.raises(ModelError) as refused:
        opened(tmp_path)
    assert refused.value.code == "model_damaged"


def test_a_table_of_another_model_is_found(tmp_path: Path) -> None:
    sense_voice(tmp_path, 1)
    write_tokens(tmp_path, [*SENSE_VOICE_PIECES[44:], *SENSE_VOICE_PIECES[:44]])
    with pytest.raises(ModelError, match="self-test"):
        opened(tmp_path)
    write_tokens(tmp_path, SENSE_VOICE_PIECES[:-3])
    with pytest.raises(ModelError, match="tokens"):
        opened(tmp_path)
    (tmp_path / "tokens.txt").unlink()
    assert not is_model_folder(tmp_path)


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    weights = sense_voice(tmp_path, 1)
    file = tmp_path / "model.onnx"
    good = file.read_bytes()
    bad = good.replace(weights.into[:1].tobytes(), np.full((1, 24), np.nan, dtype=np.float32).tobytes())
    assert bad != good
    file.write_bytes(bad)
    with pytest.raises(ModelError, match="self-test"):
        opened(tmp_path)


def test_numbers_that_make_no_sense_later_on_are_no_empty_text(tmp_path: Path) -> None:
    """The self-test does not ask for Korean."""
    weights = sense_voice(tmp_path, 1)
    file = tmp_path / "model.onnx"
    file.write_bytes(
        file.read_bytes().replace(weights.queries[12].tobytes(), np.full(560, np.nan, np.float32).tobytes())
    )
    engine = opened(tmp_path)
    assert engine.transcribe(sound(16_000), language="zh").tokens
    with pytest.raises(ModelError) as failed:
        engine.transcribe(sound(16_000), language="ko")
    assert failed.value.code == "model_failed"


@pytest.mark.parametrize("keep", [0, 60, 0.5, 0.999])
def test_a_truncated_file(tmp_path: Path, keep: float) -> None:
    sense_voice(tmp_path, 1)
    file = tmp_path / "model.onnx"
    data = file.read_bytes()
    file.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(ModelError) as refused:
        opened(tmp_path)
    assert refused.value.code == "model_damaged"


def test_a_catalogue_can_pin_the_numbers(tmp_path: Path) -> None:
    sense_voice(tmp_path, 1)
    engine = opened(tmp_path)
    rms = fingerprint(engine.reader.scores(engine.frontend(known_sentence()), "").logits, "tiny")
    opened(tmp_path, encoder_rms=rms)
    with pytest.raises(ModelError, match="self-test"):
        opened(tmp_path, encoder_rms=2 * rms)
