"""The lab's recorded fortnight as a history of interface loads, as the routers would have counted it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from twin.app.likeness import Likeness
from twin.lab.recording import demand_matrix, history
from twin.lab.spec import LabFile
from twin.net.traffic import load_of
from twin.vocab.snapshot import Port
from twin.vocab.time import FIVE_MINUTES, instant

Floats = npt.NDArray[np.float64]
STEP = timedelta(minutes=5)


def write_past(lab: LabFile, likeness: Likeness, until: datetime, span: timedelta, path: Path) -> int:
    """Write ``time,device,interface,in_bps,out_bps`` for every link end and edge port; returns the number of rows.

    The demands of ``span`` before ``until`` are routed as the network routes now.
    """
    end = until - timedelta(seconds=until.timestamp() % STEP.total_seconds())
    start = end - span
    names, _ = demand_matrix(lab, end)
    order = [names.index(device) for device in likeness.routing.devices]
    matrices = history(lab, start, end, STEP)[:, order][:, :, order]
    at = instant(start) + np.arange(len(matrices)) * FIVE_MINUTES
    frames = [_frame(port, at, *loads) for port, loads in _ports(likeness, matrices)]
    table = pl.concat(frames)
    table.write_parquet(path, compression="zstd")
    return table.height


def _ports(likeness: Likeness, matrices: Floats) -> list[tuple[Port, tuple[Floats, Floats]]]:
    """(port, (received, sent)) over time, bit/s."""
    routing = likeness.routing
    on_links = load_of(routing, matrices)
    sent = {sender: on_links[:, e] for e, (sender, _) in enumerate(routing.links)}
    received = {receiver: on_links[:, e] for e, (_, receiver) in enumerate(routing.links)}
    links = [(port, (received[port], sent[port])) for port in sent]
    edges = [
        (p, (matrices[:, routing.index[p.device]].sum(axis=1), matrices[:, :, routing.index[p.device]].sum(axis=1)))
        for p in likeness.edges
    ]
    return links + edges


def _frame(port: Port, at: npt.NDArray[np.datetime64], received: Floats, sent: Floats) -> pl.DataFrame:
    return pl.DataFrame({"time": at, "in_bps": received, "out_bps": sent}).select(
        pl.col("time").dt.replace_time_zone("UTC"),
        device=pl.lit(port.device),
        interface=pl.lit(port.interface),
        in_bps="in_bps",
        out_bps="out_bps",
    )
