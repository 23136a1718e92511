"""What may be stored: one table of kinds, their keys and their fields. Stores refuse all else.

Counters are stored as they were read (RFC 2863: Counter64 and Counter32 as int64 with the same bits);
rates are computed on reading (twin.vocab.rates).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FieldType = Literal["int", "float", "str"]
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Field:
    """One stored value: its type, unit, whether it only ever counts up, and whether it is a whole document."""

    type: FieldType
    unit: str = ""
    counter: bool = False
    document: bool = False


@dataclass(frozen=True)
class Kind:
    """One table: what names a series in it, what is measured, and the span (UTC) whose rows lie together."""

    name: str
    keys: tuple[str, ...]
    fields: dict[str, Field]
    span: Literal["day", "month"] = "day"


def _counter(unit: str) -> Field:
    return Field("int", unit, counter=True)


_QUANTILES = {f"q{level:02d}": Field("float") for level in (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)}

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        # IF-MIB (RFC 2863); uptime is sysUpTime of the same response, discontinuity ifCounterDiscontinuityTime
        Kind(
            "interface",
            ("device", "interface"),
            {
                "in_octets": _counter("octets"),
                "out_octets": _counter("octets"),
                "in_packets": _counter("packets"),
                "out_packets": _counter("packets"),
                "in_errors": _counter("packets"),
                "out_errors": _counter("packets"),
                "in_discards": _counter("packets"),
                "out_discards": _counter("packets"),
                "counter_bits": Field("int", "bits"),
                "speed_bps": Field("int", "bit/s"),
                "admin_status": Field("int"),
                "oper_status": Field("int"),
                "index": Field("int"),
                "uptime_cs": Field("int", "centiseconds"),
                "discontinuity_cs": Field("int", "centiseconds"),
            },
        ),
        # history that came as rates (nettwin store import), never mixed into counters
        Kind(
            "interface_rate",
            ("device", "interface"),
            {"in_bps": Field("float", "bit/s"), "out_bps": Field("float", "bit/s")},
        ),
        Kind(
            "device",
            ("device",),
            {
                "uptime_cs": Field("int", "centiseconds"),
                # more clocks that a reboot sets back: hrSystemUptime (RFC 2790), snmpEngineBoots and snmpEngineTime
                # (RFC 3411); sysUpTime alone also falls when only the agent restarts
                "host_uptime_cs": Field("int", "centiseconds"),
                "engine_boots": Field("int"),
                "engine_time_s": Field("int", "s"),
                "cpu_time_us": _counter("microseconds"),
                "cpu_percent": Field("float", "percent"),
                "memory_used_bytes": Field("int", "bytes"),
                "memory_total_bytes": Field("int", "bytes"),
            },
        ),
        Kind("processor", ("device", "processor"), {"load_percent": Field("float", "percent")}),
        Kind(
            "memory_pool",
            ("device", "pool"),
            {
                "used_bytes": Field("int", "bytes"),
                "total_bytes": Field("int", "bytes"),
                "used_percent": Field("float", "percent"),
            },
        ),
        # type: temperature, voltage, current, power, fan_speed, optical_power, bias, osnr, pre_fec_ber ...;
        # status as entPhySensorOperStatus (RFC 3433): 1 ok, 2 unavailable, 3 nonoperational; interface: the port it
        # belongs to, "" if to none; low and high: the device's own thresholds
        Kind(
            "sensor",
            ("device", "sensor"),
            {
                "value": Field("float"),
                "type": Field("str"),
                "unit": Field("str"),
                "status": Field("int"),
                "interface": Field("str"),
                "low": Field("float"),
                "high": Field("float"),
            },
        ),
        Kind("isis_neighbor", ("device", "neighbor"), {"state": Field("int")}),
        Kind("ospf_neighbor", ("device", "neighbor"), {"state": Field("int"), "events": _counter("events")}),
        Kind(
            "bgp_peer",
            ("device", "peer"),
            {"state": Field("int"), "remote_as": Field("int"), "established_transitions": _counter("events")},
        ),
        Kind("route_summary", ("device", "protocol"), {"routes": Field("int")}),
        # one row a device, protocol and round: a silent or refusing device is data too
        Kind(
            "poll",
            ("device", "protocol"),
            {
                "status": Field("str"),
                "reason": Field("str"),
                "seconds": Field("float", "s"),
                "values": Field("int"),
                "requests": Field("int"),
                "retries": Field("int"),
            },
        ),
        # what happened, told by a device (trap, notification) or noticed (discovery, polling). event: linkDown,
        # coldStart, device_new ...; subject: the interface, peer or address it is about, "" if the whole device
        Kind("event", ("device", "event", "subject"), {"source": Field("str"), "detail": Field("str")}),
        # documents: configuration (secrets already hashed), observed topology
        Kind("record", ("device", "record"), {"content": Field("str", document=True), "sha256": Field("str")}),
        # at = the time forecast for; issued_us = when it was said (UTC microseconds since 1970)
        Kind(
            "forecast",
            ("device", "interface", "metric", "model"),
            {"issued_us": Field("int", "us"), **_QUANTILES, "coverage80": Field("float")},
        ),
    )
}
