"""A prediction beside what was measured, link by link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from twin.vocab.answer import Answer, LinkLoad

CHANGED_BY = 0.10
QUIET_SHARE = 0.001


@dataclass(frozen=True)
class LinkScore:
    """One directed link: measured before, predicted and measured after, bit/s."""

    link: str
    before_bps: float
    predicted_bps: float
    measured_bps: float
    capacity_bps: int | None

    @property
    def floor_bps(self) -> float:
        """0.1 % of capacity: what routing protocols send on an idle link; below it a relative error says nothing."""
        return max(QUIET_SHARE * (self.capacity_bps or 0), 1.0)

    @property
    def changed(self) -> bool:
        """Its measured load changed by at least 10 %, and the link still carries something to compare with."""
        moved = abs(self.measured_bps - self.before_bps) >= CHANGED_BY * self.before_bps
        return moved and self.measured_bps > self.floor_bps

    def error(self, claimed_bps: float) -> float:
        """|claimed - measured| as a share of what was measured."""
        return abs(claimed_bps - self.measured_bps) / max(self.measured_bps, self.floor_bps)


@dataclass(frozen=True)
class Score:
    """All links of one answer. Errors are relative; None where there is nothing to score."""

    links: tuple[LinkScore, ...]
    hottest_link: str | None
    hottest_link_error: float | None
    changed_links: int
    changed_links_error: float | None
    no_change_error: float | None


def score(answer: Answer, measured_bps: Mapping[str, float]) -> Score:
    """Score an answer by the loads measured after the change, by directed link (``sender > receiver``)."""
    links = tuple(
        LinkScore(name, _before(link), link.after_bps, measured_bps[name], link.capacity_bps)
        for link in answer.links
        if (name := link_name(link)) in measured_bps
    )
    hottest = max(links, key=_utilisation, default=None)
    changed = [link for link in links if link.changed]
    return Score(
        links,
        hottest.link if hottest else None,
        hottest.error(hottest.predicted_bps) if hottest else None,
        len(changed),
        median(link.error(link.predicted_bps) for link in changed) if changed else None,
        median(link.error(link.before_bps) for link in changed) if changed else None,
    )


def link_name(link: LinkLoad) -> str:
    return f"{link.sender} > {link.receiver}"


def _before(link: LinkLoad) -> float:
    return link.before_bps if link.measured_bps is None else link.measured_bps


def _utilisation(link: LinkScore) -> float:
    return link.measured_bps / link.capacity_bps if link.capacity_bps else 0.0
