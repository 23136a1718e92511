"""Huawei: the YANG models of VRP 8 (``urn:huawei:yang:``), and the schema models before them."""

from __future__ import annotations

from typing import Any

from collectors.netconf.found import Found, FoundInterface
from collectors.netconf.models import Model, Subtree
from collectors.netconf.xml import Element, Leaf, Names, read_all

IFM, SYSTEM = "urn:huawei:yang:huawei-ifm", "urn:huawei:yang:huawei-cpu-memory"
OLD_IFM = ("http://www.huawei.com/netconf/vrp/huawei-ifm", "http://www.huawei.com/netconf/vrp")
_STATUS = {"up": 1, "down": 2}
_ifm = Names(IFM, {"ip": "urn:huawei:yang:huawei-ip"})
_STATE = {
    "admin_status": _ifm.choice("admin-status", _STATUS),
    "oper_status": _ifm.choice("dynamic/oper-status", _STATUS),
    "index": _ifm.number("index"),
}
_COUNTERS = {
    "in_octets": _ifm.number("mib-statistics/receive-byte"),
    "out_octets": _ifm.number("mib-statistics/send-byte"),
    "in_packets": _ifm.number("mib-statistics/receive-packet"),
    "out_packets": _ifm.number("mib-statistics/send-packet"),
    "in_errors": _ifm.number("mib-statistics/receive-error-packet"),
    "out_errors": _ifm.number("mib-statistics/send-error-packet"),
    "in_discards": _ifm.number("mib-statistics/receive-drop-packet"),
    "out_discards": _ifm.number("mib-statistics/send-drop-packet"),
}


def read_interfaces(data: Element) -> Found:
    found = []
    for entry in _ifm.each(data, "ifm/interfaces/interface"):
        values = _values(entry, _STATE, _COUNTERS) if _ifm.text("dynamic/oper-status")(entry) else {}
        v4 = _ifm.addresses(entry, "ip:ipv4/ip:addresses/ip:address", "ip:ip", "ip:mask")
        v6 = _ifm.addresses(entry, "ip:ipv6/ip:addresses/ip:address", "ip:ip", "ip:prefix-length")
        name, alias = _ifm.text("name")(entry), _ifm.text("description")(entry)
        found.append(FoundInterface(name, values, (*v4, *v6), alias))
    return Found(interfaces=tuple(i for i in found if i.name))


def _values(entry: Element, state: dict[str, Leaf], counters: dict[str, Leaf]) -> dict[str, Any]:
    counted = read_all(entry, counters)
    return read_all(entry, state) | counted | ({"counter_bits": 64} if counted else {})


def read_old_interfaces(data: Element) -> Found:
    return Found(interfaces=tuple(i for uri in OLD_IFM for i in _old(Names(uri), data)))


def _old(old: Names, data: Element) -> list[FoundInterface]:
    state = {
        "admin_status": old.choice("ifAdminStatus", _STATUS),
        "oper_status": old.choice("ifDynamicInfo/ifOperStatus", _STATUS),
        "index": old.number("ifIndex"),
    }
    counters = {
        "in_octets": old.number("ifStatistics/receiveByte"),
        "out_octets": old.number("ifStatistics/sendByte"),
        "in_packets": old.total(*(f"ifStatistics/rcv{cast}Packet" for cast in ("Uni", "Muti", "Broad"))),
        "out_packets": old.total(*(f"ifStatistics/send{cast}Packet" for cast in ("Uni", "Muti", "Broad"))),
        "in_errors": old.number("ifStatistics/rcvErrorPacket"),
        "out_errors": old.number("ifStatistics/sendErrorPacket"),
        "in_discards": old.number("ifStatistics/rcvDropPacket"),
        "out_discards": old.number("ifStatistics/sendDropPacket"),
    }
    found = []
    for entry in old.each(data, "ifm/interfaces/interface"):
        values = _values(entry, state, counters) if old.text("ifDynamicInfo/ifOperStatus")(entry) else {}
        v4 = old.addresses(entry, "ipv4Config/am4CfgAddrs/am4CfgAddr", "ifIpAddr", "subnetMask")
        found.append(FoundInterface(old.text("ifName")(entry), values, v4, old.text("ifDescr")(entry)))
    return [interface for interface in found if interface.name]


def read_system(data: Element) -> Found:
    """Per board; memory in kilobytes."""
    cpu = Names(SYSTEM)
    loads = (
        {"processor": cpu.text("position")(entry), "load_percent": load}
        for entry in cpu.each(data, "cpu-memory/board-cpu-infos/board-cpu-info")
        if (load := cpu.decimal("system-cpu-usage")(entry)) is not None
    )
    pools = (_pool(cpu, entry) for entry in cpu.each(data, "cpu-memory/board-memory-infos/board-memory-info"))
    return Found(rows={"processor": tuple(loads), "memory_pool": tuple(pool for pool in pools if pool)})


def _pool(cpu: Names, entry: Element) -> dict[str, Any] | None:
    total, free = (cpu.number(f"os-memory-{leaf}", times=1024)(entry) for leaf in ("total", "free"))
    if total is None or free is None or free > total:
        return None
    return {"pool": cpu.text("position")(entry), "used_bytes": total - free, "total_bytes": total}


_NAMES_SEEN = "leaf names as in Huawei's published sampling paths and public filters; the instance is ours"
MODELS = (
    Model(
        "huawei-ifm",
        "interfaces",
        (Subtree(IFM, f'<ifm xmlns="{IFM}"><interfaces/></ifm>'),),
        read_interfaces,
        _NAMES_SEEN,
    ),
    *(
        Model(
            "huawei-ifm (schema)",
            "interfaces",
            (Subtree(uri, f'<ifm xmlns="{uri}"><interfaces/></ifm>'),),
            read_old_interfaces,
            _NAMES_SEEN,
        )
        for uri in OLD_IFM
    ),
    Model(
        "huawei-cpu-memory",
        "system",
        (Subtree(SYSTEM, f'<cpu-memory xmlns="{SYSTEM}"><board-cpu-infos/><board-memory-infos/></cpu-memory>'),),
        read_system,
        "unverified",
    ),
)
CONFIGURED = (read_interfaces, read_old_interfaces)
