"""whatif and ledger: the question, and the score of past answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from twin.app.cli.common import JsonOption, SettingsOption, WindowOption, progress, screen, settings_of, window_of
from twin.app.render import (
    VERDICT_STYLE,
    answer_json,
    answer_view,
    bits,
    clock,
    percent,
    score_view,
    table,
    to_json,
    to_svg,
)
from twin.vocab.change import Change, SetCost, SetEnabled, Step
from twin.vocab.errors import EXIT_DONE, UsageError
from twin.vocab.snapshot import Port
from twin.vocab.time import now, parse_at


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(whatif)
    app.command()(observe)
    app.command()(ledger)


def whatif(
    file: Annotated[Path | None, typer.Argument(help="A change YAML; or give the change by options.")] = None,
    disable: Annotated[list[str] | None, typer.Option(metavar="DEVICE:IF", help="Interface down; repeatable.")] = None,
    enable: Annotated[list[str] | None, typer.Option(metavar="DEVICE:IF", help="Interface up; repeatable.")] = None,
    cost: Annotated[
        list[str] | None, typer.Option(metavar="DEVICE:IF=N", help="OSPF cost of an interface; repeatable.")
    ] = None,
    at: Annotated[
        str, typer.Option(help="now, 20:00, 'tomorrow 20:00', +2h, or an ISO time; naive = site's zone.")
    ] = "now",
    window: WindowOption = None,
    all_links: Annotated[bool, typer.Option("--all", help="Show every link, not only changed and busiest.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Also write the answer as a picture into this file.")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a change would do, before it is made: routes, link loads with an interval, lost traffic, a verdict.

    Examples: nettwin whatif --disable r1:eth2; nettwin whatif --cost r1:eth1=500 --at 20:00; nettwin whatif change.yaml

    Exit code: 0 PASS, 3 FAIL, 4 INCONCLUSIVE; limits are in policies.yaml.
    """
    from twin.app.asking import ask_and_record
    from twin.app.wiring import store_of

    chosen, present = settings_of(settings), now()
    change = change_of(file, disable or [], enable or [], cost or [])
    about = parse_at(at, chosen.zone, present=present)
    if about < present:
        raise UsageError(f"--at {at} is in the past")
    with progress("asking the twin"), store_of(chosen) as store:
        asked = ask_and_record(chosen, store, change, present=present, about=about, window=window_of(chosen, window))
    show = screen()
    view = answer_view(asked.answer, chosen.zone, links=None if all_links else 12, width=show.out.width)
    if svg is not None:
        svg.write_text(to_svg(answer_view(asked.answer, chosen.zone), f"nettwin whatif: {change}"), encoding="utf-8")
    if as_json:
        show.json(to_json({"number": asked.number} | answer_json(asked.answer)))
    else:
        show.out.print(view)
    if asked.answer.exit_code != EXIT_DONE:
        raise typer.Exit(asked.answer.exit_code)


def change_of(file: Path | None, disable: list[str], enable: list[str], cost: list[str]) -> Change:
    """The change that options or a file spell.

    Raises:
        UsageError: both or none given, or one that can't be read.
    """
    from twin.whatif.change_file import read_change

    steps: list[Step] = [
        *(SetEnabled(_port(p, "--disable"), enabled=False) for p in disable),
        *(SetEnabled(_port(p, "--enable"), enabled=True) for p in enable),
        *(_cost(c) for c in cost),
    ]
    if (file is None) == (not steps):
        raise UsageError("give either a change file or --disable, --enable, --cost; see nettwin whatif --help")
    return read_change(file) if file is not None else Change(tuple(steps))


def _port(text: str, option: str) -> Port:
    try:
        return Port.parse(text)
    except ValueError as problem:
        raise UsageError(f"{option} {problem}") from problem


def _cost(text: str) -> SetCost:
    port, equals, value = text.rpartition("=")
    if not equals or not (value.isascii() and value.isdecimal()):
        raise UsageError(f"--cost {text!r} is not device:interface=cost")
    return SetCost(_port(port, "--cost"), int(value))


def observe(
    number: Annotated[int, typer.Argument(help="The answer's number (nettwin ledger).")],
    window: WindowOption = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """After the change was made: enter what the counters show now, and score the prediction with it."""
    from twin.app.ledger import observe as enter

    chosen, show = settings_of(settings), screen()
    made = enter(chosen, number, now(), window_of(chosen, window))
    if as_json:
        show.json(to_json(made))
    else:
        show.out.print(score_view(made))


def ledger(
    number: Annotated[int | None, typer.Argument(help="Show this answer; without it, list the newest.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 20,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List past answers, what was then observed, and how far off the prediction was."""
    from twin.app.ledger import entries, entry

    chosen, show = settings_of(settings), screen()
    if number is not None:
        found = entry(chosen, number)
        if as_json:
            show.json(to_json(answer_json(found.answer) | {"observed": found.observed}))
        else:
            show.out.print(answer_view(found.answer, chosen.zone, links=None, width=show.out.width))
        return
    scores = entries(chosen, limit)
    if as_json:
        show.json(to_json(scores))
        return
    rows = [
        (
            s.number,
            clock(s.asked_at, chosen.zone),
            Text(s.verdict, VERDICT_STYLE.get(s.verdict, "")),
            s.change,
            bits(s.hottest_bps),
            percent(s.hottest_error),
            percent(s.changed_error),
        )
        for s in scores
    ]
    columns = ("#", "asked", "verdict", "change", "hottest, measured", "off by", "changed links off by")
    show.out.print(table("ledger", columns, rows, right=("#", *columns[4:])))
