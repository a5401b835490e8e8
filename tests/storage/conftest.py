"""Journals in a folder of their own, closed when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentbox.messages import Notice
from agentbox.storage.journal import Journal
from tests.storage.talk import whole_turn


class Box:
    """One journal file; it may be opened and closed, and holds what it told its owner."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: list[Notice] = []
        self._opened: list[Journal] = []

    def open(self, **options: Any) -> Journal:
        journal = Journal.open(self.path, on_notice=self.notices.append, **options)
        self._opened.append(journal)
        return journal

    @property
    def codes(self) -> list[str]:
        return [notice.code for notice in self.notices]

    def bytes_on_disk(self) -> bytes:
        """Every byte of the file and its companions."""
        return b"".join(file.read_bytes() for file in sorted(self.path.parent.glob(f"{self.path.name}*")))

    def close(self) -> None:
        for journal in self._opened:
            journal.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "agentbox.db")
    yield box
    box.close()


@pytest.fixture
def keep() -> Callable[..., str]:
    """Write a turn and wait for it; its id."""

    def keep(journal: Journal, text: str, **options: Any) -> str:
        turn, events = whole_turn(text, **options)
        for one in events:
            journal.record(one)
        assert journal.settle()
        return turn

    return keep
