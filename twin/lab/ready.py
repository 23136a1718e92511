"""When a lab is up: every prefix in every RIB, BGP established, agents answering, neighbours seen, NETCONF open."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from twin.lab import agent_state
from twin.lab.background import last_words, pid_of
from twin.lab.build import AGENT, agent_report
from twin.lab.keys import Keys
from twin.lab.machine import environment, run
from twin.lab.plan import LabPlan, RouterPlan
from twin.lab.vty import Vty
from twin.vocab.errors import NettwinError

Progress: TypeAlias = Callable[[str, int, int], None]
Check: TypeAlias = Callable[[RouterPlan], str | None]
PATIENCE_S = 60.0
POLL_S = 0.05
SYS_NAME = ".1.3.6.1.2.1.1.5.0"


@dataclass(frozen=True)
class Health:
    """One router as seen from outside: None = good, text = what is wrong with it."""

    router: str
    address: str
    routes: str | None
    bgp: str | None
    snmp: str | None
    lldp: str | None
    netconf: str | None

    @property
    def good(self) -> bool:
        return not any((self.routes, self.bgp, self.snmp, self.lldp, self.netconf))


def silent(*_told: object) -> None:
    """A progress that nobody listens to."""


def checks(lab: LabPlan, keys: Keys) -> Mapping[str, Check]:
    """By name; each looks at one router and says what is wrong with it."""
    return {
        "routes": lambda r: routes_missing(lab, r),
        "bgp": lambda r: bgp_missing(lab, r),
        "snmp": lambda r: snmp_missing(r, keys),
        "lldp": lldp_missing,
        "netconf": lambda r: netconf_missing(lab, r),
    }


def wait(lab: LabPlan, keys: Keys, progress: Progress) -> None:
    """Until every check holds for every router.

    Raises:
        NettwinError: something is still missing after a minute; names the first router and what is wrong with it.
    """
    deadline = time.monotonic() + PATIENCE_S
    for name, check in checks(lab, keys).items():
        pending = list(lab.routers.values())
        while pending:
            lacking = {r.name: lack for r in pending if (lack := check(r))}
            pending = [r for r in pending if r.name in lacking]
            progress(name, len(lab.routers) - len(pending), len(lab.routers))
            hopeless = time.monotonic() > deadline or pid_of(lab, AGENT) is None
            if pending and hopeless:
                raise NettwinError(f"{lab.name}: {pending[0].name} is not ready: {lacking[pending[0].name]}")
            if pending:
                time.sleep(POLL_S)


def health(lab: LabPlan, keys: Keys) -> tuple[Health, ...]:
    """Every router, looked at once."""
    table = checks(lab, keys)
    return tuple(
        Health(r.name, str(r.management.ip), **{name: check(r) for name, check in table.items()})
        for r in lab.routers.values()
    )


def rib(router: RouterPlan) -> dict[str, Any]:
    """``show ip route json`` of one router.

    Raises:
        NettwinError: zebra does not answer.
    """
    with Vty(router.directory, "zebra") as vty:
        table: dict[str, Any] = vty.json("show ip route json")
        return table


def routes_missing(lab: LabPlan, router: RouterPlan) -> str | None:
    try:
        table = rib(router)
    except (NettwinError, OSError) as problem:
        return f"does not tell its RIB ({problem})"
    chosen = {prefix for prefix, routes in table.items() if any(r.get("selected") for r in routes)}
    lacking = {str(p) for p in lab.prefixes} - chosen
    return f"lacks a route to {min(lacking)} ({len(lacking)} in all)" if lacking else None


def bgp_missing(lab: LabPlan, router: RouterPlan) -> str | None:
    if lab.asn is None:
        return None
    try:
        with Vty(router.directory, "bgpd") as vty:
            peers = vty.json("show bgp summary json").get("ipv4Unicast", {}).get("peers", {})
    except (NettwinError, OSError) as problem:
        return f"does not tell its BGP sessions ({problem})"
    idle = len(lab.routers) - 1 - sum(p["state"] == "Established" for p in peers.values())
    return f"lacks {idle} BGP session{'s' if idle > 1 else ''}" if idle else None


def snmp_missing(router: RouterPlan, keys: Keys) -> str | None:
    """Asks as a collector does: v2c over the management bridge."""
    argv = ["snmpget", "-v2c", "-t", "1", "-r", "0", "-Oqv", str(router.management.ip), SYS_NAME]
    try:
        named = run(argv, env=environment(SNMPCONFPATH=str(keys.directory), MIBS=""))
    except NettwinError:
        return "its SNMP agent does not answer"
    return None if named.strip().strip('"') == router.name else f"another SNMP agent answers: {named.strip()}"


def lldp_missing(router: RouterPlan) -> str | None:
    argv = ["lldpcli", "-u", str(router.directory / "lldpd.sock"), "-f", "json0", "show", "neighbors"]
    seen = set[str]()
    with contextlib.suppress(NettwinError, ValueError):
        for table in json.loads(run(argv) or "{}").get("lldp", []):
            seen |= {entry["name"] for entry in table.get("interface", [])}
    lacking = sorted({w.name for w in router.wires} - seen)
    return f"lacks an LLDP neighbour on {lacking[0]} ({len(lacking)} in all)" if lacking else None


def netconf_missing(lab: LabPlan, router: RouterPlan) -> str | None:
    """As the agent sees it, which holds a session with every router."""
    try:
        found = agent_state.states(agent_report(lab)).get(router.name)
    except (NettwinError, OSError) as problem:
        return f"the lab's agent does not tell ({problem})"
    if pid_of(lab, AGENT) is None:
        return f"the lab's agent has ended: {last_words(lab, AGENT)}"
    if found is None:
        return "the lab's agent does not know it yet"
    return found.error or (None if found.session else "lacks a NETCONF session")
