"""Wake phrases by sound, with the real model on real speech."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.moonshine import Moonshine
from agentbox.asr.tokens import TokenTable
from agentbox.asr.wake import (
    FIRST_LOOK_MS,
    LAST_LOOK_MS,
    LEAST_EVIDENCE,
    LOOK_EVERY_MS,
    PRIOR_WEIGHT,
    SILENT_MS,
    SURE,
    PhraseScorer,
    Watch,
    is_due,
    spellings,
    threshold,
)
from agentbox.errors import ConfigError
from agentbox.messages import SAMPLE_RATE_HZ
from tests.asr.conftest import DATA, read

Sound = NDArray[np.float32]
PHRASES = ("ever tried", "snowboy", "hey computer")


@pytest.fixture(scope="session")
def table(engine: Moonshine) -> TokenTable:
    return engine.table


@pytest.fixture(scope="session")
def scorer(engine: Moonshine) -> PhraseScorer:
    return PhraseScorer(engine, PHRASES)


def test_a_phrase_is_found_where_the_sound_begins_with_it(scorer: PhraseScorer, recordings: dict[str, Sound]) -> None:
    said, *others = scorer.look(recordings["beckett"])
    assert said.phrase == "ever tried"
    assert said.evidence > threshold(0.5)
    assert said.logprob > -1.0
    assert all(other.evidence < threshold(0.5) for other in others)


def test_a_phrase_is_found_in_the_first_seconds_too(scorer: PhraseScorer, recordings: dict[str, Sound]) -> None:
    began = recordings["beckett"][: 2 * SAMPLE_RATE_HZ]
    assert scorer.look(began)[0].evidence > threshold(0.5)


def test_words_that_come_later_do_not_count(
    engine: Moonshine, table: TokenTable, scorer: PhraseScorer, recordings: dict[str, Sound]
) -> None:
    text = table.decode(engine.decode(engine.encode(recordings["beckett"])).tokens)
    assert text.lower().startswith("ever tried")
    later = text.lower().split()[3].strip(".,?!")
    assert PhraseScorer(engine, [later]).look(recordings["beckett"])[0].evidence < threshold(0.5)


def test_what_follows_the_phrase_is_read(
    engine: Moonshine, table: TokenTable, scorer: PhraseScorer, recordings: dict[str, Sound]
) -> None:
    encoding = engine.encode(recordings["beckett"])
    whole = table.decode(engine.decode(encoding).tokens)
    decoding = scorer.read_on(encoding, scorer.score(encoding)[0])
    rest = table.decode(decoding.tokens)
    assert whole.endswith(rest)
    assert len(whole) - len(rest) < len("Ever tried....")
    assert len(decoding.tokens) == len(decoding.logprobs)
    assert not decoding.capped


def test_scores_do_not_depend_on_the_other_phrases(
    engine: Moonshine, scorer: PhraseScorer, recordings: dict[str, Sound]
) -> None:
    alone = PhraseScorer(engine, [PHRASES[0]])
    encoding = engine.encode(recordings["beckett"])
    assert alone.priors[0] == pytest.approx(scorer.priors[0], abs=0.2)
    assert alone.score(encoding)[0].logprob == pytest.approx(scorer.score(encoding)[0].logprob, abs=0.2)


def test_the_expectation_without_sound_is_taken_out(
    engine: Moonshine, scorer: PhraseScorer, recordings: dict[str, Sound]
) -> None:
    said = scorer.score(engine.encode(recordings["beckett"]))[0]
    assert said.evidence == pytest.approx(said.logprob - PRIOR_WEIGHT * scorer.priors[0])
    assert all(-40.0 < prior < -5.0 for prior in scorer.priors)


def test_silence_and_noise_hold_no_phrase(scorer: PhraseScorer) -> None:
    draw = np.random.default_rng(3)
    for level in (0.0, 1e-4, 0.05):
        sound = (draw.standard_normal(SAMPLE_RATE_HZ) * level).astype(np.float32)
        assert all(one.evidence < 0.0 for one in scorer.look(sound))


def test_spellings_are_those_a_recogniser_may_write(table: TokenTable) -> None:
    speller = Speller(table)

    def written(phrase: str) -> set[str]:
        return {table.decode(tokens) for tokens in spellings(phrase, speller)}

    assert {"snowboy", "Snowboy", "snow boy", "Snow boy", "Snow-boy"} <= written("snowboy")
    assert {"Hey computer", "hey computer", "Hey, computer", "Heycomputer", "Hey-computer"} <= written("hey computer")
    assert {"alexa", "Alexa"} == written("alexa")
    assert written("Hey  Computer") == written("Hey Computer")


def test_no_spelling_is_parted_where_the_language_has_no_spaces(table: TokenTable) -> None:
    assert all(" " not in table.decode(tokens) for tokens in spellings("snowboy", Speller(table), spaced=False))


@pytest.mark.parametrize("phrase", ["", "   ", "?!", "--"])
def test_a_phrase_needs_letters(engine: Moonshine, phrase: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        PhraseScorer(engine, ["computer", phrase])
    assert wrong.value.code == "phrase_without_letters"


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=40))
def test_looks_are_neither_early_nor_frequent_nor_late(steps: list[int]) -> None:
    samples = looked_at = 0
    looks = []
    for step in steps:
        samples += step
        if is_due(samples, looked_at):
            looks.append(samples * 1000 / SAMPLE_RATE_HZ)
            looked_at = samples
    assert all(FIRST_LOOK_MS <= one <= LAST_LOOK_MS for one in looks)
    assert all(second - first >= LOOK_EVERY_MS - 1e-6 for first, second in pairwise(looks))


def test_the_first_silence_after_a_word_is_looked_at_once() -> None:
    second = SAMPLE_RATE_HZ
    silent = SILENT_MS * SAMPLE_RATE_HZ // 1000
    looked_at = second
    now = second + 2 * silent
    assert not is_due(now, looked_at), "too soon for another look while somebody speaks"
    assert is_due(now, looked_at, silence_ms=SILENT_MS)
    assert not is_due(now + silent, now, silence_ms=2 * SILENT_MS), "it was looked at in this silence"
    assert not is_due(silent * 2, 0, silence_ms=SILENT_MS), "too short to hold a phrase"


def test_a_pause_is_looked_at_unless_it_comes_late() -> None:
    assert is_due(SAMPLE_RATE_HZ // 2, None)
    assert not is_due(LAST_LOOK_MS * SAMPLE_RATE_HZ // 1000 + 1, None)


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_sensitivity_hears_no_less(one: float, other: float) -> None:
    assert (threshold(one) - threshold(other)) * (one - other) <= 0
    assert threshold(max(one, other)) > LEAST_EVIDENCE


def test_two_looks_in_a_row_are_needed_for_the_same_phrase() -> None:
    enough = threshold(0.5) + 0.1
    assert looked([enough, -9.0], [enough, -9.0]) == [None, 0]
    assert looked([enough, -9.0], [-9.0, enough], [-9.0, enough]) == [None, None, 1]
    assert looked([enough, -9.0], [-math.inf, -9.0], [enough, -9.0]) == [None, None, None]
    assert looked([enough, enough + 0.1], [enough, enough + 0.1]) == [None, 1]
    assert looked([threshold(0.5) - 0.1], [threshold(0.5) - 0.1]) == [None, None]
    assert looked([]) == [None]


def test_one_look_is_enough_when_it_is_sure_or_the_only_one() -> None:
    assert looked([threshold(0.5) + SURE]) == [0]
    assert Watch().look([threshold(0.5) + 0.1], last=True) == 0
    assert Watch(1.0).look([threshold(0.5)], last=True) == 0
    assert Watch(0.0).look([threshold(0.5)], last=True) is None
    late = Watch()
    assert late.look([-9.0]) is None
    assert late.look([threshold(0.5) + 0.1], last=True) is None


def looked(*looks: list[float]) -> list[int | None]:
    watch = Watch()
    return [watch.look(one) for one in looks]


def test_real_words_are_told_apart(engine: Moonshine) -> None:
    folder = DATA / "wake"
    if not folder.is_dir():
        pytest.skip("the recordings of ../shared/data are not here")
    words = sorted(path.name for path in folder.iterdir())
    scorer = PhraseScorer(engine, words)
    for number, word in enumerate(words):
        for file in sorted((folder / word).glob("*.flac"))[2:4]:
            scores = scorer.look(read(file))
            assert scores[number].evidence > threshold(0.5), file.name
            assert all(one.evidence < threshold(0.5) for one in scores if one.phrase != word), file.name
