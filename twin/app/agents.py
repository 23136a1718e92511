"""Asking one device over SNMP for an operator: the inventory's device, the settings' engine, one clear error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from collectors.failures import PollError
from collectors.snmp.wire import Agent
from twin.app.inventory import load_devices
from twin.app.settings import Settings
from twin.app.wiring import engine_of
from twin.vocab.errors import NettwinError
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
    try:
        return asyncio.run(_ask(settings, device, question))
    except PollError as problem:
        raise NettwinError(f"{device.name} ({device.address}): {problem.status}: {problem.reason}") from None


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
