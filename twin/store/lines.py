"""Blocks <-> InfluxDB's line protocol and InfluxQL rows. Pure; round-trip tested.

A kind is a measurement, its keys are tags, its fields are fields. Two things InfluxDB can't carry are re-coded:
in tags, backslash, percent and control characters become %XX (and an empty tag a lone %); text longer than
``LONGEST_TEXT`` bytes (1.x refuses 64 kB) becomes zlib + base64 in numbered fields beside it.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from twin.store.frames import AT, frame_schema
from twin.store.line_parser import Point, Value
from twin.vocab.blocks import Block, Column
from twin.vocab.schema import KINDS

LONGEST_TEXT = 60_000
_LONGEST_WHOLE = 64 << 20
_IN_PARTS = "=zlib:"
_TAG_SPECIAL = re.compile(r"[,= ]")
_TAG_UNCARRIED = re.compile(r"[\\%\x00-\x1f\x7f]")
_EMPTY_TAG = "%"


def database_of(kind: str, database: str) -> str:
    """Where a kind's measurement is: tiers have databases of their own, with their own retention."""
    tier = KINDS[kind].tier
    return f"{database}_{tier}" if tier else database


def to_lines(block: Block) -> list[str]:
    """One line a row, time in microseconds; unmeasured fields are left out. Each row must hold a value."""
    keys = KINDS[block.kind].keys
    tags = [[f",{key}={to_tag(value)}" for value in block.keys[key]] for key in keys]
    fields = [_assignments(name, column) for name, column in block.fields.items()]
    stamps = block.at.astype(np.int64).tolist()
    return [
        f"{block.kind}{''.join(tag)} {','.join(filter(None, values))} {stamp}"
        for tag, values, stamp in zip(zip(*tags, strict=True), zip(*fields, strict=True), stamps, strict=True)
    ]


def from_point(point: Point) -> tuple[tuple[str, ...], dict[str, Value], list[str]]:
    """The inverse of one line of ``to_lines``: (keys, values by field, names of what the kind does not have).

    Raises:
        ValueError: a key is missing, or a text in parts is not whole.
    """
    spec = KINDS[point.measurement]
    if missing := [key for key in spec.keys if key not in point.tags]:
        raise ValueError(f"no tag {missing[0]}, which names the {missing[0]}")
    keys = tuple(from_stored_tag(point.tags[key]) for key in spec.keys)
    values = {name: _joined(name, value, point.fields) for name, value in point.fields.items() if name in spec.fields}
    strange = [name for name in point.tags if name not in spec.keys]
    strange += [name for name in point.fields if name not in spec.fields and name.rpartition("__")[0] not in values]
    return keys, values, strange


def _joined(name: str, value: Value, fields: Mapping[str, Value]) -> Value:
    """The value; of a text in parts, the whole text."""
    if not isinstance(value, str) or not value.startswith(_IN_PARTS):
        return value
    try:
        parts = [str(fields[_part(name, i)]) for i in range(int(value.removeprefix(_IN_PARTS)))]
        return _unpacked(base64.b64decode("".join(parts), validate=True)).decode()
    except (KeyError, ValueError, zlib.error) as problem:
        raise ValueError(f"{name}: its parts are not whole ({problem})") from problem


def _unpacked(packed: bytes) -> bytes:
    """What comes from a file may unfold to no more than a text could be."""
    unfolding = zlib.decompressobj()
    raw = unfolding.decompress(packed, _LONGEST_WHOLE)
    if not unfolding.eof:
        raise ValueError("cut off, or too long")
    return raw


def _assignments(name: str, column: Column) -> list[str]:
    values, valid = column.values.tolist(), column.valid.tolist()
    if column.values.dtype == object:
        return [_text_assignments(name, v) if ok else "" for v, ok in zip(values, valid, strict=True)]
    mark = "i" if column.values.dtype == np.int64 else ""
    return [f"{name}={v!r}{mark}" if ok else "" for v, ok in zip(values, valid, strict=True)]


def _text_assignments(name: str, text: str) -> str:
    raw = text.encode()
    if len(raw) <= LONGEST_TEXT and not text.startswith(_IN_PARTS):
        return f"{name}={_quoted(text)}"
    packed = base64.b64encode(zlib.compress(raw)).decode()
    bounds = [*range(0, len(packed), LONGEST_TEXT), len(packed)]
    parts = [packed[low:high] for low, high in pairwise(bounds)]
    numbered = [f'{_part(name, i)}="{part}"' for i, part in enumerate(parts)]
    return ",".join([f'{name}="{_IN_PARTS}{len(parts)}"', *numbered])


def _part(name: str, number: int) -> str:
    return f"{name}__{number}"


def parts_pattern(names: Iterable[str]) -> str:
    """The regular expression of the part fields of text fields."""
    return f"^({'|'.join(names)})__\\d+$"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(maxsize=1 << 17)
def to_tag(value: str) -> str:
    """Text -> tag value in line protocol."""
    return _TAG_SPECIAL.sub(r"\\\g<0>", stored_tag(value))


def stored_tag(value: str) -> str:
    """Text -> tag value as InfluxDB keeps it (and as a query compares it)."""
    return _TAG_UNCARRIED.sub(lambda found: f"%{ord(found[0]):02X}", value) or _EMPTY_TAG


def from_stored_tag(tag: str) -> str:
    """The inverse of ``stored_tag``."""
    if tag == _EMPTY_TAG:
        return ""
    return re.sub("%([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), tag)


def series_keys(kind: str, line: str) -> dict[str, str]:
    """A series as SHOW SERIES writes it -> its keys by name."""
    pairs = (re.split(r"(?<!\\)=", part, maxsplit=1) for part in re.split(r"(?<!\\),", line)[1:])
    tags = {name: from_stored_tag(re.sub(r"\\([,= ])", r"\1", value)) for name, value in pairs}
    return {key: tags[key] for key in KINDS[kind].keys}


def to_columns(kind: str, columns: Mapping[str, Sequence[Any]], fields: Sequence[str]) -> pl.DataFrame:
    """Columns of an InfluxQL answer (``time`` in microseconds, tags, fields and part fields) -> frame.

    JSON writes whole floats as integers and keeps all 64 bits of integers; the schema says which is meant.
    """
    schema = frame_schema(kind, fields)
    keys = [pl.Series(key, [from_stored_tag(v) for v in columns[key]], dtype=pl.String) for key in KINDS[kind].keys]
    at = pl.Series("at", columns["time"], dtype=pl.Int64).cast(AT)
    return pl.DataFrame([*keys, at, *(_field(name, schema[name], columns) for name in fields)])


def _field(name: str, kind: pl.DataType, columns: Mapping[str, Sequence[Any]]) -> pl.Series:
    values = columns[name]
    if isinstance(kind, pl.Float64):
        return pl.Series(name, [None if v is None else float(v) for v in values], dtype=kind)
    if isinstance(kind, pl.Int64):
        return pl.Series(name, values, dtype=kind)
    return pl.Series(name, [_whole_text(name, i, columns) for i in range(len(values))], dtype=kind)


def _whole_text(name: str, row: int, columns: Mapping[str, Sequence[Any]]) -> str | None:
    text: str | None = columns[name][row]
    if text is None or not text.startswith(_IN_PARTS):
        return text
    count = int(text.removeprefix(_IN_PARTS))
    packed = "".join(columns[_part(name, i)][row] for i in range(count))
    return zlib.decompress(base64.b64decode(packed)).decode()
