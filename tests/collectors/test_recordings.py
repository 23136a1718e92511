"""Walks of real devices, whole, through the same reader and decoder as a device on the wire.

Their expected results (cases/recordings/DEVICE/expected.json) were compared with the recordings by hand: see the
README there. ``python -m tests.collectors.test_recordings`` writes them anew from what is decoded now.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from collectors.profiles import ProfileSet, load_profiles
from collectors.snmp.decode import Decoded, decode
from collectors.snmp.memory import Memory
from collectors.snmp.read import Reader
from collectors.snmp.wire import parse_oid
from tests.collectors.recorded import RecordedAgent
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c

CASES = Path(__file__).parent / "cases" / "recordings"
RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "snmp"
PROFILES = Path(__file__).parents[2] / "configs" / "profiles"
DEVICE = Device("dut", "192.0.2.1", SnmpAccess(SnmpV2c(Secret("public"))))
STATUS = ("", "up", "down", "testing", "unknown", "dormant", "notPresent", "lowerLayerDown")  # RFC 2863
LINES = {
    "processors": ("processor", ("processor", "load_percent")),
    "memory_pools": ("memory_pool", ("pool", "used_bytes", "total_bytes")),
    "sensors": ("sensor", ("sensor", "type", "value", "unit", "status", "interface", "low", "high")),
    "ospf": ("ospf_neighbor", ("neighbor", "state")),
    "isis": ("isis_neighbor", ("neighbor", "state")),
    "bgp": ("bgp_peer", ("peer", "state", "remote_as")),
}


def play(recording: Path, profiles: ProfileSet, memory: Memory, round_: Literal["fast", "full"] = "full") -> Decoded:
    reader = Reader(RecordedAgent(recording), DEVICE, profiles, round_, memory)
    asyncio.run(reader.run())
    assert reader.reading is not None
    return decode(DEVICE.name, reader.reading)


def told(decoded: Decoded, profiles: ProfileSet) -> dict[str, Any]:
    """A line each interface, sensor and so on: easily read, and compared with the recording, by people."""
    observed = decoded.observed
    assert observed
    blocks = {block.kind: block.rows() for block in decoded.blocks}
    profile = profiles.choose(parse_oid(observed.system_object_id), (), observed.system_description)
    lines: dict[str, Any] = {
        "profile": profile.name,
        "device": {k: v for k, v in blocks["device"][0].items() if k not in {"device", "at"}},
        **{name: _lines(blocks.get(kind, ()), *fields) for name, (kind, fields) in LINES.items()},
        "interfaces": _lines(map(_with_status, blocks["interface"]), "interface", "speed_bps", "admin", "oper"),
        "bundles": [f"{bundle.name} | {', '.join(bundle.members)}" for bundle in observed.bundles],
        "neighbors": [f"{n.interface} | {n.system_name} | {n.port_id} | {n.port_description}" for n in observed.lldp],
        "routes": observed.routes,
        "flags": list(decoded.flags),
    }
    return {name: value for name, value in lines.items() if value}


def _with_status(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "admin": STATUS[row["admin_status"]], "oper": STATUS[row["oper_status"]]}


def _lines(rows: Iterable[Mapping[str, Any]], *fields: str) -> list[str]:
    return [" | ".join(_said(row.get(field)) for field in fields) for row in rows]


def _said(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


DEVICES = pytest.mark.parametrize("device", sorted(path.parent.name for path in CASES.glob("*/expected.json")))


def recording_of(device: str) -> Path:
    recording = RECORDINGS / f"{device}.snmprec.bz2"
    if not recording.exists():
        pytest.skip(f"no {recording.name} in ../shared/data/snmp")
    return recording


@DEVICES
def test_a_recording_gives_what_it_holds(device: str, profiles: ProfileSet) -> None:
    decoded = play(recording_of(device), profiles, Memory())
    assert told(decoded, profiles) == json.loads((CASES / device / "expected.json").read_text())


@DEVICES
def test_a_fast_round_after_a_full_one_gives_the_same_load_and_memory(device: str, profiles: ProfileSet) -> None:
    """Under the same names, although names are then not read again."""
    memory = Memory()
    full, fast = (play(recording_of(device), profiles, memory, round_) for round_ in ("full", "fast"))
    assert load(fast) == load(full)


def load(decoded: Decoded) -> dict[str, Any]:
    kinds = ("device", "processor", "memory_pool", "interface")
    return {
        block.kind: [{k: v for k, v in row.items() if k != "at"} for row in block.rows()]
        for block in decoded.blocks
        if block.kind in kinds
    }


def write_expected() -> None:
    """What is decoded now, of every recording. To be read by a human before it is committed."""
    profiles = load_profiles(PROFILES)
    for recording in sorted(RECORDINGS.glob("*.snmprec.bz2")):
        folder = CASES / recording.name.removesuffix(".snmprec.bz2")
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(told(play(recording, profiles, Memory()), profiles), indent=1, ensure_ascii=False)
        (folder / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    write_expected()
