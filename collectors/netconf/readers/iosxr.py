"""Cisco IOS XR: state by native models, names and addresses by native (``-cfg``) and unified (UM) configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from collectors.netconf.found import (
    BGP_STATES,
    ISIS_STATES,
    Found,
    FoundInterface,
    Peer,
    lldp_neighbor,
    state_number,
)
from collectors.netconf.models import Model, Subtree
from collectors.netconf.xml import Element, Names, read_all

_ROOT = "http://cisco.com/ns/yang/Cisco-IOS-XR-"
BRIEFS, STATS = f"{_ROOT}pfi-im-cmd-oper", f"{_ROOT}infra-statsd-oper"
PROCESSORS, MEMORY = f"{_ROOT}wdsysmon-fd-oper", f"{_ROOT}nto-misc-oper"
BGP, ISIS, OPTICS = f"{_ROOT}ipv4-bgp-oper", f"{_ROOT}clns-isis-oper", f"{_ROOT}controller-optics-oper"
LLDP = f"{_ROOT}ethernet-lldp-oper"
_UP, _DOWN, _UNKNOWN = 1, 2, 4
_brief = Names(BRIEFS)
_stat = Names(STATS)
_latest = "latest/generic-counters"
_bandwidth = _brief.number("bandwidth", times=1000)


def _status(path: str, *, admin: bool) -> Any:
    """IM states: administratively down is told by the state; what is not up and not unknown is down."""
    leaf = _brief.text(path)

    def read(entry: Element) -> int | None:
        state = leaf(entry).removeprefix("im-state-")
        if not state:
            return None
        if admin:
            return _DOWN if state in {"admin-down", "shutdown"} else _UP
        return {"up": _UP, "unknown": _UNKNOWN}.get(state, _DOWN)

    return read


_STATE = {
    "admin_status": _status("state", admin=True),
    "oper_status": _status("line-state", admin=False),
    "speed_bps": lambda entry: _bandwidth(entry) or None,
}
_COUNTERS = {
    "in_octets": _stat.number(f"{_latest}/bytes-received"),
    "out_octets": _stat.number(f"{_latest}/bytes-sent"),
    "in_packets": _stat.number(f"{_latest}/packets-received"),
    "out_packets": _stat.number(f"{_latest}/packets-sent"),
    "in_errors": _stat.number(f"{_latest}/input-errors"),
    "out_errors": _stat.number(f"{_latest}/output-errors"),
    "in_discards": _stat.number(f"{_latest}/input-drops"),
    "out_discards": _stat.number(f"{_latest}/output-drops"),
    "discontinuity_cs": _stat.number(f"{_latest}/last-discontinuity-time", times=100),
}


def read_interfaces(data: Element) -> Found:
    briefs = tuple(
        FoundInterface(name, read_all(entry, _STATE))
        for entry in _brief.each(data, "interfaces/interface-briefs/interface-brief")
        if (name := _brief.text("interface-name")(entry))
    )
    counted = tuple(
        FoundInterface(name, counters | {"counter_bits": 64})
        for entry in _stat.each(data, "infra-statistics/interfaces/interface")
        if (name := _stat.text("interface-name")(entry)) and (counters := read_all(entry, _COUNTERS))
    )
    return Found(interfaces=briefs + counted)


def read_system(data: Element) -> Found:
    cpu, memory = Names(PROCESSORS), Names(MEMORY)
    loads = (
        {"processor": cpu.text("node-name")(entry), "load_percent": load}
        for entry in cpu.each(data, "system-monitoring/cpu-utilization")
        if (load := cpu.decimal("total-cpu-one-minute")(entry)) is not None
    )
    pools = (_pool(memory, node) for node in memory.each(data, "memory-summary/nodes/node"))
    return Found(rows={"processor": tuple(loads), "memory_pool": tuple(pool for pool in pools if pool)})


def _pool(memory: Names, node: Element) -> dict[str, Any] | None:
    total, free = (memory.number(f"summary/{leaf}")(node) for leaf in ("ram-memory", "free-physical-memory"))
    if total is None or free is None or free > total:
        return None
    return {"pool": memory.text("node-name")(node), "used_bytes": total - free, "total_bytes": total}


def read_bgp(data: Element) -> Found:
    bgp = Names(BGP)
    entries = bgp.each(data, "bgp/instances/instance/instance-active/default-vrf/neighbors/neighbor")
    return Found(
        bgp=tuple(
            Peer(bgp.text("neighbor-address")(entry), state, bgp.number("remote-as")(entry))
            for entry in entries
            if (state := _bgp_state(bgp.text("connection-state")(entry))) is not None
        )
    )


def _bgp_state(text: str) -> int | None:
    """``bgp-st-estab`` is the one that is cut short."""
    return BGP_STATES["established"] if text.endswith("estab") else state_number(text, BGP_STATES)


def read_isis(data: Element) -> Found:
    isis = Names(ISIS)
    rows = (
        {"neighbor": isis.text("system-id")(entry), "state": state}
        for entry in isis.each(data, "isis/instances/instance/neighbors/neighbor")
        if (state := state_number(isis.text("neighbor-state")(entry).removesuffix("-state"), ISIS_STATES)) is not None
    )
    return Found(rows={"isis_neighbor": tuple(rows)})


# -- optics: hundredths of a dBm and of a degree ---------------------------------------------------

_opt = Names(OPTICS)
_LANE = (("rx power", "receive-power"), ("tx power", "transmit-power"))


def read_optics(data: Element) -> Found:
    rows = (row for port in _opt.each(data, "optics-oper/optics-ports/optics-port") for row in _optics(port))
    return Found(rows={"sensor": tuple(rows)})


def _optics(port: Element) -> Iterator[dict[str, Any]]:
    name = _opt.text("name")(port)
    base = {"status": 1, "interface": ""}
    temperature = _opt.decimal("optics-info/temperature", 0.01)(port)
    if temperature is not None:
        yield {"sensor": name, "value": temperature, "type": "temperature", "unit": "celsius", **base}
    for lane in _opt.each(port, "optics-info/lane-data"):
        for label, leaf in _LANE:
            power = _opt.decimal(leaf, 0.01)(lane)
            if power is not None:
                sensor = f"{name} {_opt.text('lane-index')(lane)} {label}"
                yield {"sensor": sensor, "value": power, "type": "optical_power", "unit": "dBm", **base}


# -- neighbours ------------------------------------------------------------------------------------

_ll = Names(LLDP)


def read_lldp(data: Element) -> Found:
    found = (
        lldp_neighbor(
            _ll.text("receiving-interface-name")(entry) or _ll.text("interface-name")(detail),
            _ll.text("detail/system-name")(entry) or _ll.text("device-id")(entry),
            _ll.text("port-id-detail")(entry),
            _ll.text("detail/port-description")(entry),
        )
        for detail in _ll.each(data, "lldp/nodes/node/neighbors/details/detail")
        for entry in _ll.each(detail, "lldp-neighbor")
    )
    return Found(lldp=tuple(neighbor for neighbor in found if neighbor))


# -- configuration ---------------------------------------------------------------------------------

_cfg = Names(
    f"{_ROOT}ifmgr-cfg", {"v4": f"{_ROOT}ipv4-io-cfg", "v6": f"{_ROOT}ipv6-ma-cfg", "b": f"{_ROOT}bundlemgr-cfg"}
)
_um = Names(f"{_ROOT}um-interface-cfg", {"ip": f"{_ROOT}um-if-ip-address-cfg"})
_NATIVE_V4 = ("primary", "secondaries/v4:secondary")


def read_configured(data: Element) -> Found:
    """Native interface configurations."""
    top = "interface-configurations/interface-configuration"
    found = []
    for entry in _cfg.each(data, top):
        v4 = (
            _cfg.addresses(entry, f"v4:ipv4-network/v4:addresses/v4:{kind}", "v4:address", "v4:netmask")
            for kind in _NATIVE_V4
        )
        v6 = _cfg.addresses(
            entry,
            "v6:ipv6-network/v6:addresses/v6:regular-addresses/v6:regular-address",
            "v6:address",
            "v6:prefix-length",
        )
        addresses = (*(a for part in v4 for a in part), *v6)
        name, alias = _cfg.text("interface-name")(entry), _cfg.text("description")(entry)
        bundle = _cfg.text("b:bundle-member/b:id/b:bundle-id")(entry)
        found.append(FoundInterface(name, {}, addresses, alias, f"Bundle-Ether{bundle}" if bundle else ""))
    system = Names(f"{_ROOT}shellutil-cfg").text("host-names/host-name")(data)
    return Found(system_name=system, interfaces=tuple(found))


def read_unified(data: Element) -> Found:
    """The unified model (UM) of IOS XR 7: both models tell the same configuration."""
    found = []
    for entry in _um.each(data, "interfaces/interface"):
        at = "ip:addresses/ip:address"
        v4 = _um.addresses(entry, f"ipv4/{at}", "ip:address", "ip:netmask")
        more = _um.addresses(entry, "ipv4/ip:addresses/ip:secondaries/ip:secondary", "ip:address", "ip:netmask")
        v6 = _um.addresses(entry, f"ipv6/{at}", "ip:address", "ip:prefix-length")
        name = _um.text("interface-name")(entry)
        found.append(FoundInterface(name, {}, (*v4, *more, *v6), _um.text("description")(entry)))
    return Found(
        system_name=Names(f"{_ROOT}um-hostname-cfg").text("hostname/system-network-name")(data), interfaces=tuple(found)
    )


_COUNTER_LEAVES = (
    "bytes-received bytes-sent packets-received packets-sent input-errors output-errors input-drops output-drops "
    "last-discontinuity-time"
)
_TELEMETRY = "leaf names as in recorded telemetry of IOS XR routers (2019, 2020); the instance is ours"
MODELS = (
    Model(
        "Cisco-IOS-XR-pfi-im-cmd-oper",
        "interfaces",
        (
            Subtree(
                BRIEFS,
                f'<interfaces xmlns="{BRIEFS}"><interface-briefs><interface-brief><interface-name/><state/>'
                "<line-state/><bandwidth/></interface-brief></interface-briefs></interfaces>",
            ),
            Subtree(
                STATS,
                f'<infra-statistics xmlns="{STATS}"><interfaces><interface><interface-name/><latest><generic-counters>'
                + "".join(f"<{leaf}/>" for leaf in _COUNTER_LEAVES.split())
                + "</generic-counters></latest></interface></interfaces></infra-statistics>",
            ),
        ),
        read_interfaces,
        f"counters: {_TELEMETRY}; state: unverified",
    ),
    Model(
        "Cisco-IOS-XR-wdsysmon-fd-oper",
        "system",
        (
            Subtree(
                PROCESSORS,
                f'<system-monitoring xmlns="{PROCESSORS}"><cpu-utilization><node-name/><total-cpu-one-minute/>'
                "</cpu-utilization></system-monitoring>",
            ),
            Subtree(
                MEMORY,
                f'<memory-summary xmlns="{MEMORY}"><nodes><node><node-name/><summary/></node></nodes></memory-summary>',
            ),
        ),
        read_system,
        _TELEMETRY,
    ),
    Model(
        "Cisco-IOS-XR-controller-optics-oper",
        "hardware",
        (
            Subtree(
                OPTICS,
                f'<optics-oper xmlns="{OPTICS}"><optics-ports><optics-port><name/><optics-info/></optics-port>'
                "</optics-ports></optics-oper>",
            ),
        ),
        read_optics,
        "unverified",
    ),
    Model(
        "Cisco-IOS-XR-ipv4-bgp-oper",
        "bgp",
        (
            Subtree(
                BGP,
                f'<bgp xmlns="{BGP}"><instances><instance><instance-name/><instance-active><default-vrf><neighbors>'
                "<neighbor><neighbor-address/><remote-as/><connection-state/></neighbor>"
                "</neighbors></default-vrf></instance-active></instance></instances></bgp>",
            ),
        ),
        read_bgp,
        "unverified",
    ),
    Model(
        "Cisco-IOS-XR-clns-isis-oper",
        "isis",
        (
            Subtree(
                ISIS,
                f'<isis xmlns="{ISIS}"><instances><instance><instance-name/><neighbors/></instance></instances></isis>',
            ),
        ),
        read_isis,
        "unverified",
    ),
    Model(
        "Cisco-IOS-XR-ethernet-lldp-oper",
        "lldp",
        (
            Subtree(
                LLDP,
                f'<lldp xmlns="{LLDP}"><nodes><node><node-name/><neighbors><details/></neighbors></node></nodes>'
                "</lldp>",
            ),
        ),
        read_lldp,
        "unverified",
    ),
)
CONFIGURED = (read_configured, read_unified)
