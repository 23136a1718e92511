"""Our engine, pysnmp's and net-snmp read the same: recorded devices in full, Debian's agent and real routers.

``make test`` reads some 20,000 varbinds of each recording (spread over it, every type), pysnmp 2,000 of them;
``make soak`` all of them with all (tests/soak/test_soak_snmp_differential.py).
"""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.pysnmp_engine import PysnmpEngine
from collectors.snmp.wire import Engine, Oid, Value, dotted
from tests.bench.agents import V2C, V3, Agents, Setup, devices
from tests.bench.recordings import Objects as Recorded
from tests.bench.recordings import lines_of, objects_of, recordings, spread, write_encoded
from tests.collectors.netsnmp import bulkwalk
from tests.collectors.routers import lab_device
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c, SnmpV3

if TYPE_CHECKING:
    from twin.lab.lab import Lab

ROOTS: tuple[Oid, ...] = ((1, 0), (1, 2), (1, 3))
ABSENT = pytest.param(None, marks=pytest.mark.skip(reason="no recordings beside the checkout (../shared/data/snmp)"))
RECORDINGS = [pytest.param(path, id=path.name.partition(".")[0]) for path in recordings()] or [ABSENT]
Objects = Mapping[Oid, Value]
Walk = Callable[[Device], Objects]
VERSIONS: list[tuple[SnmpV2c | SnmpV3, int]] = [(V2C, 1472), (V3, 8000)]  # and how large their messages may be


def by_engine(make: Callable[[], Engine], roots: tuple[Oid, ...] = ROOTS) -> Walk:
    async def walk(device: Device) -> Objects:
        engine = make()
        agent = await engine.agent(device)
        found: dict[Oid, Value] = {}
        try:
            for root in roots:
                walked = await agent.walk([root], rows=1000, max_rows=10_000_000, until=math.inf)
                assert walked.cut == ()
                found |= dict(walked.varbinds)
        finally:
            agent.close()
            await engine.close()
        return found

    return lambda device: asyncio.run(walk(device))


OURS, PYSNMP = by_engine(FastEngine), by_engine(PysnmpEngine)


def net_snmp(device: Device) -> Objects:
    if shutil.which("snmpbulkwalk") is None:
        pytest.skip("Debian's snmp is not installed")
    return bulkwalk(device, ROOTS)


@contextmanager
def served(objects: Recorded, folder: Path, *, largest: int) -> Iterator[tuple[Objects, Agents]]:
    """Recorded objects without their types, and the agent that has them."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (Debian: gcc, libc6-dev)")
    encoded = folder / "recording"
    write_encoded(objects, encoded)
    with Agents(Setup(recording=encoded, largest=largest)) as agents:
        yield {oid: value for oid, (_, value) in objects.items()}, agents


def asked(agents: Agents, credentials: SnmpV2c | SnmpV3) -> Device:
    return devices(1, agents.port, credentials, timeout=5.0)[0]


def difference(got: Objects, expected: Objects) -> list[str]:
    """The first few objects that are not the same, as text."""
    differing = [oid for oid in got.keys() | expected.keys() if got.get(oid) != expected.get(oid)]
    return [f"{dotted(oid)}: {got.get(oid)!r} for {expected.get(oid)!r}" for oid in sorted(differing)[:5]]


@pytest.mark.parametrize("path", RECORDINGS)
def test_a_recorded_device_is_read_as_recorded(path: Path, tmp_path: Path) -> None:
    objects = objects_of(spread(lines_of(path), 20_000))
    for credentials, largest in VERSIONS:
        with served(objects, tmp_path, largest=largest) as (recorded, agents):
            assert difference(net_snmp(asked(agents, credentials)), recorded) == []
            assert difference(OURS(asked(agents, credentials)), recorded) == []


@pytest.mark.parametrize("path", RECORDINGS)
def test_pysnmp_reads_it_so_too(path: Path, tmp_path: Path) -> None:
    objects = objects_of(spread(lines_of(path), 2000))
    with served(objects, tmp_path, largest=1472) as (recorded, agents):
        assert difference(PYSNMP(asked(agents, V2C)), recorded) == []
        assert difference(OURS(asked(agents, V2C)), recorded) == []


AUTH, PRIVACY = Secret("authpass123"), Secret("privpass123")
USERS: dict[str, SnmpV2c | SnmpV3] = {
    "v2c": SnmpV2c(Secret("public")),
    "v3 SHA-256 AES-128": SnmpV3("twin", "SHA-256", AUTH, "AES-128", PRIVACY),
    "v3 MD5 DES": SnmpV3("old", "MD5", AUTH, "DES", PRIVACY),
    "v3 SHA-512 without privacy": SnmpV3("newer", "SHA-512", AUTH),
}


@pytest.mark.parametrize("credentials", USERS.values(), ids=USERS.keys())
def test_a_live_agent_is_read_alike(snmpd_port: int, credentials: SnmpV2c | SnmpV3) -> None:
    device = Device("box", "127.0.0.1", SnmpAccess(credentials, port=snmpd_port))
    agreeing(device, SYSTEM_AND_INTERFACES)


SYSTEM_AND_INTERFACES: tuple[Oid, ...] = ((1, 3, 6, 1, 2, 1, 1), (1, 3, 6, 1, 2, 1, 2), (1, 3, 6, 1, 2, 1, 31))
ROUTER: tuple[Oid, ...] = (*SYSTEM_AND_INTERFACES, (1, 3, 6, 1, 2, 1, 4), (1, 3, 6, 1, 2, 1, 14), (1, 0))


def agreeing(device: Device, roots: tuple[Oid, ...]) -> None:
    """What net-snmp saw unchanged before and after, both engines saw as well; no object is missing or too many."""
    before = bulkwalk(device, roots)
    ours, theirs = by_engine(FastEngine, roots)(device), by_engine(PysnmpEngine, roots)(device)
    after = bulkwalk(device, roots)
    steady = {oid: value for oid, value in before.items() if after.get(oid) == value}
    lasting = before.keys() & after.keys()
    assert len(steady) > 20
    for got in (ours, theirs):
        assert difference({oid: got.get(oid, b"missing") for oid in steady}, steady) == []
        assert lasting <= got.keys() <= before.keys() | after.keys()
        assert {oid: type(got[oid]) for oid in lasting} == {oid: type(before[oid]) for oid in lasting}


@pytest.mark.lab
@pytest.mark.parametrize("v3", [False, True], ids=["v2c", "v3"])
def test_a_router_of_the_lab_is_read_alike(lab: Lab, v3: bool) -> None:
    agreeing(lab_device(lab.access()[0], v3=v3), ROUTER)
