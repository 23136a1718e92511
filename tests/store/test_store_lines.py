"""Line protocol: the text itself, and the way back from InfluxDB's JSON (without a server)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.store.lines import LONGEST_TEXT, from_stored_tag, series_keys, stored_tag, to_lines, to_tag
from twin.vocab.blocks import Block

AT = np.datetime64("1970-01-01T00:00:01.000002", "us")


def lines(kind: str, **row: object) -> list[str]:
    return to_lines(Block.from_rows(kind, [row], at=AT))


@pytest.mark.parametrize(("line", "row"), [
    ("device,device=r1 uptime_cs=7i,cpu_percent=0.1 1000002", {"device": "r1", "uptime_cs": 7, "cpu_percent": 0.1}),
    ("device,device=r1 uptime_cs=-1i 1000002", {"device": "r1", "uptime_cs": 2**64 - 1}),
    ("device,device=a\\ b\\,c\\=d cpu_percent=1e+300 1000002", {"device": "a b,c=d", "cpu_percent": 1e300}),
    ("device,device=a%5C%25%0A cpu_percent=1.0 1000002", {"device": "a\\%\n", "cpu_percent": 1}),
    ("device,device=% cpu_percent=1.0 1000002", {"device": "", "cpu_percent": 1}),
])  # fmt: skip
def test_a_row_is_one_line(line: str, row: dict[str, object]) -> None:
    assert lines("device", **row) == [line]


def test_text_is_quoted() -> None:
    (line,) = lines("record", device="r1", record="config", content='a "b" \\\n')
    assert line == 'record,device=r1,record=config content="a \\"b\\" \\\\\n" 1000002'


@given(st.text())
def test_tags_come_back(name: str) -> None:
    assert from_stored_tag(stored_tag(name)) == name
    assert series_keys("device", f"device,device={to_tag(name)}") == {"device": name}


def test_no_field_is_longer_than_the_server_takes() -> None:
    content = "".join(chr(i % 50_000 + 200) for i in range(0, 5_000_000, 37))
    (line,) = lines("record", device="r1", record="config", content=content)
    assert max(len(part) for part in line.split('"')) <= LONGEST_TEXT
