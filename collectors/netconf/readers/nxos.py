"""Cisco NX-OS: the device YANG, one tree ``System`` for state and configuration.

Its short names (``eth1/3``, ``po7``) become those of the command line, SNMP and LLDP (``Ethernet1/3``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from collectors.netconf.found import (
    BGP_STATES,
    OSPF_STATES,
    Found,
    FoundInterface,
    Neighbor,
    Peer,
    lldp_neighbor,
    state_number,
)
from collectors.netconf.models import Model, Subtree
from collectors.netconf.xml import Element, Leaf, Names, read_all

DEVICE = "http://cisco.com/ns/yang/cisco-nx-os-device"
_nx = Names(DEVICE)
_STATUS = {"up": 1, "down": 2, "testing": 3, "unknown": 4, "link-up": 1}
# list of interfaces, where each keeps its state
_LISTS = (
    ("phys-items/PhysIf-list", "phys-items"),
    ("aggr-items/AggrIf-list", "aggrif-items"),
    ("mgmt-items/MgmtIf-list", "mgmtif-items"),
    ("lb-items/LbRtdIf-list", "lbrtdif-items"),
    ("svi-items/If-list", "."),
)
_LONG = {"eth": "Ethernet", "po": "port-channel", "lo": "loopback", "vlan": "Vlan"}


def _name(entry: Element) -> str:
    told = re.fullmatch(r"(eth|po|lo|vlan)(\d.*)", _nx.text("id")(entry))
    return f"{_LONG[told[1]]}{told[2]}" if told else _nx.text("id")(entry)


_COUNTERS = {
    f"{way}_{field}": leaf
    for way, box in (("in", "dbgIfIn-items"), ("out", "dbgIfOut-items"))
    for field, leaf in {
        "octets": _nx.number(f"{box}/octets"),
        "packets": _nx.total(*(f"{box}/{cast}Pkts" for cast in ("ucast", "multicast", "broadcast"))),
        "errors": _nx.number(f"{box}/errors"),
        "discards": _nx.number(f"{box}/discards"),
    }.items()
}


def _speed(state: str) -> Leaf:
    """``100G``, ``2.5G``, ``100M``."""
    leaf = _nx.text(f"{state}/operSpeed")

    def read(entry: Element) -> int | None:
        told = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([MG])", leaf(entry))
        return int(float(told[1]) * (1_000_000 if told[2] == "M" else 1_000_000_000)) if told else None

    return read


def read_interfaces(data: Element) -> Found:
    """Also of a configuration: then without state."""
    found = [i for system in _nx.each(data, "System") for i in (*_interfaces(system), *_addressed(system))]
    return Found(system_name=_nx.text("System/name")(data), interfaces=tuple(found))


def _interfaces(system: Element) -> Iterator[FoundInterface]:
    for path, state in _LISTS:
        leaves: dict[str, Leaf] = {
            "admin_status": _nx.choice("adminSt", _STATUS),
            "oper_status": _nx.choice(f"{state}/operSt", _STATUS),
            "speed_bps": _speed(state),
        }
        for entry in _nx.each(system, f"intf-items/{path}"):
            values = read_all(entry, leaves) if _nx.text(f"{state}/operSt")(entry) else {}
            counters = read_all(entry, _COUNTERS) if values else {}
            values |= counters | ({"counter_bits": 64} if counters else {})
            yield FoundInterface(_name(entry), values, (), _nx.text("descr")(entry))


def _addressed(system: Element) -> Iterator[FoundInterface]:
    for family in ("ipv4-items", "ipv6-items"):
        for entry in _nx.each(system, f"{family}/inst-items/dom-items/Dom-list/if-items/If-list"):
            yield FoundInterface(_name(entry), {}, _nx.addresses(entry, "addr-items/Addr-list", "addr"))


def read_system(data: Element) -> Found:
    """Memory is told in kilobytes."""
    idle = _nx.decimal("System/procsys-items/syscpusummary-items/idle")(data)
    used, total = (
        _nx.number(f"System/procsys-items/sysmem-items/{leaf}", times=1024)(data) for leaf in ("used", "total")
    )
    loads = () if idle is None else ({"processor": "cpu", "load_percent": round(100.0 - idle, 2)},)
    pools = () if used is None or total is None else ({"pool": "memory", "used_bytes": used, "total_bytes": total},)
    return Found(rows={"processor": loads, "memory_pool": pools})


def read_hardware(data: Element) -> Found:
    """Temperatures of supervisors and line cards, in degrees Celsius."""
    slots = (
        "supslot-items/SupCSlot-list/sup-items",
        "lcslot-items/LCSlot-list/lc-items",
    )
    rows = (
        row
        for slot in slots
        for card in _nx.each(data, f"System/ch-items/{slot}")
        for row in (_sensor(slot, entry) for entry in _nx.each(card, "sensor-items/Sensor-list"))
        if row
    )
    return Found(rows={"sensor": tuple(rows)})


def _sensor(slot: str, entry: Element) -> dict[str, Any] | None:
    value = _nx.decimal("tempValue")(entry)
    if value is None:
        return None
    name = " ".join((slot.partition("slot")[0], _nx.text("id")(entry), _nx.text("descr")(entry))).strip()
    high = _nx.decimal("majorThresh")(entry)
    return {
        "sensor": name,
        "value": value,
        "type": "temperature",
        "unit": "celsius",
        "status": 1,
        "interface": "",
        "high": high,
    }


def _in_domains(data: Element, path: str, protocol: str) -> Iterator[tuple[str, Element]]:
    """What lies at ``path`` in each VRF, with the VRF's name ("" for the default one)."""
    for domain in _nx.each(data, f"System/{protocol}/dom-items/Dom-list"):
        name = _nx.text("name")(domain)
        for entry in _nx.each(domain, path):
            yield "" if name == "default" else name, entry


def read_bgp(data: Element) -> Found:
    peers = []
    for vrf, entry in _in_domains(data, "peer-items/Peer-list", "bgp-items/inst-items"):
        address = _nx.text("addr")(entry)
        state = state_number(_nx.text("ent-items/PeerEntry-list/operSt")(entry), BGP_STATES)
        if state is not None:
            peers.append(Peer(f"{vrf}:{address}" if vrf else address, state, _autonomous(_nx.text("asn")(entry))))
    return Found(bgp=tuple(peers))


def _autonomous(text: str) -> int | None:
    """``65001`` or, in asdot (RFC 5396), ``1.10``."""
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts) or len(parts) > 2:
        return None
    number = int(parts[-1]) + (int(parts[0]) << 16 if len(parts) == 2 else 0)
    return number if number < 2**32 else None


def read_ospf(data: Element) -> Found:
    found = (
        Neighbor(_nx.text("peerIp")(entry), _nx.text("id")(entry), state)
        for _, entry in _in_domains(data, "if-items/If-list/adj-items/AdjEp-list", "ospf-items/inst-items/Inst-list")
        if (state := state_number(_nx.text("operSt")(entry), OSPF_STATES)) is not None
    )
    return Found(ospf=tuple(found))


def read_lldp(data: Element) -> Found:
    found = (
        lldp_neighbor(
            _name(interface),
            _nx.text("sysName")(entry),
            _nx.text("portIdV")(entry),
            _nx.text("portDesc")(entry),
            _nx.text("mgmtIp")(entry),
        )
        for interface in _nx.each(data, "System/lldp-items/inst-items/if-items/If-list")
        for entry in _nx.each(interface, "adj-items/AdjEp-list")
    )
    return Found(lldp=tuple(neighbor for neighbor in found if neighbor))


def _system(inner: str) -> tuple[Subtree, ...]:
    return (Subtree(DEVICE, f'<System xmlns="{DEVICE}">{inner}</System>'),)


_ADDRESSES = "<{0}><inst-items><dom-items><Dom-list><name/><if-items/></Dom-list></dom-items></inst-items></{0}>"
MODELS = (
    Model(
        "Cisco-NX-OS-device interfaces",
        "interfaces",
        _system(f"<name/><intf-items/>{_ADDRESSES.format('ipv4-items')}{_ADDRESSES.format('ipv6-items')}"),
        read_interfaces,
        "names, descriptions and addresses: the recorded configuration of an NX-OS switch; state: unverified",
    ),
    Model(
        "Cisco-NX-OS-device procsys",
        "system",
        _system("<procsys-items><syscpusummary-items/><sysmem-items/></procsys-items>"),
        read_system,
        "unverified",
    ),
    Model("Cisco-NX-OS-device chassis", "hardware", _system("<ch-items/>"), read_hardware, "unverified"),
    Model(
        "Cisco-NX-OS-device bgp",
        "bgp",
        _system(
            "<bgp-items><inst-items><dom-items><Dom-list><name/><peer-items><Peer-list><addr/><asn/><ent-items/>"
            "</Peer-list></peer-items></Dom-list></dom-items></inst-items></bgp-items>"
        ),
        read_bgp,
        "unverified",
    ),
    Model(
        "Cisco-NX-OS-device ospf",
        "ospf",
        _system(
            "<ospf-items><inst-items><Inst-list><name/><dom-items><Dom-list><name/><if-items><If-list><id/><adj-items/>"
            "</If-list></if-items></Dom-list></dom-items></Inst-list></inst-items></ospf-items>"
        ),
        read_ospf,
        "leaf names as in public code that reads them; the instance is ours",
    ),
    Model(
        "Cisco-NX-OS-device lldp",
        "lldp",
        _system(
            "<lldp-items><inst-items><if-items><If-list><id/><adj-items/></If-list></if-items></inst-items></lldp-items>"
        ),
        read_lldp,
        "leaf names as in public code that reads them; the instance is ours",
    ),
)
CONFIGURED = (read_interfaces,)
