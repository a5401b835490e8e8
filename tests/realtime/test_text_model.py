"""Conversations, requests and readers of text models, without a network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.realtime.anthropic_messages import AnthropicMessages, MessageReader
from agentbox.realtime.chat_completions import ChatCompletions, ChatReader, Habits, Spoken
from agentbox.realtime.events import AnswerDone, AnswerText, Failed, ToolCalled, Used
from agentbox.realtime.failures import CloudError
from agentbox.realtime.session import Account
from agentbox.realtime.text_model import Call, Conversation, Result, Round, ToolGarbled, arguments_of, clean
from agentbox.realtime.text_services import SERVICES, Choices, text_model
from tests.realtime.servers.anthropic import AnthropicServer
from tests.realtime.servers.anthropic import event as sse
from tests.realtime.servers.base import KEY
from tests.realtime.servers.chat import ChatServer
from tests.realtime.servers.http import MODEL, Posted, RefusedError
from tests.realtime.talks import WEATHER

ACCOUNT = Account(KEY, MODEL, "http://127.0.0.1/v1")

words = st.text("ab 好\n", max_size=8)
calls = st.builds(Call, st.sampled_from(["a", "b"]), st.just("get_weather"), st.sampled_from([None, {}, {"town": "B"}]))
rounds = st.builds(
    Round,
    words,
    st.lists(calls, max_size=2, unique_by=lambda call: call.id).map(tuple),
    st.dictionaries(st.sampled_from(["a", "b"]), st.builds(Result, words, st.booleans()), max_size=2),
)


@given(st.lists(st.tuples(st.text("xy", min_size=1), st.lists(rounds, max_size=3), st.none() | words), min_size=1))
def test_no_history_makes_a_request_that_a_service_refuses(history: list[tuple[str, list[Round], str | None]]) -> None:
    """Whatever was cut short, wherever: the servers' own checks accept it."""
    conversation = Conversation("Be brief.", most_letters=60, most_turns=5)
    for said, answer, heard in history:
        conversation.say(said)
        conversation.turns[-1].rounds += answer
        if heard is not None:
            conversation.heard(heard)
        conversation.note("a timer rang")
    conversation.say("Well?")
    for model, server in ((ChatCompletions(ACCOUNT), ChatServer()), (AnthropicMessages(ACCOUNT), AnthropicServer())):
        request = model.request(conversation, [WEATHER])
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert server.check(Posted("POST", "", headers, json.loads(request.body))) == []
    told = conversation.recent()
    assert told[-1].said.endswith("Well?")
    assert all(turn.answer for turn in told[:-1])
    assert sum(turn.letters for turn in told[:-1]) <= 60 + 2 * len(told)


@given(st.lists(words, min_size=1, max_size=4), st.integers(0, 40))
def test_what_was_heard_is_what_is_kept(texts: list[str], letters: int) -> None:
    """Of the words, as many letters as were heard, wherever the seams of rounds and spaces are."""
    whole = "".join("".join(texts).split())
    conversation = Conversation()
    conversation.say("hi")
    conversation.turns[-1].rounds += [Round(text) for text in texts]
    conversation.heard(" ".join(whole[:letters]))
    kept = [one.text for one in conversation.turns[-1].rounds]
    assert "".join("".join(kept).split()) == whole[:letters]
    assert all(text.startswith(one) for text, one in zip(texts, kept, strict=True))


def test_what_was_heard_in_other_words_than_written_is_kept_as_heard() -> None:
    conversation = Conversation()
    conversation.say("When?")
    conversation.turns[-1].rounds += [Round("I look."), Round("At 3 PM, and then at 5.")]
    conversation.heard("I look. At three p m")
    assert [one.text for one in conversation.turns[-1].answer] == ["I look. At three p m"]


def test_an_answer_begun_anew_keeps_its_tools_and_forgets_half_words() -> None:
    conversation = Conversation()
    conversation.say("Weather?")
    called = Round("I look.", (Call("a", "get_weather", {}),), {"a": Result("sunny")})
    conversation.turns[-1].rounds += [called, Round("It is su")]
    assert conversation.begin().rounds == [called]


def test_notes_are_told_once_with_the_next_turn() -> None:
    conversation = Conversation()
    conversation.note("The timer rang.")
    conversation.say("Hello")
    conversation.say("Hello?")
    assert [turn.said for turn in conversation.turns] == ["(The timer rang.)\n\nHello", "Hello?"]


def body(model: Any, *said: str) -> dict[str, Any]:
    conversation = Conversation("Be brief.")
    for text in said:
        conversation.say(text)
        conversation.turns[-1].rounds.append(Round("Yes."))
    conversation.say("And?")
    return dict(json.loads(model.request(conversation, [WEATHER]).body))


def test_options_are_laid_over_the_request_and_null_takes_away() -> None:
    options = {"enable_thinking": False, "stream_options": None, "max_tokens": 20, "extra": {"a": None}}
    sent = body(ChatCompletions(Account(KEY, MODEL, "http://127.0.0.1/v1", options=options)))
    assert sent["enable_thinking"] is False
    assert sent["max_tokens"] == 20
    assert "stream_options" not in sent
    assert sent["extra"] == {"a": None}


def test_both_forms_of_anthropics_key_and_its_version() -> None:
    conversation = Conversation()
    conversation.say("hi")
    bearer = AnthropicMessages(ACCOUNT).request(conversation, [])
    assert bearer.headers == {"anthropic-version": "2026-10-21", "Authorization": f"Bearer {KEY}"}
    old = AnthropicMessages(ACCOUNT, auth="x_api_key", version="2023-06-01").request(conversation, [])
    assert old.headers == {"anthropic-version": "2023-06-01", "x-api-key": KEY}
    assert bearer.url == "http://127.0.0.1/v1/messages"
    assert KEY not in repr(bearer)


def test_openclaw_is_told_only_what_is_new_where_it_remembers() -> None:
    account = Account(KEY, "")
    model: Any = text_model("openclaw", account, Choices(user="agentbox:kitchen"))
    sent = body(model, "First")
    assert sent["model"] == "openclaw/default"
    assert sent["user"] == "agentbox:kitchen"
    assert [message["content"] for message in sent["messages"]] == ["Be brief.", "And?"]
    sent = body(text_model("openclaw", account), "First")
    assert len(sent["messages"]) == 4
    assert "user" not in sent


@pytest.mark.parametrize("kind", sorted(SERVICES))
def test_every_service_has_an_address_or_asks_for_one(kind: str) -> None:
    conversation = Conversation()
    conversation.say("hi")
    model: Any = text_model(kind, Account("", MODEL, "http://127.0.0.1:1/v1"))
    request = model.request(conversation, [])
    assert request.url in ("http://127.0.0.1:1/v1/chat/completions", "http://127.0.0.1:1/v1/messages")
    assert KEY not in str(request.headers)
    if not SERVICES[kind].model:
        with pytest.raises(CloudError) as caught:
            text_model(kind, Account(KEY, ""))
        assert caught.value.code == "cloud_model"
    if not SERVICES[kind].url:
        with pytest.raises(CloudError) as caught:
            text_model(kind, Account(KEY, MODEL))
        assert caught.value.code == "cloud_address"


def read(*deltas: dict[str, Any], reason: str | None = "tool_calls", **reader: Any) -> tuple[list[Any], ChatReader]:
    made = ChatReader(**reader)
    events: list[Any] = []
    for delta in deltas:
        events += made.receive(json.dumps({"id": "c", "choices": [{"delta": delta}]}))
    events += made.receive(json.dumps({"id": "c", "choices": [{"delta": {}, "finish_reason": reason}]}))
    return [*events[1:], *made.receive("[DONE]")], made


def piece(arguments: Any = None, **fields: Any) -> dict[str, Any]:
    return {"tool_calls": [{**fields, "function": {"name": fields.pop("name", None), "arguments": arguments}}]}


@pytest.mark.parametrize(
    "deltas",
    [
        [piece("", index=0, id="a", name="f"), piece('{"x"', index=0), piece(": 1}", index=0)],
        # DashScope: empty ids in later pieces. Others: id and name in every piece.
        [piece("", index=0, id="a", name="f"), piece('{"x": 1}', index=0, id="", name="")],
        [piece('{"x"', index=0, id="a", name="f"), piece(": 1}", index=0, id="a", name="f")],
        # Without an index, or whole, or as an object.
        [piece('{"x": 1}', id="a", name="f")],
        [piece({"x": 1}, index=0, id="a", name="f")],
    ],
)
def test_a_call_comes_in_many_forms(deltas: list[dict[str, Any]]) -> None:
    events, _ = read(*deltas)
    assert events == [ToolCalled("c", "a", "f", {"x": 1}), AnswerDone("c", "completed", calls=True)]


def test_calls_that_share_an_index_are_two() -> None:
    events, _ = read(piece("{}", index=0, id="a", name="f"), piece("{}", index=0, id="b", name="g"), reason="stop")
    assert events[:2] == [ToolCalled("c", "a", "f", {}), ToolCalled("c", "b", "g", {})]
    assert events[2].calls


def test_calls_without_ids_get_some() -> None:
    events, _ = read(piece("{}", index=0, name="f"), piece("{}", index=1, id="a b", name="g"))
    assert [event.call_id for event in events[:2]] == ["call_0", "call_1"]


def test_a_call_that_was_cut_by_the_limit_is_not_run() -> None:
    events, _ = read(piece('{"x": 1', index=0, id="a", name="f"), reason="length")
    assert events[-1] == AnswerDone("c", "incomplete", calls=False)


@pytest.mark.parametrize("written", ["{", "[]", "1", '{"a": NaN}', '{"a": 1e999}', '{"a": ' * 40 + "1" + "}" * 40])
def test_arguments_that_json_cannot_carry_back_are_garbled(written: str) -> None:
    events, _ = read(piece(written, index=0, id="a", name="f"))
    assert events[0] == ToolGarbled("c", "a", "f")


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.lists(st.floats(-9, 9)), max_size=3))
def test_arguments_come_through(arguments: dict[str, Any]) -> None:
    assert arguments_of(json.dumps(arguments)) == arguments


def test_thoughts_are_not_spoken_and_go_back_where_they_are_wanted() -> None:
    thought = ({"reasoning_content": "It"}, {"reasoning_content": " is"}, {"content": "Yes."})
    events, reader = read(*thought, reason="stop")
    assert [event.more for event in events if isinstance(event, AnswerText)] == ["Yes."]
    assert reader.kept is None
    _, reader = read(*thought, reason="stop", keeps_thoughts=True)
    assert reader.kept == {"reasoning_content": "It is"}
    model = ChatCompletions(ACCOUNT, Habits(returns_thoughts=True))
    conversation = Conversation()
    conversation.say("hi")
    conversation.turns[-1].rounds.append(Round("", (Call("a", "f", {}),), {}, reader.kept))
    assert b'"reasoning_content":"It is"' in model.request(conversation, []).body
    conversation.say("And?")
    assert b"reasoning_content" not in model.request(conversation, []).body


@given(st.data())
def test_thoughts_in_the_text_are_left_out_however_it_is_cut(data: st.DataObject) -> None:
    thought = data.draw(st.none() | st.text("<think>/ a", max_size=20).filter(lambda text: "</think>" not in text))
    answer = data.draw(st.text("<think>/ a好", max_size=20)).lstrip()
    if thought is None and (answer.startswith("<think>") or "<think>".startswith(answer)):
        answer = f"a{answer}"
    if thought is not None and thought.endswith(tuple("</think>"[:end] for end in range(1, 8))):
        thought += " "
    whole = answer if thought is None else f"\n<think>{thought}</think>\n\n{answer}"
    spoken = Spoken()
    heard = ""
    while whole:
        size = data.draw(st.integers(1, 9))
        heard += spoken.more(whole[:size])
        whole = whole[size:]
    assert heard + spoken.rest() == answer


def test_text_that_only_begins_like_a_thought_is_spoken() -> None:
    spoken = Spoken()
    assert spoken.more("<thi") + spoken.rest() == "<thi"
    assert Spoken().more("<thing> is") == "<thing> is"
    silent = Spoken()
    assert silent.more("<think>never ended") + silent.rest() == ""


@given(st.text(st.characters(codec="utf-8")), st.text("\ud83d\ude00\ud800a"))
def test_clean_text_can_be_sent(whole: str, broken: str) -> None:
    assert clean(whole) == whole
    assert "\ud800" not in clean(broken).encode().decode()


def test_the_sum_of_what_was_used_is_told_once() -> None:
    reader = ChatReader()
    for count in (1, 2):
        reader.receive(json.dumps({"choices": [], "usage": {"total_tokens": count}}))
    assert reader.receive("[DONE]")[0] == Used({"total_tokens": 2})
    assert reader.receive("[DONE]") == []
    assert reader.closed() == []


@pytest.mark.parametrize("reader", [ChatReader, MessageReader])
def test_a_stream_that_ends_early_is_a_failure(reader: Any) -> None:
    event = reader().closed()[-1]
    assert isinstance(event, Failed)
    assert event.failure.code == "cloud_silent"
    begun = reader()
    begun.receive('{"type": "message_start", "choices": []}')
    assert begun.closed()[-1].failure.code == "cloud_closed"
    assert begun.receive('{"choices": []}') == []
    assert reader().receive("<html>")[-1].failure.code == "cloud_protocol"


def test_a_filtered_answer_and_a_refusal_are_failures_of_the_input() -> None:
    events, _ = read({"content": "I"}, reason="content_filter")
    assert events[-1].failure.code == "cloud_input"
    reader = MessageReader()
    reader.receive(sse("message_delta", delta={"stop_reason": "refusal"}).decode().partition("data: ")[2])
    assert reader.closed()[-1].failure.code == "cloud_input"  # type: ignore[union-attr]


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_anthropics_answer_that_was_cut_by_the_limit_runs_no_tool(reason: str) -> None:
    reader = MessageReader()
    for event in (
        sse("content_block_start", index=0, content_block={"type": "tool_use", "id": "a", "name": "f", "input": {}}),
        sse("content_block_stop", index=0),
        sse("message_delta", delta={"stop_reason": reason}),
    ):
        reader.receive(event.decode().partition("data: ")[2])
    assert reader.closed() == [AnswerDone("", "incomplete", calls=False)]


def test_anthropic_tools_told_whole_with_their_start() -> None:
    reader = MessageReader()
    block = {"type": "tool_use", "id": "a", "name": "f", "input": {"x": None}}
    reader.receive(json.dumps({"type": "content_block_start", "index": 0, "content_block": block}))
    assert reader.receive('{"type": "content_block_stop", "index": 0}') == [ToolCalled("", "a", "f", {"x": None})]


def test_the_servers_refuse_what_their_vendors_refuse() -> None:
    """The checks that the test above relies on can fail."""
    headers = {"authorization": f"Bearer {KEY}", "anthropic-version": "1"}
    call = {"id": "a", "function": {"name": "f", "arguments": "{}"}}
    wrong: list[tuple[Any, list[Any]]] = [
        (ChatServer(), [{"role": "user"}, {"role": "assistant", "tool_calls": [call]}]),
        (ChatServer(), [{"role": "user"}, {"role": "tool", "tool_call_id": "a", "content": ""}]),
        (AnthropicServer(), [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
        (AnthropicServer(), [{"role": "user", "content": " "}]),
        (AnthropicServer(), [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]),
    ]
    for server, messages in wrong:
        sent = {"model": MODEL, "max_tokens": 1, "messages": messages}
        with pytest.raises(RefusedError) as caught:
            server.check(Posted("POST", "", headers, sent))
        assert caught.value.status == 400
