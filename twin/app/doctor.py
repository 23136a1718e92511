"""What this machine has and lacks, and how to get it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from twin.app.render import size
from twin.app.settings import load_settings
from twin.vocab.errors import NettwinError

Status = Literal["ok", "optional", "missing"]
REQUIRED = ("numpy", "scipy", "polars", "deltalake", "pysnmp", "cryptography", "ncclient", "influxdb-client", "pyyaml")


LITTLE_DISK = 5_000_000_000


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``missing`` fails the doctor; ``optional`` only says what can't be done without it."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def examine(lab_missing: Callable[[], Iterable[str]], settings: Path | None) -> list[Check]:
    """Every check, in the order a newcomer should mend them; ``lab_missing`` says what the lab lacks."""
    return [
        _python(),
        *(_package(name) for name in REQUIRED),
        _torch(),
        _objects(),
        _settings(settings),
        _disk(settings),
        _server("influxd", "influxdb", "only for a store of your own on this machine"),
        _lab(list(lab_missing())),
        _root(),
    ]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Check("Python", "ok" if ok else "missing", found, "" if ok else "install Python 3.11 or newer")


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "missing", "not installed", f"pip install {name}")


def _torch() -> Check:
    try:
        found = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return Check("torch", "optional", "not installed", "forecasts need it: pip install torch==2.13.0")
    return Check("torch", "ok", found)


def _objects() -> Check:
    try:
        return Check("obstore", "ok", importlib.metadata.version("obstore"))
    except importlib.metadata.PackageNotFoundError:
        remedy = "a store in object storage (store.location: s3://...) needs it: pip install nettwin[objects]"
        return Check("obstore", "optional", "not installed", remedy)


def _settings(path: Path | None) -> Check:
    if path is not None and path.is_file():
        return Check("settings", "ok", str(path))
    return Check(
        "settings", "missing", f"{path} is not there", "copy the sample configs/nettwin.yaml, or use --settings"
    )


def _disk(path: Path | None) -> Check:
    """Where a site keeps its data, beside its settings unless they say otherwise."""
    try:
        settings = load_settings(path) if path is not None else None
    except NettwinError as problem:
        return Check("disk", "optional", "the settings can't be read", str(problem))
    folder = settings.data if settings else Path.cwd()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < LITTLE_DISK:
        return Check(
            "disk", "optional", f"{size(free)} free at {folder}", "a day of 40,000 interfaces takes about 2 GB"
        )
    return Check("disk", "ok", f"{size(free)} free at {folder}")


def _server(program: str, package: str, why: str) -> Check:
    found = shutil.which(program)
    return Check(
        program,
        "ok" if found else "optional",
        found or "not installed",
        "" if found else f"apt-get install {package} ({why})",
    )


def _lab(missing: list[str]) -> Check:
    if not missing:
        return Check("lab", "ok", "everything for real routers is here")
    return Check("lab", "optional", "; ".join(missing), "the demo plays a recording of the lab until then")


def _root() -> Check:
    if os.geteuid() == 0:
        return Check("root", "ok", "yes")
    return Check("root", "optional", "no", "the lab makes network namespaces: run it as root")
