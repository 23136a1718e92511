"""What is acceptable, and what evidence an answer needs: configs/policies.yaml and its pure evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass as plain_dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from twin.vocab.answer import Evidence, LinkLoad, Reason, Verdict
from twin.vocab.files import STRICT, Duration
from twin.vocab.snapshot import Port, Source

WORSE = 1.01
MAY_GROW = 1.05
CONFIGURATION = "configuration"


Share = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=STRICT)
class Policies:
    """configs/policies.yaml. Shares are of 1; ages are at the time of asking."""

    schema_version: Literal["1"]
    maximum_utilisation: Share = 0.8
    reachability: bool = True
    maximum_configuration_age: Duration = timedelta(hours=24)
    maximum_state_age: Duration = timedelta(minutes=30)
    maximum_demand_age: Duration = timedelta(minutes=30)
    maximum_residual: Share = 0.1
    maximum_unread_lines: Annotated[int, Field(ge=0)] = 0

    def limit_of(self, source: Source) -> timedelta:
        """How old a source may be, by its name: ``configuration...`` or state."""
        is_configuration = source.name.startswith(CONFIGURATION)
        return self.maximum_configuration_age if is_configuration else self.maximum_state_age


@plain_dataclass(frozen=True)
class Case:
    """All that policies judge. ``lost`` holds only demands that had a path before the change.

    ``truncated``: (device, destination) whose choice among equal paths is the vendor's. ``severed``: (edge ports of
    a device that go down, bit/s lost there). ``unmodelled``: (port that goes down, why the figures don't show it).
    """

    asked_at: datetime
    about: datetime
    demands_at: datetime
    links: Sequence[LinkLoad]
    lost: Sequence[tuple[str, str, float]]
    sources: Sequence[tuple[str, Source]]
    evidence: Evidence
    truncated: Sequence[tuple[str, str]] = ()
    severed: Sequence[tuple[Sequence[Port], float]] = ()
    unmodelled: Sequence[tuple[Port, str]] = ()


def judge(case: Case, policies: Policies) -> tuple[Verdict, tuple[Reason, ...]]:
    """FAIL if a limit is broken whatever evidence lacks; else INCONCLUSIVE if evidence lacks; else PASS.

    Every rule leaves at least one reason; reasons come worst first.
    """
    rules: tuple[Callable[[Case, Policies], Iterator[Reason]], ...] = (
        _reachability,
        _utilisation,
        _ages,
        _demands,
        _understanding,
    )
    reasons = [reason for rule in rules for reason in rule(case, policies)]
    order: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE", "PASS")
    ranked = tuple(sorted(reasons, key=lambda r: order.index(r.outcome)))
    return ranked[0].outcome, ranked


def _reachability(case: Case, policies: Policies) -> Iterator[Reason]:
    if not policies.reachability:
        return
    for origin, destination, bps in case.lost:
        message = f"no path any more; {_rate(bps)} lost"
        yield Reason("reachability", "FAIL", f"{origin} → {destination}", message)
    for ports, bps in case.severed:
        message = f"customers' traffic enters and leaves there; {_rate(bps)} lost"
        yield Reason("reachability", "FAIL", ", ".join(map(str, ports)), message)
    if not case.lost and not case.severed:
        yield Reason("reachability", "PASS", "all devices", "every path that was there before is there after")


def _utilisation(case: Case, policies: Policies) -> Iterator[Reason]:
    limit = policies.maximum_utilisation
    judged = [(link, _utilisation_of(link, limit)) for link in case.links if link.up_after]
    yield from (reason for _, reason in judged if reason)
    known = [(u, link) for link, _ in judged if (u := link.utilisation_after) is not None]
    if not any(reason for _, reason in judged):
        top = max(known, key=lambda x: x[0], default=None)
        found = f"highest utilisation {top[0]:.1%} of at most {limit:.0%}" if top else "no link carries traffic"
        yield Reason("utilisation", "PASS", _name(top[1]) if top else "links", found)


def _utilisation_of(link: LinkLoad, limit: float) -> Reason | None:
    grows = link.after_bps > WORSE * link.before_bps
    if link.capacity_bps is None:
        message = "carries more after the change, and its capacity is unknown"
        return Reason("utilisation", "INCONCLUSIVE", _name(link), message) if grows else None
    used, ceiling = link.after_bps / link.capacity_bps, f"more than {limit:.0%}"
    if used > limit:
        if not grows and link.before_bps > limit * link.capacity_bps:
            return Reason("utilisation", "PASS", _name(link), f"{used:.1%} is {ceiling}, but the change adds nothing")
        return Reason("utilisation", "FAIL", _name(link), f"{used:.1%} after the change, {ceiling}")
    if link.after_interval and link.after_interval.high > max(limit * link.capacity_bps, MAY_GROW * link.before_bps):
        high = link.after_interval.high / link.capacity_bps
        message = f"{used:.1%}, but up to {high:.1%} is possible ({link.after_interval.level:.0%} interval), {ceiling}"
        return Reason("utilisation", "INCONCLUSIVE", _name(link), message)
    return None


def _ages(case: Case, policies: Policies) -> Iterator[Reason]:
    too_old = False
    for device, source in case.sources:
        age, limit = case.asked_at - source.at, policies.limit_of(source)
        if age > limit:
            too_old = True
            yield Reason("age", "INCONCLUSIVE", device, f"{source.name} is {_span(age)} old, more than {_span(limit)}")
    if not case.sources:
        yield Reason("age", "INCONCLUSIVE", "all devices", "nothing says how old configuration and state are")
    elif not too_old:
        yield Reason("age", "PASS", "all devices", "configuration and state are fresh enough")


def _demands(case: Case, policies: Policies) -> Iterator[Reason]:
    off = abs(case.about - case.demands_at)
    if off > policies.maximum_demand_age:
        message = f"{_span(off)} off the time asked about, more than {_span(policies.maximum_demand_age)}"
        yield Reason("demands", "INCONCLUSIVE", case.evidence.demand_source, message)
    residual = case.evidence.demand_residual
    if residual is not None and residual > policies.maximum_residual:
        message = f"leave {residual:.1%} of the measured traffic unexplained, more than {policies.maximum_residual:.0%}"
        yield Reason("demands", "INCONCLUSIVE", case.evidence.demand_source, message)
    elif off <= policies.maximum_demand_age:
        told = "residual unknown" if residual is None else f"explain all but {residual:.1%} of the measured traffic"
        yield Reason("demands", "PASS", case.evidence.demand_source, told)


def _understanding(case: Case, policies: Policies) -> Iterator[Reason]:
    errors = [finding for finding in case.evidence.findings if finding.severity == "error"]
    for finding in errors:
        yield Reason("evidence", "INCONCLUSIVE", f"{finding.device} {finding.subject}".strip(), finding.message)
    unread = case.evidence.unread_lines
    if unread > policies.maximum_unread_lines:
        message = f"{unread} configuration lines not understood, more than {policies.maximum_unread_lines}"
        yield Reason("evidence", "INCONCLUSIVE", "configuration", message)
    for device, destination in case.truncated:
        message = f"more equal paths to {destination} than it keeps: which ones is the vendor's choice"
        yield Reason("evidence", "INCONCLUSIVE", device, message)
    for port, message in case.unmodelled:
        yield Reason("evidence", "INCONCLUSIVE", str(port), message)
    if not (errors or unread > policies.maximum_unread_lines or case.truncated or case.unmodelled):
        yield Reason("evidence", "PASS", "all devices", "no disagreement that the answer would depend on")


def _name(link: LinkLoad) -> str:
    return f"{link.sender} → {link.receiver}"


def _rate(bps: float) -> str:
    for scale, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if bps >= scale:
            return f"{bps / scale:.3g} {unit}"
    return f"{bps:.3g} bit/s"


def _span(age: timedelta) -> str:
    seconds = age.total_seconds()
    for scale, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.0f} s"
