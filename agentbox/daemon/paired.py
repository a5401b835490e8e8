"""Where paired devices are kept: in the journal's file, beside what tools keep."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable

import msgspec

from agentbox.pairing.devices import Device, Devices
from agentbox.storage import queries
from agentbox.storage.journal import Journal
from agentbox.storage.retention import MAX_DRIFT_S, UNSET_BEFORE
from agentbox.storage.store import SqliteStore

NAMESPACE = "paired_devices"


def open_devices(journal: Journal, monotonic: Callable[[], float] = time.monotonic) -> Devices:
    """Raises `StorageError`."""
    return Devices(_Stored(journal.store(NAMESPACE)), _Watch(journal, monotonic))


class _Watch:
    """The wall clock beside the monotonic one, and what the journal knows of it."""

    def __init__(self, journal: Journal, monotonic: Callable[[], float]) -> None:
        self._journal = journal
        self._monotonic = monotonic
        self._looked: tuple[float, float] | None = None

    def put_forward_s(self, now: float) -> float:
        before, self._looked = self._looked, (now, self._monotonic())
        if before is None:
            return 0.0
        jump_s = (now - before[0]) - (self._looked[1] - before[1])
        return jump_s if jump_s > MAX_DRIFT_S else 0.0

    def believes(self, seen_at: float) -> bool:
        return seen_at >= UNSET_BEFORE and self._journal.read(queries.clock).doubted_at is None


class _Stored:
    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def all(self) -> Iterable[Device]:
        for value in self._store.items().values():
            # A row that a later version wrote must not keep the other devices out.
            with contextlib.suppress(msgspec.ValidationError):
                yield msgspec.convert(value, Device)

    def put(self, device: Device) -> None:
        self._store.put(device.id, msgspec.to_builtins(device))

    def delete(self, device_id: str) -> None:
        self._store.delete(device_id)
