"""Routers of the lab as a collector's inventory has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from twin.vocab.inventory import Device, NetconfAccess, Secret, SnmpAccess, SnmpV2c, SnmpV3

if TYPE_CHECKING:
    from twin.lab.lab import Access


def lab_device(access: Access, *, v3: bool) -> Device:
    """Asked by SNMPv3 (authPriv) or by its community; and by NETCONF."""

    def secret(path: Path) -> Secret:
        return Secret(path.read_text().strip())

    user = SnmpV3(
        access.v3_user,
        auth_passphrase=secret(access.v3_auth_file),
        privacy_passphrase=secret(access.v3_privacy_file),
    )
    snmp = SnmpAccess(user if v3 else SnmpV2c(secret(access.community_file)))
    netconf = NetconfAccess(access.netconf_user, access.host_key, key_file=str(access.ssh_key_file))
    return Device(access.router, access.address, snmp, netconf)
