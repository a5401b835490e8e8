"""Whose network an address is of, and the machine's own on its way out."""

from __future__ import annotations

import ipaddress
import socket

_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses that are nobody's (RFC 5737, RFC 3849): nothing is sent there."""


def is_local(address: str) -> bool:
    """Whether an address is of a home's or an office's own network (or a private one over it), or of this machine."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return not ip.is_global


def on_the_way_out(family: socket.AddressFamily = socket.AF_INET) -> str | None:
    """The machine's own address on its way to anywhere; null where there is no way."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((_ELSEWHERE[family], 9))  # of a datagram socket it sends nothing
            return str(asking.getsockname()[0])
    except OSError:
        return None
