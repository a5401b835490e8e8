"""Server and client on a real socket: answers, errors, streams, and clients that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agentbox.control import server as server_module
from agentbox.control.client import Client
from agentbox.control.protocol import MAX_LINE_BYTES
from agentbox.control.server import MAX_CLIENTS, MAX_WAITING, ControlServer
from agentbox.errors import ControlError, InputError, ModelError
from agentbox.messages import JSON
from tests.control.conftest import Methods

T = TypeVar("T")

pytestmark = pytest.mark.usefixtures("server")

LIMIT_S = 20.0
"""Never reached unless something hangs."""


async def beside(work: Callable[..., T], *args: Any) -> T:
    """The blocking client, beside the server's loop."""
    return await asyncio.wait_for(asyncio.to_thread(work, *args), LIMIT_S)


async def within(work: Any) -> Any:
    return await asyncio.wait_for(work, LIMIT_S)


class Raw:
    """A connection that sends and reads what a test likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, path: Path) -> Raw:
        return cls(*await asyncio.open_unix_connection(str(path), limit=1 << 22))

    async def ask(self, *requests: JSON) -> None:
        self.writer.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
        await within(self.writer.drain())

    async def answer(self) -> JSON:
        line = await within(self.reader.readline())
        return json.loads(line) if line else None

    async def close(self) -> None:
        self.writer.close()
        await within(self.writer.wait_closed())


class TestAnswers:
    async def test_a_call_gives_the_result(self, path: Path) -> None:
        params = {"text": "牛奶 \n \u2028", "list": [1, 2.5, None, True]}
        assert await beside(Client(path).call, "echo", params) == params

    async def test_a_long_answer_arrives_whole(self, path: Path) -> None:
        assert await beside(Client(path).call, "large") == "x" * 300_000

    async def test_a_stream_gives_its_items_in_order(self, path: Path) -> None:
        assert await beside(lambda: list(Client(path).stream("count", {"to": 5000}))) == list(range(5000))

    async def test_an_error_has_its_class_code_and_exit_code(self, path: Path) -> None:
        with pytest.raises(ModelError) as caught:
            await beside(Client(path).call, "fail")
        assert (caught.value.code, caught.value.what, caught.value.todo) == (
            "model_missing",
            "There is no model.",
            "Fetch it.",
        )
        assert caught.value.exit_code == ModelError.exit_code

    async def test_an_error_in_a_stream_comes_after_its_items(self, path: Path) -> None:
        items: list[JSON] = []

        def read() -> None:
            for item in Client(path).stream("fail_late"):
                items.append(item)  # noqa: PERF402 - what came before the error counts

        with pytest.raises(InputError, match="bad_parameter"):
            await beside(read)
        assert items == ["first"]

    async def test_an_unknown_method(self, path: Path) -> None:
        with pytest.raises(ControlError, match="unknown_method"):
            await beside(Client(path).call, "make.coffee")

    async def test_one_connection_serves_many_requests_in_order(self, path: Path) -> None:
        raw = await Raw.open(path)
        await raw.ask(
            {"id": 7, "method": "echo", "params": {"a": 1}},
            {"id": 8, "method": "count", "params": {"to": 2}},
            {"id": 9, "method": "fail"},
        )
        answers = [await raw.answer() for _ in range(5)]
        assert [answer["id"] for answer in answers] == [7, 8, 8, 8, 9]
        assert answers[1:4] == [{"id": 8, "item": 0}, {"id": 8, "item": 1}, {"id": 8, "result": None}]
        assert answers[4]["error"]["exit_code"] == 4
        await raw.close()

    async def test_a_line_that_is_no_request_is_told_and_the_next_one_answered(self, path: Path) -> None:
        raw = await Raw.open(path)
        raw.writer.write(b"GET / HTTP/1.1\r\n")
        await raw.ask({"id": 2, "method": "echo"})
        assert (await raw.answer())["error"]["code"] == "bad_request"
        assert await raw.answer() == {"id": 2, "result": {}}
        await raw.close()

    async def test_calls_are_answered_to_a_client_that_has_ended_its_side(self, path: Path) -> None:
        raw = await Raw.open(path)
        await raw.ask({"id": 1, "method": "echo"}, {"id": 2, "method": "echo"})
        raw.writer.write_eof()
        assert [await raw.answer(), await raw.answer()] == [{"id": 1, "result": {}}, {"id": 2, "result": {}}]
        assert await raw.answer() is None
        await raw.close()

    async def test_a_mistake_of_the_daemon_is_logged_without_its_words(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG), pytest.raises(ControlError, match="daemon_gone"):
            await beside(Client(path).call, "break", {"text": "a private sentence"})
        assert await beside(Client(path).call, "echo") == {}  # and the server lives on
        assert "LookupError" in caplog.text
        assert "break_" in caplog.text
        assert "private" not in caplog.text


class TestClientsThatLeave:
    async def test_a_stream_is_closed(self, path: Path, methods: Methods) -> None:
        stream = Client(path).stream("forever")
        assert await beside(next, stream) == "first"
        await beside(stream.close)  # type: ignore[attr-defined]
        assert await within(methods.ended.get()) == "forever"

    async def test_a_stream_is_closed_though_requests_wait_behind_it(self, path: Path, methods: Methods) -> None:
        raw = await Raw.open(path)
        await raw.ask(*({"id": number, "method": "forever"} for number in range(MAX_WAITING)))
        assert (await raw.answer())["item"] == "first"
        await raw.close()
        assert await within(methods.ended.get()) == "forever"
        assert await beside(Client(path).call, "echo") == {}
        assert methods.begun.qsize() == 1  # those behind it never began

    async def test_a_call_runs_to_its_end(self, path: Path, methods: Methods) -> None:
        raw = await Raw.open(path)
        await raw.ask({"id": 1, "method": "wait"})
        await within(methods.begun.get())
        await raw.close()
        assert await beside(Client(path).call, "echo") == {}  # the server has seen the close by now
        assert methods.ended.empty()
        methods.go_on.set()
        assert await within(methods.ended.get()) == "wait"
        assert methods.done == ["wait"]

    async def test_a_place_is_free_again(self, path: Path) -> None:
        for _ in range(MAX_CLIENTS + 5):
            raw = await Raw.open(path)
            await raw.ask({"id": 1, "method": "echo"})
            assert (await raw.answer())["id"] == 1
            await raw.close()


class TestClientsThatTakeTooMuch:
    async def test_a_line_over_the_limit(self, path: Path) -> None:
        raw = await Raw.open(path)
        raw.writer.write(b"x" * (MAX_LINE_BYTES + 1))
        assert (await raw.answer())["error"]["code"] == "line_too_long"
        assert await raw.answer() is None
        await raw.close()

    async def test_the_client_is_told_though_the_server_stops_reading(self, path: Path) -> None:
        with pytest.raises(ControlError, match="line_too_long"):
            await beside(Client(path).call, "echo", {"text": "x" * 8 * MAX_LINE_BYTES})

    async def test_more_requests_than_may_wait(self, path: Path, methods: Methods) -> None:
        raw = await Raw.open(path)
        await raw.ask({"id": 1, "method": "wait"})
        await within(methods.begun.get())
        await raw.ask(*({"id": number, "method": "echo"} for number in range(2, MAX_WAITING + 3)))
        methods.go_on.set()
        ids = [(await raw.answer())["id"] for _ in range(MAX_WAITING + 1)]
        assert ids == list(range(1, MAX_WAITING + 2))
        refused = await raw.answer()
        assert (refused["id"], refused["error"]["code"]) == (0, "too_busy")
        assert await raw.answer() is None
        await raw.close()

    async def test_more_clients_than_there_are_places(self, path: Path) -> None:
        raws = [await Raw.open(path) for _ in range(MAX_CLIENTS)]
        for raw in raws:
            await raw.ask({"id": 1, "method": "echo"})
            assert (await raw.answer())["id"] == 1
        with pytest.raises(ControlError, match="too_busy"):
            await beside(Client(path).call, "echo")
        await raws.pop().close()
        async with asyncio.timeout(LIMIT_S):
            while True:  # until the server has seen it
                with contextlib.suppress(ControlError):
                    assert await beside(Client(path).call, "echo") == {}
                    break
        for raw in raws:
            await raw.close()

    async def test_a_flood_that_nobody_reads(
        self, path: Path, methods: Methods, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server_module, "SEND_LIMIT_S", 0.2)
        request = b'{"id":1,"method":"large"}\n'

        def flood() -> int:
            """Bytes sent until the server hangs up."""
            sent = 0
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(LIMIT_S)
                connection.connect(str(path))
                try:
                    while sent < 1 << 28:
                        sent += connection.send(request * 1000)
                except (BrokenPipeError, ConnectionResetError):
                    return sent
            return sent

        assert await beside(flood) < 1 << 24
        assert await beside(Client(path).call, "echo") == {}

    async def test_a_client_that_does_not_read_is_let_go(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server_module, "SEND_LIMIT_S", 0.2)
        raw = await Raw.open(path)
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await raw.ask(*({"id": number, "method": "large"} for number in range(MAX_WAITING)))
        assert await beside(Client(path).call, "echo") == {}
        async with asyncio.timeout(LIMIT_S):
            while any(task.get_name() == "control client" for task in asyncio.all_tasks()):
                await asyncio.sleep(0.02)
        raw.writer.transport.abort()


class TestClose:
    async def test_clients_do_not_hold_it_up(self, path: Path, methods: Methods) -> None:
        other = path.with_name("other.sock")
        async with ControlServer(other, methods.table()):
            idle, streaming, calling, deaf = [await Raw.open(other) for _ in range(4)]
            await streaming.ask({"id": 1, "method": "forever"})
            await calling.ask({"id": 1, "method": "wait"})
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await deaf.ask(*({"id": number, "method": "large"} for number in range(MAX_WAITING)))
            assert {await within(methods.begun.get()) for _ in range(2)} == {"forever", "wait"}
        # Each has ended by itself: none was left behind after CLOSE_LIMIT_S.
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("control")] == []
        assert {methods.ended.get_nowait() for _ in range(2)} == {"forever", "wait"}
        assert methods.done == []
        assert not other.exists()
        assert not Client(other).is_running()
        for raw in (idle, streaming, calling, deaf):
            raw.writer.transport.abort()
