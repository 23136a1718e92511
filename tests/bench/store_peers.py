"""The same rounds into a peer's own file, durable with each round, and the same questions; prints what it took as JSON.

store_peers.py rounds duckdb|sqlite FILE INTERFACES ROUNDS     needs numpy, and duckdb for duckdb
store_peers.py day duckdb|sqlite FILE INTERFACES               one day of the 5-minute tier, loaded at once
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.store_data import ASKED, FIELDS, PER_DEVICE, TIER_FIELDS, Site, tier_values

AT_ONCE = 24
"""Buckets of the tier that are loaded at once."""
CHOSEN = 10
"""Devices side by side whose day is asked for."""


class Peer(Protocol):
    version: str

    def write(self, site: Site, at: Any, values: dict[str, Any]) -> None: ...
    def latest(self) -> int: ...
    def span(self, first: int, last: int) -> int:
        """``ASKED`` of the series first <= s < last, into numpy; how many rows."""
        ...

    def close(self) -> None: ...


class DuckDb:
    """A plain DuckDB file, one INSERT from numpy arrays a round; its log is synced at each commit."""

    def __init__(self, path: str, fields: tuple[str, ...], kind: str) -> None:
        import duckdb

        self.version, self._fields = duckdb.__version__, fields
        self._db = duckdb.connect(path)
        columns = ", ".join(f"{name} {kind}" for name in fields)
        self._db.execute(f"CREATE TABLE interface (device VARCHAR, interface VARCHAR, read_at TIMESTAMP, {columns})")

    def write(self, site: Site, at: Any, values: dict[str, Any]) -> None:
        repeated = len(at) // site.interfaces
        keys = {"device": site.device, "interface": site.interface}
        batch = {name: np.repeat(texts, repeated) for name, texts in keys.items()} | {"read_at": at, **values}
        self._db.register("batch", batch)
        self._db.execute(f"INSERT INTO interface SELECT device, interface, read_at, {', '.join(values)} FROM batch")
        self._db.unregister("batch")

    def latest(self) -> int:
        fields = ", ".join(f"arg_max({name}, read_at)" for name in self._fields)
        asked = f"SELECT device, interface, max(read_at), {fields} FROM interface GROUP BY ALL"
        return len(next(iter(self._db.execute(asked).fetchnumpy().values())))

    def span(self, first: int, last: int) -> int:
        devices = [f"router-{d:04}" for d in range(first // PER_DEVICE, last // PER_DEVICE)]
        marks = ", ".join("?" * len(devices))
        asked = f"SELECT device, interface, read_at, {', '.join(ASKED)} FROM interface WHERE device IN ({marks})"
        found = self._db.execute(f"{asked} ORDER BY device, interface, read_at", devices).fetchnumpy()
        return len(found["read_at"])

    def close(self) -> None:
        self._db.execute("CHECKPOINT")
        self._db.close()


class Sqlite:
    """SQLite with WAL and synchronous=FULL, series numbered, primary key (series, at), one transaction a round."""

    def __init__(self, path: str, fields: tuple[str, ...], kind: str) -> None:
        self.version, self._fields = sqlite3.sqlite_version, fields
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        columns = ", ".join(f"{name} {'INTEGER' if kind == 'BIGINT' else 'REAL'}" for name in fields)
        key = "PRIMARY KEY (series, at)) WITHOUT ROWID"
        self._db.execute(f"CREATE TABLE interface (series INTEGER, at INTEGER, {columns}, {key}")

    def write(self, site: Site, at: Any, values: dict[str, Any]) -> None:
        series = np.repeat(np.arange(site.interfaces), len(at) // site.interfaces).tolist()
        columns = [series, at.astype(np.int64).tolist(), *(column.tolist() for column in values.values())]
        marks = ", ".join("?" * (2 + len(self._fields)))
        with self._db:
            self._db.executemany(f"INSERT INTO interface VALUES ({marks})", zip(*columns, strict=True))

    def latest(self) -> int:
        asked = f"SELECT series, max(at), {', '.join(self._fields)} FROM interface GROUP BY series"
        return len(self._db.execute(asked).fetchall())

    def span(self, first: int, last: int) -> int:
        asked = f"SELECT series, at, {', '.join(ASKED)} FROM interface WHERE series >= ? AND series < ?"
        return len(np.array(self._db.execute(asked, (first, last)).fetchall()))

    def close(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()


PEERS: dict[str, Callable[..., Peer]] = {"duckdb": DuckDb, "sqlite": Sqlite}


def timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def rounds(peer: str, path: str, interfaces: int, count: int) -> dict[str, Any]:
    there, site = PEERS[peer](path, FIELDS, "BIGINT"), Site(interfaces)
    seconds = []
    for _ in range(count):
        at, values = site.step()
        seconds.append(timed(lambda at=at, values=values: there.write(site, at, values)))  # type: ignore[misc]
    latest_s = timed(there.latest)
    there.close()
    return {
        "round_s": median(seconds[count // 3 :]),
        "slowest_round_s": max(seconds[count // 3 :]),
        "latest_s": latest_s,
        "bytes_per_value": Path(path).stat().st_size / (count * interfaces * len(FIELDS)),
        "version": there.version,
    }


def day(peer: str, path: str, interfaces: int) -> dict[str, Any]:
    there, site = PEERS[peer](path, TIER_FIELDS, "DOUBLE"), Site(interfaces)
    load_s = 0.0
    for first in range(0, 288, AT_ONCE):
        at, values = tier_values(site, first, AT_ONCE)
        load_s += timed(lambda at=at, values=values: there.write(site, at, values))  # type: ignore[misc]
    first = interfaces // PER_DEVICE // 2 * PER_DEVICE
    span = (first, min(first + CHOSEN * PER_DEVICE, interfaces))
    found = {"day_range_s": median(timed(lambda: there.span(*span)) for _ in range(3))}
    found |= {"day_latest_s": median(timed(there.latest) for _ in range(3)), "day_load_s": load_s}
    there.close()
    size = Path(path).stat().st_size
    return found | {"day_bytes_per_value": size / (interfaces * 288 * len(TIER_FIELDS))}


def main() -> None:
    part, peer, path, *numbers = sys.argv[1:]
    told = rounds(peer, path, *map(int, numbers)) if part == "rounds" else day(peer, path, int(numbers[0]))
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
