"""A phone that is let in by words: with the code it pairs, and the box keeps the code nowhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.page.conftest import Daemon, Phone, audit_of, running


def ask(daemon: Daemon, text: str) -> str:
    return str(daemon.client.call("ask", {"text": text})["reply"])


def test_a_phone_pairs_with_the_code_and_no_file_holds_it(tmp_path: Path) -> None:
    with running(tmp_path, log={"level": "debug"}) as daemon:
        codes = []
        for words in ("pair a new phone", "pair a guest's phone"):
            told = ask(daemon, words)
            [code] = re.findall(r"[A-Z0-9]{4}-[A-Z0-9]{4}", told)
            assert f":{daemon.port}/pair" in told
            codes.append(code)
            phone = Phone(daemon.browser())
            phone.pair(code, words)
        assert {one["role"] for one in daemon.client.call("devices.list")} == {"owner", "guest"}
        codes += re.findall(r"[A-Z0-9]{4}-[A-Z0-9]{4}", ask(daemon, "pair a new phone"))  # one that was never used
        assert len(codes) == 3
        assert codes[2] not in ask(daemon, "say that again")
        refused = phone.send("/talk", text="pair a new phone").text
        assert "not allowed" in refused
        assert [row["outcome"] for row in audit_of(daemon) if row["action"] == "pair.start"] == ["ok"] * 4
        daemon.stop()
        for file in (one for one in tmp_path.rglob("*") if one.is_file()):
            plain = re.sub(rb"[^A-Z0-9]", b"", file.read_bytes().upper())
            assert not [code for code in codes if code.replace("-", "").encode() in plain], file
