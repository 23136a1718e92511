"""What every engine must do, held against a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.store import Batch, Store
from twin.vocab.blocks import Block, Column
from twin.vocab.schema import KINDS, Field

T0 = np.datetime64("2026-11-23T23:59:58.123456", "us")
FOREVER = (np.datetime64("1970-01-01", "us"), np.datetime64("2200-01-01", "us"))
Row = dict[str, Any]


def seconds(number: float) -> np.timedelta64:
    return np.timedelta64(int(number * 1e6), "us")


def poll(device: str, at: float, status: str = "ok", **more: Any) -> Row:
    return {"device": device, "protocol": "snmp", "at": T0 + seconds(at), "status": status, **more}


def polls(*rows: Row) -> Block:
    return Block.from_rows("poll", rows)


# ---- any block of any kind ----

NAMES = st.one_of(
    st.sampled_from(["r1", "ge-0/0/1", "Vlan 10", 'a,b="c"', "back\\", "\\,", "100%", "ü日本", "%", "", "a\\ b", "=,"]),
    st.text(max_size=6),
)
TIMES = st.one_of(
    st.integers(0, 3).map(lambda s: T0 + np.timedelta64(s, "s")),
    st.integers(0, 2**52).map(lambda us: np.datetime64(us, "us")),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.one_of(st.integers(-(2**63), 2**64 - 1), st.sampled_from([2**63 - 1, 2**53 + 1, 2**64 - 1])),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "str": st.one_of(st.text(max_size=8), st.sampled_from(["=zlib:7", 'he said "\\"', "two\nlines\r\n", "tail\\"])),
}


def optional(field: Field) -> st.SearchStrategy[Any]:
    return st.none() | VALUES[field.type]


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    kind = draw(st.sampled_from(list(KINDS.values())))
    names = draw(st.lists(NAMES, min_size=1, max_size=3))
    row = st.fixed_dictionaries(
        {key: st.sampled_from(names) for key in kind.keys} | {"at": TIMES},
        optional={name: optional(field) for name, field in kind.fields.items()},
    )
    return Block.from_rows(kind.name, draw(st.lists(row, min_size=1, max_size=6)))


def merged_rows(written: list[Block]) -> list[Row]:
    """The model: series and time -> fields, newest value each; sorted."""
    kept: dict[tuple[Any, ...], Row] = {}
    for block in written:
        keys = KINDS[block.kind].keys
        for row in block.rows():
            if len(row) > len(keys) + 1:
                name = (*(row[k] for k in keys), row["at"])
                kept[name] = kept.get(name, {}) | row
    return [kept[name] for name in sorted(kept)]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(written=st.lists(blocks(), min_size=1, max_size=3))
def test_what_is_written_is_read(new_store: Callable[[], Store], written: list[Block]) -> None:
    store = new_store()
    for block in written:
        store.write([block])
    for kind in {b.kind for b in written}:
        expected = merged_rows([b for b in written if b.kind == kind])
        assert store.range(kind, None, *FOREVER).rows() == expected
        newest = {tuple(row[k] for k in KINDS[kind].keys): row for row in expected}
        assert store.latest(kind).rows() == list(newest.values())
        assert store.series(kind) == [{k: row[k] for k in KINDS[kind].keys} for row in newest.values()]


def test_hundred_thousand_values_come_back(store: Store) -> None:
    """Counter64 in full width, 8 values in each of 12,500 samples, exactly."""
    numbers = np.random.default_rng(7).integers(0, 2**64, (8, 12_500), dtype=np.uint64).view(np.int64)
    names = [name for name, field in KINDS["interface"].fields.items() if field.counter][:8]
    keys = {
        "device": np.array([f"r{i // 50 % 25:02}" for i in range(12_500)], dtype=object),
        "interface": np.array([f"eth{i % 50:02}" for i in range(12_500)], dtype=object),
    }
    at = T0 + np.arange(12_500) // 1250 * seconds(60)
    block = Block("interface", keys, at, {n: Column.full(v) for n, v in zip(names, numbers, strict=True)})
    store.write([block])
    back = store.range("interface", None, *FOREVER, fields=names)
    order = np.lexsort((at, keys["interface"].astype(str), keys["device"].astype(str)))
    assert back.at.tolist() == at[order].tolist()
    for name, values in zip(names, numbers, strict=True):
        assert back.fields[name].valid.all()
        assert (back.fields[name].values == values[order]).all()


# ---- questions ----


def test_range_is_half_open(store: Store) -> None:
    store.write([polls(*(poll("r1", s) for s in (0, 1, 2, 3)))])
    found = store.range("poll", {"device": "r1"}, T0 + seconds(1), T0 + seconds(3))
    assert found.at.tolist() == (T0 + seconds(1) * np.arange(1, 3)).tolist()


@pytest.mark.parametrize(("keys", "devices"), [
    (None, ["r1", "r2", "r3"]),
    ({"device": "r2"}, ["r2"]),
    ({"device": ["r3", "r1", "nobody"], "protocol": "snmp"}, ["r1", "r3"]),
    ({"device": "r1", "protocol": "netconf"}, []),
    ({"device": ()}, []),
])  # fmt: skip
def test_only_the_series_asked_for(store: Store, keys: Mapping[str, Any] | None, devices: list[str]) -> None:
    store.write([polls(poll("r1", 0), poll("r2", 0), poll("r3", 0))])
    assert store.range("poll", keys, *FOREVER).keys["device"].tolist() == devices
    assert store.latest("poll", keys).keys["device"].tolist() == devices
    assert [found["device"] for found in store.series("poll", **(keys or {}))] == devices


def test_rows_without_any_asked_field_are_left_out(store: Store) -> None:
    store.write([polls(poll("r1", 0, values=5), poll("r1", 1), poll("r2", 1))])
    found = store.range("poll", None, *FOREVER, fields=["values", "seconds"])
    assert found.rows() == [{"device": "r1", "protocol": "snmp", "at": T0, "values": 5}]
    assert list(found.fields) == ["seconds", "values"]
    assert store.latest("poll", fields=["values"]).rows() == found.rows()


def test_a_step_keeps_the_last_row_of_each_cell(store: Store) -> None:
    store.write([polls(*(poll(d, s, values=int(s)) for d in ("r1", "r2") for s in (0, 4, 9, 10, 31)))])
    found = store.range("poll", {"device": "r1"}, T0, T0 + seconds(40), ["values"], step=timedelta(seconds=10))
    assert found.fields["values"].values.tolist() == [9, 10, 31]
    everyone = store.range("poll", None, T0, T0 + seconds(40), step=np.timedelta64(1, "m"))
    assert everyone.keys["device"].tolist() == ["r1", "r2"]


def test_latest_sees_what_was_written_since(store: Store) -> None:
    store.write([polls(poll("r1", 5, "ok"), poll("r2", 5, "ok"))])
    assert store.latest("poll").fields["status"].values.tolist() == ["ok", "ok"]
    store.write([polls(poll("r1", 6, "silent"), poll("r2", 4, "late"), poll("r3", 0, "new"))])
    store.maintain(datetime.now(UTC))
    assert store.latest("poll").fields["status"].values.tolist() == ["silent", "ok", "new"]


def test_the_future_has_a_latest_too(store: Store) -> None:
    at = np.datetime64("2100-01-01", "us")
    store.write([Block.from_rows("device", [{"device": "r1", "cpu_percent": 1.0}], at=at)])
    assert store.latest("device").at.tolist() == [at.item()]


def test_a_sample_written_again_keeps_the_newest_values(store: Store) -> None:
    store.write([polls(poll("r1", 0, "ok", values=1, seconds=0.5))])
    store.write([polls(poll("r1", 0, "silent", values=2), poll("r1", 0, "refused"))])
    expected = [poll("r1", 0, "refused", values=2, seconds=0.5)]
    assert store.range("poll", None, *FOREVER).rows() == expected
    store.maintain(datetime.now(UTC))
    assert store.latest("poll").rows() == expected


def test_a_retried_round_is_there_once(store: Store) -> None:
    for _ in range(2):
        store.write([polls(poll("r1", 0), poll("r2", 0))], Batch("collector", 1))
    store.write([polls(poll("r1", 1))], Batch("collector", 2))
    store.write([polls(poll("r1", 2))], Batch("another", 1))
    assert [(k.kind, k.rows) for k in store.health().kinds] == [("poll", 4)]


# ---- edges ----


def test_an_empty_store_gives_empty_blocks(store: Store) -> None:
    for kind, spec in KINDS.items():
        for found in (store.latest(kind), store.range(kind, None, *FOREVER, step=timedelta(hours=1))):
            assert (found.checked().kind, len(found)) == (kind, 0)
            assert list(found.fields) == list(spec.fields)
        assert store.series(kind) == []
    assert store.health().kinds == ()


def test_names_may_hold_any_character(store: Store) -> None:
    """Line breaks of all sorts among them: engines keep their books in lines."""
    names = ["", " ", "%", "a%0A", "a\n", "a\r\nb", "a\x00", "a\x85b", "a\u2028b", "back\\", "q'\"`", "x" * 300]
    for name in names:
        store.write([polls(poll(name, 0))])
    assert store.latest("poll").keys["device"].tolist() == sorted(names)


@pytest.mark.parametrize("name", ["\uffff", "𠀀", "🦀 1", "a\x7f"])
def test_a_series_of_any_name_is_found_by_it(store: Store, name: str) -> None:
    store.write([polls(poll(name, 0))])
    assert len(store.range("poll", {"device": name}, *FOREVER)) == 1


def test_writing_nothing_is_no_error(store: Store) -> None:
    store.write([])
    store.write([polls()])
    assert store.health().kinds == ()


R1 = {"device": np.array(["r1"], dtype=object)}
NEVER = np.array(["NaT"], dtype="datetime64[us]")
BAD_BLOCKS = {
    "a missing key": Block("poll", R1, np.array([T0]), {}),
    "an unknown kind": Block("colour", {}, np.array([T0]), {}),
    "a wrong type": Block("device", R1, np.array([T0]), {"cpu_percent": Column.full(np.array([1]))}),
    "no time": Block("device", R1, NEVER, {}),
    "a time before all": Block.from_rows("poll", [poll("r1", 0) | {"at": np.datetime64("1066-10-14")}]),
    "no Unicode": Block.from_rows("poll", [poll("r\udc80", 0)]),
    "no text": Block("device", {"device": np.array([1], dtype=object)}, np.array([T0]), {}),
}


@pytest.mark.parametrize("bad", BAD_BLOCKS)
def test_a_bad_block_is_refused_and_nothing_is_written(store: Store, bad: str) -> None:
    with pytest.raises(ValueError, match=r"kind|cpu_percent"):
        store.write([polls(poll("r1", 0)), BAD_BLOCKS[bad]])
    assert store.health().kinds == ()


@pytest.mark.parametrize("ask", [
    lambda s: s.latest("colour"),
    lambda s: s.latest("poll", {"interface": "eth0"}),
    lambda s: s.range("poll", None, *FOREVER, fields=["in_octets"]),
    lambda s: s.range("poll", None, *FOREVER, step=timedelta(0)),
    lambda s: s.range("poll", None, datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - naive on purpose
    lambda s: s.series("poll", colour="red"),
])  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(store: Store, ask: Callable[[Store], Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown kind|has no|longer than|naive"):
        ask(store)


def test_values_that_are_no_numbers_count_as_not_measured(store: Store) -> None:
    rows = [{"device": "r1", "at": T0, "cpu_percent": v, "uptime_cs": 1} for v in (np.nan,)]
    rows += [{"device": d, "at": T0, "cpu_percent": v} for d, v in (("r2", np.inf), ("r3", -np.inf), ("r4", 2.5))]
    store.write([Block.from_rows("device", rows)])
    assert store.latest("device").rows() == [
        {"device": "r1", "at": T0, "uptime_cs": 1},
        {"device": "r4", "at": T0, "cpu_percent": 2.5},
    ]


def test_health_says_what_there_is(store: Store) -> None:
    store.write([polls(poll("r1", 0), poll("r1", 5))])
    (found,) = store.health().kinds
    assert (found.kind, found.rows) == ("poll", 2)
    assert found.first == datetime(2026, 11, 23, 23, 59, 58, found.first.microsecond, UTC)
    assert found.last - found.first == timedelta(seconds=5)
    assert store.health().version
