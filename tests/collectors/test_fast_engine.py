"""The fast engine against a real net-snmp agent, and agents that behave as scripted."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collectors.failures import PollError
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.wire import Agent, Walk, parse_oid
from tests.collectors.snmpd import free_port, has_ipv6, snmpd
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV1, SnmpV2c, SnmpV3

SYS_NAME = parse_oid("1.3.6.1.2.1.1.5.0")
IF_INDEX, IF_DESCR = parse_oid("1.3.6.1.2.1.2.2.1.1"), parse_oid("1.3.6.1.2.1.2.2.1.2")
PUBLIC = SnmpV2c(Secret("public"))
OLD = SnmpV1(Secret("public"))


def device(
    port: int, credentials: SnmpV1 | SnmpV2c | SnmpV3 = PUBLIC, host: str = "127.0.0.1", **access: Any
) -> Device:
    return Device("box", host, SnmpAccess(credentials, port=port, **({"timeout": 1.0, "retries": 1} | access)))


def ask(target: Device, question: Callable[[Agent], Any]) -> Any:
    async def conversation() -> Any:
        engine = FastEngine()
        agent = await engine.agent(target)
        try:
            return await question(agent)
        finally:
            agent.close()
            await engine.close()

    return asyncio.run(conversation())


@pytest.mark.parametrize("credentials", [OLD, PUBLIC], ids=["v1", "v2c"])
def test_objects_that_the_agent_lacks_are_left_out(snmpd_port: int, credentials: SnmpV1 | SnmpV2c) -> None:
    absent = parse_oid("1.3.6.1.2.1.1.99.0")
    got = ask(device(snmpd_port, credentials), lambda agent: agent.get([absent, SYS_NAME, absent[:-1]]))
    assert got == {SYS_NAME: b"box"}


@pytest.mark.parametrize("credentials", [OLD, PUBLIC], ids=["v1", "v2c"])
def test_columns_are_walked_side_by_side(snmpd_port: int, credentials: SnmpV1 | SnmpV2c) -> None:
    target = device(snmpd_port, credentials)
    walk: Walk = ask(target, lambda agent: agent.walk([IF_INDEX, IF_DESCR], rows=4, max_rows=100, until=math.inf))
    indexes, names = walk.columns[IF_INDEX], walk.columns[IF_DESCR]
    assert [(index,) for index in indexes.values] == list(indexes.instances)
    assert names.instances is indexes.instances
    assert b"lo" in names.values
    assert walk.cut == ()


HOSTS = ["127.0.0.1", "localhost", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6"))]


@pytest.mark.parametrize("unconnected", [False, True])
@pytest.mark.parametrize("host", HOSTS)
def test_a_device_is_reached_by_address_or_name(snmpd_port: int, host: str, unconnected: bool) -> None:
    target = device(snmpd_port, host=host, unconnected=unconnected, timeout=0.5, retries=0)
    assert ask(target, lambda agent: agent.get([SYS_NAME])) == {SYS_NAME: b"box"}


def test_a_port_where_nothing_listens_is_told_at_once() -> None:
    port = free_port()
    with pytest.raises(PollError, match=f"nothing listens at port {port}: connection refused") as caught:
        ask(device(port, timeout=60), lambda agent: agent.get([SYS_NAME]))
    assert caught.value.status == "silent"


def test_an_agent_that_restarts_is_asked_on(tmp_path: Path) -> None:
    """net-snmp counts its boots: the clock kept from before is wrong, and is set right by one more request."""
    port = free_port()
    user = SnmpV3("twin", "SHA", Secret("authpass123"), "AES-128", Secret("privpass123"))
    configuration = "createUser twin SHA authpass123 AES privpass123\nrouser twin authpriv\nsysName box\n"

    async def conversation() -> list[int]:
        engine, requests = FastEngine(), []
        for _ in range(2):
            with snmpd(tmp_path, port, configuration):
                for _ in range(2):
                    with closing(await engine.agent(device(port, user))) as agent:
                        assert await agent.get([SYS_NAME]) == {SYS_NAME: b"box"}
                        requests.append(agent.tally.requests)
        return requests

    assert asyncio.run(conversation()) == [2, 1, 2, 1]


def test_nobody_there_is_silence() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        with pytest.raises(PollError, match="no answer") as caught:
            ask(device(mute.getsockname()[1], timeout=0.1), lambda agent: agent.get([SYS_NAME]))
    assert caught.value.status == "silent"


def test_an_unknown_host_name_is_an_error() -> None:
    with pytest.raises(PollError, match="unknown host name"):
        ask(device(161, host="no-such-host.invalid"), lambda agent: agent.get([SYS_NAME]))
