"""The journal's tables, step by step. A step that was released is never changed; what is new is a new step."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("agentbox")

_TURNS = """
-- `number` ties a turn to its row in `search`, so that neither is looked for by reading all of the other.
CREATE TABLE turns (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    started_at REAL NOT NULL,
    activated_by TEXT NOT NULL,
    phrase TEXT,
    text TEXT NOT NULL,
    first_sample INTEGER,
    audio_ms INTEGER,
    speech_ms INTEGER,
    silence_ms INTEGER,
    end_reason TEXT
) STRICT;
CREATE INDEX turns_by_time ON turns (started_at);
CREATE TABLE transcripts (
    turn_id TEXT PRIMARY KEY REFERENCES turns (id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    engine TEXT NOT NULL,
    language TEXT NOT NULL,
    confidence REAL,
    decode_ms REAL NOT NULL
) STRICT;
CREATE TABLE intents (
    turn_id TEXT PRIMARY KEY REFERENCES turns (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    slots TEXT NOT NULL,
    source TEXT NOT NULL,
    match TEXT NOT NULL,
    score REAL NOT NULL,
    sentence TEXT NOT NULL,
    language TEXT NOT NULL
) STRICT;
CREATE TABLE tool_calls (
    id TEXT PRIMARY KEY,
    turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL,
    caller TEXT NOT NULL,
    effects INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'done', 'failed', 'unknown')),
    started_at REAL NOT NULL,
    text TEXT,
    data TEXT,
    error_code TEXT,
    duration_ms REAL
) STRICT;
CREATE INDEX tool_calls_by_turn ON tool_calls (turn_id);
CREATE TABLE replies (
    id INTEGER PRIMARY KEY,
    turn_id TEXT REFERENCES turns (id) ON DELETE CASCADE,
    at REAL NOT NULL,
    text TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
CREATE INDEX replies_by_turn ON replies (turn_id);
CREATE TABLE stage_times (
    id INTEGER PRIMARY KEY,
    turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    state TEXT NOT NULL,
    at REAL NOT NULL,
    monotonic_s REAL NOT NULL,
    timings TEXT NOT NULL
) STRICT;
CREATE INDEX stage_times_by_turn ON stage_times (turn_id);
CREATE TABLE audio (
    turn_id TEXT PRIMARY KEY REFERENCES turns (id) ON DELETE CASCADE,
    flac BLOB NOT NULL
) STRICT;
CREATE TABLE notices (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    code TEXT NOT NULL,
    what TEXT NOT NULL,
    level TEXT NOT NULL
) STRICT;
-- `words` is the text as search sees it (search.py), not as it was heard.
CREATE VIRTUAL TABLE search USING fts5 (words, tokenize = "unicode61 remove_diacritics 2");
CREATE TRIGGER search_follows_turns AFTER DELETE ON turns BEGIN
    DELETE FROM search WHERE rowid = old.number;
END;
"""


@migrations()
def m001_turns(db: Database) -> None:
    """Everything about a turn hangs on its row and goes with it."""
    db.executescript(_TURNS)


@migrations()
def m002_tool_store(db: Database) -> None:
    """What tools keep: timers, lists, and whatever a plugin wants to find again."""
    db.executescript(
        """
        CREATE TABLE tool_store (
            namespace TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (namespace, key)
        ) STRICT, WITHOUT ROWID;
        """
    )


@migrations()
def m003_clock(db: Database) -> None:
    """Which time the clock showed when it was last believed (retention.py)."""
    db.executescript(
        """
        CREATE TABLE clock (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            believed_at REAL,
            doubted_at REAL,
            doubted_s REAL NOT NULL
        ) STRICT;
        """
    )


@migrations()
def m004_egress(db: Database) -> None:
    """Everything that left the box. It outlives the turn that it belonged to, and forgets which one that was."""
    db.executescript(
        """
        CREATE TABLE egress (
            id TEXT PRIMARY KEY,
            started_at REAL NOT NULL,
            backend TEXT NOT NULL,
            model TEXT NOT NULL,
            reason TEXT NOT NULL,
            turn_id TEXT NOT NULL,
            seconds_out REAL NOT NULL,
            seconds_in REAL NOT NULL,
            bytes_out INTEGER NOT NULL,
            bytes_in INTEGER NOT NULL,
            units TEXT NOT NULL,
            price REAL NOT NULL,
            duration_ms REAL NOT NULL,
            outcome TEXT NOT NULL
        ) STRICT;
        CREATE INDEX egress_by_time ON egress (started_at);
        CREATE INDEX egress_by_turn ON egress (turn_id);
        CREATE TRIGGER egress_parts_from_turns AFTER DELETE ON turns BEGIN
            UPDATE egress SET turn_id = '' WHERE turn_id = old.id;
        END;
        """
    )


@migrations()
def m005_audit(db: Database) -> None:
    """What paired devices did, and who tried to be one. A row outlives its device."""
    db.executescript(
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            device_id TEXT NOT NULL,
            device_name TEXT NOT NULL,
            address TEXT NOT NULL,
            action TEXT NOT NULL,
            target TEXT NOT NULL,
            outcome TEXT NOT NULL
        ) STRICT;
        CREATE INDEX audit_by_time ON audit (at);
        """
    )


@migrations()
def m006_undertone(db: Database) -> None:
    """How something was said and what else was heard, where the speech model tells."""
    db.executescript(
        """
        ALTER TABLE transcripts ADD COLUMN emotion TEXT;
        ALTER TABLE transcripts ADD COLUMN sound_event TEXT;
        """
    )


@migrations()
def m007_reply_language(db: Database) -> None:
    """In which language the box answered, since it may know several. Empty: nobody noted it then."""
    db.executescript("ALTER TABLE replies ADD COLUMN language TEXT NOT NULL DEFAULT '';")


@migrations()
def m008_readings(db: Database) -> None:
    """What else a turn's words were read as, beside its transcript. It holds words, and goes with its turn."""
    db.executescript(
        """
        CREATE TABLE readings (
            turn_id TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            text TEXT NOT NULL,
            engine TEXT NOT NULL,
            language TEXT NOT NULL,
            confidence REAL,
            decode_ms REAL NOT NULL,
            PRIMARY KEY (turn_id, kind)
        ) STRICT, WITHOUT ROWID;
        """
    )


KNOWN = frozenset(
    (
        "m001_turns",
        "m002_tool_store",
        "m003_clock",
        "m004_egress",
        "m005_audit",
        "m006_undertone",
        "m007_reply_language",
        "m008_readings",
    )
)


def is_foreign(db: Database) -> bool:
    """Whether another program made this database."""
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}
    return not migrations.applied(db) and tables > tables & {migrations.migrations_table}


def is_newer(db: Database) -> bool:
    """Whether a newer agentbox has taken steps that this one does not know."""
    return any(step.name not in KNOWN for step in migrations.applied(db))
