"""Decoding under a grammar with the real model: on real speech, on speech that is no command, and after a phrase."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from agentbox.asr.constrain.beam import NEAR, Search, _Live
from agentbox.asr.constrain.decoder import GrammarDecoder
from agentbox.asr.constrain.prior import CONTEXT_TOKENS, LEAST, Context, Prior, context_of
from agentbox.asr.constrain.steps import StepSentences
from agentbox.asr.constrain.warm import warm
from agentbox.asr.decoders import DecoderState
from agentbox.asr.engine import Aborted, Capabilities, Recognition, Samples
from agentbox.asr.listener import Listener, Sentences
from agentbox.asr.logits import log_softmax
from agentbox.asr.moonshine import Encoding, Moonshine
from agentbox.asr.tokens import END, START
from agentbox.intents.grammar import Grammar
from agentbox.intents.spoken import Spoken
from agentbox.speech_grammar import SpeechGrammar
from tests.asr.conftest import DATA, read

Sound = NDArray[np.float32]

BECKETT: dict[str, Any] = {
    "language": "en",
    "intents": {
        "Fail": {"data": [{"sentences": ["ever tried ever failed no matter try again fail again fail better"]}]}
    },
}
MORE: dict[str, Any] = {
    "language": "en",
    "intents": {
        "Fail": {"data": [{"sentences": ["ever (tried|tired) ever failed {rest}", "ever tried"]}]},
        "Light": {"data": [{"sentences": ["turn on the light"]}]},
    },
    "lists": {"rest": {"wildcard": True}},
}


def spoken(values: dict[str, Any]) -> Sentences:
    grammar = Spoken("en", [Grammar("test", values, {})])
    return Sentences(grammar.grammar, tuple(grammar.active({})))


@pytest.fixture(scope="module")
def prior(engine: Moonshine) -> Prior:
    return Prior(engine)


def test_a_sentence_that_was_said_is_found_with_its_free_part(
    engine: Moonshine, prior: Prior, recordings: dict[str, Sound]
) -> None:
    sentences = spoken(MORE)
    encoding = engine.encode(recordings["beckett"])
    found = GrammarDecoder(engine, sentences.grammar, prior).decode(encoding, sentences.roots)
    best = found.candidates[0]
    assert [reading.split()[:4] for reading in best.readings] == [["ever", "tried", "ever", "failed"]]
    free = engine.table.decode(engine.decode(encoding).tokens)
    assert best.readings[0].split()[-3:] == free.strip(".?! ").split()[-3:]
    assert found.candidates == tuple(sorted(found.candidates, key=lambda candidate: -candidate.score))


def test_scores_are_the_models_own_probabilities_with_the_prior_taken_out(
    engine: Moonshine, prior: Prior, recordings: dict[str, Sound]
) -> None:
    """Step by step, one hypothesis alone, without the search."""
    sentences = spoken(BECKETT)
    encoding = engine.encode(recordings["beckett"])
    network = GrammarDecoder(engine, sentences.grammar, prior).network
    [best, *_] = Search(engine, network, prior, 1).run(encoding, network.start(sentences.roots), 40)
    logits, state = engine.step([START], engine.begin(encoding))
    total = 0.0
    for token in (*best.tokens, END):
        total += float(log_softmax(logits)[0, token])
        logits, state = engine.step([token], state)
    assert best.logprob == pytest.approx(total, abs=1e-3)


def test_the_prior_is_the_decoder_after_the_last_tokens(engine: Moonshine, prior: Prior) -> None:
    tokens = (1815, 306, 505, 263)
    context = context_of(tokens)
    assert context == tokens[-CONTEXT_TOKENS:]
    asked = np.array([5, 300, 304, 1000, 29892])
    assert prior.learn([context]) == 1
    assert prior.learn([context]) == 0
    logits, state = engine.step([START], engine.begin(prior.nothing))
    for token in context:
        logits, state = engine.step([token], state)
    # One run of four tokens and four of one are quantised differently.
    expected = np.maximum(log_softmax(logits)[0, asked], LEAST)
    assert prior.logprobs(context, asked) == pytest.approx(expected, abs=1.0)


def test_what_was_said_before_is_not_part_of_the_sentence(
    engine: Moonshine, prior: Prior, recordings: dict[str, Sound]
) -> None:
    listener = Listener(engine)
    rest = {
        "language": "en",
        "intents": {"Fail": {"data": [{"sentences": ["(try|cry) again fail again fail better"]}]}},
    }
    sentences = spoken(rest)
    asked: list[str] = []

    def ask(recognition: Recognition) -> Sentences:
        asked.append(recognition.text)
        return sentences._replace(after=recognition.text.lower().index("try again"))

    heard = listener.hear(recordings["beckett"], language="en", ask=ask)
    assert heard.candidates[0].readings == ("try again fail again fail better",)
    assert heard.free is not None
    assert heard.free.text.lower().startswith("try again")
    assert heard.text == asked[0]
    assert heard.free.tokens < len(heard.tokens)


def test_the_sentences_of_two_languages_stay_ready_beside_each_other(
    engine: Moonshine, recordings: dict[str, Sound], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(model: Moonshine, grammar: SpeechGrammar, *rest: Any) -> GrammarDecoder[Encoding, DecoderState]:
        made.append(grammar.language)
        return GrammarDecoder(model, grammar, *rest)

    monkeypatch.setattr("agentbox.asr.constrain.steps.GrammarDecoder", counted)
    listener = Listener(engine)
    english = spoken(BECKETT)
    british = english._replace(grammar=msgspec.structs.replace(english.grammar, language="en-GB"))
    for sentences in (english, british, english, british):
        heard = listener.hear(recordings["beckett"], language="en", ask=lambda _, now=sentences: now)  # type: ignore[misc]
        assert heard.sentences_in == sentences.grammar.language
    assert made == ["en", "en-GB"]


def test_nothing_is_decoded_where_nobody_asks(engine: Moonshine, recordings: dict[str, Sound]) -> None:
    listener = Listener(engine)
    plain = engine.transcribe(recordings["beckett"], language="en")
    for ask in (None, lambda _: None, lambda _: spoken(BECKETT)._replace(roots=())):
        heard = listener.hear(recordings["beckett"], language="en", ask=ask)
        assert (heard.text, heard.candidates, heard.constrain_ms) == (plain.text, (), None)
    assert (
        listener.hear(np.zeros(800, np.float32), language="en", ask=lambda _: spoken(BECKETT)).suppressed == "too_short"
    )


def test_it_can_be_given_up(engine: Moonshine, prior: Prior, recordings: dict[str, Sound]) -> None:
    sentences = spoken(BECKETT)
    decoder = GrammarDecoder(engine, sentences.grammar, prior)
    asked = iter([False, False, True])
    with pytest.raises(Aborted):
        decoder.decode(engine.encode(recordings["beckett"]), sentences.roots, abort=lambda: next(asked))


class OtherEngine:
    """An engine that cannot be held to a grammar."""

    name = "other"
    capabilities = Capabilities(("en",), streaming=False, token_scores=False)

    def transcribe(self, samples: Samples, **_: object) -> Recognition:
        return Recognition("words")

    def rest(self) -> None: ...


def test_what_is_new_is_new_once(engine: Moonshine, recordings: dict[str, Sound]) -> None:
    listener, sentences = Listener(engine), spoken(MORE)
    whole = recordings["beckett"]
    assert listener.novel
    begun = listener.hear(whole[: whole.size // 2], language="en", ask=lambda _: sentences, under_way=True)
    assert begun.text
    assert not begun.candidates
    # What was met while it was spoken counts too: else every second utterance would seem to be nothing new.
    heard = listener.hear(whole, language="en", ask=lambda _: sentences)
    assert listener.novel
    assert listener.hear(whole, language="en", ask=lambda _: sentences).candidates == heard.candidates
    assert not listener.novel


def test_an_engine_that_cannot_is_left_alone() -> None:
    listener = Listener(OtherEngine())
    heard = listener.hear(np.zeros(16_000, np.float32), language="en", ask=lambda _: spoken(BECKETT))
    assert heard == Recognition("words", engine="other")
    assert list(listener.prepare(spoken(BECKETT))) == []


def test_what_was_prepared_is_kept_for_the_next_start(
    engine: Moonshine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = spoken(MORE)
    pieces = sum(1 for _ in Listener(engine, tmp_path).prepare(sentences))
    assert pieces > 1
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["priors"]
    # Other sentences are another file: nothing of those that are gone stays in theirs.
    assert sum(1 for _ in Listener(engine, tmp_path).prepare(spoken(BECKETT))) > 1
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(Moonshine, "continuations", _not_again)
    assert sum(1 for _ in Listener(engine, tmp_path).prepare(sentences)) == 1


def test_what_was_prepared_of_one_language_stays_when_another_is_prepared(engine: Moonshine) -> None:
    german = Spoken("de", [Grammar("test", {**BECKETT, "language": "de"}, {})])
    sentences, priors = spoken(MORE), list[Prior]()

    def new() -> Prior:
        priors.append(Prior(engine))
        return priors[-1]

    decoder = StepSentences(engine, prior_of=new)
    for _ in decoder.prepare(sentences):
        pass
    kept = priors[0].dump()
    assert kept
    for _ in decoder.prepare(Sentences(german.grammar, tuple(german.active({})))):
        pass
    assert priors[0].dump() == kept
    assert priors[1].dump()
    # Other sentences of the language take the place of those before.
    for _ in decoder.prepare(spoken(BECKETT)):
        pass
    assert len(priors) == 2
    assert priors[0].dump() != kept


def _not_again(*_: object) -> None:
    raise AssertionError("it was worked out before")


def test_warming_goes_along_the_sentences_and_not_into_free_text(engine: Moonshine) -> None:
    prior = Prior(engine)
    sentences = spoken(MORE)
    decoder = GrammarDecoder(engine, sentences.grammar, prior)
    learnt = _run(warm(decoder.network, prior, sentences.roots))
    assert len(prior) == len(learnt)
    said = {engine.table.decode(context).lower() for context in learnt}
    assert any(text.endswith("the light") for text in said)
    assert not any("matter" in text for text in said)
    assert len(_run(warm(decoder.network, prior, sentences.roots, most=8))) < len(learnt)


def test_an_owners_few_sentences_have_their_share(engine: Moonshine) -> None:
    many = {
        "language": "en",
        "intents": {"Go": {"data": [{"sentences": ["turn on (the|my) (light|lamp|radio|fan|tv)"]}]}},
    }
    both = Spoken("en", [Grammar("many", many, {}), Grammar("few", BECKETT, {})])
    prior = Prior(engine)
    decoder = GrammarDecoder(engine, both.grammar, prior)
    learnt = _run(warm(decoder.network, prior, both.active({}), most=32))
    said = {engine.table.decode(context).lower() for context in learnt}
    assert any("turn on" in text for text in said)
    assert any("tried" in text for text in said)
    # What may go on is known as a context of its own.
    start = decoder.network.start(both.active({}))
    assert {(token,) for token in start.tokens.tolist()} <= learnt


def _run(warming: Generator[None, None, set[Context]]) -> set[Context]:
    try:
        while True:
            next(warming)
    except StopIteration as end:
        learnt: set[Context] = end.value
        return learnt


def test_what_was_said_is_neither_kept_nor_remembered_without_bound(
    engine: Moonshine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentbox.asr.constrain.prior.MOST_PASSING", 10)
    prior = Prior(engine)
    prior.learn([(number,) for number in range(300, 304)])
    prior.keep([(300,), (301,), (999,)])
    for number in range(400, 440):
        prior.learn([(303,), (number,), (300,)])
    assert len(prior) == 2 + 10
    assert prior.logprobs((303,), np.array([7])).size == 1  # what is asked for again and again stays
    with pytest.raises(KeyError):
        prior.logprobs((302,), np.array([7]))
    assert [context for context, _, _ in prior.dump()] == [(300,), (301,)]
    again = Prior(engine)
    again.restore(prior.dump())
    asked = np.arange(len(engine.table))
    np.testing.assert_array_equal(again.logprobs((300,), asked), prior.logprobs((300,), asked))


def test_what_is_forgotten_while_it_is_needed_is_not_missed(engine: Moonshine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentbox.asr.constrain.prior.MOST_PASSING", 1)
    monkeypatch.setattr("agentbox.asr.constrain.beam._MOST_PRIORS", 1)
    decoder = GrammarDecoder(engine, spoken(BECKETT).grammar, Prior(engine))
    search = Search(engine, decoder.network, decoder.prior, beam=2)
    state = decoder.network.start(spoken(BECKETT).roots)

    def live(token: int) -> _Live:
        return _Live((token,), 0.0, 0.0, b"", state)

    [first] = search._learn([live(300)])
    # The other hypothesis drives the first one's figures out, of the state and of the prior.
    _, again = search._learn([live(301), live(300)])
    np.testing.assert_array_equal(first, again)


def test_hypotheses_far_behind_are_looked_up_by_their_last_token(engine: Moonshine) -> None:
    decoder = GrammarDecoder(engine, spoken(BECKETT).grammar, Prior(engine))
    search = Search(engine, decoder.network, decoder.prior, beam=2)
    state = decoder.network.start(spoken(BECKETT).roots)
    near, far = (_Live((300, 301, 302), score, 0.0, b"", state) for score in (-1.0, -1.1 - NEAR))
    with_all, with_last = search._learn([near, far])
    assert search.learnt == 2
    decoder.prior.learn([(300, 301, 302), (302,)])
    np.testing.assert_array_equal(with_all, decoder.prior.logprobs((300, 301, 302), state.asked))
    np.testing.assert_array_equal(with_last, decoder.prior.logprobs((302,), state.asked))
    assert (with_all != with_last).any()


@pytest.mark.parametrize("sentences", [(), ("{rest}",), ("order {nothing}",)])
def test_sentences_of_which_none_can_be_said_do_no_harm(engine: Moonshine, sentences: tuple[str, ...]) -> None:
    lists = {"rest": {"wildcard": True}, "nothing": {"values": []}}
    values = {"language": "en", "intents": {"Any": {"data": [{"sentences": list(sentences)}]}}, "lists": lists}
    asked = spoken(values)
    listener = Listener(engine)
    for _ in listener.prepare(asked):
        pass
    heard = listener.hear(np.zeros(16_000, np.float32), language="en", ask=lambda _: asked)
    assert all(candidate.readings for candidate in heard.candidates)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real recordings are not at {DATA}")
def test_real_orders_are_understood_in_noise_better_than_by_their_transcript(engine: Moonshine, prior: Prior) -> None:
    folder = DATA / "commands"
    labels = json.loads((folder / "labels.json").read_text())
    noise = read(folder / "kitchen-noise.flac")
    grammar = Grammar("drinks", yaml.safe_load((folder / "sentences.yaml").read_text()), {})
    orders = Spoken("en", [grammar])
    decoder = GrammarDecoder(engine, orders.grammar, prior)
    words_right = found_right = 0
    names = sorted(labels)[::20]
    for number, name in enumerate(names):
        speech = read(folder / "audio" / name)
        mixed = speech + noise[number * 16_000 :][: speech.size] * np.float32(np.abs(speech).max() / 0.6)
        encoding = engine.encode(np.asarray(mixed / (2 * np.abs(mixed).max()), dtype=np.float32))
        wanted = set(labels[name]["slots"].values())
        free = engine.table.decode(engine.decode(encoding).tokens).lower()
        words_right += all(value in free for value in wanted)
        found = decoder.decode(encoding, orders.active({})).candidates[0].readings[0]
        found_right += all(value in found for value in wanted)
    assert found_right >= len(names) - 1
    assert found_right > words_right


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real recordings are not at {DATA}")
def test_rare_letters_in_free_text_are_not_gained_from_without_end(engine: Moonshine, prior: Prior) -> None:
    folder = DATA / "commands"
    drinks = Grammar("drinks", yaml.safe_load((folder / "sentences.yaml").read_text()), {})
    spells = {"language": "en", "intents": {"Note": {"data": [{"sentences": ["{text} [for] (L|H|J) [{text}]"]}]}}}
    notes = Grammar("notes", {**spells, "lists": {"text": {"wildcard": True}}}, {})
    both = Spoken("en", [drinks, notes])
    decoder = GrammarDecoder(engine, both.grammar, prior)
    # "... with brown sugar", in a voice the model is not sure of.
    encoding = engine.encode(read(folder / "audio" / "f29e9896-b75d-44ed-a1e9-a38ea51ae805.flac"))
    free = sum(engine.decode(encoding).logprobs)
    decoded = decoder.decode(encoding, both.active({}), free_logprob=free, confidence=0.68)
    assert decoded.candidates[0].text.rstrip("!.").endswith("with brown sugar")
    assert decoded.steps < 2 * decoded.candidates[0].tokens
