"""Cisco IOS XE: operational state by the ``-oper`` models, names and addresses by Cisco-IOS-XE-native."""

from __future__ import annotations

from typing import Any

from collectors.netconf.found import BGP_STATES, OSPF_STATES, Found, FoundInterface, Neighbor, Peer, state_number
from collectors.netconf.models import Model, Subtree
from collectors.netconf.xml import Element, Names, address, read_all

_ROOT = "http://cisco.com/ns/yang/Cisco-IOS-XE-"
INTERFACES, PROCESSORS, MEMORY = f"{_ROOT}interfaces-oper", f"{_ROOT}process-cpu-oper", f"{_ROOT}memory-oper"
SENSORS, BGP, OSPF = f"{_ROOT}environment-oper", f"{_ROOT}bgp-oper", f"{_ROOT}ospf-oper"
_ADMIN = {"if-state-up": 1, "if-state-down": 2, "if-state-test": 3}
_OPER = {
    "if-oper-state-ready": 1,
    "if-oper-state-no-pass": 2,
    "if-oper-state-test": 3,
    "if-oper-state-unknown": 4,
    "if-oper-state-dormant": 5,
    "if-oper-state-not-present": 6,
    "if-oper-state-lower-layer-down": 7,
}
_CASTS = ("unicast", "multicast", "broadcast")
_if = Names(INTERFACES)
_v4, _v4_mask = _if.text("ipv4"), _if.text("ipv4-subnet-mask")
_STATE = {
    "admin_status": _if.choice("admin-status", _ADMIN),
    "oper_status": _if.choice("oper-status", _OPER),
    "index": _if.number("if-index"),
    "speed_bps": _if.number("speed"),
    "in_octets": _if.number("statistics/in-octets"),
    "in_packets": _if.total(*(f"statistics/in-{cast}-pkts" for cast in _CASTS)),
    "out_packets": _if.total(*(f"statistics/out-{cast}-pkts" for cast in _CASTS)),
    "in_errors": _if.number("statistics/in-errors-64", "statistics/in-errors"),
    "out_errors": _if.number("statistics/out-errors"),
    "in_discards": _if.number("statistics/in-discards-64", "statistics/in-discards"),
    "out_discards": _if.number("statistics/out-discards"),
    "discontinuity_cs": _if.changed("statistics/discontinuity-time"),
}
_wide_out = _if.number("statistics/out-octets-64")


def read_interfaces(data: Element) -> Found:
    entries = _if.each(data, "interfaces/interface")
    return Found(interfaces=tuple(_interface(entry) for entry in entries if _if.text("name")(entry)))


def _interface(entry: Element) -> FoundInterface:
    """``out-octets`` is of 32 bits where ``out-octets-64`` is missing (before IOS XE 16.12), in-octets is not: such a
    pair would need two widths, so the narrow one is left out.
    """
    values = read_all(entry, _STATE)
    wide = _wide_out(entry)
    if wide is not None:
        values["out_octets"] = wide
    if "in_octets" in values:
        values["counter_bits"] = 64
    given = (address(_v4(entry), _v4_mask(entry)),) if _v4(entry) not in {"", "0.0.0.0"} else ()  # noqa: S104
    return FoundInterface(_if.text("name")(entry), values, tuple(a for a in given if a), _if.text("description")(entry))


def read_system(data: Element) -> Found:
    load = Names(PROCESSORS).decimal("cpu-usage/cpu-utilization/one-minute")(data)
    memory = Names(MEMORY)
    pools = (
        {"pool": memory.text("name")(entry), "used_bytes": used, "total_bytes": memory.number("total-memory")(entry)}
        for entry in memory.each(data, "memory-statistics/memory-statistic")
        if (used := memory.number("used-memory")(entry)) is not None
    )
    loads = () if load is None else ({"processor": "cpu", "load_percent": load},)
    return Found(rows={"processor": loads, "memory_pool": tuple(pools)})


# unit -> type, our unit, factor
_UNITS = {
    "celsius": ("temperature", "celsius", 1.0),
    "volts": ("voltage", "volts", 1.0),
    "millivolts": ("voltage", "volts", 0.001),
    "amperes": ("current", "amperes", 1.0),
    "milliamperes": ("current", "amperes", 0.001),
    "watts": ("power", "watts", 1.0),
    "milliwatts": ("power", "watts", 0.001),
    "rpm": ("fan_speed", "rpm", 1.0),
}
_env = Names(SENSORS)


def read_sensors(data: Element) -> Found:
    rows = (_sensor(entry) for entry in _env.each(data, "environment-sensors/environment-sensor"))
    return Found(rows={"sensor": tuple(row for row in rows if row)})


def _sensor(entry: Element) -> dict[str, Any] | None:
    reading = _env.decimal("current-reading")(entry)
    unit = _env.text("sensor-units")(entry).lower().rpartition("-")[2]
    if reading is None or unit not in _UNITS:
        return None
    kind, our_unit, factor = _UNITS[unit]
    name = " ".join(text for leaf in ("location", "name") if (text := _env.text(leaf)(entry)))
    return {"sensor": name, "value": reading * factor, "type": kind, "unit": our_unit, "status": 1, "interface": ""}


def read_bgp(data: Element) -> Found:
    """A session stands once for each address family: the first is taken."""
    bgp = Names(BGP)
    found: dict[str, Peer] = {}
    for entry in bgp.each(data, "bgp-state-data/neighbors/neighbor"):
        told = bgp.text("session-state")(entry) or bgp.text("connection/state")(entry)
        state = state_number(told, BGP_STATES)
        vrf, peer = bgp.text("vrf-name")(entry), bgp.text("neighbor-id")(entry)
        name = peer if vrf in {"", "default"} else f"{vrf}:{peer}"
        if state is not None:
            found.setdefault(name, Peer(name, state, bgp.number("as")(entry)))
    return Found(bgp=tuple(found.values()))


def read_ospf(data: Element) -> Found:
    ospf = Names(OSPF)
    path = "ospf-oper-data/ospf-state/ospf-instance/ospf-area/ospf-interface/ospf-neighbor"
    return Found(
        ospf=tuple(
            Neighbor(ospf.text("address")(entry), ospf.text("neighbor-id")(entry), state)
            for entry in ospf.each(data, path)
            if (state := state_number(ospf.text("state")(entry), OSPF_STATES)) is not None
        )
    )


# -- configuration ---------------------------------------------------------------------------------

_nat = Names(f"{_ROOT}native", {"eth": f"{_ROOT}ethernet"})


def read_configured(data: Element) -> Found:
    """``interface/GigabitEthernet[name=1]`` is the interface GigabitEthernet1."""
    found = []
    for entry in _nat.each(data, "native/interface/*"):
        name = f"{entry.tag.rpartition('}')[2]}{_nat.text('name')(entry)}"
        v4 = (_nat.addresses(entry, f"ip/address/{kind}", "address", "mask") for kind in ("primary", "secondary"))
        v6 = _nat.addresses(entry, "ipv6/address/prefix-list", "prefix")
        addresses = (*(a for part in v4 for a in part), *v6)
        group = _nat.text("eth:channel-group/eth:number")(entry)
        bundle = f"Port-channel{group}" if group else ""
        found.append(FoundInterface(name, {}, addresses, _nat.text("description")(entry), bundle))
    return Found(system_name=_nat.text("native/hostname")(data), interfaces=tuple(found))


_NAMES_SEEN = "leaf names and states as in published replies; the instance is ours"
MODELS = (
    Model(
        "Cisco-IOS-XE-interfaces-oper",
        "interfaces",
        (
            Subtree(
                INTERFACES,
                f'<interfaces xmlns="{INTERFACES}"><interface><name/><admin-status/><oper-status/><if-index/><speed/>'
                "<description/><ipv4/><ipv4-subnet-mask/><statistics/></interface></interfaces>",
            ),
        ),
        read_interfaces,
        _NAMES_SEEN,
    ),
    Model(
        "Cisco-IOS-XE-process-cpu-oper",
        "system",
        (
            Subtree(
                PROCESSORS,
                f'<cpu-usage xmlns="{PROCESSORS}"><cpu-utilization><one-minute/></cpu-utilization></cpu-usage>',
            ),
            Subtree(MEMORY, f'<memory-statistics xmlns="{MEMORY}"/>'),
        ),
        read_system,
        "unverified",
    ),
    Model(
        "Cisco-IOS-XE-environment-oper",
        "hardware",
        (Subtree(SENSORS, f'<environment-sensors xmlns="{SENSORS}"/>'),),
        read_sensors,
        "unverified",
    ),
    Model(
        "Cisco-IOS-XE-bgp-oper",
        "bgp",
        (Subtree(BGP, f'<bgp-state-data xmlns="{BGP}"><neighbors/></bgp-state-data>'),),
        read_bgp,
        "unverified",
    ),
    Model(
        "Cisco-IOS-XE-ospf-oper",
        "ospf",
        (
            Subtree(
                OSPF,
                f'<ospf-oper-data xmlns="{OSPF}"><ospf-state><ospf-instance><af/><router-id/><ospf-area><area-id/>'
                "<ospf-interface><name/><ospf-neighbor/></ospf-interface></ospf-area></ospf-instance></ospf-state>"
                "</ospf-oper-data>",
            ),
        ),
        read_ospf,
        "unverified",
    ),
)
CONFIGURED = (read_configured,)
