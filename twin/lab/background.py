"""Starting what outlives us: routers through the launcher, and the lab's helpers (sender, agent) beside them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import twin
from twin.lab import cgroups
from twin.lab.machine import environment
from twin.lab.plan import LabPlan
from twin.lab.stages import Namespace, Step
from twin.vocab.errors import NettwinError

CONTROL = ".control"
LAUNCHER = Path(__file__).with_name("launcher.py")
LAUNCH_TIMEOUT_S = 120
_POLL_S = 0.02


def launch(lab: LabPlan, namespaces: Sequence[Namespace]) -> None:
    """Start what the namespaces hold, all side by side.

    Raises:
        NettwinError: a program failed; the message names router and program.
    """
    told = lab.directory / "launch.json"
    told.write_text(json.dumps([n.plain() for n in namespaces]), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-I", str(LAUNCHER), str(told)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        try:
            _join(lab, process.pid)
            _, complaints = process.communicate(timeout=LAUNCH_TIMEOUT_S)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise NettwinError(f"{lab.name}: {complaints.strip().splitlines()[0] if complaints else 'launcher died'}")


def helper(lab: LabPlan, name: str, arguments: Sequence[str]) -> Namespace:
    """``python -m twin.lab.NAME ARGUMENTS`` in the root namespace and the lab's control group; logs to NAME.log."""
    numeric = {"OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    (lab.directory / f"{name}.log").unlink(missing_ok=True)
    step = Step(
        [sys.executable, "-m", f"twin.lab.{name}", *arguments],
        log=str(lab.directory / f"{name}.log"),
        cwd="/",
        env=environment(PYTHONPATH=str(Path(twin.__file__).parents[1]), **numeric),
        wait=False,
        pid_file=str(lab.directory / f"{name}.pid"),
    )
    groups = [str(group) for group in cgroups.make(lab.name, CONTROL, cgroups.hierarchy())]
    return Namespace(name=name, groups=groups, stages=[[step]])


def pid_of(lab: LabPlan, name: str) -> int | None:
    """A helper's process; None where it runs no more (or another process was given its number)."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((lab.directory / f"{name}.pid").read_text(encoding="ascii"))
        if f"twin.lab.{name}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    return None


def _join(lab: LabPlan, pid: int) -> None:
    for group in cgroups.make(lab.name, CONTROL, cgroups.hierarchy()):
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


def last_words(lab: LabPlan, name: str) -> str:
    """The last line of a helper's log."""
    file = lab.directory / f"{name}.log"
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines() if file.exists() else []
    return lines[-1] if lines else "nothing in its log"
