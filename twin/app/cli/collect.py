"""collect: poll the inventory, once or for ever, and tell how a running collector is."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from twin.app.cli.common import JsonOption, Screen, SettingsOption, Stop, progress, screen, settings_of
from twin.vocab.errors import EXIT_ERROR, UsageError
from twin.vocab.plain import to_plain
from twin.vocab.time import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collectors.failures import Failed
    from collectors.pace import Shard
    from collectors.results import Polled, Status
    from collectors.rounds import Poller
    from collectors.snmp.traps import TrapReceiver
    from collectors.watch import Nudges, Timing
    from twin.app.collecting import RoundReport
    from twin.app.collector import Collector
    from twin.app.folderconfigs import FolderReport
    from twin.app.settings import Settings
    from twin.app.store_watch import StoreWatch
    from twin.store import Store
    from twin.vocab.events import Event
    from twin.vocab.inventory import Device

HAND_ON_S = 5.0
SHIP_S = 10.0


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(collect)


def collect(
    once: Annotated[bool, typer.Option("--once", help="One full round, then stop.")] = False,
    every: Annotated[str | None, typer.Option(help="Counters this often, e.g. 10s.", show_default="settings")] = None,
    full_every: Annotated[str | None, typer.Option(help="Topology and configuration this often.")] = None,
    device: Annotated[list[str] | None, typer.Option("--device", "-d", help="Only this device; repeatable.")] = None,
    shard: Annotated[str, typer.Option(help="This collector's share of the devices, e.g. 1/3.")] = "1/1",
    status: Annotated[bool, typer.Option("--status", help="Poll nothing: tell how running collectors are.")] = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="With --status: as Prometheus text.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Poll the inventory over SNMP and NETCONF and store what comes. Reads only.

    Each device has its own times, spread over the interval. A device that is silent, slow or refuses is stored as such
    and never stops the others; a dead one costs a quick probe. With --once the exit code is 1 when no device answered.
    Ctrl-C ends after the polls under way (a second one at once).

    Several collectors may share one inventory: start each with its own --shard, 1/3, 2/3 and 3/3.
    With --status the exit code is 1 when no collector runs.
    """
    chosen = settings_of(settings)
    if status or prometheus:
        from twin.app.cli.collect_status import tell_status

        tell_status(chosen, as_json=as_json, prometheus=prometheus)
        return
    mine = _shard(shard)
    inventory = _inventory(chosen, device, mine)
    if once:
        _once(chosen, inventory, as_json=as_json)
        return
    interval = parse_duration(every) if every else chosen.file.collect.every
    longer = parse_duration(full_every) if full_every else chosen.file.collect.full_every
    _for_ever(chosen, inventory, mine, interval.total_seconds(), max(1, round(longer / interval)), as_json=as_json)


def _shard(text: str) -> Shard:
    from collectors.pace import Shard

    try:
        return Shard.parse(text)
    except ValueError as problem:
        raise UsageError(f"--shard {text}: {problem}") from problem


def _inventory(chosen: Settings, names: list[str] | None, mine: Shard) -> Sequence[Device]:
    from twin.app.inventory import load_devices

    path = chosen.at(chosen.file.devices)
    listed = load_devices(path, names=frozenset(names) if names else None)
    if not listed:
        raise UsageError(f"{path}: lists no device; fill it by hand or with nettwin discover")
    inventory = [device for device in listed if mine.owns(device.name)]
    if not inventory:
        raise UsageError(f"{path}: shard {mine} has none of its {len(listed)} devices")
    return inventory


def _once(chosen: Settings, inventory: Sequence[Device], *, as_json: bool) -> None:
    from twin.app.collecting import run_round
    from twin.app.wiring import folder_of, hashing_key, poller_of, store_of

    seen: set[str] = set()
    troubles: list[Polled | Failed] = []
    tally = Tally(screen(), as_json)
    with store_of(chosen, at_hand=True) as store, poller_of(chosen) as poller, progress("full round") as steps:

        def count(result: Polled | Failed) -> None:
            seen.add(result.device)
            if result.status != "ok":
                troubles.append(result)
            steps(len(seen), len(inventory), result.device)

        with Stop():
            report = run_round(poller, inventory, store, hashing_key(chosen), full=True, progress=count)
        folder = folder_of(chosen, inventory, store)
        if folder is not None:
            tally.folder(folder())
        steps.finish(f"{report.samples:,} values from {report.devices} devices in {report.seconds:.1f} s")
        left = _ship_once(chosen)
    for result in troubles:
        tally.heard(result)
    if left:
        screen().warn(left)
    tally.report(report)
    if tally.failed:
        raise typer.Exit(EXIT_ERROR)


def _ship_once(chosen: Settings) -> str:
    """Send what waits for InfluxDB, for a while; what is to be said of the rest, "" if nothing is left."""
    from twin.app.wiring import shipper_of
    from twin.store import StoreError

    shipper = shipper_of(chosen)
    if shipper is None:
        return ""
    try:
        status = shipper.ship(within=SHIP_S)
    except StoreError as problem:
        return f"not shipped: {problem}"
    if not status.backlog_rows:
        return ""
    why = status.reason or f"after {SHIP_S:g} s"
    return f"{status.backlog_rows:,} rows still wait to be shipped: {why}; nettwin store ship sends them"


def _for_ever(
    chosen: Settings, inventory: Sequence[Device], mine: Shard, interval: float, full_every: int, *, as_json: bool
) -> None:
    from twin.app.collector import Collector
    from twin.app.wiring import hashing_key, poller_of, store_of

    timing, tally = _timing(chosen, interval, full_every), Tally(screen(), as_json)
    with ExitStack() as stack:
        store, poller = stack.enter_context(store_of(chosen, at_hand=True)), stack.enter_context(poller_of(chosen))
        collector = Collector(
            store,
            hashing_key(chosen),
            devices=len(inventory),
            interval=interval,
            shard=str(mine),
            report=tally.report,
            tell=tally.trouble,
        )
        _beside(stack, chosen, inventory, store, collector, tally, every=interval * full_every, tell=timing.hand_on)
        tally.note(f"watching {len(inventory)} devices every {interval:g} s; Ctrl-C ends")
        _watch(stack, chosen, inventory, store, poller, collector, tally, timing)
    if tally.failed:
        raise typer.Exit(EXIT_ERROR)


def _timing(chosen: Settings, interval: float, full_every: int) -> Timing:
    from collectors.pace import Pace
    from collectors.watch import Timing

    pace = Pace(time.monotonic(), interval, full_every)
    return Timing(pace, spread=interval * chosen.file.collect.spread, hand_on=min(interval, HAND_ON_S))


def _beside(
    stack: ExitStack,
    chosen: Settings,
    inventory: Sequence[Device],
    store: Store,
    collector: Collector,
    tally: Tally,
    *,
    every: float,
    tell: float,
) -> None:
    """What runs beside the polling: answers for Prometheus, configuration text from a folder (read ``every`` so many
    seconds), the store's upkeep, shipping, and looking at the store and telling of itself (each ``tell`` seconds)."""
    from twin.app.collector_status import served
    from twin.app.folderconfigs import Background
    from twin.app.store_watch import LITTLE_DISK, Repeated, ShippingBeside, StoreWatch
    from twin.app.upkeep import UpkeepBeside, upkeep_command
    from twin.app.wiring import data_of, folder_of, place_of, shipping_of

    if chosen.file.collect.metrics:
        stack.enter_context(served(chosen.file.collect.metrics, collector.status))
    if (folder := folder_of(chosen, inventory, store)) is not None:
        stack.enter_context(Background(folder, every, tally.folder, tally.trouble))
    stack.enter_context(UpkeepBeside(upkeep_command(chosen.path), data_of(chosen), tally.trouble))
    if (shipping := shipping_of(chosen)) is not None:
        stack.enter_context(ShippingBeside(shipping.shipper))
    watch = StoreWatch(
        place_of(chosen),
        shipping,
        tell=tally.trouble,
        well=tally.note,
        happened=collector.told,
        little=max(LITTLE_DISK, 2 * chosen.file.store.spare_disk),
    )
    collector.surroundings = lambda: watch.figures
    stack.enter_context(Repeated(_told_of_itself(chosen, watch, collector, tally), tell))


def _told_of_itself(chosen: Settings, watch: StoreWatch, collector: Collector, tally: Tally) -> Callable[[], None]:
    """Look at the store and keep the status file up to date; that it can't be written stops nothing."""
    from twin.app.collector_status import status_file
    from twin.app.wiring import data_of
    from twin.vocab.plain import write_plain

    path = status_file(data_of(chosen), collector.shard)

    def tell() -> None:
        watch.look()
        try:
            write_plain(path, collector.status())
        except OSError as problem:
            tally.unwritten(f"{path}: can't be written: {problem.strerror}")
        else:
            tally.unwritten("")

    return tell


def _watch(
    stack: ExitStack,
    chosen: Settings,
    inventory: Sequence[Device],
    store: Store,
    poller: Poller,
    collector: Collector,
    tally: Tally,
    timing: Timing,
) -> None:
    """Poll, hear and deliver until told to stop."""
    from collectors.watch import Nudges

    nudges = Nudges()
    heard = _ears(stack, chosen, inventory, store, collector, tally, nudges)
    stop = stack.enter_context(Stop())

    poller.watch(
        inventory,
        timing,
        collector.deliver,
        stop=lambda: stop.requested,
        heard=heard,
        nudges=nudges,
        progress=collector.progress,
    )
    collector.close()
    if never := collector.progress.lost + collector.progress.waiting:
        tally.trouble(f"{never:,} values were never stored")


def _ears(
    stack: ExitStack,
    chosen: Settings,
    inventory: Sequence[Device],
    store: Store,
    collector: Collector,
    tally: Tally,
    nudges: Nudges,
) -> Callable[[Polled | Failed], None]:
    """Open what hears devices between polls; what is to be called with each poll's result."""
    from collectors.results import Polled
    from twin.app.trapping import own_addresses

    happened = _happenings(collector, tally, nudges)
    receiver = _receiver(chosen, inventory, store, collector, happened)
    if receiver:
        stack.enter_context(receiver)
    if chosen.file.collect.netconf_notifications:
        _listen(stack, inventory, happened, tally)

    def heard(result: Polled | Failed) -> None:
        collector.heard(result)
        tally.heard(result)
        if receiver and isinstance(result, Polled) and result.observed:
            receiver.sources.seen(result.device, own_addresses(result.observed))

    return heard


def _happenings(collector: Collector, tally: Tally, nudges: Nudges) -> Callable[[Event], None]:
    """Each event is kept and shown, and its device polled out of turn if that may show more."""
    from twin.app.trapping import worth_a_poll

    def happened(event: Event) -> None:
        collector.happened(event)
        tally.happened(event)
        if worth_a_poll(event):
            nudges(event.device)

    return happened


def _receiver(
    chosen: Settings,
    inventory: Sequence[Device],
    store: Store,
    collector: Collector,
    happened: Callable[[Event], None],
) -> TrapReceiver | None:
    """Hears traps, if the settings say so."""
    from twin.app.wiring import trap_receiver_of

    if chosen.file.traps is None:
        return None
    receiver = trap_receiver_of(chosen, chosen.file.traps, inventory, happened, store)
    collector.traps = receiver.tally
    return receiver


def _listen(stack: ExitStack, inventory: Sequence[Device], happened: Callable[[Event], None], tally: Tally) -> None:
    """Hears NETCONF notifications."""
    from collectors.netconf.listen import MOST_DEVICES, Listeners

    listeners = stack.enter_context(Listeners(inventory, happened))
    if listeners.left_out:
        tally.note(f"listening to {MOST_DEVICES} devices over NETCONF; not to {len(listeners.left_out)} more")


class Tally:
    """Shows what comes as it comes; ``failed``: the last report had no device that answered, or the store fails."""

    def __init__(self, show: Screen, as_json: bool) -> None:
        self._show = show
        self._as_json = as_json
        self._failing: dict[tuple[str, str], Status] = {}
        self._unwritten = ""
        self.failed = False

    def note(self, text: str) -> None:
        if not self._as_json:
            self._show.note(text)

    def happened(self, event: Event) -> None:
        self.note(f"{event.device}: {event.event} {event.subject}".rstrip())

    def folder(self, report: FolderReport | None) -> None:
        """Say what came of configuration text from elsewhere."""
        for remark in report.remarks if report else ():
            self._show.warn(remark)
        for document in report.changed if report else ():
            self.note(f"changed: {document}")

    def trouble(self, text: str) -> None:
        self._show.error(text)
        self.failed = True

    def unwritten(self, problem: str) -> None:
        """Say once that the status can't be kept."""
        if problem and not self._unwritten:
            self._show.error(problem)
        self._unwritten = problem

    def heard(self, result: Polled | Failed) -> None:
        """Say once that a device began to fail or lacks something, and once that it is well again.

        What a full round lacked may be nothing that the rounds between ask for: only a full one ends it.
        """
        who = (result.device, result.protocol)
        before = self._failing.get(who)
        if result.status != "ok":
            if before != result.status:
                self._show.warn(f"{result.device}: {result.protocol} {result.status}: {result.reason}")
            self._failing[who] = result.status
        elif before is not None and (before != "partial" or _is_full(result)):
            del self._failing[who]
            self._show.warn(
                f"{result.device}: {result.protocol} {'is whole' if before == 'partial' else 'answers'} again"
            )

    def report(self, report: RoundReport) -> None:
        """A line (of JSON, if so wished) about an interval."""
        self.failed = report.answered == 0
        if self._as_json:
            self._show.json(json.dumps(to_plain(report)))
            return
        for document in report.changed:
            self._show.note(f"changed: {document}")
        failing = f"; {len(report.failures)} polls failing" if report.failures else ""
        self._show.out.print(
            f"{report.at:%H:%M:%S} UTC  {report.samples:,} values from {report.answered} of {report.devices} devices"
            f" in {report.seconds:.1f} s{failing}",
            soft_wrap=True,
        )


def _is_full(result: Polled | Failed) -> bool:
    from collectors.results import Polled

    return isinstance(result, Polled) and result.observed is not None
