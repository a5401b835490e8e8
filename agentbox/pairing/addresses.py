"""Where phones find the box: its addresses in the local network, and its name there."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path

import ifaddr

from agentbox.networks import is_local, on_the_way_out

_INTERFACES = Path("/sys/class/net")


def lan_addresses() -> list[str]:
    """The machine's own IPv4 addresses in local networks, the one on the way out first.

    Without IPv6: those addresses change by the day, and each change would cost a new certificate. Without the bridges
    of containers: nobody's phone is there.
    """
    found = [
        str(address.ip)
        for adapter in ifaddr.get_adapters()
        for address in adapter.ips
        if address.is_IPv4 and (_INTERFACES / adapter.name / "device").exists() and is_local(str(address.ip))
    ]
    main = on_the_way_out()
    found.sort(key=lambda ip: (ip != main, ip))
    if main is not None and main not in found and is_local(main):
        found.insert(0, main)
    return [ip for ip in found if not ipaddress.ip_address(ip).is_loopback]


def host_name(given: str) -> str:
    """The box's name as a label of DNS (RFC 1035): the owner's, else the machine's."""
    plain = re.sub(r"[^a-z0-9]+", "-", (given or socket.gethostname().partition(".")[0]).lower()).strip("-")
    return plain[:63].rstrip("-") or "agentbox"
