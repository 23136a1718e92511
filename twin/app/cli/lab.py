"""lab up|status|traffic|apply|down: real routers on this machine."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from twin.app.cli.common import JsonOption, Screen, Steps, Terminable, progress, screen
from twin.app.render import bits, table, to_json
from twin.vocab.errors import EXIT_ERROR, NettwinError, UsageError

if TYPE_CHECKING:
    from twin.lab.lab import Lab, Status
    from twin.lab.spec import LabFile

app = typer.Typer(no_args_is_help=True, help="Real routers (FRR, net-snmp, lldpd, netconfd) in network namespaces.")

LabArgument = Annotated[str, typer.Argument(metavar="LAB", help="A lab file, or the name of a lab that is up.")]


class Switch(StrEnum):
    """What to do with the lab's traffic."""

    START = "start"
    STOP = "stop"
    STATUS = "status"


@app.command()
def up(
    file: Annotated[Path, typer.Argument(help="A lab file, e.g. configs/labs/abilene.yaml.")],
    traffic: Annotated[bool, typer.Option(help="Send the lab's recorded traffic at once.")] = True,
    workspace: Annotated[
        Path | None, typer.Option(help="Write settings, inventory and keys' places for this lab into this folder.")
    ] = None,
) -> None:
    """Bring a lab up and wait until its routes, agents and neighbours are there. Needs root.

    An error, Ctrl-C or a lost terminal takes away what there is of it.
    """
    from twin.app.labspace import claimed_workspace
    from twin.lab.recording import recording
    from twin.lab.spec import read_lab

    spec = read_lab(file)
    if spec.traffic is not None:
        recording(spec, file)
    claimed = claimed_workspace(workspace) if workspace is not None else nullcontext()
    with Terminable(), claimed, progress(f"lab {spec.name}") as steps:
        settings = _bring_up(spec, steps, workspace, traffic=traffic and spec.traffic is not None)
        steps.finish(f"{len(spec.routers)} routers are up")
    if settings is not None:
        screen().out.print(f"settings for it: nettwin --help; export NETTWIN_SETTINGS={settings}", soft_wrap=True)


def _bring_up(spec: LabFile, steps: Steps, workspace: Path | None, *, traffic: bool) -> Path | None:
    """The lab whole, its traffic and its settings file with it; or nothing of it."""
    from twin.app.labspace import write_workspace
    from twin.lab.lab import down as take_down
    from twin.lab.lab import up as bring_up

    lab = bring_up(spec, progress=lambda what, done, total: steps(done, total, what))
    try:
        if traffic:
            lab.start_traffic()
        return write_workspace(lab, workspace, inventory=True, traps=True) if workspace is not None else None
    except BaseException:
        take_down(spec.name)
        raise


@app.command()
def status(lab: LabArgument, as_json: JsonOption = False) -> None:
    """Say how each router is, and what traffic was sent. Exit code 1 when something of the lab is missing."""
    found = _lab(lab).status()
    show = screen()
    if as_json:
        show.json(to_json(found))
    else:
        _print_status(show, found)
    if not found.good:
        raise typer.Exit(EXIT_ERROR)


def _print_status(show: Screen, found: Status) -> None:
    good = Text("good", "green")
    rows = [
        (
            r.router,
            r.address,
            *(Text(x, "red") if x else good for x in (r.routes, r.bgp, r.snmp, r.lldp, r.netconf)),
        )
        for r in found.routers
    ]
    columns = ("router", "address", "routes", "BGP", "SNMP", "LLDP", "NETCONF")
    show.out.print(table(f"lab {found.name}", columns, rows))
    _print_traffic(show, found)
    for note in found.notes:
        show.note(note)


def _print_traffic(show: Screen, found: Status) -> None:
    sent = found.traffic
    if not sent.running or sent.started is None or sent.at is None:
        show.out.print("traffic: not running")
        return
    seconds = max((sent.at - sent.started).total_seconds(), 1e-9)
    mean = float(sent.sent_octets.sum()) * 8 / seconds
    show.out.print(f"traffic: process {sent.pid}, {bits(mean)} sent on average over {seconds:.0f} s")


@app.command()
def traffic(lab: LabArgument, do: Annotated[Switch, typer.Argument(help="What to do.")] = Switch.STATUS) -> None:
    """Start or stop the lab's recorded traffic, or say what was sent."""
    found = _lab(lab)
    if do is Switch.START:
        found.start_traffic()
    elif do is Switch.STOP:
        found.stop_traffic()
    _print_traffic(screen(), found.status())


@app.command()
def apply(
    lab: LabArgument,
    file: Annotated[Path | None, typer.Argument(help="A change YAML; or give the change by options.")] = None,
    disable: Annotated[list[str] | None, typer.Option(metavar="DEVICE:IF", help="Interface down; repeatable.")] = None,
    enable: Annotated[list[str] | None, typer.Option(metavar="DEVICE:IF", help="Interface up; repeatable.")] = None,
    cost: Annotated[list[str] | None, typer.Option(metavar="DEVICE:IF=N", help="OSPF cost; repeatable.")] = None,
) -> None:
    """Make a change on the lab's routers, over NETCONF with a confirmed commit. Refuses any device not of the lab."""
    from twin.app.cli.whatif import change_of

    change = change_of(file, disable or [], enable or [], cost or [])
    found = _lab(lab)
    with progress("applying"):
        found.apply(change)
    screen().out.print(f"{found.name}: {change}: done", markup=False)


@app.command()
def down(
    lab: Annotated[str | None, typer.Argument(metavar="LAB", help="A lab file or a lab's name.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Take every lab of this machine away.")] = False,
) -> None:
    """Take a lab away: processes, namespaces, interfaces, control groups and files. Works on one left half-way."""
    from twin.lab.lab import down as take_down

    show = screen()
    names = _to_take_down(lab, every=every)
    if not names:
        show.out.print("no lab is up")
    failed = False
    for name in names:
        try:
            with progress(f"taking {name} down"):
                take_down(name)
            show.out.print(f"{name}: nothing of it is left")
        except NettwinError as problem:
            if not every:
                raise
            show.error(f"nettwin: {problem}")
            failed = True
    if failed:
        raise typer.Exit(EXIT_ERROR)


def _to_take_down(lab: str | None, *, every: bool) -> tuple[str, ...]:
    from twin.lab.lab import labs

    if lab is not None and every:
        raise UsageError("name a lab or say --all, not both")
    if lab is not None:
        return (_name(lab),)
    if not every:
        there = ", ".join(labs())
        raise UsageError(f"name the lab to take down, or say --all; up here: {there or 'none'}")
    return labs()


def _name(lab: str) -> str:
    """A lab file's name, or the name itself."""
    from twin.lab.spec import read_lab

    path = Path(lab)
    return read_lab(path).name if path.suffix in (".yaml", ".yml") else lab


def _lab(lab: str) -> Lab:
    from twin.lab.lab import load

    return load(_name(lab))
