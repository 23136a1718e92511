"""Storing and reading beside DuckDB, SQLite and a real influxd; table on screen, figures in build/bench/store.json.

One workload: rounds of 40,000 interfaces x 8 counters (store_data.py). Ours through the public door, durable with each
round. The 30 days of the 5-minute tier that are read from are written six hours at a time, as thinning does, and
compacted by upkeep as any store is.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import structlog
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench.bench_snmp import machine
from tests.bench.snmp_programs import LackingError, python_with
from tests.bench.store_data import ASKED, FIELDS, PER_DEVICE, START, TIER_FIELDS, Site, tier_values
from tests.bench.store_reads import peak_mb
from tests.store.influxd import Influxd, started
from twin.store import Health, InfluxServer, Outbox, Store, open_delta, open_shipped, open_shipper
from twin.store.influx import InfluxReader
from twin.store.influx_connection import InfluxConnection
from twin.store.influx_setup import set_up
from twin.store.lines import to_lines
from twin.store.place import LocalPlace
from twin.store.thinning import Thinning
from twin.store.triage import Accepted
from twin.vocab.blocks import Block, Column
from twin.vocab.inventory import Secret
from twin.vocab.schema import KINDS

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "build" / "bench" / "store.json"
HERE = Path(__file__).parent
TIER = "interface_5m"
SPAWN = multiprocessing.get_context("spawn")
Figures = dict[str, Any]
DEFINITIONS = {
    "ingest_values_per_s": "values of a round / median seconds of a write (synced to disk), but for the first third",
    "ratio_*": "median seconds of that peer's durable round / ours, the same rounds, by turns; influx: a tenth of "
    "them, once",
    "range_500x30d_s": "10 devices x 50 interfaces, 30 days of the 5-minute tier, 3 fields, into numpy: a fresh "
    "process from its first statement on, imports included; median; files in the page cache (cold: dropped before)",
    "range_500_random_s": "the same for 500 interfaces chosen at random",
    "latest_40k_s": "newest row of every interface, all fields, of that tier over 30 days; fresh process, as above",
    "latest_raw_s": "the same of the raw rounds just written; *_wall_s: with the interpreter's start and end",
    "bytes_per_value": "size of the data files / values stored, raw counters one a minute for a day, after compaction",
    "tier_bytes_per_value": "the same of the tier",
    "disk_per_day*_gb": "40,000 interfaces x 8 counters at one poll a minute (scaled from --day-interfaces): raw, and "
    "all that each tier keeps of them",
    "compaction_cpu_s_per_million": "CPU s of merging a million values, of raw rows and both tiers",
    "thinning_cpu_s_per_million": "CPU s of thinning a million raw values to both tiers",
    "day": "one day of the tier, 8 fields, 40,000 interfaces, asked of an open store: 10 devices' range, all latest",
    "*_rss_mb": "the most memory of the process that did that step",
    "round_500k_s": "500,000 interfaces x 15 values in one durable write",
    "write_p99_ms": "of writes of 4,000 interfaces while a shipper hangs on a server that never answers",
    "duckdb": "INSERT from numpy arrays, commit a round (its log is synced); sqlite: WAL, synchronous=FULL, series "
    "numbered; influx: influxd 1.6, line protocol as we make it, 5,000 lines a request",
}


def block_of(site: Site) -> Block:
    at, values = site.step()
    fields = {name: Column.full(values[name]) for name in FIELDS}
    return Block("interface", {"device": site.device, "interface": site.interface}, at, fields)


def apart(step: Callable[..., Figures], *words: Any, tell: Callable[[float], None] = lambda _: None) -> Figures:
    """What a step tells, done in a process of its own, and the most memory it took.

    Args:
        tell: called with the share done by steps that take ``tell``.

    Raises:
        RuntimeError: it failed; with what it last said.
    """
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_told_by, args=(sender, step, words))
    process.start()
    sender.close()
    try:
        while isinstance(told := receiver.recv(), float):
            tell(told)
    except EOFError:
        told = {"failed": f"{step.__name__} ended without an answer"}
    finally:
        process.join()
    if "failed" in told:
        raise RuntimeError(told["failed"])
    figures: Figures = told
    return figures


def _told_by(sender: Connection, step: Callable[..., Figures], words: Sequence[Any]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    telling = {"tell": sender.send} if "tell" in step.__annotations__ else {}
    try:
        sender.send(step(*words, **telling) | {f"{step.__name__}_rss_mb": peak_mb()})
    except Exception as problem:  # noqa: BLE001 - told to whoever waits
        sender.send({"failed": f"{step.__name__}: {type(problem).__name__}: {problem}"})


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
    return told | {"values": interfaces * len(FIELDS)}


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
    """Fresh processes find byte code, as those of an installed package do."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(RESULT.parent / "bytecode")}


def cold() -> bool:
    """Empty the machine's page cache, where one may."""
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def fill_tier(folder: Path, interfaces: int, days: int, *, tell: Callable[[float], None]) -> Figures:
    """Days of the tier, six hours a write, merged by upkeep after each day."""
    site, began = Site(interfaces), time.process_time()
    wrote = maintained = 0.0
    with open_delta(folder) as store:
        for day in range(days):
            for quarter in range(4):
                block = tier_block(site, day * 288 + quarter * 72, 72)
                wrote += timed(lambda block=block: store.write([block]))[0]  # type: ignore[misc]
            maintained += timed(lambda day=day: upkeep(store, day + 2))[0]  # type: ignore[misc]
            tell((day + 1) / days)
        size = sized(store.health(), TIER)
    values = interfaces * days * 288 * len(TIER_FIELDS)
    told = {
        "tier_fill_write_s": wrote,
        "tier_fill_upkeep_s": maintained,
        "tier_fill_cpu_s": time.process_time() - began,
    }
    return told | {"tier_bytes_per_value": size / values, "tier_day_gb": size / days / 1e9}


def upkeep(store: Store, day: int) -> None:
    store.maintain((START + np.timedelta64(day, "D")).item().replace(tzinfo=UTC))


def sized(health: Health, kind: str) -> int:
    return next(k.size_bytes or 0 for k in health.kinds if k.kind == kind)


def tier_block(site: Site, first: int, buckets: int) -> Block:
    """Rows sorted by interface, then time."""
    at, values = tier_values(site, first, buckets)
    keys = {"device": np.repeat(site.device, buckets), "interface": np.repeat(site.interface, buckets)}
    return Block(TIER, keys, at, {name: Column.full(column) for name, column in values.items()})


def compacted(folder: Path, interfaces: int) -> Figures:
    """A day of raw rounds, one a minute, written by the hour; thinned, then merged."""
    site, day_after = Site(interfaces), (START + np.timedelta64(3, "D")).item().replace(tzinfo=UTC)
    with open_delta(folder) as store:
        for _ in range(24):
            store.write([block_of(site) for _ in range(60)])
        before = sized(store.health(), "interface")
        _, thin_cpu = timed(lambda: Thinning(store, LocalPlace(folder))("interface", day_after))
        seconds, cpu = timed(lambda: upkeep(store, 3))
        health = store.health()
    values = 24 * 60 * interfaces * len(FIELDS)
    told = {
        "bytes_per_value": sized(health, "interface") / values,
        "bytes_per_value_before": before / values,
        "thinning_cpu_s_per_million": 1e6 * thin_cpu / values,
        "compaction_cpu_s_per_million": 1e6 * cpu / (values + tier_values_stored(health)),
        "compaction_s": seconds,
    }
    days = {"": "interface", "_5m": "interface_5m", "_1h": "interface_1h"}
    scale = 40_000 / interfaces / 1e9
    return told | {f"disk_per_day{tier}_gb": sized(health, kind) * scale for tier, kind in days.items()}


def tier_values_stored(health: Health) -> int:
    """Fields that a tier keeps of 8 counters, in all rows of both."""
    return sum(k.rows * 6 * len(FIELDS) for k in health.kinds if KINDS[k.kind].tier)


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
    return {"round_500k_s": seconds, "round_500k_cpu_s": cpu}


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


def peer(name: str, *words: object) -> Figures:
    python = Path(sys.executable)
    if name == "duckdb":
        python_with("duckdb")
        python = python_with("numpy")
    part, *rest = words
    command = [str(python), str(HERE / "store_peers.py"), str(part), name, *map(str, rest)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise LackingError(f"{name}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}")
    told: Figures = json.loads(done.stdout)
    return told


def influx(folder: Path, interfaces: int, rounds: int) -> Figures:
    """Lines as we make them, over HTTP, 5,000 a request; each answered once the server's log is synced."""
    site, taken = Site(interfaces), []
    folder.mkdir()
    with started(folder) as (_, url, _):
        server = InfluxServer(url, "bench", Secret(Influxd.token), timeout=timedelta(minutes=10))
        set_up(server, {})
        connection = InfluxConnection(server)

        def write(block: Block) -> None:
            lines = to_lines(block)
            for low in range(0, len(lines), 5000):
                answer = connection.write("bench", lines[low : low + 5000])
                if not isinstance(answer, Accepted):
                    raise LackingError(f"influxd: {answer}")

        for _ in range(rounds):
            block = block_of(site)
            taken.append(timed(lambda block=block: write(block))[0])  # type: ignore[misc]
        reader = InfluxReader(connection, "bench")
        chosen = {"device": sorted(set(site.device[: 10 * PER_DEVICE]))}
        span = (START, START + np.timedelta64(1, "D"))
        told = {"range_s": timed(lambda: reader.range("interface", chosen, *span, list(FIELDS[:3])))[0]}
        told |= {"latest_s": timed(lambda: reader.latest("interface", None, list(FIELDS)))[0]}
    size = sum(f.stat().st_size for part in ("data", "wal") for f in (folder / part).rglob("*") if f.is_file())
    told |= {"round_s": median(taken), "slowest_round_s": max(taken), "rounds": rounds}
    return told | {"bytes_per_value_before": size / (rounds * interfaces * len(FIELDS)), "version": "1.6 (Debian)"}


def side_by_side(folder: Path, options: argparse.Namespace) -> Figures:
    """The same rounds into each, turn by turn; medians over the runs, and the least and most of them."""
    lacking: dict[str, str] = {}
    runs: dict[str, list[Figures]] = {}
    few = max(2, options.rounds // 10)
    size = (options.interfaces, options.rounds)
    for run in range(options.runs):
        asks: dict[str, Callable[[], Figures]] = {
            "ours": partial(apart, ingest, folder / f"raw{run}", *size),
            "duckdb": partial(peer, "duckdb", "rounds", folder / f"duckdb{run}", *size),
            "sqlite": partial(peer, "sqlite", "rounds", folder / f"sqlite{run}", *size),
        }
        if run == 0:
            asks["influx"] = partial(influx, folder / "influxd", options.interfaces, few)
        for name, ask in asks.items():
            try:
                runs.setdefault(name, []).append(ask())
            except (LackingError, FileNotFoundError) as problem:
                lacking[name] = str(problem)
    seconds = {name: [r["round_s"] for r in found] for name, found in runs.items()}
    ours = median(seconds["ours"])
    told: Figures = {
        "ingest_values_per_s": runs["ours"][0]["values"] / ours,
        "ingest_cpu_s_per_million": 1e6 * median(r["round_cpu_s"] for r in runs["ours"]) / runs["ours"][0]["values"],
        "ingest_rss_mb": max(r["ingest_rss_mb"] for r in runs["ours"]),
        "round_s": ours,
    }
    told |= {f"ratio_{name}": median(s) / ours for name, s in seconds.items() if name != "ours"}
    spread = {name: [min(s), max(s)] for name, s in seconds.items()}
    return told | {"round_s_least_and_most": spread, "runs": runs, "lacking": lacking}


def a_day_of_the_tier(folder: Path, options: argparse.Namespace) -> Figures:
    """One day of the 5-minute tier in each: the range of 10 devices, the latest of all; asked of an open store."""
    told: Figures = {"day": {"ours": apart(our_day, folder / "day-ours", options.interfaces)}}
    for name in ("duckdb", "sqlite"):
        try:
            told["day"][name] = peer(name, "day", folder / f"day-{name}", options.interfaces)
        except LackingError as problem:
            told["day"][name] = {"lacking": str(problem)}
    return told


def our_day(folder: Path, interfaces: int) -> Figures:
    site, load = Site(interfaces), 0.0
    first = interfaces // PER_DEVICE // 2
    chosen = {"device": [f"router-{d:04}" for d in range(first, first + 10)]}
    span = (START, START + np.timedelta64(1, "D"))
    with open_delta(folder) as store:
        for quarter in range(4):
            block = tier_block(site, 72 * quarter, 72)
            load += timed(lambda block=block: store.write([block]))[0]  # type: ignore[misc]
        upkeep(store, 3)
        size = sized(store.health(), TIER)
        ranges = [timed(lambda: store.range(TIER, chosen, *span, list(ASKED)))[0] for _ in range(3)]
        newest = [timed(lambda: store.latest(TIER, None, list(TIER_FIELDS)))[0] for _ in range(3)]
    told = {"day_range_s": median(ranges), "day_latest_s": median(newest), "day_load_s": load}
    return told | {"day_bytes_per_value": size / (interfaces * 288 * len(TIER_FIELDS))}


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
        found = fresh(question, where, kind, *words, times=1 if question == "random" else 7)
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
    parser.add_argument("--runs", type=int, default=3, help="of the rounds, ours and peers' by turns")
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
            whole = progress.add_task("store benchmark", total=7)
            filling = progress.add_task(f"filling {options.days} days", total=1.0)
            steps: list[Callable[[], Figures]] = [
                lambda: side_by_side(folder, options),
                lambda: apart(one_big_round, folder / "big", options.big),
                lambda: apart(compacted, folder / "day", options.day_interfaces),
                lambda: apart(while_a_remote_hangs, folder / "hanging" / "store", 100),
                lambda: a_day_of_the_tier(folder, options),
                lambda: apart(
                    fill_tier,
                    folder / "tier",
                    options.interfaces,
                    options.days,
                    tell=lambda share: progress.update(filling, completed=share),
                ),
                lambda: reads(folder / "tier", folder / "raw0", options),
            ]
            for step in steps:
                told |= step()
                progress.advance(whole)
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
