"""How each tool's last call went."""

from __future__ import annotations

from agentbox.messages import ToolCall, ToolResult, new_id
from agentbox.storage import listing
from agentbox.storage.journal import Journal
from tests.storage.conftest import Box
from tests.storage.talk import NOW, event, heard


def called(journal: Journal, tool: str, at: float, *, code: str | None = None) -> None:
    turn, call = new_id(), new_id()
    made = ToolCall(id=call, utterance_id=turn, tool=tool, arguments={"secret": "words"}, caller="speech")
    result = ToolResult(call_id=call, tool=tool, ok=code is None, text="words", error_code=code)
    told = [event(turn, "tool_call", "started", made, at=at), event(turn, "tool_result", "ok", result, at=at)]
    for one in [*heard(turn, "words", at=at), *told]:
        journal.record(one)
    assert journal.settle()


def test_of_each_tool_the_newest_call_counts(box: Box) -> None:
    journal = box.open()
    called(journal, "lamp", NOW + 5)
    called(journal, "lamp", NOW, code="tool_failed")
    called(journal, "door", NOW + 1, code="tool_denied")
    assert sorted(journal.read(listing.last_calls), key=lambda row: str(row["tool"])) == [
        {"tool": "door", "at": NOW + 1, "caller": "speech", "state": "failed", "error_code": "tool_denied"},
        {"tool": "lamp", "at": NOW + 5, "caller": "speech", "state": "done", "error_code": None},
    ]


def test_what_is_deleted_is_not_told_of(box: Box) -> None:
    journal = box.open()
    called(journal, "lamp", NOW)
    journal.delete_all()
    assert journal.read(listing.last_calls) == []
