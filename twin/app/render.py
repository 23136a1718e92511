"""Values -> tables and text for people. Device text is shown as text, never as markup."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from twin.app.score import Score
from twin.vocab.answer import ANSWER_SCHEMA_VERSION, Answer, LinkLoad, Reason
from twin.vocab.plain import to_plain
from twin.vocab.snapshot import Finding, Severity

VERDICT_STYLE = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}
SEVERITY_STYLE = {"error": "red", "warning": "yellow", "note": "dim"}
BAR_WIDTH = 10
SHOWN_DEVICES = 3
SVG_WIDTH = 136
NARROW = 120
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def bits(value: float | None) -> str:
    """bit/s with a decimal unit: 12.3 Mbit/s; None is a dash."""
    if value is None:
        return "–"
    for unit, size in (("Tbit/s", 1e12), ("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}" if value / size < 100 else f"{value / size:.0f} {unit}"
    return f"{value:.0f} bit/s"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}"


def size(octets: int | None) -> str:
    """12.3 MB; None is a dash."""
    if octets is None:
        return "–"
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if octets >= length:
            return f"{octets / length:.3g} {unit}" if octets / length < 100 else f"{octets / length:.0f} {unit}"
    return f"{octets} B"


def clock(when: datetime, zone: tzinfo) -> str:
    return when.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def age(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            count = seconds / size
            return f"{count:.3g} {unit}" if count < 999 else f"{count:,.0f} {unit}"  # no 1.83e+03
    return f"{seconds:.0f} s"


def shown(text: str) -> str:
    """Text a device or a file may have chosen, with its control characters made visible instead of obeyed."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def to_json(value: Any) -> str:
    return json.dumps(to_plain(value), indent=2, ensure_ascii=False)


def answer_json(answer: Answer) -> dict[str, Any]:
    """The Answer as plain JSON types, with its schema version and the derived utilisations."""
    plain: dict[str, Any] = {"schema_version": ANSWER_SCHEMA_VERSION} | to_plain(answer)
    for link, row in zip(answer.links, plain["links"], strict=True):
        row["link"] = f"{link.sender} > {link.receiver}"
        row["utilisation_before"] = to_plain(link.utilisation_before)
        row["utilisation_after"] = to_plain(link.utilisation_after)
    return plain


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> Table:
    """A plain table; columns named in ``right`` are aligned right; cells are text."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="dim", expand=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(shown(str(cell))) for cell in row))
    return made


def answer_view(answer: Answer, zone: tzinfo, *, links: int | None = 12, width: int = 150) -> RenderableType:
    """The whole Answer as an operator reads it: verdict, why, what moves, loads, evidence."""
    parts: list[RenderableType] = [_verdict(answer, zone)]
    if answer.reasons:
        parts.append(_reasons(answer.reasons))
    parts.append(_loads(answer.links, links, narrow=width < NARROW))
    if answer.lost_demands:
        rows = [(f"{a} → {b}", bits(v)) for a, b, v in answer.lost_demands]
        parts.append(table("traffic that loses its way", ("from → to", "offered"), rows, right=("offered",)))
    parts.append(_evidence(answer, zone))
    return Group(*parts)


def _verdict(answer: Answer, zone: tzinfo) -> RenderableType:
    text = Text()
    text.append(f"{answer.verdict}", VERDICT_STYLE[answer.verdict])
    text.append(f"  {shown(answer.change)}\n", "bold")
    text.append(f"about {clock(answer.about, zone)}; ")
    text.append(
        f"{bits(answer.moved_bps)} moves, {bits(answer.lost_bps)} is lost, "
        f"{len({m.device for m in answer.moves})} of {answer.evidence.devices} devices change their routes"
    )
    return Panel(text, title="what this change would do", title_align="left", expand=False)


def _reasons(reasons: Sequence[Reason]) -> Table:
    rows = [(Text(r.outcome, VERDICT_STYLE[r.outcome]), r.rule, r.subject, r.message) for r in reasons]
    return table("why", ("outcome", "rule", "about", "found"), rows)


def _loads(links: Sequence[LinkLoad], limit: int | None, *, narrow: bool) -> Table:
    def weight(link: LinkLoad) -> tuple[bool, float]:
        changed = abs(link.after_bps - link.before_bps) > 0.01 * max(link.before_bps, link.after_bps, 1.0)
        return changed, max(link.utilisation_after or 0.0, link.utilisation_before or 0.0)

    chosen = sorted(links, key=weight, reverse=True)[:limit]
    rows = [_load_row(link) for link in chosen]
    left_out = f" ({len(links) - len(chosen)} more with --all)" if len(chosen) < len(links) else ""
    columns = ["directed link", "capacity", "before", "after", "90 % interval", "used before", "used after", ""]
    if narrow:
        kept = [columns.index(c) for c in ("directed link", "before", "after", "used after")]
        columns, rows = [columns[i] for i in kept], [tuple(row[i] for i in kept) for row in rows]
    return table(
        f"link loads, changed and busiest first{left_out}",
        columns,
        rows,
        right=[c for c in columns if c not in ("directed link", "")],
    )


def _load_row(link: LinkLoad) -> tuple[object, ...]:
    low_high = link.after_interval
    interval = f"{bits(low_high.low)} … {bits(low_high.high)}" if low_high else "–"
    name = f"{link.sender.device} → {link.receiver.device} ({link.sender.interface})"
    after = bits(link.after_bps) if link.up_after else "down"
    return (
        name,
        bits(link.capacity_bps),
        bits(link.before_bps),
        after,
        interval if link.up_after else "–",
        percent(link.utilisation_before),
        percent(link.utilisation_after),
        _bar(link.utilisation_after or 0.0),
    )


def _bar(share: float) -> Text:
    filled = min(BAR_WIDTH, round(share * BAR_WIDTH))
    style = "red" if share > 0.8 else "yellow" if share > 0.6 else "green"
    return Text("█" * filled, style).append("·" * (BAR_WIDTH - filled), "dim")


def _evidence(answer: Answer, zone: tzinfo) -> Table:
    e = answer.evidence
    oldest = "–"
    if e.oldest_source is not None:
        oldest = f"{e.oldest_source.name}, {age((answer.asked_at - e.oldest_source.at).total_seconds())} old"
    residual = "–" if e.demand_residual is None else f"{e.demand_residual:.1%} of measured traffic not explained"
    rows = [
        ("devices", f"{e.devices}: {e.devices_with_config} with configuration, {e.devices_with_state} with state"),
        ("oldest source", oldest),
        ("lines not read", str(e.unread_lines)),
        ("demands", f"{e.demand_source}; {residual}"),
        ("snapshot", f"{answer.snapshot_hash[:12]}, answer valid until {clock(answer.expires, zone)}"),
        *((f"{f.severity}: {f.device}", f"{f.subject}: {f.message}") for f in grouped(e.findings)),
    ]
    return table("what this rests on", ("", ""), rows)


def score_view(made: Score) -> RenderableType:
    """Predicted beside measured, link by link where the load changed, and the errors in one line."""
    rows = [
        (x.link, bits(x.before_bps), bits(x.predicted_bps), bits(x.measured_bps), percent(x.error(x.predicted_bps)))
        for x in sorted(made.links, key=lambda x: -x.measured_bps)
        if x.changed
    ]
    columns = ("directed link", "before", "predicted", "measured", "off by")
    told = Text(
        f"hottest link {made.hottest_link}: prediction off by {percent(made.hottest_link_error)}; "
        f"{made.changed_links} changed links: off by {percent(made.changed_links_error)} (median), "
        f"'nothing changes' by {percent(made.no_change_error)}"
    )
    return Group(table("links whose load changed by 10 % or more", columns, rows, right=columns[1:]), told)


def grouped(findings: Sequence[Finding]) -> list[Finding]:
    """Findings that say the same of several devices as one, worst first."""
    same: dict[tuple[Severity, str, str], list[str]] = {}
    for f in findings:
        same.setdefault((f.severity, f.subject, f.message), []).append(f.device)
    order: tuple[Severity, ...] = ("error", "warning", "note")
    made = [
        Finding(severity, ", ".join(devices) if len(devices) <= SHOWN_DEVICES else f"{len(devices)} devices", *what)
        for (severity, *what), devices in same.items()
    ]
    return sorted(made, key=lambda f: order.index(f.severity))


def to_svg(view: RenderableType, title: str) -> str:
    """A picture of what a terminal would show; it loads nothing from elsewhere."""
    console = Console(record=True, file=io.StringIO(), width=SVG_WIDTH, highlight=False)
    console.print(view)
    picture = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=title), flags=re.DOTALL)
    return picture.replace("Fira Code, ", "")


def findings_table(findings: Sequence[Finding]) -> Table:
    rows = [(Text(f.severity, SEVERITY_STYLE[f.severity]), f.device, f.subject, f.message) for f in grouped(findings)]
    return table("what disagrees, is missing or was not understood", ("severity", "device", "about", "found"), rows)
