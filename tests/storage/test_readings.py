"""What a turn's words were read as besides: kept beside the transcript, found by search, and gone with the turn."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlite_utils import Database

from agentbox.messages import StageEvent, new_id
from agentbox.storage import rows
from agentbox.storage.journal import Journal
from agentbox.storage.schema import migrations
from tests.storage.conftest import Box
from tests.storage.talk import NOW, acted, heard, read_again

FIRST, BETTER = "whites the sky blew", "why is the sky blue"


def kept(journal: Journal, *events: StageEvent) -> Any:
    """The turn that the events are of."""
    for one in events:
        journal.record(one)
    assert journal.settle()
    return journal.get(events[0].utterance_id)


def readings(turn: Any) -> dict[str, tuple[str, str, float]]:
    return {one["kind"]: (one["text"], one["engine"], one["decode_ms"]) for one in turn["readings"]}


def test_a_turn_that_was_read_once_has_no_other(box: Box) -> None:
    turn = new_id()
    assert kept(box.open(), *heard(turn, FIRST), *acted(turn, FIRST))["readings"] == []


def test_words_that_count_stand_in_the_transcript_and_the_others_beside_it(box: Box) -> None:
    turn, journal = new_id(), box.open()
    told = kept(journal, *heard(turn, FIRST, emotion="happy"), read_again(turn, "taken", BETTER), *acted(turn, BETTER))
    transcript = told["transcript"]
    assert (transcript["text"], transcript["engine"], transcript["confidence"]) == (BETTER, "strong", 0.97)
    assert readings(told) == {"first": (FIRST, "moonshine", 7.0)}
    assert told["text"] == BETTER
    assert [one["text"] for one in journal.recent()] == [BETTER]
    for words in (FIRST, BETTER):
        assert [one["id"] for one in journal.search(words)] == [turn]
    assert told["stages"][-1]["stage"] == "reply"


@pytest.mark.parametrize(("state", "kind"), [("unused", "second"), ("reheard", "elsewhere")])
def test_words_that_do_not_count_only_stand_beside_it(box: Box, state: str, kind: str) -> None:
    turn, journal = new_id(), box.open()
    told = kept(journal, *heard(turn, FIRST), read_again(turn, state, BETTER))
    assert (told["text"], told["transcript"]["text"]) == (FIRST, FIRST)
    assert readings(told) == {kind: (BETTER, "strong", 70.0)}
    assert [one["id"] for one in journal.search("sky blue")] == [turn]


def test_what_stood_before_a_name_was_put_right_is_kept_of_each(box: Box) -> None:
    turn = new_id()
    told = kept(box.open(), *heard(turn, FIRST), read_again(turn, "taken", BETTER, as_read="why is this guy blue"))
    assert readings(told) == {
        "first": (FIRST, "moonshine", 7.0),
        "second_as_read": ("why is this guy blue", "strong", 70.0),
    }


def test_an_event_that_is_written_again_changes_nothing(box: Box) -> None:
    turn, journal = new_id(), box.open()
    taken = read_again(turn, "taken", BETTER, as_read="why is this guy blue")
    before = kept(journal, *heard(turn, FIRST), taken)
    journal.close()
    with sqlite3.connect(box.path) as database:
        rows.write(Database(database, execute_plugins=False), taken)
    database.close()
    after: Any = box.open().get(turn)
    assert (after["transcript"], after["readings"]) == (before["transcript"], before["readings"])


@pytest.mark.parametrize("state", ["taken", "unused", "reheard"])
def test_no_byte_of_any_reading_outlives_its_turn(box: Box, state: str) -> None:
    turn, journal = new_id(), box.open()
    secret = "pomegranate"
    kept(journal, *heard(turn, f"first {secret}"), read_again(turn, state, f"again {secret}", as_read=f"raw {secret}"))
    kept(journal, *heard(new_id(), "ordinary"))
    assert secret.encode() in box.bytes_on_disk()
    assert journal.delete([turn]) == 1
    assert secret.encode() not in box.bytes_on_disk()
    assert journal.search(secret) == []


def test_old_readings_go_with_their_turns(box: Box) -> None:
    turn, journal = new_id(), box.open()
    kept(journal, *heard(turn, "old pomegranate", at=NOW), read_again(turn, "taken", "pomegranates", at=NOW))
    assert journal.delete_between(NOW - 1, NOW + 1) == 1
    assert b"pomegranate" not in box.bytes_on_disk()


def test_where_nothing_is_kept_no_reading_is(box: Box) -> None:
    turn, journal = new_id(), box.open(keep_transcripts=False)
    for one in (*heard(turn, FIRST), read_again(turn, "taken", BETTER)):
        journal.record(one)
    journal.settle()
    assert journal.recent() == []
    assert BETTER.encode() not in box.bytes_on_disk()


def test_turns_from_before_are_kept(box: Box) -> None:
    old = "e" * 32
    with sqlite3.connect(box.path) as database:
        migrations.apply(Database(database, execute_plugins=False), stop_before="m008_readings")
        columns = "id, started_at, activated_by, text"
        database.execute(f"INSERT INTO turns ({columns}) VALUES ('{old}', 1790000000, 'always', 'hi')")
        database.execute("INSERT INTO transcripts VALUES (?, 'hi', 'moonshine', 'en', 0.9, 7, NULL, NULL)", [old])
    database.close()
    before: Any = box.open().get(old)
    assert (before["transcript"]["text"], before["readings"]) == ("hi", [])
