"""FRR's integrated configuration (8.4) <-> the neutral configuration.

Every line is read, known to be without influence (``twin.config.frr_lines.IRRELEVANT``), or listed in ``unread``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from twin.config.frr_draft import Draft, finish
from twin.config.frr_lines import read_line
from twin.vocab.config import BgpConfig, DeviceConfig, InterfaceConfig, OspfConfig, OspfInterface, StaticRoute
from twin.vocab.errors import UsageError

DIALECT = "frr"
LOOPBACK = "lo"


@dataclass(frozen=True)
class Extras:
    """Lines of FRR's own that the neutral configuration has no word for, written as they are.

    ``top`` after the host name, ``ospf_interface`` in each interface that runs OSPF (except the loopback),
    ``ospf`` and ``bgp`` in the processes, ``bgp_neighbor`` after ``neighbor ADDRESS`` for each neighbour.
    """

    top: tuple[str, ...] = ()
    ospf_interface: tuple[str, ...] = ()
    ospf: tuple[str, ...] = ()
    bgp: tuple[str, ...] = ()
    bgp_neighbor: tuple[str, ...] = ()


def parse(text: str) -> DeviceConfig:
    """FRR configuration text -> neutral configuration, ``network`` statements resolved to interfaces.

    Never raises on odd text: what can't be read is in ``unread`` with its line number and section.
    """
    draft = Draft()
    for number, line in enumerate(text.splitlines(), start=1):
        read_line(draft, number, line)
    return replace(finish(draft), dialect=DIALECT)


def render(config: DeviceConfig, *, extras: Extras | None = None) -> str:
    """The neutral configuration as text for ``vtysh -f``; ``unread`` lines are not written.

    Raises:
        UsageError: a name or text that would break the line, or a rate FRR can't express (whole Mbit/s).
    """
    more = extras or Extras()
    parts: list[Iterable[str]] = [[f"hostname {_word(config.hostname, config)}", *more.top]]
    parts += [_interface(i, config, more) for i in config.interfaces]
    parts += [[_static(route, config)] for route in config.static_routes]
    if config.ospf:
        parts.append(_ospf(config.ospf, config, more))
    if config.bgp:
        parts.append(_bgp(config.bgp, more))
    return "\n".join(line for part in parts for line in (*part, "!")) + "\n"


def _interface(interface: InterfaceConfig, config: DeviceConfig, extras: Extras) -> Iterator[str]:
    yield f"interface {_word(interface.name, config)}"
    if interface.description:
        yield f" description {_text(interface.description, config)}"
    if not interface.enabled:
        yield " shutdown"
    yield from (f" ip address {address}" for address in interface.addresses)
    if interface.bandwidth_bps is not None:
        yield f" bandwidth {_mbit(interface.bandwidth_bps, f'{config.hostname}:{interface.name}')}"
    if interface.ospf:
        yield from _ospf_interface(interface.ospf, interface.name == LOOPBACK)
        yield from (f" {line}" for line in extras.ospf_interface if interface.name != LOOPBACK)
    yield "exit"


def _ospf_interface(ospf: OspfInterface, loopback: bool) -> Iterator[str]:
    yield f" ip ospf area {ospf.area}"
    if ospf.cost is not None:
        yield f" ip ospf cost {ospf.cost}"
    if ospf.network_type != ("loopback" if loopback else "broadcast"):
        yield f" ip ospf network {ospf.network_type}"
    if ospf.passive:
        yield " ip ospf passive"
    if ospf.hello_interval is not None:
        yield f" ip ospf hello-interval {ospf.hello_interval}"
    if ospf.dead_interval is not None:
        yield f" ip ospf dead-interval {ospf.dead_interval}"


def static_line(route: StaticRoute) -> str:
    """The ``ip route`` command of a static route."""
    gateway = " ".join(str(x) for x in (route.next_hop, route.interface) if x is not None) or "Null0"
    return f"ip route {route.prefix} {gateway}" + (f" {route.distance}" if route.distance != 1 else "")


def _static(route: StaticRoute, config: DeviceConfig) -> str:
    if route.interface is not None:
        _word(route.interface, config)
    return static_line(route)


def _ospf(ospf: OspfConfig, config: DeviceConfig, extras: Extras) -> Iterator[str]:
    yield "router ospf"
    yield f" ospf router-id {ospf.router_id}"
    if ospf.reference_bandwidth_bps != OspfConfig(IPv4Address(0)).reference_bandwidth_bps:
        yield f" auto-cost reference-bandwidth {_mbit(ospf.reference_bandwidth_bps, config.hostname)}"
    if ospf.maximum_paths is not None:
        yield f" maximum-paths {ospf.maximum_paths}"
    yield from (f" {line}" for line in extras.ospf)
    yield "exit"


def _bgp(bgp: BgpConfig, extras: Extras) -> Iterator[str]:
    yield f"router bgp {bgp.asn}"
    yield f" bgp router-id {bgp.router_id}"
    yield " no bgp ebgp-requires-policy"
    yield " no bgp network import-check"
    yield " no bgp default ipv4-unicast"
    yield from (f" {line}" for line in extras.bgp)
    for neighbor in bgp.neighbors:
        yield f" neighbor {neighbor.address} remote-as {neighbor.remote_as}"
        if neighbor.update_source is not None:
            yield f" neighbor {neighbor.address} update-source {neighbor.update_source}"
        yield from (f" neighbor {neighbor.address} {line}" for line in extras.bgp_neighbor)
    yield " address-family ipv4 unicast"
    yield from (f"  network {prefix}" for prefix in bgp.networks)
    for neighbor in bgp.neighbors:
        yield f"  neighbor {neighbor.address} activate"
        if neighbor.next_hop_self:
            yield f"  neighbor {neighbor.address} next-hop-self"
    yield " exit-address-family"
    yield "exit"


def _mbit(bps: int, where: str) -> int:
    mbit, rest = divmod(bps, 1_000_000)
    if rest or mbit < 1:
        raise UsageError(f"{where}: FRR takes whole Mbit/s, not {bps} bit/s")
    return mbit


def _text(text: str, config: DeviceConfig) -> str:
    if not text.isprintable():
        raise UsageError(f"{config.hostname}: {text!r} holds characters that break a configuration line")
    return text


def _word(text: str, config: DeviceConfig) -> str:
    if not text or " " in text:
        raise UsageError(f"{config.hostname}: {text!r} is not one word")
    return _text(text, config)
