"""SNMP polling beside its peers on the same simulated agents; table on screen, figures in build/bench/snmp.json.

First 200 devices at once without delay or loss (what a varbind costs), then one round over 10,000 devices that answer
after 50 ms and lose 1 % of the requests, by SNMPv2c and by SNMPv3; all of it on this one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from collectors.profiles import load_profiles
from collectors.snmp.wire import Oid
from tests.bench.agents import FIRST, Agents, Setup
from tests.bench.snmp_programs import (
    LABELS,
    LackingError,
    exporter,
    exporter_version,
    own,
    python_with,
    scraped,
    version_of,
    walked,
)

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "build" / "bench" / "snmp.json"
V2C_WORDS = ("-v2c", "-cpublic")
V3_USER = ("-v3", "-u", "twin", "-l", "authPriv", "-a", "SHA-256")
V3_WORDS = (*V3_USER, "-A", "authpass123", "-x", "AES", "-X", "privpass123")
Figures = dict[str, Any]
DEFINITIONS = {
    "cpu_per_10k_*": "client CPU s (user + system) per 10,000 varbinds, 200 devices at once; ours: from the first "
    "request to stored (Delta, synced), mean of the rounds after the first; v3: authPriv SHA-256 AES-128",
    "ratio_*": "that peer's cpu_per_10k / ours by v2c",
    "completed_*": "devices of which everything came, of 200 asked at once (ours: read back from the store and right)",
    "snmp_exporter": "the if_mib module that comes with it: each sample labelled ifAlias, ifDescr, ifIndex, ifName",
    "snmpbulkwalk": "a process a device, 200 at once; its start is part of its cost",
    "devices_10k_*": "agents answer after 50 ms and lose 1 % of the requests; seconds: from the first request to "
    "stored, the slower of the first round and the one after; rss: poller and store, its peak",
    "simulator_*": "CPU s of the simulated agents, on the same cores",
}


def columns() -> tuple[Oid, ...]:
    """What a fast round walks of an interface table, by the generic profile as shipped."""
    table = load_profiles(ROOT / "configs" / "profiles")["generic"].tables["interfaces"]
    due = [column for column in table.columns.values() if column.round == "fast"]
    return tuple(dict.fromkeys(oid for column in due for oid in column.sources[0].oids))


def ours(agents: Agents, *, at_once: int, rounds: int, v3: bool) -> Figures:
    """The rounds, with the simulator's CPU in them."""
    setup = agents.setup
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        before = agents.counters()["cpu_s"]
        words = ["--port", agents.port, "--devices", setup.devices, "--interfaces", setup.interfaces]
        words += ["--at-once", at_once, "--rounds", rounds, "--store", Path(folder) / "store"]
        told = own("snmp_ours.py", *words, *(["--v3"] if v3 else []))
    return {**told, "simulator_cpu_s": agents.counters()["cpu_s"] - before}


def per_10k(figures: Figures) -> float:
    return 1e4 * float(figures["cpu_s"]) / max(1, int(figures["varbinds"]))


def warm(told: Figures) -> Figures:
    """The rounds after the first as one."""
    rounds = told["rounds"][1:] or told["rounds"]
    return {
        "cpu_s": mean(r["cpu_s"] for r in rounds),
        "seconds": mean(r["seconds"] for r in rounds),
        "varbinds": mean(r["varbinds"] for r in rounds),
        "completed": min(r["completed"] for r in told["rounds"]),
        "rss_mb": told["rss_mb"],
        "first_cpu_per_10k": per_10k(told["rounds"][0]),
    }


def side_by_side(options: argparse.Namespace) -> tuple[dict[str, Figures], dict[str, str], dict[str, str]]:
    """Figures by client, versions, and who could not be measured and why."""
    asked = Setup(options.devices, columns=tuple(dict.fromkeys((*columns(), *LABELS.values()))))
    runs: dict[str, Figures] = {}
    versions: dict[str, str] = {}
    lacking: dict[str, str] = {}
    with Agents(asked) as agents:
        for name, measure in clients(agents, versions).items():
            try:
                runs[name] = measure()
            except (LackingError, FileNotFoundError) as problem:
                lacking[name] = str(problem)
    return runs, versions, lacking


def clients(agents: Agents, versions: dict[str, str]) -> dict[str, Callable[[], Figures]]:
    count, port, objects = agents.setup.devices, agents.port, agents.objects
    words = ["--port", port, "--first", FIRST, "--devices", count, "--objects", objects]

    def gufo() -> Figures:
        python = python_with("gufo-snmp")
        versions["gufo-snmp"] = version_of(python, "gufo-snmp")
        return own("snmp_peers.py", "gufo", *words, python=python)

    def pysnmp() -> Figures:
        versions["pysnmp"] = version_of(sys.executable, "pysnmp")
        return own("snmp_peers.py", "pysnmp", *words)

    def bulkwalk(*credentials: str) -> Figures:
        if shutil.which("snmpbulkwalk") is None:
            raise LackingError("snmpbulkwalk is not installed (Debian: snmp)")
        told = subprocess.run(["snmpbulkwalk", "-V"], capture_output=True, text=True, check=True)
        versions["snmpbulkwalk"] = (told.stdout + told.stderr).split()[-1]
        return walked(count, port, objects, credentials)

    def snmp_exporter() -> Figures:
        program = exporter()
        versions["snmp_exporter"] = exporter_version(program)
        return scraped(program, agents.setup.columns, count, port, agents.setup.interfaces)

    return {
        "ours v2c": lambda: warm(ours(agents, at_once=count, rounds=4, v3=False)),
        "ours v3": lambda: warm(ours(agents, at_once=count, rounds=4, v3=True)),
        "snmpbulkwalk": lambda: bulkwalk(*V2C_WORDS),
        "snmpbulkwalk v3": lambda: bulkwalk(*V3_WORDS),
        "gufo": gufo,
        "snmp_exporter": snmp_exporter,
        "pysnmp": pysnmp,
    }


def ten_thousand(options: argparse.Namespace, *, v3: bool) -> Figures:
    setup = Setup(options.many, columns=columns(), delay_ms=50.0, loss=0.01)
    with Agents(setup) as agents:
        told = ours(agents, at_once=options.at_once, rounds=2, v3=v3)
        told |= {"agents": agents.counters()}
    if any(r["wrong"] or r["completed"] != options.many for r in told["rounds"]):
        Console().print("[bold]not every device is complete and right[/bold]", told["rounds"])
    return told


def big_figures(prefix: str, told: Figures) -> Figures:
    rounds = told["rounds"]
    return {
        f"{prefix}_seconds": max(r["seconds"] for r in rounds),
        f"{prefix}_first_seconds": rounds[0]["seconds"],
        f"{prefix}_next_seconds": rounds[-1]["seconds"],
        f"{prefix}_rss_mb": told["rss_mb"],
        f"{prefix}_cpu_s": rounds[-1]["cpu_s"],
        f"{prefix}_cpu_per_10k": per_10k(rounds[-1]),
        f"{prefix}_varbinds": rounds[-1]["varbinds"],
        f"{prefix}_completed": min(r["completed"] for r in rounds),
        f"{prefix}_simulator_cpu_s": told["simulator_cpu_s"] / len(rounds),
    }


def compared(runs: dict[str, Figures]) -> Figures:
    result: Figures = {}
    for name, figures in runs.items():
        key = {"ours v2c": "v2c", "ours v3": "v3"}.get(name, name.replace(" ", "_"))
        result[f"cpu_per_10k_{key}"] = per_10k(figures)
        result[f"completed_{key}"] = figures["completed"]
    if "ours v2c" in runs:
        mine = [runs[name]["completed"] for name in ("ours v2c", "ours v3") if name in runs]
        result["completed_of_200"] = min(mine)
        for name in runs.keys() - {"ours v2c", "ours v3"}:
            key = name.replace(" ", "_")
            base = "v3" if name.endswith("v3") else "v2c"
            result[f"ratio_{key}"] = result[f"cpu_per_10k_{key}"] / result[f"cpu_per_10k_{base}"]
    return result


def show(runs: dict[str, Figures], devices: int) -> None:
    table = Table("client", "CPU s / 10k varbinds", "/ ours", "CPU s", "seconds", "varbinds", f"complete of {devices}")
    for name, figures in runs.items():
        base = runs.get("ours v3" if name.endswith("v3") else "ours v2c")
        ratio = f"{per_10k(figures) / per_10k(base):.2f}" if base else ""
        row = [name, f"{per_10k(figures):.4f}", ratio, f"{figures['cpu_s']:.2f}", f"{figures['seconds']:.2f}"]
        table.add_row(*row, f"{figures['varbinds']:.0f}", str(figures["completed"]))
    Console().print(table)


def machine() -> Figures:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0].partition(": ")[2] if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=500, help="devices asked at the same time in the big round")
    parser.add_argument("--parts", nargs="+", default=["peers", "v2c", "v3"], choices=["peers", "v2c", "v3"])
    options = parser.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    told: Figures = {"machine": machine(), "columns": len(columns()), "interfaces": 50}
    with ExitStack() as stack:
        stack.callback(lambda: write(told))
        if "peers" in options.parts:
            runs, told["versions"], told["lacking"] = side_by_side(options)
            told |= compared(runs)
            told["runs"] = runs
            show(runs, options.devices)
        for part in {"v2c", "v3"} & set(options.parts):
            big = ten_thousand(options, v3=part == "v3")
            prefix = "devices_10k" if part == "v2c" else "devices_10k_v3"
            told |= {**big_figures(prefix, big), f"{prefix}_rounds": big}


def write(told: Figures) -> None:
    told["machine"]["load_after"] = os.getloadavg()
    told["definitions"] = DEFINITIONS
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    flat = {k: round(v, 4) if isinstance(v, float) else v for k, v in told.items() if isinstance(v, (int, float))}
    Console().print(flat, told["machine"], told.get("versions", {}), told.get("lacking", {}))


if __name__ == "__main__":
    main()
