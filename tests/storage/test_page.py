"""docs/journal.md and the file agree: every table, every column, every key of an export."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from sqlite_utils import Database

from agentbox.storage.schema import KNOWN, migrations
from tests.storage.conftest import Box

PAGE = (Path(__file__).parents[2] / "docs" / "journal.md").read_text(encoding="utf-8")
INTERNAL = ("search_", "sqlite_", "_sqlite_migrations")


def test_every_table_and_column_is_documented_and_nothing_else(box: Box) -> None:
    box.open()
    with sqlite3.connect(box.path) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        schema = {
            table: [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            for table in tables
            if not table.startswith(INTERNAL)
        }
    documented: dict[str, list[str]] = defaultdict(list)
    for table, column in re.findall(r"^\| `(\w+)` \| `(\w+)` \| \S", PAGE, re.MULTILINE):
        documented[table].append(column)
    assert documented == schema


def test_every_step_of_the_layout_is_known() -> None:
    assert {step.name for step in migrations.pending(Database(memory=True))} == KNOWN


def test_every_key_of_an_export_is_documented(box: Box, keep: Callable[..., str]) -> None:
    journal = box.open()
    keep(journal, "hello")
    [turn] = journal.export()
    export = PAGE.split("## Export")[1]
    rows = re.findall(r"^\| (`.+?) \| \S", export, re.MULTILINE)
    assert [key for row in rows for key in re.findall(r"`(\w+)`", row)] == list(turn)
    with sqlite3.connect(box.path) as database:
        for key, table in re.findall(r"^\| `(\w+)` \| .*?columns of `(\w+)`", export, re.MULTILINE):
            [row] = [turn[key]] if isinstance(turn[key], dict) else turn[key][:1]
            assert list(row) == [column[1] for column in database.execute(f"PRAGMA table_info({table})")], key
    [summary] = journal.recent()
    short = export.split("shorter form:")[1]
    assert set(re.findall(r"`(\w+)`", short)) == set(summary) == set(journal.search("hello")[0])
