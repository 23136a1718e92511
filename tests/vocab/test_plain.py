"""Frozen values survive the way through JSON, and bad JSON is refused by path."""

import json
from ipaddress import IPv4Address, IPv4Interface

import pytest

from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c
from twin.vocab.observed import LldpNeighbor, ObservedDevice, ObservedInterface
from twin.vocab.plain import from_plain, to_plain

DEVICE = ObservedDevice(
    "r1",
    interfaces=(ObservedInterface("eth1", 2, 10, admin_up=True, addresses=(IPv4Interface("10.0.0.1/30"),)),),
    lldp=(LldpNeighbor("eth1", "r2", management_addresses=(IPv4Address("10.255.0.2"),)),),
    routes={"ospf": 3},
)


def test_there_and_back() -> None:
    assert from_plain(ObservedDevice, json.loads(json.dumps(to_plain(DEVICE)))) == DEVICE


@pytest.mark.parametrize(
    ("plain", "path"),
    [
        ({"name": 3}, "ObservedDevice.name"),
        ({"name": "r1", "routes": {"ospf": "many"}}, "ObservedDevice.routes.ospf"),
        ({"name": "r1", "interfaces": [{"name": "e", "index": 1, "addresses": ["10.0.0.300/8"]}]}, "addresses"),
        ({"name": "r1", "colour": "red"}, "colour"),
        ({}, "name"),
    ],
)
def test_bad_json_is_refused_by_path(plain: object, path: str) -> None:
    with pytest.raises(ValueError, match=path):
        from_plain(ObservedDevice, plain)


def test_a_secret_never_becomes_json() -> None:
    device = Device("r1", "192.0.2.1", SnmpAccess(SnmpV2c(Secret("opensesame"))))
    assert "opensesame" not in json.dumps(to_plain(device))
