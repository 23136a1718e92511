"""What may be stored: one table of kinds, their keys and their fields. Stores refuse all else.

Counters are stored as they were read (RFC 2863: Counter64 and Counter32 as int64 with the same bits);
rates are computed on reading (twin.vocab.rates). What is measured again and again is also kept thinned, in tiers of
5 minutes and 1 hour: kinds of their own, derived from the kind they thin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FieldType = Literal["int", "float", "str"]
Thinning = Literal["rate", "statistics", "last"]
SCHEMA_VERSION = 2
TIERS = {"5m": 300, "1h": 3600}
"""Tier -> length of its buckets in seconds; they begin at whole multiples of it since 1970 (UTC)."""


@dataclass(frozen=True)
class Field:
    """One stored value: type, unit, whether it only ever counts up, whether it is a whole document, and what tiers
    keep of it (None: nothing)."""

    type: FieldType
    unit: str = ""
    counter: bool = False
    document: bool = False
    thinned: Thinning | None = None


@dataclass(frozen=True)
class Kind:
    """One table: what names a series in it, what is measured, and the span (UTC) whose rows lie together.

    A tier has the name of the kind it ``thins`` and its own ``tier``.
    """

    name: str
    keys: tuple[str, ...]
    fields: dict[str, Field]
    span: Literal["day", "month"] = "day"
    thins: str | None = None
    tier: str | None = None


def _counter(unit: str) -> Field:
    return Field("int", unit, counter=True, thinned="rate")


def _gauge(type_: FieldType, unit: str = "") -> Field:
    return Field(type_, unit, thinned="statistics")


def _state(type_: FieldType, unit: str = "") -> Field:
    return Field(type_, unit, thinned="last")


def thinned_fields(name: str, field: Field) -> dict[str, Field]:
    """What a tier keeps of a field.

    Of a state its last value; of gauges and rates mean, least, 95th percentile, greatest and how many there were; of
    rates (per second, time-weighted) also how many seconds of the bucket are known. Where the count is 0 the others
    mean nothing: late samples may have shown that what was known is not.
    """
    if field.thinned is None:
        return {}
    if field.thinned == "last":
        return {name: Field(field.type, field.unit)}
    unit = f"{field.unit}/s" if field.thinned == "rate" else field.unit
    kept = {f"{name}_{statistic}": Field("float", unit) for statistic in ("mean", "min", "p95", "max")}
    kept[f"{name}_count"] = Field("int")
    return kept | ({f"{name}_known_s": Field("float", "s")} if field.thinned == "rate" else {})


def _tiers(kind: Kind) -> list[Kind]:
    kept = {name: f for field, spec in kind.fields.items() for name, f in thinned_fields(field, spec).items()}
    spans: dict[str, Literal["day", "month"]] = {"5m": "day", "1h": "month"}
    return [Kind(f"{kind.name}_{t}", kind.keys, kept, spans[t], kind.name, t) for t in TIERS] if kept else []


_QUANTILES = {f"q{level:02d}": Field("float") for level in (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)}

_MEASURED = (
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
            "speed_bps": _state("int", "bit/s"),
            "admin_status": _state("int"),
            "oper_status": _state("int"),
            "index": Field("int"),
            "uptime_cs": Field("int", "centiseconds"),
            "discontinuity_cs": Field("int", "centiseconds"),
        },
    ),
    # history that came as rates (nettwin store import), never mixed into counters
    Kind(
        "interface_rate",
        ("device", "interface"),
        {"in_bps": _gauge("float", "bit/s"), "out_bps": _gauge("float", "bit/s")},
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
            "cpu_percent": _gauge("float", "percent"),
            "memory_used_bytes": _gauge("int", "bytes"),
            "memory_total_bytes": _state("int", "bytes"),
        },
    ),
    Kind("processor", ("device", "processor"), {"load_percent": _gauge("float", "percent")}),
    Kind(
        "memory_pool",
        ("device", "pool"),
        {
            "used_bytes": _gauge("int", "bytes"),
            "total_bytes": _state("int", "bytes"),
            "used_percent": _gauge("float", "percent"),
        },
    ),
    # type: temperature, voltage, current, power, fan_speed, optical_power, bias, osnr, pre_fec_ber ...;
    # status as entPhySensorOperStatus (RFC 3433): 1 ok, 2 unavailable, 3 nonoperational; interface: the port it
    # belongs to, "" if to none; low and high: the device's own thresholds
    Kind(
        "sensor",
        ("device", "sensor"),
        {
            "value": _gauge("float"),
            "type": _state("str"),
            "unit": _state("str"),
            "status": _state("int"),
            "interface": _state("str"),
            "low": _state("float"),
            "high": _state("float"),
        },
    ),
    Kind("isis_neighbor", ("device", "neighbor"), {"state": _state("int")}),
    Kind("ospf_neighbor", ("device", "neighbor"), {"state": _state("int"), "events": _counter("events")}),
    Kind(
        "bgp_peer",
        ("device", "peer"),
        {"state": _state("int"), "remote_as": _state("int"), "established_transitions": _counter("events")},
    ),
    Kind("route_summary", ("device", "protocol"), {"routes": _gauge("int")}),
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

KINDS: dict[str, Kind] = {kind.name: kind for raw in _MEASURED for kind in (raw, *_tiers(raw))}
