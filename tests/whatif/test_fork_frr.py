"""Predicted routing tables are those of real routers: as they are, and after each of a few changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.whatif.oracle import made_for_real, settled, twin_of
from twin.net.rib import rib
from twin.vocab.change import Change, SetCost, SetEnabled
from twin.vocab.snapshot import Port
from twin.whatif.fork import fork

if TYPE_CHECKING:
    from twin.lab.lab import Lab

pytestmark = pytest.mark.lab
WEST_NORTH, WEST_SOUTH = Port("west", "eth1"), Port("west", "eth2")
CHANGES = {
    "none": (Change(()), Change(())),
    "cost": (Change((SetCost(WEST_NORTH, 55),)), Change((SetCost(WEST_NORTH, 10),))),
    "down": (Change((SetEnabled(WEST_SOUTH, False),)), Change((SetEnabled(WEST_SOUTH, True),))),
}


@pytest.mark.parametrize(("change", "undo"), CHANGES.values(), ids=CHANGES)
def test_the_forks_tables_are_the_routers_own(lab: Lab, change: Change, undo: Change) -> None:
    predicted = rib(fork(twin_of(lab), change))
    with made_for_real(lab, change, undo):
        assert settled(lab, predicted) == predicted
