"""Taking a lab away, whatever state it is in: everything is found by the lab's name alone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from twin.lab import cgroups
from twin.lab.machine import run
from twin.lab.plan import RUN, lab_tag, namespace_prefix
from twin.lab.spec import checked_name, is_name
from twin.vocab.errors import NettwinError

NETNS = Path("/run/netns")
PATIENCE_S = 15.0


def traces(name: str) -> list[str]:
    """What is there of a lab: its namespaces, interfaces, control groups and files.

    Raises:
        UsageError: no lab can have that name.
    """
    checked_name(name)
    found = [f"namespace {n}" for n in namespaces(name)] + [f"interface {i}" for i in interfaces(name)]
    if cgroups.exists(name, cgroups.hierarchy()):
        found.append(f"control group {cgroups.ROOT}/{name}")
    if (RUN / name).exists():
        found.append(f"directory {RUN / name}")
    return found


def namespaces(name: str) -> list[str]:
    return sorted(p.name for p in NETNS.glob(f"{namespace_prefix(name)}*")) if NETNS.is_dir() else []


def interfaces(name: str) -> list[str]:
    """In the root namespace: the bridge last, its ports first."""
    tag = lab_tag(name)
    names = [entry["ifname"] for entry in json.loads(run(["ip", "-j", "link"]) or "[]")]
    return sorted((n for n in names if n == tag or n.startswith(f"{tag}-")), key=len, reverse=True)


def names() -> set[str]:
    """Every lab of which something is there."""
    found = {p.name for p in RUN.iterdir() if p.is_dir()} if RUN.is_dir() else set()
    if NETNS.is_dir():
        found |= {p.name.split(".")[1] for p in NETNS.glob("nt.*.*")}
    return {name for name in found if is_name(name)}


def processes(name: str) -> set[int]:
    """All that live in the lab's namespaces or control groups, ourselves left out."""
    found = cgroups.pids(name, cgroups.hierarchy())
    for namespace in namespaces(name):
        listed = run(["ip", "netns", "pids", namespace], check=False)
        found |= {int(pid) for pid in listed.split()}
    return found - {os.getpid()}


def remove(name: str) -> None:
    """Kill, unwire and delete. Safe to repeat.

    Raises:
        UsageError: no lab can have that name; nothing is touched.
        NettwinError: something would not go away.
    """
    checked_name(name)
    _kill(name)
    if gone := namespaces(name):
        run(["ip", "-force", "-batch", "-"], text="".join(f"netns del {n}\n" for n in gone), check=False)
    for interface in interfaces(name):
        run(["ip", "link", "del", interface], check=False)
    _retry(lambda: cgroups.remove(name, cgroups.hierarchy()))
    shutil.rmtree(RUN / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        RUN.rmdir()
    if left := traces(name):
        raise NettwinError(f"{name}: could not remove {', '.join(left)}")


def _kill(name: str) -> None:
    def killed() -> bool:
        alive = processes(name)
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not alive

    if not _retry(killed):
        raise NettwinError(f"{name}: processes {sorted(processes(name))} do not end")


def _retry(done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
