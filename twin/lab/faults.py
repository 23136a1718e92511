"""What goes wrong with real routers, done to a lab: links flap, interfaces are replaced, agents and routers restart."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from twin.lab import build, stages, texts
from twin.lab.background import launch, until
from twin.lab.machine import run
from twin.lab.plan import EDGE, MANAGEMENT, LabPlan, RouterPlan, Wire
from twin.vocab.errors import NettwinError, UsageError

PATIENCE_S = 10.0


def set_link(lab: LabPlan, router: str, interface: str, *, up: bool) -> None:
    """Take an interface down, or bring it up again; its addresses and counters stay.

    Raises:
        UsageError: no such router or interface.
        NettwinError: the kernel refuses.
    """
    r, wire = _wire(lab, router, interface)
    _in(r, ["link", "set", wire.name, "up" if up else "down"])


def rewire(lab: LabPlan, router: str, interface: str) -> None:
    """Make both ends of a wire anew: the same names, other ifIndexes, counters from 0. FRR finds them by name.

    Raises:
        UsageError: no such router or interface.
        NettwinError: the kernel refuses.
    """
    r, wire = _wire(lab, router, interface)
    _in(r, ["link", "del", wire.name])
    _connect(lab, r, [wire])


def restart_agent(lab: LabPlan, router: str) -> None:
    """End the SNMP agent and start it again: sysUpTime begins anew, the counters go on. FRR and lldpd join it by
    themselves.

    Raises:
        UsageError: no such router.
        NettwinError: it does not end, or does not start.
    """
    r = _router(lab, router)
    _end({int((r.directory / stages.AGENT_PID).read_text(encoding="ascii"))}, signal.SIGTERM)
    namespace, _ = build.namespaces_of(lab, r)
    launch(lab, [replace(namespace, stages=stages.agent_stages(r))])


def reboot(lab: LabPlan, router: str) -> None:
    """A power cycle: nothing of the router's namespaces stays but its files; the other ends of its wires are new too.

    Raises:
        UsageError: no such router.
        NettwinError: something does not end, or does not start.
    """
    r = _router(lab, router)
    namespaces = (r.namespace, r.host_namespace)
    _end({int(pid) for n in namespaces for pid in run(["ip", "netns", "pids", n]).split()})
    for interface in (MANAGEMENT, EDGE, *(wire.name for wire in r.wires)):
        _in(r, ["link", "del", interface])
    for folder in (r.directory, build.netconf_directory(lab, r)):
        for socket in filter(Path.is_socket, folder.iterdir()):
            socket.unlink()
    run(["ip", "-batch", "-"], text="".join(f"netns del {n}\n" for n in namespaces))
    run(["ip", "-batch", "-"], text="\n".join([*texts.own_links(lab, r), ""]))
    _connect(lab, r, r.wires, itself=False)
    launch(lab, build.namespaces_of(lab, r))


def _connect(lab: LabPlan, router: RouterPlan, wires: Collection[Wire], *, itself: bool = True) -> None:
    """New wires, brought up at their far ends; at the router's own if it would not do so ``itself`` when it starts."""
    run(["ip", "-batch", "-"], text="".join(f"{texts.wire_pair(lab, router, wire)}\n" for wire in wires))
    for wire in wires:
        ends = [(router, wire)] if itself else []
        for r, end in [*ends, _wire(lab, wire.peer, wire.peer_interface)]:
            _in(r, ["-batch", "-"], texts.wire_up(end) + "\n")
            run(["tc", "-n", r.namespace, "-batch", "-"], text=texts.cap(end))


def _in(router: RouterPlan, words: list[str], text: str = "") -> None:
    run(["ip", "-n", router.namespace, *words], text=text)


def _router(lab: LabPlan, name: str) -> RouterPlan:
    if name not in lab.routers:
        raise UsageError(f"{lab.name} has no router {name!r}; it has {', '.join(lab.routers)}")
    return lab.routers[name]


def _wire(lab: LabPlan, router: str, interface: str) -> tuple[RouterPlan, Wire]:
    r = _router(lab, router)
    wires = {wire.name: wire for wire in r.wires}
    if interface not in wires:
        raise UsageError(f"{router} has no wire {interface!r}; it has {', '.join(wires)}")
    return r, wires[interface]


def _end(pids: set[int], number: signal.Signals = signal.SIGKILL) -> None:
    """Until none is left; SIGKILL is what a power failure does."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    if not until(lambda: not any(_alive(pids)), PATIENCE_S):
        raise NettwinError(f"processes {sorted(_alive(pids))} do not end")


def _alive(pids: set[int]) -> Iterator[int]:
    """Those that still run; a dead one that nobody has asked after yet does not."""
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX":
                yield pid
