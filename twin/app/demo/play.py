"""What the demo plays, and on which network."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

from twin.app.demo.network import LiveNetwork, Network, why_not_live
from twin.app.demo.recording import RecordedNetwork
from twin.app.demo.thread import Plan, reverse
from twin.app.labspace import lab_file
from twin.app.settings import load_settings, packaged_configs
from twin.lab.spec import LabFile, read_lab
from twin.vocab.errors import UsageError
from twin.vocab.plain import to_plain
from twin.whatif.change_file import read_change

LAB, DEMO = "abilene", "demo"


def prepared(
    folder: Path, settings: Path | None, change_file: Path | None, train_for: timedelta, *, force_recording: bool
) -> tuple[Plan, Network, list[str]]:
    """The plan, the network to play it on, and why it is a recording (empty: real routers).

    Raises:
        UsageError: a file is bad.
    """
    spec = dataclasses.replace(read_lab(lab_file(LAB)), name=DEMO)
    change = read_change(change_file or packaged_configs() / "labs" / f"{LAB}-change.yaml")
    plan = Plan(spec, change, reverse(change, _costs(spec)), folder, train_for)
    store = _store_section(settings)
    why = ["asked for"] if force_recording else why_not_live()
    if why:
        if change_file is not None:
            raise UsageError(f"--change needs the lab, and this machine can't run it: {'; '.join(why)}")
        return plan, RecordedNetwork(spec, folder, store), why
    return plan, LiveNetwork(spec, folder, store), []


def _costs(spec: LabFile) -> dict[str, int]:
    from twin.lab.plan import plan

    return {f"{name}:{w.name}": w.cost for name, router in plan(spec).routers.items() for w in router.wires}


def _store_section(settings: Path | None) -> dict[str, Any]:
    """The section ``store`` of an operator's settings, as the demo's own settings shall hold it."""
    if settings is None:
        return {"engine": "delta"}
    chosen = load_settings(settings)
    server = chosen.file.store.influxdb
    if server is None:
        return {"engine": chosen.file.store.engine}
    reference = server.token
    if reference.file is not None:
        reference = dataclasses.replace(reference, file=str(chosen.at(reference.file)))
    token = {k: v for k, v in to_plain(reference).items() if v is not None}
    named = {"url": server.url, "database": server.database, "organisation": server.organisation, "token": token}
    return {"engine": chosen.file.store.engine, "influxdb": named}
