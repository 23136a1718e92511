"""Starting, stopping and reading the lab's traffic."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import twin
from twin.lab.build import join_control
from twin.lab.machine import environment
from twin.lab.plan import LabPlan
from twin.lab.recording import recording
from twin.lab.spec import LabFile
from twin.vocab.errors import NettwinError, UsageError

REPORT_FILE = "traffic.json"
START_PATIENCE_S = 20.0
STOP_PATIENCE_S = 5.0


@dataclass(frozen=True, eq=False)
class TrafficStatus:
    """What was sent until ``at``: octets on the wire [n, n], row = origin, in the order of ``routers``.

    ``refused`` packets could not be sent (an interface is down); ``skipped_s`` were lost to a starved machine.
    """

    running: bool
    pid: int | None
    started: datetime | None
    at: datetime | None
    routers: tuple[str, ...]
    sent_octets: npt.NDArray[np.int64]
    refused: npt.NDArray[np.int64]
    skipped_s: float
    lag_s: float


def start(file: LabFile, lab: LabPlan) -> TrafficStatus:
    """The sender, detached; returns once it sends.

    Raises:
        UsageError: it already runs, or the lab file asks for no traffic.
        NettwinError: it ends at once.
    """
    if status(lab).running:
        raise UsageError(f"{lab.name}: its traffic already runs")
    recording(file)
    (lab.directory / REPORT_FILE).unlink(missing_ok=True)
    process = _spawn(lab)
    join_control(lab.name, process.pid)
    if not _until(lambda: status(lab).running or process.poll() is not None, START_PATIENCE_S):
        process.kill()
    if process.poll() is not None:
        raise NettwinError(f"{lab.name}: the traffic sender does not start: {_last_line(lab.directory / 'sender.log')}")
    return status(lab)


def _spawn(lab: LabPlan) -> "subprocess.Popen[bytes]":
    package = str(Path(twin.__file__).parents[1])
    with (lab.directory / "sender.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "twin.lab.sender", lab.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment(PYTHONPATH=package, OPENBLAS_NUM_THREADS="1", POLARS_MAX_THREADS="1"),
            start_new_session=True,
        )


def stop(lab: LabPlan) -> TrafficStatus:
    """Raises UsageError where no traffic runs."""
    found = status(lab)
    if not found.running or found.pid is None:
        raise UsageError(f"{lab.name}: no traffic runs")
    os.kill(found.pid, signal.SIGTERM)
    if not _until(lambda: not status(lab).running, STOP_PATIENCE_S):
        os.kill(found.pid, signal.SIGKILL)
    return status(lab)


def status(lab: LabPlan) -> TrafficStatus:
    """What the sender last reported (each second), and whether it still runs."""
    n = len(lab.routers)
    sent, refused = np.zeros((n, n), dtype=np.int64), np.zeros((n, n), dtype=np.int64)
    report = _report(lab)
    if report is None:
        return TrafficStatus(False, None, None, None, tuple(lab.routers), sent, refused, 0.0, 0.0)
    for i, j, packets, failed in report["demands"]:
        sent[i, j], refused[i, j] = packets * report["packet_octets"], failed
    return TrafficStatus(
        running=_is_sender(report["pid"], lab.name),
        pid=report["pid"],
        started=datetime.fromtimestamp(report["started"], UTC),
        at=datetime.fromtimestamp(report["at"], UTC),
        routers=tuple(lab.routers),
        sent_octets=sent,
        refused=refused,
        skipped_s=report["skipped_s"],
        lag_s=report["lag_s"],
    )


def _report(lab: LabPlan) -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError):
        report: dict[str, Any] = json.loads((lab.directory / REPORT_FILE).read_text(encoding="ascii"))
        return report
    return None


def _is_sender(pid: int, name: str) -> bool:
    """Whether that process is still this lab's sender and not another one that was given its number."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b"twin.lab.sender" in words and name.encode() in words
    return False


def _until(done: Callable[[], bool], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing in its log"
