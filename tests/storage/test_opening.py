"""Which files are opened, and how."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
from sqlite_utils import Database

from agentbox.errors import StorageError
from agentbox.storage.schema import migrations
from tests.storage.conftest import Box

Keep = Callable[..., str]


def test_a_file_that_others_could_read_is_closed_to_them(box: Box, keep: Keep) -> None:
    journal = box.open()
    keep(journal, "private")
    log = box.path.with_name("agentbox.db-wal")
    content = [box.path.read_bytes(), log.read_bytes()]
    journal.close()
    for file, bytes_ in zip((box.path, log), content, strict=True):  # as a crash leaves them
        file.write_bytes(bytes_)
        file.chmod(0o644)
    journal = box.open()
    assert len(journal.recent()) == 1
    files = list(box.path.parent.iterdir())
    assert len(files) >= 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.parametrize("migrations", [False, True])
def test_the_database_of_another_program_is_refused_and_left_as_it_is(box: Box, migrations: bool) -> None:
    with sqlite3.connect(box.path) as database:
        database.execute("CREATE TABLE bookmarks (x)")
        database.execute("CREATE TABLE tool_store (namespace, key, value)")
        database.execute("""INSERT INTO tool_store VALUES ('timers', 'all', '["not ours"]')""")
        if migrations:
            database.execute(
                "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set, name, applied_at)"
            )
            database.execute("INSERT INTO _sqlite_migrations VALUES (1, 'bookmarks', 'm001', '')")
    database.close()
    box.path.chmod(0o644)
    before = box.path.read_bytes()
    with pytest.raises(StorageError) as caught:
        box.open()
    assert caught.value.code == "database_foreign"
    assert "storage.path" in caught.value.todo
    journal = box.open(or_in_memory=True)
    assert journal.in_memory
    assert box.codes == ["database_foreign"]
    assert journal.store("timers").items() == {}
    assert box.path.read_bytes() == before
    assert box.path.stat().st_mode & 0o777 == 0o644


def test_the_database_of_a_newer_agentbox_is_refused(box: Box, keep: Keep) -> None:
    journal = box.open()
    keep(journal, "hello")
    journal.store("timers").put("all", ["egg"])
    journal.close()
    with sqlite3.connect(box.path) as database:
        database.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('agentbox', 'm999_new', '')"
        )
    database.close()
    before = box.path.read_bytes()
    with pytest.raises(StorageError) as caught:
        box.open()
    assert caught.value.code == "database_newer"
    journal = box.open(or_in_memory=True)
    assert journal.in_memory
    assert box.codes == ["database_newer"]
    assert journal.store("timers").get("all") == ["egg"], "alarms ring"
    assert journal.recent() == [], "its turns may mean something else"
    assert box.path.read_bytes() == before


def test_a_file_that_a_crash_left_without_tables_is_taken(box: Box) -> None:
    with sqlite3.connect(box.path) as database:
        database.execute("CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set, name, applied_at)")
    database.close()
    assert box.open().recent() == []


def _spoil_index(box: Box) -> None:
    with sqlite3.connect(box.path) as database:
        database.execute("UPDATE search_data SET block = ?", [b"\xff" * 50])
    database.close()


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("first", ["read", "write"])
def test_a_damaged_index_is_built_anew_and_nothing_is_lost(box: Box, keep: Keep, first: str, restart: bool) -> None:
    journal = box.open()
    turns = {keep(journal, f"milk {number}") for number in range(20)}
    if restart:
        journal.close()
    _spoil_index(box)
    if restart:
        journal = box.open()
    if first == "write":
        turns.add(keep(journal, "milk again"))
    assert {one["id"] for one in journal.search("milk", 100)} == turns
    assert {one["id"] for one in journal.recent(100)} == turns
    assert box.codes == []
    assert list(box.path.parent.glob("*.corrupt-*")) == []
    with sqlite3.connect(box.path) as database:
        database.execute("INSERT INTO search (search) VALUES ('integrity-check')")
    database.close()


def test_turns_from_before_a_model_could_tell_how_they_were_said_are_kept(box: Box, keep: Keep) -> None:
    old = "e" * 32
    with sqlite3.connect(box.path) as database:
        migrations.apply(Database(database, execute_plugins=False), stop_before="m006_undertone")
        columns = "id, started_at, activated_by, text"
        database.execute(f"INSERT INTO turns ({columns}) VALUES ('{old}', 1790000000, 'always', 'hi')")
        database.execute("INSERT INTO transcripts VALUES (?, 'hi', 'moonshine', 'en', 0.9, 7)", [old])
    database.close()
    journal = box.open()
    before = journal.get(old)
    assert before is not None
    assert (before["transcript"]["text"], before["transcript"]["emotion"]) == ("hi", None)
    after = journal.get(keep(journal, "hello", emotion="happy", sound_event="laughter"))
    assert after is not None
    assert (after["transcript"]["emotion"], after["transcript"]["sound_event"]) == ("happy", "laughter")
