"""Real routers: they route, split, answer, follow what they are told, and go away without a trace."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from twin.lab import teardown
from twin.lab.lab import Lab, down, labs, load, up
from twin.lab.routing import directed_links, shares
from twin.lab.spec import Igp, LabFile
from twin.vocab.change import Change, SetCost
from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.snapshot import Port

pytestmark = pytest.mark.lab
MakeFile = Callable[..., LabFile]
RaiseLab = Callable[[LabFile], Lab]
ENOUGH_OCTETS = 3_000_000
KILL_AT = """
import os, signal, sys
from pathlib import Path
from pydantic import TypeAdapter
from twin.lab.lab import up
from twin.lab.spec import LabFile

def kill(stage, done, total):
    if stage == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

up(TypeAdapter(LabFile).validate_json(Path(sys.argv[1]).read_bytes()), progress=kill)
"""


def test_every_router_knows_every_prefix_and_is_whole(lab: Lab) -> None:
    status = lab.status()
    assert [r for r in status.routers if not r.good] == []
    for table in lab.rib().values():
        assert {str(p) for p in lab.plan.prefixes} <= set(table)


def test_equal_cost_paths_are_both_in_the_rib(lab: Lab) -> None:
    (route,) = (r for r in lab.rib()["west"]["10.0.0.5/32"] if r.get("selected"))
    assert sorted(hop["interfaceName"] for hop in route["nexthops"] if hop.get("fib")) == ["eth1", "eth2"]


def test_what_is_sent_is_what_the_edges_count_and_equal_costs_share_it(lab: Lab) -> None:
    before = _octets(lab)
    lab.start_traffic()
    _until(lambda: lab.traffic().sent_octets.sum() > ENOUGH_OCTETS)
    sent = lab.stop_traffic().sent_octets
    counted = {key: octets - before[key] for key, octets in _octets(lab).items()}
    names = list(lab.plan.routers)
    entering = [counted[name, "edge0", "rx"] for name in names]
    leaving = [counted[name, "edge0", "tx"] for name in names]
    assert sent.sum() > ENOUGH_OCTETS
    np.testing.assert_allclose(entering, sent.sum(axis=1), rtol=0.02)
    np.testing.assert_allclose(leaving, sent.sum(axis=0), rtol=0.02)
    _check_links(lab, counted, sent)


def _check_links(lab: Lab, counted: dict[tuple[str, str, str], int], sent: np.ndarray) -> None:
    links, costs, _ = directed_links(lab.file)
    expected = np.tensordot(sent, shares(len(sent), links, costs), axes=2)
    names = list(lab.plan.routers)
    measured = []
    for sender, receiver in links:
        (wire,) = (w for w in lab.plan.routers[names[sender]].wires if w.peer == names[receiver])
        measured.append(counted[names[sender], wire.name, "tx"])
    np.testing.assert_allclose(measured, expected, rtol=0.15)


def _octets(lab: Lab) -> dict[tuple[str, str, str], int]:
    found = {}
    for router in lab.plan.routers.values():
        told = subprocess.run(["ip", "-n", router.namespace, "-s", "-j", "link"], capture_output=True, check=True)
        for entry in json.loads(told.stdout):
            for way in ("rx", "tx"):
                found[router.name, entry["ifname"], way] = entry["stats64"][way]["bytes"]
    return found


def test_traffic_can_be_started_once_and_stopped_once(lab: Lab) -> None:
    lab.start_traffic()
    with pytest.raises(UsageError, match="already runs"):
        lab.start_traffic()
    assert lab.traffic().running
    assert not lab.stop_traffic().running
    with pytest.raises(UsageError, match="no traffic runs"):
        lab.stop_traffic()


def test_the_agent_tells_speed_and_the_routers_own_cpu_and_memory(lab: Lab) -> None:
    extend = ".1.3.6.1.4.1.8072.1.3.2.3.1.1.{}"
    cpu, memory, total = (
        int(_snmp(lab, "get", extend.format(".".join(map(str, [len(n), *n.encode()])))).strip('"\n'))
        for n in ("cpuTimeUs", "memoryUsedBytes", "memoryTotalBytes")
    )
    assert 10_000 < cpu < 600_000_000
    assert 10_000_000 < memory < total == 512 * 2**20
    names = _snmp(lab, "walk", ".1.3.6.1.2.1.31.1.1.1.1").replace('"', "").split()
    speeds = _snmp(lab, "walk", ".1.3.6.1.2.1.31.1.1.1.15").split()
    assert dict(zip(names, speeds, strict=True))["eth1"] == "20"


def test_counters_are_at_most_a_second_old_and_nobody_outside_may_write(lab: Lab) -> None:
    cache = ".1.3.6.1.4.1.8072.1.5.3.1.2.1.3.6.1.2.1.2.2"
    assert _snmp(lab, "get", cache).strip() == "1"
    community = lab.keys.local_community.read_text().strip()
    refused = subprocess.run(
        ["snmpset", "-v2c", "-c", community, "-r0", "-t0.3", lab.access()[0].address, cache, "i", "5"],
        capture_output=True,
        check=False,
        env={"PATH": "/usr/bin", "MIBS": ""},
    )
    assert refused.returncode != 0


def _snmp(lab: Lab, verb: str, oid: str) -> str:
    """By SNMPv3 authPriv, with the secrets from their files."""
    access = lab.access()[0]
    auth, privacy = access.v3_auth_file.read_text().strip(), access.v3_privacy_file.read_text().strip()
    user = ["-v3", "-l", "authPriv", "-u", access.v3_user, "-a", "SHA-256", "-A", auth, "-x", "AES", "-X", privacy]
    argv = [f"snmp{verb}", *user, "-Oqv", access.address, oid]
    done = subprocess.run(argv, capture_output=True, check=True, text=True, env={"PATH": "/usr/bin", "MIBS": ""})
    return done.stdout


def test_secrets_are_for_root_alone(lab: Lab) -> None:
    files = [*lab.keys.directory.iterdir(), *lab.plan.directory.glob("*/snmpd.conf")]
    private = [f for f in files if f.suffix != ".pub"]
    assert len(private) >= 10
    assert {stat.S_IMODE(f.stat().st_mode) for f in private} == {0o600}
    assert stat.S_IMODE(lab.keys.directory.stat().st_mode) == 0o700
    readable = [f for f in lab.plan.directory.rglob("*") if f.is_file() and stat.S_IMODE(f.stat().st_mode) & 0o044]
    secrets = [lab.keys.v3_auth.read_bytes().strip(), lab.keys.community.read_bytes().strip()]
    assert [f for f in readable if any(s in f.read_bytes() for s in secrets)] == []


def test_only_the_routers_own_programs_reach_their_sockets(lab: Lab) -> None:
    for router in lab.plan.routers.values():
        netconf = lab.plan.directory / "netconf" / router.name
        assert (netconf / "ncx.sock").is_socket()
        assert _owner_and_mode(netconf) == ("root", "root", 0o700)
        assert _owner_and_mode(router.directory) == ("frr", "root", 0o750)
        assert _owner_and_mode(router.directory / "agentx.sock") == ("frr", "root", 0o660)
        inside = [p for p in router.directory.iterdir() if p.is_socket()]
        assert [p for p in inside if stat.S_IMODE(p.stat().st_mode) & 0o007] == []


def _owner_and_mode(path: Path) -> tuple[str, str, int]:
    return path.owner(), path.group(), stat.S_IMODE(path.stat().st_mode)


SUBAGENTS = {"lldpLocPortId": ".1.0.8802.1.1.2.1.3.7.1.3", "lldpRemSysName": ".1.0.8802.1.1.2.1.4.1.1.9"}
SUBAGENTS |= {"ospfNbrState": ".1.3.6.1.2.1.14.10.1.6", "bgpPeerState": ".1.3.6.1.2.1.15.3.1.2"}


@pytest.mark.parametrize("column", SUBAGENTS.values(), ids=SUBAGENTS)
def test_frr_and_lldpd_speak_through_the_agent(lab: Lab, column: str) -> None:
    assert len(_snmp(lab, "walk", column).split()) >= 2


def test_a_change_moves_the_real_routes_and_back(lab: Lab) -> None:
    port = Port("west", "eth1")
    assert lab.apply(Change((SetCost(port, 50),))) == {"west": "applied"}
    _until(lambda: _hops(lab, "west", "10.0.0.5/32") == ["eth2"])
    lab.apply(Change((SetCost(port, 10),)))
    _until(lambda: _hops(lab, "west", "10.0.0.5/32") == ["eth1", "eth2"])


def _hops(lab: Lab, router: str, prefix: str) -> list[str]:
    (route,) = (r for r in lab.rib()[router][prefix] if r.get("selected"))
    return sorted(hop["interfaceName"] for hop in route["nexthops"] if hop.get("fib"))


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_unknown_router_or_command_is_one_clear_error(lab: Lab) -> None:
    with pytest.raises(UsageError, match="has no router 'nowhere'"):
        lab.vty("nowhere", "show version")
    with pytest.raises(NettwinError, match="show nonsense"):
        lab.vty("west", "show nonsense")


def test_a_second_lab_stands_beside_the_first_and_leaves_nothing(
    lab: Lab, lab_file: MakeFile, raise_lab: RaiseLab
) -> None:
    second = raise_lab(_pair(lab_file("square", tag="b")))
    assert {lab.name, second.name} <= set(labs())
    assert second.status().good
    second.start_traffic()
    down(second.name)
    assert teardown.traces(second.name) == []
    assert _mentions(second.name) == []
    assert lab.status().good
    with pytest.raises(UsageError, match="no lab"):
        load(second.name)


def _pair(file: LabFile, igp: tuple[Igp, ...] = ("ospf",)) -> LabFile:
    routers = {name: replace(file.routers[name], igp=igp) for name in ("east", "far")}
    return replace(file, routers=routers, links=file.links[-1:], bgp=None)


def _mentions(name: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        found += [command] if name in command else []
    return found


@pytest.mark.parametrize("protocols", [("isis",), ("ospf", "ospf6")], ids="+".join)
def test_other_protocols_run_where_the_file_asks(
    protocols: tuple[Igp, ...], lab_file: MakeFile, raise_lab: RaiseLab
) -> None:
    other = raise_lab(_pair(lab_file("square", tag=f"i{len(protocols)}"), protocols))
    (route,) = (r for r in other.rib()["east"]["10.0.0.5/32"] if r.get("selected"))
    assert route["protocol"] == protocols[0]
    if "ospf6" in protocols:
        _until(lambda: '"Full"' in other.vty("east", "show ipv6 ospf6 neighbor json", "ospf6d"))
    down(other.name)


def test_what_is_there_already_is_not_built_over(lab: Lab, lab_file: MakeFile) -> None:
    with pytest.raises(UsageError, match="is up already"):
        up(lab.file)
    with pytest.raises(UsageError, match=f"{lab.file.management} is in use here"):
        up(replace(lab_file("square", tag="c"), management=lab.file.management))
    assert f"{lab.name}c" not in labs()


@pytest.mark.parametrize("stage", ["wires", "routes"])
def test_a_lab_killed_half_way_can_be_brought_down(stage: str, lab_file: MakeFile, tmp_path: Path) -> None:
    file = _pair(lab_file("square", tag=stage[0]))
    stored = tmp_path / "lab.json"
    stored.write_bytes(TypeAdapter(LabFile).dump_json(file))
    killed = subprocess.run([sys.executable, "-c", KILL_AT, str(stored), stage], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert teardown.traces(file.name) != []
    with pytest.raises(UsageError, match="bring it down first"):
        up(file)
    down(file.name)
    assert teardown.traces(file.name) == []
    assert _mentions(file.name) == []


def test_a_lab_that_fails_half_way_takes_itself_away(lab_file: MakeFile) -> None:
    file = _pair(lab_file("square", tag="f"))

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "processes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        up(file, progress=interrupt)
    assert teardown.traces(file.name) == []
