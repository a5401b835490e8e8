"""Backups: one zip archive with what the owner would miss, and reading one that may be anybody's work.

In it: the journal (talk, timers, lists), the settings made by command, voice and page, the page's sentences and, where
asked for, the secrets. Not in it: who is paired (a restored box keeps its own devices, a new one pairs anew), the
certificate, the owner's own configuration file, models and caches.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Literal

import msgspec
from msgspec import Meta

from agentbox import __version__, paths
from agentbox.config import Config
from agentbox.daemon.paired import NAMESPACE
from agentbox.errors import AgentboxError, InputError, StorageError
from agentbox.messages import MOST_ARCHIVE_BYTES
from agentbox.pairing.addresses import host_name
from agentbox.storage import snapshot

FORMAT = 1
MANIFEST = "manifest.json"
JOURNAL = "agentbox.db"
SETTINGS = "settings.yaml"

NOT_IN_IT = (NAMESPACE,)
"""Tool values that are of this box and go nowhere."""

MOST_FILES = 1000
MOST_JOURNAL_BYTES = 2 << 30
MOST_MEMBER_BYTES = 4 << 20
"""Of any file but the journal."""

MOST_INDEX_BYTES = 1 << 20

ROOM_BYTES = 100_000_000
"""What stays free on the disk beside a backup that is made or unpacked."""

_SENTENCES = re.compile(r"sentences/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.ya?ml")
_SECRET = re.compile(r"secrets/[a-z][a-z0-9_]{0,63}")
_PIECE = 1 << 20


class Member(msgspec.Struct, frozen=True):
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["agentbox backup"] = "agentbox backup"
    format: Annotated[int, Meta(ge=1)] = FORMAT
    agentbox: str
    """The version that made it."""
    made_at: float
    name: str
    """Of the box, in its network."""
    files: dict[str, Member]


def make(config: Config, folder: Path, *, secrets: bool) -> Path:
    """Write a backup into `folder`; its file, which only this user may read. Takes as long as the journal is large.

    Raises `StorageError` as the journal does; `disk_full`, `disk_failed`, `backup_too_large`.
    """
    journal = paths.database(config)
    try:
        size = journal.stat().st_size if journal.exists() else 0
        if size > MOST_JOURNAL_BYTES:
            raise _too_large()
        _refuse_without_room(folder, 3 * size)
        with tempfile.TemporaryDirectory(dir=folder) as made:
            copied = Path(made) / JOURNAL
            snapshot.copy(journal, copied, NOT_IN_IT)
            found = {JOURNAL: copied, **_beside(secrets)}
            files = {name: _member(file) for name, file in found.items()}
            manifest = Manifest(
                agentbox=__version__, made_at=time.time(), name=host_name(config.page.name), files=files
            )
            archive = folder / "archive.zip"
            with (
                os.fdopen(os.open(archive, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out,
                zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as packed,
            ):
                packed.writestr(MANIFEST, msgspec.json.encode(manifest))
                for name, file in found.items():
                    packed.write(file, name)
            if archive.stat().st_size > MOST_ARCHIVE_BYTES:
                raise _too_large()
    except zipfile.LargeZipFile as error:
        raise _too_large() from error
    except OSError as error:
        raise not_done(error) from error
    return archive


def unpack(archive: Path, folder: Path) -> Manifest:
    """Check a backup and lay what is in it into `folder`, which must be empty: `agentbox.db` (up to date),
    `settings.yaml` (be it empty), `sentences/`, and `secrets/` where it has some.

    Nothing is written by a name that the archive chose freely, nor more than it said. Raises `InputError`
    `backup_invalid`, `backup_damaged`, `backup_newer`; `StorageError` `disk_full`, `disk_failed`.
    """
    try:
        _refuse_long_index(archive)
        with zipfile.ZipFile(archive) as packed:
            members = _members(packed)
            manifest = _manifest(packed, members)
            _refuse_without_room(folder, sum(info.file_size for info in members.values()))
            (folder / "sentences").mkdir(mode=0o700)
            (folder / SETTINGS).touch(mode=0o600)
            if any(name.startswith("secrets/") for name in members):
                (folder / "secrets").mkdir(mode=0o700)
            for name, info in members.items():
                if name != MANIFEST:
                    with packed.open(info) as source:
                        _write(source, folder / name, manifest.files[name])
    except OSError as error:
        raise not_done(error) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError("backup_damaged", "The backup cannot be read to its end.", "Use another one.") from error
    snapshot.examine(folder / JOURNAL)
    return manifest


def _beside(secrets: bool) -> dict[str, Path]:
    """The files beside the journal, by their names in the archive."""
    found = {SETTINGS: paths.settings_file()} if paths.settings_file().is_file() else {}
    for folder, shape in ((paths.sentences_dir(), _SENTENCES), (paths.secrets_dir(), _SECRET)):
        if folder.is_dir() and (secrets or folder != paths.secrets_dir()):
            named = {f"{folder.name}/{file.name}": file for file in sorted(folder.iterdir()) if file.is_file()}
            found |= {name: file for name, file in named.items() if shape.fullmatch(name) and not file.is_symlink()}
    return found


def _members(packed: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """What is in it, by name. Raises `InputError` for anything that no backup of ours holds."""
    infos = packed.infolist()
    if len(infos) > MOST_FILES or len({info.filename for info in infos}) != len(infos):
        raise invalid("it holds too many files")
    for info in infos:
        name = info.filename
        if name not in (MANIFEST, JOURNAL, SETTINGS) and not _SENTENCES.fullmatch(name) and not _SECRET.fullmatch(name):
            raise invalid("it holds a file that does not belong there")
        # The upper half is the mode of Unix: none, or that of a plain file.
        if info.is_dir() or info.external_attr >> 28 not in (0, 0o10) or info.flag_bits & 1:
            raise invalid("it holds what is no plain file")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise invalid("it is packed in another way")
        if info.file_size > (MOST_JOURNAL_BYTES if name == JOURNAL else MOST_MEMBER_BYTES):
            raise invalid("a file in it is too large")
    return {info.filename: info for info in infos}


def _refuse_long_index(archive: Path) -> None:
    """Before it is read whole, into memory: what ends a zip says how long its index is (APPNOTE 4.3.16). Ours have no
    comment behind that, and are never so large that they need its longer form."""
    with archive.open("rb") as source:
        source.seek(max(0, archive.stat().st_size - 42))
        tail = source.read()
    if len(tail) < 22 or not tail[-22:].startswith(b"PK\x05\x06") or tail[:4] == b"PK\x06\x07":
        raise invalid("it does not end like one")
    count, size = struct.unpack("<HI", tail[-12:-6])
    if count > MOST_FILES + 1 or size > MOST_INDEX_BYTES:
        raise invalid("it holds too many files")


def _manifest(packed: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> Manifest:
    if MANIFEST not in members or JOURNAL not in members:
        raise invalid("its manifest or its database is missing")
    try:
        manifest = msgspec.json.decode(packed.read(MANIFEST), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("its manifest cannot be read") from error
    if manifest.format > FORMAT:
        raise InputError(
            "backup_newer", "It was made by a newer agentbox than this one.", "Install that version first."
        )
    if set(manifest.files) != set(members) - {MANIFEST}:
        raise invalid("its manifest tells of other files than it holds")
    return manifest


def _write(source: IO[bytes], target: Path, member: Member) -> None:
    """Raises `InputError` `backup_damaged` where it is not what the manifest says."""
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as out:
        for piece in _pieces(source):
            size += len(piece)
            if size > member.bytes:
                break
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    if size != member.bytes or digest.hexdigest() != member.sha256:
        raise InputError(
            "backup_damaged", "A file in the backup is not as it was when it was made.", "Use another one."
        )


def _member(file: Path) -> Member:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        for piece in _pieces(source):
            digest.update(piece)
    return Member(file.stat().st_size, digest.hexdigest())


def _pieces(source: IO[bytes]) -> Iterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece


def _refuse_without_room(folder: Path, needed_bytes: int) -> None:
    if shutil.disk_usage(folder).free < needed_bytes + ROOM_BYTES:
        what = f"The disk has no room for a backup: {(needed_bytes + ROOM_BYTES) / 1e6:.0f} MB are needed."
        raise StorageError("disk_full", what, "Make room on the disk. Lower storage.retention_days to keep less.")


def _too_large() -> StorageError:
    what = f"The journal is too large for a backup, which holds {MOST_JOURNAL_BYTES >> 30} GiB."
    return StorageError("backup_too_large", what, "Lower storage.retention_days, or turn storage.audio off.")


def invalid(why: str) -> InputError:
    return InputError(
        "backup_invalid", f"That is no backup of agentbox: {why}.", "Choose a file made by agentbox backup."
    )


def not_done(error: OSError) -> AgentboxError:
    """The disk's own word, without the name of any file."""
    return StorageError("disk_failed", f"The disk failed: {error.strerror or type(error).__name__}.", "Is it full?")
