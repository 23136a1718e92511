"""The NETCONF server of one router: files and programs (sshd in front of netconfd)."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from twin.config import yang
from twin.lab.keys import NETCONF_USER, write_private
from twin.lab.machine import environment
from twin.lab.stages import Step
from twin.vocab.config import DeviceConfig

PORT = 830
YANG = Path(__file__).with_name("yang")
HELPER = Path(__file__).with_name("get-interface-ipv4")
KEEPER = Path(__file__).with_name("netconfd-kept")
SYSTEM_YANG = "/usr/share/yuma/modules"
MODULES = (
    "ietf-interfaces",
    "ietf-ip",
    "ietf-system",
    "ietf-routing",
    "ietf-ipv4-unicast-routing",
    "nettwin-lab-router",
)
SSH_RUN = Path("/run/sshd")


def write_files(
    directory: Path, address: IPv4Address, config: DeviceConfig, *, client_key: str, host_key: Path
) -> None:
    """Everything one router's server reads, in a directory of its own that only root can enter.

    ``client_key`` is the public half (``ssh-ed25519 AAAA...``) of the one key that may log in, ``host_key`` the file
    of the server's private key; ``config`` becomes the startup configuration. The directory's parents must belong to
    root alone, or sshd refuses the key.
    """
    directory.mkdir(mode=0o700, parents=True)
    SSH_RUN.mkdir(mode=0o755, exist_ok=True)
    write_private(directory / "startup-cfg.xml", yang.render(config))
    write_private(directory / "authorized_keys", f'restrict,command="{_subsystem(directory)}" {client_key}\n')
    write_private(directory / "sshd_config", _sshd_config(directory, address, host_key))
    programs = directory / "bin"
    programs.mkdir()
    for program in (HELPER, KEEPER):
        copied = programs / program.name
        copied.write_bytes(program.read_bytes())
        copied.chmod(0o755)


def steps(directory: Path) -> tuple[Step, ...]:
    """The two programs, to be started inside the router's namespace; both stay in the foreground."""
    env = environment(HOME=str(directory))
    path = {"PATH": f"{directory}/bin:{env['PATH']}"}
    return (
        Step(_netconfd(directory), "/dev/null", str(directory), env | path, wait=False),
        Step(
            ["/usr/sbin/sshd", "-D", "-e", "-f", f"{directory}/sshd_config"],
            f"{directory}/sshd.log",
            str(directory),
            env,
            wait=False,
        ),
    )


def _socket(directory: Path) -> str:
    return f"{directory}/ncx.sock"


def _subsystem(directory: Path) -> str:
    return f"/usr/sbin/netconf-subsystem --ncxserver-sockname={PORT}@{_socket(directory)}"


def _netconfd(directory: Path) -> list[str]:
    return [
        f"{directory}/bin/{KEEPER.name}",
        "/usr/sbin/netconfd",
        f"--ncxserver-sockname={_socket(directory)}",
        f"--modpath={YANG}:{SYSTEM_YANG}",
        *(f"--module={name}" for name in MODULES),
        "--target=candidate",
        "--with-startup=true",
        f"--startup={directory}/startup-cfg.xml",
        "--startup-error=continue",
        f"--superuser={NETCONF_USER}",
        f"--log={directory}/netconfd.log",
        "--log-level=info",
    ]


def _sshd_config(directory: Path, address: IPv4Address, host_key: Path) -> str:
    """One address, one user, one key, one program: no shell, terminal, forwarding or password.

    sshd starts the program through the user's login shell; HOME keeps that shell from the user's own start-up files.
    StrictModes is off because it refuses the key where /run is world-writable; the lab checks its directory itself.
    """
    return "\n".join(
        [
            f"ListenAddress {address}:{PORT}",
            f"HostKey {host_key}",
            f"PidFile {directory}/sshd.pid",
            "UsePAM no",
            "AuthenticationMethods publickey",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin forced-commands-only",
            f"AllowUsers {NETCONF_USER}",
            f"AuthorizedKeysFile {directory}/authorized_keys",
            "StrictModes no",
            "DisableForwarding yes",
            "PermitTTY no",
            "PermitUserRC no",
            "PermitUserEnvironment no",
            f"SetEnv HOME={directory}",
            "PrintMotd no",
            "LoginGraceTime 20",
            "MaxAuthTries 2",
            "MaxStartups 50",
            f'Subsystem netconf "{_subsystem(directory)}"',
            f"ForceCommand {_subsystem(directory)}",
            "",
        ]
    )
