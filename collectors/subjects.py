"""What a profile's table may be about, and which columns such a table may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Subject = Literal[
    "interface",
    "address",
    "stack",
    "bundle_member",
    "lldp_local",
    "lldp_remote",
    "lldp_address",
    "cdp_remote",
    "ospf_neighbor",
    "isis_neighbor",
    "bgp_peer",
    "route",
    "processor",
    "memory_pool",
    "sensor",
]
ColumnType = Literal["int", "float", "text", "any"]


@dataclass(frozen=True)
class Form:
    """A subject's columns by name, and those a table can't do without (as columns or as parts of its index)."""

    columns: Mapping[str, ColumnType]
    needs: tuple[str, ...]


_COUNTERS = (
    *("in_octets", "out_octets", "in_packets", "out_packets"),
    *("in_errors", "out_errors", "in_discards", "out_discards"),
)
INTERFACE_NUMBERS = (*_COUNTERS, "speed_bps", "admin_status", "oper_status", "discontinuity_cs")
_INTERFACE: Mapping[str, ColumnType] = {
    "name": "text",
    "description": "text",
    "alias": "text",
    "physical_address": "any",
    "type": "int",
}
_PORT_ID: Mapping[str, ColumnType] = {"id_subtype": "int", "id": "any", "description": "text"}

FORMS: Mapping[Subject, Form] = {
    # index: ifIndex; description: ifDescr, which names the interface where ``name`` is not unique
    "interface": Form(
        {**_INTERFACE, **dict.fromkeys(INTERFACE_NUMBERS, "int")},
        ("index", "name"),
    ),
    # interface: ifIndex; prefix: an OID that ends in the prefix length, or that length
    "address": Form(
        {"address": "any", "interface": "int", "type": "int", "prefix": "any", "netmask": "any"},
        ("address", "interface"),
    ),
    # one row for each pair of ifIndexes, ``higher`` running on top of ``lower``
    "stack": Form({"higher": "int", "lower": "int", "status": "int"}, ("higher", "lower")),
    # member, aggregate, attached: ifIndex or name; attached: the aggregate that uses the member now
    "bundle_member": Form({"member": "any", "aggregate": "any", "attached": "any"}, ("member", "aggregate")),
    "lldp_local": Form(_PORT_ID, ("port",)),
    "lldp_remote": Form({**_PORT_ID, "system_name": "text"}, ("port", "remote")),
    "lldp_address": Form({"interface_subtype": "int"}, ("port", "remote", "family", "address")),
    # its interface is an ifIndex or a name
    "cdp_remote": Form(
        {"interface": "any", "device_id": "text", "system_name": "text", "port": "text", "address": "any"},
        ("interface", "device_id"),
    ),
    "ospf_neighbor": Form(
        {"address": "any", "addressless": "int", "router_id": "any", "state": "int", "events": "int"},
        ("address", "state"),
    ),
    # state: 1 down, 2 initializing, 3 up, 4 failed (RFC 4444); interface: ifIndex or name
    "isis_neighbor": Form({"system_id": "any", "interface": "any", "state": "int"}, ("system_id", "state")),
    # state: 1 idle ... 6 established (RFC 4273); vrf: empty for the device's own
    "bgp_peer": Form(
        {"peer": "any", "vrf": "text", "state": "int", "remote_as": "int", "established_transitions": "int"},
        ("peer", "state"),
    ),
    "route": Form({"protocol": "int"}, ("protocol",)),
    # main: 1 for those whose mean is the device's own load; all of them where none is marked
    "processor": Form({"name": "text", "load_percent": "float", "main": "int"}, ("load_percent",)),
    # main: 1 for the one that is the device's own memory; the largest where none is marked
    "memory_pool": Form(
        {
            "name": "text",
            "used_bytes": "int",
            "free_bytes": "int",
            "total_bytes": "int",
            "used_percent": "float",
            "main": "int",
        },
        (),
    ),
    # type and its unit: twin.vocab.sensors; status: 1 ok, 2 unavailable, 3 nonoperational (RFC 3433)
    # interface: the port it belongs to: ifIndex, OID ending in it, its name, or text that begins with its name
    "sensor": Form(
        {
            "name": "text",
            "type": "text",
            "value": "float",
            "status": "int",
            "interface": "any",
            "low": "float",
            "high": "float",
        },
        ("type",),
    ),
}
SCALARS: Mapping[str, ColumnType] = {
    "cpu_time_us": "int",
    "cpu_percent": "float",
    "memory_used_bytes": "int",
    "memory_free_bytes": "int",
    "memory_total_bytes": "int",
    "host_uptime_cs": "int",
    "engine_boots": "int",
    "engine_time_s": "int",
}
