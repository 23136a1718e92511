"""The answer to "what would this change do": a verdict, its reasons, the figures, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from twin.vocab.errors import EXIT_DONE, EXIT_FAIL, EXIT_INCONCLUSIVE
from twin.vocab.snapshot import Finding, Port, Source

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
EXIT_OF_VERDICT: dict[Verdict, int] = {
    "PASS": EXIT_DONE,
    "FAIL": EXIT_FAIL,
    "INCONCLUSIVE": EXIT_INCONCLUSIVE,
}
ANSWER_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Interval:
    """Where the figure lies with probability ``level``, as far as ``basis`` can tell."""

    low: float
    high: float
    level: float
    basis: str


@dataclass(frozen=True)
class LinkLoad:
    """One directed link before and after. Offered load may exceed capacity; carried can't. bit/s.

    ``measured_bps`` is what the counters said at the time of asking (None: no sample, or a future time).
    """

    sender: Port
    receiver: Port
    capacity_bps: int | None
    before_bps: float
    after_bps: float
    carried_after_bps: float
    after_interval: Interval | None
    measured_bps: float | None = None
    up_after: bool = True

    @property
    def utilisation_before(self) -> float | None:
        return self.before_bps / self.capacity_bps if self.capacity_bps else None

    @property
    def utilisation_after(self) -> float | None:
        return self.after_bps / self.capacity_bps if self.capacity_bps else None


@dataclass(frozen=True)
class RouteMove:
    """The next hops of one device towards one destination device, before and after (sending ports)."""

    device: str
    destination: str
    before: tuple[Port, ...]
    after: tuple[Port, ...]


@dataclass(frozen=True)
class Reason:
    """One policy or evidence rule and what it found. ``subject`` names the link, demand or device."""

    rule: str
    outcome: Verdict
    subject: str
    message: str


@dataclass(frozen=True)
class Evidence:
    """What the answer rests on: how much was understood, how old it is."""

    devices: int
    devices_with_config: int
    devices_with_state: int
    oldest_source: Source | None
    unread_lines: int
    demand_source: str
    demand_residual: float | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Answer:
    """Never "safe" without the evidence. Valid for the snapshot it names, until ``expires``."""

    change: str
    verdict: Verdict
    reasons: tuple[Reason, ...]
    asked_at: datetime
    about: datetime
    expires: datetime
    snapshot_hash: str
    links: tuple[LinkLoad, ...]
    moves: tuple[RouteMove, ...]
    moved_bps: float
    lost_bps: float
    lost_demands: tuple[tuple[str, str, float], ...]
    evidence: Evidence

    @property
    def exit_code(self) -> int:
        return EXIT_OF_VERDICT[self.verdict]
