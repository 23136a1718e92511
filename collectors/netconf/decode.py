"""Pure: NETCONF replies -> the configuration document, interface samples and observed interfaces.

XML comes from devices: a document type declaration is refused outright, so no entity is ever expanded.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import IPv4Interface
from typing import Any

import numpy as np
from lxml import etree

from collectors.failures import PollError
from collectors.netconf.filters import INTERFACES_NAMESPACE
from twin.vocab.blocks import Block
from twin.vocab.observed import ObservedInterface, is_up

MOST_CHARACTERS = 64 << 20
_BASE = "{urn:ietf:params:xml:ns:netconf:base:1.0}"
_IF = f"{{{INTERFACES_NAMESPACE}}}"
_IP = "{urn:ietf:params:xml:ns:yang:ietf-ip}"
_STATUS = {  # RFC 8343 names -> IF-MIB numbers
    "up": 1,
    "down": 2,
    "testing": 3,
    "unknown": 4,
    "dormant": 5,
    "not-present": 6,
    "lower-layer-down": 7,
}
_PLAIN_COUNTERS = {
    "in_octets": "in-octets",
    "out_octets": "out-octets",
    "in_errors": "in-errors",
    "out_errors": "out-errors",
    "in_discards": "in-discards",
    "out_discards": "out-discards",
}
_PACKET_LEAVES = ("unicast-pkts", "multicast-pkts", "broadcast-pkts")


def parse(text: str) -> etree._Element:
    """A reply as an element tree, safely: libxml2 keeps its limits (depth 256, 10 MB a text, entity amplification).

    Raises:
        PollError: not XML, too long, too deep, or it carries a document type declaration.
    """
    if len(text) > MOST_CHARACTERS:
        raise PollError("error", "the reply is longer than allowed")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        remove_blank_text=True,
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as problem:
        raise PollError("error", f"the reply is not XML: {problem.msg}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise PollError("error", "the reply carries a document type declaration: refused")
    return root


def configuration(reply: str) -> str:
    """The ``<data>`` of a <get-config> reply, indented, as text.

    Raises:
        PollError: the reply is unusable or has no ``<data>``.
    """
    data = _data(reply)
    etree.indent(data)
    return etree.tostring(data, encoding="unicode", with_tail=False) + "\n"


def _data(reply: str) -> etree._Element:
    root = parse(reply)
    data = root if root.tag == f"{_BASE}data" else root.find(f"{_BASE}data")
    if data is None:
        raise PollError("error", "the reply has no <data>")
    return data


def interface_states(reply: str) -> tuple[dict[str, Any], ...]:
    """One dictionary an interface, of RFC 7223 ``interfaces-state`` or RFC 8343 ``interfaces``.

    Leaves that are missing or not of their type are left out.

    Raises:
        PollError: the reply is unusable or has no ``<data>``.
    """
    data = _data(reply)
    lists = data.find(f"{_IF}interfaces-state"), data.find(f"{_IF}interfaces")
    return next((rows for top in lists if top is not None and (rows := tuple(_states(top)))), ())


def _states(top: etree._Element) -> Iterator[dict[str, Any]]:
    for entry in top.iterfind(f"{_IF}interface"):
        name, status = _text(entry, f"{_IF}name"), _text(entry, f"{_IF}oper-status")
        if name and status:
            yield {"interface": name, **_leaves(entry), "addresses": tuple(_addresses(entry))}


def _leaves(entry: etree._Element) -> dict[str, Any]:
    statistics = entry.find(f"{_IF}statistics")
    found = {
        "admin_status": _STATUS.get(_text(entry, f"{_IF}admin-status")),
        "oper_status": _STATUS.get(_text(entry, f"{_IF}oper-status")),
        "index": _number(entry, "if-index"),
        "speed_bps": _number(entry, "speed") or None,
    }
    if statistics is not None:
        found |= {field: _number(statistics, leaf) for field, leaf in _PLAIN_COUNTERS.items()}
        found |= {"in_packets": _packets(statistics, "in"), "out_packets": _packets(statistics, "out")}
        found |= {"discontinuity_cs": _centiseconds(_text(statistics, f"{_IF}discontinuity-time"))}
        found |= {"counter_bits": 64}
    return {k: v for k, v in found.items() if v is not None}


def _packets(statistics: etree._Element, way: str) -> int | None:
    parts = [n for leaf in _PACKET_LEAVES if (n := _number(statistics, f"{way}-{leaf}")) is not None]
    return sum(parts) if parts else None


def _text(entry: etree._Element, tag: str) -> str:
    return (entry.findtext(tag) or "").strip()


def _number(entry: etree._Element, leaf: str) -> int | None:
    text = _text(entry, f"{_IF}{leaf}")
    return int(text) if text.isascii() and text.isdigit() and int(text) < 2**64 else None


def _centiseconds(text: str) -> int | None:
    """A date-and-time as hundredths of a second: only its changes matter."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 100)
    except ValueError:
        return None


def _addresses(entry: etree._Element) -> Iterator[IPv4Interface]:
    for address in entry.iterfind(f"{_IP}ipv4/{_IP}address"):
        length = _text(address, f"{_IP}prefix-length") or _text(address, f"{_IP}netmask")
        try:
            yield IPv4Interface(f"{_text(address, f'{_IP}ip')}/{length}")
        except ValueError:
            continue


def interface_block(device: str, states: tuple[dict[str, Any], ...], at: np.datetime64) -> Block | None:
    """Samples of the interfaces that have counters or state; None if there are none."""
    rows = [{"device": device} | {k: v for k, v in state.items() if k != "addresses"} for state in states]
    return Block.from_rows("interface", rows, at) if rows else None


def observed_interfaces(states: tuple[dict[str, Any], ...]) -> tuple[ObservedInterface, ...]:
    return tuple(
        ObservedInterface(
            name=state["interface"],
            index=state.get("index", 0),
            speed_bps=state.get("speed_bps"),
            admin_up=is_up(state.get("admin_status")),
            oper_up=is_up(state.get("oper_status")),
            addresses=state["addresses"],
        )
        for state in states
    )
