"""OSPF inside one area (RFC 2328): who becomes neighbours, at what cost, and which networks are announced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from twin.net.ports import PortView
from twin.vocab.config import OSPF_LARGEST_COST, OspfInterface
from twin.vocab.snapshot import SnapshotDevice

Devices = Mapping[str, SnapshotDevice]
UNKNOWN_BANDWIDTH_BPS = 10_000_000
DISTANCE = 110
_HELLO_S = {"non-broadcast": 30, "point-to-multipoint": 30}
_ROUNDING_DIALECTS = frozenset({"frr"})


def ospf_config(view: PortView, devices: Devices) -> OspfInterface | None:
    """OSPF on the interface, if its device runs the process too."""
    config = devices[view.port.device].config
    return view.config.ospf if config and config.ospf and view.config else None


def interface_cost(view: PortView, devices: Devices) -> int | None:
    """Configured cost, else reference bandwidth over bandwidth, within 1..65535; None without OSPF.

    IOS cuts the quotient off, FRR rounds it. An unknown bandwidth counts as 10 Mbit/s, as FRR has it.
    """
    ospf = ospf_config(view, devices)
    config = devices[view.port.device].config
    if ospf is None or config is None or config.ospf is None:
        return None
    if ospf.cost is not None:
        return ospf.cost
    half = 0.5 if config.dialect in _ROUNDING_DIALECTS else 0.0
    quotient = config.ospf.reference_bandwidth_bps / (view.bandwidth_bps or UNKNOWN_BANDWIDTH_BPS)
    return min(max(int(quotient + half), 1), OSPF_LARGEST_COST)


def adjacency_problem(a: PortView, b: PortView, devices: Devices) -> str | None:
    """Why two linked ports don't become fully adjacent (RFC 2328 sections 10.5 and 10.6), or None if they do."""
    one, other = ospf_config(a, devices), ospf_config(b, devices)
    if one is None or other is None:
        return f"OSPF is not configured on {a.port if one is None else b.port}"
    if not (a.up and b.up):
        return f"{b.port if a.up else a.port} is down"
    if one.passive or other.passive:
        return f"{a.port if one.passive else b.port} is passive"
    if a.address_towards(b) is None:
        return "no common subnet"
    return _disagreement(one, other)


def _disagreement(one: OspfInterface, other: OspfInterface) -> str | None:
    if one.area != other.area:
        return f"areas {one.area} and {other.area}"
    if one.network_type != other.network_type:
        return f"network types {one.network_type} and {other.network_type}"
    for what, left, right in (
        ("hello intervals", hello_interval(one), hello_interval(other)),
        ("dead intervals", dead_interval(one), dead_interval(other)),
    ):
        if left != right:
            return f"{what} {left} s and {right} s"
    return None


def hello_interval(ospf: OspfInterface) -> int:
    """Seconds, as configured or by the usual default of the network type."""
    return ospf.hello_interval or _HELLO_S.get(ospf.network_type, 10)


def dead_interval(ospf: OspfInterface) -> int:
    """Seconds, as configured or four hello intervals."""
    return ospf.dead_interval or 4 * hello_interval(ospf)


def stub_networks(view: PortView, devices: Devices) -> Iterator[tuple[IPv4Network, int]]:
    """(network, cost) that the router announces for an interface that is up; a loopback as host route of cost 0."""
    cost = interface_cost(view, devices)
    if cost is None or not view.up:
        return
    for address in view.addresses:
        if view.loopback:
            yield IPv4Network(address.ip), 0
        else:
            yield address.network, cost
