"""Pure: NETCONF replies -> the configuration document, samples, and the device as observed."""

from __future__ import annotations

from lxml import etree

from collectors.netconf.found import (
    Found,
    observed_bundles,
    observed_interfaces,
    observed_neighbors,
    observed_peers,
    with_configured,
)
from collectors.netconf.readers import read_configured
from collectors.netconf.xml import data_of
from twin.vocab.inventory import Device
from twin.vocab.observed import LINKS_MAY_LACK, ObservedDevice


def configuration(reply: str) -> str:
    """The ``<data>`` of a <get-config> reply, indented, as text.

    Raises:
        PollError: the reply is unusable or has no ``<data>``.
    """
    data = data_of(reply)
    etree.indent(data)
    return etree.tostring(data, encoding="unicode", with_tail=False) + "\n"


def configured(reply: str) -> Found:
    """What the configuration tells of names, addresses and descriptions.

    Raises:
        PollError: the reply is unusable or has no ``<data>``.
    """
    return read_configured(data_of(reply))


def observed(device: Device, state: Found, told: Found) -> ObservedDevice:
    """The device by its state and, for names and addresses, its configuration.

    Without LLDP's neighbours that is said; where SNMP should have told them, links may be missing.
    """
    whole = with_configured(state, told)
    flags = [f"{LINKS_MAY_LACK}: no interface state over NETCONF"] if not state.interfaces else []
    if not state.lldp:
        unread = "neighbours: SNMP did not tell them" if device.snmp else "neighbours: not read over NETCONF"
        flags.append(f"{LINKS_MAY_LACK}: {unread}" if device.snmp else unread)
    return ObservedDevice(
        device.name,
        system_name=whole.system_name,
        interfaces=observed_interfaces(whole),
        lldp=state.lldp,
        ospf=observed_neighbors(whole),
        bgp=observed_peers(whole),
        bundles=observed_bundles(whole),
        flags=tuple(flags),
    )
