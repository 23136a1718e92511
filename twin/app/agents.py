"""Asking one device over SNMP for an operator: the inventory's device, the settings' engine, one clear error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal, TypeVar

from collectors.failures import PollError, community_doubted
from collectors.snmp.wire import Agent
from twin.app.inventory import load_devices, load_snmp_access, read_entries
from twin.app.settings import Settings
from twin.app.wiring import engine_of
from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.inventory import Device

T = TypeVar("T")


def ask(settings: Settings, name: str, question: Callable[[Agent, Device], Awaitable[T]]) -> T:
    """What ``question`` learns of the device ``name``.

    Raises:
        UsageError: the inventory has no such device.
        MissingSecretError: its secrets are not where the devices file says.
        NettwinError: the device does not answer, or turns us away.
    """
    (device,) = load_devices(settings.at(settings.file.devices), names=frozenset([name]))
    return ask_device(settings, device, question)


def device_of(settings: Settings, name_or_address: str, credential: str | None) -> Device:
    """A device of the devices file by its name or address, else that address with a credential of the file.

    Raises:
        UsageError: the file has neither such a device nor such a credential, or an address comes without one.
        MissingSecretError: its secrets are not where the devices file says.
    """
    path = settings.at(settings.file.devices)
    if credential is not None:
        return Device(name_or_address, name_or_address, load_snmp_access(path, credential))
    listed = read_entries(path).devices
    named = next((d.name for d in listed if name_or_address in (d.name, d.address)), None)
    if named is None:
        raise UsageError(f"{path}: lists no device {name_or_address}; an address needs --credential")
    (device,) = load_devices(path, names=frozenset([named]))
    return device


def with_engine(settings: Settings, engine: Literal["fast", "pysnmp"] | None) -> Settings:
    """The settings with another SNMP engine; None changes nothing."""
    if engine is None:
        return settings
    collect = replace(settings.file.collect, snmp_engine=engine)
    return replace(settings, file=replace(settings.file, collect=collect))


def ask_device(settings: Settings, device: Device, question: Callable[[Agent, Device], Awaitable[T]]) -> T:
    """The same of a device that is at hand.

    Raises:
        NettwinError: it does not answer, or turns us away.
    """
    try:
        with community_doubted(device.snmp):
            return asyncio.run(_ask(settings, device, question))
    except PollError as problem:
        raise NettwinError(f"{_named(device)}: {problem.status}: {problem.reason}") from None


def _named(device: Device) -> str:
    return device.name if device.name == device.address else f"{device.name} ({device.address})"


async def _ask(settings: Settings, device: Device, question: Callable[[Agent, Device], Awaitable[T]]) -> T:
    engine = engine_of(settings)()
    try:
        agent = await engine.agent(device)
        try:
            return await question(agent, device)
        finally:
            agent.close()
    finally:
        await engine.close()
