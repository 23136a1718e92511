"""What the launcher is told: for every namespace its groups, mounts, sysctls, and programs stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from twin.lab.cgroups import Meter
from twin.lab.machine import environment
from twin.lab.plan import RouterPlan
from twin.lab.texts import IFTABLE_CACHE_TIMEOUT, sysctls

FRR = "/usr/lib/frr"
FRR_TEMPORARY = "/var/tmp"  # noqa: S108 - where FRR keeps crash logs; each router is given its own
AGENT_PID = "snmpd.pid"
_WITH_SNMP = {"zebra", "ospfd", "bgpd", "ospf6d", "isisd"}


@dataclass(frozen=True)
class Step:
    """One program. ``wait``: it must end with status 0 before the next stage; else it runs on by itself."""

    argv: Sequence[str]
    log: str
    cwd: str
    env: Mapping[str, str] = field(default_factory=environment)
    wait: bool = True
    input: str | None = None
    pid_file: str | None = None


@dataclass(frozen=True)
class Namespace:
    """One namespace to enter (None: the one we are in).

    ``binds``: (source, target) directories that only it sees so; paths of ``sysctls`` may hold ``*``.
    """

    name: str
    groups: Sequence[str]
    stages: Sequence[Sequence[Step]]
    namespace: str | None = None
    hostname: str = ""
    binds: Sequence[tuple[str, str]] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def router_namespace(
    router: RouterPlan, groups: Sequence[Path], meters: Mapping[str, Meter], services: Sequence[Step]
) -> Namespace:
    """A router: links up, agents and FRR, its configuration; ``services`` (LLDP, NETCONF) last."""
    d = router.directory
    links = [_step(d, ["ip", "-batch", f"{d}/links"]), _step(d, ["tc", "-batch", f"{d}/rates"])]
    return Namespace(
        name=router.name,
        namespace=router.namespace,
        hostname=router.name,
        groups=[str(g) for g in groups],
        binds=[(str(m.group), f"{d}/cg/{name}") for name, m in meters.items()] + [(str(d / "tmp"), FRR_TEMPORARY)],
        sysctls=sysctls(router),
        stages=[
            links[:1],
            [links[1], _agent(router), _daemon(router, "zebra")],
            [_daemon(router, name) for name in router.daemons[1:]],
            [_step(d, ["vtysh", "--vty_socket", str(d), "-f", f"{d}/frr.conf"]), _cache(router), _lldpd(router)],
            services,
        ],
    )


def agent_stages(router: RouterPlan) -> tuple[tuple[Step, ...], ...]:
    """The router's SNMP agent alone."""
    return ((_agent(router),), (_cache(router),))


def host_namespace(router: RouterPlan) -> Namespace:
    """The hosts behind a router: an address, a default route, and silence."""
    d = router.directory
    return Namespace(
        name=f"{router.name} hosts",
        namespace=router.host_namespace,
        hostname=f"{router.name}-hosts",
        groups=[],
        sysctls={"net/ipv6/conf/*/disable_ipv6": "1"},
        stages=[
            [_step(d, ["ip", "-batch", f"{d}/host_links"])],
            [_step(d, ["tc", "-batch", f"{d}/host_rates"]), _step(d, ["nft", "-f", f"{d}/host_filter"])],
        ],
    )


def _step(directory: Path, argv: Sequence[str]) -> Step:
    return Step(argv, f"{directory}/start.log", str(directory), _environment(directory))


def _environment(directory: Path) -> dict[str, str]:
    return environment(
        HOME=str(directory),
        SNMPCONFPATH=f"{directory}/snmp",
        SNMP_PERSISTENT_DIR=f"{directory}/persist",
        MIBS="",
    )


def _daemon(router: RouterPlan, name: str) -> Step:
    d = router.directory
    options = ["-d", "-f", "/dev/null", "-z", f"{d}/zserv.api", "--vty_socket", str(d), "-i", f"{d}/{name}.pid"]
    module = ["-M", "snmp"] if name in _WITH_SNMP else []
    return _step(d, [f"{FRR}/{name}", *options, "-P", "0", *module, "--log", f"file:{d}/frr.log"])


def _agent(router: RouterPlan) -> Step:
    d = router.directory
    return _step(d, ["snmpd", "-C", "-c", f"{d}/snmpd.conf", "-p", f"{d}/{AGENT_PID}", "-Lf", f"{d}/snmpd.log"])


def _cache(router: RouterPlan) -> Step:
    """Interface counters at most a second old; net-snmp's own habit is three. The community is in snmp/snmp.conf."""
    retry = ["-t", "0.2", "-r", "50"]
    return _step(router.directory, ["snmpset", "-v2c", *retry, "-Oqv", "127.0.0.1", IFTABLE_CACHE_TIMEOUT, "i", "1"])


def _lldpd(router: RouterPlan) -> Step:
    d = router.directory
    argv = ["lldpd", "-u", f"{d}/lldpd.sock", "-X", f"unix:{d}/agentx.sock", "-S", router.name, "-I", "eth*"]
    return _step(d, [*argv, "-m", str(router.management.ip), "-O", f"{d}/lldpd.conf"])
