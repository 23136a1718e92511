"""One data file held against what the log says of it: content, rows, least and greatest keys and times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import polars as pl

from twin.store.engine import is_engine_error
from twin.store.place import Place
from twin.store.replay import DataFile
from twin.vocab.schema import KINDS

_NAMED = re.compile(r"-([0-9a-f]{16})\.parquet$")
_ROWS_AT_ONCE = 256
_WITH_CONTENT = "record"


@dataclass(frozen=True)
class FileCheck:
    """What was found: problems, rows and octets read, whether the content could be held against a hash."""

    problems: tuple[str, ...]
    rows: int = 0
    octets: int = 0
    hashed: bool = False


def check_file(place: Place, kind: str, file: DataFile) -> FileCheck:
    """Read the file in pieces and compare. Never raises for what is wrong with the file.

    Raises:
        OSError: the place itself can't be read (a file that is gone is a problem of the file).
    """
    name = f"{kind}/{file.path}"
    try:
        octets, digest = _hashed(place, name)
    except FileNotFoundError:
        return FileCheck(("is not there",))
    named = _NAMED.search(file.path)
    problems = []
    if octets != file.size:
        problems.append(f"has {octets:,} octets, by the log {file.size:,}")
    if named and not digest.startswith(named[1]):
        problems.append("does not match the hash in its name")
    if problems:
        return FileCheck(tuple(problems), octets=octets, hashed=named is not None)
    rows, wrong = _read(place, name, kind, file, in_full=named is None)
    return FileCheck(tuple(wrong), rows, octets, hashed=named is not None)


def _hashed(place: Place, name: str) -> tuple[int, str]:
    octets, digest = 0, sha256()
    for piece in place.pieces(name):
        octets += len(piece)
        digest.update(piece)
    return octets, digest.hexdigest()


def _read(place: Place, name: str, kind: str, file: DataFile, *, in_full: bool) -> tuple[int, list[str]]:
    try:
        scan = pl.scan_parquet(
            f"{place.address}/{name}", storage_options=place.scan_options, glob=False, hive_partitioning=False
        )
        rows, problems = _check_stats(scan, kind, file)
        if in_full:
            for _ in scan.collect_batches():
                pass
        if kind == _WITH_CONTENT:
            problems += _check_contents(scan)
    except FileNotFoundError:
        return 0, ["is not there"]
    except (pl.exceptions.PolarsError, OSError, ValueError) as problem:
        return 0, [f"can't be read: {' '.join(str(problem).split())[:200]}"]
    except BaseException as problem:
        if not is_engine_error(problem):
            raise
        return 0, ["can't be read: the reader gave up on it"]
    return rows, problems


def _check_stats(scan: pl.LazyFrame, kind: str, file: DataFile) -> tuple[int, list[str]]:
    columns = (*KINDS[kind].keys, "at")
    asked = [pl.len().alias("rows")]
    for name in columns:
        column = pl.col(name).cast(pl.String) if name != "at" else pl.col(name)
        asked += [column.min().alias(f"min.{name}"), column.max().alias(f"max.{name}")]
        asked.append(column.null_count().alias(f"null.{name}"))
    found = scan.select(asked).collect(engine="streaming").row(0, named=True)
    problems = [f"by the log its {what} is {said}, in it {real}" for what, said, real in _differing(found, file.stats)]
    return int(found["rows"]), problems + _outside(kind, found, file)


def _differing(found: Mapping[str, Any], stats: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    if stats.get("numRecords") != found["rows"]:
        yield "number of rows", stats.get("numRecords"), found["rows"]
    for group, prefix, what in (("minValues", "min.", "least"), ("maxValues", "max.", "greatest")):
        for name, said in stats.get(group, {}).items():
            real = found.get(prefix + name)
            if not _same(name, said, real, upper=prefix == "max."):
                yield f"{what} {name}", said, real
    for name, said in stats.get("nullCount", {}).items():
        if f"null.{name}" in found and found[f"null.{name}"] != said:
            yield f"number of rows without {name}", said, found[f"null.{name}"]


def _same(name: str, said: Any, real: Any, *, upper: bool) -> bool:
    """Statistics may be cut: texts to their beginning (upwards for the greatest), times to milliseconds."""
    if name == "at":
        return isinstance(real, datetime) and abs(_time(said) - real.astimezone(UTC)) < timedelta(milliseconds=1)
    if not (isinstance(said, str) and isinstance(real, str)):
        return False
    return said == real or (len(said) < len(real) + 2 and (said > real if upper else real.startswith(said)))


def _time(text: Any) -> datetime:
    when = datetime.fromisoformat(str(text))
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _outside(kind: str, found: Mapping[str, Any], file: DataFile) -> list[str]:
    """Rows lie in the partition of their day, or of the first of their month."""
    if f"date={file.partition.get('date')}" != file.path.partition("/")[0]:
        return [f"by the log it belongs to {file.partition.get('date')}"]
    day = date.fromisoformat(str(file.partition["date"]))
    for when in (found["min.at"], found["max.at"]):
        if when is not None and day != _begin_of_span(kind, when.date()):
            return [f"holds {when:%Y-%m-%d %H:%M:%S}, which does not belong to {day}"]
    return []


def _begin_of_span(kind: str, day: date) -> date:
    return day.replace(day=1) if KINDS[kind].span == "month" else day


def _check_contents(scan: pl.LazyFrame) -> list[str]:
    """Documents whose content is not what its hash says."""
    documents = scan.filter(pl.col("content").is_not_null() & pl.col("sha256").is_not_null())
    wanted = documents.select("device", "record", "at", "content", "sha256")
    rows = (row for batch in wanted.collect_batches(chunk_size=_ROWS_AT_ONCE) for row in batch.iter_rows(named=True))
    return [
        f"{row['record']} of {row['device']} at {row['at']:%Y-%m-%d %H:%M:%S} fails its hash"
        for row in rows
        if sha256(row["content"].encode()).hexdigest() != row["sha256"]
    ]
