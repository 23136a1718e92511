"""NETCONF on real routers: what is committed is what FRR and the kernel do, and nothing else can be written to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from twin.config import yang
from twin.vocab.change import Change, SetCost, SetEnabled
from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.inventory import Device
from twin.vocab.snapshot import Port

if TYPE_CHECKING:
    from twin.lab.lab import Lab

pytestmark = pytest.mark.lab
WEST_NORTH, WEST_SOUTH = Port("west", "eth1"), Port("west", "eth2")
EAST_HOSTS = "10.100.2.0/24"
CONFIG = '<config xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">{}</config>'
INTERFACE = (
    '<interfaces xmlns="urn:ietf:params:xml:ns:yang:ietf-interfaces">'
    "<interface><name>eth1</name>{}</interface></interfaces>"
)
COST = '<ospf xmlns="urn:nettwin:lab:router"><cost>{}</cost></ospf>'
ROUTE = (
    '<routing xmlns="urn:ietf:params:xml:ns:yang:ietf-routing"><control-plane-protocols><control-plane-protocol>'
    "<type>static</type><name>static</name><static-routes>"
    '<ipv4 xmlns="urn:ietf:params:xml:ns:yang:ietf-ipv4-unicast-routing"{}>{}</ipv4>'
    "</static-routes></control-plane-protocol></control-plane-protocols></routing>"
)
HOPS = (
    "<route><destination-prefix>10.77.0.0/16</destination-prefix><next-hop><next-hop-list><next-hop><index>1</index>"
    "<next-hop-address>{}</next-hop-address></next-hop></next-hop-list></next-hop></route>"
)


def eventually(holds: Callable[[], bool], patience_s: float = 8.0) -> float:
    """Seconds until it holds."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < patience_s, "never happened"
        time.sleep(0.01)
    return time.monotonic() - started


@contextmanager
def netconf(device: Device) -> Iterator[Any]:
    from twin.lab.netconf_client import session

    with session(device) as opened:
        yield opened


def cost(lab: Lab, port: Port) -> int:
    found = json.loads(lab.vty(port.device, f"show ip ospf interface {port.interface} json", "ospfd"))
    value: int = found["interfaces"][port.interface]["cost"]
    return value


def link(lab: Lab, port: Port) -> dict[str, Any]:
    """The kernel's own word."""
    namespace = lab.plan.routers[port.device].namespace
    argv = ["ip", "-n", namespace, "-j", "link", "show", port.interface]
    (found,) = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return dict(found)


def fib(lab: Lab, router: str, prefix: str) -> set[str]:
    """Outgoing interfaces in the kernel."""
    argv = ["ip", "-n", lab.plan.routers[router].namespace, "-j", "route", "show", prefix]
    routes = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout or "[]")
    return {hop["dev"] for route in routes for hop in route.get("nexthops", [route])}


def edit(device: Device, *inner: str, confirmed_s: int | None = None) -> None:
    with netconf(device) as opened:
        opened.edit_config(target="candidate", config=CONFIG.format("".join(inner)))
        if confirmed_s is None:
            opened.commit()
        else:
            opened.commit(confirmed=True, timeout=str(confirmed_s), persist="test")


@pytest.fixture
def west(lab: Lab) -> Device:
    return lab.devices()["west"]


def test_the_running_configuration_is_the_planned_one(lab: Lab, west: Device) -> None:
    from twin.lab.plan import device_config

    with netconf(west) as opened:
        running = yang.parse(opened.get_config("running").data_xml)
    planned = device_config(lab.plan, "west")
    by_name = tuple(sorted(planned.interfaces, key=lambda i: i.name))
    assert running == replace(planned, interfaces=by_name, dialect="yang")


def test_frr_runs_what_netconf_says_from_the_start(lab: Lab) -> None:
    from twin.lab.agent import actual
    from twin.lab.plan import device_config

    running = actual(lab.plan.routers["west"].directory)
    planned = device_config(lab.plan, "west")
    assert (running.ospf, running.bgp, running.unread) == (planned.ospf, planned.bgp, ())
    assert {i.name: i for i in running.interfaces} == {i.name: i for i in planned.interfaces}


def test_a_cost_moves_the_route_and_comes_back(lab: Lab) -> None:
    assert fib(lab, "west", EAST_HOSTS) == {"eth1", "eth2"}
    assert lab.apply(Change((SetCost(WEST_NORTH, 55),))) == {"west": "applied"}
    eventually(lambda: fib(lab, "west", EAST_HOSTS) == {"eth2"})
    assert cost(lab, WEST_NORTH) == 55
    lab.apply(Change((SetCost(WEST_NORTH, 10),)))
    eventually(lambda: fib(lab, "west", EAST_HOSTS) == {"eth1", "eth2"})


def test_a_disabled_interface_is_down_for_its_neighbour_too(lab: Lab) -> None:
    facing = Port("south", next(w.name for w in lab.plan.routers["south"].wires if w.peer == "west"))
    lab.apply(Change((SetEnabled(WEST_SOUTH, False),)))
    eventually(lambda: link(lab, facing)["operstate"] == "DOWN")
    eventually(lambda: fib(lab, "west", EAST_HOSTS) == {"eth1"})
    lab.apply(Change((SetEnabled(WEST_SOUTH, True),)))
    eventually(lambda: fib(lab, "west", EAST_HOSTS) == {"eth1", "eth2"})


def test_description_and_static_route_reach_kernel_and_rib(lab: Lab, west: Device) -> None:
    hop = str(next(w.address for w in lab.plan.routers["north"].wires if w.peer == "west").ip)
    edit(
        west, INTERFACE.format("<description>to the north &amp; back</description>"), ROUTE.format("", HOPS.format(hop))
    )
    eventually(lambda: fib(lab, "west", "10.77.0.0/16") == {"eth1"})
    eventually(lambda: link(lab, WEST_NORTH).get("ifalias") == "to the north & back")
    gone = ROUTE.format(' xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0" nc:operation="delete"', "")
    edit(west, INTERFACE.format("<description>to-north</description>"), gone)
    eventually(lambda: fib(lab, "west", "10.77.0.0/16") == set())
    eventually(lambda: link(lab, WEST_NORTH).get("ifalias") == "to-north")


def test_a_commit_that_is_not_confirmed_reverts_in_frr(lab: Lab, west: Device) -> None:
    edit(west, INTERFACE.format(COST.format(44)), confirmed_s=2)
    eventually(lambda: cost(lab, WEST_NORTH) == 44)
    eventually(lambda: cost(lab, WEST_NORTH) == 10)


WRONG = [
    (COST.format(0), "not in range"),
    (COST.format("high"), "invalid"),
    ("<enabled>perhaps</enabled>", "invalid value"),
    ("<nonsense>1</nonsense>", "unknown"),
]


@pytest.mark.parametrize(("inner", "complaint"), WRONG)
def test_a_wrong_value_is_refused_by_the_router(west: Device, inner: str, complaint: str) -> None:
    from ncclient.operations import RPCError

    with netconf(west) as opened:
        with pytest.raises(RPCError, match=complaint):
            opened.edit_config(target="candidate", config=CONFIG.format(INTERFACE.format(inner)))
        opened.discard_changes()


def test_interface_state_can_be_read(west: Device) -> None:
    with netconf(west) as opened:
        state = opened.get(
            filter=("subtree", '<interfaces-state xmlns="urn:ietf:params:xml:ns:yang:ietf-interfaces"/>')
        ).data_xml
    assert "<oper-status>up</oper-status>" in state
    assert f"<ip>{west.address}</ip>" in state


def test_a_failing_check_takes_everything_back(lab: Lab) -> None:
    from twin.lab.apply import ApplyError

    def check() -> None:
        eventually(lambda: cost(lab, WEST_NORTH) == 33)
        raise NettwinError("the hosts complain")

    change = Change((SetCost(WEST_NORTH, 33), SetCost(Port("east", "eth1"), 33)))
    with pytest.raises(ApplyError, match=r"the hosts complain .*west rolled back, east rolled back") as raised:
        lab.apply(change, check=check)
    assert raised.value.states == {"west": "rolled back", "east": "rolled back"}
    eventually(lambda: (cost(lab, WEST_NORTH), cost(lab, Port("east", "eth1"))) == (10, 10))


def test_a_device_that_fails_last_takes_back_those_already_confirmed(lab: Lab) -> None:
    from twin.lab.apply import ApplyError

    def lose_east(device: str, state: str) -> None:
        if (device, state) == ("west", "applied"):
            raise NettwinError("east: lost")

    change = Change((SetCost(WEST_NORTH, 34), SetCost(Port("east", "eth1"), 34)))
    with pytest.raises(ApplyError, match="east: lost") as raised:
        lab.apply(change, progress=lose_east)
    assert raised.value.states == {"west": "rolled back", "east": "rolled back"}
    eventually(lambda: (cost(lab, WEST_NORTH), cost(lab, Port("east", "eth1"))) == (10, 10))


REFUSED = [
    (Change(()), "no steps"),
    (Change((SetCost(Port("nobody", "eth1"), 5),)), "nobody: unknown device"),
    (Change((SetCost(Port("west", "eth9"), 5),)), "west:eth9: unknown interface; west has .*eth1"),
    (Change((SetCost(WEST_NORTH, 70000),)), "70000 is not in 1..65535"),
]


@pytest.mark.parametrize(("change", "complaint"), REFUSED, ids=[c for _, c in REFUSED])
def test_a_change_that_makes_no_sense_is_refused_in_one_line(lab: Lab, change: Change, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        lab.apply(change)


@pytest.mark.parametrize("address", ["192.0.2.1", "localhost", "127.0.0.1"])
def test_no_address_outside_the_lab_is_written_to(address: str) -> None:
    from twin.lab.apply import apply

    devices = {"r1": Device("r1", address)}
    with pytest.raises(UsageError, match="is not an address of the lab"):
        apply(devices, Change((SetCost(Port("r1", "eth1"), 5),)), within=IPv4Network("10.254.0.0/24"))


def test_another_host_key_is_refused(lab: Lab, west: Device) -> None:
    assert west.netconf
    client_key = lab.keys.ssh_key.with_suffix(".pub").read_text(encoding="ascii").split()[1]
    strange = replace(west, netconf=replace(west.netconf, host_key=client_key))
    with pytest.raises(NettwinError, match=r"west: .* shows another host key"), netconf(strange):
        pass


@pytest.mark.parametrize("command", ["id", "sh -i", "-s sftp"])
def test_the_key_gives_no_shell_no_files_and_no_tunnel(lab: Lab, west: Device, command: str) -> None:
    argv = ["ssh", "-i", str(lab.keys.ssh_key), "-p", "830", "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"]
    argv += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", f"root@{west.address}", *command.split()]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
    assert "uid=" not in done.stdout
    assert not done.stdout or "urn:ietf:params:netconf:base" in done.stdout


def test_the_agent_tells_what_it_could_not_apply(lab: Lab, west: Device) -> None:
    from twin.lab.agent import states

    state_file = Path(lab.plan.directory / "agent-state.json")
    ipv6 = '<ipv6 xmlns="urn:ietf:params:xml:ns:yang:ietf-ip"{}/>'
    edit(west, INTERFACE.format(ipv6.format("")))
    eventually(lambda: "ipv6" in states(state_file)["west"].error)
    edit(
        west, INTERFACE.format(ipv6.format(' xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0" nc:operation="remove"'))
    )
    eventually(lambda: not states(state_file)["west"].error)


def processes(lab: Lab, router: str, program: str) -> list[int]:
    argv = ["ip", "netns", "pids", lab.plan.routers[router].namespace]
    pids = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    return [int(pid) for pid in pids if program in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")]


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()


def test_what_was_set_at_the_terminal_gives_way_when_the_session_is_opened_anew(lab: Lab) -> None:
    from twin.lab.vty import Vty

    with Vty(lab.plan.routers["far"].directory, "ospfd") as vty:
        for line in ("configure terminal", "interface eth1", "ip ospf cost 99"):
            vty.command(line)
    assert cost(lab, Port("far", "eth1")) == 99
    for pid in processes(lab, "far", "netconf-subsystem"):
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: cost(lab, Port("far", "eth1")) == 5)


def test_a_server_that_dies_comes_back_with_what_was_confirmed(lab: Lab) -> None:
    lab.apply(Change((SetCost(WEST_NORTH, 34),)))
    (server,) = (
        pid for pid in processes(lab, "west", "netconfd.log") if "kept" not in Path(f"/proc/{pid}/comm").read_text()
    )
    os.kill(server, signal.SIGSEGV)

    def answers() -> bool:
        try:
            lab.apply(Change((SetCost(WEST_SOUTH, 35),)))
        except NettwinError:
            return False
        return True

    eventually(answers, 15.0)
    eventually(lambda: (cost(lab, WEST_NORTH), cost(lab, WEST_SOUTH)) == (34, 35))
    lab.apply(Change((SetCost(WEST_NORTH, 10), SetCost(WEST_SOUTH, 10))))
    eventually(lambda: (cost(lab, WEST_NORTH), cost(lab, WEST_SOUTH)) == (10, 10))


@pytest.mark.parametrize("ending", ["signal", "file gone"])
def test_an_agent_ends_cleanly(lab: Lab, tmp_path: Path, ending: str) -> None:
    from twin.lab.agent import states

    told, state_file = tmp_path / "agent.json", tmp_path / "state.json"
    content = json.loads((lab.plan.directory / "agent.json").read_text(encoding="utf-8"))
    told.write_text(json.dumps(content | {"state_file": str(state_file)}), encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-m", "twin.lab.agent", str(told)], stderr=subprocess.PIPE)
    try:
        eventually(lambda: all(s.session for s in states(state_file).values()) and bool(states(state_file)))
        if ending == "signal":
            process.terminate()
        else:
            told.unlink()
        _, complaints = process.communicate(timeout=8)
    finally:
        process.kill()
    assert (process.returncode, complaints) == (0, b"")
