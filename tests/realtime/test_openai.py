"""OpenAI Realtime: what errors mean, and those of servers that speak as it does."""

from __future__ import annotations

import json

import pytest

from agentbox.realtime.events import (
    AnswerStarted,
    Failed,
)
from agentbox.realtime.failures import failure
from agentbox.realtime.openai import OpenAIDialog
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY


@pytest.mark.parametrize(
    ("kind", "code", "before", "after"),
    [
        ("invalid_request_error", "input_audio_buffer_commit_empty", "cloud_settings", "cloud_refused"),
        # A server that is not OpenAI's gives the code as the type.
        ("input_audio_buffer_commit_empty", None, "cloud_down", "cloud_refused"),
        ("unknown_or_invalid_event", None, "cloud_settings", "cloud_refused"),
        ("server_error", None, "cloud_down", "cloud_down"),
        ("", None, "cloud_down", "cloud_down"),
    ],
)
def test_an_error_about_a_request_costs_the_request(kind: str, code: str | None, before: str, after: str) -> None:
    adapter = OpenAIDialog(Account(KEY, ""), Setup())
    adapter.opened()
    error = json.dumps({"type": "error", "error": {"type": kind, "code": code, "message": "Cannot do it."}})
    assert adapter.receive(error) == [Failed(failure(before, code or kind))]
    adapter.receive(json.dumps({"type": "session.updated", "session": {}}))
    assert adapter.receive(error) == [Failed(failure(after, code or kind), session=after == "cloud_down")]


@pytest.mark.parametrize("where", ["code", "type"])
def test_a_request_that_an_answer_is_under_way_to_is_no_failure(where: str) -> None:
    adapter = OpenAIDialog(Account(KEY, ""), Setup())
    adapter.opened()
    adapter.receive(json.dumps({"type": "session.updated", "session": {}}))
    adapter.write("What time is it?")
    asked = json.loads(adapter.frames()[-1])
    error = {"type": "invalid_request_error", "event_id": asked["event_id"], "message": "One at a time."}
    error[where] = "conversation_already_has_active_response"
    assert adapter.receive(json.dumps({"type": "error", "error": error})) == []
    started = {"type": "response.created", "response": {"id": "resp_1"}}
    assert adapter.receive(json.dumps(started)) == [AnswerStarted("resp_1")]
