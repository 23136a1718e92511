"""What is exported is imported again exactly, whatever the format; what was cut off goes on where it was."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from twin.store import Store, open_delta
from twin.store.transfer import ExportPlan, Format, ImportPlan, export, import_file, output_of
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]
PRESENT = datetime(2026, 11, 25, 12, tzinfo=UTC)
FIRST, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)
DAY = timedelta(days=1)


def silent(_done: float, _total: float, _what: str) -> None:
    """No progress."""


def files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and p.name != "export.json")


def everything(store: Store, kinds: Sequence[str]) -> list[list[dict[str, Any]]]:
    return [store.range(kind, None, FIRST, END).rows() for kind in kinds]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ['a "b",\r\n=1+1', "", "=zlib:1", "#x"]
)
COUNTER = st.integers(0, 2**64 - 1)
AT = st.integers(0, 3 * 86_400 * 10**6).map(
    lambda us: np.datetime64("2026-11-20T00:00", "us") + np.timedelta64(us, "us")
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SENSORS = st.fixed_dictionaries(
    {"device": TEXT, "sensor": TEXT, "at": AT},
    optional={"value": FINITE, "type": TEXT, "status": COUNTER, "unit": TEXT},
)
INTERFACES = st.fixed_dictionaries(
    {"device": TEXT, "interface": TEXT, "at": AT},
    optional={"in_octets": COUNTER, "speed_bps": COUNTER, "uptime_cs": COUNTER},
)


@pytest.mark.parametrize("form", ["line", "csv", "parquet"])
@given(sensors=st.lists(SENSORS, min_size=1, max_size=8), interfaces=st.lists(INTERFACES, min_size=1, max_size=8))
@settings(max_examples=10, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_what_is_exported_comes_back_exactly(
    form: Format, sensors: list[dict[str, Any]], interfaces: list[dict[str, Any]]
) -> None:
    kinds = ("sensor", "interface")
    with TemporaryDirectory() as name, open_delta(Path(name, "a")) as store, open_delta(Path(name, "b")) as other:
        store.write([Block.from_rows("sensor", sensors), Block.from_rows("interface", interfaces)])
        wanted = everything(store, kinds)
        if not any(wanted):
            return
        plan = ExportPlan(kinds, form)
        export(store, plan, output_of(plan, Path(name, "out"), folder=True), PRESENT, silent)
        for file in files_of(Path(name, "out")):
            assert import_file(other, file, ImportPlan(Path(name, "marks")), PRESENT, silent).refused == 0
        assert everything(other, kinds) == wanted


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """Three days of two kinds: 8 interfaces of 4 devices, every 6 hours; one configuration."""
    with open_delta(tmp_path / "store") as opened:
        for step in range(12):
            at = np.datetime64("2026-11-20T01:00", "us") + np.timedelta64(6 * step, "h")
            rows = [
                {"device": f"r{i // 2}", "interface": f"e{i % 2}", "in_octets": 2**63 + step, "oper_status": 1}
                for i in range(8)
            ]
            opened.write([Block.from_rows("interface", rows, at=at)])
        text = {"device": "r1", "record": "config", "content": 'hostname "r1"\nend\n' * 9000, "sha256": "x"}
        opened.write([Block.from_rows("record", [text], at=np.datetime64("2026-11-21T01:00", "us"))])
        yield opened


def exported(store: Store, plan: ExportPlan, where: Path, *, folder: bool = False) -> Any:
    return export(store, plan, output_of(plan, where, folder=folder), PRESENT, silent)


@pytest.mark.parametrize("name", ["all.lp", "all.lp.gz"])
def test_all_kinds_in_one_file_of_lines(store: Store, tmp_path: Path, name: str) -> None:
    plan = ExportPlan(("interface", "record"), "line")
    assert exported(store, plan, tmp_path / name).rows == 97
    with open_delta(tmp_path / "other") as other:
        import_file(other, tmp_path / name, ImportPlan(tmp_path / "marks"), PRESENT, silent)
        assert everything(other, plan.kinds) == everything(store, plan.kinds)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("all")) == [name]


def read_csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, schema_overrides={"in_octets": pl.UInt64})


@pytest.mark.parametrize(("form", "read"), [("csv", read_csv), ("parquet", pl.read_parquet)])
def test_one_table_is_readable_by_others(
    store: Store, tmp_path: Path, form: Format, read: Callable[[Path], pl.DataFrame]
) -> None:
    plan = ExportPlan(("interface",), form, end=PRESENT - 3 * DAY, devices=("r1",), fields=("in_octets",))
    assert exported(store, plan, tmp_path / f"t.{form}").rows == 20
    frame = read(tmp_path / f"t.{form}")
    assert frame.columns == ["kind", "time", "device", "interface", "in_octets"]
    assert frame["in_octets"].max() == 2**63 + 9


def test_the_form_of_csv(store: Store, tmp_path: Path) -> None:
    exported(store, ExportPlan(("interface",), "csv", fields=("in_octets", "speed_bps")), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[:2] == [
        "kind,time,device,interface,in_octets,speed_bps",
        'interface,2026-11-20T01:00:00.000000Z,"r0","e0",9223372036854775808,',
    ]


def test_a_stream_is_the_same_as_a_file(store: Store, tmp_path: Path) -> None:
    plan = ExportPlan(("interface",), "csv")
    sink = io.BytesIO()
    export(store, plan, output_of(plan, sink, folder=False), PRESENT, silent)
    exported(store, plan, tmp_path / "t.csv")
    assert sink.getvalue() == (tmp_path / "t.csv").read_bytes()


def test_memory_is_bounded_by_devices_at_a_time(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ExportPlan(("interface",), "parquet")
    whole = exported(store, plan, tmp_path / "whole", folder=True)
    monkeypatch.setattr("twin.store.transfer.exporting.FIRST_SERIES", 2)
    monkeypatch.setattr("twin.store.transfer.exporting.ROWS_AT_ONCE", 8)
    apart = exported(store, plan, tmp_path / "apart", folder=True)
    assert (whole.rows, whole.parts, apart.rows, apart.parts) == (96, 3, 96, 12)
    assert pl.read_parquet(tmp_path / "apart/interface").equals(pl.read_parquet(tmp_path / "whole/interface"))


CASES = [
    (ExportPlan(("interface", "record"), "csv"), "t.csv", "one kind a file"),
    (ExportPlan(("interface",), "csv"), "taken.csv", "is there already"),
    (ExportPlan(("interface",), "parquet"), "taken.parquet", "is there already"),
    (ExportPlan(("interface",), "csv"), "full", "holds something else"),
    (ExportPlan(("colour",), "csv"), "t.csv", "unknown kind 'colour'"),
    (ExportPlan(("interface",), "csv", fields=("colour",)), "t.csv", "no field colour; it has in_octets, "),
    (ExportPlan(("interface",), "csv", start=PRESENT, end=PRESENT), "t.csv", "nothing lies between"),
    (ExportPlan(("interface",), "csv", devices=("r9",)), "t.csv", "holds nothing of interface"),
    (ExportPlan(("bgp_peer",), "csv"), "t.csv", "holds nothing of bgp_peer"),
    (ExportPlan(("interface",), "csv", devices=("r9",)), "new", "holds nothing of interface"),
    (ExportPlan(("interface",), "parquet", devices=("r9",)), "t.parquet", "holds nothing of interface"),
]


@pytest.mark.parametrize(("plan", "name", "complaint"), CASES)
def test_what_can_t_be_exported_is_told(
    store: Store, tmp_path: Path, plan: ExportPlan, name: str, complaint: str
) -> None:
    (tmp_path / "taken.csv").touch()
    (tmp_path / "taken.parquet").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thing").touch()
    before = sorted(tmp_path.rglob("[!s]*"))
    with pytest.raises(UsageError, match=complaint):
        exported(store, plan, tmp_path / name, folder=name in {"full", "new"})
    assert sorted(tmp_path.rglob("[!s]*")) == before


def test_another_export_never_goes_on_in_its_place(store: Store, tmp_path: Path) -> None:
    plan = ExportPlan(("interface",), "csv")
    exported(store, plan, tmp_path / "out", folder=True)
    with pytest.raises(UsageError, match="is there already, whole, up to 2026-11-25 12:00:00 UTC: export what is new"):
        exported(store, plan, tmp_path / "out", folder=True)
    with pytest.raises(UsageError, match="another export was begun there"):
        exported(store, ExportPlan(("interface",), "csv", devices=("r1",)), tmp_path / "out", folder=True)


CHILD = """
import os, signal, sys
from datetime import datetime, UTC
from pathlib import Path
from twin.store import open_delta
from twin.store.transfer import ExportPlan, export, outputs, output_of
folder, form, name, left = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
plan, write_manifest = ExportPlan(("interface",), form), outputs.write_manifest

def dying(path, manifest):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    write_manifest(path, manifest)

outputs.write_manifest = dying
with open_delta(folder / "store") as store:
    done = export(store, plan, output_of(plan, folder / name, folder=not Path(name).suffix), datetime.now(UTC),
                  lambda d, t, w: None)
print("done", done.rows, done.resumed, flush=True)
"""


def export_in_process(folder: Path, form: str, name: str, *, dies_before_manifest: int = 0) -> str:
    """A process that exports and, as told, is killed after it wrote a day and before it noted that; what it said."""
    argv = [sys.executable, "-c", CHILD, str(folder), form, name, str(dies_before_manifest)]
    return subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False).stdout


def content_of(path: Path) -> list[bytes]:
    """Of a file or of a folder's files; packed ones unpacked."""
    raws = [file.read_bytes() for file in files_of(path)]
    return [gzip.decompress(raw) if path.suffix == ".gz" else raw for raw in raws]


@pytest.mark.parametrize(("form", "name"), [("line", "t.lp.gz"), ("csv", "out"), ("parquet", "t.parquet")])
def test_killed_at_any_moment_it_goes_on_with_the_day_it_was_at(
    store: Store, tmp_path: Path, form: Format, name: str
) -> None:
    for before in (3, 1):
        assert export_in_process(tmp_path, form, name, dies_before_manifest=before) == ""
    assert export_in_process(tmp_path, form, name).split() == ["done", "96", "True"]
    once = tmp_path / f"once{Path(name).suffix}"
    exported(store, ExportPlan(("interface",), form), once, folder=not once.suffix)
    assert content_of(tmp_path / name) == content_of(once)
    assert not [p for p in tmp_path.rglob("*") if ".partial" in p.name or p.name.endswith(".export")]
