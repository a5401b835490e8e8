"""What waits for the next start: a backup that was checked and takes the place of what is there, or the owner's word
that all of theirs is to be deleted. Neither is done while the box runs; each survives a loss of power at any moment.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from agentbox import paths, settings
from agentbox.config import Config
from agentbox.daemon import backup
from agentbox.daemon.changeable import CHANGEABLE
from agentbox.errors import StorageError
from agentbox.messages import Notice
from agentbox.settings import Loaded
from agentbox.storage import snapshot
from agentbox.storage.database import Presence
from agentbox.storage.rescue import delete_copies

ASIDE = ".before-restore-"
_PLAN = "plan.json"
_WAIT_S = 5.0

_log = logging.getLogger("agentbox")

OF_THIS_MACHINE = (
    "asr.models_dir",
    "storage.path",
    "storage.secrets_file",
    "control.socket",
    "page.certificate",
    "page.lan",
    "page.port",
)
"""Keys that name a place of this machine, or how it is reached: a restored backup leaves them as they are."""

_NOT_BY_BACKUP = ("cloud.backends", "asr.model", "audio.input_device", "audio.output_device", "speech.voice")
"""What the page may choose from what is there, and a backup would bring along: addresses, folders, devices."""

FROM_THE_PAGE = tuple(key for key in CHANGEABLE if key not in _NOT_BY_BACKUP)
"""The only keys that a backup sent by the page sets: whoever stole a phone must not make the box run a program, read
a file or speak to an address by way of a backup of their own making."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup that waits is."""

    stamp: str
    """Ends the names of what is kept aside."""
    made_at: float
    agentbox: str
    left: list[str] = msgspec.field(default_factory=list)
    """Settings that stay as they are."""


def upload_file() -> Path:
    """A backup as it comes in."""
    return paths.state_dir() / "restore.part"


def stage(archive: Path, loaded: Loaded, *, by_page: bool) -> Plan:
    """Check a backup and have it wait for the next start. Changes nothing that is in use.

    Raises what `backup.unpack` does; `ConfigError` for settings that this version cannot use.
    """
    state = paths.state_dir()
    unpacked, staged = state / "restore.new", state / "restore"
    try:
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir(mode=0o700)
        try:
            manifest = backup.unpack(archive, unpacked)
            left = _settle(unpacked / backup.SETTINGS, by_page)
            settings.load(loaded.file, unpacked / backup.SETTINGS)
            stamp = f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(3)}"
            plan = Plan(stamp=stamp, made_at=manifest.made_at, agentbox=manifest.agentbox, left=left)
            (unpacked / _PLAN).write_bytes(msgspec.json.encode(plan))
            shutil.rmtree(staged, ignore_errors=True)
            os.sync()
            unpacked.rename(staged)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    except OSError as error:
        raise backup.not_done(error) from error
    return plan


def want_reset() -> None:
    """Have the next start delete what is the owner's. Raises `StorageError`."""
    try:
        paths.prepare(paths.state_dir())
        _reset_mark().touch(mode=0o600)
        os.sync()
    except OSError as error:
        raise backup.not_done(error) from error


def begin_or_tell(loaded: Loaded) -> tuple[Loaded, list[Notice]]:
    """As `begin`, for a box that goes on with what is there: what the disk does not let it do is told, and waits for
    the next start. Raises `ConfigError`."""
    try:
        return begin(loaded)
    except StorageError as error:
        reset_waits = _reset_mark().exists()
        wanted = "Everything of the owner's was to be deleted" if reset_waits else "A backup was to be restored"
        what = f"{wanted}, and that could not be done. {error.what} It is tried again at the next start."
        _log.error("%s [%s]", what, error.code)
        told = Notice(code=error.code, what=what, todo=error.todo, level="error")
        return settings.load(loaded.file), [told]  # some of it may be done


def begin(loaded: Loaded) -> tuple[Loaded, list[Notice]]:
    """Do what waits, before anything of the box is opened; the configuration as it is then, and what is to be told.

    Raises `ConfigError`, `StorageError`.
    """
    state, told = paths.state_dir(), list[Notice]()
    _tidy(state)
    try:
        if _reset_mark().exists():
            with _alone(loaded.config):
                reset(loaded.config)
            told.append(Notice(code="reset_done", what="Everything of the owner's was deleted.", level="info"))
            return settings.load(loaded.file), told
        if (state / "restore" / _PLAN).exists():
            with _alone(loaded.config):
                told.append(_restore(state, paths.database(loaded.config)))
            return settings.load(loaded.file), told
    except OSError as error:
        raise backup.not_done(error) from error
    return loaded, told


def _tidy(state: Path) -> None:
    """Delete what was left half made. On a disk that cannot be written it stays."""
    with contextlib.suppress(OSError):
        for scrap in [*state.glob(".backup-*"), state / "restore.new"]:
            shutil.rmtree(scrap, ignore_errors=True)
        upload_file().unlink(missing_ok=True)


def reset(config: Config) -> None:
    """Delete all of the owner's: talk, timers, lists, settings, secrets, certificate, devices, caches, sentences.
    Models stay, and so does the owner's own configuration file. Raises `OSError`."""
    state, journal = paths.state_dir(), paths.database(config)
    delete_copies(journal)
    found = [journal, *(Path(f"{journal}{suffix}") for suffix in ("-wal", "-shm"))]
    found += [paths.settings_file(), paths.secrets_dir(), paths.page_dir(), paths.cache_dir(), paths.sentences_dir()]
    found += [paths.set_up_file(), paths.mute_file()]
    found += [state / name for name in ("restore", "restore.new", "restore.part", "backups", "muted.json")]
    for left in (f"*{ASIDE}*", ".backup-*", ".settings.yaml.*", ".muted.json.*"):
        found += state.glob(left)
    for one in found:
        _delete(one)
    os.sync()
    _reset_mark().unlink(missing_ok=True)


def _restore(state: Path, journal: Path) -> Notice:
    """What is there goes aside, what waits takes its place, one after the other: what still waits is not done yet, so
    that this may be cut off anywhere and done again. Where it fails, what went aside without another in its place is
    back: the box may go on with it. Raises `OSError`, `StorageError`."""
    staged = state / "restore"
    plan = msgspec.json.decode((staged / _PLAN).read_bytes(), type=Plan)
    for old in [*state.glob(f"*{ASIDE}*"), *journal.parent.glob(f"{journal.name}{ASIDE}*")]:
        if plan.stamp not in old.name:
            _delete(old)
    restored = staged / backup.JOURNAL
    if restored.exists():
        if journal.exists():
            snapshot.carry_over(journal, restored, backup.NOT_IN_IT)
        aside, log = Path(f"{journal}{ASIDE}{plan.stamp}"), Path(f"{journal}-wal")
        aside_log = Path(f"{aside}-wal")
        try:
            Path(f"{journal}-shm").unlink(missing_ok=True)
            _aside(log, aside_log)  # first: a log must not meet another file
            if aside.exists():
                log.unlink(missing_ok=True)
            _aside(journal, aside)
            _replace(restored, journal)
        except OSError:
            if not (journal.exists() and aside.exists()):  # else the restored one is in its place
                _put_back(aside_log, log)
                _put_back(aside, journal)
            raise
    for target in (paths.settings_file(), paths.sentences_dir(), paths.secrets_dir()):
        waiting = staged / target.name
        if waiting.exists():
            aside_of_it = target.with_name(f"{target.name}{ASIDE}{plan.stamp}")
            try:
                _aside(target, aside_of_it)
                waiting.rename(target)
            except OSError:
                _put_back(aside_of_it, target)
                raise
    os.sync()
    shutil.rmtree(staged)
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(plan.made_at))
    what = f"The backup of {made} was restored. What was there before is kept beside it (*{ASIDE}{plan.stamp})."
    _log.info("%s", what)
    return Notice(code="backup_restored", what=what, level="info")


def _aside(path: Path, aside: Path) -> None:
    if path.exists() and not aside.exists():
        path.rename(aside)


def _put_back(aside: Path, path: Path) -> None:
    with contextlib.suppress(OSError):
        if aside.exists() and not path.exists():
            aside.rename(path)


def _replace(source: Path, target: Path) -> None:
    """As `rename`, and also from one disk to another."""
    if _is_beside(source, target):
        source.replace(target)
        return
    beside = target.with_name(f"{target.name}{ASIDE}new")
    shutil.copyfile(source, beside)
    beside.chmod(0o600)
    os.sync()
    beside.replace(target)
    source.unlink()


def _is_beside(source: Path, target: Path) -> bool:
    return source.stat().st_dev == target.parent.stat().st_dev


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(config: Config) -> Iterator[None]:
    """While no other process uses the journal. Raises `StorageError` `journal_in_use`."""
    journal = paths.database(config)
    paths.prepare(journal.parent)
    presence = Presence(journal)
    try:
        until_s = time.monotonic() + _WAIT_S
        while not presence.alone():
            presence.leave()
            if time.monotonic() > until_s:
                what = "Another process uses the journal, so that it cannot be replaced now."
                raise StorageError("journal_in_use", what, "End the other agentbox command; then start again.")
            time.sleep(0.1)
        yield
    finally:
        presence.close()


def _settle(file: Path, by_page: bool) -> list[str]:
    """Give restored settings the keys that must stay as they are now; the names of those that are not as in the
    backup. Raises `ConfigError` for settings that are no YAML."""
    given = _flat(settings.read_yaml(file)[0])
    present = paths.settings_file()
    now = _flat(settings.read_yaml(present)[0]) if present.exists() else {}

    def comes(key: str) -> bool:
        of = FROM_THE_PAGE if by_page else OF_THIS_MACHINE
        return _within(key, of) is by_page

    merged = {key: value for key, value in given.items() if comes(key)}
    merged |= {key: value for key, value in now.items() if not comes(key)}
    left = sorted(key for key in given if not comes(key) and given[key] != now.get(key))
    file.write_text(yaml.safe_dump(_nested(merged), allow_unicode=True, sort_keys=False), encoding="utf-8")
    return left


def _within(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _flat(values: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """`{"asr.model": ...}`: the two levels that all sections have; what is deeper stays whole."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and not head:
            found |= _flat(value, f"{key}.")
        else:
            found[f"{head}{key}"] = value
    return found


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for dotted, value in values.items():
        section, _, key = dotted.partition(".")
        if key:
            found.setdefault(section, {})[key] = value
        else:
            found[section] = value
    return found


def _reset_mark() -> Path:
    return paths.state_dir() / "reset"
