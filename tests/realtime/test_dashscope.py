"""DashScope's recognition: our adapter against the test server."""

from __future__ import annotations

import json
from typing import Any

from agentbox.realtime.connection import Connection
from agentbox.realtime.dashscope import FunASR
from agentbox.realtime.events import Finished, Heard, Ready, Used
from agentbox.realtime.session import Capabilities, Setup
from tests.realtime.dashscope_talks import (
    TURN,
    WORDS,
    account,
    ears,
    ended,
    json_of,
    of,
    parameters,
    payload,
    sentence,
    started,
    told,
    turn,
    voice,
)
from tests.realtime.servers.base import KEY
from tests.realtime.servers.dashscope import DashScopeServer
from tests.realtime.talks import until_ready, up_to


async def test_a_turn_from_sound_to_words() -> None:
    async with DashScopeServer() as server, Connection(ears(server)) as connection:
        events = aiter(connection)
        ready = await until_ready(events)
        assert [type(event) for event in ready] == [Ready]
        seen = await turn(connection, events)
        assert of(seen, Heard) == WORDS
        assert sum(event.units["duration"] for event in of(seen, Used)) == 1  # told as a sum, passed on as a difference
        assert seen[-1] == Finished()
    assert bytes(server.sound) == TURN
    assert server.order == ["run-task", "sound", "finish-task"]
    assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in server.requests[0].path
    assert server.closes == [1000]


async def test_sound_given_before_the_task_has_started_waits_for_it() -> None:
    adapter = ears()
    adapter.append(b"\1\0")
    adapter.commit()
    assert adapter.frames() == []
    adapter.opened()
    (run,) = json_of(adapter.frames())
    assert run["header"]["action"] == "run-task"
    assert adapter.receive(told("task-started")) == [Ready(run["header"]["task_id"])]
    sound, finish = adapter.frames()
    assert sound == b"\1\0"
    assert json.loads(finish)["header"] == run["header"] | {"action": "finish-task"}


async def test_the_next_turn_is_another_task_on_the_same_connection() -> None:
    async with DashScopeServer() as server, Connection(ears(server)) as connection:
        events = aiter(connection)
        readies: list[Ready] = []
        for _ in range(3):
            seen = await turn(connection, events)
            assert of(seen, Heard) == WORDS
            assert sum(event.units["duration"] for event in of(seen, Used)) == 1
            readies = readies + of(seen, Ready)
    assert len(readies) == 1
    assert server.order == ["run-task", "sound", "finish-task"] * 3
    assert len({frame["header"]["task_id"] for frame in server.sent("run-task")}) == 3
    assert len(server.requests) == 1
    assert len(server.sound) == 3 * len(TURN)


async def test_a_turn_that_begins_before_the_last_one_was_understood_waits_for_it() -> None:
    async with DashScopeServer() as server, Connection(ears(server)) as connection:
        events = aiter(connection)
        for _ in range(2):
            connection.session.append(TURN)
            connection.session.commit()
        connection.flush()
        for _ in range(2):
            assert of(await up_to(events, ended), Heard)[-1] == WORDS[-1]
    assert server.order == ["run-task", "sound", "finish-task"] * 2


async def test_a_session_left_in_a_turn_ends_its_task() -> None:
    async with DashScopeServer() as server, Connection(ears(server)) as connection:
        await until_ready(aiter(connection))
        connection.session.append(TURN)
    assert server.order == ["run-task", "sound", "finish-task"]


async def test_silence_keeps_the_task_and_says_nothing() -> None:
    async with DashScopeServer() as server, Connection(ears(server)) as connection:
        events = aiter(connection)
        seen = await turn(connection, events, bytes(6_400) + TURN)
        assert of(seen, Heard) == WORDS
    assert server.sent("run-task")[0]["payload"]["parameters"]["heartbeat"] is True


def test_a_task_is_ended_once() -> None:
    adapter = started(ears())
    adapter.commit()
    adapter.finish()
    assert [frame["header"]["action"] for frame in json_of(adapter.frames())] == ["finish-task"]


def test_what_comes_before_the_task_has_started_is_dropped() -> None:
    adapter = ears()
    adapter.opened()
    assert adapter.receive(sentence("early", sentence_end=True)) == []
    assert adapter.receive(told("task-finished")) == []


def test_the_end_of_a_sentence_is_told_either_way() -> None:
    adapter = started(ears())
    assert adapter.receive(sentence("one", sentence_end=True, end_time=920)) == [Heard("one", True, 0)]
    assert adapter.receive(sentence("two", end_time=None)) == [Heard("two", False, 1)]
    assert adapter.receive(sentence("two", end_time=1_900)) == [Heard("two", True, 1)]
    assert adapter.receive(sentence("three", sentence_end=False, end_time=5)) == [Heard("three", False, 2)]


def test_a_sentence_that_follows_without_an_end_ends_the_one_before() -> None:
    adapter = started(ears())
    adapter.receive(sentence("one", sentence_id=1))
    assert adapter.receive(sentence("two", sentence_id=2)) == [Heard("one", True, 0), Heard("two", False, 1)]
    adapter.commit()
    assert adapter.receive(told("task-finished")) == [Heard("two", True, 1), Finished()]


def test_a_sentence_that_is_taken_back_and_one_that_is_told_twice() -> None:
    adapter = started(ears())
    assert adapter.receive(sentence("", sentence_begin=True, sentence_id=1)) == []
    adapter.receive(sentence("uh", sentence_id=1))
    assert adapter.receive(sentence("", sentence_id=1, sentence_end=True)) == [Heard("", True, 0)]
    assert adapter.receive(sentence("uh", sentence_id=1, sentence_end=True)) == []
    assert adapter.receive(sentence("", sentence_id=0, heartbeat=True)) == []


def test_a_task_that_the_service_ends_by_itself_is_followed_by_another() -> None:
    adapter = started(ears())
    adapter.receive(sentence("one", sentence_id=1, sentence_end=True))
    assert adapter.receive(told("task-finished")) == []
    adapter.append(b"\1\0")
    assert json_of(adapter.frames())[0]["header"]["action"] == "run-task"
    adapter.receive(told("task-started"))
    assert adapter.receive(sentence("two", sentence_id=1, sentence_end=True)) == [Heard("two", True, 1)]


def test_what_comes_late_of_another_task_is_dropped() -> None:
    adapter = started(ears())
    late = json.loads(sentence("late", sentence_end=True))
    late["header"]["task_id"] = "0" * 32
    assert adapter.receive(json.dumps(late)) == []
    adapter.commit()
    adapter.receive(told("task-finished"))
    assert adapter.receive(sentence("late", sentence_end=True)) == []


# What a recognition is told beforehand


def test_options_are_laid_over_the_parameters_and_null_takes_one_away() -> None:
    told = parameters(ears(max_sentence_silence=800, heartbeat=None, vocabulary_id="vocab-x", format="mp3"))
    assert told == {
        "format": "pcm",
        "sample_rate": 16_000,
        "language_hints": ["en"],
        "max_sentence_silence": 800,
        "vocabulary_id": "vocab-x",
    }
    assert payload(ears(resources=[{"resource_id": "x", "resource_type": "asr_phrase"}]))["resources"][0]


def test_a_language_that_the_model_does_not_know_is_not_hinted_at() -> None:
    assert "language_hints" not in parameters(FunASR(account(), Setup(language="de-DE")))
    newer = FunASR(account(model="qwen-audio-3.1-asr-flash-streaming"), Setup(language="de-DE"))
    assert parameters(newer)["language_hints"] == ["de"]


def test_capabilities_are_the_models() -> None:
    assert ears().capabilities == Capabilities(tools=False, takes_text=False, idle_s=23.0)
    narrow = ears(model="fun-asr-flash-8k-realtime")
    assert narrow.capabilities.input_rate_hz == parameters(narrow)["sample_rate"] == 8_000
    assert ears(sample_rate=8_000).capabilities.input_rate_hz == 8_000
    assert voice().capabilities.output_rate_hz == 24_000
    assert voice(sample_rate=16_000).capabilities.output_rate_hz == 16_000


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def test_hot_words_go_along_as_domain_words_or_as_the_owner_wants() -> None:
    setup = Setup(hotwords=("agentbox", "Bonn"))
    assert payload(FunASR(account(), setup))["input"] == {"context": [user("agentbox Bonn")]}
    many = payload(FunASR(account(), Setup(hotwords=("agentbox",) * 99)))["input"]["context"]
    assert many == [user(" ".join(["agentbox"] * 44))]
    inline = payload(FunASR(account(vocabulary=True), setup))
    assert inline["parameters"]["vocabulary"] == {"agentbox": 4, "Bonn": 4}
    assert inline["input"] == {}
    own = payload(FunASR(account(vocabulary={"Bonn": 5}), setup))
    assert own["parameters"]["vocabulary"] == {"Bonn": 5}
    kept = payload(FunASR(account(vocabulary_id="vocab-x"), setup))
    assert kept["input"] == {}
    assert payload(FunASR(account(model="fun-asr-flash-8k-realtime"), setup))["input"] == {}
    assert "vocabulary" not in parameters(FunASR(account(vocabulary=True), Setup()))


async def test_the_conversation_goes_along_in_the_task_and_with_the_next() -> None:
    async with DashScopeServer() as server, Connection(ears(server)) as connection:
        events = aiter(connection)
        await until_ready(events)
        connection.session.remember("Who is Ada?", "A friend of yours.")
        await turn(connection, events)
        connection.session.remember("x" * 300, "y" * 300)
        await turn(connection, events)
    first = [user("Who is Ada?"), assistant("A friend of yours.")]
    assert [frame["payload"] for frame in server.sent("continue-task")] == [{"input": {"context": first}}]
    runs = [frame["payload"]["input"] for frame in server.sent("run-task")]
    assert runs == [{}, {"context": [*first, user("x" * 300), assistant("y" * 100)]}]


def test_five_rounds_are_kept_and_models_without_context_are_not_told() -> None:
    adapter = FunASR(account(), Setup(hotwords=("agentbox",)))
    for number in range(9):
        adapter.remember(f"said {number}", "")
    told = payload(adapter)["input"]["context"]
    assert told == [user("agentbox"), *(user(f"said {number}") for number in range(5, 9))]
    narrow = started(ears(model="fun-asr-flash-8k-realtime"))
    narrow.remember("said", "answered")
    assert narrow.frames() == []
    later = started(ears())
    later.commit()
    later.frames()
    later.remember("said", "answered")
    assert later.frames() == []
    given = {"context": [user("mine")]}
    assert payload(ears(model="fun-asr-flash-8k-realtime", input=given))["input"] == given
