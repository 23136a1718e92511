"""What nettwin snapshot shows of links: their load or why there is none, and what a bundle can carry."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.net.worlds import GIGABIT, devices
from twin.app.cli.main import main
from twin.app.collecting import OBSERVED, observed_text
from twin.app.settings import load_settings
from twin.app.wiring import store_of
from twin.store import Document, put_records
from twin.vocab.blocks import Block
from twin.vocab.observed import ObservedBundle, ObservedDevice, ObservedInterface
from twin.vocab.time import instant, now

INVENTORY = """
schema_version: 1
credentials:
  snmp: {c: {version: 2c, community: {env: NOT_NEEDED}}}
devices:
  - {name: r1, address: 192.0.2.1, snmp: c}
  - {name: r2, address: 192.0.2.2, snmp: c}
"""


def nettwin(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code


def _bundled(device: ObservedDevice) -> ObservedDevice:
    members = tuple(
        ObservedInterface(name, 50 + i, GIGABIT, admin_up=True, oper_up=name != "m2")
        for i, name in enumerate(("m1", "m2"))
    )
    ports = tuple(replace(i, speed_bps=2 * GIGABIT) if i.name == "eth0" else i for i in device.interfaces)
    return replace(device, interfaces=(*ports, *members), bundles=(ObservedBundle("eth0", ("m1", "m2")),))


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """r1's agent restarted between its two polls; r2 was not polled lately. Their link is a bundle."""
    nettwin("init", str(tmp_path / "site"))
    (tmp_path / "site" / "devices.yaml").write_text(INVENTORY)
    path = tmp_path / "site" / "nettwin.yaml"
    monkeypatch.setenv("NETTWIN_SETTINGS", str(path))
    present = now()
    rows = [
        {"device": "r1", "interface": "eth0", "in_octets": n, "out_octets": n, "uptime_cs": u, "at": instant(at)}
        for n, u, at in ((0, 10**7, present - timedelta(seconds=20)), (100, 500, present - timedelta(seconds=5)))
    ]
    seen = [d.observed for d in devices((("r1", "r2", 10, 10),)) if d.observed]
    with store_of(load_settings(path)) as store:
        store.write([Block.from_rows("interface", rows)])
        put_records(store, [Document(o.name, OBSERVED, observed_text(_bundled(o))) for o in seen], present)


def test_a_load_that_is_missing_has_its_reason(collected: None, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    nettwin("snapshot")
    lines = capsys.readouterr().out.splitlines()
    assert any("r1:eth0 → r2:eth0" in line and "– (restart)" in line for line in lines)
    assert any("r2:eth0 → r1:eth0" in line and "– (not polled)" in line for line in lines)


def test_loads_and_bundles_are_told_to_programs(collected: None, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    nettwin("snapshot", "--json")
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["loads"]["r1:eth0"]["reason"] == "restart"
    assert told["loads"]["r1:eth0"]["out_bps"] is None
    assert [link["capacity_bps"] for link in told["links"]] == [GIGABIT]
    assert any("1 of 2 members down: m2" in finding["message"] for finding in told["findings"])
