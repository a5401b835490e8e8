"""Who may call what; questions and their answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.config import Policy
from agentbox.messages import Caller, ToolCall
from agentbox.tools import ToolContext, tool
from agentbox.tools.policy import OWNERS, Confirmations, Policies

CALLERS: tuple[Caller, ...] = ("speech", "cli", "page", "cloud", "brain", "plugin")


@tool()
async def lamp(context: ToolContext) -> str:
    """Turn the lamp on."""
    return ""


@tool(risk="risky")
async def door(context: ToolContext) -> str:
    """Open the door."""
    return ""


def call(caller: Caller = "speech", tool: str = "door", **arguments: Any) -> ToolCall:
    return ToolCall(id="1", utterance_id="u", tool=tool, arguments=arguments, caller=caller)


def test_the_defaults() -> None:
    policies = Policies({})
    assert {caller: policies.decide(lamp, caller) for caller in CALLERS} == dict.fromkeys(CALLERS, "allow")
    decided = [policies.decide(door, caller) for caller in CALLERS]
    assert decided == ["confirm", "allow", "confirm", "confirm", "confirm", "deny"]


def test_the_owner_overrides_them() -> None:
    policies = Policies({"door": {"speech": "allow"}, "*": {"cloud": "deny", "speech": "confirm"}})
    assert policies.decide(door, "speech") == "allow"
    assert policies.decide(door, "cloud") == "deny"
    assert policies.decide(lamp, "speech") == "confirm"
    assert policies.decide(lamp, "cli") == "allow"


def test_a_policy_about_nothing_is_a_problem() -> None:
    configured: dict[str, dict[Caller, Policy]] = {"dor": {"speech": "deny"}, "*": {}, "door": {}}
    problems = Policies(configured).problems({"door", "lamp"})
    assert [problem.code for problem in problems] == ["policy_unknown_tool"]
    assert "dor" in problems[0].what


def test_a_yes_gives_the_very_call_once() -> None:
    confirmations, asked = Confirmations(20), call(side="left")
    confirmation = confirmations.ask(asked, "Really?", now=100)
    assert confirmation.question == "Really?"
    assert confirmations.pending(now=110) == confirmation
    answered = confirmations.answer(True, now=119)
    assert answered == asked
    assert confirmations.answer(True, now=119) is None
    assert confirmations.pending(now=119) is None


def test_a_no_closes_the_question() -> None:
    confirmations = Confirmations(20)
    confirmations.ask(call(), "Really?", now=0)
    assert confirmations.answer(False, now=1) is None
    assert confirmations.answer(True, now=2) is None


def test_a_late_yes_is_no_yes() -> None:
    confirmations = Confirmations(20)
    confirmations.ask(call(), "Really?", now=0)
    assert confirmations.answer(True, now=20) is None


def test_a_new_question_takes_the_place_of_the_old() -> None:
    confirmations = Confirmations(20)
    old = confirmations.ask(call(side="left"), "Left?", now=0)
    confirmations.ask(call(side="right"), "Right?", now=5)
    assert confirmations.answer(True, now=6, id=old.id) is None
    answered = confirmations.answer(True, now=6)
    assert answered is not None
    assert answered.arguments == {"side": "right"}


@pytest.mark.parametrize("caller", [caller for caller in CALLERS if caller not in OWNERS])
def test_only_the_owner_can_answer(caller: Caller) -> None:
    confirmations = Confirmations(20)
    confirmations.ask(call("cloud"), "Really?", now=0)
    assert confirmations.answer(True, now=1, by=caller) is None
    assert confirmations.pending(now=1) is not None
    assert confirmations.answer(True, now=2, by="speech") == call("cloud")


def test_what_was_asked_about_cannot_be_changed_afterwards() -> None:
    confirmations, sides = Confirmations(20), ["left"]
    confirmations.ask(call(sides=sides), "Left?", now=0)
    sides.append("right")
    answered = confirmations.answer(True, now=1)
    assert answered is not None
    assert answered.arguments == {"sides": ["left"]}


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["ask", "yes", "no"]), st.floats(0, 30), st.sampled_from(CALLERS)), max_size=12
    )
)
def test_no_call_runs_without_a_yes_of_its_own_in_time(steps: list[tuple[str, float, Caller]]) -> None:
    confirmations, now, number = Confirmations(20), 0.0, 0
    asked_at: dict[int, float] = {}
    for step, seconds, by in steps:
        now += seconds
        if step == "ask":
            number += 1
            confirmations.ask(call(n=number), "Really?", now)
            asked_at[number] = now
        else:
            answered = confirmations.answer(step == "yes", now, by=by)
            if answered is not None:
                assert step == "yes"
                assert by in OWNERS
                assert answered.arguments["n"] == number
                assert now - asked_at.pop(number) < 20
