"""Real FRR routers that speak IS-IS: their neighbours as net-snmp's AgentX hands them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collectors.profiles import ProfileSet
from collectors.rounds import Poller
from collectors.snmp.fast_engine import FastEngine
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c

if TYPE_CHECKING:
    from twin.lab.lab import Lab
    from twin.lab.spec import LabFile

pytestmark = pytest.mark.lab


def test_isis_neighbours_are_read_with_their_interface(
    lab_file: Callable[..., LabFile], raise_lab: Callable[[LabFile], Lab], profiles: ProfileSet
) -> None:
    square = lab_file("square", tag="s")
    routers = {name: replace(square.routers[name], igp=("isis",)) for name in ("east", "far")}
    lab = raise_lab(replace(square, routers=routers, links=square.links[-1:], bgp=None))
    access = {access.router: access for access in lab.access()}
    community = Secret(Path(access["east"].community_file).read_text().strip())
    inventory = [Device(n, a.address, SnmpAccess(SnmpV2c(community))) for n, a in access.items()]
    with Poller(profiles, engine=FastEngine) as poller:
        taken = poller.round(inventory)
    (block,) = (block for block in taken.blocks() if block.kind == "isis_neighbor")
    rows = {row["device"]: row for row in block.rows()}
    (wire,) = lab.plan.routers["east"].wires
    assert rows.keys() == {"east", "far"}
    assert rows["east"]["state"] == 3
    assert rows["east"]["neighbor"] == f"0100.0000.0005%{wire.name}"
