"""The collectors can't write: no operation that changes a device is named anywhere in them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from ncclient.devices.default import DefaultDeviceHandler

from collectors.netconf.wire import READ_ONLY, _ReadOnly

ROOM = Path(__file__).parents[2] / "collectors"
SOURCES = sorted(ROOM.rglob("*.py"))
# SNMP SET and notifications, NETCONF operations that change state (RFC 6241), and the ways to send anything at all
WRITING = {
    "set_cmd",
    "SetCommandGenerator",
    "SetRequestPDU",
    "NotificationOriginator",
    "edit_config",
    "copy_config",
    "delete_config",
    "commit",
    "discard_changes",
    "lock",
    "locked",
    "kill_session",
    "dispatch",
    "rpc",
    "exec_command",
    "invoke_shell",
}
WRITING_XML = ("edit-config", "copy-config", "delete-config", "<commit", "<lock", "<action")


def named(source: Path) -> set[str]:
    tree = ast.parse(source.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = (alias for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom)) for alias in n.names)
    return names | {alias.name.split(".")[-1] for alias in imported}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_no_writing_operation_is_named(source: Path) -> None:
    assert not named(source) & WRITING


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOM)))
def test_no_writing_request_is_spelled(source: Path) -> None:
    assert not [text for text in WRITING_XML if text in source.read_text()]


def test_the_operations_sent_by_name_only_get() -> None:
    assert READ_ONLY
    assert all(re.fullmatch(r"get-[a-z-]+-information", name) for name in READ_ONLY)


def test_no_other_operation_can_be_sent_by_name() -> None:
    operation = _ReadOnly(Session(), DefaultDeviceHandler())
    for name in ("request-system-reboot", "load-configuration", "get", "command"):
        with pytest.raises(ValueError, match="not among the read-only"):
            operation.request(name)


class Session:
    """As much of a session as an operation looks at before it sends."""

    def __init__(self) -> None:
        self.id = "1"

    def add_listener(self, _listener: object) -> None:
        return None

    def get_listener_instance(self, _kind: object) -> None:
        return None


def test_the_check_sees_what_it_is_meant_to_see(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("from pysnmp.hlapi import set_cmd\nsession.edit_config(target='running')\n")
    assert named(tmp_path / "x.py") >= {"set_cmd", "edit_config"}
