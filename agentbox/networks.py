"""Whose network an address is of."""

from __future__ import annotations

import ipaddress


def is_local(address: str) -> bool:
    """Whether an address is of a home's or an office's own network (or a private one over it), or of this machine."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return not ip.is_global
