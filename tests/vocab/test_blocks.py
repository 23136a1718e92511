"""Blocks refuse what the schema does not know, and lose nothing on the way."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.vocab.blocks import Block, concat

AT = np.datetime64("2026-01-01T00:00:00", "us")


def interface(**fields: Any) -> dict[str, Any]:
    return {"device": "r1", "interface": "eth1", "at": AT} | fields


@given(st.lists(st.one_of(st.none(), st.integers(0, 2**64 - 1)), min_size=1, max_size=20))
def test_counters_keep_their_64_bits_and_gaps_stay_gaps(counts: list[int | None]) -> None:
    block = Block.from_rows("interface", [interface(in_octets=c) for c in counts])
    column = block.fields["in_octets"]
    assert [None if not ok else int(v) % 2**64 for v, ok in zip(column.values, column.valid, strict=True)] == counts


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([{"device": "r1", "at": AT}], "interface"),
        ([interface(colour="red")], "colour"),
        ([interface(in_octets=1.5)], "whole number"),
        ([interface(in_octets=2**64)], "64 bits"),
        ([{"device": "r1", "interface": "eth1"}], "at"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(rows: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Block.from_rows("interface", rows)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="weather"):
        Block.from_rows("weather", [])


def test_joining_blocks_marks_absent_fields_as_unmeasured() -> None:
    joined = concat(
        [
            Block.from_rows("interface", [interface(in_octets=1)]),
            Block.from_rows("interface", [interface(out_octets=2)]),
        ]
    )
    assert [("in_octets" in r, "out_octets" in r) for r in joined.rows()] == [(True, False), (False, True)]
