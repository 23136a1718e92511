"""From a plan to running routers: files, wires, processes. Everything made here is found again by ``teardown``."""

from __future__ import annotations

import json
import shutil
from ipaddress import IPv4Network
from pathlib import Path

from twin.lab import agent_state, cgroups, keys, netconf, stages, texts
from twin.lab.background import helper
from twin.lab.machine import run
from twin.lab.plan import LabPlan, RouterPlan, device_config
from twin.vocab.errors import UsageError

AGENT = "agent"


def refuse_collision(lab: LabPlan) -> None:
    """Raises UsageError where the machine already uses the management prefix or the bridge's name."""
    for entry in json.loads(run(["ip", "-j", "-4", "addr"])):
        for address in entry["addr_info"]:
            theirs = IPv4Network((address["local"], address["prefixlen"]), strict=False)
            _refuse(lab, theirs, entry["ifname"])
    for route in json.loads(run(["ip", "-j", "-4", "route"])):
        if route["dst"] != "default":
            _refuse(lab, IPv4Network(route["dst"], strict=False), route.get("dev", "a route"))


def _refuse(lab: LabPlan, theirs: IPv4Network, owner: str) -> None:
    mine = lab.gateway.network
    if mine.overlaps(theirs):
        raise UsageError(
            f"{lab.name}: management prefix {mine} is in use here ({theirs} on {owner}); give the lab another one"
        )


def wire(lab: LabPlan) -> None:
    """Namespaces, bridge and veth pairs, in one go."""
    run(["ip", "-batch", "-"], text=texts.root_links(lab))


def write(lab: LabPlan, secrets: keys.Keys) -> list[stages.Namespace]:
    """Every router's directory with its files -> what the launcher is told."""
    tree = cgroups.hierarchy()
    namespaces: list[stages.Namespace] = []
    for router in lab.routers.values():
        cgroups.make(lab.name, router.name, tree)
        _write_router(lab, router, secrets, cgroups.meters(lab.name, router.name, tree))
        _write_netconf(lab, router, secrets)
        namespaces += namespaces_of(lab, router)
    return [the_agent(lab, secrets), *namespaces]


def namespaces_of(lab: LabPlan, router: RouterPlan) -> tuple[stages.Namespace, stages.Namespace]:
    """A router whose files are written, and its hosts, as the launcher is told."""
    tree = cgroups.hierarchy()
    groups = cgroups.make(lab.name, router.name, tree)
    meters = cgroups.meters(lab.name, router.name, tree)
    services = netconf.steps(netconf_directory(lab, router))
    return stages.router_namespace(router, groups, meters, services), stages.host_namespace(router)


def _write_router(lab: LabPlan, router: RouterPlan, secrets: keys.Keys, meters: dict[str, cgroups.Meter]) -> None:
    """FRR owns the directories; lldpd's monitor keeps CAP_DAC_OVERRIDE, and lldpcli (setuid) root's group."""
    d = router.directory
    for folder in (d, d / "snmp", d / "persist", d / "cg", d / "tmp"):
        folder.mkdir(mode=0o750)
        shutil.chown(folder, texts.FRR_USER, "root")
    files = {
        "links": texts.router_links(router),
        "rates": texts.router_rates(router),
        "host_links": texts.host_links(router),
        "host_rates": texts.host_rates(router),
        "host_filter": texts.host_filter(),
        "lldpd.conf": texts.lldpd_conf(),
        "frr.conf": texts.frr_conf(lab, router),
        "snmp/frr.conf": f"agentXSocket unix:{d}/agentx.sock\nagentXPingInterval 5\n",
    }
    files |= {f"cg/{name}.awk": meter.program + "\n" for name, meter in meters.items()}
    for name, text in files.items():
        (d / name).write_text(text, encoding="utf-8")
    _write_secret_files(lab, router, secrets, meters)


def _write_secret_files(lab: LabPlan, router: RouterPlan, secrets: keys.Keys, meters: dict[str, cgroups.Meter]) -> None:
    d = router.directory
    names = ("community", "local_community", "v3_auth", "v3_privacy")
    known = {name: keys.read(getattr(secrets, name)) for name in names}
    keys.write_private(d / "snmpd.conf", texts.snmpd_conf(router, known, meters, d / "cg", lab.gateway.ip))
    keys.write_private(d / "snmp" / "snmp.conf", f"defCommunity {known['local_community'].reveal()}\n")


def netconf_directory(lab: LabPlan, router: RouterPlan) -> Path:
    """Outside the router's own directory, which is FRR's: sshd wants root's all the way."""
    return lab.directory / "netconf" / router.name


def _write_netconf(lab: LabPlan, router: RouterPlan, secrets: keys.Keys) -> None:
    client_key = secrets.ssh_key.with_suffix(".pub").read_text(encoding="ascii").strip()
    netconf.write_files(
        netconf_directory(lab, router),
        router.management.ip,
        device_config(lab, router.name),
        client_key=client_key,
        host_key=secrets.host_key,
    )


def the_agent(lab: LabPlan, secrets: keys.Keys) -> stages.Namespace:
    """The process that makes FRR follow NETCONF; it waits for the routers' servers by itself."""
    targets = [
        agent_state.Target(
            name=router.name,
            address=str(router.management.ip),
            user=keys.NETCONF_USER,
            host_key=secrets.host_key_base64,
            key_file=str(secrets.ssh_key),
            namespace=router.namespace,
            vty_directory=str(router.directory),
        )
        for router in lab.routers.values()
    ]
    told = lab.directory / "agent.json"
    agent_state.write(told, agent_report(lab), targets)
    return helper(lab, AGENT, [str(told)])


def agent_report(lab: LabPlan) -> Path:
    return lab.directory / "agent-state.json"
