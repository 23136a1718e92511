"""A live engine whose agent sends hostile datagrams before each answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from collectors.failures import PollError
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.wire import Oid, Value
from tests.collectors.scripted import Columns, Sent, honest, number, read, scripted
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c

COLUMN: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 6)
ROWS = 20
TABLE: Columns = {bytes((0x2B, *COLUMN[2:])): {row: number(row << 40, 0x46) for row in range(1, ROWS + 1)}}
TRUE: dict[Oid, Value] = {(*COLUMN, row): row << 40 for row in range(1, ROWS + 1)}
AT_ONCE = 25


@dataclass
class Flood:
    """``walks`` that ended, ``wrong`` ones among them (anything but the truth), datagrams ``sent``."""

    walks: int = 0
    wrong: int = 0
    sent: int = 0


async def flooded(hostile: Iterator[bytes], count: int) -> Flood:
    """Walk a table until ``count`` hostile datagrams were sent."""
    told = Flood()

    def script(datagram: bytes, _asked: int) -> Sequence[Sent]:
        told.sent += AT_ONCE
        request = read(datagram)
        return [*map(Sent, islice(hostile, AT_ONCE)), Sent(honest(TABLE, request).encoded())]

    engine = FastEngine()
    async with scripted(script) as port:
        device = Device("box", "127.0.0.1", SnmpAccess(SnmpV2c(Secret("public")), port=port, retries=1))
        while told.sent < count:
            agent = await engine.agent(device)
            try:
                walk = await asyncio.wait_for(agent.walk([COLUMN], rows=8, max_rows=100, until=math.inf), 20.0)
                told.wrong += dict(walk.varbinds) != TRUE or bool(walk.cut)
            except PollError:
                told.wrong += 1
            finally:
                agent.close()
            told.walks += 1
    await engine.close()
    return told
