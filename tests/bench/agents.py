"""Simulated SNMP agents (``simulator/*.c``), compiled with the machine's C compiler and run as one process.

Device ``n`` answers at ``127.1.0.1 + n``; all of them have the same columns, or all serve one recording. What a device
answers follows from its number, the row, the column and the time since the start (``expected``), so that whatever was
read back can be checked.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from collectors.snmp.wire import Oid, dotted
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c, SnmpV3

SOURCES = Path(__file__).parent / "simulator"
BUILT = Path(__file__).parents[2] / "build" / "simulator"
FIRST = IPv4Address("127.1.0.1")
V2C = SnmpV2c(Secret("public"))
V3 = SnmpV3("twin", "SHA-256", Secret("authpass123"), "AES-128", Secret("privpass123"))


def compiled() -> Path:
    """The simulator, compiled if its sources have changed.

    Raises:
        FileNotFoundError: there is no C compiler.
        subprocess.CalledProcessError: it does not compile.
    """
    sources = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    program = BUILT / f"agents-{digest}"
    if not program.exists():
        if shutil.which("cc") is None:
            raise FileNotFoundError("no C compiler (Debian: gcc, libc6-dev)")
        BUILT.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{id(program)}")
        units = [str(path) for path in sources if path.suffix == ".c"]
        subprocess.run(["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", str(fresh), *units], check=True)
        fresh.rename(program)
    return program


@dataclass(frozen=True)
class Setup:
    """What the agents are like. ``columns`` of IF-MIB (empty = all it knows); ``loss`` is a share of the requests."""

    devices: int = 1
    interfaces: int = 50
    columns: Sequence[Oid] = ()
    recording: Path | None = None
    largest: int = 1472
    delay_ms: float = 0.0
    loss: float = 0.0
    boots: int = 1

    def arguments(self) -> list[str]:
        words = ["--devices", str(self.devices), "--interfaces", str(self.interfaces), "--largest", str(self.largest)]
        words += ["--delay-ms", str(self.delay_ms), "--loss", str(self.loss), "--boots", str(self.boots)]
        words += ["--columns", ",".join(map(dotted, self.columns))] if self.columns else []
        return words + (["--recording", str(self.recording)] if self.recording else [])


class Agents:
    """The running agents; a context manager. ``objects``: how many varbinds each device has."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        argv = [str(compiled()), *setup.arguments()]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = self._line()
        self.port = int(told["port"])
        self.objects = int(told["objects"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def counters(self) -> dict[str, Any]:
        """CPU seconds, requests, responses and losses since the start."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._line()

    def close(self) -> None:
        self._process.communicate(timeout=10)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulated agents ended with {self._process.wait()}")
        told: dict[str, Any] = json.loads(line)
        return told


def address(number: int) -> str:
    """Where device ``number`` answers."""
    return str(FIRST + number)


def devices(count: int, port: int, credentials: SnmpV2c | SnmpV3, **access: Any) -> list[Device]:
    """The inventory of ``count`` simulated devices, named as they name themselves."""
    snmp = SnmpAccess(credentials, port=port, **access)
    return [Device(f"d{number:05}", address(number), snmp) for number in range(count)]
