"""The daemon's side of the system it runs on: the notify socket and the log."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Mapping


def notify(state: str) -> bool:
    """Tell the service manager a state such as `READY=1`. False when there is none to tell.

    The protocol is one datagram to `$NOTIFY_SOCKET` (sd_notify(3)); a leading `@` names an abstract socket.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as datagram:
        try:
            datagram.connect("\0" + address[1:] if address.startswith("@") else address)
            datagram.sendall(state.encode())
        except OSError:
            return False
    return True


def is_supervised() -> bool:
    """Whether a service manager looks after the process, and starts it anew when it ends."""
    return "NOTIFY_SOCKET" in os.environ


def watchdog_s() -> float | None:
    """How often the service manager wants to hear that all is well, at the latest; null where it does not ask
    (sd_watchdog_enabled(3))."""
    for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if for_us and usec.isdigit() and int(usec) else None


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class LastRecords(logging.Handler):
    """The last records of the log, in memory, for who cannot look into the log itself. Use as `with`."""

    def __init__(self, most: int = 500) -> None:
        super().__init__()
        self._lines: deque[dict[str, str | float]] = deque(maxlen=most)

    def __enter__(self) -> LastRecords:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        # Not the record: with a traceback it would keep alive whatever the frames hold.
        self._lines.append(
            {
                "at": round(record.created, 3),
                "level": record.levelname.lower(),
                "from": record.name,
                "message": record.getMessage(),
            }
        )

    def lines(self, limit: int) -> list[dict[str, str | float]]:
        """The newest first: `at` (seconds since 1970), `level`, `from`, `message`. Without tracebacks."""
        return list(self._lines)[::-1][:limit]


def set_up_log(level: str, form: str) -> None:
    """Send log lines to standard error, where a terminal or a service manager picks them up; under systemd with the
    extra `systemd` straight to the journal, with the fields that `fields` makes.

    `level`: debug, info, warning or error, for our own lines. `form`: text or json (one object a line).
    """
    handler = _journal() if form == "text" and _into_the_journal() else None
    if handler is None:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            _JsonFormatter() if form == "json" else logging.Formatter("%(levelname)s %(name)s: %(message)s")
        )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Other libraries may only warn: below that httpx logs whole URLs, httpcore headers, hassil sentences.
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    logging.getLogger("agentbox").setLevel(level.upper())


def fields(stage: str, state: str, utterance_id: str, timings: Mapping[str, float]) -> dict[str, str]:
    """A stage event as fields of the journal (systemd.journal-fields(7)): `journalctl AGENTBOX_STAGE=capture`."""
    found = {"AGENTBOX_STAGE": stage, "AGENTBOX_STATE": state}
    if utterance_id:
        found["AGENTBOX_UTTERANCE"] = utterance_id
    return found | {f"AGENTBOX_{name.upper()}": f"{value:g}" for name, value in timings.items()}


def _into_the_journal() -> bool:
    """Whether standard error ends in the journal (`$JOURNAL_STREAM`, systemd.exec(5))."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _journal() -> logging.Handler | None:
    try:
        from systemd.journal import JournalHandler
    except ImportError:
        return None
    handler: logging.Handler = JournalHandler(SYSLOG_IDENTIFIER="agentbox")
    return handler
