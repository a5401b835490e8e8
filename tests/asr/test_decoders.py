"""A model's decoder put together anew against the same decoder as it is exported."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from agentbox.asr import lean
from agentbox.asr.catalogue import Catalogue
from agentbox.asr.decoders import Floats, Ints, LeanDecoder, MergedDecoder, open_decoder
from agentbox.asr.logits import log_softmax
from agentbox.asr.moonshine import FRAME_SAMPLES, Moonshine
from agentbox.asr.pull import ensure
from agentbox.asr.tokens import END, START
from agentbox.inference import has_vnni

LIKELY = -8.0
"""Natural logarithm; what is less likely than this is not compared."""


class Both(NamedTuple):
    lean: LeanDecoder
    merged: MergedDecoder
    hidden: Floats
    tokens: tuple[int, ...]


@pytest.fixture(scope="module")
def both(engine: Moonshine, models_dir: Path, recordings: dict[str, NDArray[np.float32]]) -> Both:
    file = models_dir / "moonshine-tiny-en" / "decoder_model_merged.ort"
    decoder = open_decoder(file, 1)
    assert isinstance(decoder, LeanDecoder)
    hidden = engine._encode(recordings["beckett"], FRAME_SAMPLES)
    return Both(decoder, MergedDecoder(file, 1), hidden, engine.decode(engine.encode(recordings["beckett"])).tokens)


def ids(*tokens: int) -> Ints:
    return np.array([tokens], dtype=np.int64)


def apart(one: Floats, other: Floats) -> Floats:
    """How far the logarithms of likely tokens' probabilities are apart."""
    a, b = log_softmax(one), log_softmax(other)
    gaps: Floats = np.abs(a - b)[a > LIKELY]
    return gaps


def test_token_by_token_it_gives_the_same_numbers(both: Both) -> None:
    """The weights are the same integers; what is rounded otherwise now and then is a quantised activation."""
    begun = both.lean.begin(both.hidden), both.merged.begin(both.hidden)
    gaps = []
    for token in (START, *both.tokens):
        (one, first), (other, second) = both.lean.append(ids(token), begun[0]), both.merged.append(ids(token), begun[1])
        begun = first, second
        assert one.shape == other.shape == (1, 32768)
        assert int(one.argmax()) == int(other.argmax())
        gaps.append(float(apart(one, other).max()))
    assert np.median(gaps) < 1e-3
    assert max(gaps) < 0.5
    assert [cache.shape for cache in begun[0].own] == [cache.shape for cache in begun[1].own]
    assert all(np.abs(a - b).max() < 0.5 for a, b in zip(begun[0].own, begun[1].own, strict=True))


def test_the_older_export_gives_the_same_numbers(models_dir: Path, recordings: dict[str, NDArray[np.float32]]) -> None:
    """It computes with floats; here the activations are rounded to 8 bits, and the weights are the same."""
    folder = ensure(Catalogue.load().get("moonshine-base-en"), models_dir)
    base, file = Moonshine(folder, name="base"), folder / "decoder_model_merged.ort"
    assert isinstance(base._decoder, LeanDecoder)
    merged = MergedDecoder(file, 1)
    hidden = base._encode(recordings["two_cities"][: 3 * 16_000], FRAME_SAMPLES)
    first, second = base._decoder.begin(hidden), merged.begin(hidden)
    token, gaps = START, list[float]()
    while token != END and len(gaps) < 20:
        (one, first), (other, second) = base._decoder.append(ids(token), first), merged.append(ids(token), second)
        token = int(other.argmax())
        assert int(one.argmax()) == token
        gaps.append(float(apart(one, other).max()))
    assert token == END
    assert max(gaps) < 0.8
    assert np.median(gaps) < 0.3
    unsigned = lean.build(file)
    assert unsigned is not None
    decoder = LeanDecoder(unsigned, file, 1)
    logits, _ = decoder.append(ids(START), decoder.begin(hidden))
    assert apart(logits, merged.append(ids(START), merged.begin(hidden))[0]).max() < 0.8


@pytest.mark.parametrize("table", [0x7FFFFF, 29, 0xFFFFFFFF, 0])
def test_a_file_whose_tables_are_damaged_is_none_of_the_known_ones(
    models_dir: Path, tmp_path: Path, table: int
) -> None:
    data = bytearray((models_dir / "moonshine-tiny-en" / "decoder_model_merged.ort").read_bytes())
    root = int.from_bytes(data[:4], "little")
    data[root : root + 4] = table.to_bytes(4, "little")
    (tmp_path / "damaged.ort").write_bytes(data)
    assert lean.build(tmp_path / "damaged.ort") is None


def test_signed_and_unsigned_weights_give_the_same_bits(both: Both, models_dir: Path) -> None:
    if not has_vnni():
        pytest.skip("this processor multiplies signed weights wrongly")
    file = models_dir / "moonshine-tiny-en" / "decoder_model_merged.ort"
    found = []
    for signed in (False, True):
        graphs = lean.build(file, signed=signed)
        assert graphs is not None
        decoder = LeanDecoder(graphs, file, 1)
        found.append(decoder.append(ids(START, *both.tokens), decoder.begin(both.hidden))[0])
    assert np.array_equal(found[0], found[1])


def test_a_batch_gives_the_same_numbers_row_by_row(both: Both) -> None:
    results = []
    for decoder in both[:2]:
        logits, state = decoder.append(ids(START), decoder.begin(both.hidden))
        some = np.argsort(-logits[0])[:5]
        _, state = decoder.append(some[:, None], state.rows([0] * 5))
        logits, state = decoder.append(some[::-1, None].copy(), state.rows([3, 0, 0, 1, 4]))
        assert state.own[0].shape[::2] == (5, 3)
        results.append(logits)
    gaps = [apart(one[None], other[None]) for one, other in zip(*results, strict=True)]
    assert np.median(np.concatenate(gaps)) < 1e-3


def test_several_tokens_at_once_are_those_tokens_one_after_the_other(both: Both) -> None:
    """They share their quantisation ranges then, so the figures are near."""
    tokens = both.tokens[:6]
    at_once, state = both.lean.append(ids(START, *tokens), both.lean.begin(both.hidden))
    after, stepped = both.lean.append(ids(START), both.lean.begin(both.hidden))
    for token in tokens:
        after, stepped = both.lean.append(ids(token), stepped)
    assert int(at_once.argmax()) == int(after.argmax())
    assert [cache.shape for cache in state.own] == [cache.shape for cache in stepped.own]
    assert max(np.abs(a - b).max() / b.std() for a, b in zip(state.own, stepped.own, strict=True)) < 1


def test_continuations_are_what_comes_after_each_prefix(both: Both) -> None:
    prefixes = np.array([[START, *both.tokens[at : at + 3]] for at in range(12)], dtype=np.int64)
    found = both.lean.continuations(both.lean.begin(both.hidden), prefixes)
    merged = both.merged.continuations(both.merged.begin(both.hidden), prefixes)
    assert found.shape == merged.shape == (12, 32768)
    assert apart(merged, found).mean() < 0.2
    assert apart(merged, found[::-1]).mean() > 0.5
    begun = both.lean.begin(both.hidden)
    assert np.array_equal(both.lean.continuations(begun, ids(START)), both.lean.append(ids(START), begun)[0])


def test_what_is_put_together_otherwise_is_left_as_it_is(models_dir: Path, tmp_path: Path) -> None:
    model = models_dir / "moonshine-tiny-en"
    assert lean.build(model / "encoder_model.ort") is None
    assert lean.build(model / "tokenizer.bin") is None
    whole = (model / "decoder_model_merged.ort").read_bytes()
    cut = tmp_path / "decoder_model_merged.ort"
    for size in (0, 4, 8, 100, 10_000, len(whole) // 2):
        cut.write_bytes(whole[:size])
        assert lean.build(cut) is None
