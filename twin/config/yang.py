"""The running configuration as NETCONF XML <-> the neutral configuration.

ietf-interfaces (RFC 8343), ietf-ip (RFC 8344), ietf-system (RFC 7317), ietf-routing with ietf-ipv4-unicast-routing
(RFC 8022), and nettwin-lab-router for OSPF and BGP. Elements without a place in the neutral form end in ``unread``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, TypeAlias, cast, get_args

from lxml import etree

from twin.config.yang_names import BASE, IF, IP, NLR, RT, SYS, V4UR, Element, parser
from twin.config.yang_render import edit_config, render, restore
from twin.vocab.config import (
    BgpConfig,
    BgpNeighbor,
    DeviceConfig,
    InterfaceConfig,
    OspfConfig,
    OspfInterface,
    OspfNetworkType,
    StaticRoute,
    UnreadLine,
)
from twin.vocab.errors import UsageError

__all__ = ["DIALECT", "edit_config", "parse", "render", "restore"]
DIALECT = "yang"
LARGEST = 32 * 1024 * 1024
Values: TypeAlias = dict[str, Any]
Unread: TypeAlias = list[UnreadLine]
Reader: TypeAlias = Callable[[Values, Element, Unread], None]
Table: TypeAlias = Mapping[str, Reader]


def parse(xml: str) -> DeviceConfig:
    """``<data>``, ``<config>`` or ``<rpc-reply>`` text -> neutral configuration.

    No entity, document type or network access; at most 32 MiB.

    Raises:
        UsageError: not such a document.
    """
    root = _document(xml)
    unread: Unread = []
    values = _read(root, _DEVICE, unread)
    return DeviceConfig(
        hostname=values.get("hostname", ""),
        interfaces=tuple(values.get("interfaces", ())),
        ospf=values.get("ospf"),
        static_routes=tuple(values.get("static_routes", ())),
        bgp=values.get("bgp"),
        dialect=DIALECT,
        unread=tuple(sorted(unread, key=lambda u: u.line)),
    )


def _document(xml: str) -> Element:
    data = xml.encode()
    if len(data) > LARGEST:
        raise UsageError(f"configuration XML of {len(data)} bytes is larger than {LARGEST}")
    try:
        root = etree.fromstring(data, parser())
    except etree.XMLSyntaxError as problem:
        raise UsageError(f"not readable as configuration XML: {problem}") from problem
    docinfo: Any = root.getroottree().docinfo
    if docinfo.doctype:
        raise UsageError("configuration XML must have no document type")
    inner = root.find(f"{BASE}data") if root.tag == f"{BASE}rpc-reply" else root
    if inner is None or inner.tag not in (f"{BASE}data", f"{BASE}config"):
        raise UsageError(f"not a NETCONF <data> or <config>: {root.tag}")
    return inner


# -- reading: a table a container, from the name of a child to what it means -----------------------


def _read(element: Element, table: Table, unread: Unread) -> Values:
    values: Values = {}
    for child in element.iterchildren(etree.Element):
        reader = table.get(child.tag)
        if reader is None or not _understood(reader, values, child, unread):
            unread.append(_unread(child))
    return values


def _understood(reader: Reader, values: Values, element: Element, unread: Unread) -> bool:
    try:
        reader(values, element, unread)
    except (ValueError, TypeError):
        return False
    return True


def _unread(element: Element) -> UnreadLine:
    path = [etree.QName(e).localname for e in element.iterancestors()]
    name, text = etree.QName(element).localname, (element.text or "").strip()
    line: Any = element.sourceline
    return UnreadLine(line or 0, "/".join(reversed(path[:-1])), f"{name} {text}".strip())


def _leaf(name: str, convert: Callable[[str], Any]) -> Reader:
    def read(values: Values, element: Element, _: Unread) -> None:
        values[name] = convert((element.text or "").strip())

    return read


def _each(name: str, build: Callable[[Element, Unread], Any]) -> Reader:
    def read(values: Values, element: Element, unread: Unread) -> None:
        values.setdefault(name, []).append(build(element, unread))

    return read


def _inside(table: Table) -> Reader:
    """A container whose content counts as its parent's; lists found in several are joined."""

    def read(values: Values, element: Element, unread: Unread) -> None:
        for name, value in _read(element, table, unread).items():
            values[name] = [*values.get(name, ()), *value] if isinstance(value, list) else value

    return read


def _ignore(_values: Values, _element: Element, _unread: Unread) -> None:
    """Reviewed: changes no route, adjacency or rate."""


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is no boolean")
    return text == "true"


def _only(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.rpartition(":")[2] not in allowed:
            raise ValueError(f"{text!r} is not one of {allowed}")
        return text

    return check


def _network_type(text: str) -> OspfNetworkType:
    return cast("OspfNetworkType", _only(*get_args(OspfNetworkType))(text))


def _address(element: Element, unread: Unread) -> IPv4Interface:
    table = {f"{IP}ip": _leaf("ip", str), f"{IP}prefix-length": _leaf("mask", str), f"{IP}netmask": _leaf("mask", str)}
    values = _read(element, table, unread)
    return IPv4Interface(f"{values.get('ip')}/{values.get('mask')}")


def _ospf_interface(values: Values, element: Element, unread: Unread) -> None:
    values["ospf"] = OspfInterface(**_read(element, _OSPF_INTERFACE, unread))


def _interface(element: Element, unread: Unread) -> InterfaceConfig:
    values = _read(element, _INTERFACE, unread)
    return InterfaceConfig(**values | {"addresses": tuple(values.get("addresses", ()))})


def _next_hops(element: Element, unread: Unread) -> list[StaticRoute]:
    values = _read(element, _ROUTE, unread)
    return [StaticRoute(values["prefix"], **hop) for hop in values.get("hops", ())]


def _static(values: Values, element: Element, unread: Unread) -> None:
    if element.find(f"{V4UR}destination-prefix") is None:
        raise ValueError("a route without a prefix")
    values.setdefault("static_routes", []).extend(_next_hops(element, unread))


def _next_hop(element: Element, unread: Unread) -> Values:
    values = _read(element, _NEXT_HOP, unread)
    if values.pop("discard", False) == ("next_hop" in values or "interface" in values):
        raise ValueError("a next hop leads somewhere or is discard")
    return values


def _ospf(values: Values, element: Element, unread: Unread) -> None:
    found: Values = {"router_id": IPv4Address(0)}
    values["ospf"] = OspfConfig(**found | _read(element, _OSPF, unread))


def _bgp(values: Values, element: Element, unread: Unread) -> None:
    found: Values = {"router_id": IPv4Address(0), "networks": (), "neighbors": ()}
    found |= _read(element, _BGP, unread)
    lists = {name: tuple(found[name]) for name in ("networks", "neighbors")}
    values["bgp"] = BgpConfig(**found | lists)


def _neighbor(element: Element, unread: Unread) -> BgpNeighbor:
    return BgpNeighbor(**_read(element, _NEIGHBOR, unread))


_OSPF_INTERFACE: Table = {
    f"{NLR}area": _leaf("area", IPv4Address),
    f"{NLR}cost": _leaf("cost", int),
    f"{NLR}network-type": _leaf("network_type", _network_type),
    f"{NLR}passive": _leaf("passive", _boolean),
    f"{NLR}hello-interval": _leaf("hello_interval", int),
    f"{NLR}dead-interval": _leaf("dead_interval", int),
}
_INTERFACE: Table = {
    f"{IF}name": _leaf("name", str),
    f"{IF}description": _leaf("description", str),
    f"{IF}enabled": _leaf("enabled", _boolean),
    f"{IF}type": _ignore,
    f"{IF}link-up-down-trap-enable": _ignore,
    f"{IP}ipv4": _inside(
        {
            f"{IP}address": _each("addresses", _address),
            f"{IP}enabled": _leaf("ipv4", _only("true")),
            f"{IP}forwarding": _leaf("ipv4", _only("true")),
        }
    ),
    f"{NLR}bandwidth": _leaf("bandwidth_bps", int),
    f"{NLR}ospf": _ospf_interface,
}
_NEXT_HOP: Table = {
    f"{V4UR}index": _ignore,
    f"{V4UR}next-hop-address": _leaf("next_hop", IPv4Address),
    f"{V4UR}outgoing-interface": _leaf("interface", str),
    f"{NLR}distance": _leaf("distance", int),
    f"{NLR}discard": _leaf("discard", _boolean),
}
_ROUTE: Table = {
    f"{V4UR}destination-prefix": _leaf("prefix", IPv4Network),
    f"{V4UR}description": _ignore,
    f"{V4UR}next-hop": _inside(
        {f"{V4UR}next-hop-list": _inside({f"{V4UR}next-hop": _each("hops", _next_hop)})},
    ),
}
_OSPF: Table = {
    f"{NLR}router-id": _leaf("router_id", IPv4Address),
    f"{NLR}reference-bandwidth": _leaf("reference_bandwidth_bps", int),
    f"{NLR}maximum-paths": _leaf("maximum_paths", int),
}
_NEIGHBOR: Table = {
    f"{NLR}address": _leaf("address", IPv4Address),
    f"{NLR}remote-as": _leaf("remote_as", int),
    f"{NLR}update-source": _leaf("update_source", IPv4Address),
    f"{NLR}next-hop-self": _leaf("next_hop_self", _boolean),
}
_BGP: Table = {
    f"{NLR}as-number": _leaf("asn", int),
    f"{NLR}router-id": _leaf("router_id", IPv4Address),
    f"{NLR}network": _each("networks", lambda e, _: IPv4Network((e.text or "").strip())),
    f"{NLR}neighbor": _each("neighbors", _neighbor),
}
_PROTOCOL: Table = {
    f"{RT}type": _leaf("protocol", _only("static", "ospf", "bgp")),
    f"{RT}name": _ignore,
    f"{RT}description": _ignore,
    f"{RT}static-routes": _inside({f"{V4UR}ipv4": _inside({f"{V4UR}route": _static})}),
    f"{NLR}ospf": _ospf,
    f"{NLR}bgp": _bgp,
}
_DEVICE: Table = {
    f"{SYS}system": _inside(
        {
            f"{SYS}hostname": _leaf("hostname", str),
            f"{SYS}contact": _ignore,
            f"{SYS}location": _ignore,
            f"{SYS}clock": _ignore,
            f"{SYS}ntp": _ignore,
            f"{SYS}authentication": _ignore,
        }
    ),
    f"{IF}interfaces": _inside({f"{IF}interface": _each("interfaces", _interface)}),
    f"{RT}routing": _inside(
        {f"{RT}control-plane-protocols": _inside({f"{RT}control-plane-protocol": _inside(_PROTOCOL)})}
    ),
    "{urn:ietf:params:xml:ns:yang:ietf-netconf-acm}nacm": _ignore,
}
