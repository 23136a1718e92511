"""Makes or checks what a server must have before samples can be shipped there: databases (2.x: buckets) with their
retention, in 2.x also the mapping by which InfluxQL finds a bucket.

1.x is tested with a real server. What 2.x and 3.x are asked follows their documentation; no such server was there to
try it with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from twin.store.influx_connection import InfluxConnection, RefusedError
from twin.store.protocols import StoreError
from twin.store.server import InfluxServer
from twin.vocab.errors import UsageError
from twin.vocab.schema import TIERS

RETENTION_POLICY = "autogen"
_SHORTEST = timedelta(hours=1)
_UNITS = {"h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class DatabaseSetup:
    """One database: whether it was made now, how long it keeps what is in it (None: for ever), and what is to be
    mended by hand ("" if nothing)."""

    name: str
    made: bool
    retention: timedelta | None
    to_mend: str = ""


@dataclass(frozen=True)
class ServerSetup:
    """A server that samples can be shipped to, if nothing is to be mended."""

    version: str
    databases: tuple[DatabaseSetup, ...]


def set_up(server: InfluxServer, retention: Mapping[str, timedelta | None]) -> ServerSetup:
    """Make what is missing of the raw database and of those of the tiers. What is there is only checked.

    Args:
        retention: by tier ("" = raw, "5m", "1h"): how long a database keeps its points; None or not named: for ever.

    Raises:
        UsageError: the address is none, the organisation is not known, or a retention is too short.
        StoreError: the server can't be reached, is no InfluxDB, or refuses; the message says what to do.
    """
    wanted = {server.database: retention.get("")}
    wanted |= {f"{server.database}_{tier}": retention.get(tier) for tier in TIERS}
    for name, length in wanted.items():
        if length is not None and length < _SHORTEST:
            raise UsageError(f"{name}: InfluxDB keeps points for an hour at least, not {length}")
    with closing(InfluxConnection(server)) as connection:
        version = server_version(connection)
        make = _makers()[_major(version)](connection)
        return ServerSetup(version, tuple(make(name, length) for name, length in wanted.items()))


def server_version(connection: InfluxConnection) -> str:
    """The version as the server tells it.

    Raises:
        StoreError: it can't be reached, or is no InfluxDB 1.x to 3.x.
    """
    headers = connection.ping()
    version = headers.get("x-influxdb-version", "").removeprefix("v")
    if _major(version) not in _makers():
        raise StoreError(f"{connection.url}: /ping names no version of InfluxDB 1 to 3 ({version or 'none'})")
    return version


def _major(version: str) -> int:
    found = re.match(r"\d+", version)
    return int(found[0]) if found else 0


Make = Callable[[str, timedelta | None], DatabaseSetup]


def _makers() -> dict[int, Callable[[InfluxConnection], Make]]:
    return {1: _Databases1, 2: _Buckets2, 3: _Databases3}


def _checked(name: str, length: timedelta | None, found: timedelta | None, *more: str) -> DatabaseSetup:
    differs = "" if found == length else f"keeps points for {_told(found)}, the settings say {_told(length)}"
    return DatabaseSetup(name, made=False, retention=found, to_mend="; ".join(filter(None, (differs, *more))))


def _told(length: timedelta | None) -> str:
    return "ever" if length is None else str(length)


class _Databases1:
    """1.x: databases with their default retention policy, in InfluxQL."""

    def __init__(self, connection: InfluxConnection) -> None:
        self._connection = connection
        self._there = {row[0] for row in self._rows("SHOW DATABASES")}

    def __call__(self, name: str, length: timedelta | None) -> DatabaseSetup:
        if name in self._there:
            return _checked(name, length, self._retention(name))
        duration = "INF" if length is None else f"{_seconds(length)}s"
        try:
            self._rows(f"CREATE DATABASE {_quoted(name)} WITH DURATION {duration} NAME {_quoted(RETENTION_POLICY)}")
        except StoreError as problem:
            raise StoreError(f"{problem}; make database {name} there first") from problem
        return DatabaseSetup(name, made=True, retention=length)

    def _retention(self, name: str) -> timedelta | None:
        for row in self._rows(f"SHOW RETENTION POLICIES ON {_quoted(name)}"):
            if row[-1] is True:
                return _go_duration(row[1])
        raise StoreError(f"InfluxDB {self._connection.url}: database {name} has no default retention policy")

    def _rows(self, query: str) -> list[Any]:
        return [row for part in self._connection.ask(query, "") for row in part["values"]]


class _Buckets2:
    """2.x: buckets of an organisation, and the mapping (DBRP) by which InfluxQL finds them."""

    def __init__(self, connection: InfluxConnection) -> None:
        self._connection = connection
        self._organisation = self._organisation_id()

    def __call__(self, name: str, length: timedelta | None) -> DatabaseSetup:
        bucket = self._bucket(name)
        if bucket is None:
            bucket = self._make(name, length)
            return DatabaseSetup(name, made=True, retention=length, to_mend=self._map(name, bucket["id"]))
        rules = [rule["everySeconds"] for rule in bucket.get("retentionRules", ()) if rule.get("everySeconds")]
        found = timedelta(seconds=rules[0]) if rules else None
        return _checked(name, length, found, self._map(name, bucket["id"]))

    def _organisation_id(self) -> str:
        name = self._connection.organisation
        found = self._list("/api/v2/orgs", "orgs", {} if name == "-" else {"org": name})
        if name == "-":
            known = ", ".join(str(o["name"]) for o in found) or "none"
            raise UsageError(f"InfluxDB 2.x needs store.influxdb.organisation; this token sees {known}")
        if not found:
            raise UsageError(f"InfluxDB {self._connection.url}: this token sees no organisation {name}")
        return str(found[0]["id"])

    def _bucket(self, name: str) -> Mapping[str, Any] | None:
        asked = {"name": name, "orgID": self._organisation}
        return next((b for b in self._list("/api/v2/buckets", "buckets", asked) if b["name"] == name), None)

    def _make(self, name: str, length: timedelta | None) -> Mapping[str, Any]:
        rules = [] if length is None else [{"type": "expire", "everySeconds": _seconds(length)}]
        body = {"orgID": self._organisation, "name": name, "retentionRules": rules}
        try:
            made: Mapping[str, Any] = self._connection.json("POST", "/api/v2/buckets", body=body)
        except StoreError as problem:
            raise StoreError(f"{problem}; make bucket {name} there first") from problem
        return made

    def _map(self, name: str, bucket: str) -> str:
        """Let InfluxQL find the bucket by its name; what is to be mended by hand. From 2.4 it does by itself."""
        mapped = self._list("/api/v2/dbrps", "content", {"orgID": self._organisation, "db": name})
        if any(m["bucketID"] == bucket for m in mapped):
            return ""
        if mapped:
            return f"InfluxQL takes database {name} for bucket {mapped[0]['bucketID']}: mend its DBRP mapping"
        body = {
            "orgID": self._organisation,
            "bucketID": bucket,
            "database": name,
            "retention_policy": RETENTION_POLICY,
            "default": True,
        }
        try:
            self._connection.json("POST", "/api/v2/dbrps", body=body)
        except StoreError as problem:
            by_hand = f"influx v1 dbrp create --db {name} --rp {RETENTION_POLICY} --default --bucket-id {bucket}"
            return f"InfluxQL can't find bucket {name} ({problem}): {by_hand}"
        return ""

    def _list(self, path: str, name: str, asked: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        try:
            found = (self._connection.json("GET", path, asked) or {}).get(name, [])
        except RefusedError as problem:
            if problem.status != 404:
                raise
            return []
        return list(found)


class _Databases3:
    """3.x: databases; how long they keep points is fixed when they are made."""

    def __init__(self, connection: InfluxConnection) -> None:
        self._connection = connection
        found = connection.json("GET", "/api/v3/configure/database", {"format": "json"}) or []
        self._there = set(_names_in(found))

    def __call__(self, name: str, length: timedelta | None) -> DatabaseSetup:
        if name in self._there:
            note = "" if length is None else f"whether it keeps points for {length} can't be told from here"
            return DatabaseSetup(name, made=False, retention=None, to_mend=note)
        body = {"db": name} if length is None else {"db": name, "retention_period": f"{_seconds(length)}s"}
        try:
            self._connection.json("POST", "/api/v3/configure/database", body=body)
        except StoreError as problem:
            raise StoreError(f"{problem}; make database {name} there first") from problem
        return DatabaseSetup(name, made=True, retention=length)


def _names_in(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in found:
        yield from (str(value) for key, value in row.items() if key.endswith("database") or key == "name")


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _go_duration(text: str) -> timedelta | None:
    """As Go writes it: 168h0m0s; 0s means for ever."""
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
    return timedelta(seconds=seconds) if seconds else None
