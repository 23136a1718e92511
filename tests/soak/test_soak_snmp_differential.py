"""Every varbind of every recording by all three engines. Figures: build/soak/snmp_differential.json."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.bench.agents import V2C, V3
from tests.bench.recordings import lines_of, objects_of
from tests.collectors.test_snmp_differential import (
    OURS,
    PYSNMP,
    RECORDINGS,
    Walk,
    asked,
    difference,
    net_snmp,
    served,
)
from twin.vocab.inventory import SnmpV2c, SnmpV3

pytestmark = pytest.mark.soak
REPORT = Path(__file__).parents[2] / "build" / "soak" / "snmp_differential.json"
TYPES = {2: "INTEGER", 4: "OCTET STRING", 6: "OBJECT IDENTIFIER", 64: "IpAddress", 65: "Counter32", 66: "Gauge32"}
TYPES |= {67: "TimeTicks", 68: "Opaque", 70: "Counter64"}
WALKS: dict[str, tuple[Walk, SnmpV2c | SnmpV3]] = {
    "ours v2c": (OURS, V2C),
    "ours v3": (OURS, V3),
    "net-snmp v2c": (net_snmp, V2C),
    "net-snmp v3": (net_snmp, V3),
    "pysnmp v2c": (PYSNMP, V2C),
}


@pytest.mark.parametrize("path", RECORDINGS)
def test_every_varbind_is_read_as_recorded(path: Path, tmp_path: Path) -> None:
    objects = objects_of(lines_of(path))
    figures: dict[str, Any] = {
        "varbinds": len(objects),
        "types": {TYPES[tag]: count for tag, count in Counter(tag for tag, _ in objects.values()).items()},
    }
    with served(objects, tmp_path, largest=8000) as (recorded, agents):
        for name, (walk, credentials) in WALKS.items():
            began = time.monotonic()
            figures[name] = {"differing": difference(walk(asked(agents, credentials)), recorded)}
            figures[name]["seconds"] = round(time.monotonic() - began, 1)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    told = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    REPORT.write_text(json.dumps(told | {path.name.partition(".")[0]: figures}, indent=1) + "\n")
    assert [name for name in WALKS if figures[name]["differing"]] == []
