"""The text of every configuration file of a router, from its plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

from twin.config.frr import Extras, render
from twin.lab.cgroups import MEMORY_LIMIT, Meter
from twin.lab.keys import V3_USER
from twin.lab.plan import EDGE, HELLO_S, HOST, MANAGEMENT, LabPlan, RouterPlan, Wire, device_config
from twin.vocab.inventory import Secret

IFTABLE_CACHE_TIMEOUT = "1.3.6.1.4.1.8072.1.5.3.1.2.1.3.6.1.2.1.2.2"  # nsCacheTimeout.ifTable
CACHE_VIEW = ".1.3.6.1.4.1.8072.1.5.3"
FRR_USER = "frr"
QUERIES = "queries"  # the user as whom snmpd asks itself
EXTENDS = ("cpuTimeUs", "memoryUsedBytes", "memoryTotalBytes")
EXTRAS = Extras(
    top=("no zebra nexthop kernel enable", "agentx"),
    ospf=("timers throttle lsa all 0", "timers throttle spf 0 10 500", "timers lsa min-arrival 0"),
    bgp=("timers bgp 3 9",),
    bgp_neighbor=("timers connect 1",),
)
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/fib_multipath_hash_policy": "1",
    "net/ipv4/conf/*/rp_filter": "0",
    "net/ipv4/conf/all/ignore_routes_with_linkdown": "1",
}


def sysctls(router: RouterPlan) -> dict[str, str]:
    """Values below /proc/sys. Each router hashes flows with a seed of its own, or successive choices would agree."""
    return {
        "net/ipv6/conf/*/disable_ipv6": "0" if "ospf6" in router.igp else "1",
        **SYSCTLS,
        "net/ipv4/fib_multipath_hash_seed": str(0x9E3779B1 * router.index % 2**32 or 1),
    }


def frr_conf(lab: LabPlan, router: RouterPlan) -> str:
    text = render(device_config(lab, router.name), extras=EXTRAS)
    if "isis" in router.igp:
        text += _isis(router)
    if "ospf6" in router.igp:
        text += _ospf6(router)
    return text


def _isis(router: RouterPlan) -> str:
    lines = [
        "router isis lab",
        f" net 49.0001.{_system_id(router)}.00",
        " is-type level-2-only",
        " lsp-gen-interval 1",
        " spf-interval 1",
        "exit",
    ]
    for wire in router.wires:
        lines += [f"interface {wire.name}", " ip router isis lab", " isis network point-to-point"]
        lines += [f" isis metric {wire.cost}", f" isis hello-interval {HELLO_S}", "exit"]
    for name in ("lo", EDGE):
        lines += [f"interface {name}", " ip router isis lab", " isis passive", "exit"]
    return "\n".join(lines) + "\n"


def _system_id(router: RouterPlan) -> str:
    digits = "".join(f"{octet:03d}" for octet in router.loopback.packed)
    return f"{digits[:4]}.{digits[4:8]}.{digits[8:]}"


def _ospf6(router: RouterPlan) -> str:
    lines = ["router ospf6", f" ospf6 router-id {router.loopback}", "exit"]
    for wire in router.wires:
        lines += [f"interface {wire.name}", " ipv6 ospf6 area 0.0.0.0", " ipv6 ospf6 network point-to-point"]
        lines += [f" ipv6 ospf6 cost {wire.cost}", " ipv6 ospf6 hello-interval 1", "exit"]
    lines += ["interface lo", f" ipv6 address fd00::{router.index:x}/128", " ipv6 ospf6 area 0.0.0.0", "exit"]
    return "\n".join(lines) + "\n"


def snmpd_conf(
    router: RouterPlan, keys: Mapping[str, Secret], meters: Mapping[str, Meter], mounts: Path, manager: IPv4Address
) -> str:
    """``keys``: community, local_community, v3_auth, v3_privacy. ``mounts``: where the router sees its own groups.

    ``manager``: where traps go (port 162), whether anybody listens or not.
    """
    capacities = {w.name: w.capacity_bps for w in router.wires} | {EDGE: router.edge_capacity_bps}
    auth, privacy = keys["v3_auth"].reveal(), keys["v3_privacy"].reveal()
    return "\n".join(
        [
            f"agentAddress udp:{router.management.ip}:161,udp:127.0.0.1:161",
            "master agentx",
            f"agentXSocket unix:{router.directory}/agentx.sock",
            f"agentXPerms 0660 0750 {FRR_USER}",
            f"sysName {router.name}",
            "sysDescr router of a nettwin lab (FRR, net-snmp)",
            f"sysLocation {router.namespace}",
            "sysContact nettwin lab",
            "sysObjectID 1.3.6.1.4.1.8072.3.2.10",
            f"rocommunity {keys['community'].reveal()}",
            f"rwcommunity {keys['local_community'].reveal()} 127.0.0.1 {CACHE_VIEW}",
            f"createUser {V3_USER} SHA-256 {auth} AES {privacy}",
            f"rouser {V3_USER} authpriv",
            f"trapsess -v3 -l authPriv -u {V3_USER} -a SHA-256 -A {auth} -x AES -X {privacy} {manager}:162",
            *_link_traps(auth),
            *(f"interface {name} 6 {bps}" for name, bps in capacities.items()),
            *_extends(meters, mounts),
            "",
        ]
    )


def _link_traps(passphrase: str) -> list[str]:
    """linkDown and linkUp by the agent's own look at ifOperStatus, once a second (DISMAN-EVENT-MIB, RFC 2981)."""
    status = ".1.3.6.1.2.1.2.2.1.8"
    lines = [f"createUser {QUERIES} SHA-256 {passphrase}", f"rouser {QUERIES} auth", f"iquerySecName {QUERIES}"]
    for event, notification, condition in (("up", 4, "!= 2"), ("down", 3, "== 2")):
        told = f".1.3.6.1.2.1.2.2.1.1 .1.3.6.1.2.1.2.2.1.7 {status}"
        lines.append(f"notificationEvent {event} .1.3.6.1.6.3.1.1.5.{notification} {told}")
        lines.append(f'monitor -r 1 -e {event} "link {event}" {status} {condition}')
    return lines


def _extends(meters: Mapping[str, Meter], mounts: Path) -> list[str]:
    """Figures of the router's own control group: net-snmp's are the whole machine's."""
    lines = []
    if cpu := meters.get("cpu"):
        lines.append(f"extend {EXTENDS[0]} /usr/bin/awk -f {mounts}/cpu.awk {mounts}/cpu/{cpu.file}")
    if memory := meters.get("memory"):
        lines.append(f"extend {EXTENDS[1]} /usr/bin/awk -f {mounts}/memory.awk {mounts}/memory/{memory.file}")
        lines.append(f"extend {EXTENDS[2]} /bin/echo {MEMORY_LIMIT}")
    return lines


def lldpd_conf() -> str:
    return "configure lldp tx-interval 1\nconfigure lldp tx-hold 8\n"


def router_links(router: RouterPlan) -> str:
    """``ip -batch`` inside the router's namespace; FRR adds the addresses of all but ``mgmt``."""
    lines = ["link set lo up", f"addr add {router.management} dev {MANAGEMENT}", f"link set {MANAGEMENT} up"]
    lines += [wire_up(wire) for wire in router.wires]
    return "\n".join([*lines, f"link set {EDGE} alias hosts up", ""])


def router_rates(router: RouterPlan) -> str:
    """``tc -batch`` inside the router's namespace."""
    return "".join(map(cap, router.wires)) + _cap(EDGE, router.edge_capacity_bps)


def host_links(router: RouterPlan) -> str:
    lines = ["link set lo up", f"addr add {router.host} dev {HOST}", f"link set {HOST} up"]
    return "\n".join([*lines, f"route add default via {router.edge.ip}", ""])


def host_rates(router: RouterPlan) -> str:
    return _cap(HOST, router.edge_capacity_bps)


def host_filter() -> str:
    """Hosts take traffic in silence: no ICMP goes back."""
    chain = f"type filter hook ingress device {HOST} priority 0;\nip protocol udp drop"
    return f"table netdev hosts {{\nchain arriving {{\n{chain}\n}}\n}}\n"


def _cap(interface: str, bps: int) -> str:
    return f"qdisc add dev {interface} root tbf rate {bps}bit burst 32kb latency 100ms\n"


def root_links(lab: LabPlan) -> str:
    """``ip -batch`` in the root namespace: namespaces, the management bridge, and every veth pair."""
    lines = [f"link add {lab.bridge} type bridge", f"addr add {lab.gateway} dev {lab.bridge}"]
    lines += [f"link set {lab.bridge} up"]
    for router in lab.routers.values():
        lines += own_links(lab, router)
    for router in lab.routers.values():
        for wire in router.wires:
            peer = lab.routers[wire.peer]
            if (router.index, wire.name) < (peer.index, wire.peer_interface):
                lines.append(wire_pair(lab, router, wire))
    return "\n".join([*lines, ""])


def own_links(lab: LabPlan, router: RouterPlan) -> list[str]:
    """A router's and its hosts' namespaces, and all of their veth pairs but those of wires."""
    return [
        f"netns add {router.namespace}",
        f"netns add {router.host_namespace}",
        f"link add {router.veth} type veth peer name {MANAGEMENT} netns {router.namespace}",
        f"link set {router.veth} master {lab.bridge} up",
        _pair(EDGE, router.namespace, HOST, router.host_namespace),
    ]


def wire_pair(lab: LabPlan, router: RouterPlan, wire: Wire) -> str:
    """Both ends of a wire."""
    return _pair(wire.name, router.namespace, wire.peer_interface, lab.routers[wire.peer].namespace)


def wire_up(wire: Wire) -> str:
    """One end of a wire, inside its router's namespace."""
    return f"link set {wire.name} alias to-{wire.peer} mtu {wire.mtu} up"


def cap(wire: Wire) -> str:
    """``tc -batch``: no faster than the wire."""
    return _cap(wire.name, wire.capacity_bps)


def _pair(a: str, a_namespace: str, b: str, b_namespace: str) -> str:
    return f"link add {a} netns {a_namespace} type veth peer name {b} netns {b_namespace}"
