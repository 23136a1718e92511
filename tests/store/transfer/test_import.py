"""Files into a store: what they say comes in, what can't be stored is told, nothing is doubled or lost on the way."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from twin.store import Store, StoreError, open_delta
from twin.store.transfer import Imported, ImportPlan, import_file, read_mapping
from twin.store.transfer.marks import only_one
from twin.vocab.errors import InputError, UsageError

CASES = Path(__file__).with_name("cases")
ROOT = Path(__file__).resolve().parents[3]
PRESENT = datetime(2026, 11, 25, 12, tzinfo=UTC)
FIRST, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)


def silent(_done: float, _total: float, _what: str) -> None:
    """No progress."""


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with open_delta(tmp_path / "store") as opened:
        yield opened


Import = Callable[..., Imported]


@pytest.fixture
def imported(tmp_path: Path, store: Store) -> Import:
    """A text into the store, as a file of that name, with a plan's options."""

    def run(name: str, content: str | bytes, mapping: str | None = None, **options: Any) -> Imported:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        made = read_mapping(ROOT / f"configs/mappings/{mapping}.yaml") if mapping else None
        return import_file(store, path, ImportPlan(tmp_path / "marks", mapping=made, **options), PRESENT, silent)

    return run


def rows(store: Store, kind: str) -> list[dict[str, Any]]:
    found = store.range(kind, None, FIRST, END).rows()
    return [row | {"at": str(row["at"])} for row in found]


def test_telegraf_s_lines_come_in_by_its_mapping(store: Store, imported: Import) -> None:
    done = imported("telegraf.lp", (CASES / "telegraf.lp").read_text(), "telegraf", rename={"10.0.0.7": "sw7"})
    assert rows(store, "device") == [{"device": "loaner", "at": "2019-12-05T01:36:55.000000", "uptime_cs": 11331974}]
    example, sw7 = rows(store, "interface")
    assert example == {
        "device": "example.org", "interface": "eth0", "at": "2019-12-05T01:36:55.000000", "in_errors": 7,
        "out_errors": 0, "in_discards": 0, "out_discards": 0, "speed_bps": 1_000_000_000, "admin_status": 1,
        "oper_status": 1, "index": 2,
    }  # fmt: skip
    assert sw7 == {
        "device": "sw7", "interface": "Gi0/1", "at": "2019-12-05T01:36:55.000000", "in_octets": 2**63 - 1,
        "out_octets": 5, "in_packets": 6, "counter_bits": 64, "speed_bps": 10_000_000_000, "oper_status": 1,
    }  # fmt: skip
    assert done.unmapped == {"docker": 1, "interface.sysUser": 1, "interface.ifHCOutUcastPkts": 1}
    assert done.left_out["interface.ifInOctets"] == 1
    assert (done.rows, done.refused) == (3, 0)


def test_librenms_lines_come_in_by_its_mapping(store: Store, imported: Import) -> None:
    done = imported("librenms.lp", (CASES / "librenms.lp").read_text(), "librenms")
    (port,) = rows(store, "interface")
    assert (port["device"], port["interface"], port["in_octets"]) == ("r1.example", "xe-0/0/1", 1_500_000_000_000)
    assert (port["in_packets"], port["at"]) == (13, "2025-11-25T12:00:00.000000")
    assert [r["load_percent"] for r in rows(store, "processor")] == [37.0]
    assert [(r["pool"], r["total_bytes"]) for r in rows(store, "memory_pool")] == [("junos system 1", 400)]
    (sensor,) = rows(store, "sensor")
    assert (sensor["sensor"], sensor["type"], sensor["value"]) == (
        "FPC 0 (temperature junos 7.1)",
        "temperature",
        41.5,
    )
    assert (done.refused, done.unmapped) == (1, {})
    assert done.examples[0].endswith("librenms.lp:2: no tag ifName, which names the interface")


def test_what_influx_inspect_exports_comes_in_field_by_field(store: Store, imported: Import) -> None:
    """The form of influxdata/influxdb's importer: statements first, then a line for each field."""
    text = (
        "# INFLUXDB EXPORT: 1677-09-21T00:12:43Z - 2262-04-11T23:47:16Z\n# DDL\nCREATE DATABASE telegraf\n# DML\n"
        "# CONTEXT-DATABASE:telegraf\n# CONTEXT-RETENTION-POLICY:autogen\n# writing tsm data\n"
        "ifXTable,source=r1,ifName=e1 ifHCInOctets=7i 1764072000000000000\n"
        "ifXTable,source=r1,ifName=e1 ifHCOutOctets=8i 1764072000000000000\n"
    )
    assert imported("dump", text, "telegraf").refused == 0
    (row,) = rows(store, "interface")
    assert (row["in_octets"], row["out_octets"], row["counter_bits"]) == (7, 8, 64)


def test_32_bit_counters_have_a_mapping_of_their_own(store: Store, imported: Import) -> None:
    imported("telegraf.lp", (CASES / "telegraf.lp").read_text(), "telegraf-32bit")
    row = next(r for r in rows(store, "interface") if r["device"] == "example.org")
    assert (row["in_octets"], row["counter_bits"], row["in_packets"]) == (3852386380, 32, 3634025)


@pytest.mark.parametrize(("stamp", "precision"), [
    ("1764072000", ""), ("1764072000000", ""), ("1764072000000000", ""), ("1764072000000000999", ""),
    ("1764072000", "s"), ("1764072", "auto-less"),
])  # fmt: skip
def test_times_of_every_precision(store: Store, imported: Import, stamp: str, precision: str) -> None:
    if precision == "auto-less":  # in seconds this is January 1970, and so it is when the operator says milliseconds
        imported("a.lp", f"device,device=r1 cpu_percent=1 {stamp}\n", precision="ms")
        assert rows(store, "device")[0]["at"] == "1970-01-01T00:29:24.072000"
        return
    imported("a.lp", f"device,device=r1 cpu_percent=1 {stamp}\n", precision=precision)
    assert rows(store, "device")[0]["at"] == "2025-11-25T12:00:00.000000"


BAD_LINES = """# nettwin line protocol, times in us
device,device=r1 cpu_percent=1 1
device,device=r2 cpu_percent= 1
device,device=r3 uptime_cs=1.5 1
interface,device=r4 in_octets=1i 1
device,device=r5 cpu_percent=2,colour="red" 1
unknown,device=r6 x=1i 1
device,device=r7 cpu_percent=1 99999999999999999
device,device=r8 cpu_percent="much" 1
"""


def test_bad_lines_are_set_aside_with_line_column_and_reason(store: Store, imported: Import, tmp_path: Path) -> None:
    done = imported("bad.lp", BAD_LINES)
    assert [r["device"] for r in rows(store, "device")] == ["r1", "r5"]
    file = tmp_path / "bad.lp"
    assert list(done.examples) == [
        f"{file}:3:30: nothing is no number, text or boolean",
        f"{file}:4: uptime_cs: 1.5 is not a whole number",
        f"{file}:5: no tag interface, which names the interface",
        f"{file}:8: its time is outside the years 1970 to 2199",
        f"{file}:9: cpu_percent: 'much' is not a number",
    ]
    assert done.refused == 5
    assert done.unmapped == {"device.colour": 1, "unknown": 1}
    assert done.refused_file is not None
    lines = BAD_LINES.splitlines(keepends=True)
    assert done.refused_file.read_text() == "".join([lines[0], *lines[2:5], *lines[7:]])
    assert len(done.refused_file.with_name(f"{done.refused_file.name}.reasons").read_text().splitlines()) == 5


CSV = """kind,time,device,sensor,value,type,status
sensor,2026-11-24T12:00:00.000001Z,r1,t1,1.5,temperature,18446744073709551615
sensor,2026-11-24T13:00:00+01:00,r1,"t,""1""
two",,"",1
sensor,2026-11-24T12:00:00,r1,,1,x,1
sensor,yesterday,r1,t1,1,x,1
sensor,2026-11-24T12:00:00,r1,t1,fast,x,1
sensor,2026-11-24T12:00:00,r1,t1
poll,2026-11-24T12:00:00,r1,t1,1,x,1
sensor,2026-11-24T12:00:00,r1,t1,inf,x,1
sensor,2026-11-24T12:00:00,r1,a"b,1,x,1
sensor,2026-11-24T12:00:00,r1,last,,,
sensor,2026-11-24T12:00:01,r1,last,=1+1,=HYPERLINK(),
sensor,2026-11-24T12:00:01,r1,=SUM(),2,,
"""


def test_csv_comes_in_cell_by_cell(store: Store, imported: Import, tmp_path: Path) -> None:
    done = imported("bad.csv", CSV)
    found = rows(store, "sensor")
    assert found == [
        {"device": "r1", "sensor": "=SUM()", "at": "2026-11-24T12:00:01.000000", "value": 2.0},
        {"device": "r1", "sensor": 't,"1"\ntwo', "at": "2026-11-24T12:00:00.000000", "type": "", "status": 1},
        {"device": "r1", "sensor": "t1", "at": "2026-11-24T12:00:00.000001", "value": 1.5, "type": "temperature",
         "status": -1},
    ]  # fmt: skip
    reasons = (tmp_path / "marks").glob("bad.csv*.reasons").__next__().read_text().splitlines()
    assert [line.removeprefix(f"{tmp_path}/bad.csv:") for line in reasons] == [
        "5:31: sensor: is empty",
        "6:8: time: 'yesterday' is not an ISO 8601 time",
        "7:34: value: 'fast' is not a number",
        "8:1: 4 cells, not 7",
        "9:1: kind: 'poll' among rows of sensor: one kind a file",
        "10:34: value: 'inf' is not a finite number",
        "11:31: a quote stands where none can",
        "13:36: value: '=1+1' is not a number",
    ]
    assert done.refused == 8


def test_what_was_refused_can_be_mended_and_imported_again(imported: Import, tmp_path: Path, store: Store) -> None:
    done = imported("bad.csv", CSV)
    assert done.refused_file is not None
    again = imported("mended.csv", done.refused_file.read_text().replace("yesterday", "2026-11-23T00:00:00Z"))
    assert again.rows == 1


HISTORY = """time,device,interface,in_bps,out_bps
2026-01-01T00:00:00Z,r1,eth1,100,
2026-01-01T01:05:00+01:00,r1,eth1,5.5,7
2026-01-01T00:10:00Z,r1,eth1,-1,
2026-01-01T00:11:00Z,r1,eth1,1,
2199-01-01T00:00:00Z,r1,eth1,1,
"""


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_history_of_rates_is_a_table_of_five_minute_means(
    store: Store, imported: Import, tmp_path: Path, form: str
) -> None:
    content = HISTORY.encode()
    if form == "csv.gz":
        content = gzip.compress(content, mtime=0)
    if form == "parquet":
        pl.read_csv(content, try_parse_dates=True).write_parquet(tmp_path / "made")
        content = (tmp_path / "made").read_bytes()
    done = imported(f"history.{form}", content)
    assert rows(store, "interface_rate") == [
        {"device": "r1", "interface": "eth1", "at": "2026-01-01T00:00:00.000000", "in_bps": 100.0},
        {"device": "r1", "interface": "eth1", "at": "2026-01-01T00:05:00.000000", "in_bps": 5.5, "out_bps": 7.0},
    ]
    assert [reason.rpartition(": ")[2] for reason in done.examples] == [
        "in_bps is negative",
        "rates are 5-minute means",
        "history is what was",
    ]


@pytest.mark.parametrize(("name", "content", "complaint"), [
    ("none.lp", "", "none.lp: holds no rows"),
    ("bad.lp", "what\never\n", "bad.lp:1:5: the fields are missing; all 2 lines are refused"),
    ("other.lp", "docker,host=a cpu=1 1764072000\n", "nothing in it is mapped .docker.: name a mapping with --map"),
    ("bad.csv", "time,device\n", r"its columns .time, device. fit no kind: name one with --kind"),
    ("bad.csv", "time,device,interface,in_bps,in_bps\n", "in_bps: this column stands twice"),
    ("bad.csv", "kind,time,device,value\nsensor,2026-11-24,r1,1\n", "no column sensor, which kind sensor needs"),
    ("bad.csv", "kind,time,device,sensor,colour\nsensor,2026-11-24,r1,1,1\n", "bad.csv:1: colour: unknown column"),
    ("bad.parquet", "no parquet", "bad.parquet: can't be read"),
    ("bad.lp.gz", gzip.compress(b"device,device=r1 cpu_percent=1 1764072000\n" * 9, mtime=0)[:40], "can't be read"),
])  # fmt: skip
def test_a_file_that_is_all_bad_is_an_error(imported: Import, name: str, content: str | bytes, complaint: str) -> None:
    with pytest.raises((UsageError, InputError), match=complaint):
        imported(name, content)


def test_a_dry_run_reads_all_and_leaves_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "bad.lp").write_text(BAD_LINES)
    done = import_file(None, tmp_path / "bad.lp", ImportPlan(tmp_path / "marks"), PRESENT, silent)
    assert (done.rows, done.refused, len(done.examples), done.refused_file) == (2, 5, 5, None)
    assert store.health().kinds == ()
    assert not (tmp_path / "marks").exists()


def test_importing_again_replaces(store: Store, imported: Import) -> None:
    imported("a.lp", "device,device=r1 cpu_percent=1 1764072000\n")
    imported("b.lp", "device,device=r1 cpu_percent=2 1764072000\n")
    imported("a.lp", "device,device=r1 cpu_percent=1 1764072000\n")
    assert [r["cpu_percent"] for r in rows(store, "device")] == [1.0]


@pytest.mark.parametrize("form", ["lp", "csv"])
def test_lines_longer_than_a_chunk_and_texts_never_closed(
    store: Store, imported: Import, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for module in ("line_parser", "transfer.csv_rows", "transfer.sources"):
        monkeypatch.setattr(f"twin.store.{module}.LONGEST_LINE", 80_000)
    monkeypatch.setattr("twin.store.transfer.sources.CHUNK", 5_000)
    long = "line\n" * 10_000
    if form == "lp":
        rest = "".join(f"device,device=r1 cpu_percent=1 {10**9 + i}\n" for i in range(5000))
        text = (
            f'record,device=r1,record=y content="{long}" 1764072000\nrecord,device=r2,record=y content="never\n{rest}'
        )
    else:
        rest = "".join(f"1970-01-01T00:00:01Z,r{i},x,a\n" for i in range(5000))
        text = f'time,device,record,content\n2025-11-25,r1,y,"{long}"\n2025-11-25,r2,y,"never\n{rest}'
    done = imported(f"long.{form}", text)
    assert (done.refused, done.rows) == (1, 5001)
    (kept,) = store.range("record", {"record": "y"}, FIRST, END, ["content"]).rows()
    assert kept["content"] == long


def test_one_file_is_imported_by_one_process_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path / "x.lock", "x"):
        again = only_one(tmp_path / "x.lock", "x")
        with pytest.raises(StoreError, match="x: another process is at it"):
            again.__enter__()
        assert (tmp_path / "x.lock").exists()
    assert not (tmp_path / "x.lock").exists()


CHILD = """
import os, signal, sys
from datetime import datetime, UTC
from pathlib import Path
from twin.store import open_delta
from twin.store.transfer import ImportPlan, import_file, sources
sources.CHUNK = 60_000
folder, left = Path(sys.argv[1]), int(sys.argv[2])

class Dying:
    def write(self, blocks, batch=None):
        global left
        store.write(blocks, batch)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

with open_delta(folder / "store") as store:
    done = import_file(Dying(), folder / "big.lp.gz", ImportPlan(folder / "marks"), datetime.now(UTC),
                       lambda d, t, w: print(w, flush=True))
print("done", done.rows, done.refused, done.resumed, flush=True)
"""


def import_big(folder: Path, dies_after_writes: int, kill_after_s: float | None) -> str:
    """A process that imports, killed at that moment after its second chunk, if any; what it said last."""
    argv = [sys.executable, "-c", CHILD, str(folder), str(dies_after_writes)]
    last = ""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        for told, line in enumerate(child.stdout):
            last = line
            if told == 2 and kill_after_s is not None:
                time.sleep(kill_after_s)
                child.send_signal(signal.SIGKILL)
                break
    return last


def test_killed_at_any_moment_it_goes_on_and_doubles_nothing(tmp_path: Path) -> None:
    """Stored rows and refused lines are counted as they lie on disk: a chunk written twice would show."""
    lines = [
        f"interface,device=r{i % 7},interface=e{i} in_octets={i}i,out_octets={i}i {10**9 + i}" for i in range(9000)
    ]
    lines[4000] = lines[8999] = "broken"
    text = "\n".join(["# nettwin line protocol, times in us", *lines])
    (tmp_path / "big.lp.gz").write_bytes(gzip.compress(text.encode()))
    assert not any("done" in import_big(tmp_path, writes, None) for writes in (1, 2))  # between a write and its mark
    assert not any("done" in import_big(tmp_path, 0, moment) for moment in (0, 0.01))
    assert import_big(tmp_path, 0, None).split() == ["done", "8998", "2", "True"]
    with open_delta(tmp_path / "store") as store:
        assert [kind.rows for kind in store.health().kinds] == [8998]
    (refused,) = (tmp_path / "marks").glob("*.refused")
    assert refused.read_text().splitlines()[1:] == ["broken", "broken"]
    assert not list((tmp_path / "marks").glob("*.mark"))


GREEDY = """
import resource, sys
from datetime import datetime, UTC
from pathlib import Path
from twin.store.transfer import ImportPlan, import_file, sources
sources.CHUNK = 1 << 20

class Nowhere:
    def write(self, blocks, batch):
        pass

folder, name = Path(sys.argv[1]), sys.argv[2]
done = import_file(Nowhere(), folder / name, ImportPlan(folder / "marks"), datetime.now(UTC), lambda d, t, w: None)
print(done.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """200,000 lines against a tenth of that, in MB; the larger file packed."""
    lines = [f"device,device=r{i % 50} cpu_percent={i % 100}.5,uptime_cs={i}i {10**9 + i}\n" for i in range(200_000)]
    (tmp_path / "small.lp").write_text("".join(lines[:20_000]))
    (tmp_path / "large.lp.gz").write_bytes(gzip.compress("".join(lines).encode(), 1))
    used = []
    for name, rows in (("small.lp", 20_000), ("large.lp.gz", 200_000)):
        argv = [sys.executable, "-c", GREEDY, str(tmp_path), name]
        told = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
        assert int(told[0]) == rows
        used.append(int(told[1]))
    assert used[1] - used[0] < 30
