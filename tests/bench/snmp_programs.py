"""Peers of the SNMP benchmark that are programs: where they come from, and what a walk of many devices costs them.

What is missing is put under ``build/``; nothing is installed on the machine.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collectors.snmp.wire import Oid, dotted
from tests.bench.agents import address

PEERS = Path(__file__).parents[2] / "build" / "peers"
EXPORTER = "prometheus-snmp-exporter"
LABELS = {
    "ifAlias": (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 18),
    "ifDescr": (1, 3, 6, 1, 2, 1, 2, 2, 1, 2),
    "ifName": (1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1),
}
SUBTREE = "1.3.6.1.2.1"
Figures = dict[str, Any]


class LackingError(Exception):
    """A peer that can't be had here, and why."""


def python_with(package: str) -> Path:
    """An interpreter that has the package (and uvloop), in a virtual environment of the benchmark's own."""
    python = PEERS / "python" / "bin" / "python"
    if not python.exists():
        venv.create(PEERS / "python", with_pip=True)
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package, "uvloop"],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        raise LackingError(f"{package} can't be installed: {_last_line(installed.stderr)}")
    return python


def version_of(python: Path | str, package: str) -> str:
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def exporter() -> Path:
    """Debian's snmp_exporter, unpacked (its service would start if it were installed)."""
    program = PEERS / "exporter" / "usr" / "bin" / EXPORTER
    if program.exists():
        return program
    if shutil.which("apt-get") is None:
        raise LackingError(f"{EXPORTER}: no apt-get here")
    PEERS.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0 and not _downloaded():
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
    if not _downloaded():
        raise LackingError(f"{EXPORTER} can't be downloaded")
    package = next(PEERS.glob(f"{EXPORTER}_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(package), str(PEERS / "exporter")], check=True)
    return program


def _downloaded() -> bool:
    done = subprocess.run(["apt-get", "download", "-qq", EXPORTER], cwd=PEERS, capture_output=True, check=False)
    return done.returncode == 0


def exporter_version(program: Path) -> str:
    told = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\S+)", told.stdout + told.stderr)
    return found[1].rstrip(",") if found else "?"


def module(columns: Sequence[Oid]) -> str:
    """A configuration for the columns, each labelled as in the if_mib module that comes with the exporter."""
    lookups = [
        {"labels": ["ifIndex"], "labelname": label, "oid": dotted(oid), "type": "DisplayString"}
        for label, oid in LABELS.items()
    ]
    metrics: list[Figures] = [{"name": "sysUpTime", "oid": "1.3.6.1.2.1.1.3", "type": "gauge", "help": "up"}]
    metrics += [
        {
            "name": f"column_{oid[-4]}_{oid[-1]}",
            "oid": dotted(oid),
            "type": "counter",
            "help": "column",
            "indexes": [{"labelname": "ifIndex", "type": "gauge"}],
            "lookups": lookups,
        }
        for oid in columns
        if oid not in LABELS.values()
    ]
    walked = ["1.3.6.1.2.1.2", "1.3.6.1.2.1.31.1.1"]
    asked = {"version": 2, "max_repetitions": 25, "timeout": "5s", "auth": {"community": "public"}}
    return json.dumps({"bench": {"walk": walked, "get": ["1.3.6.1.2.1.1.3.0"], "metrics": metrics, **asked}})


@contextmanager
def _serving(program: Path, config: Path) -> Iterator[tuple[int, int]]:
    """The exporter running: its process id and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    argv = [str(program), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(10)


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def scraped(program: Path, columns: Sequence[Oid], devices: int, port: int, interfaces: int) -> Figures:
    """All devices scraped at once; the CPU is the exporter's alone."""
    config = PEERS / "snmp.yml"
    config.write_text(module(columns))

    def scrape(web: int, number: int) -> tuple[int, bool]:
        url = f"http://127.0.0.1:{web}/snmp?module=bench&target={address(number)}:{port}"
        with urllib.request.urlopen(url, timeout=120) as response:
            text = response.read().decode()
        returned = re.search(r"^snmp_scrape_pdus_returned ([0-9.e+]+)$", text, re.MULTILINE)
        lines = sum(line.startswith("column_") for line in text.splitlines())
        return int(float(returned[1])) if returned else 0, lines == len(
            set(columns) - set(LABELS.values())
        ) * interfaces

    with _serving(program, config) as (pid, web), ThreadPoolExecutor(devices) as threads:
        before, began = _cpu_of(pid), time.monotonic()
        found = list(threads.map(lambda number: scrape(web, number), range(devices)))
        return {
            "cpu_s": _cpu_of(pid) - before,
            "seconds": time.monotonic() - began,
            "varbinds": sum(count for count, _ in found),
            "completed": sum(whole for _, whole in found),
        }


def walked(devices: int, port: int, objects: int, credentials: Sequence[str]) -> Figures:
    """``snmpbulkwalk`` of every device, all processes at once; their start is part of the cost, reading them is not."""
    options = ["-m", "", "-On", "-Oq", "-Cr25", "-t5", *credentials]
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    argvs = [["snmpbulkwalk", *options, f"{address(number)}:{port}", SUBTREE] for number in range(devices)]
    with ThreadPoolExecutor(devices) as threads:
        done = list(threads.map(lambda argv: subprocess.run(argv, capture_output=True, check=False), argvs))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    counts = [run.stdout.count(b"\n.1.3") + 1 - run.stdout.count(b"No more variables") for run in done]
    return {
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "seconds": time.monotonic() - began,
        "varbinds": sum(counts),
        "completed": sum(count == objects for count in counts),
    }


def child(argv: Sequence[str]) -> Figures:
    """The figures that a measuring process tells in its last line.

    Raises:
        RuntimeError: it failed; with what it last said.
    """
    done = subprocess.run(list(argv), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{Path(argv[1]).name}: {_last_line(done.stderr)}")
    told: Figures = json.loads(done.stdout.splitlines()[-1])
    return told


def own(script: str, *words: object, python: Path | str = sys.executable) -> Figures:
    """``child`` for a script beside this file."""
    return child([str(python), str(Path(__file__).with_name(script)), *map(str, words)])


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
