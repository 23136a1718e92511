"""Real routers as oracle: the twin of a lab, and the tables its routers really hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from tests.net.worlds import NOW
from twin.config.frr import parse, render
from twin.net.rib import NextHop, Rib, RibEntry, rib
from twin.net.topology import build_snapshot
from twin.vocab.change import Change
from twin.vocab.config import DeviceConfig
from twin.vocab.observed import ObservedDevice, ObservedInterface
from twin.vocab.snapshot import Snapshot, SnapshotDevice

if TYPE_CHECKING:
    from twin.lab.lab import Lab

PATIENCE_S = 30.0


def twin_of(lab: Lab) -> Snapshot:
    """From the configuration texts, with every interface seen up."""
    from twin.lab.plan import device_config

    configs = [parse(render(device_config(lab.plan, name))) for name in lab.plan.routers]
    return build_snapshot(NOW, [SnapshotDevice(c.hostname, c, seen_up(c)) for c in configs])


def seen_up(config: DeviceConfig) -> ObservedDevice:
    interfaces = (ObservedInterface(i.name, k, admin_up=True, oper_up=True) for k, i in enumerate(config.interfaces))
    return ObservedDevice(config.hostname, interfaces=tuple(interfaces))


def real_tables(lab: Lab) -> dict[str, Rib]:
    management = lab.plan.gateway.network
    return {
        router: {
            network: _entry(next(r for r in routes if r.get("selected")))
            for prefix, routes in table.items()
            if not (network := IPv4Network(prefix)).subnet_of(management)
        }
        for router, table in lab.rib().items()
    }


def _entry(route: dict[str, Any]) -> RibEntry:
    hops = (hop for hop in route["nexthops"] if hop.get("fib"))
    found = frozenset(NextHop(hop["interfaceName"], IPv4Address(hop["ip"]) if "ip" in hop else None) for hop in hops)
    return RibEntry(route["protocol"], route["distance"], route["metric"], found)


@contextmanager
def made_for_real(lab: Lab, change: Change, undo: Change) -> Iterator[None]:
    if change.steps:
        lab.apply(change)
    try:
        yield
    finally:
        if undo.steps:
            lab.apply(undo)
            assert settled(lab, rib(twin_of(lab))) == rib(twin_of(lab))


def settled(lab: Lab, expected: dict[str, Rib]) -> dict[str, Rib]:
    deadline = time.monotonic() + PATIENCE_S
    while (found := real_tables(lab)) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    return found
