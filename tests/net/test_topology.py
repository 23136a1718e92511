"""Links and doubts from what devices say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from tests.net.worlds import GIGABIT, NOW, SQUARE, devices, network, observed, ospf
from twin.net.facts import LinkFactsTable, LinkRow
from twin.net.topology import build_snapshot, edge_ports
from twin.vocab.config import BgpConfig, StaticRoute, UnreadLine
from twin.vocab.errors import InputError
from twin.vocab.files import parse_yaml, read_yaml
from twin.vocab.observed import LINKS_MAY_LACK, LldpNeighbor
from twin.vocab.snapshot import LinkFacts, Port, SnapshotDevice

SAMPLE = Path(__file__).parents[2] / "configs" / "links.yaml"
PAIR = (("r1", "r2", 10, 10),)
R1, R2 = Port("r1", "eth0"), Port("r2", "eth0")


def with_config(device: SnapshotDevice, **changed: object) -> SnapshotDevice:
    assert device.config
    return replace(device, config=replace(device.config, **changed))  # type: ignore[arg-type]  # one dataclass


def with_state(device: SnapshotDevice, **changed: object) -> SnapshotDevice:
    assert device.observed
    return replace(device, observed=replace(device.observed, **changed))  # type: ignore[arg-type]  # one dataclass


def with_interface(device: SnapshotDevice, name: str, **changed: object) -> SnapshotDevice:
    assert device.config
    interfaces = tuple(
        replace(i, **changed) if i.name == name else i  # type: ignore[arg-type]  # one dataclass
        for i in device.config.interfaces
    )
    return with_config(device, interfaces=interfaces)


def with_port(device: SnapshotDevice, name: str, **changed: object) -> SnapshotDevice:
    assert device.observed
    interfaces = tuple(
        replace(i, **changed) if i.name == name else i  # type: ignore[arg-type]  # one dataclass
        for i in device.observed.interfaces
    )
    return with_state(device, interfaces=interfaces)


def lldp(system: str, port_id: str, description: str = "") -> tuple[LldpNeighbor, ...]:
    return (LldpNeighbor("eth0", system, port_id, description),)


def unaddressed(device: SnapshotDevice) -> SnapshotDevice:
    return with_port(with_interface(device, "eth0", addresses=()), "eth0", addresses=())


def test_a_healthy_network_has_its_links_and_no_findings() -> None:
    snapshot = network(SQUARE)
    assert [(str(x.a), str(x.b), x.capacity_bps) for x in snapshot.links] == [
        ("r1:eth0", "r2:eth0", GIGABIT),
        ("r1:eth2", "r3:eth2", GIGABIT),
        ("r2:eth1", "r4:eth1", GIGABIT),
        ("r3:eth3", "r4:eth3", GIGABIT),
    ]
    assert snapshot.findings == ()


@pytest.mark.parametrize(
    "heard",
    [
        lldp("r2", "eth0"),
        lldp("R2.example.net", "02:00:00:00:00:01", "eth0"),
        lldp("r2", "10"),
        lldp("r2", "unreadable"),
        (LldpNeighbor("eth0", "", "eth0", "", (IPv4Address("10.0.0.2"),)),),
    ],
    ids=["port id", "domain and description", "interface index", "shared subnet", "management address"],
)
def test_an_lldp_neighbour_is_found_however_it_is_spelled(heard: tuple[LldpNeighbor, ...]) -> None:
    r1, r2 = devices(PAIR)
    snapshot = build_snapshot(NOW, [with_state(r1, lldp=heard), r2])
    assert [(x.a, x.b) for x in snapshot.links] == [(R1, R2)]
    assert snapshot.findings == ()


def test_the_far_ends_own_neighbour_settles_an_unreadable_port() -> None:
    r1, r2 = map(unaddressed, devices(PAIR))
    snapshot = build_snapshot(NOW, [with_state(r1, lldp=lldp("r2", "???")), r2])
    assert [(x.a, x.b) for x in snapshot.links] == [(R1, R2)]


def test_a_system_that_calls_itself_otherwise_is_known_by_its_own_name() -> None:
    r1, r2 = devices(PAIR)
    r2 = with_state(r2, system_name="core-2.example.net")
    snapshot = build_snapshot(NOW, [with_state(r1, lldp=lldp("core-2", "eth0")), r2])
    assert snapshot.findings == ()


Doubt = tuple[str, str, str, Callable[[SnapshotDevice, SnapshotDevice], list[SnapshotDevice]]]
DOUBTS: tuple[Doubt, ...] = (
    ("warning", "r1:eth0", "does not hear r2:eth0", lambda a, b: [with_state(a, lldp=()), b]),
    (
        "warning",
        "r1:eth0",
        "neither end hears the other",
        lambda a, b: [with_state(a, lldp=()), with_state(b, lldp=())],
    ),
    (
        "warning",
        "r1:eth0",
        "share no subnet",
        lambda a, b: [with_interface(a, "eth0", addresses=(IPv4Interface("10.7.7.1/30"),)), b],
    ),
    ("note", "r1:eth0", "not a device of the inventory", lambda a, b: [with_state(a, lldp=lldp("x9", "eth0")), b]),
    (
        "warning",
        "r1:eth0",
        "matches 0 of its interfaces",
        lambda a, b: [unaddressed(with_state(a, lldp=lldp("r2", "??"))), with_state(b, lldp=())],
    ),
    ("error", "r1:eth0", "not a full neighbour", lambda a, b: [with_state(a, ospf=()), b]),
    (
        "warning",
        "r1:eth0",
        "network types",
        lambda a, b: [with_interface(a, "eth0", ospf=ospf(10, network_type="point-to-point")), b],
    ),
    ("error", "r1:configuration", "configuration unknown", lambda a, b: [replace(a, config=None), b]),
    ("error", "r1:state", "state unknown", lambda a, b: [replace(a, observed=None), b]),
    (
        "error",
        "r1:state",
        "links may be missing: lldp_remote: out of time",
        lambda a, b: [with_state(a, flags=(f"{LINKS_MAY_LACK}: lldp_remote: out of time",)), b],
    ),
    ("warning", "r1:state", "routes: out of time", lambda a, b: [with_state(a, flags=("routes: out of time",)), b]),
    (
        "warning",
        "r1:configuration",
        "1 configuration lines not understood, first line 7: 'frobnicate'",
        lambda a, b: [with_config(a, unread=(UnreadLine(7, "", " frobnicate"),)), b],
    ),
    ("warning", "r1:eth0", "speed 5 bit/s", lambda a, b: [with_port(a, "eth0", speed_bps=5), b]),
    (
        "warning",
        "r1:eth0",
        "capacity of the link to r2:eth0 is unknown",
        lambda a, b: [with_port(a, "eth0", speed_bps=0), with_port(b, "eth0", speed_bps=None)],
    ),
    (
        "warning",
        "r1:edge0",
        "configured but not observed",
        lambda a, b: [with_state(a, interfaces=a.observed.interfaces[2:] if a.observed else ()), b],
    ),
    ("warning", "r1:eth0", "observed down", lambda a, b: [with_port(a, "eth0", oper_up=False), b]),
    ("warning", "r1:eth0", "administratively down", lambda a, b: [with_port(a, "eth0", admin_up=False), b]),
    ("warning", "r1:eth0", "configured disabled", lambda a, b: [with_interface(a, "eth0", enabled=False), b]),
    (
        "warning",
        "r1:edge0",
        "configured 10.2.1.1/24 but observed 10.9.9.9/24",
        lambda a, b: [with_port(a, "edge0", addresses=(IPv4Interface("10.9.9.9/24"),)), b],
    ),
    (
        "error",
        "r1:router id",
        "router id 10.0.0.1 is also that of r2",
        lambda a, b: [a, with_config(b, ospf=a.config.ospf if a.config else None)],
    ),
    (
        "error",
        "r1:edge0",
        "address 10.2.1.1 is also that of r2:edge0",
        lambda a, b: [a, with_interface(b, "edge0", addresses=(IPv4Interface("10.2.1.1/24"),))],
    ),
    (
        "error",
        ":OSPF",
        "areas 0.0.0.0, 0.0.0.1",
        lambda a, b: [with_interface(a, "edge0", ospf=replace(ospf(1, passive=True), area=IPv4Address("0.0.0.1"))), b],
    ),
    (
        "error",
        "r1:static routes",
        "overrides OSPF towards r2",
        lambda a, b: [with_config(a, static_routes=(StaticRoute(IPv4Network("10.2.2.0/25")),)), b],
    ),
    (
        "note",
        "r1:BGP",
        "BGP routes are not predicted",
        lambda a, b: [with_config(a, bgp=BgpConfig(65000, IPv4Address("10.0.0.1"))), b],
    ),
)


@pytest.mark.parametrize(("severity", "place", "words", "spoil"), DOUBTS, ids=[d[2] for d in DOUBTS])
def test_each_disagreement_is_listed(
    severity: str,
    place: str,
    words: str,
    spoil: Callable[[SnapshotDevice, SnapshotDevice], list[SnapshotDevice]],
) -> None:
    r1, r2 = devices(PAIR)
    found = build_snapshot(NOW, spoil(r1, r2)).findings
    assert (severity, place) in {(f.severity, f"{f.device}:{f.subject}") for f in found if words in f.message}, found


NOT_TOLD = {
    "SNMP failed": ("error", f"{LINKS_MAY_LACK}: neighbours: SNMP did not tell them"),
    "NETCONF alone": ("warning", "neighbours: not read over NETCONF"),
}


@pytest.mark.parametrize("silent", [("r1",), ("r1", "r2")], ids=["one", "both"])
@pytest.mark.parametrize(("severity", "flag"), NOT_TOLD.values(), ids=NOT_TOLD)
def test_a_device_whose_neighbours_were_not_read_is_not_blamed(
    severity: str, flag: str, silent: tuple[str, ...]
) -> None:
    given = (with_port(d, "eth0", speed_bps=GIGABIT if d.name == "r2" else 5) for d in devices(PAIR))
    blind = [with_state(d, lldp=(), ospf=(), flags=(flag,)) if d.name in silent else d for d in given]
    found = build_snapshot(NOW, blind).findings
    assert [(f.severity, f.device, f.message) for f in found] == [(severity, name, flag) for name in silent]


def test_a_device_that_was_read_is_still_blamed_for_not_hearing_one_that_was_not() -> None:
    r1, r2 = devices(PAIR)
    blind = with_state(r1, lldp=(), flags=("neighbours: not read over NETCONF",))
    found = build_snapshot(NOW, [blind, with_state(r2, lldp=(), ospf=())]).findings
    assert [(f.device, f.message) for f in found if f.subject == "eth0"] == [
        ("r2", "does not hear r1:eth0 by LLDP"),
        ("r2", "both ends run OSPF, but r1:eth0 is not a full neighbour"),
    ]


def test_a_neighbour_table_that_was_cut_short_leaves_the_neighbour_in_doubt() -> None:
    r1, r2 = devices(PAIR)
    found = build_snapshot(NOW, [with_state(r1, ospf=(), flags=("ospf_neighbors: out of time",)), r2]).findings
    assert [(f.severity, f.message) for f in found if f.subject == "eth0"] == [
        ("error", "both ends run OSPF, but r2:eth0 may be no full neighbour: not all were read")
    ]


def test_a_default_route_does_not_override_what_ospf_announces() -> None:
    r1, r2 = devices(PAIR)
    static = StaticRoute(IPv4Network("0.0.0.0/0"), IPv4Address("10.100.0.2"))
    assert build_snapshot(NOW, [with_config(r1, static_routes=(static,)), r2]).findings == ()


def test_a_management_network_joins_nobody() -> None:
    addresses = [IPv4Interface(f"192.168.0.{i}/24") for i in (1, 2)]
    polled = [a.ip for a in addresses]
    bridged = [
        with_state(d, interfaces=(*d.observed.interfaces, observed("mgmt", 99, (a,))) if d.observed else ())
        for d, a in zip(devices(PAIR), addresses, strict=True)
    ]
    assert len(build_snapshot(NOW, bridged).links) == 2
    assert len(build_snapshot(NOW, bridged, management=polled).links) == 1


def test_a_segment_of_three_routers_is_an_error() -> None:
    wires = (("r1", "r2", 1, 1), ("r3", "r4", 1, 1))
    one, two, three, four = devices(wires)
    address = (IPv4Interface("10.100.0.3/30"),)
    three = with_port(with_interface(three, "eth1", addresses=address), "eth1", addresses=address)
    found = build_snapshot(NOW, [with_state(d, lldp=()) for d in (one, two, three, four)]).findings
    assert any(f.severity == "error" and "joins 3 ports" in f.message for f in found)


def test_a_port_that_hears_two_neighbours_is_an_error() -> None:
    r1, r2, r3, r4 = devices(SQUARE)
    assert r1.observed
    r1 = with_state(r1, lldp=(*r1.observed.lldp, LldpNeighbor("eth0", "r4", "eth1")))
    snapshot = build_snapshot(NOW, [r1, r2, r3, r4])
    assert len(snapshot.links) == 4
    assert any("shared segments aren't modelled" in f.message for f in snapshot.findings)


def test_a_customer_lan_of_two_routers_is_no_link() -> None:
    r1, r2 = devices(PAIR)
    address = (IPv4Interface("10.2.1.2/24"),)
    shared = with_port(with_interface(r2, "edge0", addresses=address), "edge0", addresses=address)
    assert len(build_snapshot(NOW, [r1, shared]).links) == 1


def test_facts_override_the_speed_and_stay_unknown_where_they_are_silent() -> None:
    row = LinkRow(a=R2, b=R1, capacity=20_000_000, delay=4.2, shared_risk=("duct 7",))
    link = network(PAIR, LinkFactsTable("1", (row,))).links[0]
    assert link.capacity_bps == 20_000_000
    assert link.facts == LinkFacts(20_000_000, 4.2, None, "", ("duct 7",))
    assert network(PAIR).links[0].facts.delay_ms is None


def test_facts_about_a_link_nobody_shows_are_listed() -> None:
    found = network(PAIR, LinkFactsTable("1", (LinkRow(a=R1, b=Port("r9", "eth0")),))).findings
    assert [f.message for f in found] == ["the link facts name r1:eth0 - r9:eth0, but no device shows such a link"]


def test_capacity_falls_back_to_configured_bandwidth() -> None:
    r1, r2 = (with_port(d, "eth0", speed_bps=0) for d in devices(PAIR))
    snapshot = build_snapshot(NOW, [with_interface(r1, "eth0", bandwidth_bps=7), r2])
    assert snapshot.links[0].capacity_bps == 7


def test_two_devices_of_one_name_are_refused() -> None:
    r1, _ = devices(PAIR)
    with pytest.raises(ValueError, match="one name"):
        build_snapshot(NOW, [r1, r1])


def test_edge_ports_are_the_announced_ports_that_lead_to_nobody() -> None:
    snapshot = network(SQUARE)
    assert edge_ports(snapshot) == tuple(Port(f"r{i}", "edge0") for i in (1, 2, 3, 4))
    extra, never = Port("r1", "eth9"), Port("r2", "edge0")
    chosen = edge_ports(snapshot, extra=[extra], never=[never])
    assert extra in chosen
    assert never not in chosen
    assert Port("r1", "edge0") not in edge_ports(snapshot, management=[IPv4Address("10.2.1.1")])


def test_an_edge_port_that_is_down_carries_nobody() -> None:
    r1, r2 = devices(PAIR)
    snapshot = build_snapshot(NOW, [with_port(r1, "edge0", oper_up=False), r2])
    assert edge_ports(snapshot) == (Port("r2", "edge0"),)


BAD_FACTS = {
    "not device:interface": "a: r1\n    b: r2:e",
    "not a rate": "a: r1:e\n    b: r2:e\n    capacity: fast",
    "needs a number and a unit": "a: r1:e\n    b: r2:e\n    delay: 4",
    "write for example 120km": "a: r1:e\n    b: r2:e\n    length: 3 miles",
    "joined to itself": "a: r1:e\n    b: r1:e",
    "stands twice": "a: r1:e\n    b: r2:e\n  - a: r2:e\n    b: r1:e",
    "unknown key": "a: r1:e\n    b: r2:e\n    colour: red",
}


@pytest.mark.parametrize(("words", "row"), BAD_FACTS.items(), ids=BAD_FACTS)
def test_bad_link_facts_are_refused_by_name(words: str, row: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_yaml(f"schema_version: 1\nlinks:\n  - {row}\n", LinkFactsTable)


def test_the_sample_of_link_facts_loads() -> None:
    assert read_yaml(SAMPLE, LinkFactsTable).schema_version == "1"


def test_the_row_that_the_sample_explains_loads_too() -> None:
    lines = SAMPLE.read_text().replace("links: []\n", "").splitlines()
    opened = [line.removeprefix("# ") if line.startswith(("# links", "#   ")) else line for line in lines]
    row = parse_yaml("\n".join(opened), LinkFactsTable).links[0]
    assert row.facts == LinkFacts(10**10, 2.1, 366.0, "LEVEL3-4711", ("duct-potomac",))
