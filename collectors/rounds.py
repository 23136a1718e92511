"""A round over many devices: each ends as a value, whatever it did, and none delays the round beyond its deadline."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import structlog

from collectors import chain
from collectors.failures import Failed, FailureStatus, PollError, Protocol
from collectors.netconf import decode as netconf
from collectors.netconf.wire import Replies, Sessions
from collectors.profiles import ProfileSet
from collectors.snmp import decode as snmp
from collectors.snmp.pysnmp_engine import PysnmpEngine
from collectors.snmp.read import Reader, Sizes
from collectors.snmp.wire import Engine
from twin.vocab.blocks import Block, concat
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Device
from twin.vocab.observed import LINKS_MAY_LACK, ObservedDevice
from twin.vocab.time import instant, now

Status = Literal["ok", "partial"] | FailureStatus
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Polled:
    """What one device gave by one protocol. ``values``: how many were read; ``flags``: what is missing and why.

    ``observed`` is None in fast rounds. ``documents``: by name, ``config`` is the running configuration as sent
    (secrets included: hash them before they are stored).
    """

    device: str
    protocol: Protocol
    blocks: tuple[Block, ...]
    observed: ObservedDevice | None
    documents: Mapping[str, str]
    seconds: float
    values: int
    flags: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        return "partial" if self.flags else "ok"


@dataclass(frozen=True)
class Round:
    """One round: when it began (UTC), and per device what each protocol gave."""

    at: np.datetime64
    results: Mapping[str, tuple[Polled | Failed, ...]]

    def blocks(self) -> list[Block]:
        """All samples, one block a kind, and a ``poll`` block with a row for each device and protocol."""
        by_kind: dict[str, list[Block]] = {}
        for result in self._all():
            for block in result.blocks if isinstance(result, Polled) else ():
                by_kind.setdefault(block.kind, []).append(block)
        return [*(concat(blocks) for blocks in by_kind.values()), *self._poll_block()]

    def observed(self) -> dict[str, ObservedDevice]:
        """Each device as observed in this round; by SNMP if it answered, else by NETCONF."""
        found: dict[str, ObservedDevice] = {}
        for result in self._all():
            if isinstance(result, Polled) and result.observed and result.device not in found:
                found[result.device] = result.observed
        return found

    def documents(self) -> dict[str, dict[str, str]]:
        """Documents by device and name."""
        found: dict[str, dict[str, str]] = {}
        for result in self._all():
            if isinstance(result, Polled) and result.documents:
                found.setdefault(result.device, {}).update(result.documents)
        return found

    def failures(self) -> list[Failed]:
        return [result for result in self._all() if isinstance(result, Failed)]

    def _all(self) -> list[Polled | Failed]:
        return [result for results in self.results.values() for result in results]

    def _poll_block(self) -> list[Block]:
        rows = [
            {
                "device": result.device,
                "protocol": result.protocol,
                "status": result.status,
                "reason": "; ".join(result.flags) if isinstance(result, Polled) else result.reason,
                "seconds": result.seconds,
                "values": result.values if isinstance(result, Polled) else 0,
            }
            for result in self._all()
        ]
        return [Block.from_rows("poll", rows, self.at)] if rows else []


Progress = Callable[[Polled | Failed], None]


@dataclass(frozen=True)
class _Job:
    device: str
    protocol: Protocol
    poll: Callable[[], Awaitable[Polled]]
    gate: asyncio.Semaphore


@dataclass(frozen=True)
class Limits:
    """How much at once, and how long. Seconds are for one device and protocol."""

    snmp_at_once: int = 20
    netconf_at_once: int = 16
    snmp_deadline: float = 30.0
    netconf_deadline: float = 40.0


class Poller:
    """Polls devices over SNMP and NETCONF, reading only. A context manager; use it from one thread at a time.

    It owns the event loop, the SNMP engine and the NETCONF threads, and keeps them between rounds.
    """

    def __init__(
        self,
        profiles: ProfileSet,
        *,
        limits: Limits | None = None,
        engine: Callable[[], Engine] = PysnmpEngine,
    ) -> None:
        self._profiles = profiles
        self._limits = limits or Limits()
        self._make_engine = engine
        self._engine: Engine | None = None
        self._sizes: Sizes = {}
        self._runner = asyncio.Runner()
        self._sessions = Sessions()
        self._statuses: dict[tuple[str, Protocol], Status] = {}
        self._threads = ThreadPoolExecutor(self._limits.netconf_at_once, thread_name_prefix="netconf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back sockets, threads and the loop; sessions still open are cut."""
        self._sessions.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._engine is not None:
            self._runner.run(self._engine.close())
            self._engine = None
        self._runner.close()

    def round(self, devices: Sequence[Device], *, full: bool = True, progress: Progress | None = None) -> Round:
        """Poll every device once. Never raises for what a device does.

        Args:
            full: topology and configuration as well; otherwise counters only (NETCONF then only serves devices
                that have no SNMP).
            progress: called with each result as it comes.

        Raises:
            UsageError: two devices have one name, or a device names a profile that does not exist.
        """
        self._refuse(devices)
        return self._runner.run(self._round(devices, full, progress))

    def _refuse(self, devices: Sequence[Device]) -> None:
        if doubled := [name for name, count in Counter(d.name for d in devices).items() if count > 1]:
            raise UsageError(f"device name {doubled[0]!r} stands for several devices")
        for device in devices:
            for profile in device.profiles:
                _ = self._profiles[profile]

    async def _round(self, devices: Sequence[Device], full: bool, progress: Progress | None) -> Round:
        began = instant(now())
        if self._engine is None:
            self._engine = self._make_engine()
        self._snmp_gate = asyncio.Semaphore(self._limits.snmp_at_once)
        self._netconf_gate = asyncio.Semaphore(self._limits.netconf_at_once)
        engine = self._engine
        jobs = [job for device in devices for job in self._jobs(device, full, engine)]
        done = await asyncio.gather(*(self._run(job, progress) for job in jobs))
        results: dict[str, tuple[Polled | Failed, ...]] = {device.name: () for device in devices}
        for result in done:
            results[result.device] += (result,)
        return Round(began, results)

    def _jobs(self, device: Device, full: bool, engine: Engine) -> list[_Job]:
        jobs: list[_Job] = []
        if device.snmp is not None:
            jobs.append(_Job(device.name, "snmp", partial(self._poll_snmp, device, full, engine), self._snmp_gate))
        if device.netconf is not None and (full or device.snmp is None):
            jobs.append(_Job(device.name, "netconf", partial(self._poll_netconf, device, full), self._netconf_gate))
        return jobs

    async def _poll_snmp(self, device: Device, full: bool, engine: Engine) -> Polled:
        """At the deadline nothing more is asked; a request still open gets a quarter of that time on top."""
        deadline = self._limits.snmp_deadline
        until = time.monotonic() + deadline
        agent = await engine.agent(device)
        reader = Reader(agent, device, self._profiles, "full" if full else "fast", self._sizes, until)
        try:
            async with asyncio.timeout(1.25 * deadline):
                await reader.run()
        except TimeoutError:
            reader.cut_short(f"stopped after {1.25 * deadline:g} s")
        finally:
            agent.close()
        reading = reader.reading
        if reading is None:
            raise PollError("silent", "no answer")
        decoded = snmp.decode(device.name, reading)
        blocks, remarks = _checked(decoded.blocks)
        observed = decoded.observed if full else None
        return Polled(device.name, "snmp", blocks, observed, {}, 0.0, reading.values, (*decoded.flags, *remarks))

    async def _poll_netconf(self, device: Device, full: bool) -> Polled:
        """Interface samples are taken only where SNMP does not take them: two sources would make one series jump."""
        deadline = self._limits.netconf_deadline
        call = partial(self._sessions.fetch, device, config=full, deadline=deadline)
        future = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            replies: Replies = await asyncio.wait_for(future, deadline + 2.0)
        except TimeoutError:
            raise PollError("silent", f"not done in {deadline:g} s") from None
        return _decode_netconf(device, replies, full)

    async def _run(self, job: _Job, progress: Progress | None) -> Polled | Failed:
        result = await _outcome(job)
        self._log_change(result)
        if progress is not None:
            progress(result)
        return result

    def _log_change(self, result: Polled | Failed) -> None:
        """A device that stays silent is logged once, not every round."""
        key = (result.device, result.protocol)
        before, self._statuses[key] = self._statuses.get(key, "ok"), result.status
        if before == result.status:
            return
        known = log.bind(device=result.device, protocol=result.protocol, status=result.status)
        if isinstance(result, Failed):
            known.warning("poll_failed", reason=result.reason, seconds=round(result.seconds, 3))
        elif result.flags:
            known.warning("poll_partial", flags=result.flags)
        else:
            known.info("poll_recovered", before=before)


def _decode_netconf(device: Device, replies: Replies, full: bool) -> Polled:
    states = netconf.interface_states(replies.state) if replies.state else ()
    documents = {"config": netconf.configuration(replies.config)} if replies.config else {}
    block = None if device.snmp else netconf.interface_block(device.name, states, instant(now()))
    blocks, remarks = _checked([block] if block else [])
    observed = _observed_by_netconf(device, states) if full else None
    values = sum(len(state) for state in states)
    return Polled(device.name, "netconf", blocks, observed, documents, 0.0, values, remarks)


def _observed_by_netconf(device: Device, states: tuple[dict[str, Any], ...]) -> ObservedDevice:
    """Neighbours are not read over NETCONF: where SNMP should have told them, their links may be missing."""
    flags = [f"{LINKS_MAY_LACK}: no interface state over NETCONF"] if not states else []
    unread = "neighbours: SNMP did not tell them" if device.snmp else "neighbours: not read over NETCONF"
    flags.append(f"{LINKS_MAY_LACK}: {unread}" if device.snmp else unread)
    return ObservedDevice(device.name, interfaces=netconf.observed_interfaces(states), flags=tuple(flags))


def _checked(blocks: Sequence[Block]) -> tuple[tuple[Block, ...], tuple[str, ...]]:
    steps = (chain.drop_unnamed, chain.refuse_future(instant(now())), chain.drop_repeated)
    return chain.run_all(blocks, steps)


async def _outcome(job: _Job) -> Polled | Failed:
    """Poll when it is this job's turn; whatever happens becomes its result."""
    async with job.gate:
        started = time.monotonic()
        try:
            polled = await job.poll()
            return replace(polled, seconds=time.monotonic() - started)
        except PollError as problem:
            status, reason = problem.status, problem.reason
        except Exception as problem:  # noqa: BLE001 - a device must never stop a round
            status, reason = "error", " ".join(f"{type(problem).__name__}: {problem}".split())
            log.error("poll_broke", device=job.device, protocol=job.protocol, problem=reason)  # noqa: TRY400 - a traceback may show secrets
        return Failed(job.device, job.protocol, status, reason, time.monotonic() - started)
