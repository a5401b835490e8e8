"""The notify protocol on a real datagram socket, and the log's lines."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentbox.service import fields, notify, set_up_log


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    own = logging.getLogger("agentbox")
    before = root.handlers[:], root.level, own.level
    yield root
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


@pytest.mark.parametrize("abstract", [False, True])
def test_notify_sends_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"@agentbox-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0", 1) if abstract else name)
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert notify("READY=1\nSTATUS=hört zu")
        assert manager.recv(1000) == "READY=1\nSTATUS=hört zu".encode()
        assert notify("STOPPING=1")
        assert manager.recv(1000) == b"STOPPING=1"


def test_notify_without_a_service_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not notify("READY=1")
    for address in ("", str(tmp_path / "nobody"), "@nobody-listens-here", "x" * 500, "relative"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert not notify("READY=1")


def test_json_log_lines(root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_log("info", "json")
    logging.getLogger("agentbox.audio").warning("The microphone %s is gone.\nSecond line", "“USB”")
    logging.getLogger("agentbox.audio").debug("not shown")
    line, *more = capsys.readouterr().err.splitlines()
    assert more == []
    record = json.loads(line)
    assert isinstance(record.pop("at"), float)
    assert record == {
        "level": "warning",
        "from": "agentbox.audio",
        "message": "The microphone “USB” is gone.\nSecond line",
    }


def test_a_json_log_line_keeps_the_traceback(root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_log("info", "json")
    try:
        raise OSError("no such card")
    except OSError:
        logging.getLogger("agentbox.audio").exception("It broke.")
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record["message"] == "It broke."
    assert "no such card" in record["traceback"]
    assert "test_service.py" in record["traceback"]


def test_text_log_lines(root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_log("debug", "text")
    logging.getLogger("agentbox.asr").debug("decoded")
    assert capsys.readouterr().err == "DEBUG agentbox.asr: decoded\n"
    set_up_log("error", "text")
    logging.getLogger("agentbox.asr").warning("not shown")
    logging.getLogger("agentbox.asr").error("shown once")
    assert capsys.readouterr().err == "ERROR agentbox.asr: shown once\n"


@pytest.mark.parametrize("library", ["httpx", "httpcore.http11", "root", "websockets.client", "plugin"])
def test_other_libraries_tell_neither_urls_nor_texts(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str], library: str
) -> None:
    """httpx logs whole URLs at INFO, httpcore headers and hassil sentences at DEBUG (hassil to the root logger)."""
    set_up_log("debug", "text")
    logger = logging.getLogger(None if library == "root" else library)
    logger.info("GET https://shop.example/?key=hunter2")
    logger.debug("heard: my secret")
    logger.warning("worth knowing")
    assert capsys.readouterr().err == f"WARNING {library}: worth knowing\n"


def test_a_closed_standard_error_does_no_harm() -> None:
    program = (
        "import logging; from agentbox.service import set_up_log; set_up_log('info', 'json')\n"
        "logging.getLogger('agentbox').error('x'); print('alive')"
    )
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "alive\n")


def test_what_the_journal_is_given() -> None:
    found = fields("tool_result", "ok", "01abc", {"duration_ms": 12.5})
    assert found == {
        "AGENTBOX_STAGE": "tool_result",
        "AGENTBOX_STATE": "ok",
        "AGENTBOX_UTTERANCE": "01abc",
        "AGENTBOX_DURATION_MS": "12.5",
    }
    assert "AGENTBOX_UTTERANCE" not in fields("box", "started", "", {})


def test_into_the_journal_only_where_standard_error_is_the_journal(
    root_logger: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = pytest.importorskip("systemd.journal", reason="the extra systemd is not installed")
    sent: list[dict[str, Any]] = []

    def send(message: str, /, **rest: Any) -> None:
        sent.append({"MESSAGE": message, **rest})

    monkeypatch.setattr(journal.JournalHandler.__init__, "__defaults__", (logging.NOTSET, send))
    with (tmp_path / "log").open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        status = os.fstat(stderr.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + 1}")
        set_up_log("info", "text")
        logging.getLogger("agentbox").info("to the file")
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        set_up_log("info", "text")
        logging.getLogger("agentbox").info("to the journal", extra=fields("capture", "lost", "", {}))
    assert (tmp_path / "log").read_text() == "INFO agentbox: to the file\n"
    [line] = sent
    assert (line["MESSAGE"], line["AGENTBOX_STAGE"], line["SYSLOG_IDENTIFIER"]) == (
        "to the journal",
        "capture",
        "agentbox",
    )
