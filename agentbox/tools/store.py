"""Where a tool keeps what must outlive a restart: JSON values by key, in a namespace of its own."""

from __future__ import annotations

import copy
from typing import Protocol

from agentbox.messages import JSON


class Store(Protocol):
    """The storage room implements this on SQLite; its methods raise `StorageError`."""

    def get(self, key: str) -> JSON | None:
        """The value, or null when there is none."""

    def put(self, key: str, value: JSON) -> None: ...

    def delete(self, key: str) -> None:
        """Forget the key; nothing happens when it is not there."""

    def items(self) -> dict[str, JSON]: ...


class MemoryStore:
    """A store that forgets at exit: for tests, and for a box whose disk fails."""

    def __init__(self) -> None:
        self._values: dict[str, JSON] = {}

    def get(self, key: str) -> JSON | None:
        return copy.deepcopy(self._values.get(key))

    def put(self, key: str, value: JSON) -> None:
        self._values[key] = copy.deepcopy(value)

    def delete(self, key: str) -> None:
        self._values.pop(key, None)

    def items(self) -> dict[str, JSON]:
        return copy.deepcopy(self._values)
