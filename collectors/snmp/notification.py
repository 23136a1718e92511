"""What a trap or inform says, as an event. Pure; the text of a device is cleaned and bounded.

Standard notifications are those of RFC 3418 (coldStart, linkDown ...), RFC 4273 and its predecessor (BGP), RFC 4750
(OSPF). Any other is an event of its own name where that is known, else ``trap``, its subject the OID.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import TypeAlias

from collectors.snmp.names import NOTIFICATION, Names, readable
from collectors.snmp.wire import Oid, Value, dotted
from twin.vocab.events import Event

Varbinds: TypeAlias = Sequence[tuple[Oid, Value | None]]
NameOf: TypeAlias = Callable[[int], str | None]

SOURCE = "snmp"
UNKNOWN = "trap"
LONGEST_SUBJECT, LONGEST_DETAIL = 255, 1000
_SYS_UP_TIME, _TRAP_OID = (1, 3, 6, 1, 2, 1, 1, 3, 0), (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
_COMMUNITY = (1, 3, 6, 1, 6, 3, 18, 1, 4, 0)  # snmpTrapCommunity (RFC 3584): a secret
_ENTERPRISE = (1, 3, 6, 1, 6, 3, 1, 1, 4, 3, 0)
_UNTOLD = (_SYS_UP_TIME, _TRAP_OID, _COMMUNITY, _ENTERPRISE)
_IF_TABLE, _IF_X_TABLE = (1, 3, 6, 1, 2, 1, 2, 2, 1), (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
_IF_INDEX, _IF_DESCR, _IF_NAME = (*_IF_TABLE, 1), (*_IF_TABLE, 2), (*_IF_X_TABLE, 1)
_ISIS = (1, 3, 6, 1, 2, 1, 138)
_ISIS_CIRCUIT, _ISIS_LSP = (*_ISIS, 1, 10, 1, 2), (*_ISIS, 1, 10, 1, 3)
_SYSTEM_ID_OCTETS, _IPV6_OCTETS = 6, 16
# entPhysicalTable, entStateTable; CISCO-ENTITY-SENSOR-MIB, CISCO-ENTITY-FRU-CONTROL-MIB: indexed by entPhysicalIndex
_ENTITIES = (
    (1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1),
    (1, 3, 6, 1, 2, 1, 131, 1, 1, 1),
    (1, 3, 6, 1, 4, 1, 9, 9, 91, 1, 1, 1, 1),
    *((1, 3, 6, 1, 4, 1, 9, 9, 117, 1, group, 1, 1) for group in (1, 2, 4)),
)
_ENTITY_NAME = (*_ENTITIES[0], 7)


@dataclass(frozen=True)
class _Rule:
    """A notification whose subject is an address in the index of a table.

    ``entries``: where those tables' rows are; ``tail``: how many sub-identifiers follow the address.
    """

    event: str
    entries: tuple[Oid, ...]
    tail: int = 0


_BGP = (1, 3, 6, 1, 2, 1, 15)
_BGP4V2 = (1, 3, 6, 1, 3, 5, 1)  # as FRR numbers draft-ietf-idr-bgp4-mibv2
_ARISTA, _CISCO = (1, 3, 6, 1, 4, 1, 30065, 4, 1), (1, 3, 6, 1, 4, 1, 9, 9, 187)
_OSPF, _OSPF_TRAPS = (1, 3, 6, 1, 2, 1, 14), (1, 3, 6, 1, 2, 1, 14, 16, 2)
_PEERS = (
    (*_BGP, 3, 1),
    *((*root, 1, table, 1) for root in (_BGP4V2, _ARISTA) for table in (2, 3)),
    (*_CISCO, 1, 2, 5, 1),
)
_UP, _BACK = _Rule("bgpEstablished", _PEERS), _Rule("bgpBackwardTransition", _PEERS)
_RULES: dict[Oid, _Rule] = {
    (*_BGP, 0, 1): _UP,
    (*_BGP, 0, 2): _BACK,
    (*_BGP, 7, 1): _UP,
    (*_BGP, 7, 2): _BACK,
    (*_BGP4V2, 0, 1): _UP,
    (*_BGP4V2, 0, 2): _BACK,
    (*_ARISTA, 0, 1): _UP,
    (*_ARISTA, 0, 2): _BACK,
    (*_CISCO, 0, 2): _BACK,
    (*_CISCO, 0, 5): _UP,
    (*_CISCO, 0, 6): _BACK,
    (*_OSPF_TRAPS, 2): _Rule("ospfNbrStateChange", ((*_OSPF, 10, 1),), tail=1),
    (*_OSPF_TRAPS, 16): _Rule("ospfIfStateChange", ((*_OSPF, 7, 1),), tail=1),
}


def translate(device: str, varbinds: Varbinds, names: Names, interface: NameOf, at: datetime) -> Event:
    """One notification -> the event.

    Args:
        interface: the name last known for an ifIndex of this device.

    Raises:
        ValueError: it does not say which notification it is (RFC 3416 section 4.2.6 demands snmpTrapOID).
    """
    told = next((value for oid, value in varbinds if oid == _TRAP_OID), None)
    if not isinstance(told, tuple):
        raise ValueError("no snmpTrapOID")  # noqa: TRY004 - a fault of the datagram
    known = _known_form(told, names)
    event, subject = _meaning(known, varbinds, names, interface)
    label = "" if event == UNKNOWN else names.label(known)
    detail = _detail("" if label == event else label, varbinds, names)
    return Event(device, event, clean(subject, LONGEST_SUBJECT), SOURCE, detail, at)


def _known_form(oid: Oid, names: Names) -> Oid:
    """SNMPv1's enterprise and number come with a zero between them that some MIBs do not have (RFC 3584, 3.1)."""
    shorter = (*oid[:-2], *oid[-1:])
    return shorter if oid not in names.by_oid and oid[-2:-1] == (0,) and shorter in names.by_oid else oid


def _meaning(oid: Oid, varbinds: Varbinds, names: Names, interface: NameOf) -> tuple[str, str]:
    """(event, subject)."""
    rule = _RULES.get(oid)
    if rule is not None:
        return rule.event, _address(rule, varbinds, interface)
    known = names.by_oid.get(oid)
    if known is None or known.type != NOTIFICATION:
        return UNKNOWN, dotted(oid)
    if oid == (*_ISIS, 0, 17):
        return known.name, _isis_neighbor(varbinds, interface)
    return known.name, _interface(varbinds, interface) or _entity(varbinds)


def _isis_neighbor(varbinds: Varbinds, interface: NameOf) -> str:
    """The adjacent system's identifier, which its LSP's begins with, and the circuit's interface (RFC 4444)."""
    told = {oid[: len(_ISIS_LSP)]: value for oid, value in varbinds}
    lsp, index = told.get(_ISIS_LSP), told.get(_ISIS_CIRCUIT)
    if not isinstance(lsp, bytes) or len(lsp) < _SYSTEM_ID_OCTETS:
        return ""
    digits = lsp[:_SYSTEM_ID_OCTETS].hex()
    system = ".".join(digits[i : i + 4] for i in range(0, len(digits), 4))
    return f"{system}%{interface(index) or index}" if isinstance(index, int) and index else system


def _entity(varbinds: Varbinds) -> str:
    """entPhysicalName if told, else the index of the part a sensor, fan or module is (ENTITY-MIB, RFC 6933)."""
    named = next((_text(value) for oid, value in varbinds if _below(oid, _ENTITY_NAME)), "")
    indices = (oid[len(e) + 1] for oid, _ in varbinds for e in _ENTITIES if _below(oid, e) and len(oid) > len(e) + 1)
    index = next(indices, None)
    return named or ("" if index is None else f"entPhysicalIndex {index}")


def _interface(varbinds: Varbinds, interface: NameOf) -> str:
    """ifName if told, else the name last known for the index, else ifDescr, else the index; empty if about none."""
    texts = {oid[: len(column)]: v for oid, v in varbinds for column in (_IF_NAME, _IF_DESCR) if _below(oid, column)}
    name = _text(texts.get(_IF_NAME))
    index = next(_indices(varbinds), None)
    if name or index is None:
        return name
    return interface(index) or _text(texts.get(_IF_DESCR)) or f"ifIndex {index}"


def _indices(varbinds: Varbinds) -> Iterator[int]:
    for oid, value in varbinds:
        if _below(oid, _IF_INDEX) and isinstance(value, int):
            yield value
        elif (_below(oid, _IF_TABLE) or _below(oid, _IF_X_TABLE)) and len(oid) > len(_IF_TABLE) + 1:
            yield oid[-1]


def _address(rule: _Rule, varbinds: Varbinds, interface: NameOf) -> str:
    for oid, _ in varbinds:
        for entry in rule.entries:
            if _below(oid, entry):
                return _address_of(oid[len(entry) + 1 :], rule.tail, interface)
    return ""


def _address_of(instance: Oid, tail: int, interface: NameOf) -> str:
    """The address an index ends with; of OSPF's, the ifIndex behind it says where an unnumbered link begins."""
    arcs = instance[: len(instance) - tail]
    octets = arcs[-_IPV6_OCTETS:] if len(arcs) >= _IPV6_OCTETS else arcs[-4:]
    try:
        address = str(ip_address(bytes(octets)))
    except ValueError:
        return ""
    index = instance[-1] if tail else 0
    return f"{address}%{interface(index) or index}" if index else address


def _detail(label: str, varbinds: Varbinds, names: Names) -> str:
    parts, size = [label], 0
    for oid, value in varbinds:
        if oid not in _UNTOLD and value is not None and size < LONGEST_DETAIL:
            parts.append(f"{names.label(oid)}={names.show(oid, value)}")
            size += len(parts[-1])
    return clean(" ".join(parts), LONGEST_DETAIL)


def clean(text: str, longest: int) -> str:
    """One line of printable characters, cut to ``longest``."""
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() else "?" for c in line[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _text(value: Value | None) -> str:
    return (readable(value) or "") if isinstance(value, bytes) else ""


def _below(oid: Oid, prefix: Oid) -> bool:
    return oid[: len(prefix)] == prefix
