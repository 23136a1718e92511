"""Starting, stopping and reading the lab's traffic."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from twin.lab.background import helper, last_line, launch, pid_of, until
from twin.lab.plan import LabPlan
from twin.lab.recording import recording
from twin.lab.spec import LabFile
from twin.vocab.errors import NettwinError, UsageError

REPORT_FILE = "traffic.json"
SENDER = "twin.lab.sender"
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
    launch(lab, [helper(lab, "sender", SENDER, [lab.name])])
    pid = pid_of(lab, "sender")
    if not until(lambda: status(lab).running or not _is_sender(pid, lab.name), START_PATIENCE_S):
        os.kill(pid, signal.SIGKILL)
    if not status(lab).running:
        raise NettwinError(f"{lab.name}: the traffic sender does not start: {last_line(lab.directory / 'sender.log')}")
    return status(lab)


def stop(lab: LabPlan) -> TrafficStatus:
    """Raises UsageError where no traffic runs."""
    found = status(lab)
    if not found.running or found.pid is None:
        raise UsageError(f"{lab.name}: no traffic runs")
    os.kill(found.pid, signal.SIGTERM)
    if not until(lambda: not status(lab).running, STOP_PATIENCE_S):
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
        return SENDER.encode() in words and name.encode() in words
    return False
