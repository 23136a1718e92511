"""A million hostile datagrams at the decoder and 50,000 at a live engine. Figures: build/soak/snmp_fuzz.json."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import time
import tracemalloc
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.collectors.flood import flooded
from tests.collectors.fuzzed import DOORS

pytestmark = pytest.mark.soak
REPORT = Path(__file__).parents[2] / "build" / "soak" / "snmp_fuzz.json"
SEED, DATAGRAMS, LIVE = 20261126, 1_000_000, 50_000
LONGEST, MOST_MB = 0.5, 16.0  # seconds that one datagram may take; memory that may stay behind


def resident_mb() -> float:
    """The process's memory now, not its peak."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def report(name: str, figures: dict[str, Any]) -> None:
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    told = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    REPORT.write_text(json.dumps(told | {name: {"seed": SEED, **figures}}, indent=1) + "\n")


@pytest.mark.parametrize("name", DOORS)
def test_a_million_hostile_datagrams_in_all(name: str) -> None:
    door, count = DOORS[name], DATAGRAMS // len(DOORS)
    door.through(SEED, count // 10)  # fills the codec's caches
    gc.collect()
    before, began = resident_mb(), time.process_time()
    told = door.through(SEED + 1, count)
    gc.collect()
    figures: dict[str, Any] = {
        "datagrams": count,
        "outcomes": dict(told.outcomes),
        "crashed": told.crashed,
        "slowest_s": round(told.slowest_s, 4),
        "cpu_s": round(time.process_time() - began, 1),
        "resident_mb_grown": round(resident_mb() - before, 2),
    }
    report(name, figures)
    assert told.crashed == []
    assert told.outcomes.total() == count
    assert told.slowest_s < LONGEST
    assert figures["resident_mb_grown"] < MOST_MB


@pytest.mark.parametrize("name", ["v1", "v2c", "v3, signed"])
def test_a_live_engine_reads_the_truth_amid_hostile_datagrams(name: str) -> None:
    tracemalloc.start()
    asyncio.run(flooded(DOORS[name].hostile(SEED), 1000))
    gc.collect()
    before, began = tracemalloc.get_traced_memory()[0], time.monotonic()
    told = asyncio.run(flooded(DOORS[name].hostile(SEED + 1), LIVE))
    gc.collect()
    kept = (tracemalloc.get_traced_memory()[0] - before) / 2**20
    tracemalloc.stop()
    seconds = round(time.monotonic() - began, 1)
    report(f"live, {name}", {**asdict(told), "seconds": seconds, "traced_mb_kept": round(kept, 2)})
    assert told.wrong == 0
    assert kept < MOST_MB
