"""What sources make of walked columns: arithmetic, meanings, joins and filters; as profiles write them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.profiles import Source, Table
from collectors.profiles import Value as Wanted
from collectors.snmp.index import Part, parse_index
from collectors.snmp.numbers import numbers_of
from collectors.snmp.rows import attempt
from collectors.snmp.sheet import Walked, cells_of, sheet_of
from collectors.snmp.wire import Column, Oid, Value
from twin.vocab.files import parse_yaml

X, Y, Z = (1, 3, 1), (1, 3, 2), (1, 3, 3)


def walked(**columns: Mapping[Any, Value]) -> Walked:
    """Columns x, y, z by instance."""
    oids = {"x": X, "y": Y, "z": Z}
    told = {
        oids[name]: {(i,) if isinstance(i, int) else i: value for i, value in rows.items()}
        for name, rows in columns.items()
    }
    return Walked({oid: Column(tuple(sorted(rows)), [rows[i] for i in sorted(rows)]) for oid, rows in told.items()})


def rows_of(table: str, columns: Walked) -> list[Mapping[str, Any]]:
    parsed = parse_yaml(textwrap.dedent(table), Table)
    tried = attempt("table", parsed, parsed.values, columns)
    assert tried.missing == ()
    return tried.table.rows()


def one(source: str, raw: Value, **others: Value) -> Any:
    """What a sensor's value is, whose source is at 1.3.1 and which may look at 1.3.2 (y) and 1.3.3 (z)."""
    table = f"""
        subject: sensor
        index: {{sensor: int}}
        helpers:
          none: {{sources: [{{oid: 1.3.2}}, {{oid: 1.3.3}}]}}
        columns:
          type: {{sources: [{{text: temperature}}]}}
          value: {{sources: [{{oid: 1.3.1, {source}}}]}}
    """
    columns = {"x": {1: raw}, "y": {}, "z": {}} | {name: {1: value} for name, value in others.items()}
    return rows_of(table, walked(**columns))[0].get("value")


NUMBERS: dict[str, tuple[str, Value, dict[str, Value], float | None]] = {
    "as it is": ("unknown: [99]", 7, {}, 7.0),
    "not known": ("unknown: [7, -1]", 7, {}, None),
    "tenths": ("scale: 0.1", 282, {}, 28.2),
    "idle is not load": ("scale: -1, add: 100", 93, {}, 7.0),
    "negative sent as unsigned": ("signed: 16", 65_526, {}, -10.0),
    "negative sent as negative": ("signed: 16", -10, {}, -10.0),
    "two words": ("high: 1.3.2", 1, {"y": 2}, 2.0**33 + 1),
    "a low word sent as negative": ("high: 1.3.2", -1, {"y": 1}, 2.0**33 - 1),
    "a sum": ("plus: [1.3.2], minus: [1.3.3]", 10, {"y": 5, "z": 1}, 14.0),
    "units and size": ("times: [1.3.2]", 3, {"y": 4096}, 12288.0),
    "millivolts by code": ("scale_code: 1.3.2", 5040, {"y": 8}, 5.04),
    "two decimals by code": ("scale_code: 1.3.2, precision: 1.3.3", 1242, {"y": 9, "z": 2}, 12.42),
    "mantissa and exponent": ("exponent: 1.3.2", 12, {"y": 7}, 12e-7),
    "a code that is none": ("scale_code: 1.3.2", 1, {"y": 99}, None),
    "milliwatts": ("scale: 0.001, convert: watts_to_dbm", 1, {}, 0.0),
    "no light": ("scale: 0.001, convert: watts_to_dbm", 0, {}, -40.0),
    "Fahrenheit": ("convert: fahrenheit_to_celsius", 212, {}, 100.0),
    "text with a unit": ("type: number_text", b"23.5 C", {}, 23.5),
    "a number within a text": ("type: number_text, pattern: 'at (\\S+)'", b"fan 1 at 4200rpm", {}, 4200.0),
    "text without a number": ("type: number_text", b"n/a", {}, None),
    "octets where a number should be": ("unknown: [0]", b"7", {}, None),
}


@pytest.mark.parametrize(("source", "raw", "others", "expected"), NUMBERS.values(), ids=NUMBERS.keys())
def test_a_number_is_computed_as_the_profile_says(
    source: str, raw: Value, others: dict[str, Value], expected: float | None
) -> None:
    if expected is None:  # the row counts only if it has what the subject needs, which a value is not
        assert one(source, raw, **others) is None
    else:
        assert one(source, raw, **others) == pytest.approx(expected, abs=1e-9)


MEANINGS = """
    subject: sensor
    index: {sensor: int}
    helpers:
      code: {sources: [{oid: 1.3.2}]}
    columns:
      name: {sources: [{oid: 1.3.1, type: text, pattern: '^(\\S+)'}]}
      type:
        sources:
          - oid: 1.3.1
            type: text
            when: {code: ["14"]}
            contains: {RECEIVE: optical_rx_power, send: optical_tx_power}
          - {oid: 1.3.2, values: {8: temperature, 4: voltage}}
      status: {sources: [{oid: 1.3.3, values: {1: "1", 2: "3"}}, {text: "2"}]}
    skip: {code: ["0"]}
"""


def test_meanings_conditions_and_filters() -> None:
    names = {1: b"p1 Receive", 2: b"p1 send", 3: b"inlet Receive", 4: b"gone", 5: b"odd", 6: b"p2 bias"}
    rows = rows_of(
        MEANINGS,
        walked(x=names, y={1: 14, 2: 14, 3: 8, 4: 0, 5: 99, 6: 14}, z={1: 1, 2: 2, 3: 7}),
    )
    told = [(row["name"], row["type"], row["status"]) for row in rows]
    assert told == [("p1", "optical_rx_power", 1), ("p1", "optical_tx_power", 3), ("inlet", "temperature", 2)]


BY_NUMBER = """
    subject: sensor
    index: {part: int}
    columns:
      type: {sources: [{text: module_state}]}
      value: {sources: [{oid: 1.3.1}]}
      status:
        sources:
          - {text: "1", when: {value: ["2"]}}
          - {text: "3"}
    skip: {value: ["1", "4"]}
"""


def test_a_number_is_spelled_in_conditions_as_the_device_tells_it() -> None:
    rows = rows_of(BY_NUMBER, walked(x={1: 1, 2: 2, 3: 41, 4: 4}))
    assert [(row["value"], row["status"]) for row in rows] == [(2.0, 1), (41.0, 3)]


JOINED = """
    subject: sensor
    index: {entity: int}
    columns:
      type: {sources: [{text: temperature}]}
      value: {sources: [{oid: 1.3.1}]}
      interface:
        sources:
          - {oid: 1.3.2, at: [entity, "0"], climb: 1.3.3, type: oid}
          - {text: "by name {entity}"}
"""


def test_a_sensor_belongs_to_the_port_that_contains_it() -> None:
    """3 in 2 in 1; 1 and 9 are ports; 9's container is 1; 5 and 6 contain each other."""
    rows = rows_of(
        JOINED,
        walked(
            x=dict.fromkeys((3, 5, 9), 20),
            y={(1, 0): (1, 3, 101), (9, 0): (1, 3, 109)},
            z={3: 2, 2: 1, 1: 0, 5: 6, 6: 5, 9: 1},
        ),
    )
    assert [row["interface"] for row in rows] == [(1, 3, 101), "by name 5", (1, 3, 109)]


INDEXED = """
    subject: bgp_peer
    index: {router: int, peer: inet}
    columns:
      vrf: {sources: [{oid: 1.3.2, at: [router], type: text}]}
      state: {sources: [{oid: 1.3.1}]}
"""


def test_a_peer_in_a_routing_instance_is_named_by_a_join() -> None:
    v4, v6 = (1, 1, 4, 10, 0, 0, 1), (2, 2, 16, *[0] * 15, 1)
    rows = rows_of(INDEXED, walked(x={v4: 6, v6: 1, (3, 9, 9): 6}, y={2: b"customer"}))
    assert [(row["peer"], row.get("vrf"), row["state"]) for row in rows] == [
        (IPv4Address("10.0.0.1"), None, 6),
        (IPv6Address("::1"), "customer", 1),
    ]


def test_what_a_row_needs_and_lacks_leaves_it_out() -> None:
    table = "{subject: address, index: {address: address}, columns: {interface: {sources: [{oid: 1.3.1}]}}}"
    assert rows_of(table, walked(x={(10, 0, 0, 1): 3, (10, 0, 0, 2): b"three"})) == [
        {"address": IPv4Address("10.0.0.1"), "interface": 3}
    ]


UNIQUE = """
    subject: interface
    index: {index: int}
    columns: {name: {unique: true, sources: [{oid: 1.3.1, type: text}, {oid: 1.3.2, type: text}]}}
"""


@given(
    st.dictionaries(
        st.integers(1, 9), st.tuples(st.sampled_from([b"a", b"b", b"c", b""]), st.sampled_from([b"a", b"x", b"y"]))
    )
)
def test_a_unique_name_is_never_that_of_two_rows(names: dict[int, tuple[bytes, bytes]]) -> None:
    rows = rows_of(UNIQUE, walked(x={i: n for i, (n, _) in names.items()}, y={i: d for i, (_, d) in names.items()}))
    given_names = [row["name"] for row in rows if "name" in row]
    assert len(set(given_names)) == len(given_names)
    firsts = [n for n, _ in names.values()]
    alone = {n.decode() for n in firsts if n and firsts.count(n) == 1}
    also_described = {d.decode() for n, d in names.values() if firsts.count(n) > 1 or not n}
    assert alone - also_described <= set(given_names)


# ---- many rows at once and one by one are the same ----------------------------------------------------------------

_INTEGERS = st.one_of(st.integers(0, 9), st.integers(-(2**31), 2**31), st.integers(0, 2**64 - 1))
_RAW: st.SearchStrategy[Value] = st.one_of(_INTEGERS, _INTEGERS, st.just(b"7"), st.just((1, 3)))
_COLUMN = st.dictionaries(st.integers(1, 6), _RAW, max_size=6)
_SOURCES = st.lists(
    st.builds(
        Source,
        oid=st.sampled_from([X, Y, Z]),
        plus=st.sampled_from([(), (Y,), (Z, X)]),
        minus=st.sampled_from([(), (Z,)]),
        unknown=st.sampled_from([(), (0,), (0, 2**31)]),
        bits=st.sampled_from([32, 64]),
    ),
    min_size=1,
    max_size=3,
)


@given(_COLUMN, _COLUMN, _COLUMN, _SOURCES)
def test_counters_by_column_are_those_cell_by_cell(
    x: dict[int, Value], y: dict[int, Value], z: dict[int, Value], sources: Sequence[Source]
) -> None:
    wanted = Wanted(tuple(sources))
    table = Table("interface", {"index": Part("int")}, {"in_octets": wanted})
    columns = walked(x=x, y=y, z=z)
    cells = cells_of(wanted, "int", sheet_of(table, {"in_octets": wanted}, columns))
    numbers = numbers_of(wanted, sheet_of(table, {"in_octets": wanted}, columns))
    told = [
        int(value) % 2**64 if ok else None
        for value, ok in zip(numbers.values.view(np.uint64), numbers.valid, strict=True)
    ]
    assert told == [None if value is None else value % 2**64 for value in cells.values]


# ---- indexes ------------------------------------------------------------------------------------------------------


def _arcs(kind: str, value: Any) -> Oid:
    octets = tuple(value.encode() if isinstance(value, str) else value) if isinstance(value, str | bytes) else ()
    spelling: dict[str, Any] = {
        "int": lambda: (value,),
        "address": lambda: tuple(value.packed),
        "octets": lambda: (len(octets), *octets),
        "text": lambda: (len(octets), *octets),
        "octets(3)": lambda: octets,
        "oid": lambda: (len(value), *value),
        "inet": lambda: ({4: 1, 6: 2}[value.version], len(value.packed), *value.packed),
        "inet_bare": lambda: ({4: 1, 6: 2}[value.version], *value.packed),
    }
    arcs: Oid = spelling[kind]()
    return arcs


_ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
_PARTS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(0, 2**32 - 1),
    "address": st.ip_addresses(v=4),
    "octets": st.binary(max_size=9),
    "octets(3)": st.binary(min_size=3, max_size=3),
    "text": st.text(max_size=5),
    "oid": st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple),
    "inet": _ADDRESSES,
    "inet_bare": _ADDRESSES,
}
_INDEX = st.lists(
    st.sampled_from(sorted(_PARTS)).flatmap(lambda kind: st.tuples(st.just(kind), _PARTS[kind])), min_size=1, max_size=4
)


@given(_INDEX)
def test_an_index_as_agents_spell_it_is_read_back(parts: list[tuple[str, Any]]) -> None:
    index = {f"part{number}": Part.parse(kind) for number, (kind, _) in enumerate(parts)}
    instance = tuple(arc for kind, value in parts for arc in _arcs(kind, value))
    assert parse_index(index, instance) == {f"part{number}": value for number, (_, value) in enumerate(parts)}
    assert parse_index(index, (*instance, 1)) is None


@given(st.sampled_from(sorted(_PARTS)), st.lists(st.integers(0, 2**32 - 1), max_size=24).map(tuple))
def test_any_instance_is_read_or_refused(kind: str, instance: Oid) -> None:
    found = parse_index({"part": Part.parse(kind)}, instance)
    assert found is None or _arcs(kind, found["part"])[:1] == instance[:1]
