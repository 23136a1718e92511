"""nettwin store import and export: what an operator sees."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from twin.app.cli.main import main
from twin.app.settings import packaged_configs
from twin.store import KindHealth, open_delta
from twin.store.transfer import read_mapping
from twin.vocab.errors import InputError

Told = tuple[int, str, str]
Nettwin = Callable[..., Told]
CASES = Path(__file__).resolve().parents[1] / "store/transfer/cases"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nettwin(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nettwin:
    """The command on an empty installation: (exit code, results, notes and errors)."""
    (tmp_path / "nettwin.yaml").write_text("schema_version: 1\ndata: data\n")
    (tmp_path / "devices.yaml").write_text("schema_version: 1\ndevices:\n  - {name: sw7, address: 10.0.0.7}\n")
    monkeypatch.setenv("NETTWIN_SETTINGS", str(tmp_path / "nettwin.yaml"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Told:
        with pytest.raises(SystemExit) as ended:
            main(["store", *words])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def stored(installation: Path) -> tuple[KindHealth, ...]:
    with open_delta(installation / "data/store") as store:
        return store.health().kinds


def test_others_lines_in_our_tables_out(nettwin: Nettwin, tmp_path: Path) -> None:
    code, out, err = nettwin("import", str(CASES / "telegraf.lp"), "--map", "telegraf")
    assert code == 0
    assert "telegraf.lp: imported 3 rows, 15 values, 2019-12-05 01:36:55 UTC to 2019-12-05 01:36:55 UTC" in out
    assert "not mapped: docker (1), interface.ifHCOutUcastPkts (1), interface.sysUser (1)" in err
    assert (
        "left out (32 bits; for devices without ifHCInOctets use --map telegraf-32bit): interface.ifInOctets (1)" in err
    )
    assert nettwin("export", "interface", "--output", "out/", "--fields", "in_octets,in_errors")[0] == 0
    assert (tmp_path / "out/interface/2019-12-05.csv").read_text().splitlines() == [
        "kind,time,device,interface,in_octets,in_errors",
        'interface,2019-12-05T01:36:55.000000Z,"example.org","eth0",,7',
        'interface,2019-12-05T01:36:55.000000Z,"sw7","Gi0/1",9223372036854775807,',
    ]


def test_standard_output_holds_the_rows_alone(nettwin: Nettwin, tmp_path: Path) -> None:
    (tmp_path / "a.lp").write_text("device,device=r1 cpu_percent=1.5 1764072000\n")
    assert nettwin("import", "a.lp")[0] == 0
    argv = [sys.executable, "-m", "twin.app.cli", "store", "export", "device", "--format", "line", "--output", "-"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == [
        "# nettwin line protocol, times in us",
        "device,device=r1 cpu_percent=1.5 1764072000000000",
    ]


def test_refused_lines_are_told_and_a_bad_file_stops_no_other(nettwin: Nettwin, tmp_path: Path) -> None:
    (tmp_path / "bad.lp").write_text("nonsense\n")
    (tmp_path / "half.lp").write_text("device,device=r1 cpu_percent=1.5 1764072000\nnonsense\n")
    code, out, err = nettwin("import", "bad.lp", "half.lp", "--json")
    assert code == 2
    assert "nettwin: bad.lp:1:9: the fields are missing; all 1 lines are refused" in err
    (told,) = json.loads(out)
    assert (told["file"], told["rows"], told["refused"]) == ("half.lp", 1, 1)
    assert told["examples"] == ["half.lp:2:9: the fields are missing"]
    assert Path(told["refused_file"]).read_text() == "nonsense\n"


def test_ctrl_c_is_clean_and_the_same_command_goes_on(nettwin: Nettwin, tmp_path: Path) -> None:
    lines = [f"device,device=r{i % 50} cpu_percent={i % 100}.5 {10**9 + i}\n" for i in range(40_000)]
    (tmp_path / "big.lp").write_text("".join(lines))
    argv = [sys.executable, "-m", "twin.app.cli", "store", "import", str(tmp_path / "big.lp")]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=ROOT) as child:
        while child.poll() is None and not list(tmp_path.glob("data/imports/*.mark")):
            time.sleep(0.005)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=30)
    assert (child.returncode, "nettwin: interrupted" in err) == (130, True)
    code, out, _ = nettwin("import", str(tmp_path / "big.lp"))
    assert (code, "imported 40,000 rows" in out, "went on where it was cut off" in out) == (0, True, True)
    assert [kind.rows for kind in stored(tmp_path)] == [40_000]


def test_a_dry_run_stores_nothing(nettwin: Nettwin, tmp_path: Path) -> None:
    (tmp_path / "a.lp").write_text("device,device=r1 cpu_percent=1.5 1764072000\n")
    assert "would import 1 rows" in nettwin("import", "a.lp", "--dry-run")[1]
    assert stored(tmp_path) == ()


@pytest.mark.parametrize("path", sorted((packaged_configs() / "mappings").glob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_mappings_hold_and_name_their_evidence(path: Path) -> None:
    assert all(line.startswith("https://") for line in read_mapping(path).evidence)
    assert path.stem in (ROOT / "docs/import.md").read_text()


def test_the_documented_mapping_holds(tmp_path: Path) -> None:
    (block,) = (ROOT / "docs/import.md").read_text().split("```yaml\n")[1:]
    (tmp_path / "m.yaml").write_text(block.partition("```")[0])
    assert len(read_mapping(tmp_path / "m.yaml").measurements) == 1


HEAD = "schema_version: 1\ntitle: t\nmeasurements:\n  - names: m\n    kind: {kind}\n    keys:\n      device: host\n"
FAULTS = [
    ("schema_version: 1\ntitle: t\n", "measurements: is empty"),
    (HEAD.format(kind="colour") + "    fields: {a: b}\n", "m.yaml:5: measurements.0.kind: no kind 'colour'"),
    (HEAD.format(kind="sensor") + "    fields: {value: b}\n", "m.yaml:6: .*keys: sensor of kind sensor is missing"),
    (HEAD.format(kind="device") + "      x: y\n    fields: {}\n", "m.yaml:8: .*keys.x: kind device has no such key"),
    (HEAD.format(kind="device") + "    fields:\n      a: b\n", "m.yaml:9: measurements.0.fields.a: kind device has no"),
    (HEAD.format(kind="device") + "    fields:\n      cpu_percent: {scale: 2}\n", "a source: or a sum:, one of them"),
    (HEAD.format(kind="device") + "    fields:\n      cpu_percent: {source: a, x: 1}\n", "m.yaml:9: .*unknown key"),
    (HEAD.format(kind="device") + "    fields: {}\n  - {names: m, kind: device, keys: {device: h}, fields: {}}\n",
     "m.yaml:9: measurements.1.names: measurement m stands twice"),
    (HEAD.format(kind="event").replace("host\n", "host\n      event: e\n      subject: s\n")
     + "    fields:\n      detail: {source: a, scale: 2}\n", "m.yaml:11: measurements.0.fields.detail: is text"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "complaint"), FAULTS)
def test_a_faulty_mapping_is_told_with_file_line_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_mapping(tmp_path / "m.yaml")


def test_check_looks_over_the_site_s_own_mappings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("nettwin.yaml", "devices.yaml", "links.yaml", "policies.yaml"):
        (tmp_path / name).write_text((packaged_configs() / name).read_text())
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings/ours.yaml").write_text(FAULTS[0][0])
    with pytest.raises(SystemExit):
        main(["check", "--settings", str(tmp_path / "nettwin.yaml")])
    assert "ours.yaml: measurements: is empty" in capsys.readouterr().err


WRONG = [
    (["import", "a.lp", "--map", "none"], "no mapping 'none'; there are librenms, telegraf, telegraf-32bit"),
    (["import", "none.lp"], "none.lp: can't be read: No such file or directory"),
    (["export", "colour", "--output", "x.csv"], "unknown kind 'colour'"),
    (["export", "device", "--output", "x.csv"], "the store holds nothing of device"),
    (["export", "device", "--output", "-", "--format", "parquet"], "parquet: is no text to be streamed"),
]


@pytest.mark.parametrize(("words", "complaint"), WRONG, ids=[" ".join(w[0]) for w in WRONG])
def test_what_can_t_be_done_is_one_line(nettwin: Nettwin, words: list[str], complaint: str) -> None:
    code, _, err = nettwin(*words)
    assert code == 2
    assert complaint in " ".join(err.split())


def test_an_unknown_kind_is_refused_whatever_the_file_is(nettwin: Nettwin) -> None:
    code, _, err = nettwin("import", str(CASES / "telegraf.lp"), "--kind", "ports")
    assert code == 2
    assert "--kind ports: there is no such kind; there are interface" in err
