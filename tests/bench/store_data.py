"""The workload of the store benchmark: interface counters as routers have them. Needs numpy alone.

Rates are log-normal over five decades between interfaces, swing with the day, and vary by 15 % from poll to poll;
errors and discards are mostly zero. A device is read at a moment of its own in each round, jittered by up to 50 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from twin.vocab.buckets import rounded

FIELDS = (
    "in_octets",
    "out_octets",
    "in_packets",
    "out_packets",
    "in_errors",
    "out_errors",
    "in_discards",
    "out_discards",
)
START = np.datetime64("2026-10-01T00:00:00", "us")
PER_DEVICE = 50
TIER_FIELDS = tuple(f"{c}_{s}" for c in ("in_octets", "out_octets") for s in ("mean", "p95", "max", "count"))
ASKED = ("in_octets_mean", "in_octets_p95", "out_octets_mean")
_EVERY = np.timedelta64(60, "s")
_PART = {"in_octets": 1.0, "out_octets": 0.4, "in_packets": 1 / 700, "out_packets": 1 / 900}
Values = dict[str, npt.NDArray[np.int64]]
Names = npt.NDArray[np.object_]


@dataclass
class Site:
    """So many interfaces, 50 a device; ``step`` makes them count on."""

    interfaces: int
    seed: int = 7

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        numbers = np.arange(self.interfaces)
        self.device: Names = np.array([f"router-{i // PER_DEVICE:04}" for i in numbers], dtype=object)
        self.interface: Names = np.array([f"GigabitEthernet0/0/{i % PER_DEVICE}" for i in numbers], dtype=object)
        self._rate = 10 ** self._rng.uniform(4, 9, self.interfaces)
        self._moment = self._rng.integers(0, 48_000_000, self.interfaces // PER_DEVICE + 1)
        self._counts = {name: self._rng.integers(0, 2**45, self.interfaces) for name in _PART}
        self._counts |= {name: np.zeros(self.interfaces, dtype=np.int64) for name in FIELDS if name not in _PART}
        self.rounds = 0

    def step(self) -> tuple[npt.NDArray[np.datetime64], Values]:
        """One round a minute: when each interface was read, and its counters."""
        share = 1 + 0.6 * np.sin(2 * np.pi * self.rounds / 1440)
        for name, part in _PART.items():
            noise = np.exp(self._rng.normal(0, 0.15, self.interfaces))
            self._counts[name] = self._counts[name] + (self._rate * share * part * 60 * noise).astype(np.int64)
        for name in FIELDS[4:]:
            self._counts[name] = self._counts[name] + (self._rng.random(self.interfaces) < 1e-3)
        jitter = self._rng.integers(0, 50_000, len(self._moment))
        moment = (self._moment + jitter)[np.arange(self.interfaces) // PER_DEVICE].astype("timedelta64[us]")
        at = START + self.rounds * _EVERY + moment
        self.rounds += 1
        return at, dict(self._counts)

    def means(self, buckets: int) -> npt.NDArray[np.float64]:
        """[interfaces, buckets] mean octets per second of 5-minute buckets."""
        share = 1 + 0.6 * np.sin(2 * np.pi * np.arange(buckets) / 288)
        return self._rate[:, None] * share * np.exp(self._rng.normal(0, 0.07, (self.interfaces, buckets)))


def tier_values(
    site: Site, first: int, buckets: int
) -> tuple[npt.NDArray[np.datetime64], dict[str, npt.NDArray[np.generic]]]:
    """Times and ``TIER_FIELDS`` of so many 5-minute buckets from the first on, by interface, then time.

    The greatest of a bucket is its 95th percentile at one poll a minute.
    """
    at = START + (first + np.arange(buckets)) * np.timedelta64(300, "s")
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for counter in ("in_octets", "out_octets"):
        mean = rounded(site.means(buckets).ravel())
        most = rounded(mean * 1.17)
        count = np.full(len(mean), 5, dtype=np.int64)
        for statistic, values in (("mean", mean), ("p95", most), ("max", most), ("count", count)):
            columns[f"{counter}_{statistic}"] = values
    return np.tile(at, site.interfaces), columns
