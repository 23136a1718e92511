"""Each router's own control group: what its CPU time and memory are counted by (cgroup v1 or v2)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

ROOT = "nettwin"
MEMORY_LIMIT = 512 * 2**20
CPU_PROGRAMS = {1: '{ printf "%.0f\\n", $1 / 1000 }', 2: '$1 == "usage_usec" { print $2 }'}
MEMORY_PROGRAMS = {1: '$1 == "total_rss" { print $2 }', 2: '$1 == "anon" { print $2 }'}
_CPU_FILES = {1: "cpuacct.usage", 2: "cpu.stat"}
_LIMIT_FILES = {1: "memory.limit_in_bytes", 2: "memory.max"}


@dataclass(frozen=True)
class Hierarchy:
    """Where groups are made: mount points of the controllers (the same one in v2; None = not there)."""

    version: int
    cpu: Path | None
    memory: Path | None

    @property
    def mounts(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(x for x in (self.cpu, self.memory) if x is not None))


@dataclass(frozen=True)
class Meter:
    """How one figure of a router is read: awk program, and the file inside the group's directory."""

    group: Path
    program: str
    file: str


def hierarchy(mounts: str | None = None) -> Hierarchy:
    """What this machine has, from /proc/mounts."""
    table = [line.split() for line in (mounts or Path("/proc/mounts").read_text(encoding="utf-8")).splitlines()]
    first = {o: Path(row[1]) for row in reversed(table) if row[2] == "cgroup" for o in row[3].split(",")}
    if "cpuacct" in first:
        return Hierarchy(1, first["cpuacct"], first.get("memory"))
    unified = next((Path(row[1]) for row in table if row[2] == "cgroup2"), None)
    return Hierarchy(2, unified, unified)


def make(lab: str, leaf: str, tree: Hierarchy) -> tuple[Path, ...]:
    """A lab's group for one router (or other leaf) -> its directories; empty where groups can't be made."""
    made = []
    for mount in tree.mounts:
        group = mount / ROOT / lab / leaf
        try:
            group.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        made.append(group)
        if tree.version == 2:
            _enable_memory(mount, lab)
        if mount == tree.memory:
            _write(group / _LIMIT_FILES[tree.version], str(MEMORY_LIMIT))
    return tuple(made)


def meters(lab: str, leaf: str, tree: Hierarchy) -> dict[str, Meter]:
    """``cpu`` and ``memory``, as far as the group made for a router can tell."""
    found = {}
    if tree.cpu and (tree.cpu / ROOT / lab / leaf / _CPU_FILES[tree.version]).exists():
        found["cpu"] = Meter(tree.cpu / ROOT / lab / leaf, CPU_PROGRAMS[tree.version], _CPU_FILES[tree.version])
    if tree.memory and (tree.memory / ROOT / lab / leaf / "memory.stat").exists():
        found["memory"] = Meter(tree.memory / ROOT / lab / leaf, MEMORY_PROGRAMS[tree.version], "memory.stat")
    return found


def pids(lab: str, tree: Hierarchy) -> set[int]:
    """Processes in any of a lab's groups."""
    found: set[int] = set()
    for mount in tree.mounts:
        for procs in (mount / ROOT / lab).glob("*/cgroup.procs"):
            with contextlib.suppress(OSError):
                found |= {int(pid) for pid in procs.read_text(encoding="ascii").split()}
    return found


def remove(lab: str, tree: Hierarchy) -> bool:
    """Take a lab's empty groups away; False while some still hold a dying process."""
    gone = True
    for mount in tree.mounts:
        top = mount / ROOT / lab
        for group in (*top.glob("*/"), top):
            with contextlib.suppress(FileNotFoundError, OSError):
                group.rmdir()
        gone = gone and not top.exists()
        with contextlib.suppress(OSError):
            top.parent.rmdir()
    return gone


def exists(lab: str, tree: Hierarchy) -> bool:
    return any((mount / ROOT / lab).exists() for mount in tree.mounts)


def _enable_memory(mount: Path, lab: str) -> None:
    for parent in (mount, mount / ROOT, mount / ROOT / lab):
        _write(parent / "cgroup.subtree_control", "+memory")


def _write(file: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        file.write_text(text, encoding="ascii")
