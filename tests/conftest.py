"""The lab of real routers as fixtures. One small lab a test run (and worker), brought up when first asked for."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

if TYPE_CHECKING:
    from twin.lab.lab import Lab
    from twin.lab.spec import LabFile

settings.register_profile("house", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("house")
SPARE = IPv4Network("10.192.0.0/11")
LABS = Path(__file__).parents[1] / "configs" / "labs"


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """Logging as it is before any command set it up: commands run in this process too."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def _free_prefix() -> IPv4Network:
    """A /24 of ``SPARE`` that no address of this machine touches; each process begins looking elsewhere."""
    listed = json.loads(subprocess.run(["ip", "-j", "-4", "addr"], check=True, capture_output=True).stdout)
    own = [(a["local"], a["prefixlen"]) for entry in listed for a in entry["addr_info"]]
    taken = [IPv4Network(address, strict=False) for address in own]
    candidates = list(SPARE.subnets(new_prefix=24))
    first = os.getpid() % len(candidates)
    return next(c for c in candidates[first:] + candidates[:first] if not any(c.overlaps(t) for t in taken))


@pytest.fixture(scope="session")
def lab_file() -> Callable[..., LabFile]:
    """``lab_file("square", tag="a")``: a shipped lab under a name and management prefix that are this worker's own."""
    from twin.lab.machine import missing
    from twin.lab.spec import read_lab

    if lacking := missing():
        pytest.skip(f"the lab needs {', '.join(x.what for x in lacking)}")

    def make(name: str, tag: str = "") -> LabFile:
        own = f"t{os.getpid()}{tag}"
        return replace(read_lab(LABS / f"{name}.yaml"), name=own, management=_free_prefix())

    return make


@pytest.fixture(scope="session")
def raise_lab() -> Iterator[Callable[[LabFile], Lab]]:
    """Bring labs up; all of them are gone at the end, whatever happened."""
    from twin.lab.lab import down, labs, up

    with ExitStack() as stack:

        def make(file: LabFile) -> Lab:
            stack.callback(lambda: down(file.name) if file.name in labs() else None)
            return up(file)

        yield make


@pytest.fixture(scope="session")
def lab(lab_file: Callable[..., LabFile], raise_lab: Callable[[LabFile], Lab]) -> Lab:
    """Five real routers with equal-cost paths (configs/labs/square.yaml), up and whole, without traffic."""
    return raise_lab(lab_file("square"))
