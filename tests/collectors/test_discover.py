"""Discovery: breadth-first along LLDP, never outside the allowed prefixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import numpy as np
import pytest

from collectors.discover import Discovery, discover
from collectors.failures import Failed
from collectors.results import Polled, Round
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Device, NetconfAccess, SnmpAccess
from twin.vocab.observed import LldpNeighbor, ObservedDevice, ObservedInterface

ALLOWED = (IPv4Network("10.0.0.0/24"),)


@dataclass
class Network:
    """Who sees whom: device -> its neighbours as (name, management address). Names in ``silent`` do not answer."""

    links: Mapping[str, Sequence[tuple[str, str]]]
    silent: Sequence[str] = ()
    asked: list[list[str]] = field(default_factory=list)

    def poll(self, devices: Sequence[Device]) -> Round:
        self.asked.append([f"{device.name}@{device.address}" for device in devices])
        return Round(np.datetime64("2026-11-23", "us"), {device.name: (self._one(device),) for device in devices})

    def _one(self, device: Device) -> Polled | Failed:
        if device.name in self.silent:
            return Failed(device.name, "snmp", "silent", "no answer", 1.0)
        lldp = tuple(
            LldpNeighbor(f"eth{i}", name, management_addresses=(IPv4Address(address),) if address else ())
            for i, (name, address) in enumerate(self.links.get(device.name, ()))
        )
        loopback = ObservedInterface("lo", 1, addresses=(IPv4Interface(f"10.9.9.{device.address.split('.')[-1]}/32"),))
        observed = ObservedDevice(device.name, device.name, interfaces=(loopback,), lldp=lldp)
        return Polled(device.name, "snmp", (), observed, {}, 0.1, 5)


def walk(network: Network, access: SnmpAccess, seed: str = "a") -> Discovery:
    return discover(Device(seed, "10.0.0.1", access), ALLOWED, network.poll)


def test_a_ring_is_walked_level_by_level_and_each_device_asked_once(v2c: SnmpAccess) -> None:
    a, b, c, d = ("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3"), ("d", "10.0.0.4")
    network = Network({"a": [b, d], "b": [a, c], "c": [b, d], "d": [c, a]})
    found = walk(network, v2c)
    assert [device.device.name for device in found.found] == ["a", "b", "d", "c"]
    assert network.asked == [["a@10.0.0.1"], ["b@10.0.0.2", "d@10.0.0.4"], ["c@10.0.0.3"]]
    assert found.skipped == ()


def test_addresses_and_credentials_of_what_was_found(v2c: SnmpAccess) -> None:
    found = walk(Network({"a": [("b", "10.0.0.2")]}), v2c).found[1]
    assert found.addresses == (IPv4Address("10.0.0.2"), IPv4Address("10.9.9.2"))
    assert found.device.snmp == v2c
    assert found.device.netconf is None


NOT_FOLLOWED = {
    "outside": (("b", "192.0.2.2"), "outside the allowed prefixes"),
    "no address": (("b", ""), "no IPv4 management address"),
    "a name no port can be addressed by": (("b:1", "10.0.0.2"), "holds a colon"),
    "no name": (("", "10.0.0.2"), "does not tell its name"),
}


@pytest.mark.parametrize(("neighbor", "reason"), NOT_FOLLOWED.values(), ids=NOT_FOLLOWED.keys())
def test_what_is_not_followed_is_listed_and_never_contacted(
    v2c: SnmpAccess, neighbor: tuple[str, str], reason: str
) -> None:
    network = Network({"a": [neighbor]})
    (skipped,) = walk(network, v2c).skipped
    assert reason in skipped.reason
    assert skipped.seen_from == "a"
    assert network.asked == [["a@10.0.0.1"]]


def test_a_neighbour_that_does_not_answer_is_listed_with_its_reason(v2c: SnmpAccess) -> None:
    found = walk(Network({"a": [("b", "10.0.0.2")]}, silent=["b"]), v2c)
    assert [(s.name, s.seen_from, s.reason) for s in found.skipped] == [("b", "a", "silent: no answer")]


def test_a_device_seen_first_without_and_then_with_an_address_is_followed(v2c: SnmpAccess) -> None:
    network = Network({"a": [("c", ""), ("b", "10.0.0.2")], "b": [("c", "10.0.0.3")]})
    found = walk(network, v2c)
    assert [device.device.name for device in found.found] == ["a", "b", "c"]
    assert found.skipped == ()


def test_the_seed_is_recognised_by_its_address_under_another_name(v2c: SnmpAccess) -> None:
    network = Network({"seed": [("b", "10.0.0.2")], "b": [("a.example", "10.0.0.1")]})
    found = walk(network, v2c, seed="seed")
    assert [device.device.name for device in found.found] == ["seed", "b"]


def test_the_seed_itself_must_be_allowed_and_must_answer(v2c: SnmpAccess) -> None:
    network = Network({}, silent=["a"])
    with pytest.raises(UsageError, match="seed 'a': silent: no answer"):
        walk(network, v2c)
    with pytest.raises(UsageError, match="outside the allowed prefixes"):
        discover(Device("a", "10.0.1.1", v2c), ALLOWED, network.poll)
    with pytest.raises(UsageError, match="has no SNMP access"):
        discover(Device("a", "10.0.0.1", netconf=NetconfAccess("u", "k")), ALLOWED, network.poll)
    with pytest.raises(UsageError, match="not an IPv4 address"):
        discover(Device("a", "router.example", v2c), ALLOWED, network.poll)
    assert len(network.asked) == 1
