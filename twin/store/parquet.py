"""Data files: one day's rows as Parquet, synced to disk, with the hash of its content in its name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from io import BytesIO
from typing import Any
from uuid import uuid4

import polars as pl

from twin.store.place import Place

HASH_DIGITS = 16
ROWS_A_GROUP = 131_072


@dataclass(frozen=True)
class DataFile:
    """A written file: ``path`` is relative to its table, ``stats`` is Delta's JSON ("Per-file Statistics")."""

    path: str
    day: date
    rows: int
    size: int
    stats: str


def write_file(
    table: Place, day: date, frame: pl.DataFrame, keys: Sequence[str], *, rows_a_group: int = ROWS_A_GROUP
) -> DataFile:
    """Write one day's rows; on return file and folder are on disk. No reader sees them before they are committed.

    Raises:
        OSError: the disk is full or can't be written; what was begun is removed.
    """
    buffer = BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=3, row_group_size=rows_a_group)
    content = buffer.getbuffer()
    name = f"date={day}/part-{uuid4()}-{sha256(content).hexdigest()[:HASH_DIGITS]}.parquet"
    table.create(name, content)
    return DataFile(name, day, len(frame), len(content), statistics(frame, keys))


def statistics(frame: pl.DataFrame, keys: Sequence[str]) -> str:
    """Rows, and the bounds of keys and ``at``, by which readers leave files out.

    Written as UTF-8: deltalake 1.6 reads an escaped pair of surrogates as another character.
    """
    bounded = [*keys, "at"]
    low, high = (_bounds(frame, bounded, end) for end in ("min", "max"))
    nothing_missing = dict.fromkeys(bounded, 0)
    told = {"numRecords": len(frame), "minValues": low, "maxValues": high, "nullCount": nothing_missing}
    return json.dumps(told, ensure_ascii=False)


def _bounds(frame: pl.DataFrame, columns: Sequence[str], end: str) -> Mapping[str, Any]:
    found = frame.select(getattr(pl.col(name), end)() for name in columns).row(0, named=True)
    return {name: value if isinstance(value, str) else _milliseconds(value) for name, value in found.items()}


def _milliseconds(at: Any) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
