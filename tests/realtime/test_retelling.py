"""What was heard of an answer, where that has to be told in words."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.realtime.qwen import QwenDialog
from agentbox.realtime.retelling import heard_words
from agentbox.realtime.session import Account, Setup
from agentbox.realtime.stepfun import StepFunDialog
from agentbox.realtime.stepfun_stateless import StepFunStatelessDialog
from tests.realtime.servers.base import tone


@pytest.mark.parametrize(
    ("words", "share", "heard"),
    [
        ("A long story of a fox.", 0.5, "A long…"),
        ("A long story of a fox.", 0.0, ""),
        ("A long story of a fox.", 1.0, "A long story of a fox."),
        ("A long story of a fox.", float("inf"), "A long story of a fox."),
        ("Yes indeed.", 0.1, ""),
        ("今天天气很好。", 0.5, "今天天…"),
        ("", 0.5, ""),
    ],
)
def test_heard_words(words: str, share: float, heard: str) -> None:
    assert heard_words(words, share) == heard


@given(st.text(), st.floats(-1, 2))
def test_no_more_is_told_than_was_said(words: str, share: float) -> None:
    heard = heard_words(words, share)
    assert heard == words or words.lstrip().startswith(heard.removesuffix("…").strip())


def told(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "response_id": "resp_1", **fields})


def answering(adapter: Any) -> Any:
    """Two parts of an answer have words, the first of them has sound."""
    adapter.opened()
    adapter.receive(json.dumps({"type": "session.updated"}))
    adapter.commit()
    adapter.receive(json.dumps({"type": "response.created", "response": {"id": "resp_1"}}))
    for item_id, words in (("item_1", "It is sunny."), ("item_2", "And warm.")):
        adapter.receive(told("response.audio_transcript.delta", item_id=item_id, delta=words))
    delta = base64.b64encode(tone(1_000)).decode()
    adapter.receive(told("response.audio.delta", item_id="item_1", delta=delta))
    adapter.frames()
    return adapter


def test_words_that_had_no_sound_yet_were_not_heard() -> None:
    adapter = answering(StepFunDialog(Account("key", ""), Setup()))
    adapter.interrupt(500.0)
    frames = [json.loads(frame) for frame in adapter.frames()]
    assert frames[0]["type"] == "response.cancel"
    assert {frame["item_id"] for frame in frames if frame["type"] == "conversation.item.delete"} == {"item_1", "item_2"}
    [item] = [frame["item"] for frame in frames if frame["type"] == "conversation.item.create"]
    assert item["content"][0]["text"] == "It is…"


def test_nor_are_they_told_again_where_the_box_keeps_the_conversation() -> None:
    adapter = answering(StepFunStatelessDialog(Account("key", ""), Setup()))
    adapter.interrupt(500.0)
    assert [item["content"][0]["text"] for item in adapter.history()] == ["It is…"]


def test_where_nothing_can_be_taken_back_nothing_is_tried() -> None:
    adapter = answering(QwenDialog(Account("key", "qwen3.5-omni-flash-realtime"), Setup()))
    adapter.interrupt(500.0)
    assert [json.loads(frame)["type"] for frame in adapter.frames()] == ["response.cancel"]


def test_a_new_turn_alone_takes_nothing_back() -> None:
    adapter = answering(StepFunDialog(Account("key", ""), Setup()))
    adapter.write("What time is it?")
    kinds = [json.loads(frame)["type"] for frame in adapter.frames()]
    assert kinds == ["response.cancel", "conversation.item.create"]
