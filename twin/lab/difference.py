"""From one configuration to the next: what FRR's daemons and the kernel must be told. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from twin.config.frr import static_line
from twin.vocab.config import BgpConfig, BgpNeighbor, DeviceConfig, InterfaceConfig, OspfConfig, OspfInterface

Lines: TypeAlias = Iterator[str]


@dataclass(frozen=True)
class DaemonLines:
    """Lines for one FRR daemon's configuration terminal."""

    daemon: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Alias:
    """The kernel's text for an interface: what LLDP announces as port description."""

    interface: str
    text: str


Order: TypeAlias = DaemonLines | Alias


def difference(old: DeviceConfig, new: DeviceConfig) -> tuple[Order, ...]:
    """What to send, in order; nothing where the two agree. An interface that is gone is shut and stripped."""
    orders: list[Order] = []
    names = {i.name: None for i in (*new.interfaces, *old.interfaces)}
    pairs = [(_found(old, name), _found(new, name)) for name in names]
    _add(orders, "ospfd", _ospf_process(old.ospf, new.ospf))
    for before, after in pairs:
        _add(orders, "zebra", _in_interface(after.name, _zebra(before, after)))
        _add(orders, "ospfd", _in_interface(after.name, _ospf_interface(before, after)))
        if before.description != after.description:
            orders.append(Alias(after.name, after.description))
    _add(orders, "ospfd", iter(["no router ospf"] if old.ospf and not new.ospf else []))
    _add(orders, "staticd", _statics(old, new))
    _add(orders, "bgpd", _bgp(old.bgp, new.bgp))
    return tuple(orders)


def _found(config: DeviceConfig, name: str) -> InterfaceConfig:
    return config.interface(name) or InterfaceConfig(name, enabled=False)


def _add(orders: list[Order], daemon: str, lines: Lines) -> None:
    if listed := tuple(lines):
        orders.append(DaemonLines(daemon, listed))


def _in_interface(name: str, lines: Lines) -> Lines:
    if listed := list(lines):
        yield from (f"interface {name}", *listed, "exit")


def _set(command: str, old: object, new: object) -> Lines:
    """``command NEW`` where the values differ, ``no command`` where there is none any more."""
    if old != new:
        yield f"no {command}" if new in (None, "") else f"{command} {new}"


def _zebra(old: InterfaceConfig, new: InterfaceConfig) -> Lines:
    yield from _set("description", old.description, new.description)
    yield from (f"no ip address {a}" for a in old.addresses if a not in new.addresses)
    yield from (f"ip address {a}" for a in new.addresses if a not in old.addresses)
    mbit = [None if b is None else max(1, b // 1_000_000) for b in (old.bandwidth_bps, new.bandwidth_bps)]
    yield from _set("bandwidth", *mbit)
    if old.enabled != new.enabled:
        yield "no shutdown" if new.enabled else "shutdown"


def _ospf_interface(old: InterfaceConfig, new: InterfaceConfig) -> Lines:
    before, after = (_ospf_values(i) for i in (old, new))
    if before["area"] not in (None, after["area"]):
        yield "no ip ospf area"
    for name in ("cost", "network", "hello-interval", "dead-interval"):
        yield from _set(f"ip ospf {name}", before[name], after[name])
    if before["passive"] != after["passive"]:
        yield "ip ospf passive" if after["passive"] else "no ip ospf passive"
    if after["area"] not in (None, before["area"]):
        yield f"ip ospf area {after['area']}"


def _ospf_values(interface: InterfaceConfig) -> dict[str, object]:
    ospf = interface.ospf
    if ospf is None:
        return dict.fromkeys(("area", "cost", "network", "passive", "hello-interval", "dead-interval"))
    return {
        "area": ospf.area,
        "cost": ospf.cost,
        "network": _network(ospf, loopback=interface.name == "lo"),
        "passive": ospf.passive or None,
        "hello-interval": ospf.hello_interval,
        "dead-interval": ospf.dead_interval,
    }


def _network(ospf: OspfInterface, *, loopback: bool) -> str | None:
    return None if ospf.network_type == ("loopback" if loopback else "broadcast") else ospf.network_type


def _ospf_process(old: OspfConfig | None, new: OspfConfig | None) -> Lines:
    if new is None or old == new:
        return
    before = old or OspfConfig(new.router_id)
    yield "router ospf"
    if old is None or old.router_id != new.router_id:
        yield f"ospf router-id {new.router_id}"
    reference = [c.reference_bandwidth_bps // 1_000_000 for c in (before, new)]
    yield from _set("auto-cost reference-bandwidth", *reference)
    yield from _set("maximum-paths", before.maximum_paths, new.maximum_paths)
    yield "exit"


def _statics(old: DeviceConfig, new: DeviceConfig) -> Lines:
    yield from (f"no {static_line(r)}" for r in old.static_routes if r not in new.static_routes)
    yield from (static_line(r) for r in new.static_routes if r not in old.static_routes)


def _bgp(old: BgpConfig | None, new: BgpConfig | None) -> Lines:
    if old == new:
        return
    if old and (new is None or old.asn != new.asn):
        yield f"no router bgp {old.asn}"
        old = None
    if new is None:
        return
    yield f"router bgp {new.asn}"
    if old is None:
        yield from ("no bgp ebgp-requires-policy", "no bgp network import-check", "no bgp default ipv4-unicast")
    before = old or replace(new, networks=(), neighbors=())
    if old is None or before.router_id != new.router_id:
        yield f"bgp router-id {new.router_id}"
    yield from _bgp_content(before, new)
    yield "exit"


def _bgp_content(old: BgpConfig, new: BgpConfig) -> Lines:
    known = {n.address: n for n in old.neighbors}
    wanted = {n.address: n for n in new.neighbors}
    changed = [n for n in new.neighbors if known.get(n.address) != n]
    yield from (f"no neighbor {address}" for address in known if address not in wanted)
    for neighbor in changed:
        yield f"neighbor {neighbor.address} remote-as {neighbor.remote_as}"
        source = known[neighbor.address].update_source if neighbor.address in known else None
        yield from _set(f"neighbor {neighbor.address} update-source", source, neighbor.update_source)
    family = [*_bgp_networks(old, new), *(line for n in changed for line in _activation(known.get(n.address), n))]
    if family:
        yield from ("address-family ipv4 unicast", *family, "exit-address-family")


def _bgp_networks(old: BgpConfig, new: BgpConfig) -> Lines:
    yield from (f"no network {p}" for p in old.networks if p not in new.networks)
    yield from (f"network {p}" for p in new.networks if p not in old.networks)


def _activation(old: BgpNeighbor | None, new: BgpNeighbor) -> Lines:
    if old is None:
        yield f"neighbor {new.address} activate"
    if (old is not None and old.next_hop_self) != new.next_hop_self:
        yield f"{'' if new.next_hop_self else 'no '}neighbor {new.address} next-hop-self"
