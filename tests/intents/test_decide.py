"""What is done about candidates: which meaning counts, how sure it is, and act, ask or none."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.intents import confidence
from agentbox.intents.confidence import Evidence
from agentbox.intents.decide import decide
from agentbox.intents.understand import Understander
from agentbox.speech_grammar import Candidate, FreeReading

SENTENCES = """
language: en
intents:
  Light:
    data:
      - sentences: ["(turn|switch) on the {room} light", "turn on the light"]
  Agree:
    data:
      - sentences: ["yes"]
        requires_context: {confirmation: pending}
lists:
  room:
    values: ["kitchen", {in: "living room", out: "lounge"}]
"""


@pytest.fixture(scope="module")
def understander(tmp_path_factory: pytest.TempPathFactory) -> Understander:
    file = tmp_path_factory.mktemp("sentences") / "light.yaml"
    file.write_text(SENTENCES)
    return Understander("en", builtin=False, ours=False, owner_files=[file], intents=("Light", "Agree"))


def candidate(text: str, score: float, logprob: float = -1.0) -> Candidate:
    return Candidate(readings=(text,), text=text, score=score, logprob=logprob, tokens=len(text.split()))


FREE = FreeReading("turn on the chicken light", 10.0, -0.5, 5)
"""What was said, misheard: no sentence."""


def test_the_likeliest_meaning_with_the_others_behind_it(understander: Understander) -> None:
    found = decide(
        understander,
        [
            candidate("turn on the kitchen light", 12.0),
            candidate("turn on the living room light", 9.0),
            candidate("turn on the light", 8.5),
        ],
        FREE,
        utterance_id="u",
    )
    assert found.outcome == "act"
    assert found.intent is not None
    assert (found.intent.name, found.intent.slots, found.intent.utterance_id) == ("Light", {"room": "kitchen"}, "u")
    assert found.intent.match == "spoken"
    assert found.intent.score == found.confidence > confidence.ACT
    assert [(other["slots"], other["behind"]) for other in found.intent.alternatives] == [
        ({"room": "lounge"}, 3.0),
        ({}, 3.5),
    ]


def test_words_that_are_a_sentence_as_they_stand_are_believed(understander: Understander) -> None:
    heard = FreeReading("Turn on the light.", 3.0, -0.5, 4)
    found = decide(understander, [candidate("turn on the kitchen light", 12.0)], heard)
    assert found.outcome == "act"
    assert found.intent is not None
    assert found.intent.slots == {}
    assert [other["slots"] for other in found.intent.alternatives] == [{"room": "kitchen"}]


def test_two_ways_to_say_the_same_count_together(understander: Understander) -> None:
    found = decide(
        understander,
        [
            candidate("turn on the light", 10.1),
            candidate("turn on the kitchen light", 10.0),
            candidate("switch on the kitchen light", 10.0),
        ],
        FREE,
    )
    assert found.intent is not None
    assert found.intent.slots == {"room": "kitchen"}
    assert found.evidence is not None
    assert found.evidence.margin == pytest.approx(math.log(2) - 0.1)


def test_what_no_sentence_reads_in_this_context_does_not_count(understander: Understander) -> None:
    yes = [candidate("yes", 9.0), candidate("turn on the light", 1.0)]
    assert decide(understander, yes, FREE).intent.name == "Light"  # type: ignore[union-attr]
    pending = decide(understander, yes, FREE, {"confirmation": "pending"})
    assert pending.intent is not None
    assert pending.intent.name == "Agree"
    assert decide(understander, [candidate("no such words", 5.0)], FREE).outcome == "none"
    assert decide(understander, [], FREE).intent is None


def test_sound_that_is_something_else_is_no_command(understander: Understander) -> None:
    talk = FreeReading("the train on platform nine is late again", 40.0, -1.5, 8)
    found = decide(understander, [candidate("turn on the light", -6.0, logprob=-38.0)], talk)
    assert found.outcome == "none"
    assert found.confidence < 0.05


evidences = st.builds(
    Evidence,
    ratio=st.floats(-20, 20),
    loss=st.floats(-20, 20),
    margin=st.floats(0, 1e9) | st.just(math.inf),
    gain=st.floats(-20, 20),
    tokens=st.integers(0, 200),
    same_words=st.booleans(),
)


@given(evidences)
def test_a_confidence_is_a_probability(evidence: Evidence) -> None:
    assert 0.0 <= confidence.probability(evidence) <= 1.0


@given(evidences, st.floats(0.01, 5))
def test_worse_evidence_is_never_surer(evidence: Evidence, worse: float) -> None:
    less = evidence._replace(ratio=evidence.ratio + worse, loss=evidence.loss + worse)
    assert confidence.probability(less) <= confidence.probability(evidence) + 1e-9
    if math.isfinite(evidence.margin):
        wider = evidence._replace(margin=evidence.margin + worse)
        assert confidence.probability(wider) >= confidence.probability(evidence) - 1e-9


def test_outcomes_follow_the_confidence() -> None:
    assert [confidence.outcome(at) for at in (0.0, confidence.ASK - 1e-9, confidence.ASK, confidence.ACT, 1.0)] == [
        "none",
        "none",
        "ask",
        "act",
        "act",
    ]


def test_the_weights_are_those_of_the_fit() -> None:
    """`benchmarks/fit_confidence.py` says where they come from; one for each term."""
    assert len(confidence.WEIGHTS) == len(confidence.terms(Evidence(0, 0, 0, 0, 1, False)))
    assert (Path(__file__).parents[2] / "benchmarks" / "fit_confidence.py").is_file()
