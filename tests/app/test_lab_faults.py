"""Real routers whose agents restart, links flap, interfaces are replaced and power fails: what their rates then say.

One story, polled all the while as ``nettwin collect`` polls; each test looks at what it left in the store.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from collectors.profiles import ProfileSet, load_profiles
from collectors.rounds import Poller
from twin.app.collecting import Deliveries
from twin.app.series import polled_rates, window_rates
from twin.store import Store, open_delta
from twin.vocab.forecast import SeriesKey
from twin.vocab.inventory import Device
from twin.vocab.rates import Rates, Reason
from twin.vocab.snapshot import Port
from twin.vocab.time import Instants, instant, now, to_datetime

if TYPE_CHECKING:
    from twin.lab.lab import Lab
    from twin.lab.spec import LabFile

pytestmark = pytest.mark.lab
PROFILES = Path(__file__).parents[2] / "configs" / "profiles"
CAPACITY = 20_000_000
PORTS = {"lo", "mgmt", "edge0", "eth1"}
EVERY_S = 1.0
FAULTS = ["begin", "agent", "down", "up", "replaced", "power"]
LOAD = "import socket,sys,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\nwhile 1:\n time.sleep(.01)\n try: s.sendto(bytes(1200),(sys.argv[1],9))\n except OSError: pass"  # noqa: E501 - one program


@dataclass
class Story:
    """What was done when, and where the samples are."""

    store: Store
    at: dict[str, datetime] = field(default_factory=dict)

    def rates(self) -> dict[SeriesKey, Rates]:
        return polled_rates(self.store, self.at["begin"], now())

    def of(self, device: str, port: str, metric: str = "in_bps") -> Rates:
        return self.rates()[SeriesKey(device, port, metric)]

    def during(self, rates: Rates, fault: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """The intervals that end between the beginning of a fault and that of the next."""
        return self.within(rates.end, fault)

    def within(self, at: Instants, fault: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """The times between the beginning of a fault and that of the next."""
        begin, end = (instant(self.at[name]) for name in [*FAULTS, "end"][FAULTS.index(fault) :][:2])
        return (at > begin) & (at <= end)

    def reasons(self, device: str, port: str, fault: str) -> set[str]:
        """Why rates are missing then."""
        rates = self.of(device, port)
        return {Reason(r).text for r in rates.reason[self.during(rates, fault)]} - {""}


def pair(lab_file: Callable[..., LabFile]) -> LabFile:
    from twin.lab.spec import LabLink, Router

    routers = {
        f"r{i}": Router(IPv4Address(f"10.0.0.{i}"), IPv4Network(f"10.100.{i}.0/24"), recorded_as=None) for i in (1, 2)
    }
    link = LabLink("r1", "r2", CAPACITY)
    return replace(lab_file("square", tag="f"), routers=routers, links=(link,), traffic=None, bgp=None)


@contextmanager
def polling(lab: Lab, store: Store, profiles: ProfileSet) -> Iterator[Callable[[int], None]]:
    """A round about every second, come what may; gives a wait for so many more of them."""
    devices = [_quick(device) for device in lab.devices().values()]
    done, taken, problems = threading.Event(), threading.Semaphore(0), list[BaseException]()

    def wait(rounds: int) -> None:
        while taken.acquire(blocking=False):
            pass
        for _ in range(rounds + 1):  # one may have been under way
            assert taken.acquire(timeout=20), problems

    def work() -> None:
        try:
            with Poller(profiles) as poller:
                while not done.wait(EVERY_S):
                    Deliveries(store, b"k" * 32, "test").put(poller.round(devices, full=False))
                    taken.release()
        except BaseException as problem:  # noqa: BLE001 - told by the test, not by the thread
            problems.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield wait
    finally:
        done.set()
        thread.join(30)
    assert problems == []


def _quick(device: Device) -> Device:
    assert device.snmp
    return replace(device, snmp=replace(device.snmp, timeout=0.3, retries=1), netconf=None)


@contextmanager
def loaded(lab: Lab) -> Iterator[None]:
    """About 1 Mbit/s from the router r2 to r1's end of their wire."""
    target = str(lab.plan.routers["r1"].wires[0].address.ip)
    argv = ["ip", "netns", "exec", lab.plan.routers["r2"].namespace, sys.executable, "-I", "-c", LOAD, target]
    sender = subprocess.Popen(argv)
    try:
        yield
    finally:
        sender.kill()
        sender.wait(10)


@pytest.fixture(scope="module")
def story(
    lab_file: Callable[..., LabFile], raise_lab: Callable[[LabFile], Lab], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    from twin.lab import faults

    lab = raise_lab(pair(lab_file))
    plan = lab.plan
    with open_delta(tmp_path_factory.mktemp("faults") / "store") as store:
        told = Story(store)
        steps: tuple[tuple[str, Callable[[], None], int], ...] = (
            ("begin", lambda: None, 2),
            ("agent", lambda: faults.restart_agent(plan, "r1"), 2),
            ("down", lambda: faults.set_link(plan, "r1", "eth1", up=False), 2),
            ("up", lambda: faults.set_link(plan, "r1", "eth1", up=True), 2),
            ("replaced", lambda: faults.rewire(plan, "r1", "eth1"), 3),
            ("power", lambda: faults.reboot(plan, "r1"), 3),
        )
        with loaded(lab), polling(lab, store, load_profiles(PROFILES)) as wait:
            for name, fault, rounds in steps:
                told.at[name] = now()
                fault()
                wait(rounds)
        told.at["end"] = now()
        yield told


def test_no_rate_is_negative_or_more_than_the_wire_carries(story: Story) -> None:
    for key, rates in story.rates().items():
        known = rates.per_second[np.isfinite(rates.per_second)]
        assert (known >= 0).all(), key
        if key.interface == "eth1":
            assert (known <= CAPACITY).all(), key


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "down"])
def test_the_wire_carries_what_is_sent_soon_after_each_fault(story: Story, fault: str) -> None:
    rates = story.of("r1", "eth1")
    assert np.nanmax(rates.per_second[story.during(rates, fault)]) > 300_000


def test_no_name_is_lost_and_none_is_made_up(story: Story) -> None:
    """But for the moment in which an interface is not there, or not up yet beside the one it replaces."""
    block = story.store.range("interface", None, story.at["begin"], now(), ["index"])
    names = {(row["device"], row["interface"]) for row in block.rows()}
    assert names == {(device, port) for device in ("r1", "r2") for port in PORTS}
    for device in ("r1", "r2"):
        mine = block.take(block.keys["device"] == device)
        lacking = [at for at in np.unique(mine.at) if set(mine.keys["interface"][mine.at == at]) != PORTS]
        for fault in FAULTS:
            rounds = np.unique(mine.at)[story.within(np.unique(mine.at), fault)]
            assert set(lacking) & set(rounds) <= {rounds[0]}, (device, fault)


def test_a_restarted_agent_keeps_its_rates(story: Story) -> None:
    uptime = story.store.range("device", {"device": "r1"}, story.at["begin"], story.at["down"], ["uptime_cs"])
    assert (np.diff(uptime.fields["uptime_cs"].values) < 0).sum() == 1
    assert all(story.reasons("r1", port, "agent") == set() for port in PORTS)


def test_a_flap_is_no_gap(story: Story) -> None:
    rates = story.of("r1", "eth1")
    assert story.reasons("r1", "eth1", "down") == story.reasons("r1", "eth1", "up") == set()
    assert rates.per_second[story.during(rates, "down")][-1] == 0


def test_a_replaced_interface_is_told_by_its_number(story: Story) -> None:
    for device in ("r1", "r2"):
        assert story.reasons(device, "eth1", "replaced") == {"renumbered"}
        assert story.reasons(device, "mgmt", "replaced") == set()


def test_a_reboot_is_told_by_its_falling_counters(story: Story) -> None:
    """The uptime of its host goes on: a lab's router is a guest of this machine."""
    assert all(story.reasons("r1", port, "power") == {"reboot"} for port in PORTS)
    assert story.reasons("r2", "eth1", "power") == {"renumbered"}
    assert story.reasons("r2", "mgmt", "power") == set()


def test_an_operator_is_told_why_a_load_is_missing(story: Story) -> None:
    rates = story.of("r1", "eth1")
    (hole,) = np.flatnonzero(rates.reason == Reason.REBOOT)
    window = to_datetime(rates.start[hole]), to_datetime(rates.end[hole]) + timedelta(milliseconds=1)
    shown = window_rates(story.store, *window)[Port("r1", "eth1")]
    assert (shown.in_bps, shown.out_bps, shown.reason) == (None, None, "reboot")


def test_nothing_else_is_missing(story: Story) -> None:
    reasons = {Reason(r).text for rates in story.rates().values() for r in rates.reason}
    assert reasons == {"", "renumbered", "reboot"}
    calm = story.of("r2", "mgmt")
    assert np.isfinite(calm.per_second).all()
