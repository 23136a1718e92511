"""Demands over routes -> link loads; interface rates -> the arrays the estimate needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from twin.net.routing import Routing
from twin.vocab.demand import Demands, EdgeTotals
from twin.vocab.errors import NettwinError
from twin.vocab.snapshot import Port

Floats = npt.NDArray[np.float64]


def align(demands: Demands, devices: tuple[str, ...]) -> Demands:
    """The same demands in the order of ``devices``; a device without demands gets none.

    Raises:
        NettwinError: demands of a device that is not among ``devices``.
    """
    if demands.devices == devices:
        return demands
    if strange := sorted(set(demands.devices) - set(devices)):
        raise NettwinError(f"the demands name {', '.join(strange)}, which the snapshot lacks")
    at = np.array([devices.index(name) for name in demands.devices], dtype=np.int64)
    ensemble = None if demands.ensemble is None else _spread(demands.ensemble, at, len(devices))
    matrix = _spread(demands.matrix_bps, at, len(devices))
    return replace(demands, devices=devices, matrix_bps=matrix, ensemble=ensemble)


def _spread(matrices: Floats, at: npt.NDArray[np.int64], count: int) -> Floats:
    wide = np.zeros((*matrices.shape[:-2], count, count))
    wide[..., at[:, None], at[None, :]] = matrices
    return wide


def load_of(routing: Routing, matrices: Floats) -> Floats:
    """[..., n, n] bit/s -> [..., m] bit/s, devices in the order of ``routing``."""
    flat = matrices.reshape(-1, len(routing.devices) ** 2)
    result: Floats = (routing.fractions @ flat.T).T
    return result.reshape(*matrices.shape[:-2], len(routing.links))


def link_rates(routing: Routing, sent_bps: Mapping[Port, float], received_bps: Mapping[Port, float]) -> Floats:
    """[m] measured bit/s per directed link: as the sender counted out, else as the receiver counted in, else NaN."""
    sent = np.array([sent_bps.get(sender, np.nan) for sender, _ in routing.links], dtype=np.float64)
    received = np.array([received_bps.get(receiver, np.nan) for _, receiver in routing.links], dtype=np.float64)
    return np.where(np.isnan(sent), received, sent)


def edge_totals(
    devices: tuple[str, ...],
    edges: Collection[Port],
    received_bps: Mapping[Port, float],
    sent_bps: Mapping[Port, float],
) -> EdgeTotals:
    """What the edge ports received (entering) and sent (leaving), summed by device.

    NaN where one edge port of a device was not measured; 0 for a device without edge ports.
    """
    return EdgeTotals(devices, _totals(devices, edges, received_bps), _totals(devices, edges, sent_bps))


def _totals(devices: tuple[str, ...], edges: Collection[Port], rates: Mapping[Port, float]) -> Floats:
    of_device = {name: [rates.get(p, float("nan")) for p in edges if p.device == name] for name in devices}
    return np.array([float(np.sum(of_device[name])) if of_device[name] else 0.0 for name in devices], dtype=np.float64)
