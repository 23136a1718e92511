"""The neutral configuration as NETCONF XML, and the edit-config for a change of one device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from lxml import etree

from twin.config.yang_names import BASE, IANA, IF, IP, NLR, RT, SYS, V4UR, Element
from twin.vocab.change import SetCost, SetEnabled, Step
from twin.vocab.config import (
    OSPF_LARGEST_COST,
    BgpConfig,
    DeviceConfig,
    InterfaceConfig,
    OspfConfig,
    OspfInterface,
    StaticRoute,
)
from twin.vocab.errors import UsageError

Leaf = str | int | bool | object | None


def render(config: DeviceConfig) -> str:
    """The whole configuration as a ``<config>`` document (a startup file); ``unread`` is not written.

    Raises:
        UsageError: a text holds characters XML can't carry.
    """
    root = _root()
    try:
        if config.interfaces:
            interfaces = _child(root, IF, "interfaces")
            for interface in config.interfaces:
                _interface(interfaces, interface)
        _leaves(_child(root, SYS, "system"), SYS, {"hostname": config.hostname or None})
        _routing(root, config)
    except ValueError as problem:
        raise UsageError(f"{config.hostname}: can't be written as XML: {problem}") from problem
    return _text(root)


def edit_config(changes: Sequence[Step]) -> str:
    """The ``<config>`` of an edit-config (merge) that makes the steps of ONE device.

    Raises:
        UsageError: no steps, steps of several devices, or a cost outside 1..65535.
    """
    _check_one_device(changes)
    root = _root()
    interfaces = _child(root, IF, "interfaces")
    for step in changes:
        interface = _named(interfaces, step.port.interface)
        if isinstance(step, SetEnabled):
            _leaves(interface, IF, {"enabled": step.enabled})
        else:
            _leaves(_child(interface, NLR, "ospf"), NLR, {"cost": step.cost})
    return _text(root)


def restore(before: DeviceConfig, changes: Sequence[Step]) -> str:
    """The ``<config>`` of an edit-config that puts back, after ``changes``, what ``before`` said.

    Raises:
        UsageError: as ``edit_config``, or ``before`` lacks an interface.
    """
    _check_one_device(changes)
    root = _root()
    interfaces = _child(root, IF, "interfaces")
    for step in changes:
        old = before.interface(step.port.interface)
        if old is None:
            raise UsageError(f"{step.port}: unknown interface")
        interface = _named(interfaces, old.name)
        if isinstance(step, SetEnabled):
            _leaves(interface, IF, {"enabled": old.enabled})
        else:
            _restore_cost(_child(interface, NLR, "ospf"), old.ospf)
    return _text(root)


def _restore_cost(into: Element, old: OspfInterface | None) -> None:
    if old and old.cost is not None:
        _leaves(into, NLR, {"cost": old.cost})
    else:
        _child(into, NLR, "cost").set(f"{BASE}operation", "remove")


def _check_one_device(changes: Sequence[Step]) -> None:
    devices = sorted({step.port.device for step in changes})
    if len(devices) != 1:
        raise UsageError(f"an edit-config is for one device, not {', '.join(devices) or 'none'}")
    for step in changes:
        if isinstance(step, SetCost) and not 1 <= step.cost <= OSPF_LARGEST_COST:
            raise UsageError(f"{step.port}: OSPF cost {step.cost} is not in 1..{OSPF_LARGEST_COST}")


def _root() -> Element:
    return etree.Element(f"{BASE}config", nsmap={"nc": BASE[1:-1]})


def _text(root: Element) -> str:
    return etree.tostring(root, encoding="unicode", pretty_print=True)


def _child(parent: Element, namespace: str, name: str) -> Element:
    return etree.SubElement(parent, f"{namespace}{name}", nsmap=_default(namespace))


def _default(namespace: str) -> Any:
    return {None: namespace[1:-1]}


def _leaves(parent: Element, namespace: str, leaves: Mapping[str, Leaf]) -> None:
    """One child for each leaf that is not None, in order."""
    for name, value in leaves.items():
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            _child(parent, namespace, name).text = text


def _named(interfaces: Element, name: str) -> Element:
    """The list entry of that name, made if it is not there yet."""
    for entry in interfaces:
        if entry.findtext(f"{IF}name") == name:
            return entry
    entry = _child(interfaces, IF, "interface")
    _leaves(entry, IF, {"name": name})
    return entry


def _interface(interfaces: Element, interface: InterfaceConfig) -> None:
    entry = _child(interfaces, IF, "interface")
    _leaves(entry, IF, {"name": interface.name, "description": interface.description or None})
    kind = etree.SubElement(entry, f"{IF}type", nsmap={"ianaift": IANA[1:-1]})
    kind.text = "ianaift:softwareLoopback" if interface.name == "lo" else "ianaift:ethernetCsmacd"
    _leaves(entry, IF, {"enabled": interface.enabled})
    if interface.addresses:
        ipv4 = _child(entry, IP, "ipv4")
        for address in interface.addresses:
            leaves = {"ip": address.ip, "prefix-length": address.network.prefixlen}
            _leaves(_child(ipv4, IP, "address"), IP, leaves)
    _leaves(entry, NLR, {"bandwidth": interface.bandwidth_bps})
    if interface.ospf:
        _leaves(_child(entry, NLR, "ospf"), NLR, _ospf_interface(interface.ospf))


def _ospf_interface(ospf: OspfInterface) -> dict[str, Leaf]:
    return {
        "area": ospf.area,
        "cost": ospf.cost,
        "network-type": None if ospf.network_type == "broadcast" else ospf.network_type,
        "passive": ospf.passive or None,
        "hello-interval": ospf.hello_interval,
        "dead-interval": ospf.dead_interval,
    }


def _routing(root: Element, config: DeviceConfig) -> None:
    if not (config.ospf or config.bgp or config.static_routes):
        return
    protocols = _child(_child(root, RT, "routing"), RT, "control-plane-protocols")
    if config.static_routes:
        _static(_protocol(protocols, "static"), config.static_routes)
    if config.ospf:
        _leaves(_child(_protocol(protocols, "ospf"), NLR, "ospf"), NLR, _ospf(config.ospf))
    if config.bgp:
        _bgp(_child(_protocol(protocols, "bgp"), NLR, "bgp"), config.bgp)


def _protocol(protocols: Element, name: str) -> Element:
    entry = _child(protocols, RT, "control-plane-protocol")
    prefix, namespace = ("rt", RT) if name == "static" else ("nlr", NLR)
    etree.SubElement(entry, f"{RT}type", nsmap={prefix: namespace[1:-1]}).text = f"{prefix}:{name}"
    _leaves(entry, RT, {"name": name})
    return entry


def _static(protocol: Element, routes: Iterable[StaticRoute]) -> None:
    ipv4 = _child(_child(protocol, RT, "static-routes"), V4UR, "ipv4")
    for prefix, hops in groupby(sorted(routes, key=lambda r: r.prefix), key=lambda r: r.prefix):
        entry = _child(ipv4, V4UR, "route")
        _leaves(entry, V4UR, {"destination-prefix": prefix})
        hop_list = _child(_child(entry, V4UR, "next-hop"), V4UR, "next-hop-list")
        for index, hop in enumerate(hops, start=1):
            _next_hop(_child(hop_list, V4UR, "next-hop"), str(index), hop)


def _next_hop(entry: Element, index: str, hop: StaticRoute) -> None:
    _leaves(entry, V4UR, {"index": index, "outgoing-interface": hop.interface, "next-hop-address": hop.next_hop})
    nowhere = hop.interface is None and hop.next_hop is None
    _leaves(entry, NLR, {"distance": None if hop.distance == 1 else hop.distance, "discard": nowhere or None})


def _ospf(ospf: OspfConfig) -> dict[str, Leaf]:
    return {
        "router-id": ospf.router_id,
        "reference-bandwidth": ospf.reference_bandwidth_bps,
        "maximum-paths": ospf.maximum_paths,
    }


def _bgp(entry: Element, bgp: BgpConfig) -> None:
    _leaves(entry, NLR, {"as-number": bgp.asn, "router-id": bgp.router_id})
    for prefix in bgp.networks:
        _leaves(entry, NLR, {"network": prefix})
    for neighbor in bgp.neighbors:
        leaves = {
            "address": neighbor.address,
            "remote-as": neighbor.remote_as,
            "update-source": neighbor.update_source,
            "next-hop-self": neighbor.next_hop_self or None,
        }
        _leaves(_child(entry, NLR, "neighbor"), NLR, leaves)
