"""Line protocol as others write it: what it says, and where and why it is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.store.line_parser import LineError, Parsed, Point, parse_line, parse_lines
from twin.store.lines import from_point, to_lines
from twin.vocab.blocks import Block


@pytest.mark.parametrize(("line", "point"), [
    ("m f=1i 5", Point("m", {}, {"f": 1}, 5)),
    ("m,a=b,c=d f=1,g=-2.5e3,h=.5 -5", Point("m", {"a": "b", "c": "d"}, {"f": 1.0, "g": -2500.0, "h": 0.5}, -5)),
    ("m f=1. 5", Point("m", {}, {"f": 1.0}, 5)),
    ("m f=18446744073709551615u,g=-9223372036854775808i 1", Point("m", {}, {"f": 2**64 - 1, "g": -(2**63)}, 1)),
    ("m f=t,g=FALSE,h=True 1", Point("m", {}, {"f": True, "g": False, "h": True}, 1)),
    (r"my\ m\,s,t\ a\=g=v\,a\ l f\ i\=e=1i 1", Point("my m,s", {"t a=g": "v,a l"}, {"f i=e": 1}, 1)),
    (r'm,p=C:\temp s="say \"a\" to \\t, a=1 \x" 1', Point("m", {"p": r"C:\temp"}, {"s": r'say "a" to \t, a=1 \x'}, 1)),
    ('m,q="a" s="" 1', Point("m", {"q": '"a"'}, {"s": ""}, 1)),
    ("m   f=1i   7  ", Point("m", {}, {"f": 1}, 7)),
    ("m=x,a=ü f=1i 1", Point("m=x", {"a": "ü"}, {"f": 1}, 1)),
])  # fmt: skip
def test_a_line_says(line: str, point: Point) -> None:
    assert parse_line(line) == point


@pytest.mark.parametrize(("line", "column", "reason"), [
    ("m", 2, "the fields are missing"),
    ("m,a=b", 6, "the fields are missing"),
    ("m f=1i", 7, "no time"),
    ("m f=1i ", 7, "no time"),
    ("m f=1i now", 7, "is not a time"),
    ("m f=1i 1 2", 7, "is not a time"),
    ("m,a f=1i 1", 2, "is not a tag"),
    ("m,a= f=1i 1", 2, "is not a tag"),
    ("m,a=b=c f=1i 1", 6, "is not a tag"),
    (",a=b f=1i 1", 1, "the measurement is missing"),
    ("m,a=b,a=c f=1i 1", 7, "tag a stands twice"),
    ("m f=1i,f=2i 1", 8, "field f stands twice"),
    ("m f 1", 3, "'f' is not a field"),
    ("m f=1i,=2 1", 8, "is not a field"),
    ("m f=1i, 5", 8, "is not a field"),
    ("m f=abc 1", 5, "'abc' is no number, text or boolean"),
    ("m f=1x,g=2 1", 5, "'1x' is no number"),
    ("m f=NaN 1", 5, "'NaN' is no number"),
    ("m f=1e999 1", 3, "too large"),
    ("m f=9223372036854775808i 1", 3, "does not fit 64 bits"),
    ("m f=18446744073709551616u 1", 3, "does not fit 64 bits"),
    ("m f=-1u 1", 5, "'-1u' is no number"),
    ('m f="open 1', 5, "not closed"),
    ('m f="a"b 1', 5, "is no number, text"),
])  # fmt: skip
def test_what_is_none_is_told_with_column_and_reason(line: str, column: int, reason: str) -> None:
    with pytest.raises(LineError, match=reason) as told:
        parse_line(line)
    assert told.value.column == column


def outcomes(buffer: bytes, *, final: bool = True) -> list[tuple[int, object]]:
    def brief(parsed: Parsed) -> object:
        return parsed.outcome.reason if isinstance(parsed.outcome, LineError) else parsed.outcome

    return [(parsed.line, brief(parsed)) for parsed in parse_lines(buffer, 1, final=final)]


def test_comments_blanks_windows_breaks_and_breaks_within_text() -> None:
    text = b'# made today\n\nm f=1i 1\r\nm s="two\nlines" 2\nm f=3i 3'
    told = [o for o in outcomes(text) if o[1] is not None]
    assert told == [
        (3, Point("m", {}, {"f": 1}, 1)),
        (4, Point("m", {}, {"s": "two\nlines"}, 2)),
        (6, Point("m", {}, {"f": 3}, 3)),
    ]


def test_a_text_that_is_never_closed_spoils_its_own_line_only() -> None:
    assert outcomes(b'm f="x 1\nm f=1i 1\n\xff\nm f=2i 2\n') == [
        (1, "a text is not closed by a quote"),
        (2, Point("m", {}, {"f": 1}, 1)),
        (3, "is not UTF-8"),
        (4, Point("m", {}, {"f": 2}, 2)),
    ]


def test_the_rest_of_a_buffer_waits_for_more() -> None:
    assert [line for line, _ in outcomes(b'm f=1i 1\nm s="two\nli', final=False)] == [1]
    assert [line for line, _ in outcomes(b"m f=1i 1\nm f=2", final=False)] == [1]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"device": TEXT, "sensor": TEXT},
        optional={
            "value": st.floats(allow_nan=False, allow_infinity=False),
            "type": TEXT | st.just("=zlib:3"),
            "status": st.integers(0, 2**64 - 1),
            "unit": st.just("long " * 20_000),
        },
    ).filter(lambda row: len(row) > 2),
    min_size=1,
    max_size=5,
)


def read_back(block: Block) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for parsed in parse_lines("\n".join(to_lines(block)).encode(), 1, final=True):
        assert isinstance(parsed.outcome, Point)
        keys, values, strange = from_point(parsed.outcome)
        assert not strange
        found.append(
            dict(zip(("device", "sensor"), keys, strict=True))
            | values
            | {"at": np.datetime64(parsed.outcome.time, "us")}
        )
    return found


@given(ROWS, st.integers(0, 7_258_118_399_999_999))
def test_whatever_is_written_is_read_back(rows: list[dict[str, object]], at: int) -> None:
    block = Block.from_rows("sensor", rows, at=np.datetime64(at, "us"))
    assert read_back(block) == block.rows()


@given(st.binary(max_size=200) | st.text('m,=f i1"\\\n 5u.', max_size=60).map(str.encode))
def test_no_bytes_stop_it_and_each_is_accounted_for(noise: bytes) -> None:
    spans = [(p.start, p.end) for p in parse_lines(noise, 1, final=True)]
    assert [start for start, _ in spans] == [0, *(end for _, end in spans)][: len(spans)]
    assert not noise or spans[-1][1] == len(noise)
