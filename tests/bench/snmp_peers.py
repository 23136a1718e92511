"""One process of the SNMP benchmark: a Python peer walks all devices at once; one JSON line tells what it took.

Run with an interpreter that has the peer; it needs nothing of nettwin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from ipaddress import IPv4Address
from typing import Any

SUBTREES = ("1.3.6.1.2.1.1", "1.3.6.1.2.1.2", "1.3.6.1.2.1.31.1.1")
REPETITIONS = 25


async def pysnmp(addresses: list[str], port: int) -> list[int]:
    from pysnmp.hlapi.v3arch.asyncio import (
        CommunityData,
        ContextData,
        ObjectIdentity,
        ObjectType,
        SnmpEngine,
        UdpTransportTarget,
        bulk_walk_cmd,
    )

    engine, community = SnmpEngine(), CommunityData("public", mpModel=1)

    async def walk(address: str) -> int:
        target, count = await UdpTransportTarget.create((address, port), timeout=5, retries=1), 0
        for subtree in SUBTREES:
            root = ObjectType(ObjectIdentity(subtree))
            asking = bulk_walk_cmd(
                engine, community, target, ContextData(), 0, REPETITIONS, root, lexicographicMode=False, lookupMib=False
            )
            async for problem, status, _, varbinds in asking:
                if problem or status:
                    return count
                count += len(varbinds)
        return count

    try:
        return await asyncio.gather(*(walk(address) for address in addresses))
    finally:
        engine.close_dispatcher()


async def gufo(addresses: list[str], port: int) -> list[int]:
    from gufo.snmp.aio import SnmpSession  # type: ignore[import-not-found] # only where the benchmark put it

    async def walk(address: str) -> int:
        count = 0
        async with SnmpSession(address, port=port, timeout=5) as session:
            for subtree in SUBTREES:
                try:
                    async for _ in session.getbulk(subtree, max_repetitions=REPETITIONS):
                        count += 1
                except TimeoutError:
                    return count
        return count

    return await asyncio.gather(*(walk(address) for address in addresses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["pysnmp", "gufo"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--first", type=IPv4Address, required=True)
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--objects", type=int, required=True, help="how many varbinds a whole device has")
    options = parser.parse_args()
    addresses = [str(options.first + number) for number in range(options.devices)]
    walk: Any = {"pysnmp": pysnmp, "gufo": gufo}[options.peer]
    run: Any = asyncio.run
    if options.peer == "gufo":
        import uvloop

        run = uvloop.run
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    counts = run(walk(addresses, options.port))
    after = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "seconds": time.monotonic() - began,
        "varbinds": sum(counts),
        "completed": sum(count == options.objects for count in counts),
        "rss_mb": after.ru_maxrss / 1024,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
