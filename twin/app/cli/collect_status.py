"""collect --status: how running collectors are, as tables, JSON or Prometheus text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import typer
from rich.text import Text

from twin.app.cli.common import Screen, screen
from twin.app.collector_status import CollectorStatus, prometheus_text, read_statuses
from twin.app.render import age, size, table, to_json
from twin.app.settings import Settings
from twin.app.store_watch import StoreFigures
from twin.app.wiring import data_of
from twin.vocab.errors import EXIT_ERROR
from twin.vocab.plain import to_plain
from twin.vocab.time import now


def tell_status(chosen: Settings, *, as_json: bool, prometheus: bool) -> None:
    """Tell of all that ever ran on the data folder; exit code 1 if none runs now."""
    statuses, present, show = read_statuses(data_of(chosen)), now(), screen()
    running = [s for s in statuses if s.is_running(present)]
    if prometheus:
        show.out.out(prometheus_text(tuple(running)), end="")
    elif as_json:
        show.json(to_json([{"running": s in running, **to_plain(s)} for s in statuses]))
    else:
        _print_statuses(show, statuses, running)
    if not running:
        raise typer.Exit(EXIT_ERROR)


def _print_statuses(show: Screen, statuses: Sequence[CollectorStatus], running: Sequence[CollectorStatus]) -> None:
    if not statuses:
        show.warn("no collector has run on this data folder yet: start one with nettwin collect")
    present = now()
    for status in statuses:
        alive = Text("running", "green") if status in running else Text("not running", "red")
        rows = [(name, alive if name == "collector" else value) for name, value in _facts(status).items()]
        show.out.print(table(f"shard {status.shard}", ("what", "value"), rows))
        if status.failing:
            failing = [
                (p.device, p.protocol, p.status, age((present - p.since).total_seconds()), p.reason)
                for p in status.failing
            ]
            show.out.print(table("failing", ("device", "protocol", "status", "for", "why"), failing))


def _facts(status: CollectorStatus) -> dict[str, str]:
    present, took = now(), status.store_seconds

    def ago(when: datetime | None) -> str:
        return "never" if when is None else f"{age((present - when).total_seconds())} ago"

    return {
        "collector": "",
        "process": str(status.pid),
        "started": ago(status.started),
        "told of itself": ago(status.updated),
        "devices": f"{status.devices}, each every {status.interval_s:g} s",
        "last answers": ", ".join(f"{n} {what}" for what, n in sorted(status.now.items())),
        "polls": f"{sum(status.polls.values()):,}, skipped {status.skipped:,}, out of turn {status.out_of_turn:,}",
        "last poll began": f"{max(0.0, status.late_s):.2f} s late",
        "read": f"{status.values:,} values in {status.requests:,} requests, {status.retries:,} sent again",
        "stored": f"{status.stored:,} values, last {ago(status.last_stored)}; {status.waiting:,} waiting",
        "lost": f"{status.lost:,} values",
        "storing took": f"median {took.median_s:.3g} s, 99 % within {took.p99_s:.3g} s, at most {took.longest_s:.3g} s",
        "store": f"{status.store_trouble} (since {ago(status.trouble_since)})" if status.trouble_since else "works",
        **_store_facts(status.surroundings),
        "traps": ", ".join(f"{n:,} {what}" for what, n in sorted(status.traps.items())) or "none",
    }


def _store_facts(seen: StoreFigures) -> dict[str, str]:
    facts = {"free disk": "–" if seen.free_bytes is None else size(seen.free_bytes)}
    if (ship := seen.ship) is not None:
        facts["shipping"] = f"{ship.state}: {ship.reason}" if ship.reason else ship.state
        waiting = f"{ship.backlog_rows:,} rows, {size(ship.backlog_bytes)} of {size(ship.quota)}"
        facts["to be shipped"] = f"{waiting}, the oldest for {age(ship.backlog_age_s)}"
        facts["shipped"] = f"{ship.sent:,} points; {ship.dead:,} refused, {ship.expired:,} too old"
    return facts | {f"alarm: {subject}": text for subject, text in (seen.alarms or {}).items()}
