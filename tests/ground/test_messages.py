"""Every message goes to JSON text and back unchanged; what is not a message is refused."""

from __future__ import annotations

import inspect
import json
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox import messages
from agentbox.messages import Notice, StageEvent, ToolResult, Undo, from_json, new_id, public_json, to_json

CLASSES: list[type[Any]] = [
    kind
    for _, kind in inspect.getmembers(messages, inspect.isclass)
    if kind.__module__ == messages.__name__ and not kind.__name__.startswith("_")
]

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a message field's type; `Any` stands for JSON there."""
    if kind is Any:
        return JSON_VALUES
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if kind is int:
        return st.integers(-(2**53), 2**53)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return messages_of(kind)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is dict:
        return st.dictionaries(st.text(), values_of(arguments[1]), max_size=3)
    if typing.get_origin(kind) is list:
        return st.lists(values_of(arguments[0]), max_size=3)
    if typing.get_origin(kind) is typing.Literal:
        return st.sampled_from(arguments)
    if arguments:
        return st.one_of([values_of(choice) for choice in arguments])
    return st.from_type(kind)


def messages_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{field.name: values_of(field.type) for field in msgspec.structs.fields(kind)})


def test_every_message_is_known_to_the_union() -> None:
    known = {*typing.get_args(messages.Message), StageEvent}
    assert set(CLASSES) == known


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_message_goes_to_json_and_back(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(messages_of(kind))
    plain = to_json(message)
    assert plain["type"] == kind.__name__
    back = from_json(json.loads(json.dumps(plain)))
    assert type(back) is kind
    assert back == message


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_what_is_not_a_message_is_refused(kind: type[Any], data: st.DataObject) -> None:
    plain = to_json(data.draw(messages_of(kind)))
    for wrong in (
        {**plain, "no_such_field": 1},
        {**plain, "type": "NoSuchMessage"},
        {key: value for key, value in plain.items() if key != "type"},
    ):
        with pytest.raises(msgspec.ValidationError):
            from_json(wrong)
    for field in msgspec.structs.fields(kind):
        if field.required:
            with pytest.raises(msgspec.ValidationError):
                from_json({key: value for key, value in plain.items() if key != field.name})
        if field.type is not Any:
            with pytest.raises(msgspec.ValidationError):
                from_json({**plain, field.name: ["not", "a", field.name]})


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_a_message_does_not_change(kind: type[Any], data: st.DataObject) -> None:
    message = data.draw(messages_of(kind))
    for field in msgspec.structs.fields(kind):
        with pytest.raises(AttributeError):
            setattr(message, field.name, None)


def test_messages_carried_by_messages_keep_their_class() -> None:
    result = ToolResult(call_id="1", tool="x", ok=True, text="", undo=Undo(tool="y", arguments={"a": [1, None]}))
    event = StageEvent(stage="tool_result", state="ended", at=1.5, monotonic_s=2, message=result)
    assert from_json(json.loads(json.dumps(to_json(event)))) == event


@pytest.mark.parametrize("wrong", [None, 1, "Notice", [], {}, {"type": 5}, {"type": "_Message"}])
def test_other_json_is_refused(wrong: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        from_json(wrong)


def test_one_message_as_the_interface_promises_it() -> None:
    notice = Notice(code="no_device", what="There is no microphone.", todo="Plug one in.")
    assert to_json(notice) == {
        "type": "Notice",
        "code": "no_device",
        "what": "There is no microphone.",
        "todo": "Plug one in.",
        "level": "warning",
    }


def test_the_length_of_an_utterance_comes_from_its_samples() -> None:
    utterance = messages.Utterance(
        id="1", started_at=0, first_sample=0, pcm=bytes(2 * 24_000), speech_ms=1, silence_ms=1, end_reason="silence"
    )
    assert utterance.audio_ms == 1500


def test_the_public_form_of_an_event_holds_no_sound() -> None:
    utterance = messages.Utterance(
        id="1", started_at=0, first_sample=0, pcm=b"secret", speech_ms=1, silence_ms=1, end_reason="silence"
    )
    event = StageEvent(stage="utterance", state="ended", at=0, monotonic_s=0, utterance_id="1", message=utterance)
    assert "pcm" in to_json(event)["message"]
    assert public_json(event) == {**to_json(event), "message": None}
    notice = StageEvent(stage="notice", state="x", at=0, monotonic_s=0, message=Notice(code="x", what="y"))
    assert public_json(notice) == to_json(notice)


def test_ids_differ_and_are_ordered_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1_700_000_000_000_000_000, 1_700_000_000_001_000_000, 1_800_000_000_000_000_000])
    monkeypatch.setattr("time.time_ns", lambda: next(moments))
    ids = [new_id(), new_id(), new_id()]
    assert ids == sorted(ids)
    monkeypatch.undo()
    many = {new_id() for _ in range(1000)}
    assert len(many) == 1000
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in many)


def test_defaults_are_not_shared() -> None:
    first = StageEvent(stage="box", state="ready", at=0, monotonic_s=0)
    first.timings["x_ms"] = 1.0
    assert StageEvent(stage="box", state="ready", at=0, monotonic_s=0).timings == {}
