"""Makes FRR and the kernel follow what NETCONF commits: one process for a lab, one thread for a router.

Run as ``python -m twin.lab.agent AGENT.json``. Each thread keeps a NETCONF session, re-reads <running> at every
notification and at least every two seconds (netconfd reverts a confirmed commit without telling), and sends the
difference to FRR's daemons. At the start of a session the difference is taken against what FRR really runs, so a
restart of netconfd, of the agent or of FRR ends in the same state. What could not be applied stands in the state file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from twin.config import frr, yang
from twin.lab.agent_state import AgentFile, Reporter, Target, states, write
from twin.lab.difference import Alias, DaemonLines, difference
from twin.lab.machine import run
from twin.lab.netconf_client import NETCONF_ERRORS, session
from twin.lab.vty import Vty
from twin.vocab.config import DeviceConfig
from twin.vocab.errors import NettwinError
from twin.vocab.plain import from_plain

__all__ = ["Target", "main", "states", "write"]
_log = structlog.get_logger(__name__)
POLL_S = 2.0
RETRY_S = 0.5
MANAGEMENT = "mgmt"
DAEMONS = ("zebra", "staticd", "ospfd", "bgpd")


def actual(vty_directory: Path) -> DeviceConfig:
    """What FRR's daemons say they run."""
    texts = []
    for daemon in DAEMONS:
        if (vty_directory / f"{daemon}.vty").exists():
            with Vty(vty_directory, daemon) as vty:
                texts.append(vty.command("show running-config"))
    return frr.parse("\n".join(texts))


def carry_out(target: Target, old: DeviceConfig, new: DeviceConfig) -> int:
    """Send the difference; the number of orders sent.

    Raises:
        NettwinError: a daemon or the kernel refuses one.
    """
    orders = difference(old, new)
    for order in orders:
        _log.info("applying", router=target.name, order=order)
        if isinstance(order, Alias):
            run(["ip", "-n", target.namespace, "link", "set", order.interface, "alias", order.text])
        else:
            _configure(Path(target.vty_directory), order)
    return len(orders)


def _configure(directory: Path, order: DaemonLines) -> None:
    with Vty(directory, order.daemon) as vty:
        vty.command("configure terminal")
        for line in order.lines:
            vty.command(line)


def serve(target: Target, reporter: Reporter, stop: threading.Event) -> None:
    """Follow one router until told to stop; a lost session is opened again."""
    while not stop.is_set():
        try:
            with session(target.device) as opened:
                _follow(target, opened, reporter, stop)
        except (*NETCONF_ERRORS, NettwinError) as problem:
            reporter.change(target.name, session=False, error=f"no NETCONF session: {problem}")
            stop.wait(RETRY_S)


def _follow(target: Target, opened: Any, reporter: Reporter, stop: threading.Event) -> None:
    opened.create_subscription()
    have: DeviceConfig | None = None
    while not stop.is_set():
        want = yang.parse(opened.get_config("running").data_xml)
        have = _bring(target, have, want, reporter)
        reporter.change(target.name, session=True)
        _wait(opened, stop)


def _bring(target: Target, have: DeviceConfig | None, want: DeviceConfig, reporter: Reporter) -> DeviceConfig | None:
    """What FRR runs afterwards; None where that is not sure, so that it is asked again."""
    mine = replace(want, interfaces=tuple(i for i in want.interfaces if i.name != MANAGEMENT))
    if have == mine:
        return have
    try:
        sent = carry_out(target, have or _without_foreign(actual(Path(target.vty_directory)), mine), mine)
    except (NettwinError, OSError) as problem:
        reporter.change(target.name, error=str(problem))
        return None
    if sent:
        reporter.applied(target.name)
    reporter.change(target.name, error=_not_applied(target, want))
    return mine


def _without_foreign(running: DeviceConfig, want: DeviceConfig) -> DeviceConfig:
    """FRR lists every kernel interface it has a line for: those NETCONF never spoke of stay as they are."""
    known = {i.name for i in want.interfaces}
    return replace(running, interfaces=tuple(i for i in running.interfaces if i.name in known))


def _not_applied(target: Target, want: DeviceConfig) -> str:
    """What the configuration asks for and the lab does not do."""
    left = [f"{u.section}/{u.text}" for u in want.unread]
    if want.interface(MANAGEMENT):
        left.append(f"interface {MANAGEMENT} (the lab's own)")
    if want.hostname not in ("", target.name):
        left.append(f"hostname {want.hostname}")
    return f"not applied: {', '.join(left)}" if left else ""


def _wait(opened: Any, stop: threading.Event) -> None:
    """Until something other than a session event is announced, or two seconds pass."""
    for _ in range(int(POLL_S / RETRY_S)):
        if stop.is_set() or not opened.connected:
            return
        note = opened.take_notification(timeout=RETRY_S)
        if note is not None and "netconf-session-" not in note.notification_xml:
            return


def main(argv: Sequence[str]) -> int:
    """Follow every router of the file until a signal comes or the file is gone."""
    path = Path(argv[0])
    told = from_plain(AgentFile, json.loads(path.read_text(encoding="utf-8")))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    reporter = Reporter(Path(told.state_file), [t.name for t in told.targets])
    threads = [threading.Thread(target=serve, args=(t, reporter, stop), daemon=True) for t in told.targets]
    for thread in threads:
        thread.start()
    while not stop.wait(POLL_S) and path.exists():
        pass
    stop.set()
    for thread in threads:
        thread.join(timeout=POLL_S)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
