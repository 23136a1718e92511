"""Everything that follows from a lab file, without touching the machine."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from twin.config import frr
from twin.lab import cgroups, machine
from twin.lab.plan import LabPlan, device_config, lab_tag, namespace_prefix, plan
from twin.lab.spec import read_lab
from twin.lab.texts import frr_conf, root_links, snmpd_conf
from twin.vocab.errors import NettwinError
from twin.vocab.inventory import Secret

LABS = Path(__file__).parents[2] / "configs" / "labs"
KEYS = {name: Secret(f"{name}-value") for name in ("community", "local_community", "v3_auth", "v3_privacy")}
V1 = """tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
"""
V2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0\n"


@pytest.fixture(name="abilene", scope="module")
def _abilene() -> LabPlan:
    return plan(read_lab(LABS / "abilene.yaml"))


def test_interfaces_are_numbered_in_the_order_of_the_links(abilene: LabPlan) -> None:
    assert [(w.name, w.peer, w.peer_interface) for w in abilene.routers["chin"].wires] == [
        ("eth1", "ipls", "eth2"),
        ("eth2", "nycm", "eth1"),
    ]


def test_both_ends_of_every_link_agree(abilene: LabPlan) -> None:
    for router in abilene.routers.values():
        for wire in router.wires:
            (far,) = (w for w in abilene.routers[wire.peer].wires if w.name == wire.peer_interface)
            assert (far.peer, far.peer_interface) == (router.name, wire.name)
            assert far.address.network == wire.address.network
            assert far.address != wire.address


def test_costs_may_differ_by_direction() -> None:
    file = read_lab(LABS / "square.yaml")
    one_way = replace(file.links[0], cost_ab=77)
    wires = plan(replace(file, links=(one_way, *file.links[1:]))).routers
    assert (wires["west"].wires[0].cost, wires["north"].wires[0].cost) == (77, 10)


def test_no_two_things_of_two_labs_share_a_name(abilene: LabPlan) -> None:
    other = plan(replace(read_lab(LABS / "abilene.yaml"), name="abilene2"))
    assert not set(_names(abilene)) & set(_names(other))
    assert not any(name.startswith(namespace_prefix("abilene")) for name in _names(other))
    assert all(len(n) <= 15 for lab in (abilene, other) for n in (lab.bridge, *(r.veth for r in lab.routers.values())))


def _names(lab: LabPlan) -> list[str]:
    per_router = [(r.namespace, r.host_namespace, r.veth, str(r.directory)) for r in lab.routers.values()]
    return [lab.bridge, *(name for names in per_router for name in names)]


def test_socket_paths_fit_the_kernel_even_for_the_longest_names() -> None:
    deepest = Path("/run/nettwin") / ("l" * 14) / "netconf" / ("r" * 14) / "ncx.sock"
    assert len(str(deepest)) <= 107


def test_what_frr_is_given_reads_back_as_what_was_meant(abilene: LabPlan) -> None:
    for name, router in abilene.routers.items():
        meant = device_config(abilene, name)
        read = frr.parse(frr_conf(abilene, router))
        assert (read.interfaces, read.ospf, read.bgp) == (meant.interfaces, meant.ospf, meant.bgp)
        assert read.unread == ()


def test_other_protocols_are_configured_only_where_asked() -> None:
    file = read_lab(LABS / "square.yaml")
    routers = file.routers | {"far": replace(file.routers["far"], igp=("isis", "ospf6"))}
    lab = plan(replace(file, routers=routers))
    far, west = (frr_conf(lab, lab.routers[name]) for name in ("far", "west"))
    assert "router isis lab" in far
    assert "router ospf6" in far
    assert "router ospf\n" not in far
    assert "isis" not in west
    assert lab.routers["far"].daemons == ("zebra", "staticd", "isisd", "ospf6d", "bgpd")


def test_the_agent_tells_capacities_and_the_routers_own_figures(abilene: LabPlan) -> None:
    meters = {"cpu": cgroups.Meter(Path("/g"), cgroups.CPU_PROGRAMS[1], "cpuacct.usage")}
    text = snmpd_conf(abilene.routers["atla"], KEYS, meters, Path("/run/x/cg"), IPv4Address("10.0.0.1"))
    assert "interface eth3 6 5000000\n" in text
    assert "extend cpuTimeUs /usr/bin/awk -f /run/x/cg/cpu.awk /run/x/cg/cpu/cpuacct.usage\n" in text
    assert "memoryUsedBytes" not in text
    assert "rwcommunity local_community-value 127.0.0.1 " in text
    assert " 10.0.0.1:162\n" in text


def test_every_veth_pair_is_made_once(abilene: LabPlan) -> None:
    pairs = [line for line in root_links(abilene).splitlines() if " netns " in line and line.startswith("link add eth")]
    assert len(pairs) == len(set(pairs)) == 15


def test_control_groups_are_found_in_both_versions() -> None:
    assert cgroups.hierarchy(V1) == cgroups.Hierarchy(
        1, Path("/sys/fs/cgroup/cpu,cpuacct"), Path("/sys/fs/cgroup/memory")
    )
    assert cgroups.hierarchy(V2) == cgroups.Hierarchy(2, Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup"))
    assert cgroups.hierarchy("tmpfs / tmpfs rw 0 0\n").mounts == ()


def test_tags_fit_interface_names() -> None:
    assert lab_tag("abilene") != lab_tag("square")
    assert len(lab_tag("a" * 14)) + len("-200") <= 15


def test_what_is_missing_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PACKAGES", {"no-such-program": "some-package"})
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert [x.what for x in machine.missing()] == ["some-package", "root"]
    with pytest.raises(NettwinError, match="apt-get install --no-install-recommends some-package"):
        machine.require()
