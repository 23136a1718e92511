"""How long an answer is waited for: quick devices are asked again soon, silent ones get the time they were given."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.failures import PollError
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.patience import FIRST_RTO, LEAST_RTO, RoundTrip, waits
from collectors.snmp.wire import parse_oid
from tests.collectors.scripted import RESPONSE, Message, Sent, Varbind, number, read, scripted
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c

seconds = st.floats(0.01, 10)


@given(seconds, seconds, st.integers(0, 10), st.floats(0, 1))
def test_in_all_a_device_is_waited_for_as_long_as_the_settings_say(
    rto: float, timeout: float, retries: int, jitter: float
) -> None:
    spans = list(waits(rto, timeout, retries, jitter))
    assert sum(spans) == pytest.approx(timeout * (retries + 1))
    assert all(earlier <= later * 1.0001 for earlier, later in pairwise(spans))
    assert all(span <= 2 * timeout * 1.0001 for span in spans)


@pytest.mark.parametrize(
    ("rto", "retries", "expected"),
    [(1.0, 0, [2.0]), (1.0, 2, [1.0, 2.0, 3.0]), (0.2, 2, [0.2, 0.4, 0.8, 1.6, 3.0]), (9.0, 1, [2.0, 2.0])],
)
def test_each_wait_is_twice_the_one_before(rto: float, retries: int, expected: list[float]) -> None:
    assert list(waits(rto, 2.0, retries, 0.0)) == pytest.approx(expected)


def test_the_wait_follows_what_is_measured() -> None:
    """RFC 6298 section 2: the first sample R gives R + 4 * R/2; steady ones approach R, never below the least."""
    first = RoundTrip().after(0.5)
    assert (RoundTrip().rto, first.rto) == (FIRST_RTO, 1.5)
    steady = first
    for _ in range(100):
        steady = steady.after(0.5)
    assert steady.rto == pytest.approx(0.5, abs=0.01)
    assert RoundTrip().after(0.001).rto == LEAST_RTO
    assert first.backed_off(2.0).rto == 2.0
    assert first.backed_off(60.0).rto == 3.0


NAME = bytes.fromhex("2b06010201010500")


def answer(datagram: bytes) -> bytes:
    request: Message = read(datagram)
    return Message(RESPONSE, request.request_id, (Varbind(NAME, number(7)),)).encoded()


@pytest.mark.parametrize(
    ("lost", "slow", "most", "retries"),
    [({2}, 0.0, 0.6, 1), ({2, 3}, 0.0, 1.1, 2), ({1}, 0.0, 1.6, 1), (set(), 0.4, 0.7, 1)],
    ids=[
        "one of a known device",
        "two in a row",
        "the very first",
        "none, but late: the answer to the first try counts",
    ],
)
def test_a_lost_datagram_costs_little(lost: set[int], slow: float, most: float, retries: int) -> None:
    """Though the device is given five seconds."""

    async def run() -> tuple[float, int]:
        engine = FastEngine()

        def script(datagram: bytes, asked: int) -> list[Sent]:
            return [] if asked in lost else [Sent(answer(datagram), after=slow if asked == 2 else 0.0)]

        async with scripted(script) as port:
            access = SnmpAccess(SnmpV2c(Secret("public")), port=port, timeout=5.0)
            with closing(await engine.agent(Device("box", "127.0.0.1", access))) as agent:
                began = time.monotonic()
                for _ in range(2):
                    assert await agent.get([parse_oid("1.3.6.1.2.1.1.5.0")]) == {parse_oid("1.3.6.1.2.1.1.5.0"): 7}
                return time.monotonic() - began, agent.tally.retries

    took, repeated = asyncio.run(run())
    assert took < most
    assert repeated == retries


def test_a_device_that_may_be_asked_seldom_is_asked_seldom() -> None:
    times: list[float] = []

    def script(datagram: bytes, _asked: int) -> list[Sent]:
        times.append(time.monotonic())
        return [Sent(answer(datagram))]

    async def run() -> None:
        engine = FastEngine()
        async with scripted(script) as port:
            access = SnmpAccess(SnmpV2c(Secret("public")), port=port, requests_per_second=20)
            for _ in range(4):
                with closing(await engine.agent(Device("box", "127.0.0.1", access))) as agent:
                    await agent.get([parse_oid("1.3.6.1.2.1.1.5.0")])

    asyncio.run(run())
    assert len(times) == 4
    assert times[-1] - times[0] > 0.14


def test_answers_that_can_never_be_read_are_told_soon() -> None:
    async def run() -> None:
        engine = FastEngine()
        async with scripted(lambda datagram, _asked: [Sent(answer(datagram)[:-3] + b"\x02\x01\x07\x00"[1:])]) as port:
            access = SnmpAccess(SnmpV2c(Secret("public")), port=port, timeout=5.0)
            with closing(await engine.agent(Device("box", "127.0.0.1", access))) as agent:
                await agent.get([parse_oid("1.3.6.1.2.1.1.5.0")])

    began = time.monotonic()
    with pytest.raises(PollError, match="its answers can't be read"):
        asyncio.run(run())
    assert time.monotonic() - began < 4.5
