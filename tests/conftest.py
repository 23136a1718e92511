"""The lab of real routers as fixtures. One small lab a test run (and worker), brought up when first asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from twin.lab.lab import Lab
    from twin.lab.spec import LabFile

LABS = Path(__file__).parents[1] / "configs" / "labs"


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """Logging as it is before any command set it up: commands run in this process too."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def lab_file() -> Callable[..., LabFile]:
    """``lab_file("square", tag="a")``: a shipped lab under a name and management prefix that are this worker's own."""
    from twin.lab.build import free_management_prefix
    from twin.lab.machine import missing
    from twin.lab.spec import read_lab

    if lacking := missing():
        pytest.skip(f"the lab needs {', '.join(x.what for x in lacking)}")

    def make(name: str, tag: str = "") -> LabFile:
        own = f"t{os.getpid()}{tag}"
        return replace(read_lab(LABS / f"{name}.yaml"), name=own, management=free_management_prefix(first=os.getpid()))

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
