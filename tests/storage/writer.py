"""A process that writes turns, for tests that kill it or take its disk away.

`python -m tests.storage.writer FILE write` writes turns until it dies, and prints each id after it was acknowledged.
`python -m tests.storage.writer FILE obey` does what the lines on standard input say, and answers each with a line.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any

from agentbox.errors import StorageError
from agentbox.messages import Notice
from agentbox.storage.journal import Journal
from tests.storage.talk import whole_turn


def _write(journal: Journal, text: str) -> str:
    turn, events = whole_turn(text)
    for one in events:
        journal.record(one)
    return turn


def _endless(journal: Journal) -> None:
    number = 0
    while True:
        number += 1
        turn = _write(journal, f"turn {number} 牛奶 " + "word " * 50)
        if number % 7 == 0:
            journal.delete([turn])
        elif journal.settle():
            print(turn, flush=True)


def _limit(bytes_: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, hard))


def _obey(path: Path) -> None:
    notices: list[Notice] = []
    journal = Journal.open(path, on_notice=notices.append, or_in_memory=True)
    store = journal.store("lists")
    commands: dict[str, Any] = {
        "write": lambda: _write(journal, "hello"),
        "settle": lambda: journal.settle(),
        "put": lambda value: store.put("list", value),
        "get": lambda: store.get("list"),
        "limit": lambda: _limit(max(file.stat().st_size for file in path.parent.iterdir())),
        "unlimit": lambda: _limit(resource.RLIM_INFINITY),
        "turns": lambda: len(journal.recent(10_000)),
        "delete_all": journal.delete_all,
        "notices": lambda: [notice.code for notice in notices],
        "in_memory": lambda: journal.in_memory,
        "close": journal.close,
        "exit": lambda: sys.exit(),
    }
    for line in sys.stdin:
        name, *arguments = line.split()
        try:
            print(commands[name](*arguments), flush=True)
        except StorageError as error:
            print(error.code, flush=True)


if __name__ == "__main__":
    if os.environ.get("AS_USER"):
        os.setgid(int(os.environ["AS_USER"]))
        os.setuid(int(os.environ["AS_USER"]))
    file = Path(sys.argv[1])
    if sys.argv[2] == "write":
        _endless(Journal.open(file))
    else:
        _obey(file)
