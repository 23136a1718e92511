"""Where chunks end changes nothing of what a file says, and each byte of it is in one chunk."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.store.transfer import sources
from twin.store.transfer.line_rows import own_lines
from twin.store.transfer.sources import TextSource, csv_source, line_source

PRESENT = 1_764_072_000_000_000
EVENT = "event,device=r1,event=e,subject=s detail="
LINES = st.sampled_from([
    "device,device=r1 cpu_percent=1 1764072000", f'{EVENT}"two\nlines" 1764072000', f'{EVENT}"open 1764072000',
    'detail" 1', "# comment", "", "junk", "device,device=r2", "\r", "x,y=z a=1 1",
])  # fmt: skip
CELLS = st.sampled_from([
    "2025-11-25T12:00:00Z,r1,1", '2025-11-25T12:00:00Z,"r\n1",1', '2025-11-25T12:00:00Z,"r1,1', 'r"1', "", ",,", "junk",
    '2025-11-25T12:00:00Z,"r""1",', "2025-11-25T12:00:00Z,r1,x",
])  # fmt: skip


def said(source: TextSource) -> tuple[list[Any], list[Any]]:
    """(rows, refused lines) of all chunks."""
    chunks = list(source.chunks(0, 1))
    rows = [row for chunk in chunks for block in chunk.blocks for row in block.rows()]
    return sorted(map(str, rows)), [(r.line, r.column, r.reason, r.raw) for c in chunks for r in c.refused]


@pytest.mark.parametrize("form", ["line", "csv"])
@given(data=st.data(), size=st.integers(1, 90))
@settings(max_examples=60)
def test_chunks_of_any_size_say_the_same(form: str, data: st.DataObject, size: int) -> None:
    text = "\n".join(data.draw(st.lists(LINES if form == "line" else CELLS, max_size=12)))
    with TemporaryDirectory() as name:
        path = Path(name, f"x.{form}")
        path.write_text(text if form == "line" else f"time,device,cpu_percent\n{text}", newline="")

        def source() -> TextSource:
            if form == "line":
                return line_source(path, own_lines, "s", PRESENT)
            return csv_source(path, "device", PRESENT)

        whole = said(source())
        with patch.object(sources, "CHUNK", size):
            assert said(source()) == whole
            begun = [(chunk.offset, chunk.line) for chunk in source().chunks(0, 1)]
            for offset, line in begun[:1]:
                assert [(c.offset, c.line) for c in source().chunks(offset, line)] == begun[1:]
