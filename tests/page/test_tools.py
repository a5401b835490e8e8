"""Tools on the page: what to say, how the last call went, and who may use them."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from agentbox.config import Policy
from agentbox.errors import AgentboxError
from agentbox.messages import Caller, MatchKind
from agentbox.page.render import LANGUAGES, Words
from tests.page.conftest import Daemon, audit_of, running, settings_of


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One whose policies change."""
    with running(tmp_path_factory.mktemp("tools")) as daemon:
        yield daemon


def policy_of(daemon: Daemon, tool: str, caller: str) -> str:
    [found] = [one for one in daemon.client.call("tools.list") if one["name"] == tool]
    return str(found["policy"][caller])


def test_every_tool_is_there_with_what_to_say(box: Daemon) -> None:
    phone = box.phone()
    phone.send("/talk", text="what time is it")
    text = html.unescape(phone.see("/tools"))
    for tool in box.client.call("tools.list"):
        assert f'id="{tool["name"]}"' in text
        assert tool["description"] in text
        assert bool(tool["example"]) == bool(tool["intents"]), tool["name"]
        assert not tool["example"] or f"“{tool['example']}”" in text
    assert "Last used" in text
    assert "What the box can do" in text


def test_who_needs_no_examples_gets_none(box: Daemon) -> None:
    tools = box.client.call("tools.list", {"examples": False})
    assert [one | {"example": None} for one in box.client.call("tools.list")] == tools


def test_a_choice_counts_at_once_and_is_remembered_and_audited(box: Daemon) -> None:
    phone = box.phone()
    before = (box.state / "config.yaml").read_bytes()
    answer = phone.send("/tools/policy", tool="get_time", page="deny", speech="allow", cloud="confirm")
    assert (answer.status_code, answer.headers["location"]) == (303, "/tools#get_time")
    assert "not allowed" in phone.send("/talk", text="what time is it").text
    assert settings_of(box)["tools"]["policy"]["get_time"] == {"page": "deny", "cloud": "confirm"}
    assert (box.state / "config.yaml").read_bytes() == before
    rows = [(row["action"], row["target"], row["outcome"]) for row in audit_of(box)]
    assert rows.count(("tools.policy", "get_time", "ok")) == 1  # one change, taken over once
    phone.send("/tools/policy", tool="get_time", page="allow")
    assert "It is" in phone.send("/talk", text="what time is it").text


@pytest.mark.parametrize("caller", ["page", "cloud", "brain", "plugin"])
def test_nobody_but_who_is_at_the_box_can_be_allowed_to_pair(box: Daemon, caller: str) -> None:
    phone = box.phone()
    assert phone.send("/tools/policy", tool="pair_phone", **{caller: "allow"}).status_code == 400
    assert policy_of(box, "pair_phone", caller) == "deny"
    assert "never; this cannot be changed" in phone.see("/tools")


@pytest.mark.parametrize(
    ("tool", "caller", "policy"),
    [("get_time", "page", "perhaps"), ("get_time", "nobody", "deny"), ("x.y", "page", "deny")],
)
def test_what_is_no_policy_is_refused(box: Daemon, tool: str, caller: str, policy: str) -> None:
    with pytest.raises(AgentboxError) as caught:
        box.client.call("tools.policy", {"tool": tool, "caller": caller, "policy": policy})
    assert caught.value.code == "policy_invalid"


def test_policies_of_several_callers_count_together_or_not_at_all(box: Daemon) -> None:
    before = settings_of(box)
    for policies, code in (
        ({"speech": "confirm", "page": "perhaps"}, "policy_invalid"),
        ({"speech": "confirm", "page": ["deny"]}, "policy_invalid"),
        ({"speech": "confirm", "page": "allow"}, "policy_fixed"),
    ):
        with pytest.raises(AgentboxError) as caught:
            box.client.call("tools.policy", {"tool": "pair_phone", "policies": policies})
        assert caught.value.code == code
    assert settings_of(box) == before
    told = box.client.call("tools.policy", {"tool": "get_date", "policies": {"brain": "deny", "plugin": "confirm"}})
    assert told == {"tool": "get_date", "policies": {"brain": "deny", "plugin": "confirm"}}
    assert settings_of(box)["tools"]["policy"]["get_date"] == {"brain": "deny", "plugin": "confirm"}


def test_a_guest_sees_the_tools_and_changes_nothing(box: Daemon) -> None:
    guest = box.phone("guest")
    text = guest.see("/tools")
    assert "<select" not in text.partition("<footer>")[0]
    assert "Last used" not in text
    assert guest.send("/tools/policy", tool="get_time", page="deny").status_code == 403
    assert guest.send("/tools/policy", tool="nothing", page="deny").status_code == 303
    assert policy_of(box, "get_time", "page") == "allow"
    assert box.browser().get("/tools").status_code == 401


def test_a_forged_form_changes_nothing(box: Daemon) -> None:
    phone = box.phone()
    answer = phone.browser.post("/tools/policy", data={"tool": "get_time", "page": "deny", "form_key": "guess"})
    assert answer.status_code == 403
    assert policy_of(box, "get_time", "page") == "allow"


def test_a_tools_own_words_are_no_markup(tmp_path: Path) -> None:
    web = [{"name": "evil", "url": "http://127.0.0.1/", "description": "<script>alert(1)</script>", "intent": "Evil"}]
    with running(tmp_path, tools={"web": web}) as daemon:
        text = daemon.phone().see("/tools")
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text


def test_there_are_words_for_all_that_is_shown() -> None:
    for language in LANGUAGES:
        words = Words(language)
        for caller in get_args(Caller):
            assert words(f"caller.{caller}")
        for policy in get_args(Policy):
            assert words(f"tools.{policy}")
            assert words(f"tools.about_{policy}")
        for match in get_args(MatchKind):
            assert words(f"match.{match}")
