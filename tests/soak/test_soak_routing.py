"""Many random changes: every router's predicted table beside its real one. Figures: build/soak/routing.json."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.whatif.oracle import made_for_real, settled, twin_of
from twin.net.rib import rib
from twin.vocab.change import Change, SetCost, SetEnabled, Step
from twin.vocab.snapshot import Port, Snapshot
from twin.whatif.fork import fork

if TYPE_CHECKING:
    from twin.lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.soak]
REPORT = Path(__file__).parents[2] / "build" / "soak" / "routing.json"
SEED, SAMPLES = 20261123, 40


def drawn(snapshot: Snapshot, dice: random.Random) -> tuple[Change, Change]:
    """One to three random steps on different ports, and their reverse."""
    ports = dice.sample([sender for sender, _ in snapshot.directed_links], dice.randint(1, 3))
    pairs = [_step(snapshot, port, dice) for port in ports]
    return Change(tuple(there for there, _ in pairs)), Change(tuple(back for _, back in reversed(pairs)))


def _step(snapshot: Snapshot, port: Port, dice: random.Random) -> tuple[Step, Step]:
    if dice.random() < 0.3:
        return SetEnabled(port, enabled=False), SetEnabled(port, enabled=True)
    config = snapshot.devices[port.device].config
    interface = config.interface(port.interface) if config else None
    assert interface is not None
    assert interface.ospf is not None
    assert interface.ospf.cost is not None
    return SetCost(port, dice.randint(1, 30)), SetCost(port, interface.ospf.cost)


def test_predicted_tables_are_the_real_ones_after_many_changes(lab: Lab) -> None:
    dice, began, missed = random.Random(SEED), time.monotonic(), []
    base = twin_of(lab)
    for _ in range(SAMPLES):
        change, undo = drawn(base, dice)
        predicted = rib(fork(base, change))
        with made_for_real(lab, change, undo):
            if settled(lab, predicted) != predicted:
                missed.append(str(change))
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    figures = {
        "definition": "random changes after which some router's RIB differs from the predicted one",
        "seed": SEED,
        "samples": SAMPLES,
        "routers": len(lab.plan.routers),
        "missed": missed,
        "seconds": round(time.monotonic() - began, 1),
    }
    REPORT.write_text(json.dumps(figures, indent=1) + "\n")
    assert missed == []
