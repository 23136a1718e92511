"""Changes made for real on the Abilene lab: predicted beside measured loads. Figures: build/soak/fidelity.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twin.app.cli.main import main
from twin.lab.machine import missing

pytestmark = [pytest.mark.lab, pytest.mark.soak]
REPORT = Path(__file__).parents[2] / "build" / "soak" / "fidelity.json"
CHANGES = {
    "dnvr-kscy down": "steps: [{disable: 'dnvr:eth1'}]",
    "hstn-kscy down": "steps: [{disable: 'hstn:eth2'}]",
    "chin-ipls cost 520": "steps: [{cost: {port: 'chin:eth1', value: 520}}]",
}
KEPT = ("hottest_link_error", "changed_links", "changed_links_error", "no_change_error", "samples", "samples_read_back")


@pytest.mark.parametrize("name", CHANGES)
def test_loads_after_a_real_change_are_as_predicted(name: str, tmp_path: Path) -> None:
    if lacking := missing():
        pytest.skip(f"the lab needs {', '.join(x.what for x in lacking)}")
    figures = _played(tmp_path, f"schema_version: 1\nname: {name}\n{CHANGES[name]}\n")
    _noted(name, {key: figures[key] for key in KEPT})
    assert figures["samples"] == figures["samples_read_back"]
    assert figures["changed_links"] >= 4
    assert figures["hottest_link_error"] <= 0.08
    assert figures["changed_links_error"] <= 0.12
    assert figures["changed_links_error"] <= figures["no_change_error"] / 3


def _played(folder: Path, change: str) -> dict[str, Any]:
    (folder / "change.yaml").write_text(change)
    words = ["--exit", "--train", "15s", "--folder", str(folder / "demo"), "--report", str(folder / "demo.json")]
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--change", str(folder / "change.yaml"), *words])
    assert not ended.value.code
    figures: dict[str, Any] = json.loads((folder / "demo.json").read_text())
    return figures


def _noted(name: str, figures: dict[str, Any]) -> None:
    """Adds the figures of one change to the report."""
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(known | {name: figures}, indent=1) + "\n")
