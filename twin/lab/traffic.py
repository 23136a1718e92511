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

from twin.lab.background import helper, last_words, launch, pid_of, until
from twin.lab.plan import LabPlan
from twin.lab.recording import recording
from twin.lab.spec import LabFile
from twin.vocab.errors import NettwinError, UsageError

SENDER = "sender"
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
    report_file(lab).unlink(missing_ok=True)
    launch(lab, [helper(lab, SENDER, [lab.name])])
    until(lambda: status(lab).started is not None or pid_of(lab, SENDER) is None, START_PATIENCE_S)
    now = status(lab)
    if now.running and now.started:
        return now
    _end(lab, signal.SIGKILL)
    raise NettwinError(f"{lab.name}: the traffic sender does not start: {last_words(lab, SENDER)}")


def stop(lab: LabPlan) -> TrafficStatus:
    """Raises UsageError where no traffic runs."""
    if pid_of(lab, SENDER) is None:
        raise UsageError(f"{lab.name}: no traffic runs")
    _end(lab, signal.SIGTERM)
    if not until(lambda: pid_of(lab, SENDER) is None, STOP_PATIENCE_S):
        _end(lab, signal.SIGKILL)
    return status(lab)


def _end(lab: LabPlan, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if pid := pid_of(lab, SENDER):
            os.kill(pid, number)


def status(lab: LabPlan) -> TrafficStatus:
    """What the sender last reported (each second), and whether it still runs."""
    n = len(lab.routers)
    sent, refused = np.zeros((n, n), dtype=np.int64), np.zeros((n, n), dtype=np.int64)
    report, pid = _report(lab), pid_of(lab, SENDER)
    if report is None:
        return TrafficStatus(pid is not None, pid, None, None, tuple(lab.routers), sent, refused, 0.0, 0.0)
    for i, j, packets, failed in report["demands"]:
        sent[i, j], refused[i, j] = packets * report["packet_octets"], failed
    return TrafficStatus(
        running=pid is not None,
        pid=pid,
        started=datetime.fromtimestamp(report["started"], UTC),
        at=datetime.fromtimestamp(report["at"], UTC),
        routers=tuple(lab.routers),
        sent_octets=sent,
        refused=refused,
        skipped_s=report["skipped_s"],
        lag_s=report["lag_s"],
    )


def report_file(lab: LabPlan) -> Path:
    """Where the sender says what it has sent."""
    return lab.directory / "traffic.json"


def _report(lab: LabPlan) -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError):
        report: dict[str, Any] = json.loads(report_file(lab).read_text(encoding="ascii"))
        return report
    return None
