"""Who may send notifications from which address."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from collectors.snmp.trap_sources import Sources
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c

ACCESS = SnmpAccess(SnmpV2c(Secret("public")))
DEVICES = [
    Device("r1", "192.0.2.1", ACCESS),
    Device("r2", "192.0.2.2", ACCESS),
    Device("twin", "192.0.2.2", ACCESS),
    Device("netconf-only", "192.0.2.4"),
]


def at(sources: Sources, address: str) -> list[str]:
    return [sender.device for sender in sources.at(address)]


@pytest.mark.parametrize(
    ("address", "devices"),
    [("192.0.2.1", ["r1"]), ("192.0.2.2", ["r2", "twin"]), ("192.0.2.3", []), ("192.0.2.4", [])],
)
def test_devices_are_known_by_the_address_they_are_polled_at(address: str, devices: list[str]) -> None:
    assert at(Sources(DEVICES), address) == devices


SEEN: list[tuple[str, list[tuple[str, Iterable[str]]], str, list[str]]] = [
    ("an address of its own", [("r1", ["10.0.0.1", "2001:db8::1"])], "2001:db8::1", ["r1"]),
    ("an address two have", [("r1", ["10.0.0.1"]), ("r2", ["10.0.0.1"])], "10.0.0.1", []),
    ("one it has no longer", [("r1", ["10.0.0.1"]), ("r1", ["10.0.0.9"])], "10.0.0.1", []),
    ("one that moved", [("r1", ["10.0.0.1"]), ("r1", []), ("r2", ["10.0.0.1"])], "10.0.0.1", ["r2"]),
    ("loopback", [("r1", ["127.0.0.1"])], "127.0.0.1", []),
    ("link-local", [("r1", ["fe80::1"])], "fe80::1", []),
    ("another's that is in the list", [("r2", ["192.0.2.1"])], "192.0.2.1", ["r1"]),
    ("of a device that is not polled over SNMP", [("netconf-only", ["10.0.0.4"])], "10.0.0.4", []),
]


@pytest.mark.parametrize(("seen", "address", "devices"), [c[1:] for c in SEEN], ids=[c[0] for c in SEEN])
def test_devices_are_known_by_the_addresses_they_were_seen_to_have(
    seen: list[tuple[str, Iterable[str]]], address: str, devices: list[str]
) -> None:
    sources = Sources(DEVICES)
    for device, addresses in seen:
        sources.seen(device, addresses)
    assert at(sources, address) == devices
