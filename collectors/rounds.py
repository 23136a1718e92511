"""A round over many devices: each ends as a value, whatever it did, and none delays the round beyond its deadline."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self

import structlog
import uvloop

from collectors import chain
from collectors.failures import Failed, PollError, Protocol, community_doubted
from collectors.gate import Gate
from collectors.netconf import decode as netconf
from collectors.netconf.found import BESIDE_SNMP, SAMPLED, WITHOUT_SNMP, Found, blocks_of
from collectors.netconf.wire import Replies, Sessions
from collectors.pace import Breaker
from collectors.profiles import ProfileSet
from collectors.results import Polled, Round, Status
from collectors.snmp import decode as snmp
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.memory import Memory
from collectors.snmp.read import SYS_UPTIME, Reader
from collectors.snmp.wire import Engine
from collectors.watch import Deliver, Nudges, Progress, Timing, Watch
from twin.vocab.blocks import Block
from twin.vocab.errors import UsageError
from twin.vocab.inventory import Device
from twin.vocab.time import instant, now

log = structlog.get_logger(__name__)
Heard = Callable[[Polled | Failed], None]
_RANK = {"high": 1, "normal": 2, "low": 3}
_URGENT = 0
_COLLECT_AFTER = 50_000, 20, 100  # gc.set_threshold


@dataclass(frozen=True)
class _Job:
    device: str
    protocol: Protocol
    poll: Callable[[], Awaitable[Polled]]
    probe: Callable[[], Awaitable[None]]
    gate: Gate
    rank: int

    @property
    def key(self) -> tuple[str, Protocol]:
        return self.device, self.protocol


@dataclass(frozen=True)
class Limits:
    """How much at once, and how long. Seconds are for one device and protocol.

    Probes of devices that seem dead have places of their own: they never hold up those that answer.
    """

    snmp_at_once: int = 200
    netconf_at_once: int = 16
    probes_at_once: int = 100
    snmp_deadline: float = 30.0
    netconf_deadline: float = 40.0
    probe_s: float = 2.0


class Poller:
    """Polls devices over SNMP and NETCONF, reading only. A context manager; use it from one thread at a time.

    It owns the event loop, the SNMP engine and the NETCONF threads, and keeps them between rounds. While it is open,
    Python looks for garbage in cycles less often: thousands of rows make none, and looking took a seventh of the CPU.
    """

    def __init__(
        self,
        profiles: ProfileSet,
        *,
        limits: Limits | None = None,
        engine: Callable[[], Engine] = FastEngine,
    ) -> None:
        self._profiles = profiles
        self._limits = limits or Limits()
        self._make_engine = engine
        self._engine: Engine | None = None
        self._memories: defaultdict[str, Memory] = defaultdict(Memory)
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._sessions = Sessions()
        self._statuses: dict[tuple[str, Protocol], Status] = {}
        self._breakers: dict[tuple[str, Protocol], Breaker] = {}
        self._threads = ThreadPoolExecutor(self._limits.netconf_at_once, thread_name_prefix="netconf")
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*_COLLECT_AFTER)

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
        gc.set_threshold(*self._thresholds)

    def round(self, devices: Sequence[Device], *, full: bool = True, progress: Heard | None = None) -> Round:
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

    def watch(
        self,
        devices: Sequence[Device],
        timing: Timing,
        deliver: Deliver,
        *,
        stop: Callable[[], bool],
        heard: Heard | None = None,
        nudges: Nudges | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Poll each device at its own times until ``stop()``, and deliver what comes (see ``collectors.watch``).

        Args:
            deliver: given a round every few seconds, in a thread of its own; says whether it is kept.
            heard: called with each result as it comes.
            nudges: devices named to it are asked out of turn.
            progress: kept up to date, for others to look at.

        Raises:
            UsageError: two devices have one name, or a device names a profile that does not exist.
        """
        self._refuse(devices)

        async def run() -> None:
            await self._open()
            poll = partial(self._poll_device, heard=heard)
            watch = Watch(poll, devices, timing, deliver, nudges or Nudges(), progress or Progress())
            await watch.run(stop)

        self._runner.run(run())

    def _refuse(self, devices: Sequence[Device]) -> None:
        if doubled := [name for name, count in Counter(d.name for d in devices).items() if count > 1]:
            raise UsageError(f"device name {doubled[0]!r} stands for several devices")
        for device in devices:
            self._profiles.refuse_unknown(device)

    async def _open(self) -> Engine:
        """The engine, and gates that belong to the loop now running."""
        if self._engine is None:
            self._engine = self._make_engine()
        self._snmp_gate = Gate(self._limits.snmp_at_once)
        self._netconf_gate = Gate(self._limits.netconf_at_once)
        self._probe_gate = Gate(self._limits.probes_at_once)
        return self._engine

    async def _round(self, devices: Sequence[Device], full: bool, heard: Heard | None) -> Round:
        began = instant(now())
        await self._open()
        done = await asyncio.gather(*(self._poll_device(device, full, urgent=False, heard=heard) for device in devices))
        return Round(began, {device.name: results for device, results in zip(devices, done, strict=True)})

    async def _poll_device(
        self, device: Device, full: bool, urgent: bool, *, heard: Heard | None
    ) -> tuple[Polled | Failed, ...]:
        """What the device gives by each protocol that is due; never raises."""
        rank = _URGENT if urgent else _RANK[device.priority]
        done = await asyncio.gather(*(self._run(job, full, heard) for job in self._jobs(device, full, rank)))
        return tuple(result for result in done if result is not None)

    def _jobs(self, device: Device, full: bool, rank: int) -> list[_Job]:
        jobs: list[_Job] = []
        if device.snmp is not None:
            poll, probe = partial(self._poll_snmp, device, full), partial(self._probe_snmp, device)
            jobs.append(_Job(device.name, "snmp", poll, probe, self._snmp_gate, rank))
        if device.netconf is not None and (full or device.snmp is None):
            poll, probe = partial(self._poll_netconf, device, full), partial(self._probe_netconf, device)
            jobs.append(_Job(device.name, "netconf", poll, probe, self._netconf_gate, rank))
        return jobs

    async def _probe_snmp(self, device: Device) -> None:
        """One question, asked once. Raises PollError if there is no answer."""
        assert self._engine is not None
        assert device.snmp is not None
        brief = replace(device.snmp, retries=0, timeout=min(device.snmp.timeout, self._limits.probe_s))
        agent = await self._engine.agent(replace(device, snmp=brief))
        try:
            with community_doubted(device.snmp):
                await agent.get([SYS_UPTIME])
        finally:
            agent.close()

    async def _probe_netconf(self, device: Device) -> None:
        """Whether its port takes a connection. Raises PollError if not."""
        assert device.netconf is not None
        try:
            async with asyncio.timeout(self._limits.probe_s):
                _, writer = await asyncio.open_connection(device.address, device.netconf.port)
        except (TimeoutError, OSError):
            raise PollError("silent", "no answer") from None
        writer.close()

    async def _poll_snmp(self, device: Device, full: bool) -> Polled:
        """At the deadline nothing more is asked; a request still open gets a quarter of that time on top."""
        deadline = self._limits.snmp_deadline
        until = time.monotonic() + deadline
        assert self._engine is not None
        agent = await self._engine.agent(device)
        reader = Reader(agent, device, self._profiles, "full" if full else "fast", self._memories[device.name], until)
        try:
            with community_doubted(device.snmp):
                async with asyncio.timeout(1.25 * deadline):
                    await reader.run()
        except TimeoutError:
            reader.cut_short(f"stopped after {1.25 * deadline:g} s")
        finally:
            agent.close()
        reading = reader.reading
        if reading is None:
            raise PollError("silent", "no answer")
        decoded = snmp.decode(device.name, reading, observe=full)
        blocks, remarks = _checked(decoded.blocks)
        flags, tally = (*decoded.flags, *remarks), agent.tally
        return Polled(
            device.name,
            "snmp",
            blocks,
            decoded.observed,
            decoded.documents,
            0.0,
            reading.values,
            flags,
            requests=tally.requests,
            retries=tally.retries,
        )

    async def _poll_netconf(self, device: Device, full: bool) -> Polled:
        """Interface samples are taken only where SNMP does not take them: two sources would make one series jump."""
        deadline = self._limits.netconf_deadline
        topics = BESIDE_SNMP if device.snmp else WITHOUT_SNMP if full else SAMPLED

        def read() -> Polled:
            """In a thread: a configuration of many megabytes must not hold up the loop that everybody waits on."""
            return _decode_netconf(
                device, self._sessions.fetch(device, config=full, topics=topics, deadline=deadline), full
            )

        future = asyncio.get_running_loop().run_in_executor(self._threads, read)
        try:
            return await asyncio.wait_for(future, deadline + 2.0)
        except TimeoutError:
            raise PollError("silent", f"not done in {deadline:g} s") from None

    async def _run(self, job: _Job, full: bool, heard: Heard | None) -> Polled | Failed | None:
        """Poll when it is this job's turn; None if it is left alone this time."""
        breaker = self._breakers.get(job.key, Breaker())
        if not breaker.allows(full=full):
            return None
        result: Polled | Failed | None = await self._probed(job, breaker) if breaker.is_open else None
        if result is None:
            async with job.gate.entered(job.rank):
                result = await _outcome(job, job.poll)
            assert result is not None
        self._breakers[job.key] = breaker.after(result.status)
        self._log_change(result)
        if heard is not None:
            heard(result)
        return result

    async def _probed(self, job: _Job, breaker: Breaker) -> Failed | None:
        """None if the device seems to be back."""
        async with self._probe_gate.entered(job.rank):
            result = await _outcome(job, job.probe)
        if not isinstance(result, Failed) or result.status != "silent":
            return None
        return replace(result, reason=f"{result.reason} (a quick probe after {breaker.silent} silent polls)")

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
    found = replies.state.found
    documents = {"config": netconf.configuration(replies.config)} if replies.config else {}
    told = netconf.configured(replies.config) if replies.config else Found()
    blocks, remarks = _checked([] if device.snmp else blocks_of(device.name, found, instant(now())))
    observed = netconf.observed(device, found, told) if full else None
    flags = (*replies.state.flags, *remarks)
    return Polled(device.name, "netconf", blocks, observed, documents, 0.0, found.values, flags)


def _checked(blocks: Sequence[Block]) -> tuple[tuple[Block, ...], tuple[str, ...]]:
    steps = (chain.drop_unnamed, chain.refuse_future(instant(now())), chain.drop_repeated)
    return chain.run_all(blocks, steps)


async def _outcome(job: _Job, work: Callable[[], Awaitable[Polled | None]]) -> Polled | Failed | None:
    """What the work gives; whatever goes wrong becomes the result."""
    began, started = instant(now()), time.monotonic()
    try:
        polled = await work()
        return polled and replace(polled, seconds=time.monotonic() - started, at=began)
    except PollError as problem:
        status, reason = problem.status, problem.reason
    except Exception as problem:  # noqa: BLE001 - a device must never stop a round
        status, reason = "error", " ".join(f"{type(problem).__name__}: {problem}".split())
        log.error("poll_broke", device=job.device, protocol=job.protocol, problem=reason)  # noqa: TRY400 - a traceback may show secrets
    return Failed(job.device, job.protocol, status, reason, time.monotonic() - started, began)
