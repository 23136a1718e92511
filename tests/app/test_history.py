"""History from elsewhere is read whole or refused with row and column."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from twin.app.history import read_history
from twin.vocab.errors import UsageError

HEAD = "time,device,interface,in_bps,out_bps\n"


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    text = HEAD + "2026-01-01T00:00:00Z,r1,eth1,100,\n2026-01-01T01:05:00+01:00,r1,eth1,5.5,7\n"
    (tmp_path / "h.csv").write_text(text)
    pl.read_csv(tmp_path / "h.csv", try_parse_dates=True).write_parquet(tmp_path / "h.parquet")
    for block in (read_history(tmp_path / "h.csv"), read_history(tmp_path / "h.parquet")):
        assert block.at.tolist() == np.array(["2026-01-01T00:00", "2026-01-01T00:05"], "datetime64[us]").tolist()
        assert block.fields["in_bps"].values.tolist() == [100.0, 5.5]
        assert block.fields["out_bps"].valid.tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("time,device,interface,in_bps\n", "h.csv:1: no column out_bps"),
        (HEAD.replace("\n", ",colour\n") + "2026-01-01,r1,e,1,1,red\n", "h.csv:1: colour: unknown column"),
        (HEAD + "2026-01-01T00:00:00Z,r1,e,1,1\nyesterday,r1,e,1,1\n", "h.csv:3: time: 'yesterday' is not"),
        (HEAD + "2026-01-01T00:00:00Z,r1,e,1,-1\n", "h.csv:2: out_bps: -1.0 is negative"),
        (HEAD + "2026-01-01T00:00:00Z,r1,e,fast,1\n", "h.csv: in_bps: holds something that is not a number"),
        (HEAD + "0001-01-01T00:00:00Z,r1,e,1,1\n", "h.csv:2: time: .*no past time"),
        (HEAD + "2199-01-01T00:00:00Z,r1,e,1,1\n", "h.csv:2: time: .*no past time"),
        (HEAD + "2026-01-01T00:01:00Z,r1,e,1,1\n", "h.csv:2: time: .*5-minute mark"),
        (HEAD + 2 * "2026-01-01T00:00:00Z,r1,e,1,1\n", "h.csv:3: stands twice: r1 e"),
        (HEAD + "2026-01-01T00:00:00Z,,e,1,1\n", "h.csv:2: device: is empty"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "h.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        read_history(path)


@pytest.mark.parametrize("name", ["h.xlsx", "none.csv", "bad.parquet"])
def test_what_is_no_table_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(UsageError, match=name):
        read_history(tmp_path / name)
