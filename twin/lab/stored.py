"""What a lab remembers of itself in its directory: its file and its demands; who asks later needs no path."""

from __future__ import annotations

import shutil
from dataclasses import replace

from pydantic import TypeAdapter

from twin.lab.plan import RUN, LabPlan
from twin.lab.recording import fortnight_around
from twin.lab.spec import LabFile, checked_name
from twin.lab.teardown import names
from twin.vocab.errors import UsageError
from twin.vocab.time import now

_LAB_FILE = "lab.json"
_FORM: TypeAdapter[LabFile] = TypeAdapter(LabFile)


def remember(file: LabFile, lab: LabPlan) -> None:
    """Copy file and demands into the lab's directory."""
    if file.traffic is not None:
        copy = lab.directory / "demands.parquet"
        shutil.copyfile(file.traffic.demands, copy)
        begins = file.traffic.begins or fortnight_around(now())
        file = replace(file, traffic=replace(file.traffic, demands=copy, begins=begins))
    (lab.directory / _LAB_FILE).write_bytes(_FORM.dump_json(file))


def recall(name: str) -> LabFile:
    """The file of a lab that is up.

    Raises:
        UsageError: there is none of that name, or no lab can have it.
    """
    stored = RUN / checked_name(name) / _LAB_FILE
    if not stored.is_file():
        there = ", ".join(sorted(names()))
        raise UsageError(f"no lab {name!r} is up here" + (f"; there is {there}" if there else ""))
    return _FORM.validate_json(stored.read_bytes())
