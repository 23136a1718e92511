"""A snapshot with a change applied. The base is never touched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from twin.net.ports import PortView, port_views
from twin.vocab.change import Change, SetCost, SetEnabled, Step
from twin.vocab.config import OSPF_LARGEST_COST, InterfaceConfig
from twin.vocab.errors import UsageError
from twin.vocab.observed import ObservedInterface
from twin.vocab.snapshot import Finding, Port, Snapshot, SnapshotDevice


def fork(snapshot: Snapshot, change: Change) -> Snapshot:
    """The steps applied in order to a copy; a step without effect is noted as a finding of the copy.

    Disabling an interface takes the carrier of the far end too. Enabling one is taken to bring the link up when
    both ends are enabled.

    Raises:
        UsageError: an unknown device or interface (close names are given), a cost outside 1..65535, or a cost
            for an interface whose configuration is not known.
    """
    for step in change.steps:
        snapshot = _apply(snapshot, step)
    return snapshot


def _apply(snapshot: Snapshot, step: Step) -> Snapshot:
    view = _find(snapshot, step.port)
    if isinstance(step, SetCost):
        return _set_cost(snapshot, view, step)
    return _set_enabled(snapshot, view, step)


def _find(snapshot: Snapshot, port: Port) -> PortView:
    if port.device not in snapshot.devices:
        raise UsageError(f"unknown device {port.device!r}{_near(port.device, snapshot.devices)}")
    views = port_views({port.device: snapshot.devices[port.device]})
    if port not in views:
        near = _near(port.interface, [p.interface for p in views])
        raise UsageError(f"device {port.device} has no interface {port.interface!r}{near}")
    return views[port]


def _near(wrong: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(wrong, names, n=3, cutoff=0.5) or sorted(names)[:8]
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _set_cost(snapshot: Snapshot, view: PortView, step: SetCost) -> Snapshot:
    if not 1 <= step.cost <= OSPF_LARGEST_COST:
        raise UsageError(f"{step.port}: an OSPF cost is 1 to {OSPF_LARGEST_COST}, not {step.cost}")
    if view.config is None:
        raise UsageError(f"{step.port}: its configuration is not known, so its cost can't be changed")
    if view.config.ospf is None:
        return _noted(snapshot, step, "OSPF does not run there, so the cost has no effect")
    if view.config.ospf.cost == step.cost:
        return _noted(snapshot, step, "that is its cost already")
    ospf = replace(view.config.ospf, cost=step.cost)
    return _with_config(snapshot, step.port, replace(view.config, ospf=ospf))


def _set_enabled(snapshot: Snapshot, view: PortView, step: SetEnabled) -> Snapshot:
    if view.enabled == step.enabled and (view.up or not step.enabled):
        return _noted(snapshot, step, f"it is {'enabled' if step.enabled else 'disabled'} already")
    if view.config:
        snapshot = _with_config(snapshot, step.port, replace(view.config, enabled=step.enabled))
    link = snapshot.link_at(step.port)
    far = _find(snapshot, link.far(step.port)) if link else None
    carrier = step.enabled and (far is None or far.enabled)
    snapshot = _with_state(snapshot, step.port, admin_up=step.enabled, oper_up=carrier)
    return _with_state(snapshot, far.port, admin_up=far.enabled, oper_up=carrier) if far else snapshot


def _noted(snapshot: Snapshot, step: Step, message: str) -> Snapshot:
    note = Finding("note", step.port.device, step.port.interface, f"{step}: {message}")
    return replace(snapshot, findings=(*snapshot.findings, note))


def _with_config(snapshot: Snapshot, port: Port, interface: InterfaceConfig) -> Snapshot:
    device = snapshot.devices[port.device]
    if device.config is None:
        return snapshot
    interfaces = tuple(interface if i.name == port.interface else i for i in device.config.interfaces)
    return _with_device(snapshot, replace(device, config=replace(device.config, interfaces=interfaces)))


def _with_state(snapshot: Snapshot, port: Port, *, admin_up: bool, oper_up: bool) -> Snapshot:
    device = snapshot.devices[port.device]
    if device.observed is None:
        return snapshot

    def changed(interface: ObservedInterface) -> ObservedInterface:
        hit = interface.name == port.interface
        return replace(interface, admin_up=admin_up, oper_up=oper_up) if hit else interface

    interfaces = tuple(map(changed, device.observed.interfaces))
    return _with_device(snapshot, replace(device, observed=replace(device.observed, interfaces=interfaces)))


def _with_device(snapshot: Snapshot, device: SnapshotDevice) -> Snapshot:
    return replace(snapshot, devices={**snapshot.devices, device.name: device})
