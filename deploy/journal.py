"""The journal around an upgrade: backed up before, and brought back when the old version has to read it again.

Run by deploy/install.sh and the Debian package, as the service's own user, with the Python of an installed release:

    python journal.py back-up            prints the backup's path; nothing where there is no journal yet
    python journal.py go-back            where a newer version has changed the layout: one that this release knows, with
                                         all rows that fit in there
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Set
from contextlib import closing
from pathlib import Path

KEPT = 3
MIGRATIONS = "_sqlite_migrations"


def back_up(journal: Path) -> Path | None:
    """Copy the journal, also one in use, to `backups/agentbox-<number>.db` beside it; the last three are kept.

    Numbers and not times: a box without a battery for its clock may be in 1970. Raises `sqlite3.Error`, `OSError`.
    """
    if not journal.exists():
        return None
    folder = journal.parent / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    known = backups(journal)
    number = int(known[-1].stem.rpartition("-")[2]) + 1 if known else 1
    target = folder / f"agentbox-{number:06}.db"
    part = folder / "unfinished"
    part.unlink(missing_ok=True)
    copy(journal, part)
    part.rename(target)
    for old in backups(journal)[:-KEPT]:
        old.unlink()
    return target


def backups(journal: Path) -> list[Path]:
    """Oldest first."""
    return sorted((journal.parent / "backups").glob("agentbox-*.db"))


def copy(source: Path, target: Path) -> None:
    """A copy that is whole and on the disk. Raises `sqlite3.DatabaseError` where the source is damaged."""
    with closing(sqlite3.connect(source, timeout=10)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        # Without write-ahead log: then the copy is one file.
        new.execute("PRAGMA journal_mode = DELETE").fetchall()
        (verdict,) = new.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"the journal is damaged: {verdict}")


def go_back(journal: Path, known: Set[str]) -> str:
    """Make the journal one that a version which knows the steps `known` can open; says what was done.

    Where it can already, nothing is done. Otherwise the journal gets the layout of the last backup that this version
    can open, and all rows that it has now. If they do not fit in there it is put back as it was backed up, and the
    newer one kept beside it. Raises `sqlite3.Error`, `OSError`.
    """
    if not journal.exists() or steps(journal) <= known:
        return "the journal is one that this version knows; nothing to do"
    backup = next((one for one in reversed(backups(journal)) if steps(one) <= known), None)
    if backup is None:
        raise FileNotFoundError("it is from a newer version, and there is no backup from this one")
    fresh = journal.with_name(f"{journal.name}.going-back")
    fresh.unlink(missing_ok=True)
    copy(backup, fresh)
    aside = None
    try:
        take_rows(journal, fresh)
        said = "the journal has its previous layout again, with all its rows"
    except sqlite3.Error as error:
        fresh.unlink()
        copy(backup, fresh)
        aside = journal.with_name(f"{journal.name}.newer")
        said = f"the journal is back as it was before the upgrade; newer rows are only in {aside.name} ({error})"
    with closing(sqlite3.connect(journal)) as newer:
        newer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        # Leaving the mode removes the log: one left behind would be taken for the log of the file put in its place.
        newer.execute("PRAGMA journal_mode = DELETE").fetchall()
    if aside is not None:
        aside.unlink(missing_ok=True)
        os.link(journal, aside)
    os.replace(fresh, journal)
    return said


def steps(journal: Path) -> set[str]:
    """The steps of its layout that a journal has taken (agentbox/storage/schema.py)."""
    with closing(sqlite3.connect(journal, timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (MIGRATIONS,)).fetchall():
            return set()
        return {name for (name,) in database.execute(f"SELECT name FROM {MIGRATIONS}")}  # noqa: S608  our own constant


def take_rows(newer: Path, fresh: Path) -> None:
    """Replace all rows of `fresh` by those of `newer`, column by column of the same name."""
    with closing(sqlite3.connect(fresh, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = ON").fetchall()
        database.execute("ATTACH ? AS newer", (str(newer),))
        database.execute("BEGIN IMMEDIATE")
        names = tables(database, "main")
        # All rows go before any comes: with a turn a trigger deletes its words from the search.
        for table in names:
            database.execute(f'DELETE FROM main."{table}"')  # noqa: S608  names are from the schema
        for table in names:
            there = columns(database, "newer", table)
            shared = ", ".join(f'"{name}"' for name in columns(database, "main", table) if name in there)
            if not there:
                raise sqlite3.DatabaseError(f"the newer journal has no {table}")
            database.execute(f'INSERT INTO main."{table}" ({shared}) SELECT {shared} FROM newer."{table}"')  # noqa: S608
        database.execute("COMMIT")
        database.execute("DETACH newer")
        # Rows that were deleted since the backup leave no trace in its pages.
        database.execute("VACUUM")


def tables(database: sqlite3.Connection, schema: str) -> list[str]:
    """Those that hold rows of ours; the search's own come and go with it."""
    listed = database.execute(f"PRAGMA {schema}.table_list").fetchall()
    found = [name for of, name, kind, *_ in listed if of == schema and kind in ("table", "virtual")]
    return [name for name in found if not name.startswith("sqlite_") and name != MIGRATIONS]


def columns(database: sqlite3.Connection, schema: str, table: str) -> list[str]:
    """Empty where there is no such table. What the search finds hangs on the number of its row."""
    names = [row[1] for row in database.execute(f'PRAGMA {schema}.table_info("{table}")')]
    return ["rowid", *names] if names == ["words"] else names


def main(arguments: list[str]) -> int:
    # The release's own word on where its journal is.
    from agentbox import paths, settings
    from agentbox.config import Config
    from agentbox.errors import AgentboxError
    from agentbox.storage.schema import KNOWN

    try:
        journal = paths.database(settings.load(None).config)
    except AgentboxError:
        journal = paths.database(Config())
    try:
        if arguments == ["back-up"]:
            print(back_up(journal) or "")
        elif arguments == ["go-back"]:
            print(go_back(journal, KNOWN))
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except (sqlite3.Error, OSError) as error:
        print(f"error: {journal}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
