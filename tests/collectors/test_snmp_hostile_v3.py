"""SNMPv3 with somebody between the agent and us: forged, replayed, downgraded, flooded, replaced.

The middle sees everything and knows the keys where a row says so; only a row's own lies differ from the honest agent.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pytest

from collectors.failures import PollError
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.wire import Oid, Value, Walk
from tests.bench.agents import V3, Agents, Setup, address
from tests.collectors.scripted import (
    REPORT,
    Message,
    Secured,
    Sent,
    Varbind,
    number,
    opened,
    scoped,
    scripted,
)
from twin.vocab.inventory import Device, SnmpAccess
from twin.vocab.time import instant, now

DESCRIPTION, TYPE = (1, 3, 6, 1, 2, 1, 2, 2, 1, 2), (1, 3, 6, 1, 2, 1, 2, 2, 1, 3)
ROWS, LONGEST = 50, 10.0  # seconds
TRUE: Mapping[Oid, Value] = {(*DESCRIPTION, row): f"port {row}".encode() for row in range(1, ROWS + 1)} | {
    (*TYPE, row): 6 for row in range(1, ROWS + 1)
}
USM_STATS = b"\x2b\x06\x01\x06\x03\x0f\x01\x01"
LEVEL, WINDOW, UNKNOWN_USER, UNKNOWN_ENGINE, DIGEST, DECRYPTION = range(1, 7)  # usmStats, RFC 3414 section 5
Middle: TypeAlias = Callable[[bytes, bytes, int], Sequence[Sent]]


@pytest.fixture(scope="module")
def agents() -> Iterator[Agents]:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (Debian: gcc, libc6-dev)")
    with Agents(Setup(devices=2)) as running:
        yield running


class Relay:
    """Hands requests on to a simulated device and gives its answers back."""

    def __init__(self, port: int, number: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(1.0)
        self.to(port, number)

    def to(self, port: int, number: int = 0) -> None:
        self._socket.connect((address(number), port))

    def __call__(self, datagram: bytes) -> bytes:
        self._socket.send(datagram)
        return self._socket.recv(65535)

    def close(self) -> None:
        self._socket.close()


def report(answer: Secured, which: int, **changed: Any) -> bytes:
    """A report, unsigned unless said otherwise."""
    told = Message(REPORT, 0, (Varbind(USM_STATS + bytes((which, 0)), number(1, 0x41)),))
    made = replace(answer, flags=0, **changed)
    return replace(made, scoped=scoped(told.pdu(), made.engine)).encoded()


def is_discovery(answer: Secured) -> bool:
    return answer.flags == 0


def lying(answer: Secured) -> Secured:
    return replace(answer, scoped=answer.scoped.replace(b"port", b"liar"))


def each(change: Callable[[Secured, bytes], Sequence[bytes]]) -> Middle:
    """What comes instead of each answer but the discovery's: from the answer opened, and as it was."""

    def middle(_request: bytes, raw: bytes, _asked: int) -> list[Sent]:
        answer = opened(raw)
        return [Sent(raw)] if is_discovery(answer) else [Sent(d) for d in change(answer, raw)]

    return middle


def replaying() -> Middle:
    first: list[bytes] = []

    def change(_answer: Secured, raw: bytes) -> list[bytes]:
        first.append(raw)
        return first[:1]

    return each(change)


def from_second(change: Callable[[Secured], Secured]) -> Middle:
    """The first answer is honest: the agent's clock is known by it."""
    seen: list[bytes] = []

    def changed(answer: Secured, raw: bytes) -> list[bytes]:
        seen.append(raw)
        return [raw] if len(seen) == 1 else [change(answer).encoded()]

    return each(changed)


def new_engines(_request: bytes, raw: bytes, asked: int) -> list[Sent]:
    return [Sent(report(opened(raw), UNKNOWN_ENGINE, engine=b"\x80\x00\x1f\x88\x04" + asked.to_bytes(4)))]


def broken(raw: bytes) -> bytes:
    return raw[:-1] + bytes((raw[-1] ^ 1,))


@dataclass(frozen=True)
class Row:
    """As in test_snmp_hostile: what is kept (all, part, nothing), what is told, by which PollError it ends."""

    middle: Middle
    kept: str = "all"
    flag: str = ""
    status: str = ""


ROWS_OF_LIES = {
    "nobody in the middle": Row(lambda _q, raw, _n: [Sent(raw)]),
    "a wrong digest": Row(each(lambda _a, raw: [broken(raw)]), "nothing", status="silent"),
    "a wrong digest before each answer": Row(each(lambda _a, raw: [broken(raw), raw])),
    "the first answer again and again": Row(replaying(), "part", "no answer"),
    "each answer twice": Row(each(lambda _a, raw: [raw, raw])),
    "answers from before the time window": Row(
        from_second(lambda answer: replace(answer, boots=0)), "part", "outside the time window"
    ),
    "no signature": Row(
        each(lambda answer, _raw: [replace(lying(answer), flags=0).encoded()]), "nothing", status="silent"
    ),
    "lies without signature before each answer": Row(
        each(lambda answer, raw: [replace(lying(answer), flags=0).encoded(), raw])
    ),
    "signed, but not encrypted": Row(
        each(lambda answer, _raw: [replace(answer, flags=1).encoded()]), "nothing", status="silent"
    ),
    "for another user": Row(
        each(lambda answer, _raw: [replace(answer, user=b"someone").encoded()]), "nothing", status="silent"
    ),
    "the key of another engine": Row(
        each(lambda answer, _raw: [replace(answer, engine=b"\x80\x00\x1f\x88\x04other").encoded()]),
        "nothing",
        status="silent",
    ),
    "a flood of reports about other messages": Row(
        each(
            lambda answer, raw: [
                *(report(answer, which, message_id=answer.message_id ^ 1) for which in range(1, 7) for _ in range(30)),
                raw,
            ]
        )
    ),
    "unsigned reports of the time before each answer": Row(
        each(lambda answer, raw: [report(answer, WINDOW, boots=99, clock=5), raw])
    ),
    "turned away without signature": Row(
        each(lambda answer, _raw: [report(answer, UNKNOWN_USER)]), "nothing", status="auth"
    ),
    "another engine-id with each report": Row(new_engines, "nothing", status="auth"),
    "only reports of the time, signed": Row(
        each(
            lambda answer, _raw: [replace(opened(report(answer, WINDOW)), flags=1, clock=answer.clock + 1000).encoded()]
        ),
        "nothing",
        status="auth",
    ),
}


def walked(
    relay: Relay, middle: Middle, *, times: int = 1, between: Callable[[], None] = lambda: None, timeout: float = 1.0
) -> Any:
    """The last of ``times`` walks by one engine; ``between`` happens before it."""

    async def conversation() -> Any:
        engine = FastEngine()
        async with scripted(lambda datagram, asked: middle(datagram, relay(datagram), asked)) as port:
            device = Device("box", "127.0.0.1", SnmpAccess(V3, port=port, timeout=timeout, retries=1))
            try:
                for time_ in range(times):
                    if time_ == times - 1 and times > 1:
                        between()
                    agent = await engine.agent(device)
                    try:
                        walk = await agent.walk([DESCRIPTION, TYPE], rows=8, max_rows=100, until=math.inf)
                    finally:
                        agent.close()
                return walk
            finally:
                await engine.close()

    return asyncio.run(conversation())


@pytest.fixture
def relay(agents: Agents) -> Iterator[Relay]:
    made = Relay(agents.port)
    yield made
    made.close()


@pytest.mark.parametrize("row", ROWS_OF_LIES.values(), ids=ROWS_OF_LIES.keys())
def test_only_what_the_agent_signed_is_believed(relay: Relay, row: Row) -> None:
    began, status = time.monotonic(), ""
    try:
        walk: Walk = walked(relay, row.middle, timeout=1.0 if row.kept == "all" else 0.2)
    except PollError as problem:
        status, walk = problem.status, Walk({}, instant(now()))
    assert time.monotonic() - began < LONGEST
    assert status == row.status
    got = dict(walk.varbinds)
    assert got.items() <= TRUE.items()
    assert {"all": len(got) == len(TRUE), "part": 0 < len(got) < len(TRUE), "nothing": not got}[row.kept]
    assert row.flag in " ".join(walk.cut)
    assert bool(row.flag) == bool(walk.cut)


def honest(_request: bytes, raw: bytes, _asked: int) -> list[Sent]:
    return [Sent(raw)]


def test_another_device_at_the_same_address_is_found_out(agents: Agents, relay: Relay) -> None:
    walk = walked(relay, honest, times=2, between=lambda: relay.to(agents.port, 1))
    assert dict(walk.varbinds) == TRUE


def test_a_rebooted_agent_is_believed_again(relay: Relay) -> None:
    with Agents(Setup(boots=2)) as rebooted:
        walk = walked(relay, honest, times=2, between=lambda: relay.to(rebooted.port))
    assert dict(walk.varbinds) == TRUE
    assert walk.cut == ()


def test_engine_boots_that_went_back_are_not_believed(relay: Relay) -> None:
    """RFC 3414 section 2.2.3; after that one poll the agent is taken as it is."""
    with Agents(Setup(boots=7)) as before:
        relay.to(before.port)
        with Agents(Setup(boots=2)) as after:
            with pytest.raises(PollError, match="went back from 7 to 2"):
                walked(relay, honest, times=2, between=lambda: relay.to(after.port))
            assert dict(walked(relay, honest).varbinds) == TRUE
