"""The lab's front door: bring one up, look at it, send its traffic, change it, take it down."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.lab import build, cgroups, keys, ready, teardown, traffic
from twin.lab.apply import Check, State
from twin.lab.apply import Progress as ApplyProgress
from twin.lab.apply import apply as netconf_apply
from twin.lab.background import launch
from twin.lab.machine import HASH_SEED, require
from twin.lab.plan import RUN, LabPlan, plan
from twin.lab.ready import Health, Progress, silent
from twin.lab.spec import LabFile, checked, checked_name
from twin.lab.stored import recall, remember
from twin.lab.undisturbed import undisturbed
from twin.lab.vty import Vty
from twin.vocab.change import Change
from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.inventory import Device, NetconfAccess, SnmpAccess, SnmpV3

_SECRETS = "secrets"


@dataclass(frozen=True)
class Access:
    """How to reach one router: secrets are files only root can read; the host key is pinned (known_hosts base64)."""

    router: str
    address: str
    community_file: Path
    v3_user: str
    v3_auth_file: Path
    v3_privacy_file: Path
    netconf_user: str
    ssh_key_file: Path
    host_key: str


@dataclass(frozen=True)
class Status:
    """A lab as it is now. ``notes``: what this machine can't give it."""

    name: str
    routers: tuple[Health, ...]
    traffic: traffic.TrafficStatus
    notes: tuple[str, ...]

    @property
    def good(self) -> bool:
        return all(r.good for r in self.routers)


@dataclass(frozen=True)
class Lab:
    """A lab that was brought up on this machine."""

    file: LabFile
    plan: LabPlan

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def keys(self) -> keys.Keys:
        return keys.Keys(self.plan.directory / _SECRETS)

    def status(self) -> Status:
        return Status(self.name, ready.health(self.plan, self.keys), self.traffic(), _notes(self.plan))

    def access(self) -> tuple[Access, ...]:
        """One per router, in the file's order."""
        k = self.keys
        return tuple(
            Access(
                router=r.name,
                address=str(r.management.ip),
                community_file=k.community,
                v3_user=keys.V3_USER,
                v3_auth_file=k.v3_auth,
                v3_privacy_file=k.v3_privacy,
                netconf_user=keys.NETCONF_USER,
                ssh_key_file=k.ssh_key,
                host_key=k.host_key_base64,
            )
            for r in self.plan.routers.values()
        )

    def devices(self) -> dict[str, Device]:
        """The routers as an inventory tells of them, SNMPv3 and NETCONF, by name."""
        return {a.router: _device(a) for a in self.access()}

    def apply(
        self, change: Change, *, check: Check | None = None, progress: ApplyProgress | None = None
    ) -> dict[str, State]:
        """Make a change on the routers over NETCONF, on all it names or on none; "applied" by router.

        Raises:
            UsageError: an unknown device or interface.
            ApplyError: a router failed; the rest was taken back.
        """
        within = self.plan.gateway.network
        return netconf_apply(self.devices(), change, within=within, check=check, progress=progress)

    def start_traffic(self) -> traffic.TrafficStatus:
        """Send every recorded demand from now on, in a process of its own.

        Raises:
            UsageError: it already runs, or the lab file asks for none.
            NettwinError: the sender does not start.
        """
        return traffic.start(self.file, self.plan)

    def stop_traffic(self) -> traffic.TrafficStatus:
        """Raises UsageError where none runs."""
        return traffic.stop(self.plan)

    def traffic(self) -> traffic.TrafficStatus:
        return traffic.status(self.plan)

    def vty(self, router: str, command: str, daemon: str = "zebra") -> str:
        """What one of a router's FRR daemons prints.

        Raises:
            UsageError: no such router.
            NettwinError: the daemon does not answer, or refuses the command.
        """
        with Vty(self._router_directory(router), daemon) as vty:
            return vty.command(command)

    def rib(self) -> dict[str, dict[str, Any]]:
        """``show ip route json`` of every router: the truth that predictions are held against."""
        return {name: ready.rib(router) for name, router in self.plan.routers.items()}

    def _router_directory(self, router: str) -> Path:
        if router not in self.plan.routers:
            raise UsageError(f"{self.name} has no router {router!r}; it has {', '.join(self.plan.routers)}")
        return self.plan.routers[router].directory


def _device(access: Access) -> Device:
    credentials = SnmpV3(
        access.v3_user,
        auth_passphrase=keys.read(access.v3_auth_file),
        privacy_passphrase=keys.read(access.v3_privacy_file),
    )
    netconf = NetconfAccess(access.netconf_user, access.host_key, str(access.ssh_key_file))
    return Device(access.router, access.address, SnmpAccess(credentials), netconf)


def _notes(lab: LabPlan) -> tuple[str, ...]:
    notes = []
    if not HASH_SEED.exists():
        notes.append(
            "this kernel has no hash seed per router: successive routers split flows alike (Linux 6.11 has it)"
        )
    first = next(iter(lab.routers))
    lacking = {"cpu", "memory"} - set(cgroups.meters(lab.name, first, cgroups.hierarchy()))
    notes += [f"no control group counts a router's {what}: SNMP does not tell it" for what in sorted(lacking)]
    return tuple(notes)


def up(file: LabFile, *, progress: Progress | None = None) -> Lab:
    """Bring a lab up and wait until it is whole. Left half-way (error, Ctrl-C), nothing of it stays.

    Raises:
        UsageError: it is up already, or its management prefix is taken.
        NettwinError: root or packages are missing, a program failed, or the lab is not whole within a minute.
    """
    require()
    report = progress or silent
    lab = plan(checked(file))
    if found := teardown.traces(lab.name):
        raise UsageError(f"{lab.name} is up already, or was left half-way ({found[0]}); bring it down first")
    with _claimed(lab):
        try:
            _build(file, lab, report)
        except BaseException:
            with undisturbed():
                teardown.remove(lab.name)
            raise
    return load(lab.name)


def _build(file: LabFile, lab: LabPlan, report: Progress) -> None:
    remember(file, lab)
    secrets = keys.make(lab.directory / _SECRETS)
    report("wires", 0, 1)
    build.wire(lab)
    namespaces = build.write(lab, secrets)
    report("processes", 0, len(lab.routers))
    launch(lab, namespaces)
    report("processes", len(lab.routers), len(lab.routers))
    ready.wait(lab, secrets, report)


@contextmanager
def _claimed(lab: LabPlan) -> Iterator[None]:
    """The lab's directory, made and locked; one builder at a time looks for collisions."""
    RUN.mkdir(exist_ok=True, mode=0o755)
    _refuse_foreign(RUN)
    with _locked(RUN, wait=True):
        build.refuse_collision(lab)
        lab.directory.mkdir()
    with _locked(lab.directory):
        yield


def _refuse_foreign(directory: Path) -> None:
    """Where anybody may write into /run, somebody else could have made the directory first."""
    found = directory.lstat()
    if found.st_uid != 0 or found.st_mode & 0o022 or not stat.S_ISDIR(found.st_mode):
        raise NettwinError(f"{directory}: is not a directory that only root may write; remove it")


@contextmanager
def _locked(directory: Path, *, wait: bool = False) -> Iterator[None]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(handle, directory, wait=wait)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, directory: Path, *, wait: bool) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as problem:
        raise NettwinError(f"{directory.name}: another process is bringing it up or down") from problem


def load(name: str) -> Lab:
    """A lab that is up.

    Raises:
        UsageError: there is none of that name.
    """
    file = recall(name)
    return Lab(file, plan(file))


def labs() -> tuple[str, ...]:
    """Names of all labs of which something is there, whole or not."""
    return tuple(sorted(teardown.names()))


def down(name: str) -> None:
    """Take a lab away: processes, namespaces, interfaces, control groups, files. Works on one left half-way.

    A signal (Ctrl-C) that comes meanwhile is put off until the lab is gone.

    Raises:
        UsageError: there is nothing of that name, or no lab can have it.
        NettwinError: not root, another process is at it, or something would not go away.
    """
    checked_name(name)
    if os.geteuid() != 0:
        raise NettwinError("the lab needs root")
    if not teardown.traces(name):
        raise UsageError(f"no lab {name!r} is up here")
    directory = RUN / name
    with undisturbed(), _locked(directory) if directory.is_dir() else nullcontext():
        teardown.remove(name)
