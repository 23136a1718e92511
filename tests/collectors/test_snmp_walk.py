"""Walking columns: complete on honest agents, finite on all others."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.failures import PollError
from collectors.snmp.walk import TooBigError
from collectors.snmp.wire import Oid, Value, Walk
from tests.collectors.tupled import walk_columns

A, B = (1, 3, 1), (1, 3, 2)
Varbinds = list[tuple[Oid, Value | None]]


def walk(bulk: object, columns: Sequence[Oid] = (A,), *, until: float = math.inf, **options: int) -> Walk:
    settings = {"repetitions": 25, "rows": 3, "max_rows": 100} | options
    return asyncio.run(walk_columns(bulk, columns, until=until, **settings))  # type: ignore[arg-type] # any callable serves here


tables = st.dictionaries(
    st.tuples(st.just(1), st.just(3), st.integers(0, 4), st.integers(0, 40)), st.integers(), max_size=80
)


@given(tables, st.integers(1, 30), st.integers(0, 30), st.integers(1, 60))
def test_everything_below_the_columns_is_walked_however_the_agent_truncates(
    table: dict[Oid, Value], repetitions: int, rows: int, most: int
) -> None:
    ordered = sorted(table)

    async def bulk(oids: Sequence[Oid], count: int) -> Varbinds:
        answer: Varbinds = []
        cursors = list(oids)
        for _ in range(count):
            for i, cursor in enumerate(cursors):
                here = next((oid for oid in ordered if oid > cursor), None)
                answer.append((cursor, None) if here is None else (here, table[here]))
                cursors[i] = here or cursor
        return answer[:most]

    got = walk(bulk, (A, B), repetitions=repetitions, rows=rows)
    assert dict(got.varbinds) == {oid: v for oid, v in table.items() if oid[:3] in (A, B)}
    assert len(got) == len(dict(got.varbinds))
    assert got.cut == ()


LOOPS = {
    "same object for ever": [[1], [1]],
    "series starts again": [[1, 2, 3, 1, 2, 3]],
    "goes back in the next response": [[1, 2, 3], [2, 3, 4]],
}


@pytest.mark.parametrize("responses", LOOPS.values(), ids=LOOPS.keys())
def test_a_looping_agent_ends_the_column_and_keeps_its_rows(responses: list[list[int]]) -> None:
    asked = 0

    async def bulk(_oids: Sequence[Oid], _count: int) -> Varbinds:
        nonlocal asked
        asked += 1
        answer: Varbinds = [((*A, row), row) for row in responses[min(asked, len(responses)) - 1]]
        return answer

    got = walk(bulk)
    assert [value for _, value in got.varbinds] == list(range(1, max(responses[0]) + 1))
    assert got.cut[0].startswith("1.3.1 does not increase after 1.3.1.")
    assert asked <= 2


def test_a_loop_in_one_column_leaves_the_other_whole() -> None:
    async def bulk(oids: Sequence[Oid], count: int) -> Varbinds:
        answer: Varbinds = [
            ((*oid[:3], 7) if oid[:3] == A else (*B, step + 1 + (oid[3] if len(oid) > 3 else 0)), step)
            for step in range(count)
            for oid in oids
        ]
        return answer[:12]

    got = walk(bulk, (A, B), max_rows=10)
    assert sum(oid[:3] == B for oid, _ in got.varbinds) == 10
    assert got.cut == ("1.3.1 does not increase after 1.3.1.7", "1.3.2 has more than 10 rows")


def test_an_endless_table_stops_at_the_allowed_rows() -> None:
    async def bulk(oids: Sequence[Oid], count: int) -> Varbinds:
        start = oids[0][3] if len(oids[0]) > 3 else 0
        return [((*A, start + i + 1), i) for i in range(count)]

    got = walk(bulk, max_rows=40)
    assert len(got) == 40
    assert got.cut == ("1.3.1 has more than 40 rows",)


def test_a_slow_table_is_cut_in_time_and_its_rows_are_kept() -> None:
    async def bulk(oids: Sequence[Oid], count: int) -> Varbinds:
        await asyncio.sleep(0.02)
        start = oids[0][3] if len(oids[0]) > 3 else 0
        return [((*A, start + i + 1), i) for i in range(count)]

    got = walk(bulk, until=time.monotonic() + 0.1, max_rows=10_000)
    assert 4 <= len(got) < 1000
    assert got.cut == ("out of time",)


def test_an_agent_that_says_too_big_is_asked_for_less() -> None:
    wanted: list[int] = []

    async def bulk(oids: Sequence[Oid], count: int) -> Varbinds:
        wanted.append(count)
        if count > 5:
            raise TooBigError
        start = oids[0][3] if len(oids[0]) > 3 else 0
        return [((*A, start + i + 1), i) if start + i < 20 else (A, None) for i in range(count)]

    assert len(walk(bulk, rows=20)) == 20
    assert wanted[0] > 5
    assert sum(count > 5 for count in wanted) <= 4


def test_silence_half_way_keeps_what_came() -> None:
    async def bulk(oids: Sequence[Oid], _count: int) -> Varbinds:
        if len(oids[0]) > 3:
            raise PollError("silent", "no answer")
        return [((*A, 1), 1), ((*A, 2), 2)]

    got = walk(bulk)
    assert [value for _, value in got.varbinds] == [1, 2]
    assert got.cut == ("no answer",)


def test_silence_from_the_start_is_a_failure() -> None:
    async def bulk(_oids: Sequence[Oid], _count: int) -> Varbinds:
        raise PollError("silent", "no answer")

    with pytest.raises(PollError, match="no answer"):
        walk(bulk)


def test_an_empty_response_ends_the_walk() -> None:
    async def bulk(_oids: Sequence[Oid], _count: int) -> Varbinds:
        return []

    assert walk(bulk).cut == ("the agent sent an empty response",)


def test_a_known_number_of_rows_needs_one_request() -> None:
    asked: list[int] = []

    async def bulk(oids: Sequence[Oid], count: int) -> Varbinds:
        asked.append(count)
        return [((*oid, i + 1), i) if i < 6 else ((2, 9), i) for i in range(count) for oid in oids]

    assert len(walk(bulk, (A, B), rows=6)) == 12
    assert asked == [7]
