"""Sends all the lab's traffic: one process, a socket in each host namespace. ``python -m twin.lab.sender NAME``."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from twin.lab.pacing import Floats, Pacer
from twin.lab.plan import LabPlan, plan
from twin.lab.recording import Recording, recording
from twin.lab.stored import recall
from twin.lab.teardown import NETNS
from twin.lab.traffic import report_file
from twin.vocab.time import now

CLONE_NEWNET = 0x40000000
TICK_S = 0.002
REPORT_S = 1.0
HEADERS = 14 + 20 + 8
FIRST_PORT = 20000
NICENESS = -5
SEND_BUFFER = 4 * 2**20


@dataclass
class Demand:
    """One origin and destination: a socket at the origin, an endless round of the destination's ports."""

    origin: int
    destination: int
    socket: socket.socket
    targets: Iterator[tuple[str, int]]
    sent: int = 0
    refused: int = 0

    def send(self, payload: bytes, count: int) -> None:
        for target in islice(self.targets, count):
            try:
                self.socket.sendto(payload, target)
                self.sent += 1
            except OSError:
                self.refused += 1


@dataclass
class Sender:
    """Everything the loop holds."""

    recording: Recording
    demands: list[Demand]
    payload: bytes
    report_file: Path
    started: float = field(default_factory=time.time)
    stopping: bool = False

    def run(self) -> None:
        """Until ``stopping``: rates anew each second, packets each tick, a report each second."""
        pacer, next_report = Pacer(len(self.demands), time.monotonic()), 0.0
        while not self.stopping:
            instant = time.monotonic()
            if instant >= next_report:
                pacer.packets_per_s = self._rates()
                self.report(pacer)
                next_report = instant + REPORT_S
            counts = pacer.due(instant)
            for i in np.flatnonzero(counts):
                self.demands[i].send(self.payload, int(counts[i]))
            time.sleep(max(0.0, instant + TICK_S - time.monotonic()))
        self.report(pacer)

    def _rates(self) -> Floats:
        matrix = self.recording.at(now())
        wanted = matrix[[d.origin for d in self.demands], [d.destination for d in self.demands]]
        rates: Floats = wanted / (8 * (len(self.payload) + HEADERS))
        return rates

    def report(self, pacer: Pacer) -> None:
        """Replace the report file in one step."""
        content = {
            "started": self.started,
            "at": time.time(),
            "packet_octets": len(self.payload) + HEADERS,
            "demands": [[d.origin, d.destination, d.sent, d.refused] for d in self.demands],
            "skipped_s": pacer.skipped_s,
            "lag_s": pacer.lag_s,
        }
        fresh = self.report_file.with_suffix(".new")
        fresh.write_text(json.dumps(content), encoding="ascii")
        fresh.replace(self.report_file)


def open_sockets(lab: LabPlan) -> list[socket.socket]:
    """A UDP socket inside each router's host namespace (Python 3.11 has no ``os.setns``)."""
    libc = ctypes.CDLL(None, use_errno=True)
    sockets = []
    with Path("/proc/self/ns/net").open("rb") as home:
        for router in lab.routers.values():
            with (NETNS / router.host_namespace).open("rb") as inside:
                _enter(libc, inside.fileno())
                sockets.append(_udp())
                _enter(libc, home.fileno())
    return sockets


def _udp() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    with contextlib.suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, 32, SEND_BUFFER)  # SO_SNDBUFFORCE
    return opened


def _enter(libc: ctypes.CDLL, handle: int) -> None:
    if libc.setns(handle, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def targets(address: IPv4Address, flows: int) -> Iterator[tuple[str, int]]:
    return cycle([(str(address), FIRST_PORT + i) for i in range(flows)])


def main(name: str) -> None:
    """Send until told to stop (SIGTERM)."""
    file = recall(name)
    lab = plan(file)
    assert file.traffic is not None
    sockets, routers = open_sockets(lab), list(lab.routers.values())
    demands = [
        Demand(i, j, sockets[i], targets(destination.host.ip, file.traffic.flows))
        for i in range(len(routers))
        for j, destination in enumerate(routers)
        if i != j
    ]
    with contextlib.suppress(PermissionError):
        os.nice(NICENESS)
    payload = bytes(file.traffic.packet - HEADERS)
    sender = Sender(recording(file), demands, payload, report_file(lab))
    signal.signal(signal.SIGTERM, lambda *_: setattr(sender, "stopping", True))
    sender.run()


if __name__ == "__main__":
    main(sys.argv[1])
