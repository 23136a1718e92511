"""One process of the SNMP benchmark: our poller, from the wire to the embedded store; one JSON line tells what it took.

What is in the store afterwards is compared with what the simulated agents answer by their rule.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collectors.profiles import load_profiles
from collectors.results import Polled, Round
from collectors.rounds import Limits, Poller
from collectors.snmp.fast_engine import FastEngine
from tests.bench.agents import V2C, V3, devices
from twin.store import Store, open_delta
from twin.vocab.blocks import Block

PROFILES = Path(__file__).parents[2] / "configs" / "profiles"
# columns as the simulator numbers them in its counters' keys
SUMS64 = {"in_octets": (6,), "out_octets": (10,), "in_packets": (7, 8, 9), "out_packets": (11, 12, 13)}
COUNTERS32 = {"in_discards": 3, "in_errors": 4, "out_discards": 9, "out_errors": 10}
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Taken:
    """One round: CPU (user and system) and wall seconds from first request to stored, what came, what was wrong."""

    cpu_s: float
    seconds: float
    poll_s: float
    varbinds: int
    completed: int
    statuses: dict[str, int]
    wrong: int
    reasons: tuple[str, ...]


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def poll_and_store(poller: Poller, store: Store, inventory: list[Any], interfaces: int) -> Taken:
    began, before = time.monotonic(), cpu()
    taken = poller.round(inventory, full=False)
    polled = time.monotonic()
    store.write(taken.blocks())
    seconds, used = time.monotonic() - began, cpu() - before
    rows = store.range("interface", None, taken.at, np.datetime64("2200-01-01", "us"))
    good = complete_devices(rows, seconds, interfaces)
    reasons = Counter(reason for r in flat(taken) for reason in reasons_of(r))
    return Taken(
        cpu_s=used,
        seconds=seconds,
        poll_s=polled - began,
        varbinds=sum(r.values for r in flat(taken) if isinstance(r, Polled)),
        completed=len(good),
        statuses=dict(Counter(r.status for r in flat(taken))),
        wrong=len({r.device for r in flat(taken) if r.status == "ok"} - good),
        reasons=tuple(f"{count} x {reason}" for reason, count in reasons.most_common(5)),
    )


def flat(taken: Round) -> list[Any]:
    return [result for results in taken.results.values() for result in results]


def reasons_of(result: Any) -> tuple[str, ...]:
    return tuple(result.flags) if isinstance(result, Polled) else (str(result.reason),)


def complete_devices(rows: Block, seconds: float, interfaces: int) -> set[str]:
    """The devices of which every interface is there with every value as the agent's rule says."""
    right = values_right(rows, seconds)
    found = Counter(str(name) for name in rows.keys["device"][right])
    return {name for name, count in found.items() if count == interfaces}


def values_right(rows: Block, seconds: float) -> npt.NDArray[np.bool_]:
    device = np.array([int(name[1:]) for name in rows.keys["device"]], dtype=np.int64)
    row = np.array([int(name[3:]) for name in rows.keys["interface"]], dtype=np.int64)
    value = {name: column.values for name, column in rows.fields.items()}
    right = np.logical_and.reduce([column.valid for column in rows.fields.values()])
    first = value["uptime_cs"]
    last = first + int(100 * seconds) + 100
    right &= (value["index"] == row) & (value["admin_status"] == 1) & (value["discontinuity_cs"] == 0)
    right &= (value["oper_status"] == np.where(row % 16 == 0, 2, 1)) & (value["counter_bits"] == 64)
    right &= value["speed_bps"] == 1_000_000_000 * (1 + row % 10)
    for name, columns in SUMS64.items():
        key = len(columns) * (device << 12 | row << 6) + sum(columns)
        ticks, scale = value[name] & ((1 << 34) - 1), len(columns) * (100 + row)
        right &= (value[name] >> 34 == key) & between(ticks, first * scale, last * scale)
    for name, nibble in COUNTERS32.items():
        right &= value[name] >> 8 == (device << 10 | row << 4 | nibble)
        right &= between(value[name] & 255, np.minimum(first // 100, 255), last // 100)
    return np.asarray(right)


def between(values: Numbers, low: Numbers, high: Numbers) -> npt.NDArray[np.bool_]:
    return np.asarray((values >= low) & (values <= high))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--interfaces", type=int, default=50)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="each is told; the first also finds the devices out")
    parser.add_argument("--v3", action="store_true")
    parser.add_argument("--timeout", type=float, default=2.0)
    parser.add_argument("--retries", type=int, default=3)
    parser.add_argument("--store", type=Path, required=True)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    access = {"timeout": options.timeout, "retries": options.retries}
    inventory = devices(options.devices, options.port, V3 if options.v3 else V2C, **access)
    limits = Limits(snmp_at_once=options.at_once)
    with (
        Poller(load_profiles(PROFILES), limits=limits, engine=FastEngine) as poller,
        open_delta(options.store) as store,
    ):
        rounds = [poll_and_store(poller, store, inventory, options.interfaces) for _ in range(options.rounds)]
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"rounds": [asdict(r) for r in rounds], "rss_mb": rss}) + "\n")


if __name__ == "__main__":
    main()
