"""A fault can only be done to what the lab has. (What faults do is shown in tests/app/test_lab_faults.py.)"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from twin.lab import faults
from twin.lab.plan import LabPlan, plan
from twin.lab.spec import read_lab
from twin.vocab.errors import UsageError

SQUARE = plan(read_lab(Path(__file__).parents[2] / "configs" / "labs" / "square.yaml"))
REFUSED: dict[str, tuple[Callable[[LabPlan], None], str]] = {
    "link": (lambda lab: faults.set_link(lab, "far", "eth9", up=False), "far has no wire 'eth9'; it has eth1"),
    "edge": (lambda lab: faults.rewire(lab, "far", "edge0"), "far has no wire 'edge0'"),
    "agent": (lambda lab: faults.restart_agent(lab, "moon"), "square has no router 'moon'; it has north, east"),
    "power": (lambda lab: faults.reboot(lab, "moon"), "square has no router 'moon'"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_not_there_is_refused(fault: str) -> None:
    do, complaint = REFUSED[fault]
    with pytest.raises(UsageError, match=complaint):
        do(SQUARE)
