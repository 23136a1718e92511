"""A table of canned answers in place of the wire, and a real net-snmp agent on loopback."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collectors.failures import FailureStatus, PollError
from collectors.profiles import ProfileSet, load_profiles
from collectors.snmp.wire import Oid, Tally, Value, Walk, parse_oid
from tests.collectors.snmpd import free_port, snmpd
from tests.collectors.tupled import walk_columns
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c

PROFILES = Path(__file__).parents[2] / "configs" / "profiles"
SNMPD_CONF = """
include_ifmib_iface_prefix lo
rocommunity public
rocommunity6 public
rocommunity narrow default .1.3.6.1.2.1.2.1
createUser twin SHA-256 authpass123 AES privpass123
rouser twin authpriv
createUser old MD5 authpass123 DES privpass123
rouser old authpriv
createUser newer SHA-512 authpass123
rouser newer auth
createUser open
rouser open noauth
createUser sha1 SHA authpass123 AES privpass123
rouser sha1 authpriv
createUser sha224 SHA-224 authpass123 AES-192 privpass123
rouser sha224 authpriv
createUser sha384 SHA-384 authpass123 AES-256 privpass123
rouser sha384 authpriv
createUser blumenthal SHA authpass123 AES-256 privpass123
rouser blumenthal authpriv
createUser reeder SHA authpass123 AES-256-C privpass123
rouser reeder authpriv
sysName box
sysObjectID 1.3.6.1.4.1.8072.3.2.10
extend cpuTimeUs /bin/echo 123456
extend memoryUsedBytes /bin/echo 1000
extend memoryTotalBytes /bin/echo 4000
"""


@dataclass
class CannedAgent:
    """An agent that has exactly these objects, and remembers what it was asked."""

    table: Mapping[Oid, Value]
    asked: list[Oid] = field(default_factory=list)
    most: int = 10_000
    tally: Tally = field(default_factory=Tally)

    async def get(self, oids: Sequence[Oid]) -> Mapping[Oid, Value]:
        self.asked += oids
        return {oid: self.table[oid] for oid in oids if oid in self.table}

    async def walk(self, columns: Sequence[Oid], *, rows: int, max_rows: int, until: float) -> Walk:
        return await walk_columns(self.bulk, columns, repetitions=25, rows=rows, max_rows=max_rows, until=until)

    def close(self) -> None:
        pass

    async def bulk(self, oids: Sequence[Oid], repetitions: int) -> list[tuple[Oid, Value | None]]:
        self.asked += oids
        ordered = sorted(self.table)
        starts = [bisect.bisect_right(ordered, oid) for oid in oids]
        answer: list[tuple[Oid, Value | None]] = []
        for step in range(repetitions):
            for start, oid in zip(starts, oids, strict=True):
                here = ordered[start + step] if start + step < len(ordered) else None
                answer.append((oid, None) if here is None else (here, self.table[here]))
        return answer[: self.most]


@dataclass
class CannedEngine:
    """Devices by name: canned objects, a failure, or a coroutine that never ends."""

    devices: Mapping[str, Mapping[Oid, Value] | FailureStatus | Exception]
    agents: dict[str, CannedAgent] = field(default_factory=dict)
    retries: dict[str, list[int]] = field(default_factory=dict)
    closed: bool = False

    async def agent(self, device: Device) -> CannedAgent:
        await asyncio.sleep(0)
        known = self.devices[device.name]
        if device.snmp is not None:
            self.retries.setdefault(device.name, []).append(device.snmp.retries)
        if isinstance(known, Exception):
            raise known
        if isinstance(known, str):
            raise PollError(known, f"canned {known}")
        return self.agents.setdefault(device.name, CannedAgent(known))

    async def close(self) -> None:
        self.closed = True


Canned = Callable[[Mapping[str, Mapping[Oid, Value] | FailureStatus | Exception]], CannedEngine]


@pytest.fixture
def canned() -> Canned:
    return CannedEngine


@pytest.fixture
def canned_agent() -> type[CannedAgent]:
    return CannedAgent


def _recording(path: Path) -> dict[Oid, Value]:
    """``oid|type|value`` lines: i = number, s = text, x = hexadecimal octets, o = object identifier."""
    table: dict[Oid, Value] = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            oid, kind, value = line.split("|", 2)
            read: dict[str, Callable[[str], Value]] = {
                "i": int,
                "s": str.encode,
                "x": bytes.fromhex,
                "o": parse_oid,
            }
            table[parse_oid(oid)] = read[kind.strip()](value)
    return table


@pytest.fixture
def recording() -> Callable[[Path], dict[Oid, Value]]:
    return _recording


@pytest.fixture(scope="session")
def profiles() -> ProfileSet:
    return load_profiles(PROFILES)


@pytest.fixture
def v2c() -> SnmpAccess:
    return SnmpAccess(SnmpV2c(Secret("public")), timeout=0.5, retries=0)


@pytest.fixture(scope="session")
def snmpd_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Debian's snmpd with a configuration of its own, as whoever runs the tests."""
    port = free_port()
    with snmpd(tmp_path_factory.mktemp("snmpd"), port, SNMPD_CONF):
        yield port
