"""The lattice of newest values, held against the definition in ``Reader.latest``; and its file."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from twin.store.folding import folded
from twin.store.frames import AT, frame_schema
from twin.store.newest import Newest, answer, joined, nothing, series, since
from twin.store.newest_file import Mark, packed, parsed
from twin.vocab.schema import KINDS

Row = dict[str, Any]
T0 = 1_780_000_000_000_000
SCHEMA = frame_schema("poll") | {"written": AT}
FIELDS = ("status", "seconds", "values")

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "device": st.sampled_from(["r1", "r2", "ü", ""]),
            "protocol": st.sampled_from(["snmp", "netconf"]),
            "at": st.integers(0, 3),
        },
        optional={
            "status": st.sampled_from(["ok", "silent", ""]),
            "seconds": st.floats(0, 1),
            "values": st.integers(-(2**63), 2**63 - 1),
        },
    ).filter(lambda row: len(row) > 3),
    max_size=8,
)


def written(rows: list[Row]) -> list[Row]:
    """Each written after the one before."""
    return [row | {"at": T0 + row["at"], "written": T0 + 10 + i} for i, row in enumerate(rows)]


def frame(rows: list[Row]) -> pl.DataFrame:
    return (
        pl.DataFrame([{name: None} | row for row in rows for name in ["status"]], schema=SCHEMA)
        if rows
        else (pl.DataFrame(schema=SCHEMA))
    )


def fold(rows: list[Row]) -> Newest:
    return folded("poll", frame(rows))


def definition(rows: list[Row], fields: tuple[str, ...]) -> list[Row]:
    """The newest row of each series in which one of ``fields`` was measured, values written later winning."""
    merged: dict[tuple[str, str, int], Row] = {}
    for row in sorted(rows, key=lambda r: r["written"]):
        name = row["device"], row["protocol"], row["at"]
        values = {f: row[f] for f in fields if f in row}
        if values:
            merged[name] = merged.get(name, {}) | values
    newest = {name[:2]: (name[2], values) for name, values in sorted(merged.items())}
    return [
        {"device": d, "protocol": p, "at": np.datetime64(at, "us")} | values for (d, p), (at, values) in newest.items()
    ]


@given(parts=st.lists(ROWS, max_size=4), order=st.randoms(), fields=st.sets(st.sampled_from(FIELDS), min_size=1))
def test_folded_in_any_parts_and_order_it_answers_as_defined(
    parts: list[list[Row]], order: Any, fields: set[str]
) -> None:
    rows = written([row for part in parts for row in part])
    order.shuffle(rows)
    cuts = np.cumsum([len(part) for part in parts]).tolist()
    newest = nothing("poll")
    for start, end in zip([0, *cuts], cuts, strict=False):
        newest = joined(newest, fold(rows[start:end]))
    newest = joined(newest, fold(rows[: len(rows) // 2]))
    asked = tuple(f for f in KINDS["poll"].fields if f in fields)
    found = answer(newest, {}, asked)
    assert found.checked().rows() == definition(rows, asked)
    assert list(found.fields) == list(asked)
    names = {(row["device"], row["protocol"]) for row in rows}
    assert series(newest, {}) == [{"device": d, "protocol": p} for d, p in sorted(names)]
    some = answer(newest, {"device": ("r1", "ü"), "protocol": ("snmp",)}, asked).rows()
    assert some == [r for r in definition(rows, asked) if r["device"] in {"r1", "ü"} and r["protocol"] == "snmp"]


@given(rows=ROWS, start=st.integers(0, 4))
def test_what_is_older_than_a_time_can_be_dropped(rows: list[Row], start: int) -> None:
    kept = [row for row in written(rows) if row["at"] >= T0 + start]
    trimmed = since(fold(written(rows)), T0 + start)
    assert answer(trimmed, {}, FIELDS).rows() == definition(kept, FIELDS)
    assert series(trimmed, {}) == series(fold(kept), {})


@given(rows=ROWS)
def test_its_file_brings_it_back(rows: list[Row]) -> None:
    newest, mark = fold(written(rows)), Mark(7, "ab")
    found = parsed(packed(newest, mark), "poll")
    assert found is not None
    assert found[1] == mark
    assert answer(found[0], {}, FIELDS).rows() == answer(newest, {}, FIELDS).rows()
    assert answer(joined(found[0], newest), {}, FIELDS).rows() == answer(newest, {}, FIELDS).rows()


def test_a_file_that_is_torn_rotten_or_of_another_kind_is_none() -> None:
    whole = packed(fold(written([{"device": "r1", "protocol": "snmp", "at": 0, "status": "ok"}])), Mark(7, "ab"))
    assert parsed(whole, "poll") is not None
    assert parsed(whole, "interface") is None
    for length in range(len(whole)):
        assert parsed(whole[:length], "poll") is None, length
        assert parsed(whole[:length] + bytes([whole[length] ^ 1]) + whole[length + 1 :], "poll") is None, length
