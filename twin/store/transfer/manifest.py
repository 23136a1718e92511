"""What an export has done: a small file beside its output, so that one that was cut off goes on where it was."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from twin.store.place import sync
from twin.store.transfer.sources import Format
from twin.vocab.errors import UsageError
from twin.vocab.plain import from_plain, to_plain

FORM = "nettwin export"


@dataclass(frozen=True)
class ExportPlan:
    """What is asked for. ``start`` None: from the first row there is; ``end`` None: up to now; no devices: all."""

    kinds: tuple[str, ...]
    format: Format
    start: datetime | None = None
    end: datetime | None = None
    devices: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A finished file of an export."""

    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What was done of a plan that goes up to ``end``; ``units``: how many kinds' days are done, in order.

    ``spans``: from when to before when there is anything of each kind; ``size``: of the one file; ``parts``: finished
    files by name.
    """

    plan: ExportPlan
    end: datetime
    spans: dict[str, tuple[datetime, datetime]]
    form: str = FORM
    units: int = 0
    rows: int = 0
    size: int = 0
    parts: dict[str, Part] = field(default_factory=dict)
    finished: bool = False


def read_manifest(path: Path, plan: ExportPlan) -> Manifest | None:
    """What was done of this plan; None if nothing was.

    Raises:
        UsageError: another export was begun there, or what lies there is none.
    """
    try:
        found = from_plain(Manifest, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValueError as problem:
        raise UsageError(f"{path}: is not the manifest of an export: name another output") from problem
    if found.plan != plan:
        raise UsageError(f"{path}: another export was begun there: name another output, or remove it")
    return found


def write_manifest(path: Path, manifest: Manifest) -> None:
    """On disk when it returns."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(to_plain(manifest), indent=1), encoding="utf-8")
    sync([fresh])
    fresh.replace(path)
    sync([path.parent])
