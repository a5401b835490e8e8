"""What every vendor's dialog does, against that vendor's test server: a turn, tools, interruption, and what is refused.

What a vendor has that no other has is in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import pytest

from agentbox.realtime.backends import DIALOGS, KINDS, make_session
from agentbox.realtime.backends import RECOGNISERS as EARS
from agentbox.realtime.connection import Connection
from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerStarted,
    AnswerText,
    Failed,
    Finished,
    Heard,
    Ready,
    Resumable,
    ToolCalled,
    Used,
)
from agentbox.realtime.failures import Kind
from agentbox.realtime.session import Account, Capabilities, Setup
from tests.realtime.dialogs import (
    DOUBAO,
    DUPLEX,
    GEMINI,
    OPENAI,
    QWENS,
    RECOGNISERS,
    SEGMENTING,
    STEPFUN,
    VENDORS,
    Vendor,
)
from tests.realtime.servers.base import KEY, Call, Say, Step, tone
from tests.realtime.talks import failure_of, is_done, of, turn, two_stories, until_ready, up_to

each = pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)


def those(can: Callable[[Capabilities], bool]) -> pytest.MarkDecorator:
    """For those vendors whose dialog can do something."""
    kept = {
        name: vendor
        for name, vendor in VENDORS.items()
        if can(make_session(vendor.kind, Account(KEY, vendor.model), Setup()).capabilities)
    }
    return pytest.mark.parametrize("vendor", kept.values(), ids=kept)


def sound(dialog: Any) -> bytes:
    """Of a turn."""
    return tone(500, dialog.capabilities.input_rate_hz)


def say(connection: Connection[Any]) -> None:
    connection.session.append(sound(connection.session))
    connection.session.commit()
    connection.flush()


def heard(vendor: Vendor) -> list[Heard]:
    return [*[Heard(text, final=False) for text in vendor.partials], Heard("what is the weather?", final=True)]


def test_every_kind_is_here() -> None:
    assert {vendor.kind for vendor in (VENDORS | RECOGNISERS | SEGMENTING).values()} == {*DIALOGS, *EARS}


@each
async def test_a_turn_from_sound_to_answer(vendor: Vendor) -> None:
    async with vendor.serve() as server, Connection(vendor.dialog(server)) as connection:
        events = aiter(connection)
        # What is said before the session is ready waits for it.
        ready, *seen = await turn(connection, events, sound(connection.session))
        assert isinstance(ready, Ready)
        assert vendor.session is None or ready == Ready(vendor.session)
        assert of(seen, AnswerStarted) == [AnswerStarted(vendor.answer.format(1))]
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
        # What a model thinks is not what it says.
        assert of(seen, AnswerText) == [AnswerText(vendor.answer.format(1), "All right.")]
        assert of(seen, Heard) == heard(vendor)
        assert seen[-1] == vendor.done(1)
        if (late := vendor.late) is not None:
            assert of(seen, late) == []
            seen += await up_to(events, lambda event: isinstance(event, late))
        [used] = of(seen, Used)
        assert used.units == vendor.units
        assert of(seen, Resumable) == ([Resumable(vendor.handle)] if vendor.handle else [])
    assert server.requests[0].path == server.path + vendor.path + vendor.query
    assert bytes(server.sound) == sound(connection.session)
    assert connection.traffic.bytes_out > len(server.sound)
    assert server.closes == [1000]
    vendor.spoken(server)


@each
async def test_a_session_holds_turn_after_turn(vendor: Vendor) -> None:
    async with vendor.serve() as server, Connection(vendor.dialog(server)) as connection:
        events = aiter(connection)
        for number in range(1, 4):
            seen = await turn(connection, events, sound(connection.session))
            assert seen[-1] == vendor.done(number)
            assert not of(seen, Failed)
    assert bytes(server.sound) == sound(connection.session) * 3


@pytest.mark.parametrize("vendor", RECOGNISERS.values(), ids=RECOGNISERS)
async def test_recognition_of_turn_after_turn(vendor: Vendor) -> None:
    async with vendor.serve() as server, Connection(vendor.dialog(server)) as connection:
        events = aiter(connection)
        assert await until_ready(events) == [Ready(vendor.session or "")]
        for _ in range(2):
            say(connection)
            seen = await up_to(events, lambda event: isinstance(event, Finished))
            assert of(seen, Heard) == heard(vendor)
    assert server.requests[0].path == server.path + vendor.path + vendor.query
    assert bytes(server.sound) == sound(connection.session) * 2
    assert server.closes == [1000]
    vendor.spoken(server)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("says", [(), (Say("Let me see."),)])
@those(lambda capabilities: capabilities.tools)
async def test_the_model_calls_tools_and_goes_on_when_all_of_them_answered(
    vendor: Vendor, says: Sequence[Say], early: bool
) -> None:
    told: list[Sequence[Any]] = []
    calls = [Call("get_weather", {"town": "Bonn"}), Call("get_weather", {"town": "Köln"}, "call_2")]

    def weather(number: int, results: Sequence[Any]) -> Sequence[Step]:
        if results:
            told.append(list(results))
        return [Say("It is sunny.")] if results else [*says, *calls]

    async with vendor.serve(weather, piece_s=0.002) as server, Connection(vendor.dialog(server)) as connection:
        events = aiter(connection)
        say(connection)
        first = await up_to(events, lambda event: isinstance(event, ToolCalled) and event.call_id == "call_2")
        number = 2 if says and vendor.calls_apart else 1
        name = vendor.answer.format(number)
        if not early:
            first += await up_to(events, is_done)
            assert first[-1] == AnswerDone(name, "completed", calls=True)
        assert of(first, ToolCalled) == [ToolCalled(name, call.id, call.name, call.arguments) for call in calls]
        assert [event.more for event in of(first, AnswerText)] == [one.text for one in says]
        connection.session.tool_result("call_1", {"text": "sunny"})
        connection.session.tool_result("call_1", {"text": "told twice"})
        connection.session.tool_result("call_9", {"text": "never asked for"})
        connection.flush()
        connection.session.tool_result("call_2", {"error": "no such town"})
        connection.flush()
        second = await up_to(events, lambda event: is_done(event) and not event.calls)
        assert [event.more for event in of(second, AnswerText)] == ["It is sunny."]
        assert second[-1] == vendor.done(number + 1)
        assert not of(second, Failed)
    # One answer, with all of them, each once.
    assert told == [[{"text": "sunny"}, {"error": "no such town"}]]
    vendor.results(server)


@each
async def test_an_interruption_drops_the_rest_and_the_next_turn_is_answered(vendor: Vendor) -> None:
    async with vendor.serve(two_stories, piece_s=0.005) as server, Connection(vendor.dialog(server)) as connection:
        events = aiter(connection)
        say(connection)
        await up_to(events, lambda event: isinstance(event, AnswerSound))
        connection.session.interrupt(60.0)
        # A new turn at once, before the first answer's end was told.
        say(connection)
        seen = await up_to(events, is_done)
        assert {event.answer_id for event in of(seen, AnswerSound)} == {vendor.answer.format(2)}
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
        assert of(seen, AnswerText) == [AnswerText(vendor.answer.format(2), "Yes?")]
        assert seen[-1] == vendor.done(2)
        seen += await turn(connection, events, sound(connection.session))
        assert of(seen, AnswerText)[1:] == [AnswerText(vendor.answer.format(3), "Yes?")]
        assert not of(seen, Failed)
    vendor.cut(server)


@those(lambda capabilities: capabilities.takes_text)
async def test_an_interruption_before_the_answer_began_drops_all_of_it(vendor: Vendor) -> None:
    async with vendor.serve(two_stories, piece_s=0.005) as server, Connection(vendor.dialog(server)) as connection:
        connection.session.write("Tell me a story.")
        connection.session.interrupt(0.0)
        connection.session.write("What time is it?")
        connection.flush()
        seen = await up_to(aiter(connection), is_done)
        number = 1 if vendor.answers_at_once else 2
        assert of(seen, AnswerStarted) == [AnswerStarted(vendor.answer.format(number))]
        assert vendor.answers_at_once or of(seen, AnswerText) == [AnswerText(vendor.answer.format(2), "Yes?")]
        assert seen[-1] == vendor.done(number)
        assert not of(seen, Failed)


@pytest.mark.parametrize(
    "vendor", (VENDORS | RECOGNISERS | SEGMENTING).values(), ids=VENDORS | RECOGNISERS | SEGMENTING
)
async def test_a_refused_key_is_the_owners_to_mend(vendor: Vendor) -> None:
    async with vendor.serve() as server:
        failed = await failure_of(vendor.dialog(server, key="sk-wrong"))
        assert (failed.code, failed.kind) == ("cloud_key", Kind.FATAL_CONFIG)
        assert "sk-wrong" not in repr(failed) + repr(vendor.dialog(server, key="sk-wrong").endpoint)
        server.refuses = HTTPStatus.FORBIDDEN
        failed = await failure_of(vendor.dialog(server))
        assert (failed.code, failed.kind) == ("cloud_denied", Kind.FATAL_CONFIG)


@pytest.mark.parametrize("vendor", [OPENAI, QWENS["audio"], STEPFUN, GEMINI, DOUBAO, DUPLEX], ids=lambda one: one.kind)
async def test_settings_that_are_refused_are_the_owners_to_mend(vendor: Vendor) -> None:
    async with vendor.serve() as server:
        failed = await failure_of(vendor.dialog(server, **vendor.bad))
    assert (failed.code, failed.vendor_code) == ("cloud_settings", vendor.bad_code)


@pytest.mark.parametrize("vendor", [OPENAI, QWENS["audio"], STEPFUN], ids=lambda one: one.kind)
async def test_a_turn_without_sound_costs_the_turn_and_not_the_session(vendor: Vendor) -> None:
    async with vendor.serve() as server, Connection(vendor.dialog(server)) as connection:
        events = aiter(connection)
        connection.session.commit()
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, Failed))
        assert [event.session for event in of(seen, Failed)] == [False]
        connection.session.write("What time is it?")
        connection.flush()
        assert isinstance((await up_to(events, is_done))[-1], AnswerDone)


@pytest.mark.parametrize("vendor", [DOUBAO, DUPLEX], ids=lambda one: one.kind)
async def test_a_turn_without_words_costs_the_turn_and_not_the_session(vendor: Vendor) -> None:
    async with vendor.serve() as server, Connection(vendor.dialog(server)) as connection:
        events = aiter(connection)
        server.transcript = ""
        say(connection)
        failed = (await up_to(events, lambda event: isinstance(event, Failed)))[-1]
        assert isinstance(failed, Failed)
        assert (failed.failure.code, failed.session) == ("cloud_input", False)
        server.transcript = "what is the weather?"
        assert is_done((await turn(connection, events, sound(connection.session)))[-1])


@pytest.mark.parametrize("vendor", [DOUBAO, DUPLEX], ids=lambda one: one.kind)
async def test_what_was_not_meant_before_the_session_stood_never_leaves_the_box(vendor: Vendor) -> None:
    async with vendor.serve() as server, Connection(vendor.dialog(server)) as connection:
        connection.session.append(tone(300, 16_000))
        connection.session.discard()
        assert (await turn(connection, aiter(connection), sound(connection.session)))[-1] == vendor.done(1)
    assert bytes(server.sound) == sound(connection.session)
    vendor.spoken(server)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [-1, 0, 0.5, 1e12, "fast", True])
def test_a_rate_that_is_none_is_not_taken_for_one(kind: str, rate: Any) -> None:
    options: dict[str, Any] = {"sample_rate": rate, "audio": {"input": {"format": {"rate": rate}}}}
    usual = make_session(kind, Account(KEY, ""), Setup()).capabilities
    assert make_session(kind, Account(KEY, "", options=options), Setup()).capabilities == usual
