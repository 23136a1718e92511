"""store import|export: samples from files and into files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twin.app.cli.common import JsonOption, Screen, SettingsOption, Terminable, progress, screen, settings_of
from twin.app.render import clock, to_json
from twin.app.settings import Settings
from twin.vocab.errors import NettwinError, UsageError
from twin.vocab.time import now, parse_at

if TYPE_CHECKING:
    from twin.store import Writer
    from twin.store.transfer import Format, Imported, ImportPlan, MappingFile


class ImportFormat(StrEnum):
    """What a file to import is."""

    AUTO = "auto"
    LINE = "line"
    CSV = "csv"
    PARQUET = "parquet"


FORMATS: dict[ImportFormat, Format] = {
    ImportFormat.LINE: "line",
    ImportFormat.CSV: "csv",
    ImportFormat.PARQUET: "parquet",
}


class ExportFormat(StrEnum):
    """What a file to write is."""

    LINE = "line"
    CSV = "csv"
    PARQUET = "parquet"


WRITTEN: dict[ExportFormat, Format] = {
    ExportFormat.LINE: "line",
    ExportFormat.CSV: "csv",
    ExportFormat.PARQUET: "parquet",
}


class Precision(StrEnum):
    """The unit of the times in line protocol."""

    AUTO = "auto"
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


def register(app: typer.Typer) -> None:
    """Adds the commands of this file to the group ``nettwin store``."""
    app.command(name="import")(import_files)
    app.command()(export)


def import_files(
    files: Annotated[list[Path], typer.Argument(help="Line protocol, CSV or Parquet; .gz as well.")],
    form: Annotated[ImportFormat, typer.Option("--format", help="What they are; auto: by name, else by content.")] = (
        ImportFormat.AUTO
    ),
    mapping: Annotated[
        str | None,
        typer.Option(
            "--map",
            help="Others' line protocol: telegraf, telegraf-32bit, librenms or a mapping file.",
            show_default="nettwin's own",
        ),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="What the rows of a table are.", show_default="by its columns")
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="Unit of the times in line protocol; auto: by the first line.")
    ] = Precision.AUTO,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and judge everything, store nothing.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring samples from files into the store. What was cut off goes on where it was when called again.

    Lines that can't be stored are set aside with their reasons and never stop the import; what a mapping does not
    know is counted by name. History of rates (time, device, interface, in_bps, out_bps) is a CSV or Parquet table as
    well: each row is the mean of the 5-minute cell that starts at its time (UTC).
    """
    from twin.app.wiring import store_of

    chosen, show = settings_of(settings), screen()
    plan = _plan(chosen, form, mapping, kind, precision)
    done: list[Imported] = []
    failures: list[NettwinError] = []
    with Terminable(), nullcontext() if dry_run else store_of(chosen) as store:
        for file in files:
            try:
                done.append(_import_one(store, file, plan))
            except NettwinError as problem:
                show.error(f"nettwin: {problem}")
                failures.append(problem)
            else:
                if not as_json:
                    _tell(done[-1], chosen, show, dry_run=dry_run)
                    _tell_left_out(done[-1], plan.mapping, show)
    if as_json:
        show.json(to_json([asdict(one) | {"file": str(one.file), "refused_file": _named(one)} for one in done]))
    if failures:
        raise typer.Exit(failures[0].exit_code)


def export(
    kinds: Annotated[list[str], typer.Argument(help="What to export: interface, device, record ... (store status).")],
    output: Annotated[
        str, typer.Option(help="A file (.gz packs it), a folder (ends in / or is one), or - for stdout.")
    ],
    form: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.CSV,
    since: Annotated[
        str | None, typer.Option("--from", help="From this time on.", show_default="the first sample")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this time.", show_default="now")] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="Of this device only; may be repeated.", show_default="all")
    ] = None,
    fields: Annotated[
        str | None, typer.Option(help="These fields only, with commas between.", show_default="all")
    ] = None,
    settings: SettingsOption = None,
) -> None:
    """Write samples to files that nettwin store import reads back exactly; into a folder, one a kind and day.

    What was cut off goes on with the day it was at when called again. CSV is data: texts that a spreadsheet would take
    for formulas stay as they are.
    """
    from twin.app.wiring import store_of
    from twin.store.transfer import ExportPlan, output_of
    from twin.store.transfer import export as export_all

    chosen, show = settings_of(settings), screen()
    start, end = (None if text is None else parse_at(text, chosen.zone, present=now()) for text in (since, until))
    names = tuple(fields.split(",")) if fields else ()
    plan = ExportPlan(tuple(dict.fromkeys(kinds)), WRITTEN[form], start, end, tuple(device or ()), names)
    where = sys.stdout.buffer if output == "-" else Path(output)
    target = output_of(plan, where, folder=output.endswith("/") or Path(output).is_dir() or not Path(output).suffix)
    with Terminable(), store_of(chosen) as store, progress(f"exporting {', '.join(kinds)}") as steps:
        done = export_all(store, plan, target, now(), steps)
    again = " (went on where it was cut off)" if done.resumed else ""
    show.note(f"exported {done.rows:,} rows up to {clock(done.end, chosen.zone)} to {output}{again}")


def _plan(
    settings: Settings, form: ImportFormat, mapping: str | None, kind: str | None, precision: Precision
) -> ImportPlan:
    from twin.app.transferring import mapping_of, marks_of, names_by_address
    from twin.store.transfer import ImportPlan
    from twin.vocab.schema import KINDS

    if kind is not None and kind not in KINDS:
        raise UsageError(f"--kind {kind}: there is no such kind; there are {', '.join(KINDS)}")
    return ImportPlan(
        marks_of(settings),
        FORMATS.get(form),
        mapping_of(settings, mapping),
        kind,
        "" if precision == Precision.AUTO else precision.value,
        names_by_address(settings),
    )


def _import_one(store: Writer | None, file: Path, plan: ImportPlan) -> Imported:
    from twin.store.transfer import import_file

    with progress(f"{'importing' if store else 'reading'} {file.name}") as steps:
        return import_file(store, file, plan, now(), steps)


def _tell(one: Imported, settings: Settings, show: Screen, *, dry_run: bool) -> None:
    span = f", {clock(one.first, settings.zone)} to {clock(one.last, settings.zone)}" if one.first and one.last else ""
    verb = "would import" if dry_run else "imported"
    again = " (went on where it was cut off)" if one.resumed else ""
    show.out.print(f"{one.file}: {verb} {one.rows:,} rows, {one.values:,} values{span}{again}", soft_wrap=True)
    if one.refused:
        where = f": see {one.refused_file} and {one.refused_file}.reasons" if one.refused_file else ""
        show.warn(f"{one.refused:,} lines refused{where}")
        for example in one.examples:
            show.warn(f"  {example}")
    if one.unmapped:
        show.warn(f"not mapped: {_counted(one.unmapped)}")


def _tell_left_out(one: Imported, mapping: MappingFile | None, show: Screen) -> None:
    """What the mapping leaves out, a line a reason."""
    rules = mapping.measurements if mapping else ()
    reasons = {f"{name}.{field}": why for r in rules for name in r.names for field, why in r.left_out.items()}
    for reason in dict.fromkeys(reasons[name] for name in sorted(one.left_out)):
        names = {name: count for name, count in one.left_out.items() if reasons[name] == reason}
        show.note(f"left out ({reason}): {_counted(names)}")


def _counted(counts: Mapping[str, int]) -> str:
    named = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} ({count:,})" for name, count in named)


def _named(one: Imported) -> str | None:
    return str(one.refused_file) if one.refused_file else None
