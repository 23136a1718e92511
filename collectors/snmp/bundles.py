"""Pure: which interfaces are bundled (IEEE8023-LAG-MIB, else ifStackTable)."""

from __future__ import annotations

from collections.abc import Iterable

from collectors.snmp.interfaces import Interfaces
from collectors.snmp.rows import Reading
from twin.vocab.observed import ObservedBundle

_LAG, _ETHERNET, _GIGABIT = 161, 6, 117  # IANAifType: ieee8023adLag, ethernetCsmacd, gigabitEthernet


def bundles(interfaces: Interfaces, reading: Reading) -> tuple[ObservedBundle, ...]:
    """Each aggregate and its members: those it uses now or, if it uses none, those configured into it."""
    configured = _grouped(
        (interfaces.find(row.get("aggregate")), interfaces.find(row["member"])) for row in reading.of("bundle_member")
    )
    attached = _grouped(
        (interfaces.find(row.get("attached")), interfaces.find(row["member"])) for row in reading.of("bundle_member")
    )
    stacked = _grouped(_stacked(interfaces, reading))
    found = stacked | configured | attached
    return tuple(ObservedBundle(name, members) for name, members in sorted(found.items()))


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """(aggregate, member) -> members by aggregate; an aggregator that stands for a single port is none."""
    found: dict[str, dict[str, None]] = {}
    for aggregate, member in pairs:
        if aggregate and member and aggregate != member:
            found.setdefault(aggregate, {})[member] = None
    return {aggregate: tuple(members) for aggregate, members in found.items()}


def _stacked(interfaces: Interfaces, reading: Reading) -> Iterable[tuple[str, str]]:
    for row in reading.of("stack"):
        higher, lower = interfaces.find(row["higher"]), interfaces.find(row["lower"])
        types = [interfaces.value(name, "type") if name else None for name in (higher, lower)]
        if types[0] == _LAG and types[1] in (_ETHERNET, _GIGABIT):
            yield higher, lower
