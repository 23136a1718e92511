"""NETCONF replies as text -> documents, samples and observed interfaces; hostile XML is refused."""

from __future__ import annotations

from ipaddress import IPv4Interface

import numpy as np
import pytest

from collectors.failures import PollError
from collectors.netconf import decode, xml
from collectors.netconf.found import Found, blocks_of, observed_interfaces
from collectors.netconf.readers import ietf

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
IETF = "urn:ietf:params:xml:ns:yang:ietf-interfaces"
AT = np.datetime64("2026-11-23T12:00:00", "us")
ENTRY = """
<interface>
  <name>ge-0/0/0</name><admin-status>up</admin-status><oper-status>lower-layer-down</oper-status>
  <if-index>17</if-index><speed>10000000000</speed>
  <statistics>
    <discontinuity-time>2026-11-01T00:00:00.25Z</discontinuity-time>
    <in-octets>18446744073709551615</in-octets><out-octets>5</out-octets>
    <in-unicast-pkts>100</in-unicast-pkts><in-multicast-pkts>20</in-multicast-pkts>
    <in-broadcast-pkts>3</in-broadcast-pkts>
    <in-errors>4</in-errors><out-discards>none</out-discards>
  </statistics>
  <ipv4 xmlns="urn:ietf:params:xml:ns:yang:ietf-ip">
    <address><ip>10.0.0.1</ip><prefix-length>30</prefix-length></address>
    <address><ip>10.0.1.1</ip><netmask>255.255.255.0</netmask></address>
    <address><ip>nonsense</ip><prefix-length>30</prefix-length></address>
  </ipv4>
</interface>
"""


def reply(body: str) -> str:
    return f'<rpc-reply xmlns="{BASE}" message-id="1"><data>{body}</data></rpc-reply>'


def interfaces(body: str) -> Found:
    return ietf.read_interfaces(xml.data_of(reply(body)))


STATE_AT = {
    "RFC 7223": f'<interfaces-state xmlns="{IETF}">{ENTRY}</interfaces-state>',
    "RFC 8343": f'<interfaces xmlns="{IETF}">{ENTRY}</interfaces>',
    "RFC 7223 beside configuration": (
        f'<interfaces-state xmlns="{IETF}">{ENTRY}</interfaces-state>'
        f'<interfaces xmlns="{IETF}"><interface><name>ge-0/0/0</name><enabled>true</enabled></interface></interfaces>'
    ),
}


@pytest.mark.parametrize("body", STATE_AT.values(), ids=STATE_AT.keys())
def test_interface_state_is_read_from_old_and_new_models(body: str) -> None:
    (block,) = blocks_of("r1", interfaces(body), AT)
    (row,) = block.rows()
    assert {k: v for k, v in row.items() if k != "at"} == {
        "device": "r1",
        "interface": "ge-0/0/0",
        "in_octets": -1,
        "out_octets": 5,
        "in_packets": 123,
        "in_errors": 4,
        "counter_bits": 64,
        "speed_bps": 10_000_000_000,
        "admin_status": 1,
        "oper_status": 7,
        "index": 17,
        "discontinuity_cs": 179_349_120_025,
    }


def test_observed_interfaces_have_their_addresses() -> None:
    (interface,) = observed_interfaces(interfaces(STATE_AT["RFC 8343"]))
    assert (interface.name, interface.index, interface.admin_up, interface.oper_up) == ("ge-0/0/0", 17, True, False)
    assert interface.addresses == (IPv4Interface("10.0.0.1/30"), IPv4Interface("10.0.1.1/24"))


def test_a_configuration_of_many_megabytes_is_read() -> None:
    one = "<interface><name>ge-0/0/{}</name><description>to the other side</description></interface>"
    body = "".join(one.format(i) for i in range(200_000))
    assert len(decode.configuration(reply(body))) > 15_000_000


LIMITLESS = {"a text without end": f"<a>{'x' * 11_000_000}</a>", "a tree without end": "<a>" * 300 + "</a>" * 300}


@pytest.mark.parametrize("body", LIMITLESS.values(), ids=LIMITLESS.keys())
def test_what_no_configuration_holds_is_refused(body: str) -> None:
    with pytest.raises(PollError, match="not XML") as refused:
        decode.configuration(reply(body))
    assert len(str(refused.value)) < 200


def test_configuration_without_state_gives_no_samples() -> None:
    bare = f'<interfaces xmlns="{IETF}"><interface><name>eth1</name><enabled>true</enabled></interface></interfaces>'
    assert [interface.name for interface in interfaces(bare).interfaces] == ["eth1"]
    assert blocks_of("r1", interfaces(bare), AT) == []


def test_the_configuration_is_the_data_element_in_one_form() -> None:
    tight = decode.configuration(reply("<a><b>x</b></a>"))
    loose = decode.configuration(reply("\n  <a>\n\n <!-- note --> <b>x</b></a>\n"))
    assert tight == loose == f'<data xmlns="{BASE}">\n  <a>\n    <b>x</b>\n  </a>\n</data>\n'


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
HOSTILE = {
    "entities that grow": (BOMB + reply("<x>&b;</x>"), "document type declaration"),
    "a local file": (
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>' + reply("<x>&f;</x>"),
        "document type declaration",
    ),
    "an external definition": ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + reply("<x/>"), "document type"),
    "not XML": ("<rpc-reply", "not XML"),
    "an undefined entity": (reply("<x>&what;</x>"), "not XML"),
    "no data": (f'<rpc-reply xmlns="{BASE}"><ok/></rpc-reply>', "no <data>"),
}


@pytest.mark.parametrize(("text", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_replies_are_refused(text: str, reason: str) -> None:
    for read in (decode.configuration, decode.configured, xml.data_of):
        with pytest.raises(PollError, match=reason):
            read(text)


def test_a_reply_beyond_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "MOST_CHARACTERS", 100)
    with pytest.raises(PollError, match="longer than allowed"):
        decode.configuration(reply("x" * 100))
