"""What the lab needs of the machine, and running its programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from twin.vocab.errors import NettwinError

PACKAGES = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "vtysh": "frr",
    "/usr/lib/frr/zebra": "frr",
    "/usr/lib/*/frr/modules/zebra_snmp.so": "frr-snmp",
    "snmpd": "snmpd",
    "snmpset": "snmp",
    "lldpd": "lldpd",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "netconfd": "netconfd",
    "ifconfig": "net-tools",
    "/usr/lib/*/yuma/libietf-interfaces.so": "netconfd-module-ietf-interfaces",
}
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
HASH_SEED = Path("/proc/sys/net/ipv4/fib_multipath_hash_seed")


@dataclass(frozen=True)
class Missing:
    """Something the lab needs that is not here, and how to get it."""

    what: str
    remedy: str


def missing() -> tuple[Missing, ...]:
    """Everything that keeps a lab from being built here; empty = a lab can be built."""
    if sys.platform != "linux":
        return (Missing("Linux", "run the lab on a Linux machine"),)
    absent = {package for program, package in PACKAGES.items() if not _present(program)}
    found = [Missing(p, f"apt-get install --no-install-recommends {p}") for p in sorted(absent)]
    if os.geteuid() != 0:
        found.append(Missing("root", "run as root: network namespaces need it"))
    return tuple(found)


def _present(program: str) -> bool:
    if program.startswith("/"):
        return any(Path("/").glob(program.removeprefix("/")))
    return shutil.which(program, path=_SYSTEM_PATH) is not None


def require() -> None:
    """Raises NettwinError naming all that is missing."""
    if lacking := missing():
        what = ", ".join(x.what for x in lacking)
        packages = " ".join(x.what for x in lacking if x.remedy.startswith("apt-get"))
        remedy = f"; apt-get install --no-install-recommends {packages}" if packages else ""
        raise NettwinError(f"the lab needs {what}{remedy} (nettwin doctor says more)")


def run(
    argv: Sequence[str],
    *,
    text: str = "",
    timeout: float = 30.0,
    check: bool = True,
    env: Mapping[str, str] | None = None,
) -> str:
    """A program's output.

    Raises:
        NettwinError: it fails or takes too long; the message is its last line.
    """
    try:
        done = subprocess.run(
            argv, input=text, text=True, capture_output=True, timeout=timeout, check=False, env=env or environment()
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NettwinError(f"{argv[0]}: {problem}") from problem
    if check and done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise NettwinError(f"{' '.join(argv[:4])}: {last[0]}")
    return done.stdout


def environment(**more: str) -> dict[str, str]:
    """A plain environment for the lab's programs: nothing of the operator's own."""
    return {"PATH": _SYSTEM_PATH, "LC_ALL": "C", **more}
