"""forecast train|run|show|backtest."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from twin.app.cli.common import JsonOption, Screen, SettingsOption, Terminable, progress, screen, settings_of
from twin.app.render import bits, clock, percent, table, to_json
from twin.vocab.errors import UsageError
from twin.vocab.forecast import SeriesKey
from twin.vocab.snapshot import Port
from twin.vocab.time import now, parse_at, parse_duration

if TYPE_CHECKING:
    from models.data import Excluded


class Metric(StrEnum):
    """What of an interface's load."""

    IN = "in_bps"
    OUT = "out_bps"


forecast_app = typer.Typer(no_args_is_help=True, help="Learn each interface's load, and say what comes.")


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.add_typer(forecast_app, name="forecast")


@forecast_app.command()
def train(
    budget: Annotated[str | None, typer.Option(help="How long to train, e.g. 90s.", show_default="settings")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train one model on the stored history of all interfaces, and make it the current one. Needs 7 days of history."""
    from twin.app.forecasts import history_panel, train_model
    from twin.app.jobs import job
    from twin.app.wiring import registry_of, store_of

    chosen = settings_of(settings)
    seconds = (parse_duration(budget) if budget else chosen.file.forecast.train_for).total_seconds()
    with Terminable(), job(chosen, "forecast train") as note, progress("training") as steps:
        with store_of(chosen) as store:
            panel, left_out = history_panel(store, now(), chosen.file.forecast.history)
        model = train_model(
            panel,
            registry_of(chosen),
            seconds=seconds,
            threads=chosen.file.forecast.threads,
            seed=seed,
            progress=lambda share, what: steps(share, 1.0, what),
        )
        note.text = model.model_id
    show = screen()
    _say_left_out(show, left_out)
    if as_json:
        show.json(to_json({"model": model.model_id, "series": len(panel.series), "provenance": model.provenance}))
    else:
        days = len(panel) / 288
        show.out.print(f"{model.model_id}: trained on {len(panel.series)} series x {days:.1f} days; now current")


@forecast_app.command()
def run(
    horizon: Annotated[str, typer.Option(help="How far ahead, at most 1d.")] = "1d",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast every interface with the current model and store the quantiles."""
    from twin.app.forecasts import current_model, history_panel, require_recent, store_forecast
    from twin.app.jobs import job
    from twin.app.wiring import registry_of, store_of

    chosen, present = settings_of(settings), now()
    steps = round(parse_duration(horizon).total_seconds() / 300)
    with Terminable(), job(chosen, "forecast run") as note, progress("forecasting"):
        model = current_model(registry_of(chosen))
        with store_of(chosen) as store:
            panel, left_out = history_panel(store, present, chosen.file.forecast.history)
            require_recent(panel, present)
            made = model.forecast(panel, steps, present)
            rows = store_forecast(store, made)
        note.text = f"{made.model}: {rows} rows"
    show = screen()
    _say_left_out(show, left_out)
    if as_json:
        show.json(to_json({"model": made.model, "issued": made.issued, "series": len(made.series), "rows": rows}))
    else:
        from twin.vocab.time import to_datetime

        until = clock(to_datetime(made.at[-1]), chosen.zone)
        show.out.print(f"{made.model}: {len(made.series)} series forecast until {until}, {rows:,} rows stored")


@forecast_app.command()
def show(
    port: Annotated[str, typer.Argument(metavar="DEVICE:IF", help="Which interface.")],
    metric: Annotated[Metric, typer.Option(help="Received or sent.")] = Metric.OUT,
    at: Annotated[str | None, typer.Option(help="Only this time, e.g. 20:00 (the site's zone).")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was last forecast for one interface: a plot with its 80 % band and an hourly table."""
    from twin.app.forecasts import stored_forecast
    from twin.app.plots import fan
    from twin.app.wiring import store_of

    chosen, present, screens = settings_of(settings), now(), screen()
    with store_of(chosen) as store:
        found = stored_forecast(store, _series(port, metric), present)
    if at is not None:
        found = found.only(parse_at(at, chosen.zone, present=present))
    if as_json:
        screens.json(to_json(found))
        return
    if at is None and screens.out.is_terminal:
        screens.out.print(fan(found, chosen.zone))
    rows = [
        (clock(t, chosen.zone), *(bits(q) for q in quantiles)) for t, quantiles in found.hourly(("q10", "q50", "q90"))
    ]
    coverage = percent(found.coverage80)
    issued = clock(found.issued, chosen.zone)
    title = f"{found.series} by {found.model}, issued {issued}; 80 % band in training: {coverage}"
    screens.out.print(table(title, ("at", "10 %", "median", "90 %"), rows, right=("10 %", "median", "90 %")))


@forecast_app.command()
def backtest(
    budget: Annotated[str | None, typer.Option(help="How long to train, e.g. 90s.", show_default="settings")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold out the last day, train on what is before it, and score the forecasts beside the naive ones.

    relSQL and relMASE are ratios to the naive day (lower is better); cov80 should be 80 %.
    """
    from twin.app.forecasts import backtest_rows, history_panel
    from twin.app.wiring import store_of

    chosen = settings_of(settings)
    seconds = (parse_duration(budget) if budget else chosen.file.forecast.train_for).total_seconds()
    with store_of(chosen) as store:
        panel, left_out = history_panel(store, now(), chosen.file.forecast.history)
    with progress("backtest") as steps:
        rows = backtest_rows(
            panel,
            seconds=seconds,
            threads=chosen.file.forecast.threads,
            progress=lambda share, what: steps(share, 1.0, what),
        )
    screens = screen()
    _say_left_out(screens, left_out)
    if as_json:
        screens.json(to_json(rows))
        return
    columns = ("model", "horizon", "MASE", "SQL", "relMASE", "relSQL", "cov80", "values")
    cells = [
        (
            r.model,
            f"{r.horizon * 5 / 60:g} h",
            f"{r.mase:.3f}",
            f"{r.sql:.3f}",
            f"{r.rel_mase:.3f}",
            f"{r.rel_sql:.3f}",
            percent(r.coverage80),
            f"{r.n:,}",
        )
        for r in rows
    ]
    screens.out.print(table("held-out last day, all interfaces", columns, cells, right=columns[2:]))


def _series(port: str, metric: Metric) -> SeriesKey:
    try:
        named = Port.parse(port)
    except ValueError as problem:
        raise UsageError(str(problem)) from problem
    return SeriesKey(named.device, named.interface, metric.value)


def _say_left_out(screens: Screen, left_out: tuple[Excluded, ...]) -> None:
    for excluded in left_out[:5]:
        screens.note(f"left out: {excluded}")
    if len(left_out) > 5:
        screens.note(f"... and {len(left_out) - 5} more series left out")
