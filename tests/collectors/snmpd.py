"""Debian's snmpd on loopback, as whoever runs the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    """A UDP port that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@contextmanager
def snmpd(home: Path, port: int, configuration: str) -> Iterator[None]:
    """Run it at this port, also of ::1 where there is one; its boots and its engine-id are kept in ``home``."""
    if shutil.which("snmpd") is None:
        pytest.skip("Debian's snmpd is not installed")
    addresses = f"udp:127.0.0.1:{port}" + (f",udp6:[::1]:{port}" if has_ipv6() else "")
    (home / "agent.conf").write_text(f"agentAddress {addresses}\n{configuration}")
    (home / "log").unlink(missing_ok=True)
    arguments = ["-f", "-r", "-C", "-c", str(home / "agent.conf"), "-Lf", str(home / "log"), "-I", "-smux"]
    environment = os.environ | {"SNMP_PERSISTENT_DIR": str(home / "persist"), "MIBS": ""}
    agent = subprocess.Popen(["snmpd", *arguments], env=environment, cwd=home)
    try:
        _wait_until_up(agent, home / "log")
        yield
    finally:
        agent.terminate()
        agent.wait(10)


def _wait_until_up(agent: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 10
    while not (log.exists() and "NET-SNMP version" in log.read_text()):
        if agent.poll() is not None or time.monotonic() > end:
            pytest.fail(f"snmpd did not start: {log.read_text() if log.exists() else ''}")
        time.sleep(0.05)
