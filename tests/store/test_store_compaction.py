"""Which files are merged, as pure decisions: they lie well in the end, and no row is rewritten too often."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.store.compaction import FAN_IN, LARGE, LATE_SHARE, Candidate, to_merge

_NUMBER = count()


def file(rows: int, low: str = "a", high: str = "z") -> Candidate:
    return Candidate(f"f{next(_NUMBER)}", rows, rows * 10, low, high)


@pytest.mark.parametrize(("files", "over", "merged"), [
    ([], False, []),
    ([5], True, []),
    ([5] * 7, False, []),
    ([5] * 8, False, range(8)),
    ([1000, *[5] * 8], False, range(1, 9)),
    ([1, *[100] * 8, 10**6], False, range(9)),
    ([5, 5], True, [0, 1]),
    ([1000, 100], True, []),
    ([1000, 200], True, [0, 1]),
    ([1000, *[10] * 8], True, range(1, 9)),
    ([LARGE] * 8, False, []),
])  # fmt: skip
def test_what_is_merged(files: list[int], over: bool, merged: list[int]) -> None:
    known = [file(rows) for rows in files]
    assert to_merge(known, over=over) == [known[i].path for i in merged]


def test_a_sorted_run_lies_well() -> None:
    run = [file(100, "a", "c"), file(100, "d", "f"), file(100, "g", "k")]
    assert to_merge(run, over=True) == []
    late = file(10, "a", "k")
    assert to_merge([*run, late], over=True) == []
    assert len(to_merge([*run, replace(late, rows=60)], over=True)) == 4
    assert len(to_merge([*run, replace(run[0], path="x", low=None)], over=True)) == 4


@given(appended=st.lists(st.integers(1, 100), min_size=1, max_size=300))
def test_a_row_is_rewritten_once_for_each_factor_of_eight(appended: list[int]) -> None:
    files: list[Candidate] = []
    rewritten: Counter[str] = Counter()
    for rows in appended:
        files.append(file(rows))
        while merging := to_merge(files, over=False):
            together = file(sum(f.rows for f in files if f.path in merging))
            rewritten[together.path] = 1 + max(rewritten[path] for path in merging)
            files = [*(f for f in files if f.path not in merging), together]
    levels = log(sum(appended), FAN_IN) + 1
    assert max((rewritten[f.path] for f in files), default=0) <= levels + 1
    assert len(files) <= (FAN_IN - 1) * (levels + 1)
    loose = sum(f.rows for f in files) - max(f.rows for f in files)
    assert len(to_merge(files, over=True)) == (len(files) if LATE_SHARE * loose >= sum(f.rows for f in files) else 0)


def rewritten(files: list[Candidate], *, over: bool, rows_a_file: int) -> int:
    """Merge as upkeep does, into files of at most so many rows; how many rows were written for it."""
    written = 0
    while merging := to_merge(files, over=over):
        rows = sum(f.rows for f in files if f.path in merging)
        parts = [min(rows_a_file, rows - start) for start in range(0, rows, rows_a_file)]
        files[:] = [f for f in files if f.path not in merging]
        files += [file(part, f"d{i:03}", f"d{i:03}") for i, part in enumerate(parts)]
        written += rows
    return written


def test_a_day_of_minutes_is_written_three_times_more_and_its_late_rows_do_not_rewrite_it() -> None:
    files: list[Candidate] = []
    written = 0
    for _ in range(1440):
        files.append(file(40_000))
        written += rewritten(files, over=False, rows_a_file=2_000_000)
    written += rewritten(files, over=True, rows_a_file=2_000_000)
    assert len(files) == 29
    assert written <= 3.2 * 1440 * 40_000
    late = 0
    for _ in range(500):
        files.append(file(1000))
        late += rewritten(files, over=True, rows_a_file=2_000_000)
        assert len(files) < 29 + 3 * FAN_IN
    assert late <= 4 * 500 * 1000
