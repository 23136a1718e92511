"""The commands on real routers: found, polled, asked about, changed, and scored."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from twin.app.cli.main import main
from twin.app.labspace import write_workspace

if TYPE_CHECKING:
    from twin.lab.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture
def workspace(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NETTWIN_SETTINGS", str(write_workspace(lab, tmp_path, inventory=False)))
    return tmp_path


def nettwin(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    ended = nettwin(*words, "--json")
    told = capsys.readouterr()
    assert ended == code, told.err
    return json.loads(told.out)


def found_and_polled(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    seed = lab.access()[0].address
    found = told(capsys, "discover", seed, "--snmp", "lab-v3", "--netconf", "lab", "--write")
    assert {f["name"] for f in found["found"]} == set(lab.plan.routers)
    for _ in range(2):
        report = told(capsys, "collect", "--once")
        assert report["failures"] == []
        time.sleep(1.1)


def test_from_one_address_to_a_scored_answer(lab: Lab, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab.start_traffic()
    try:
        found_and_polled(lab, capsys)
        snapshot = told(capsys, "snapshot")
        assert len(snapshot["links"]) == len(lab.file.links)
        assert [f for f in snapshot["findings"] if f["severity"] == "error"] == []
        answer = told(capsys, "whatif", "--cost", "west:eth1=55")
        assert answer["verdict"] == "PASS"
        assert {m["device"] for m in answer["moves"]} >= {"west"}
        assert all(link["after_interval"]["low"] <= link["after_bps"] for link in answer["links"])
        number = str(answer["number"])
        assert nettwin("observe", number) == 1
        assert "make the change" in capsys.readouterr().err
        time.sleep(2)
        began = time.monotonic()
        found_and_polled(lab, capsys)
        window = f"{time.monotonic() - began + 0.5:.0f}s"
        assert len(told(capsys, "observe", number, "--window", window)["links"]) == len(answer["links"])
    finally:
        lab.stop_traffic()


def test_a_change_of_something_unknown_is_refused_and_nothing_is_noted(
    lab: Lab, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found_and_polled(lab, capsys)
    assert nettwin("whatif", "--disable", "west:eth9") == 2
    assert "device west has no interface 'eth9'; did you mean" in capsys.readouterr().err
    assert told(capsys, "ledger") == []


def test_wrong_passphrases_and_silence_are_data(lab: Lab, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "wrong").write_text("not the passphrase")
    listed = (workspace / "devices.yaml").read_text()
    broken = listed.replace(str(lab.access()[0].v3_auth_file), str(workspace / "wrong"))
    nobody = str(lab.plan.gateway.network.broadcast_address - 3)
    devices = f"devices:\n- {{name: west, address: {lab.access()[0].address}, snmp: lab-v3}}\n"
    (workspace / "devices.yaml").write_text(
        broken.replace("devices: []\n", devices + f"- {{name: ghost, address: {nobody}, snmp: lab-v2c}}\n")
    )
    report = told(capsys, "collect", "--once", code=1)
    assert {f["device"]: f["status"] for f in report["failures"]} == {"west": "auth", "ghost": "silent"}
    assert {p["device"]: p["status"] for p in told(capsys, "devices")["polls"]} == {"west": "auth", "ghost": "silent"}


def test_taking_customers_off_is_a_fail_and_blinding_the_collector_is_no_pass(
    lab: Lab, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.start_traffic()
    try:
        found_and_polled(lab, capsys)
        lost = told(capsys, "whatif", "--disable", "west:edge0", code=3)
        assert lost["lost_bps"] > 0
        told(capsys, "whatif", "--disable", "west:mgmt", code=4)
    finally:
        lab.stop_traffic()


def test_a_collector_that_runs_for_ever_tells_how_it_is_and_ends_when_asked(
    lab: Lab, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found_and_polled(lab, capsys)
    argv = [sys.executable, "-m", "twin.app.cli", "collect", "--every", "1s", "--full-every", "3s", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as collector:
        assert collector.stdout is not None
        try:
            reports = [json.loads(collector.stdout.readline()) for _ in range(3)]
            (status,) = told(capsys, "collect", "--status")
            assert nettwin("collect", "--prometheus") == 0
            assert "nettwin_collect_devices" in capsys.readouterr().out
        finally:
            collector.send_signal(signal.SIGINT)
            collector.communicate(timeout=20)
    assert collector.returncode == 0
    assert [r["failures"] for r in reports] == [[], [], []]
    assert reports[1]["answered"] == len(lab.plan.routers)
    assert status["running"]
    assert status["now"] == {"snmp ok": len(lab.plan.routers), "netconf ok": len(lab.plan.routers)}
    (ended,) = told(capsys, "collect", "--status", code=1)
    assert not ended["running"]
