"""The lab's helpers in the root namespace (sender, agent): detached, and in a control group ``down`` knows of."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import twin
from twin.lab import cgroups
from twin.lab.machine import environment
from twin.lab.plan import LabPlan

CONTROL = ".control"
_POLL_S = 0.02


def spawn(lab: LabPlan, module: str, arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """``python -m MODULE ARGUMENTS``, one thread for numeric libraries, output to ``log``."""
    package = str(Path(twin.__file__).parents[1])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment(PYTHONPATH=package, OPENBLAS_NUM_THREADS="1", POLARS_MAX_THREADS="1"),
            start_new_session=True,
        )
    join(lab.name, process.pid)
    return process


def join(lab: str, pid: int) -> None:
    """Put a process into the lab's control group."""
    for group in cgroups.make(lab, CONTROL, cgroups.hierarchy()):
        with contextlib.suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(pid), encoding="ascii")


def until(done: Callable[[], bool], patience_s: float) -> bool:
    """Ask again and again; False when patience ends first."""
    deadline = time.monotonic() + patience_s
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines() if file.exists() else []
    return lines[-1] if lines else "nothing in its log"
