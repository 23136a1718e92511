"""Discovery: ranges and neighbours, never outside the allowed prefixes, and no more than two failed authentications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import numpy as np
import pytest

from collectors.discover import Discovery, discover
from collectors.failures import Failed, FailureStatus
from collectors.results import Polled, Round
from twin.app.discovering import differences
from twin.app.settings import DeviceEntry
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV1, SnmpV2c, SnmpV3
from twin.vocab.observed import LldpNeighbor, ObservedDevice, ObservedInterface

ALLOWED = (IPv4Network("10.0.0.0/24"),)
V1 = SnmpAccess(SnmpV1(Secret("public")))
V2C = SnmpAccess(SnmpV2c(Secret("public")))
OTHER = SnmpAccess(SnmpV2c(Secret("private")))
V3 = SnmpAccess(SnmpV3("twin", auth_passphrase=Secret("authpass123")))


@dataclass(frozen=True)
class Box:
    """A device: its name, its neighbours as (name, management address), addresses of its own, whom it answers."""

    name: str
    sees: Sequence[tuple[str, str]] = ()
    own: Sequence[str] = ()
    answers: SnmpAccess = V2C
    speaks_v3: bool = False


@dataclass
class Network:
    """Devices by address. Whoever is asked at another address, or with what it does not know, is silent."""

    boxes: Mapping[str, Box]
    asked: list[list[str]] = field(default_factory=list)
    shown: dict[str, list[object]] = field(default_factory=dict)

    def poll(self, devices: Sequence[Device]) -> Round:
        self.asked.append([device.address for device in devices])
        return Round(np.datetime64("2026-11-23", "us"), {device.name: (self._one(device),) for device in devices})

    def _one(self, device: Device) -> Polled | Failed:
        box, access = self.boxes.get(device.address), device.snmp
        assert access is not None
        assert access.retries == 0
        self.shown.setdefault(device.address, []).append(access.credentials)
        if box is not None and access.credentials == box.answers.credentials:
            return Polled(device.name, "snmp", (), self._told(device, box), {}, 0.1, 5)
        knows_engine = box is not None and box.speaks_v3 and isinstance(access.credentials, SnmpV3)
        status: FailureStatus = "auth" if knows_engine else "silent"
        return Failed(device.name, "snmp", status, "wrong user" if knows_engine else "no answer", 1.0)

    def _told(self, device: Device, box: Box) -> ObservedDevice:
        lldp = tuple(
            LldpNeighbor(f"eth{i}", name, management_addresses=(IPv4Address(address),) if address else ())
            for i, (name, address) in enumerate(box.sees)
        )
        own = tuple(IPv4Interface(f"{a}/32") for a in (device.address, *box.own))
        return ObservedDevice(device.name, box.name, interfaces=(ObservedInterface("lo", 1, addresses=own),), lldp=lldp)


def walk(
    network: Network, *seeds: str, ranges: Sequence[str] = (), given: Mapping[str, SnmpAccess] | None = None
) -> Discovery:
    return discover(
        [IPv4Address(seed) for seed in seeds],
        [IPv4Network(text) for text in ranges],
        ALLOWED,
        given or {"old": V2C},
        network.poll,
    )


def names(found: Discovery) -> list[str]:
    return [f.device.name for f in found.found]


def test_a_ring_is_walked_level_by_level_and_each_device_asked_once() -> None:
    a, b, c, d = ("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3"), ("d", "10.0.0.4")
    ring = {a[1]: Box("a", [b, d]), b[1]: Box("b", [a, c]), c[1]: Box("c", [b, d]), d[1]: Box("d", [c, a])}
    network = Network(ring)
    found = walk(network, a[1])
    assert names(found) == ["a", "b", "d", "c"]
    assert network.asked == [["10.0.0.1"], ["10.0.0.2", "10.0.0.4"], ["10.0.0.3"]]
    assert found.skipped == ()


def test_a_range_finds_who_answers_and_counts_who_does_not() -> None:
    network = Network({"10.0.0.2": Box("b", [("far", "10.0.0.99")]), "10.0.0.99": Box("far")})
    found = walk(network, ranges=["10.0.0.0/29"])
    assert names(found) == ["b", "far"]
    assert (found.silent, found.skipped) == (5, ())
    assert len(network.asked[0]) == 6


def test_one_device_at_two_addresses_is_one_device() -> None:
    box = Box("b", own=["10.0.0.2", "10.0.0.3"])
    found = walk(Network({"10.0.0.2": box, "10.0.0.3": box}), ranges=["10.0.0.0/29"])
    assert names(found) == ["b"]
    assert found.skipped == ()


def test_two_devices_of_one_name_are_told_apart_and_said() -> None:
    found = walk(Network({"10.0.0.2": Box("switch"), "10.0.0.3": Box("switch")}), ranges=["10.0.0.0/29"])
    assert names(found) == ["switch"]
    (skipped,) = found.skipped
    assert skipped.name == "switch (10.0.0.3)"
    assert "as 10.0.0.2 does" in skipped.reason


def test_addresses_and_credentials_of_what_was_found() -> None:
    network = Network({"10.0.0.1": Box("a", [("b", "10.0.0.2")]), "10.0.0.2": Box("b", own=["10.9.9.2"])})
    found = walk(network, "10.0.0.1").found[1]
    assert found.addresses == (IPv4Address("10.0.0.2"), IPv4Address("10.9.9.2"))
    assert found.device.snmp is not None
    assert found.device.snmp.credentials == V2C.credentials
    assert (found.credential, found.device.netconf) == ("old", None)


TRIED = {
    "v3 first": (Box("b", answers=V3, speaks_v3=True), ["v3"]),
    "then 2c": (Box("b", answers=V2C), ["v3", "old"]),
    "the older last": (Box("b", answers=OTHER), ["v3", "old", "other"]),
    "no more than two failures": (Box("b", answers=V1, speaks_v3=True), ["v3", "old"]),
    "nor two silent communities": (Box("b", answers=V1), ["v3", "old", "other"]),
}


@pytest.mark.parametrize(("box", "tried"), TRIED.values(), ids=TRIED.keys())
def test_no_device_sees_more_than_two_failed_authentications(box: Box, tried: list[str]) -> None:
    given = {"oldest": V1, "old": V2C, "other": OTHER, "v3": V3}
    network = Network({"10.0.0.2": box})
    found = walk(network, "10.0.0.2", given=given)
    assert network.shown["10.0.0.2"] == [given[name].credentials for name in tried]
    assert bool(found.found) == (given[tried[-1]] == box.answers)


def test_who_turns_us_away_is_left_alone_and_reported() -> None:
    network = Network({"10.0.0.2": Box("b", answers=V1, speaks_v3=True)})
    found = walk(network, ranges=["10.0.0.0/29"], given={"v3": V3, "other": replace(V3, credentials=SnmpV3("root"))})
    (skipped,) = found.skipped
    assert skipped.reason == "auth: wrong user; left alone after 2 failed authentications"
    assert found.silent == 5


NOT_FOLLOWED = {
    "outside": (("b", "192.0.2.2"), "outside the allowed prefixes"),
    "no address": (("b", ""), "no IPv4 management address"),
    "a name no port can be addressed by": (("b:1", "10.0.0.2"), "holds a colon"),
}


@pytest.mark.parametrize(("neighbor", "reason"), NOT_FOLLOWED.values(), ids=NOT_FOLLOWED.keys())
def test_what_is_not_followed_is_listed_and_never_contacted(neighbor: tuple[str, str], reason: str) -> None:
    network = Network({"10.0.0.1": Box("a", [neighbor])})
    (skipped,) = walk(network, "10.0.0.1").skipped
    assert reason in skipped.reason
    assert skipped.seen_from == "a"
    assert network.asked == [["10.0.0.1"]]


def test_a_neighbour_that_does_not_answer_is_listed_with_its_reason() -> None:
    found = walk(Network({"10.0.0.1": Box("a", [("b", "10.0.0.2")])}), "10.0.0.1")
    assert [(s.name, s.seen_from, s.reason) for s in found.skipped] == [("b", "a", "silent: no answer")]


def test_a_neighbour_without_a_name_is_asked_for_it() -> None:
    network = Network({"10.0.0.1": Box("a", [("", "10.0.0.2")]), "10.0.0.2": Box("b")})
    assert names(walk(network, "10.0.0.1")) == ["a", "b"]


def test_a_device_seen_first_without_and_then_with_an_address_is_followed() -> None:
    boxes = {"10.0.0.1": Box("a", [("c", ""), ("b", "10.0.0.2")]), "10.0.0.2": Box("b", [("c", "10.0.0.3")])}
    found = walk(Network({**boxes, "10.0.0.3": Box("c")}), "10.0.0.1")
    assert names(found) == ["a", "b", "c"]
    assert found.skipped == ()


def test_the_seed_is_recognised_by_its_address_under_another_name() -> None:
    network = Network({"10.0.0.1": Box("seed", [("b", "10.0.0.2")]), "10.0.0.2": Box("b", [("a.example", "10.0.0.1")])})
    assert names(walk(network, "10.0.0.1")) == ["seed", "b"]
    assert len(network.asked) == 2


REFUSED = {
    "a seed outside": (["10.0.1.1"], [], "seed 10.0.1.1 is outside the allowed prefixes"),
    "a range outside": ([], ["10.0.0.0/23"], "range 10.0.0.0/23 is outside the allowed prefixes"),
    "nothing": ([], [], "nowhere to begin"),
}


@pytest.mark.parametrize(("seeds", "ranges", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_may_not_be_is_refused_before_anything_is_sent(seeds: list[str], ranges: list[str], message: str) -> None:
    network = Network({})
    with pytest.raises(UsageError, match=message):
        walk(network, *seeds, ranges=ranges)
    assert network.asked == []


def test_a_range_too_large_is_refused() -> None:
    wide = IPv4Network("10.0.0.0/8")
    with pytest.raises(UsageError, match="more than 65,536 addresses"):
        discover([], [wide], [wide], {"old": V2C}, Network({}).poll)


DIFFER = {
    "new": ([], ("b", "device_new", "10.0.0.2", "")),
    "as listed": ([DeviceEntry("b", "10.0.0.2")], None),
    "listed by another of its addresses": ([DeviceEntry("b", "10.9.9.2")], None),
    "another address": ([DeviceEntry("b", "10.0.0.77")], ("b", "device_changed", "10.0.0.2", "listed at 10.0.0.77")),
    "another name": ([DeviceEntry("old", "10.0.0.2")], ("b", "device_changed", "10.0.0.2", "listed as old")),
    "lost": (
        [DeviceEntry("b", "10.0.0.2"), DeviceEntry("c", "10.0.0.3")],
        ("c", "device_lost", "10.0.0.3", "it does not answer"),
    ),
    "out of sight is not lost": ([DeviceEntry("b", "10.0.0.2"), DeviceEntry("c", "10.0.0.200")], None),
}


@pytest.mark.parametrize(("known", "expected"), DIFFER.values(), ids=DIFFER.keys())
def test_how_what_was_found_differs_from_the_inventory(
    known: list[DeviceEntry], expected: tuple[str, str, str, str] | None
) -> None:
    found = walk(Network({"10.0.0.2": Box("b", own=["10.9.9.2"])}), ranges=["10.0.0.0/29"])
    events = differences(found, known, datetime(2026, 1, 1, tzinfo=UTC))
    assert [(e.device, e.event, e.subject, e.detail) for e in events] == ([expected] if expected else [])
