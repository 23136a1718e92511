"""The one device write of the product: a Change made on the routers of a lab, on all of them or on none.

Each device: locks, edit of the candidate, validation, confirmed commit, check, confirmation. A device that fails, or an
interrupt, takes back what the others did. A process that dies takes its sessions with it, and netconfd then reverts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal, TypeAlias

import structlog
from lxml import etree

from twin.config import yang
from twin.config.yang_names import BASE, parser
from twin.lab.netconf_client import NETCONF_ERRORS, session
from twin.lab.ready import silent
from twin.vocab.change import Change, SetEnabled, Step
from twin.vocab.config import DeviceConfig
from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.inventory import Device

_log = structlog.get_logger(__name__)
State: TypeAlias = Literal["untouched", "edited", "pending", "applied", "rolled back", "unknown"]
Progress: TypeAlias = Callable[[str, State], None]
Check: TypeAlias = Callable[[], None]


class ApplyError(NettwinError):
    """The change could not be made; ``states`` says where each device stands now."""

    def __init__(self, message: str, states: Mapping[str, State]) -> None:
        super().__init__(message)
        self.states = dict(states)


@dataclass
class _Edit:
    """One device under change: an open session holding both locks, and how far it has come."""

    device: Device
    steps: tuple[Step, ...]
    manager: Any
    before: DeviceConfig
    state: State = field(default="untouched")


def apply(
    devices: Mapping[str, Device],
    change: Change,
    *,
    within: IPv4Network,
    confirm_timeout_s: int = 60,
    check: Check | None = None,
    progress: Progress | None = None,
) -> dict[str, State]:
    """Make a change on a lab's devices; every device is "applied", or an error says why not and nothing stays.

    Args:
        devices: by name; each device of the change needs NETCONF access.
        within: the lab's management prefix; no other address is ever written to.
        confirm_timeout_s: a device reverts by itself if it hears nothing for so long.
        check: called when all devices run the change unconfirmed; what it raises takes everything back.
        progress: called with device and state.

    Raises:
        UsageError: an unknown device or interface, no OSPF where a cost is set, an address outside ``within``.
        ApplyError: a device failed; the rest was taken back.
    """
    report = progress or silent
    grouped = _by_device(devices, change, within)
    edits: list[_Edit] = []
    with ExitStack() as stack:
        try:
            for device, steps in grouped:
                edits.append(_open(stack, device, steps))
            for stage in (_edit, _commit):
                for edit in edits:
                    _advance(edit, stage, confirm_timeout_s, report)
            if check:
                check()
            for edit in edits:
                _advance(edit, _confirm, confirm_timeout_s, report)
        except BaseException as problem:
            _take_back(edits, report)
            _complain(problem, [d.name for d, _ in grouped], edits)
            raise
    return {edit.device.name: edit.state for edit in edits}


def _by_device(
    devices: Mapping[str, Device], change: Change, within: IPv4Network
) -> list[tuple[Device, tuple[Step, ...]]]:
    if not change.steps:
        raise UsageError("the change has no steps")
    grouped: dict[str, list[Step]] = {}
    for step in change.steps:
        grouped.setdefault(step.port.device, []).append(step)
    return [(_allowed(devices, name, within), tuple(steps)) for name, steps in grouped.items()]


def _allowed(devices: Mapping[str, Device], name: str, within: IPv4Network) -> Device:
    device = devices.get(name)
    if device is None:
        raise UsageError(f"{name}: unknown device")
    try:
        inside = IPv4Address(device.address) in within
    except ValueError:
        inside = False
    if not inside:
        raise UsageError(f"{name}: {device.address} is not an address of the lab ({within}); nothing was changed")
    return device


def _open(stack: ExitStack, device: Device, steps: tuple[Step, ...]) -> _Edit:
    opened = stack.enter_context(session(device))
    try:
        for datastore in ("running", "candidate"):
            stack.enter_context(_Locked(opened, datastore))
        before = yang.parse(opened.get_config("running").data_xml)
    except NETCONF_ERRORS as problem:
        raise NettwinError(f"{device.name}: {problem}") from problem
    _check_steps(before, steps)
    return _Edit(device, steps, opened, before)


class _Locked:
    """A lock that a lost session does not turn into a second error."""

    def __init__(self, opened: Any, datastore: str) -> None:
        self._opened, self._datastore = opened, datastore

    def __enter__(self) -> None:
        self._opened.lock(self._datastore)

    def __exit__(self, *_: object) -> None:
        try:
            self._opened.unlock(self._datastore)
        except NETCONF_ERRORS as problem:
            _log.warning("lock not released", datastore=self._datastore, problem=str(problem))


def _check_steps(before: DeviceConfig, steps: Sequence[Step]) -> None:
    for step in steps:
        interface = before.interface(step.port.interface)
        if interface is None:
            known = ", ".join(i.name for i in before.interfaces)
            raise UsageError(f"{step.port}: unknown interface; {step.port.device} has {known}")
        if not isinstance(step, SetEnabled) and interface.ospf is None:
            raise UsageError(f"{step.port}: OSPF does not run there")


def _advance(edit: _Edit, stage: Callable[[_Edit, int], State], timeout_s: int, report: Progress) -> None:
    try:
        edit.state = stage(edit, timeout_s)
    except NETCONF_ERRORS as problem:
        raise NettwinError(f"{edit.device.name}: {problem}") from problem
    report(edit.device.name, edit.state)


def _edit(edit: _Edit, _timeout_s: int) -> State:
    """The candidate, checked as a whole. netconfd 2.13 loses the edit at ``validate candidate``: its text is sent."""
    edit.state = "edited"
    edit.manager.edit_config(
        target="candidate",
        config=yang.edit_config(edit.steps),
        test_option="test-then-set",
        error_option="rollback-on-error",
    )
    candidate = etree.fromstring(edit.manager.get_config("candidate").data_xml.encode(), parser())
    candidate.tag = f"{BASE}config"
    edit.manager.validate(source=candidate)
    return "edited"


def _commit(edit: _Edit, timeout_s: int) -> State:
    edit.state = "pending"
    edit.manager.commit(confirmed=True, timeout=str(timeout_s))
    _check_running(edit)
    return "pending"


def _confirm(edit: _Edit, _timeout_s: int) -> State:
    edit.manager.commit()
    edit.state = "applied"
    _save(edit)
    _check_running(edit)
    return "applied"


def _save(edit: _Edit) -> None:
    """A server that is started again comes back with what was confirmed (RFC 6241 section 8.7)."""
    edit.manager.copy_config(source="running", target="startup")


def _check_running(edit: _Edit) -> None:
    """The running configuration says what the steps asked for, the last word on each value."""
    running = yang.parse(edit.manager.get_config("running").data_xml)
    wanted = {(type(step), step.port): step for step in edit.steps}
    for step in wanted.values():
        interface = running.interface(step.port.interface)
        ospf = interface.ospf if interface else None
        if isinstance(step, SetEnabled):
            holds = interface is not None and interface.enabled == step.enabled
        else:
            holds = ospf is not None and ospf.cost == step.cost
        if not holds:
            raise NettwinError(f"{step.port}: the device accepted {str(step)!r} but does not run it")


def _take_back(edits: Sequence[_Edit], report: Progress) -> None:
    """Every device back to what it ran before, the last one first; one that can't be is "unknown"."""
    for edit in reversed(edits):
        try:
            edit.state = _undo(edit)
        except (*NETCONF_ERRORS, NettwinError) as problem:
            _log.error("could not be taken back", device=edit.device.name, state=edit.state, problem=str(problem))
            edit.state = "unknown"
        report(edit.device.name, edit.state)


def _undo(edit: _Edit) -> State:
    if edit.state == "untouched":
        return "untouched"
    if edit.state == "pending":
        edit.manager.cancel_commit()
    if edit.state != "applied":
        edit.manager.discard_changes()
        return "rolled back" if edit.state == "pending" else "untouched"
    edit.manager.edit_config(target="candidate", config=yang.restore(edit.before, edit.steps))
    edit.manager.commit()
    _save(edit)
    return "rolled back"


def _complain(problem: BaseException, names: Sequence[str], edits: Sequence[_Edit]) -> None:
    """Turn an error of one device into one that tells of all; usage errors and interrupts pass as they are."""
    if not isinstance(problem, NettwinError) or isinstance(problem, UsageError):
        return
    states: dict[str, State] = dict.fromkeys(names, "untouched")
    states |= {edit.device.name: edit.state for edit in edits}
    outcome = ", ".join(f"{name} {state}" for name, state in states.items())
    raise ApplyError(f"{problem} ({outcome})", states) from problem
