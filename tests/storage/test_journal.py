"""What goes in comes out, and nothing else does."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbox.errors import StorageError
from agentbox.messages import Activation, Notice, PartialTranscript, Reply, StageEvent, ToolCall, ToolResult, Transcript
from agentbox.storage.journal import Journal
from tests.storage.conftest import Box
from tests.storage.talk import NOW, acted, called, event, heard, unasked, whole_turn

ROOT = Path(__file__).parents[2]
Keep = Callable[..., str]


def test_a_turn_comes_back_whole(box: Box, keep: Keep) -> None:
    journal = box.open()
    turn_id = keep(journal, "add milk to my list")
    turn = journal.get(turn_id)
    assert turn is not None
    assert (turn["id"], turn["text"], turn["audio_ms"], turn["end_reason"]) == (
        turn_id,
        "add milk to my list",
        100,
        "silence",
    )
    assert turn["transcript"]["engine"] == "moonshine"
    assert turn["transcript"]["confidence"] == 0.9
    assert turn["intent"]["slots"] == {"item": "add milk to my list"}
    [call] = turn["tool_calls"]
    assert (call["state"], call["arguments"], call["data"]) == ("done", turn["intent"]["slots"], call["arguments"])
    assert [reply["text"] for reply in turn["replies"]] == ["add milk to my list"]
    stages = [(stage["stage"], stage["state"]) for stage in turn["stages"]]
    assert stages == [(one.stage, one.state) for one in whole_turn("x")[1]], "in the order in which they happened"
    assert turn["stages"][0]["timings"] == {"level_dbfs": -30.0}
    assert turn["audio"] is False
    assert list(journal.export()) == [turn]
    [summary] = journal.recent()
    assert (summary["intent"], summary["tool_state"], summary["outcome"]) == ("HassListAddItem", "done", "done")


def test_turns_outlive_a_restart_and_come_newest_first(box: Box, keep: Keep) -> None:
    journal = box.open()
    ids = [keep(journal, f"turn {number}", at=NOW + number) for number in range(5)]
    journal.close()
    journal = box.open()
    assert [turn["id"] for turn in journal.recent(2)] == [ids[4], ids[3]]
    assert [turn["id"] for turn in journal.recent(9, before=NOW + 2)] == [ids[1], ids[0]]
    assert [turn["id"] for turn in journal.export()] == ids
    assert box.codes == []


def test_the_file_is_for_its_owner_only(box: Box, keep: Keep) -> None:
    keep(box.open(), "private")
    files = list(box.path.parent.iterdir())
    assert len(files) >= 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_an_utterance_that_was_never_activated_leaves_nothing(box: Box) -> None:
    journal = box.open()
    kept, talk = "a" * 32, "b" * 32
    for one in heard(talk, "our secret dinner"):
        if one.stage != "activation":
            journal.record(one)
    partial = PartialTranscript(utterance_id=talk, text="our secret", audio_ms=100)
    journal.record(event(talk, "partial", "heard", partial))
    journal.record(event(talk, "transcript", "not_activated"))
    for one in heard(kept, "hello"):
        journal.record(one)
    assert journal.settle()
    assert journal.get(talk) is None
    assert len(journal.recent()) == 1
    assert b"secret" not in box.bytes_on_disk()
    assert talk.encode() not in box.bytes_on_disk()


@pytest.mark.parametrize("audio", [True, False])
def test_transcripts_off_keeps_nothing(box: Box, keep: Keep, audio: bool) -> None:
    journal = box.open(keep_transcripts=False, keep_audio=audio)
    turn = keep(journal, "my secret")
    for one in unasked("my secret alert"):
        journal.record(one)
    assert journal.settle()
    assert journal.recent() == []
    assert journal.get(turn) is None
    assert b"secret" not in box.bytes_on_disk()
    journal.store("timers").put("tea", 5)
    assert journal.store("timers").get("tea") == 5, "tools still keep what they need"


def test_sound_is_kept_only_when_asked_for(box: Box, keep: Keep) -> None:
    journal = box.open(keep_audio=True)
    with_sound = keep(journal, "with")
    journal.close()
    journal = box.open()
    without = keep(journal, "without")
    turns = [journal.get(turn) for turn in (with_sound, without)]
    assert [turn["audio"] for turn in turns if turn] == [True, False]
    assert [turn["audio_ms"] for turn in turns if turn] == [100, 100]
    with sqlite3.connect(box.path) as database:
        [(flac,)] = database.execute("SELECT flac FROM audio").fetchall()
    assert flac.startswith(b"fLaC")


def test_search_finds_words_in_any_order_begun_words_and_chinese(box: Box, keep: Keep) -> None:
    journal = box.open()
    milk = keep(journal, "Add some milk to my Café list.")
    bread = keep(journal, "add bread")
    chinese = keep(journal, "请把牛奶加到购物清单")

    def found(text: str) -> set[str]:
        return {turn["id"] for turn in journal.search(text)}

    assert found("list milk") == found("cafe") == found("MIL") == {milk}
    assert found("add") == {milk, bread}
    assert found("牛奶") == found("购物清单") == found("牛奶 清单") == {chinese}
    assert found("奶牛") == found("milk bread") == found("") == found('"*(') == set()
    assert len(journal.search("add", limit=1)) == 1
    wide, accents = keep(journal, "ＦＵＬＬ width"), keep(journal, "two pin\u0303as, m\u0303ore re\u0301sume\u0301s")
    assert found("full") == found("ＦＵ") == {wide}
    assert found("piñas") == found("pinas") == found("pin\u0303as") == found("more") == found("m\u0303ore") == {accents}
    assert found("résumés") == found("re\u0301sume\u0301s") == {accents}


def test_the_start_of_an_id_is_enough_when_no_other_shares_it(box: Box, keep: Keep) -> None:
    journal = box.open()
    one, other = "01a1fce443c5" + "0" * 20, "01a1fce443c6" + "0" * 20
    for turn in (one, other):
        keep(journal, turn, turn=turn)
    found = [journal.get(prefix) for prefix in (one, one[:12], one[:11], one[:5], "", "01a1fc%", "\ud800" * 8)]
    assert [turn and turn["id"] for turn in found] == [one, one, None, None, None, None, None]
    assert journal.delete([one[:11], one[:12], one, "no such turn"]) == 1
    assert [turn["id"] for turn in journal.recent()] == [other]


def test_in_memory_works_the_same_and_says_so(box: Box, keep: Keep) -> None:
    box.path.mkdir()  # what cannot be a database
    with pytest.raises(StorageError) as caught:
        box.open()
    assert caught.value.code == "state_not_writable"
    journal = box.open(or_in_memory=True)
    assert journal.in_memory
    assert box.codes == ["state_not_writable"]
    turn = keep(journal, "remember 牛奶")
    assert [one["id"] for one in journal.search("牛奶")] == [turn] == [one["id"] for one in journal.export()]
    journal.store("lists").put("shopping", ["milk"])
    assert journal.store("lists").items() == {"shopping": ["milk"]}
    assert journal.delete([turn]) == 1
    assert journal.search("牛奶") == []
    assert journal.recent() == []
    assert list(box.path.iterdir()) == []


def test_a_turn_deleted_while_it_is_under_way_stays_deleted_and_stops_nothing(box: Box, keep: Keep) -> None:
    journal = box.open()
    turn = "c" * 32
    for one in heard(turn, "forget this"):
        journal.record(one)
    assert journal.delete_all() == 1
    for one in acted(turn, "forget this"):
        journal.record(one)
    after = keep(journal, "and go on")
    assert [one["id"] for one in journal.recent()] == [after]
    assert journal.get(turn) is None
    assert b"forget" not in box.bytes_on_disk()


def test_what_no_row_can_hold_keeps_nothing_else_out(box: Box, keep: Keep) -> None:
    journal = box.open()
    turn = "d" * 32
    for one in heard(turn, "half a pair: \ud83d", pcm=b"\1\0\1"):
        journal.record(one)
    call = called(turn)
    journal.record(call)
    bad = ToolResult(call_id="x", tool="x", ok=True, text="x", data={1j: object()})
    journal.record(event(turn, "tool_result", "ok", bad))
    journal.settle()
    after = keep(journal, "and go on")
    assert {one["id"] for one in journal.recent()} == {turn, after}
    kept = journal.get(turn)
    assert kept is not None
    assert kept["text"] == "half a pair: ?"
    assert len(kept["tool_calls"]) == 1
    assert box.codes == []


def test_a_value_nested_too_deeply_stops_nothing_and_no_number_is_null(box: Box, keep: Keep) -> None:
    journal = box.open()
    turn = "e" * 32
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(5000):
        inner["a"] = {}
        inner = inner["a"]
    call = ToolCall(id="c1", utterance_id=turn, tool="x", arguments=deep, caller="cli")
    odd = ToolCall(id="c2", utterance_id=turn, tool="x", arguments={"x": [float("nan"), 1.5, "é"]}, caller="cli")
    for one in (
        *heard(turn, "deep"),
        event(turn, "tool_call", "started", call),
        event(turn, "tool_call", "started", odd),
    ):
        journal.record(one)
    journal.settle()
    assert keep(journal, "and go on")
    kept = journal.get(turn)
    assert kept is not None
    assert [(one["id"], one["arguments"]) for one in kept["tool_calls"]] == [("c2", {"x": [None, 1.5, "é"]})]
    store = journal.store("x")
    store.put("odd", [float("inf"), 2**70])
    assert store.get("odd") == [None, 2**70]
    with sqlite3.connect(box.path) as database:
        for (value,) in database.execute("SELECT arguments FROM tool_calls UNION SELECT value FROM tool_store"):
            json.loads(value, parse_constant=pytest.fail)


def test_many_threads_at_once(box: Box) -> None:
    journal = box.open()
    turns = [whole_turn(f"turn {number} milk") for number in range(40)]
    store = journal.store("counts")
    failures: list[Exception] = []

    def write(mine: list[tuple[str, list[StageEvent]]], name: str) -> None:
        try:
            for number, (_, events) in enumerate(mine):
                for one in events:
                    journal.record(one)
                store.put(name, number)
                journal.search("milk")
                journal.recent()
        except StorageError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(turns[start::4], str(start))) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert journal.settle()
    assert {turn["id"] for turn in journal.recent(100)} == {turn for turn, _ in turns}
    assert len(journal.search("milk", 100)) == 40
    assert store.items() == {str(start): 9 for start in range(4)}


def test_calls_that_a_crash_left_are_unknown_and_told_once(box: Box) -> None:
    code = (
        "import os, sys; from pathlib import Path; from agentbox.storage.journal import Journal;"
        "from tests.storage.talk import called, heard;"
        "journal = Journal.open(Path(sys.argv[1]));"
        "[journal.record(one) for one in [*heard('e' * 32, 'x'), called('e' * 32)]];"
        "assert journal.settle(); print('ready', flush=True); sys.stdin.read(); os._exit(9)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(box.path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"ready\n"
        beside = box.open()
        [turn] = beside.export()
        assert [call["state"] for call in turn["tool_calls"]] == ["started"], "it still runs"
        assert box.codes == []
        beside.close()
        child.stdin.close()
        child.wait()
    journal = box.open()
    [turn] = journal.export()
    assert [call["state"] for call in turn["tool_calls"]] == ["unknown"]
    assert box.codes == ["calls_unknown"]
    journal.close()
    box.open()
    assert box.codes == ["calls_unknown"]


async def test_settled_beside_the_loop_and_the_store_upon_it(box: Box) -> None:
    journal = box.open()
    assert await journal.settled()
    for one in heard("f" * 32, "hello"):
        journal.record(one)
    journal.store("timers").put("a", {"text": "茶", "left": [1, None, 2.5]})
    assert await journal.settled()
    assert journal.store("timers").get("a") == {"text": "茶", "left": [1, None, 2.5]}
    assert journal.store("lists").get("a") is None
    assert journal.store("lists").items() == {}
    journal.store("timers").delete("a")
    journal.store("timers").delete("a")
    assert journal.store("timers").items() == {}
    assert len(journal.recent()) == 1
    with pytest.raises(TypeError):
        journal.store("timers").put("a", object())


def test_what_tools_keep_is_found_while_the_file_is_seen_to(box: Box) -> None:
    store = box.open().store("lists")
    store.put("shopping", ["milk"])
    with ThreadPoolExecutor(1) as beside:
        with store._connection.use():  # as long as upkeep takes
            got, items = beside.submit(store.get, "shopping"), beside.submit(store.items)
            wait({got}, 5)
            wait({items}, 5)
            found = got.done() and items.done()
        assert got.result() == ["milk"]
        assert items.result() == {"shopping": ["milk"]}
    assert found


def test_a_closed_journal_raises_no_riddles(box: Box) -> None:
    journal = box.open()
    journal.close()
    journal.close()
    journal.record(heard("f" * 32, "late")[2])
    assert journal.settle(1.0) is False
    with pytest.raises(StorageError):
        journal.store("x").put("a", 1)


_texts = st.text(st.characters(), max_size=12)
_turns = st.sampled_from(["a" * 32, "b" * 32, "c" * 32])


@st.composite
def _events(draw: st.DrawFn) -> StageEvent:
    turn, text = draw(_turns), draw(_texts)
    return draw(
        st.sampled_from(
            [
                event(turn, "activation", "opened", Activation(utterance_id=turn, by="always", command=text)),
                *heard(turn, text),
                *acted(turn, text),
                *unasked(text),
                event(turn, "transcript", "not_activated"),
                event(turn, "reply", "done", Reply(utterance_id=turn, text=text, sound=None, outcome="done")),
            ]
        )
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_events(), max_size=30))
def test_any_sequence_of_events_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, events: list[StageEvent]
) -> None:
    journal = Journal.open(tmp_path_factory.mktemp("any") / "j.db", on_notice=lambda notice: pytest.fail(notice.what))
    try:
        for one in events:
            journal.record(one)
        assert journal.settle()
        activated: dict[str, str] = {}
        transcripts: dict[str, str] = {}
        replies: dict[str, list[str]] = {}
        for one in events:
            turn, message = one.utterance_id, one.message
            if isinstance(message, Activation):
                activated.setdefault(turn, message.command)
            elif isinstance(message, Transcript) and turn in activated:
                transcripts.setdefault(turn, message.text)
            elif isinstance(message, Reply) and turn in activated:
                replies.setdefault(turn, []).append(message.text)
        exported = {turn["id"]: turn for turn in journal.export()}
        assert json.dumps(list(exported.values()))
        assert {turn: one["text"] for turn, one in exported.items()} == _clean(activated)
        assert {turn: one["transcript"]["text"] for turn, one in exported.items() if one["transcript"]} == _clean(
            transcripts
        )
        for turn, kept in exported.items():
            assert [reply["text"] for reply in kept["replies"]] == [_cleaned(text) for text in replies.get(turn, [])]
    finally:
        journal.close()


def _clean(texts: dict[str, str]) -> dict[str, str]:
    return {turn: _cleaned(text) for turn, text in texts.items()}


def _cleaned(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def test_a_notice_is_kept(box: Box) -> None:
    journal = box.open()
    journal.record(event("", "notice", "no_device", Notice(code="no_device", what="The microphone is gone.")))
    assert journal.settle()
    with sqlite3.connect(box.path) as database:
        assert database.execute("SELECT code, level FROM notices").fetchall() == [("no_device", "warning")]
