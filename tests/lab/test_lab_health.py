"""What is wrong with a router reads as a sentence about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from twin.lab import ready
from twin.lab.keys import Keys
from twin.lab.plan import plan
from twin.lab.spec import read_lab

SQUARE = Path(__file__).parents[2] / "configs" / "labs" / "square.yaml"
WRONG = {
    "routes": "does not tell its RIB (",
    "bgp": "does not tell its BGP sessions (",
    "lldp": "lacks an LLDP neighbour on eth1 (2 in all)",
    "netconf": "the lab's agent has ended: nothing in its log",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_router_that_is_not_there(name: str, tmp_path: Path) -> None:
    absent = plan(replace(read_lab(SQUARE), name="absent"))
    said = ready.checks(absent, Keys(tmp_path))[name](absent.routers["west"])
    assert said is not None
    assert said.startswith(WRONG[name])
