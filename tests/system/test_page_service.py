"""The page of the installed service: its sandbox lets a phone in, and the page's process out of sight again."""

from __future__ import annotations

import json

from tests.system.machine import Machine

PHONE = """
import json, ssl, sys, httpx
port, code = sys.argv[1:]
trust = ssl.create_default_context(cafile="/var/lib/private/agentbox/page/certificate.pem")
phone = httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, trust_env=False, timeout=20)
paired = phone.post("/pair", data={"code": code, "name": "phone"})
print(json.dumps([paired.status_code, phone.get("/").headers["location"], phone.get("/timers").text]))
"""


def test_a_phone_pairs_with_the_sandboxed_service(machine: Machine) -> None:
    machine.until("ls /run/agentbox", "page.sock")
    offer = json.loads(machine.out("agentbox pair --json"))
    port = offer["place"].rpartition(":")[2]
    (machine.tree / "root" / "phone.py").write_text(PHONE)
    seen = machine.out(f"/opt/agentbox/current/bin/python /root/phone.py {port} {offer['code']}")
    paired, first, timers = json.loads(seen)
    assert (paired, first) == (303, "/setup")
    assert "Timers" in timers
    assert "phone" in machine.out("agentbox devices-paired list")
    log = machine.journal("agentbox")
    assert "page_failed" not in log
    assert offer["code"] not in log
    assert machine.show("agentbox", "NRestarts") == {"NRestarts": "0"}
