"""The server store: InfluxDB, written synchronously through influxdb-client, read by InfluxQL on /query.

InfluxQL is the one language of 1.x, 2.x (>= 2.4, by bucket name) and 3.x. influxdb-client's batching mode is not
used: against a slow server it drops points without a word.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
import structlog
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from twin.store.frames import to_block
from twin.store.lines import parts_pattern, series_keys, stored_tag, to_columns, to_lines
from twin.store.protocols import Batch, Health, KindHealth, Maintained, Match, StoreError, When
from twin.store.samples import accepted, cell_length, choices, chosen_fields, last_per_cell, micros, spec_of
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Secret
from twin.vocab.schema import KINDS, Kind
from twin.vocab.time import to_datetime

POINTS_A_REQUEST = 5000
_BYTES_A_REQUEST = 8_000_000
_ROWS_A_CHUNK = 10_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_BUSY = {408, 425, 429}
_MEANINGS = {401: "refuses the token", 403: "refuses the token", 404: "does not know the database or address"}
_EARLIEST, _LATEST = -(2**63) + 2, 2**63 - 2

_log = structlog.get_logger(__name__)


class InfluxStore:
    """A ``twin.store.Store`` in one database (2.x: bucket). May be used from several threads."""

    def __init__(
        self,
        url: str,
        database: str,
        token: Secret | None,
        *,
        organisation: str,
        timeout: timedelta,
        deadline: timedelta,
    ) -> None:
        _check_address(url)
        self._url, self._database = url, database
        self._organisation = organisation
        self._deadline = deadline.total_seconds()
        self._client: Any = InfluxDBClient(  # partly untyped
            url=url,
            token=token.reveal() if token else "",
            org=organisation,
            timeout=int(timeout.total_seconds() * 1000),
            enable_gzip=True,
        )
        self._write_api: Any = self._client.write_api(write_options=SYNCHRONOUS)
        try:
            self._find_or_make_database()
        except BaseException:
            self.close()
            raise

    def write(self, blocks: Sequence[Block], batch: Batch | None = None) -> None:  # noqa: ARG002 - see below
        """See ``Writer.write``. ``batch`` is not needed: InfluxDB overwrites a sample that is written again.

        Requests of 5,000 points, tried again for at most the store's deadline. What was sent before the one that
        failed is stored; the error says what is not.
        """
        requests = [request for block in accepted(blocks).values() for request in _requests(block)]
        give_up = time.monotonic() + self._deadline
        for i, request in enumerate(requests):
            try:
                self._send(request, give_up)
            except StoreError as problem:
                raise StoreError(f"{problem}; not written: {_summary(requests[i:])}") from problem

    def latest(self, kind: str, keys: Match | None = None, fields: Sequence[str] | None = None) -> Block:
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
    ) -> Block:
        spec, names = spec_of(kind), chosen_fields(spec_of(kind), fields)
        since, until = micros(start), micros(end)
        length = None if step is None else cell_length(step)
        condition, bound = _condition(spec, keys, "time >= $since AND time < $until")
        bound |= {"since": _nanoseconds(since), "until": _nanoseconds(until)}
        tags = ", ".join(f'"{key}"' for key in spec.keys)
        query = _select(f"{tags}, {_columns(spec, names)}", kind, condition)
        block = self._block(spec, names, query, bound)
        return block if length is None else last_per_cell(block, since, length)

    def series(self, kind: str, **match: str | Collection[str]) -> list[dict[str, str]]:
        spec = spec_of(kind)
        condition, bound = _condition(spec, match)
        answers = self._ask(f'SHOW SERIES FROM "{kind}"{condition}', bound)
        found = [series_keys(kind, row[0]) for part in answers for row in part["values"]]
        return sorted(found, key=lambda keys: tuple(keys.values()))

    def maintain(self, now: datetime) -> Maintained:  # noqa: ARG002 - part of the protocol
        """Nothing: the server keeps itself in shape."""
        return Maintained()

    def health(self) -> Health:
        """The server's version, and for each kind its number of points (of the field measured most often)."""
        version = self._call("/ping", "GET", {}).headers.get("X-Influxdb-Version", "unknown")
        kinds = tuple(found for kind in KINDS if (found := self._kind_health(kind)))
        return Health("influx", f"{self._url}, database {self._database}", version, kinds)

    def close(self) -> None:
        self._write_api.close()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _kind_health(self, kind: str) -> KindHealth | None:
        counts = [row[1:] for part in self._ask(_select("count(*)", kind)) for row in part["values"]]
        if not counts:
            return None
        first, last = (
            to_datetime(np.datetime64(part["values"][0][0], "us"))
            for order in ("ASC", "DESC")
            for part in self._ask(_select("*", kind, f" ORDER BY time {order} LIMIT 1"))
        )
        return KindHealth(kind, max(counts[0]), first, last)

    def _find_or_make_database(self) -> None:
        names = {row[0] for part in self._ask("SHOW DATABASES") for row in part["values"]}
        if self._database in names:
            return
        quoted = self._database.replace("\\", "\\\\").replace('"', '\\"')
        try:
            list(self._ask(f'CREATE DATABASE "{quoted}"'))
        except StoreError as problem:
            raise StoreError(f"{problem}; make database {self._database} there first") from problem
        _log.info("database made", url=self._url, database=self._database)

    def _send(self, request: _Request, give_up: float) -> None:
        body = "\n".join(request.lines).encode()
        pause = _FIRST_PAUSE
        while True:
            try:
                self._write_api.write(self._database, self._organisation, body, write_precision="us")
            except (ApiException, urllib3.exceptions.HTTPError, OSError) as problem:
                wait = max(pause, _asked_pause(problem))
                if not _may_pass(problem) or time.monotonic() + wait > give_up:
                    raise self._error(problem) from problem
                _log.warning("InfluxDB is busy or away; trying again", seconds=wait, reason=_reason(problem))
            else:
                return
            time.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _block(self, spec: Kind, names: Sequence[str], query: str, bound: Mapping[str, Any]) -> Block:
        columns: defaultdict[str, list[Any]] = defaultdict(list)
        for part in self._ask(query, bound):
            _append(columns, part)
        return to_block(spec.name, to_columns(spec.name, columns, names).sort(*spec.keys, "at"), names)

    def _ask(self, query: str, bound: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The answer's pieces: {tags, columns, values}."""
        form = {"db": self._database, "q": query, "params": json.dumps(bound or {}), "epoch": "u"}
        chunks = {"chunked": "true", "chunk_size": str(_ROWS_A_CHUNK)}
        response = self._call("/query", "POST", form | chunks)
        try:
            for line in _text_lines(response):
                for result in json.loads(line).get("results", ()):
                    if "error" in result:
                        raise StoreError(f"InfluxDB {self._url}: {result['error']}")
                    yield from (part for part in result.get("series", ()) if "values" in part)
        except (urllib3.exceptions.HTTPError, ValueError) as problem:
            raise self._error(problem) from problem
        finally:
            response.close()

    def _call(self, path: str, method: str, form: Mapping[str, str]) -> Any:
        try:
            return self._client.api_client.call_api(
                path,
                method,
                header_params={"Content-Type": "application/x-www-form-urlencoded"},
                post_params=form,
                auth_settings=[],
                _preload_content=False,
                _return_http_data_only=True,
            )
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as problem:
            raise self._error(problem) from problem

    def _error(self, problem: Exception) -> StoreError:
        meaning = _MEANINGS.get(getattr(problem, "status", None) or 0)
        return StoreError(f"InfluxDB {self._url}: {meaning + ': ' if meaning else ''}{_reason(problem)}")


@dataclass(frozen=True)
class _Request:
    """One body of line protocol, and what is in it."""

    kind: str
    lines: Sequence[str]
    first: np.datetime64
    last: np.datetime64


def _requests(block: Block) -> Iterator[_Request]:
    lines = to_lines(block)
    low = 0
    while low < len(lines):
        high, size = low, 0
        while high < len(lines) and high - low < POINTS_A_REQUEST and (high == low or size < _BYTES_A_REQUEST):
            size += len(lines[high])
            high += 1
        at = block.at[low:high]
        yield _Request(block.kind, lines[low:high], at.min(), at.max())
        low = high


def _summary(requests: Sequence[_Request]) -> str:
    counts: defaultdict[str, int] = defaultdict(int)
    for request in requests:
        counts[request.kind] += len(request.lines)
    named = ", ".join(f"{count} of {kind}" for kind, count in counts.items())
    return f"{named} ({min(r.first for r in requests)} to {max(r.last for r in requests)} UTC)"


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"InfluxDB address of {parts.hostname}: no user or password in it; give them as the token")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is no address of InfluxDB; write for example http://localhost:8086")


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


def _text_lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for piece in response.stream(1 << 16):
        *lines, rest = (rest + piece).split(b"\n")
        yield from filter(None, lines)
    if rest:
        yield rest


def _may_pass(problem: Exception) -> bool:
    """Whether trying again may help."""
    if not isinstance(problem, ApiException):
        return True
    return problem.status in _BUSY or problem.status is None or problem.status >= 500


def _asked_pause(problem: Exception) -> float:
    headers: Mapping[str, str] = getattr(problem, "headers", None) or {}
    with suppress(TypeError, ValueError):
        return float(headers.get("Retry-After", 0))
    return 0.0


def _reason(problem: Exception) -> str:
    """What the server said, or what went wrong on the way, on one line."""
    body = getattr(problem, "body", None)
    if body:
        with suppress(ValueError, AttributeError):
            said = json.loads(body)
            return " ".join(str(said.get("error") or said.get("message") or said).split())
    if isinstance(problem, ApiException):
        return f"{problem.status} {problem.reason}"
    return " ".join(str(problem).split()) or type(problem).__name__
