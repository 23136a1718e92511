"""Junos: state by its own read-only RPCs, which are the one place where it is told; configuration as it is shown.

Namespaces carry the release (``http://xml.juniper.net/junos/23.2R1/junos-interface``), and are missing unless the
device was set to ``rfc-compliant``: both are brought to one name first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from collectors.netconf.found import (
    BGP_STATES,
    ISIS_STATES,
    OSPF_STATES,
    Found,
    FoundInterface,
    Neighbor,
    Peer,
    Topic,
    lldp_neighbor,
    state_number,
)
from collectors.netconf.models import Model, Read, Subtree
from collectors.netconf.xml import BASE, Element, Leaf, Names, address, decimal, read_all

OFFERED = "http://xml.juniper.net/netconf/junos/1.0"
JUNOS = "http://xml.juniper.net/junos"
_OWN = re.compile(r"\{(?:http://xml\.juniper\.net/(?:junos|xnm)/[^}]*|" + re.escape(BASE) + r")\}(?P<name>.+)")
_ju = Names(JUNOS)
_STATUS = {"up": 1, "down": 2}
_MBPS = {"kbps": 1000, "mbps": 1_000_000, "gbps": 1_000_000_000}


def one_name(root: Element) -> Element:
    """A copy in which every element and attribute of Junos has the namespace ``JUNOS``, whatever the release."""
    copied = etree.fromstring(etree.tostring(root), etree.XMLParser(resolve_entities=False, no_network=True))
    for element in copied.iter(etree.Element):
        element.tag = _renamed(element.tag)
        for name in list(element.attrib):
            value = element.attrib.pop(name)
            element.attrib[_renamed(str(name))] = value
    return copied


def _renamed(name: str) -> str:
    own = _OWN.fullmatch(name)
    return f"{{{JUNOS}}}{own['name'] if own else name}" if own or not name.startswith("{") else name


def _everywhere(root: Element, name: str) -> Iterator[Element]:
    """Replies of several routing engines lie deeper."""
    return one_name(root).iter(_ju(name))


def _speed(entry: Element) -> int | None:
    """``10Gbps``, ``1000mbps``; Auto and Unlimited tell nothing."""
    told = re.fullmatch(r"(\d{1,9})\s*([kmg]bps)", _ju.text("speed")(entry).lower())
    return int(told[1]) * _MBPS[told[2]] if told else None


_STATE: dict[str, Leaf] = {
    "admin_status": _ju.choice("admin-status", _STATUS),
    "oper_status": _ju.choice("oper-status", _STATUS),
    "index": _ju.number("snmp-index"),
    "speed_bps": _speed,
}
_COUNTERS = {
    "in_octets": _ju.number("traffic-statistics/input-bytes"),
    "out_octets": _ju.number("traffic-statistics/output-bytes"),
    "in_packets": _ju.number("traffic-statistics/input-packets"),
    "out_packets": _ju.number("traffic-statistics/output-packets"),
    "in_errors": _ju.number("input-error-list/input-errors"),
    "out_errors": _ju.number("output-error-list/output-errors"),
    "in_discards": _ju.number("input-error-list/input-drops"),
    "out_discards": _ju.number("output-error-list/output-drops"),
}


def read_interfaces(root: Element) -> Found:
    """Physical interfaces and their units; a unit's state is told by its flags."""
    return Found(interfaces=tuple(i for entry in _everywhere(root, "physical-interface") for i in _interface(entry)))


def _interface(entry: Element) -> Iterator[FoundInterface]:
    name = _ju.text("name")(entry)
    if not name:
        return
    values = _counted(entry) | read_all(entry, _STATE)
    yield FoundInterface(name, values, (), _ju.text("description")(entry), _bundle(entry))
    for unit in _ju.each(entry, "logical-interface"):
        state = _unit_state(unit, values)
        yield FoundInterface(
            _ju.text("name")(unit), state | _counted(unit), tuple(_addresses(unit)), _ju.text("description")(unit)
        )


def _bundle(entry: Element) -> str:
    """The aggregate that a unit of the interface belongs to: ``ae1.0`` is ``ae1``."""
    told = (_ju.text("ae-bundle-name")(family) for family in _ju.each(entry, "logical-interface/address-family"))
    return next((name.partition(".")[0] for name in told if name), "")


def _counted(entry: Element) -> dict[str, Any]:
    counters = read_all(entry, _COUNTERS)
    return counters | {"counter_bits": 64} if counters else {}


def _unit_state(unit: Element, above: dict[str, Any]) -> dict[str, Any]:
    """``if-config-flags``: iff-up and no iff-down; where there are none, as the interface it is a unit of."""
    told = {k: v for k, v in read_all(unit, _STATE).items() if k != "speed_bps"}
    flags = unit.find(_ju("if-config-flags"))
    if "oper_status" not in told and flags is not None:
        up = flags.find(_ju("iff-up")) is not None and flags.find(_ju("iff-down")) is None
        told["oper_status"] = 1 if up and above.get("oper_status") == 1 else 2
    return told


def _addresses(unit: Element) -> Iterator[Any]:
    """``ifa-local`` with its length from ``ifa-destination``; terse replies have both in one."""
    for entry in _ju.each(unit, "address-family/interface-address"):
        own, network = _ju.text("ifa-local")(entry), _ju.text("ifa-destination")(entry)
        ip, _, length = own.partition("/")
        host = "128" if ":" in ip else "32"
        found = address(ip, length or network.partition("/")[2] or host)
        if found is not None:
            yield found


def read_system(root: Element) -> Found:
    """Routing engines: what is not idle, and memory in megabytes."""
    loads, pools = [], []
    for position, engine in enumerate(_everywhere(root, "route-engine")):
        name = f"routing-engine {_ju.text('slot')(engine) or position}"
        idle = _ju.decimal("cpu-idle")(engine)
        if idle is not None:
            loads.append({"processor": name, "load_percent": 100.0 - idle})
        total, used = (_ju.number(f"memory-system-total{leaf}", times=1 << 20)(engine) for leaf in ("", "-used"))
        if total is not None and used is not None:
            pools.append({"pool": name, "used_bytes": used, "total_bytes": total})
    return Found(rows={"processor": tuple(loads), "memory_pool": tuple(pools)})


# label, leaf, type, unit; the first that is there of leaves with one label
_OPTICS = (
    ("rx power", "laser-rx-optical-power-dbm", "optical_power", "dBm"),
    ("rx power", "rx-signal-avg-optical-power-dbm", "optical_power", "dBm"),
    ("tx power", "laser-output-power-dbm", "optical_power", "dBm"),
    ("bias", "laser-bias-current", "bias", "mA"),
    ("voltage", "module-voltage", "voltage", "volts"),
)


def read_optics(root: Element) -> Found:
    rows = (row for port in _everywhere(root, "physical-interface") for row in _optics(port))
    return Found(rows={"sensor": tuple({row["sensor"]: row for row in rows}.values())})


def _optics(port: Element) -> Iterator[dict[str, Any]]:
    name = _ju.text("name")(port)
    for diagnostics in _ju.each(port, "optics-diagnostics"):
        temperature = diagnostics.find(_ju("module-temperature"))
        degrees = None if temperature is None else temperature.get(_ju("celsius"))
        if degrees is not None and (value := decimal(degrees)) is not None:
            yield _sensor(f"{name} temperature", value, "temperature", "celsius", name)
        yield from _readings(diagnostics, name, name)
        for lane in _ju.each(diagnostics, "optics-diagnostics-lane-values"):
            yield from _readings(lane, f"{name} {_ju.text('lane-index')(lane)}", name)


def _readings(where: Element, sensor: str, port: str) -> Iterator[dict[str, Any]]:
    for label, leaf, kind, unit in _OPTICS:
        value = _ju.decimal(leaf)(where)
        if value is not None:
            yield _sensor(f"{sensor} {label}", value, kind, unit, port)


def _sensor(name: str, value: float, kind: str, unit: str, port: str) -> dict[str, Any]:
    return {"sensor": name, "value": value, "type": kind, "unit": unit, "status": 1, "interface": port}


def read_bgp(root: Element) -> Found:
    """Addresses may carry the port: ``10.0.0.1+179``."""
    return Found(
        bgp=tuple(
            Peer(
                _ju.text("peer-address")(entry).partition("+")[0],
                state,
                _ju.number("peer-as")(entry),
                _ju.number("flap-count")(entry),
            )
            for entry in _everywhere(root, "bgp-peer")
            if (state := state_number(_ju.text("peer-state")(entry), BGP_STATES)) is not None
        )
    )


def read_ospf(root: Element) -> Found:
    return Found(
        ospf=tuple(
            Neighbor(_ju.text("neighbor-address")(entry), _ju.text("neighbor-id")(entry), state)
            for entry in _everywhere(root, "ospf-neighbor")
            if (state := state_number(_ju.text("ospf-neighbor-state")(entry), OSPF_STATES)) is not None
        )
    )


def read_isis(root: Element) -> Found:
    rows = (
        {"neighbor": _ju.text("system-name")(entry), "state": state}
        for entry in _everywhere(root, "isis-adjacency")
        if (state := state_number(_ju.text("adjacency-state")(entry), ISIS_STATES)) is not None
    )
    return Found(rows={"isis_neighbor": tuple(rows)})


def read_lldp(root: Element) -> Found:
    found = (
        lldp_neighbor(
            _ju.text("lldp-local-port-id")(entry) or _ju.text("lldp-local-interface")(entry),
            _ju.text("lldp-remote-system-name")(entry),
            _ju.text("lldp-remote-port-id")(entry),
            _ju.text("lldp-remote-port-description")(entry),
            _ju.text("lldp-remote-management-address")(entry),
        )
        for entry in _everywhere(root, "lldp-neighbor-information")
    )
    return Found(lldp=tuple(neighbor for neighbor in found if neighbor))


def read_configured(data: Element) -> Found:
    for child in data:
        if isinstance(child.tag, str) and child.tag.endswith("}configuration") and _OWN.fullmatch(child.tag):
            return Found(system_name=_ju.text("system/host-name")(one_name(child)))
    return Found()


_OFFER = (Subtree(OFFERED, ""),)
_SEEN = "element names as in published replies; the instance is ours"


def _optional(name: str, topic: Topic, read: Read, verified: str, operation: str) -> Model:
    return Model(name, topic, _OFFER, read, verified, operation, optional=True)


MODELS = (
    Model("Junos interfaces", "interfaces", _OFFER, read_interfaces, _SEEN, "get-interface-information"),
    Model("Junos routing engines", "system", _OFFER, read_system, _SEEN, "get-route-engine-information"),
    _optional("Junos optics", "hardware", read_optics, _SEEN, "get-interface-optics-diagnostics-information"),
    _optional("Junos BGP", "bgp", read_bgp, _SEEN, "get-bgp-summary-information"),
    _optional("Junos OSPF", "ospf", read_ospf, _SEEN, "get-ospf-neighbor-information"),
    _optional("Junos LLDP", "lldp", read_lldp, _SEEN, "get-lldp-neighbors-information"),
    _optional("Junos IS-IS", "isis", read_isis, "unverified", "get-isis-adjacency-information"),
)
CONFIGURED = (read_configured,)
