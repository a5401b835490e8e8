"""The protocol without a socket: any bytes, cut anywhere."""

from __future__ import annotations

import contextlib
import inspect
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from agentbox import errors
from agentbox.control.protocol import Answer, Fault, LineBuffer, Request, decode_answer, decode_request, encode
from agentbox.errors import AgentboxError, ControlError, ExitCode, ToolError
from agentbox.messages import JSON

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)

ALMOST = st.sampled_from(
    [
        b'{"id":1,"method":"status"}',
        b'{"id":1,"method":"ask","params":{"text":"milk"}}',
        b'{"id":1,"result":null}',
        b'{"id":1,"error":{"code":"a","what":"b","todo":"c","exit_code":3}}',
        b"[" * 100_000,
        b'{"id":' * 5_000,
        b'{"id":99999999999999999999999999,"method":"x"}',
        b'{"id":1,"method":"\\ud800"}',
        b'{"id":1,"method":"\xff"}',
        b'{"id":1e400,"result":1e400}',
        b'{"id":1,"result":' + b"9" * 5_000 + b"}",
    ]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    line = bytearray(draw(ALMOST))
    place = draw(st.integers(0, len(line)))
    line[place : place + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(line)


class TestLineBuffer:
    @given(st.lists(st.binary(max_size=40)), st.data())
    def test_any_split_gives_the_same_lines(self, pieces: list[bytes], data: st.DataObject) -> None:
        whole = b"\n".join(pieces)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
        buffer = LineBuffer()
        lines = [
            line
            for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)
            for line in buffer.feed(whole[start:end])
        ]
        assert lines == [line for line in whole.split(b"\n")[:-1] if line.strip()]

    @given(st.lists(st.binary(max_size=30), max_size=10), st.integers(0, 40))
    def test_a_line_is_refused_when_it_is_over_the_limit_and_only_then(self, chunks: list[bytes], limit: int) -> None:
        buffer = LineBuffer(limit)
        sent = b""
        for chunk in chunks:
            sent += chunk
            if max(map(len, sent.split(b"\n"))) > limit:
                with pytest.raises(ControlError) as caught:
                    buffer.feed(chunk)
                assert caught.value.code == "line_too_long"
                return
            buffer.feed(chunk)

    def test_a_long_line_in_small_pieces_is_put_together_once(self) -> None:
        # 16 MiB in 4 KiB pieces: copying what is there for each piece would move 32 GiB and meet the time limit.
        buffer = LineBuffer(limit=1 << 25)
        assert not any(buffer.feed(b"x" * 4096) for _ in range(4096))
        assert [len(line) for line in buffer.feed(b"y\n")] == [(1 << 24) + 1]


class TestDecode:
    @given(st.binary() | damaged())
    def test_any_bytes_give_a_request_or_a_control_error(self, line: bytes) -> None:
        with contextlib.suppress(ControlError):
            assert isinstance(decode_request(line).params, dict)

    @given(st.binary() | damaged())
    def test_any_bytes_give_an_answer_or_a_control_error(self, line: bytes) -> None:
        try:
            answer = decode_answer(line)
        except ControlError:
            return
        given = [answer.result is not UNSET, answer.item is not UNSET, answer.error is not None]
        assert given.count(True) == 1

    @given(st.integers(-(2**63), 2**63 - 1), st.text(), st.dictionaries(st.text(), JSON_VALUES, max_size=4))
    def test_a_request_comes_back(self, id_: int, method: str, params: dict[str, JSON]) -> None:
        request = Request(id=id_, method=method, params=params)
        [line] = LineBuffer().feed(encode(request))
        assert decode_request(line) == request

    @given(JSON_VALUES)
    def test_an_answer_comes_back(self, value: JSON) -> None:
        for answer in (Answer(id=1, result=value), Answer(id=1, item=value)):
            [line] = LineBuffer().feed(encode(answer))
            assert decode_answer(line) == answer

    @pytest.mark.parametrize(
        "line",
        [
            b"{}",
            b"[]",
            b"null",
            b'{"id":1}',
            b'{"id":"1","method":"status"}',
            b'{"id":1,"method":"status","params":[]}',
            b'{"id":1,"method":"status","parms":{}}',
        ],
    )
    def test_what_is_no_request_is_refused(self, line: bytes) -> None:
        with pytest.raises(ControlError, match="bad_request"):
            decode_request(line)

    @pytest.mark.parametrize("line", [b"{}", b'{"id":1}', b'{"id":1,"result":1,"item":1}', b'{"id":1,"error":"no"}'])
    def test_what_is_no_answer_is_refused(self, line: bytes) -> None:
        with pytest.raises(ControlError, match="bad_answer"):
            decode_answer(line)

    def test_a_result_of_null_is_written_down(self) -> None:
        assert json.loads(encode(Answer(id=3, result=None))) == {"id": 3, "result": None}


def kinds() -> list[type[AgentboxError]]:
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, AgentboxError)]


class TestFault:
    @pytest.mark.parametrize("kind", kinds())
    def test_an_error_comes_back_as_what_it_was(self, kind: type[AgentboxError]) -> None:
        sent = kind("some_code", "What happened.", "What to do.")
        answer = decode_answer(encode(Answer(id=1, error=Fault.of(sent))))
        assert answer.error is not None
        back = answer.error.error()
        assert (back.code, back.what, back.todo) == ("some_code", "What happened.", "What to do.")
        assert back.exit_code == sent.exit_code
        assert type(back) is (AgentboxError if kind is ToolError else kind)

    def test_every_exit_code_of_an_error_has_one_class(self) -> None:
        codes = [kind.exit_code for kind in kinds() if kind not in (AgentboxError, ToolError)]
        assert len(codes) == len(set(codes))

    def test_an_exit_code_of_a_newer_daemon_is_a_plain_error(self) -> None:
        back = Fault(code="new", what="New.", exit_code=99).error()
        assert (type(back), back.code, back.exit_code) == (AgentboxError, "new", ExitCode.FAILED)
