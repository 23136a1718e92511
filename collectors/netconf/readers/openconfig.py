"""OpenConfig: interfaces, platform with transceivers and optical channels, network-instance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from collectors.netconf.found import (
    BGP_STATES,
    ISIS_STATES,
    OSPF_STATES,
    Found,
    FoundInterface,
    Neighbor,
    Peer,
    lldp_neighbor,
    state_number,
)
from collectors.netconf.models import Model, Subtree
from collectors.netconf.xml import Address, Element, Leaf, Names, local, read_all

_ROOT = "http://openconfig.net/yang/"
INTERFACES, PLATFORM, INSTANCES = f"{_ROOT}interfaces", f"{_ROOT}platform", f"{_ROOT}network-instance"
LLDP = f"{_ROOT}lldp"
_STATUS = {
    "UP": 1,
    "DOWN": 2,
    "TESTING": 3,
    "UNKNOWN": 4,
    "DORMANT": 5,
    "NOT_PRESENT": 6,
    "LOWER_LAYER_DOWN": 7,
}
_if = Names(
    INTERFACES,
    {
        "ip": f"{_ROOT}interfaces/ip",
        "eth": f"{_ROOT}interfaces/ethernet",
        "lag": f"{_ROOT}interfaces/aggregate",
        "vlan": f"{_ROOT}vlan",
        "tr": f"{_ROOT}platform/transceiver",
    },
)
_lag_speed = _if.number("lag:aggregation/lag:state/lag:lag-speed", times=1_000_000)
_CASTS = ("unicast", "multicast", "broadcast")


def _speed(entry: Element) -> int | None:
    """``SPEED_2500MB`` or ``SPEED_100GB``, as negotiated before as configured; a bundle's is in Mbit/s."""
    state = "eth:ethernet/eth:state"
    for leaf in ("negotiated-port-speed", "port-speed"):
        told = re.fullmatch(r"SPEED_(\d{1,6})([MG])B", local(_if.text(f"{state}/eth:{leaf}")(entry)))
        if told:
            return int(told[1]) * (1_000_000 if told[2] == "M" else 1_000_000_000)
    return _lag_speed(entry)  # type: ignore[no-any-return]


def _packets(way: str) -> Leaf:
    given = _if.number(f"state/counters/{way}-pkts")
    summed = _if.total(*(f"state/counters/{way}-{cast}-pkts" for cast in _CASTS))
    return lambda entry: total if (total := summed(entry)) is not None else given(entry)


_BUNDLE = tuple(_if.text(f"eth:ethernet/eth:{box}/lag:aggregate-id") for box in ("state", "config"))
_STATE: dict[str, Leaf] = {
    "admin_status": _if.choice("state/admin-status", _STATUS),
    "oper_status": _if.choice("state/oper-status", _STATUS),
    "index": _if.number("state/ifindex"),
    "speed_bps": _speed,
}
_COUNTERS = {
    "in_octets": _if.number("state/counters/in-octets"),
    "out_octets": _if.number("state/counters/out-octets"),
    "in_packets": _packets("in"),
    "out_packets": _packets("out"),
    "in_errors": _if.number("state/counters/in-errors"),
    "out_errors": _if.number("state/counters/out-errors"),
    "in_discards": _if.number("state/counters/in-discards"),
    "out_discards": _if.number("state/counters/out-discards"),
    "discontinuity_cs": _if.changed("state/counters/last-clear"),
}


def read_interfaces(data: Element) -> Found:
    """Interfaces, and subinterfaces as ``NAME.INDEX``; index 0 is the interface itself."""
    return Found(interfaces=tuple(i for entry in _if.each(data, "interfaces/interface") for i in _interface(entry)))


def _interface(entry: Element) -> Iterator[FoundInterface]:
    name = _if.text("name")(entry)
    if not name:
        return
    alias = _if.text("state/description")(entry) or _if.text("config/description")(entry)
    bundle = next((told for leaf in _BUNDLE if (told := leaf(entry))), "")
    yield FoundInterface(name, _values(entry), _addresses(entry, "vlan:routed-vlan"), alias, bundle)
    for sub in _if.each(entry, "subinterfaces/subinterface"):
        index = _if.text("index")(sub)
        if index == "0":
            yield FoundInterface(name, {}, _addresses(sub, "."))
        elif index:
            yield FoundInterface(f"{name}.{index}", _values(sub), _addresses(sub, "."))


def _values(entry: Element) -> dict[str, Any]:
    if not _if.text("state/oper-status")(entry):
        return {}
    counters = read_all(entry, _COUNTERS)
    return read_all(entry, _STATE) | counters | ({"counter_bits": 64} if counters else {})


def _addresses(entry: Element, above: str) -> tuple[Address, ...]:
    lengths = ("ip:state/ip:prefix-length", "ip:config/ip:prefix-length", "ip:prefix-length")
    both = (f"{above}/ip:{family}/ip:addresses/ip:address" for family in ("ipv4", "ipv6"))
    return tuple(a for path in both for a in _if.addresses(entry, path, "ip:ip", *lengths))


# -- platform --------------------------------------------------------------------------------------

_pf = Names(
    PLATFORM,
    {
        "cpu": f"{_ROOT}platform/cpu",
        "fan": f"{_ROOT}platform/fan",
        "psu": f"{_ROOT}platform/psu",
        "tr": f"{_ROOT}platform/transceiver",
        "td": f"{_ROOT}terminal-device",
    },
)
# what to add to the component's name, path, type, unit
_READINGS = (
    ("", "state/temperature/instant", "temperature", "celsius"),
    (" speed", "fan:fan/fan:state/fan:speed", "fan_speed", "rpm"),
    (" input voltage", "psu:power-supply/psu:state/psu:input-voltage", "voltage", "volts"),
    (" input current", "psu:power-supply/psu:state/psu:input-current", "current", "amperes"),
    (" output voltage", "psu:power-supply/psu:state/psu:output-voltage", "voltage", "volts"),
    (" output current", "psu:power-supply/psu:state/psu:output-current", "current", "amperes"),
    (" output power", "psu:power-supply/psu:state/psu:output-power", "power", "watts"),
    (" rx power", "td:optical-channel/td:state/td:input-power/td:instant", "optical_power", "dBm"),
    (" tx power", "td:optical-channel/td:state/td:output-power/td:instant", "optical_power", "dBm"),
    (" bias", "td:optical-channel/td:state/td:laser-bias-current/td:instant", "bias", "mA"),
    (" osnr", "td:optical-channel/td:state/td:osnr/td:instant", "osnr", "dB"),
    (" pre-FEC BER", "td:optical-channel/td:state/td:pre-fec-ber/td:instant", "pre_fec_ber", ""),
)
_CHANNEL_READINGS = (
    ("rx power", "tr:state/tr:input-power/tr:instant", "optical_power", "dBm"),
    ("tx power", "tr:state/tr:output-power/tr:instant", "optical_power", "dBm"),
    ("bias", "tr:state/tr:laser-bias-current/tr:instant", "bias", "mA"),
)


def read_platform(data: Element) -> Found:
    ports = {
        transceiver: _if.text("name")(entry)
        for entry in _if.each(data, "interfaces/interface")
        if (transceiver := _if.text("state/tr:transceiver")(entry))
    }
    rows = (row for part in _pf.each(data, "components/component") for row in _sensors(part, ports))
    return Found(rows={"sensor": tuple(rows)})


def _sensors(component: Element, ports: dict[str, str]) -> Iterator[dict[str, Any]]:
    name = _pf.text("name")(component)
    port = ports.get(name, "")
    for suffix, path, kind, unit in _READINGS:
        yield from _sensor(_pf.decimal(path)(component), f"{name}{suffix}", kind, unit, port)
    for channel in _pf.each(component, "tr:transceiver/tr:physical-channels/tr:channel"):
        index = _pf.text("tr:index")(channel)
        for label, path, kind, unit in _CHANNEL_READINGS:
            yield from _sensor(_pf.decimal(path)(channel), f"{name} {index} {label}", kind, unit, port)


def _sensor(value: float | None, name: str, kind: str, unit: str, port: str) -> Iterator[dict[str, Any]]:
    if value is not None:
        yield {"sensor": name, "value": value, "type": kind, "unit": unit, "status": 1, "interface": port}


def read_system(data: Element) -> Found:
    """Components that have a load or a memory of their own."""
    parts = list(_pf.each(data, "components/component"))
    loads = (
        {"processor": _pf.text("name")(part), "load_percent": load}
        for part in parts
        if (load := _pf.decimal("cpu:cpu/cpu:utilization/cpu:state/cpu:instant")(part)) is not None
    )
    pools = (_pool(part) for part in parts)
    return Found(rows={"processor": tuple(loads), "memory_pool": tuple(pool for pool in pools if pool)})


def _pool(part: Element) -> dict[str, Any] | None:
    """``available`` is all there is, as most implementations have it, unless more is in use than that."""
    used, available = (_pf.number(f"state/memory/{leaf}")(part) for leaf in ("utilized", "available"))
    if used is None or not available:
        return None
    total = available if available >= used else available + used
    return {"pool": _pf.text("name")(part), "used_bytes": used, "total_bytes": total}


# -- network-instance ------------------------------------------------------------------------------

_ni = Names(INSTANCES)
_PROTOCOL = "protocols/protocol"


def read_bgp(data: Element) -> Found:
    peers = (_peer(instance, entry) for instance, entry in _in_instances(data, f"{_PROTOCOL}/bgp/neighbors/neighbor"))
    return Found(bgp=tuple(peer for peer in peers if peer))


def _in_instances(data: Element, path: str) -> Iterator[tuple[str, Element]]:
    """What lies at ``path`` in each network instance, with the instance's name ("" for the default one)."""
    for instance in _ni.each(data, "network-instances/network-instance"):
        name = _ni.text("name")(instance)
        for entry in _ni.each(instance, path):
            yield "" if name.lower() == "default" else name, entry


def _peer(instance: str, entry: Element) -> Peer | None:
    address = _ni.text("neighbor-address")(entry)
    state = state_number(_ni.text("state/session-state")(entry), BGP_STATES)
    if not address or state is None:
        return None
    name = f"{instance}:{address}" if instance else address
    return Peer(name, state, _ni.number("state/peer-as")(entry), _ni.number("state/established-transitions")(entry))


def read_ospf(data: Element) -> Found:
    path = f"{_PROTOCOL}/ospfv2/areas/area/interfaces/interface/neighbors/neighbor"
    return Found(ospf=tuple(found for _, entry in _in_instances(data, path) if (found := _ospf_neighbor(entry))))


def read_isis(data: Element) -> Found:
    path = f"{_PROTOCOL}/isis/interfaces/interface/levels/level/adjacencies/adjacency"
    rows = tuple(row for _, entry in _in_instances(data, path) if (row := _isis_row(entry)))
    return Found(rows={"isis_neighbor": rows})


def _ospf_neighbor(entry: Element) -> Neighbor | None:
    """Older revisions of the model have no address of the neighbour: it then goes by its router-id."""
    router = _ni.text("router-id")(entry)
    address = _ni.text("neighbor-address")(entry) or _ni.text("state/neighbor-address")(entry) or router
    state = state_number(_ni.text("state/adjacency-state")(entry), OSPF_STATES)
    return Neighbor(address, router, state) if address and state else None


def _isis_row(entry: Element) -> dict[str, Any] | None:
    name = _ni.text("system-id")(entry)
    state = state_number(_ni.text("state/adjacency-state")(entry), ISIS_STATES)
    return {"neighbor": name, "state": state} if name and state else None


# -- neighbours ------------------------------------------------------------------------------------

_ll = Names(LLDP)


def read_lldp(data: Element) -> Found:
    found = (
        lldp_neighbor(
            _ll.text("name")(interface),
            _ll.text("state/system-name")(entry),
            _ll.text("state/port-id")(entry),
            _ll.text("state/port-description")(entry),
            _ll.text("state/management-address")(entry),
        )
        for interface in _ll.each(data, "lldp/interfaces/interface")
        for entry in _ll.each(interface, "neighbors/neighbor")
    )
    return Found(lldp=tuple(neighbor for neighbor in found if neighbor))


def _protocols(inner: str) -> str:
    opened = (
        f'<network-instances xmlns="{INSTANCES}"><network-instance><name/><protocols><protocol><identifier/><name/>'
    )
    closed = "</protocol></protocols></network-instance></network-instances>"
    return f"{opened}{inner}{closed}"


_WRITTEN = "unverified: an instance of ours"
_COMPONENTS = Subtree(PLATFORM, f'<components xmlns="{PLATFORM}"/>')
MODELS = (
    Model(
        "openconfig-interfaces",
        "interfaces",
        (Subtree(INTERFACES, f'<interfaces xmlns="{INTERFACES}"/>'),),
        read_interfaces,
        "names, descriptions and addresses: the recorded configuration of an IOS XE switch; state: unverified",
    ),
    Model("openconfig-platform", "hardware", (_COMPONENTS,), read_platform, _WRITTEN),
    Model("openconfig-platform", "system", (_COMPONENTS,), read_system, _WRITTEN),
    Model(
        "openconfig-network-instance",
        "bgp",
        (
            Subtree(
                INSTANCES,
                _protocols("<bgp><neighbors><neighbor><neighbor-address/><state/></neighbor></neighbors></bgp>"),
            ),
        ),
        read_bgp,
        _WRITTEN,
    ),
    Model(
        "openconfig-network-instance",
        "ospf",
        (
            Subtree(
                INSTANCES,
                _protocols(
                    "<ospfv2><areas><area><identifier/><interfaces><interface><id/><neighbors/></interface></interfaces>"
                    "</area></areas></ospfv2>"
                ),
            ),
        ),
        read_ospf,
        _WRITTEN,
    ),
    Model(
        "openconfig-network-instance",
        "isis",
        (
            Subtree(
                INSTANCES,
                _protocols(
                    "<isis><interfaces><interface><interface-id/><levels><level><level-number/><adjacencies/></level>"
                    "</levels></interface></interfaces></isis>"
                ),
            ),
        ),
        read_isis,
        _WRITTEN,
    ),
    Model(
        "openconfig-lldp",
        "lldp",
        (
            Subtree(
                LLDP,
                f'<lldp xmlns="{LLDP}"><interfaces><interface><name/><neighbors><neighbor><id/><state/></neighbor>'
                "</neighbors></interface></interfaces></lldp>",
            ),
        ),
        read_lldp,
        _WRITTEN,
    ),
)
CONFIGURED = (read_interfaces,)
