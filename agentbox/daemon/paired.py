"""Where paired devices are kept: in the journal's file, beside what tools keep."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec

from agentbox.pairing.devices import Device, Devices
from agentbox.storage.journal import Journal
from agentbox.storage.store import SqliteStore

NAMESPACE = "paired_devices"


def open_devices(journal: Journal) -> Devices:
    """Raises `StorageError`."""
    return Devices(_Stored(journal.store(NAMESPACE)))


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
