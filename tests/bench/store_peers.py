"""The same rounds into a peer's own file, durable with each round; prints what it took as JSON.

store_peers.py duckdb|sqlite FILE INTERFACES ROUNDS        needs numpy, and duckdb for duckdb
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.store_data import FIELDS, Site

COLUMNS = ["device", "interface", "read_at", *FIELDS]


def duckdb_file(path: str) -> tuple[Callable[..., None], Callable[[], int], Callable[[], None], str]:
    """A plain DuckDB file, one INSERT from numpy arrays a round; its log is synced at each commit."""
    import duckdb

    db = duckdb.connect(path)
    fields = ", ".join(f"{name} BIGINT" for name in FIELDS)
    db.execute(f"CREATE TABLE interface (device VARCHAR, interface VARCHAR, read_at TIMESTAMP, {fields})")

    def write(site: Site, at: Any, values: dict[str, Any]) -> None:
        batch = {"device": site.device, "interface": site.interface, "read_at": at, **values}
        db.register("batch", batch)
        db.execute(f"INSERT INTO interface SELECT {', '.join(COLUMNS)} FROM batch")
        db.unregister("batch")

    def latest() -> int:
        fields = ", ".join(f"arg_max({name}, read_at)" for name in FIELDS)
        return len(
            db.execute(f"SELECT device, interface, max(read_at), {fields} FROM interface GROUP BY ALL").fetchnumpy()
        )

    def close() -> None:
        db.execute("CHECKPOINT")
        db.close()

    return write, latest, close, duckdb.__version__


def sqlite_file(path: str) -> tuple[Callable[..., None], Callable[[], int], Callable[[], None], str]:
    """SQLite with WAL and synchronous=FULL, series numbered, primary key (series, at), one transaction a round."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    fields = ", ".join(f"{name} INTEGER" for name in FIELDS)
    db.execute(f"CREATE TABLE interface (series INTEGER, at INTEGER, {fields}, PRIMARY KEY (series, at)) WITHOUT ROWID")
    marks = ", ".join("?" * (2 + len(FIELDS)))

    def write(site: Site, at: Any, values: dict[str, Any]) -> None:
        columns = [range(site.interfaces), at.astype(np.int64).tolist(), *(values[name].tolist() for name in FIELDS)]
        with db:
            db.executemany(f"INSERT INTO interface VALUES ({marks})", zip(*columns, strict=True))

    def latest() -> int:
        rows = db.execute(f"SELECT series, max(at), {', '.join(FIELDS)} FROM interface GROUP BY series").fetchall()
        return len(rows)

    def close() -> None:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()

    return write, latest, close, sqlite3.sqlite_version


def main() -> None:
    peer, path, interfaces, rounds = sys.argv[1:]
    write, latest, close, version = {"duckdb": duckdb_file, "sqlite": sqlite_file}[peer](path)
    site = Site(int(interfaces))
    seconds = []
    for _ in range(int(rounds)):
        at, values = site.step()
        began, cpu = time.perf_counter(), time.process_time()
        write(site, at, values)
        seconds.append((time.perf_counter() - began, time.process_time() - cpu))
    began = time.perf_counter()
    latest()
    asked = time.perf_counter() - began
    close()
    steady = seconds[len(seconds) // 3 :]
    told = {
        "round_s": median(s for s, _ in steady),
        "round_cpu_s": median(c for _, c in steady),
        "last_rounds_s": [s for s, _ in seconds[-3:]],
        "latest_s": asked,
        "bytes_per_value": Path(path).stat().st_size / (int(rounds) * int(interfaces) * len(FIELDS)),
        "version": version,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
