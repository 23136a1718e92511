"""A bundle's link has the capacity of its members that are up, and what its members hear it hears."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tests.net.worlds import GIGABIT, NOW, devices
from twin.net.facts import LinkFactsTable, LinkRow
from twin.net.topology import build_snapshot
from twin.vocab.observed import LldpNeighbor, ObservedBundle, ObservedDevice, ObservedInterface
from twin.vocab.snapshot import Port, Snapshot, SnapshotDevice

MEMBERS = ("m1", "m2", "m3")
R1, R2 = Port("r1", "eth0"), Port("r2", "eth0")


def bundled(
    device: SnapshotDevice,
    far: str,
    *,
    down: Collection[str] = (),
    lacking: Collection[str] = (),
    reported: int | None = 3 * GIGABIT,
) -> SnapshotDevice:
    """eth0 as a bundle of three gigabits; LLDP is heard by its members only."""
    assert device.observed
    seen: ObservedDevice = device.observed
    ports = tuple(replace(i, speed_bps=reported) if i.name == "eth0" else i for i in seen.interfaces)
    members = tuple(
        ObservedInterface(name, 20 + k, GIGABIT, admin_up=True, oper_up=name not in down)
        for k, name in enumerate(MEMBERS)
        if name not in lacking
    )
    heard = tuple(LldpNeighbor(m.name, far, "02:00:00:00:00:01", m.name) for m in members if m.oper_up)
    bundles = (ObservedBundle("eth0", MEMBERS),)
    return replace(device, observed=replace(seen, interfaces=(*ports, *members), lldp=heard, bundles=bundles))


def joined(
    down: Collection[str] = (),
    lacking: Collection[str] = (),
    reported: int | None = 3 * GIGABIT,
    facts: int | None = None,
) -> Snapshot:
    r1, r2 = devices((("r1", "r2", 10, 10),))
    table = LinkFactsTable("1", (LinkRow(R1, R2, capacity=facts),))
    ends = [bundled(a, b, down=down, lacking=lacking, reported=reported) for a, b in ((r1, "r2"), (r2, "r1"))]
    return build_snapshot(NOW, ends, table)


def said(snapshot: Snapshot) -> list[str]:
    return [f.message for f in snapshot.findings if Port(f.device, f.subject) == R1]


def test_a_bundle_whose_members_are_all_up_is_one_link_without_findings() -> None:
    snapshot = joined()
    assert [(x.a, x.b, x.capacity_bps) for x in snapshot.links] == [(R1, R2, 3 * GIGABIT)]
    assert snapshot.findings == ()


def test_a_member_that_is_down_takes_its_capacity_with_it() -> None:
    snapshot = joined(down=["m2"])
    assert [x.capacity_bps for x in snapshot.links] == [2 * GIGABIT]
    assert said(snapshot) == [
        "1 of 3 members down: m2",
        "speed 3000000000 bit/s, but the members that are up have 2000000000 bit/s: taken as such",
    ]


def test_the_operators_capacity_is_no_more_than_live_members_can_carry() -> None:
    assert [x.capacity_bps for x in joined(facts=GIGABIT // 2).links] == [GIGABIT // 2]
    assert [x.capacity_bps for x in joined(down=["m1", "m2"], facts=3 * GIGABIT).links] == [GIGABIT]


def test_a_bundle_of_unknown_members_has_its_own_speed() -> None:
    snapshot = joined(lacking=["m3"])
    assert [x.capacity_bps for x in snapshot.links] == [3 * GIGABIT]
    assert said(snapshot) == ["the speed of member m3 is unknown: the bundle's own speed is taken for its capacity"]


def test_a_bundle_that_tells_no_speed_has_its_members() -> None:
    assert [x.capacity_bps for x in joined(reported=None).links] == [3 * GIGABIT]


def test_a_far_end_that_tells_no_bundle_is_found_by_its_subnet() -> None:
    r1, r2 = devices((("r1", "r2", 10, 10),))
    far = bundled(r2, "r1")
    assert far.observed
    silent = replace(far, observed=replace(far.observed, bundles=()))
    snapshot = build_snapshot(NOW, [bundled(r1, "r2", down=["m1"]), silent])
    assert [(x.a, x.b, x.capacity_bps) for x in snapshot.links] == [(R1, R2, 2 * GIGABIT)]
    assert not [f for f in snapshot.findings if f.severity == "error"]


def test_a_bundle_to_two_devices_is_an_error_not_a_guess() -> None:
    r1, r2, r3 = devices((("r1", "r2", 10, 10), ("r1", "r3", 10, 10)))
    one = bundled(r1, "r2")
    assert one.observed
    heard = (*one.observed.lldp[:2], replace(one.observed.lldp[2], system_name="r3", port_description="eth1"))
    split = replace(one, observed=replace(one.observed, lldp=heard))
    snapshot = build_snapshot(NOW, [split, bundled(r2, "r1"), r3])
    assert any("also hears r3:eth1" in f.message for f in snapshot.findings if f.severity == "error")
