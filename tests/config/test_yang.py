"""NETCONF XML <-> the neutral configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import config as configuration
from twin.config import frr, yang
from twin.vocab.change import SetCost, SetEnabled, Step
from twin.vocab.config import DeviceConfig, InterfaceConfig, OspfConfig, OspfInterface, StaticRoute
from twin.vocab.errors import UsageError
from twin.vocab.snapshot import Port


def by_prefix(config: DeviceConfig) -> DeviceConfig:
    """YANG lists routes by prefix."""
    return replace(config, static_routes=tuple(sorted(config.static_routes, key=lambda r: r.prefix)))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_what_is_rendered_is_read_back(
    data: st.DataObject, devices: Callable[[], st.SearchStrategy[DeviceConfig]]
) -> None:
    config = replace(data.draw(devices()), dialect="yang")
    assert yang.parse(yang.render(config)) == by_prefix(config)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_both_dialects_mean_the_same(
    data: st.DataObject, devices: Callable[[], st.SearchStrategy[DeviceConfig]]
) -> None:
    text = frr.render(data.draw(devices()))
    from_text, from_xml = configuration.read(text), configuration.read(yang.render(frr.parse(text)))
    assert (from_text.dialect, from_xml.dialect) == ("frr", "yang")
    assert replace(from_xml, dialect="frr") == by_prefix(from_text)


WRAPPED = '<data xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">{}</data>'
IF = 'xmlns="urn:ietf:params:xml:ns:yang:ietf-interfaces"'
NLR = 'xmlns="urn:nettwin:lab:router"'
UNREAD = [
    ('<vlans xmlns="urn:x"><vlan>1</vlan></vlans>', "", "vlans"),
    (
        f"<interfaces {IF}><interface><name>e</name><mtu>9000</mtu></interface></interfaces>",
        "interfaces/interface",
        "mtu 9000",
    ),
    (
        f"<interfaces {IF}><interface><name>e</name><ospf {NLR}><cost>5</cost></ospf></interface></interfaces>",
        "interfaces/interface",
        "ospf",
    ),
    (f"<interfaces {IF}><interface><enabled>true</enabled></interface></interfaces>", "interfaces", "interface"),
    (
        f"<interfaces {IF}><interface><name>e</name><enabled>maybe</enabled></interface></interfaces>",
        "interfaces/interface",
        "enabled maybe",
    ),
]


@pytest.mark.parametrize(("inner", "section", "text"), UNREAD)
def test_elements_without_a_place_are_listed(inner: str, section: str, text: str) -> None:
    unread = yang.parse(WRAPPED.format(inner)).unread
    assert [(u.section, u.text) for u in unread] == [(section, text)]


BOMB = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + WRAPPED.format("&b;")
OUTSIDE = '<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + WRAPPED.format("&a;")
REFUSED = [
    ("", "not readable"),
    ("<data>", "not readable"),
    ("<data/>", "not a NETCONF"),
    (BOMB, "document type"),
    (OUTSIDE, "document type"),
    ("<data>" + "x" * (32 * 1024 * 1024), "larger"),
]


@pytest.mark.parametrize(("text", "complaint"), REFUSED, ids=[c for _, c in REFUSED])
def test_what_is_no_safe_document_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        yang.parse(text)


def test_a_reply_is_read_like_its_data() -> None:
    config = DeviceConfig("r1", (InterfaceConfig("eth1"),), dialect="yang")
    inner = yang.render(config).replace("nc:config", "nc:data")
    reply = f'<rpc-reply xmlns="urn:ietf:params:xml:ns:netconf:base:1.0" message-id="1">{inner}</rpc-reply>'
    assert yang.parse(reply) == config


def test_an_unknown_dialect_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no configuration dialect 'ios'"):
        configuration.read("hostname r1", "ios")


ETH1 = Port("r1", "eth1")


def test_an_edit_names_each_interface_once_and_only_what_changes() -> None:
    edit = yang.parse(yang.edit_config([SetEnabled(ETH1, False), SetEnabled(Port("r1", "eth2"), True)]))
    assert edit.interfaces == (InterfaceConfig("eth1", enabled=False), InterfaceConfig("eth2", enabled=True))
    both = yang.edit_config([SetEnabled(ETH1, False), SetCost(ETH1, 7)])
    assert both.count("<name>") == 1
    assert "<cost>7</cost>" in both
    assert "area" not in both


WRONG: list[tuple[list[Step], str]] = [
    ([], "one device, not none"),
    ([SetEnabled(ETH1, True), SetEnabled(Port("r2", "eth1"), True)], "one device, not r1, r2"),
    ([SetCost(ETH1, 0)], "0 is not in 1..65535"),
    ([SetCost(ETH1, 65536)], "65536 is not in"),
]


@pytest.mark.parametrize(("steps", "complaint"), WRONG)
def test_a_wrong_edit_is_refused(steps: list[Step], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        yang.edit_config(steps)


def test_restoring_puts_back_the_old_values_and_removes_a_cost_that_was_not_there() -> None:
    area = IPv4Address(0)
    with_cost = DeviceConfig("r1", (InterfaceConfig("eth1", enabled=False, ospf=OspfInterface(area, 12)),))
    undo = yang.restore(with_cost, [SetEnabled(ETH1, True), SetCost(ETH1, 99)])
    assert "<enabled>false</enabled>" in undo
    assert "<cost>12</cost>" in undo
    without = DeviceConfig("r1", (InterfaceConfig("eth1", ospf=OspfInterface(area)),))
    assert 'operation="remove"' in yang.restore(without, [SetCost(ETH1, 99)])


def test_routes_of_one_prefix_keep_their_own_distances() -> None:
    prefix = IPv4Network("10.0.0.0/8")
    routes = (
        StaticRoute(prefix, IPv4Address("10.0.0.1")),
        StaticRoute(prefix, IPv4Address("10.0.0.2"), distance=200),
        StaticRoute(prefix, distance=250),
    )
    config = DeviceConfig("r1", (), OspfConfig(IPv4Address("10.0.0.9")), routes, dialect="yang")
    assert yang.parse(yang.render(config)) == config


def test_text_that_xml_cannot_carry_is_refused() -> None:
    with pytest.raises(UsageError, match="r1: can't be written as XML"):
        yang.render(DeviceConfig("r1", (InterfaceConfig("eth1", "a\x00b", addresses=(IPv4Interface("10.0.0.1/8"),)),)))
