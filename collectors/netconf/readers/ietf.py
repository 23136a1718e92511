"""IETF: interfaces and addresses (RFC 7223, 8343, 8344), sensors (RFC 8348), OSPF and IS-IS (RFC 9129, 9130)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from collectors.netconf.found import ISIS_STATES, OSPF_STATES, Found, FoundInterface, Neighbor, state_number
from collectors.netconf.models import Model, Subtree
from collectors.netconf.xml import Element, Names, read_all

INTERFACES = "urn:ietf:params:xml:ns:yang:ietf-interfaces"
HARDWARE = "urn:ietf:params:xml:ns:yang:ietf-hardware"
ROUTING = "urn:ietf:params:xml:ns:yang:ietf-routing"
OSPF = "urn:ietf:params:xml:ns:yang:ietf-ospf"
ISIS = "urn:ietf:params:xml:ns:yang:ietf-isis"
SYSTEM = "urn:ietf:params:xml:ns:yang:ietf-system"
_STATUS = {  # RFC 8343 names -> IF-MIB numbers
    "up": 1,
    "down": 2,
    "testing": 3,
    "unknown": 4,
    "dormant": 5,
    "not-present": 6,
    "lower-layer-down": 7,
}
_if = Names(INTERFACES, {"ip": "urn:ietf:params:xml:ns:yang:ietf-ip"})
_speed = _if.number("speed")
_STATE = {
    "admin_status": _if.choice("admin-status", _STATUS),
    "oper_status": _if.choice("oper-status", _STATUS),
    "index": _if.number("if-index"),
    "speed_bps": lambda entry: _speed(entry) or None,
}
_COUNTERS = {
    "in_octets": _if.number("statistics/in-octets"),
    "out_octets": _if.number("statistics/out-octets"),
    "in_packets": _if.total(*(f"statistics/in-{cast}-pkts" for cast in ("unicast", "multicast", "broadcast"))),
    "out_packets": _if.total(*(f"statistics/out-{cast}-pkts" for cast in ("unicast", "multicast", "broadcast"))),
    "in_errors": _if.number("statistics/in-errors"),
    "out_errors": _if.number("statistics/out-errors"),
    "in_discards": _if.number("statistics/in-discards"),
    "out_discards": _if.number("statistics/out-discards"),
    "discontinuity_cs": _if.changed("statistics/discontinuity-time"),
}


def read_interfaces(data: Element) -> Found:
    """State of RFC 7223 ``interfaces-state`` or RFC 8343 ``interfaces``; of configuration names and addresses only."""
    lists = (data.find(_if("interfaces-state")), data.find(_if("interfaces")))
    tables = [tuple(_entries(top)) for top in lists if top is not None]
    with_state = next((table for table in tables if any(i.values for i in table)), None)
    return Found(interfaces=with_state if with_state is not None else tuple(i for table in tables for i in table))


def _entries(top: Element) -> Iterator[FoundInterface]:
    for entry in _if.each(top, "interface"):
        name = _if.text("name")(entry)
        if not name:
            continue
        values = read_all(entry, _STATE) if _if.text("oper-status")(entry) else {}
        if values and entry.find(_if("statistics")) is not None:
            values |= read_all(entry, _COUNTERS) | {"counter_bits": 64}
        yield FoundInterface(name, values, _addresses(entry), _if.text("description")(entry))


def _addresses(entry: Element) -> tuple[Any, ...]:
    both = (f"ip:{family}/ip:address" for family in ("ipv4", "ipv6"))
    return tuple(a for path in both for a in _if.addresses(entry, path, "ip:ip", "ip:prefix-length", "ip:netmask"))


# -- hardware: IANA-ENTITY-SENSOR terms of RFC 3433 ------------------------------------------------

_hw = Names(HARDWARE)
_SENSOR_TYPES = {
    "celsius": ("temperature", "celsius"),
    "volts-DC": ("voltage", "volts"),
    "volts-AC": ("voltage", "volts"),
    "amperes": ("current", "amperes"),
    "watts": ("power", "watts"),
    "rpm": ("fan_speed", "rpm"),
    "hertz": ("frequency", "hertz"),
    "percent-RH": ("humidity", "percent"),
}
_SCALES = ("yocto", "zepto", "atto", "femto", "pico", "nano", "micro", "milli", "units", "kilo", "mega", "giga", "tera")
_OPER = {"ok": 1, "unavailable": 2, "nonoperational": 3}


def read_hardware(data: Element) -> Found:
    rows = (row for part in _hw.each(data, "hardware/component") if (row := _sensor(part)))
    return Found(rows={"sensor": tuple(rows)})


def _sensor(component: Element) -> dict[str, Any] | None:
    """Value = reading * 10^scale / 10^precision (RFC 3433 section 4)."""
    name, kind = _hw.text("name")(component), _hw.text("sensor-data/value-type")(component)
    if not name or kind not in _SENSOR_TYPES:
        return None
    scale = _hw.text("sensor-data/value-scale")(component) or "units"
    precision = _hw.decimal("sensor-data/value-precision")(component) or 0.0
    reading = _hw.decimal("sensor-data/value")(component)
    if scale not in _SCALES or not -8 <= precision <= 9:
        return None
    exponent = 3 * (_SCALES.index(scale) - _SCALES.index("units")) - int(precision)
    value = None if reading is None or abs(reading) > 1e9 else float(f"{reading:.9f}e{exponent}")
    status = _OPER.get(_hw.text("sensor-data/oper-status")(component))
    sensor_type, unit = _SENSOR_TYPES[kind]
    return {"sensor": name, "value": value, "type": sensor_type, "unit": unit, "status": status, "interface": ""}


# -- interior gateway protocols --------------------------------------------------------------------

_rt = Names(ROUTING, {"o": OSPF, "i": ISIS})
_PROTOCOL = "routing/control-plane-protocols/control-plane-protocol"


def read_ospf(data: Element) -> Found:
    path = f"{_PROTOCOL}/o:ospf/o:areas/o:area/o:interfaces/o:interface/o:neighbors/o:neighbor"
    return Found(ospf=tuple(found for entry in _rt.each(data, path) if (found := _ospf_neighbor(entry))))


def read_isis(data: Element) -> Found:
    path = f"{_PROTOCOL}/i:isis/i:interfaces/i:interface/i:adjacencies/i:adjacency"
    return Found(rows={"isis_neighbor": tuple(row for entry in _rt.each(data, path) if (row := _isis_row(entry)))})


def _ospf_neighbor(entry: Element) -> Neighbor | None:
    state = state_number(_rt.text("o:state")(entry), OSPF_STATES)
    address, router = _rt.text("o:address")(entry), _rt.text("o:neighbor-router-id")(entry)
    return None if state is None or not address else Neighbor(address, router, state)


def _isis_row(entry: Element) -> dict[str, Any] | None:
    name, state = _rt.text("i:neighbor-sysid")(entry), state_number(_rt.text("i:state")(entry), ISIS_STATES)
    return {"neighbor": name, "state": state} if name and state else None


def read_system(data: Element) -> Found:
    return Found(system_name=Names(SYSTEM).text("system/hostname")(data))


def _routing(inner: str) -> str:
    opened = f'<routing xmlns="{ROUTING}"><control-plane-protocols><control-plane-protocol><type/><name/>'
    return f"{opened}{inner}</control-plane-protocol></control-plane-protocols></routing>"


MODELS = (
    Model(
        "ietf-interfaces",
        "interfaces",
        (Subtree(INTERFACES, f'<interfaces-state xmlns="{INTERFACES}"/><interfaces xmlns="{INTERFACES}"/>'),),
        read_interfaces,
        "netconfd of the lab (RFC 7223 state); the recorded configuration of an IOS XE switch; RFC 8343 state: no",
    ),
    Model(
        "ietf-hardware",
        "hardware",
        (Subtree(HARDWARE, f'<hardware xmlns="{HARDWARE}"><component><name/><sensor-data/></component></hardware>'),),
        read_hardware,
        "unverified: an instance of ours after RFC 8348",
    ),
    Model(
        "ietf-ospf",
        "ospf",
        (
            Subtree(
                OSPF,
                _routing(
                    f'<ospf xmlns="{OSPF}"><areas><area><area-id/><interfaces><interface><name/><neighbors/>'
                    "</interface></interfaces></area></areas></ospf>"
                ),
            ),
        ),
        read_ospf,
        "unverified: an instance of ours after RFC 9129",
    ),
    Model(
        "ietf-isis",
        "isis",
        (
            Subtree(
                ISIS,
                _routing(
                    f'<isis xmlns="{ISIS}"><interfaces><interface><name/><adjacencies/></interface></interfaces></isis>'
                ),
            ),
        ),
        read_isis,
        "unverified: an instance of ours after RFC 9130",
    ),
)
CONFIGURED = (read_interfaces, read_system)
