"""The box's addresses and name in the local network."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.networks import is_local
from agentbox.pairing.addresses import host_name, lan_addresses


@pytest.mark.parametrize("address", ["192.168.1.2", "10.1.2.3", "172.16.0.1", "169.254.3.4", "127.0.0.1", "::1"])
@pytest.mark.parametrize("mapped", ["{}", "::ffff:{}"])
def test_what_is_local(address: str, mapped: str) -> None:
    if ":" not in address or mapped == "{}":
        assert is_local(mapped.format(address))


@pytest.mark.parametrize("address", ["fe80::1%eth0", "fd12::1", "100.64.0.7"])
def test_what_is_local_too(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "", "nonsense"])
def test_what_is_not(address: str) -> None:
    assert not is_local(address)


@given(st.text(max_size=200))
def test_a_name_is_a_label_of_dns(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", host_name(name))


def test_an_owners_name_is_kept_where_it_can_be() -> None:
    assert host_name("Kitchen Box") == "kitchen-box"


def test_this_machines_addresses_are_local() -> None:
    addresses = lan_addresses()
    assert all(is_local(address) and not address.startswith("127.") for address in addresses)
    assert len(set(addresses)) == len(addresses)
