"""Reads from InfluxDB by InfluxQL on /query, the one language of 1.x, 2.x (>= 2.4, by bucket name) and 3.x.

Nothing is written here: what is stored goes through the local journal (``twin.store.shipper``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from twin.store.frames import to_block
from twin.store.influx_connection import InfluxConnection
from twin.store.lines import database_of, parts_pattern, series_keys, stored_tag, to_columns
from twin.store.protocols import Health, KindHealth, Match, StoreError, When
from twin.store.samples import cell_length, choices, chosen_fields, last_per_cell, micros, spec_of
from twin.vocab.blocks import Block
from twin.vocab.schema import KINDS, Kind
from twin.vocab.time import to_datetime

_EARLIEST, _LATEST = -(2**63) + 2, 2**63 - 2
_NOT_THERE = "database not found"


class InfluxReader:
    """A ``twin.store.Reader`` of one database (2.x: bucket) and those of its tiers. For several threads."""

    def __init__(self, connection: InfluxConnection, database: str) -> None:
        self._connection, self._database = connection, database

    def latest(
        self,
        kind: str,
        keys: Match | None = None,
        fields: Sequence[str] | None = None,
        *,
        as_of: When | None = None,
    ) -> Block:
        self._check_present(as_of)
        spec, names = spec_of(kind), chosen_fields(spec_of(kind), fields)
        condition, bound = _condition(spec, keys)
        by = ", ".join(f'"{key}"' for key in spec.keys)
        newest = f"{condition} GROUP BY {by} ORDER BY time DESC LIMIT 1"
        return self._block(spec, names, _select(_columns(spec, names), kind, newest), bound)

    def range(
        self,
        kind: str,
        keys: Match | None,
        start: When,
        end: When,
        fields: Sequence[str] | None = None,
        *,
        step: timedelta | np.timedelta64 | None = None,
        as_of: When | None = None,
    ) -> Block:
        self._check_present(as_of)
        spec, names = spec_of(kind), chosen_fields(spec_of(kind), fields)
        since, until = micros(start), micros(end)
        length = None if step is None else cell_length(step)
        condition, bound = _condition(spec, keys, "time >= $since AND time < $until")
        bound |= {"since": _nanoseconds(since), "until": _nanoseconds(until)}
        tags = ", ".join(f'"{key}"' for key in spec.keys)
        query = _select(f"{tags}, {_columns(spec, names)}", kind, condition)
        block = self._block(spec, names, query, bound)
        return block if length is None else last_per_cell(block, since, length)

    def _check_present(self, as_of: When | None) -> None:
        if as_of is not None:
            raise StoreError(f"InfluxDB {self._connection.url} keeps no history of what was known when (as_of)")

    def series(self, kind: str, **match: str | Collection[str]) -> list[dict[str, str]]:
        spec = spec_of(kind)
        condition, bound = _condition(spec, match)
        answers = self._ask(kind, f'SHOW SERIES FROM "{kind}"{condition}', bound)
        found = [series_keys(kind, row[0]) for part in answers for row in part["values"]]
        return sorted(found, key=lambda keys: tuple(keys.values()))

    def health(self) -> Health:
        """The server's version, and for each kind its number of points (of the field measured most often)."""
        version = self._connection.ping().get("x-influxdb-version", "unknown")
        kinds = tuple(found for kind in KINDS if (found := self._kind_health(kind)))
        return Health("influx", f"{self._connection.url}, database {self._database}", version, kinds)

    def _kind_health(self, kind: str) -> KindHealth | None:
        counts = [row[1:] for part in self._ask(kind, _select("count(*)", kind)) for row in part["values"]]
        if not counts:
            return None
        first, last = (
            to_datetime(np.datetime64(part["values"][0][0], "us"))
            for order in ("ASC", "DESC")
            for part in self._ask(kind, _select("*", kind, f" ORDER BY time {order} LIMIT 1"))
        )
        return KindHealth(kind, max(counts[0]), first, last)

    def _block(self, spec: Kind, names: Sequence[str], query: str, bound: Mapping[str, Any]) -> Block:
        columns: defaultdict[str, list[Any]] = defaultdict(list)
        for part in self._ask(spec.name, query, bound):
            _append(columns, part)
        return to_block(spec.name, to_columns(spec.name, columns, names).sort(*spec.keys, "at"), names)

    def _ask(self, kind: str, query: str, bound: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """A tier's database that is not there yet holds nothing."""
        try:
            yield from self._connection.ask(query, database_of(kind, self._database), bound)
        except StoreError as problem:
            if _NOT_THERE not in str(problem):
                raise
            if not KINDS[kind].tier:
                raise StoreError(f"{problem}; make it with nettwin store init") from problem


def _columns(spec: Kind, names: Sequence[str]) -> str:
    texts = [name for name in names if spec.fields[name].type == "str"]
    parts = [f"/{parts_pattern(texts)}/"] if texts else []
    return ", ".join([*(f'"{name}"' for name in names), *parts])


def _select(columns: str, kind: str, rest: str = "") -> str:
    return f'SELECT {columns} FROM "{kind}"{rest}'  # noqa: S608 - names are the schema's own; values are bound


def _condition(spec: Kind, keys: Match | None, *others: str) -> tuple[str, dict[str, Any]]:
    """A WHERE clause and the values bound in it."""
    tests = list(others)
    bound: dict[str, Any] = {}
    for key, values in choices(spec, keys).items():
        marks = {f"{key}_{i}": stored_tag(value) for i, value in enumerate(values)}
        bound |= marks
        either = [f'"{key}" = ${mark}' for mark in marks] or [f"\"{key}\" = ''"]  # every series has every key
        tests.append(f"({' OR '.join(either)})")
    return f" WHERE {' AND '.join(tests)}" if tests else "", bound


def _nanoseconds(at: np.datetime64) -> int:
    return min(max(int(at.astype(np.int64)) * 1000, _EARLIEST), _LATEST)


def _append(columns: dict[str, list[Any]], part: Mapping[str, Any]) -> None:
    """Add one piece of an answer; what it lacks of the columns known so far is null."""
    rows, before = part["values"], len(columns["time"])
    found = dict(zip(part["columns"], zip(*rows, strict=True), strict=True))
    found |= {name: (value,) * len(rows) for name, value in part.get("tags", {}).items()}
    for name in columns.keys() | found.keys():
        column = columns[name]
        column.extend([None] * (before - len(column)))
        column.extend(found.get(name, (None,) * len(rows)))
