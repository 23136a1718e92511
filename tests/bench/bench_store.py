"""Storing and reading beside DuckDB, SQLite and a real influxd; table on screen, figures in build/bench/store.json.

One workload: rounds of 40,000 interfaces x 8 counters (store_data.py). Ours through the public door, durable with each
round. The 30 days of the 5-minute tier that are read from are written six hours at a time, as thinning does, and
compacted by upkeep as any store is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench.bench_snmp import machine
from tests.bench.snmp_programs import LackingError, python_with
from tests.bench.store_data import FIELDS, PER_DEVICE, START, Site
from tests.store.influxd import running
from twin.store import Health, InfluxServer, Outbox, Store, open_delta, open_shipped, open_shipper
from twin.store.lines import to_lines
from twin.store.place import LocalPlace
from twin.vocab.blocks import Block, Column
from twin.vocab.buckets import rounded
from twin.vocab.inventory import Secret
from twin.vocab.schema import KINDS

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "build" / "bench" / "store.json"
HERE = Path(__file__).parent
TIER = "interface_5m"
TIER_FIELDS = tuple(f"{c}_{s}" for c in ("in_octets", "out_octets") for s in ("mean", "p95", "max", "count"))
Figures = dict[str, Any]
DEFINITIONS = {
    "ingest_values_per_s": "values of a round / median seconds of a write (synced to disk), but for the first third",
    "ratio_*": "median seconds of that peer's durable round / ours, the same rounds",
    "range_500x30d_s": "10 devices x 50 interfaces, 30 days of the 5-minute tier, 3 fields, into numpy: a fresh "
    "process from its first statement on, imports included; median; files in the page cache (cold: dropped before)",
    "range_500_random_s": "the same for 500 interfaces chosen at random",
    "latest_40k_s": "newest row of every interface, all fields, of that tier over 30 days; fresh process, as above",
    "latest_raw_s": "the same of the raw rounds just written; *_wall_s: with the interpreter's start and end",
    "bytes_per_value": "size of the data files / values stored, raw counters one a minute for a day, after compaction",
    "tier_bytes_per_value": "the same of the tier",
    "disk_per_day_gb": "40,000 interfaces x 8 counters: raw at one poll a minute; the tier as filled here (8 fields)",
    "round_500k_s": "500,000 interfaces x 15 values in one durable write",
    "write_p99_ms": "of writes of 4,000 interfaces while a shipper hangs on a server that never answers",
    "duckdb": "INSERT from numpy arrays, commit a round (its log is synced); sqlite: WAL, synchronous=FULL, series "
    "numbered; influx: influxd 1.6, line protocol as we make it, 5,000 lines a request",
}


def block_of(site: Site) -> Block:
    at, values = site.step()
    fields = {name: Column.full(values[name]) for name in FIELDS}
    return Block("interface", {"device": site.device, "interface": site.interface}, at, fields)


def timed(do: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process."""
    began, cpu = time.perf_counter(), time.process_time()
    do()
    return time.perf_counter() - began, time.process_time() - cpu


def ingest(folder: Path, interfaces: int, rounds: int) -> Figures:
    site, taken = Site(interfaces), []
    with open_delta(folder) as store:
        for _ in range(rounds):
            block = block_of(site)
            taken.append(timed(lambda block=block: store.write([block])))  # type: ignore[misc]
    steady = taken[rounds // 3 :]
    seconds = median(s for s, _ in steady)
    told = {"round_s": seconds, "round_cpu_s": median(c for _, c in steady), "slowest_round_s": max(steady)[0]}
    return told | {"ingest_values_per_s": interfaces * len(FIELDS) / seconds}


def fresh(question: str, folder: Path, kind: str, *words: str, times: int) -> Figures:
    """Medians over fresh processes."""
    told = []
    for _ in range(times):
        command = [sys.executable, str(HERE / "store_reads.py"), question, str(folder), kind, *words]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=_path())
        told.append(json.loads(done.stdout) | {"wall_s": time.perf_counter() - began})
    return {name: median(t[name] for t in told) for name in told[0]}


def _path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def cold() -> bool:
    """Empty the machine's page cache, where one may."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def fill_tier(folder: Path, interfaces: int, days: int, progress: Progress) -> Figures:
    """30 days of the tier, six hours a write, merged by upkeep after each day."""
    site, task = Site(interfaces), progress.add_task(f"filling {days} days", total=days)
    began = time.process_time()
    wrote = maintained = 0.0
    with open_delta(folder) as store:
        for day in range(days):
            for quarter in range(4):
                block = tier_block(site, day * 288 + quarter * 72, 72)
                wrote += timed(lambda block=block: store.write([block]))[0]  # type: ignore[misc]
            maintained += timed(lambda day=day: upkeep(store, day + 2))[0]  # type: ignore[misc]
            progress.advance(task)
        size = sized(store.health(), TIER)
    values = interfaces * days * 288 * len(TIER_FIELDS)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {
        "tier_fill_write_s": wrote,
        "tier_fill_upkeep_s": maintained,
        "tier_fill_cpu_s": time.process_time() - began,
    }
    return told | {"tier_bytes_per_value": size / values, "tier_day_gb": size / days / 1e9, "tier_fill_rss_mb": rss}


def upkeep(store: Store, day: int) -> None:
    store.maintain((START + np.timedelta64(day, "D")).item().replace(tzinfo=UTC))


def sized(health: Health, kind: str) -> int:
    return next(k.size_bytes or 0 for k in health.kinds if k.kind == kind)


def tier_block(site: Site, first: int, buckets: int) -> Block:
    """Rows sorted by interface, then time; the greatest of a bucket is its 95th percentile at one poll a minute."""
    at = START + (first + np.arange(buckets)) * np.timedelta64(300, "s")
    columns: dict[str, Column] = {}
    for counter in ("in_octets", "out_octets"):
        mean = rounded(site.means(buckets).ravel())
        most = rounded(mean * 1.17)
        count = np.full(len(mean), 5, dtype=np.int64)
        for statistic, values in (("mean", mean), ("p95", most), ("max", most), ("count", count)):
            columns[f"{counter}_{statistic}"] = Column.full(values)
    keys = {"device": np.repeat(site.device, buckets), "interface": np.repeat(site.interface, buckets)}
    return Block(TIER, keys, np.tile(at, site.interfaces), columns)


def compacted(folder: Path, interfaces: int) -> Figures:
    """A day of raw rounds, one a minute, written by the hour and merged."""
    site = Site(interfaces)
    with open_delta(folder) as store:
        for _ in range(24):
            store.write([block_of(site) for _ in range(60)])
        before = sized(store.health(), "interface")
        seconds, cpu = timed(lambda: upkeep(store, 3))
        size = sized(store.health(), "interface")
    values = 24 * 60 * interfaces * len(FIELDS)
    day = size / values * 40_000 * 1440 * len(FIELDS) / 1e9
    return {
        "bytes_per_value": size / values,
        "bytes_per_value_before": before / values,
        "compaction_cpu_s_per_million": 1e6 * cpu / values,
        "compaction_s": seconds,
        "disk_per_day_gb": day,
    }


def one_big_round(folder: Path, interfaces: int) -> Figures:
    """All 15 fields of an interface; the second round, so that the table is there."""
    site, rng = Site(interfaces), np.random.default_rng(1)
    others = [name for name in KINDS["interface"].fields if name not in FIELDS]
    with open_delta(folder) as store:
        for _ in range(2):
            block = block_of(site)
            more = {name: Column.full(rng.integers(0, 2**31, interfaces)) for name in others}
            full = Block(block.kind, block.keys, block.at, {**block.fields, **more})
            seconds, cpu = timed(lambda full=full: store.write([full]))  # type: ignore[misc]
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"round_500k_s": seconds, "round_500k_cpu_s": cpu, "rss_mb": rss}


@contextmanager
def hanging() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def while_a_remote_hangs(folder: Path, writes: int) -> Figures:
    site, taken, stop = Site(4000), [], threading.Event()
    with hanging() as url, open_delta(folder) as local:
        server = InfluxServer(url, "nettwin", Secret("u:p"), "-", timedelta(seconds=30))
        outbox = Outbox(LocalPlace(folder), folder.with_name("shipping"), "influxdb")
        with open_shipped(local, outbox, server, quota=10**10, read_there=False) as store:
            shipper = open_shipper(outbox, server, dead_letter_bytes=10**8)
            shipping = threading.Thread(target=shipper.run, args=(stop,), daemon=True)
            shipping.start()
            for _ in range(writes):
                block = block_of(site)
                taken.append(timed(lambda block=block: store.write([block]))[0])  # type: ignore[misc]
            stop.set()
    ms = 1000 * np.array(taken)
    return {"write_p50_ms": float(np.quantile(ms, 0.5)), "write_p99_ms": float(np.quantile(ms, 0.99))}


def peer(name: str, folder: Path, interfaces: int, rounds: int) -> Figures:
    python = python_with("duckdb") if name == "duckdb" else Path(sys.executable)
    if name == "duckdb":
        python = python_with("numpy")
    command = [str(python), str(HERE / "store_peers.py"), name, str(folder / name), str(interfaces), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise LackingError(f"{name}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}")
    told: Figures = json.loads(done.stdout)
    return told


def influx(interfaces: int, rounds: int) -> Figures:
    """Lines as we make them, over HTTP, 5,000 a request; each answered once the server's log is synced."""
    import urllib3

    site, taken = Site(interfaces), []
    with running() as (url, token, _):
        pool = urllib3.PoolManager()
        headers = {"Authorization": f"Token {token}"}
        pool.request("POST", f"{url}/query", fields={"q": "CREATE DATABASE b"}, headers=headers)
        for _ in range(rounds):
            block = block_of(site)

            def write(block: Block = block) -> None:
                lines = to_lines(block)
                for low in range(0, len(lines), 5000):
                    body = "\n".join(lines[low : low + 5000]).encode()
                    done = pool.request("POST", f"{url}/write?db=b&precision=u", body=body, headers=headers)
                    if done.status != 204:
                        raise LackingError(f"influxd: {done.status} {done.data[:200]!r}")

            taken.append(timed(write)[0])
    return {"round_s": median(taken), "version": "influxd 1.6 (Debian)"}


def peers(folder: Path, options: argparse.Namespace, ours: float) -> Figures:
    told: Figures = {"lacking": {}, "peers": {}}
    few = max(2, options.rounds // 10)
    asks: dict[str, Callable[[], Figures]] = {
        "duckdb": lambda: peer("duckdb", folder, options.interfaces, options.rounds),
        "sqlite": lambda: peer("sqlite", folder, options.interfaces, options.rounds),
        "influx": lambda: influx(options.interfaces, few),
    }
    for name, ask in asks.items():
        try:
            told["peers"][name] = ask()
            told[f"ratio_{name}"] = told["peers"][name]["round_s"] / ours
        except (LackingError, FileNotFoundError) as problem:
            told["lacking"][name] = str(problem)
    return told


def reads(folder: Path, raw: Path, options: argparse.Namespace) -> Figures:
    devices = [
        f"router-{n:04}" for n in np.random.default_rng(2).choice(options.interfaces // PER_DEVICE, 10, replace=False)
    ]
    told: Figures = {"latest_40k_first_s": fresh("latest", folder, TIER, times=1)["seconds"]}
    asks: list[tuple[str, str, Path, str, list[str]]] = [
        ("latest_40k", "latest", folder, TIER, []),
        ("latest_raw", "latest", raw, "interface", []),
        ("range_500x30d", "range", folder, TIER, devices),
        ("range_500_random", "random", folder, TIER, ["500"]),
    ]
    for name, question, where, kind, words in asks:
        if cold():
            told[f"{name}_cold_s"] = fresh(question, where, kind, *words, times=1)["seconds"]
        found = fresh(question, where, kind, *words, times=3 if question == "random" else 7)
        told |= {f"{name}_s": found["seconds"]} | {
            f"{name}_{k}": found[k] for k in ("after_imports_s", "wall_s", "rows", "rss_mb")
        }
    return told


def show(told: Figures) -> None:
    goals = {
        "ingest_values_per_s": (">=", 1e6),
        "range_500x30d_s": ("<=", 2.0),
        "latest_40k_s": ("<=", 0.2),
        "bytes_per_value": ("<=", 4.0),
        "round_500k_s": ("<=", 30.0),
    }
    table = Table("figure", "value", "goal", "")
    for name, value in told.items():
        if isinstance(value, (int, float)):
            sign, goal = goals.get(name, ("", 0.0))
            met = "" if not sign else "met" if (value >= goal if sign == ">=" else value <= goal) else "falls short"
            table.add_row(name, f"{value:,.4g}", f"{sign} {goal:g}" if sign else "", met)
    Console().print(table, told.get("lacking", {}), told["machine"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interfaces", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--day-interfaces", type=int, default=2_000, help="of the day of raw rounds that is compacted")
    parser.add_argument("--big", type=int, default=500_000, help="interfaces of the one big round")
    parser.add_argument("--keep", type=Path, help="leave the stores in this folder")
    options = parser.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    folder = options.keep or Path(tempfile.mkdtemp(dir=ROOT / "build", prefix="store-"))
    told: Figures = {"machine": machine(), "interfaces": options.interfaces, "days": options.days}
    try:
        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task("store benchmark", total=6)
            steps: list[Callable[[], Figures]] = [
                lambda: ingest(folder / "raw", options.interfaces, options.rounds),
                lambda: peers(folder, options, told["round_s"]),
                lambda: one_big_round(folder / "big", options.big),
                lambda: compacted(folder / "day", options.day_interfaces),
                lambda: while_a_remote_hangs(folder / "hanging" / "store", 100),
                lambda: fill_tier(folder / "tier", options.interfaces, options.days, progress),
            ]
            for step in steps:
                told |= step()
                progress.advance(task)
        told |= reads(folder / "tier", folder / "raw", options)
    finally:
        write(told)
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def write(told: Figures) -> None:
    told["machine"]["load_after"] = os.getloadavg()
    told["measured"] = datetime.now(UTC).isoformat(timespec="seconds")
    told["definitions"] = DEFINITIONS
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    show(told)


if __name__ == "__main__":
    main()
