"""Real routers tell of a link that goes down; it is an event, and they are polled at once."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collectors.failures import Failed
from collectors.pace import Pace
from collectors.profiles import ProfileSet
from collectors.results import Polled
from collectors.rounds import Poller
from collectors.snmp.names import read_names
from collectors.snmp.trap_engine import Identity
from collectors.snmp.trap_sources import Sources
from collectors.snmp.traps import TrapReceiver
from collectors.watch import Nudges, Timing
from twin.vocab.events import Event

if TYPE_CHECKING:
    from twin.lab.lab import Lab
    from twin.lab.spec import LabFile

pytestmark = pytest.mark.lab
NAMES = read_names(Path(__file__).parents[2] / "configs" / "objects.tsv")
IDENTITY = Identity(b"\x80\x00\x00\x00\x05receiver", 1)
SOON_S, LATEST_S = 2.0, 20.0


@dataclass
class Watched:
    """A lab that is watched: what was heard, and when each poll of a device began (monotonic)."""

    lab: Lab
    events: list[tuple[float, Event]] = field(default_factory=list)
    polls: list[tuple[float, Polled]] = field(default_factory=list)

    def wait(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + LATEST_S
        while not condition():
            assert time.monotonic() < end, self.events
            time.sleep(0.02)

    def told(self, device: str, event: str) -> list[float]:
        return [at for at, e in self.events if (e.device, e.event) == (device, event)]

    def polled(self, device: str, since: float) -> list[tuple[float, Polled]]:
        return [(at, p) for at, p in self.polls if p.device == device and p.protocol == "snmp" and at > since]


@pytest.fixture
def watched(
    lab_file: Callable[..., LabFile], raise_lab: Callable[[LabFile], Lab], profiles: ProfileSet
) -> Iterator[Watched]:
    """Polled once at the start, and then only when told to."""
    lab = raise_lab(lab_file("square", tag="v"))
    devices, nudges, stop, seen = list(lab.devices().values()), Nudges(), threading.Event(), Watched(lab)

    def heard(result: Polled | Failed) -> None:
        if isinstance(result, Polled):
            seen.polls.append((time.monotonic() - result.seconds, result))

    def happened(event: Event) -> None:
        seen.events.append((time.monotonic(), event))
        nudges(event.device)

    timing = Timing(Pace(time.monotonic(), 3600.0), spread=0.0)
    listen = (str(lab.plan.gateway.ip), 162)
    with (
        Poller(profiles) as poller,
        TrapReceiver(listen, Sources(devices), happened, names=NAMES, identity=IDENTITY),
    ):
        watch = threading.Thread(
            target=poller.watch,
            args=(devices, timing, lambda _: True),
            kwargs={"stop": stop.is_set, "heard": heard, "nudges": nudges},
        )
        watch.start()
        try:
            yield seen
        finally:
            stop.set()
            watch.join()


def test_a_link_that_goes_down_is_an_event_and_a_poll_of_both_ends_within_two_seconds(watched: Watched) -> None:
    router = watched.lab.plan.routers["north"]
    wire = router.wires[0]
    watched.wait(lambda: len({p.device for _, p in watched.polls}) == len(watched.lab.plan.routers))
    watched.wait(lambda: time.monotonic() - max(at for at, _ in [*watched.events, *watched.polls]) > SOON_S)
    began = time.monotonic()
    subprocess.run(["ip", "-n", router.namespace, "link", "set", wire.name, "down"], check=True)
    for device in (router.name, wire.peer):
        watched.wait(lambda device=device: watched.told(device, "linkDown"))  # type: ignore[misc] # bound at once
        watched.wait(lambda device=device: watched.polled(device, began))  # type: ignore[misc] # bound at once
        assert watched.told(device, "ospfNbrStateChange")[0] - began < SOON_S
        assert watched.polled(device, began)[0][0] - began < SOON_S

    def seen_down() -> bool:
        states = [p.observed.interface(wire.name) for _, p in watched.polled(router.name, began) if p.observed]
        return any(state is not None and state.oper_up is False for state in states)

    watched.wait(seen_down)
    assert len(watched.polled(router.name, began)) <= 3, "four notifications are no four polls"
    quiet = set(watched.lab.plan.routers) - {router.name, wire.peer}
    assert not any(watched.polled(device, began) for device in quiet)
