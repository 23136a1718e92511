"""demo: the main job on real routers, end to end."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twin.app.cli.common import Screen, Terminable, progress, screen
from twin.app.render import answer_view, percent, score_view, to_svg
from twin.vocab.answer import Answer
from twin.vocab.errors import UsageError
from twin.vocab.time import parse_duration

if TYPE_CHECKING:
    from twin.app.demo.network import Network
    from twin.app.demo.thread import Outcome


def register(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command()(demo)


def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Take the lab down at the end.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the figures as JSON into this file.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the demo's settings and data lie (replaced).")] = Path(
        "build/demo"
    ),
    settings: Annotated[
        Path | None, typer.Option(help="Take the store (e.g. InfluxDB) from these settings.", show_default="embedded")
    ] = None,
    recording: Annotated[
        bool, typer.Option("--recording", help="Play the recording even where a lab could run.")
    ] = False,
    change: Annotated[Path | None, typer.Option(help="Another change YAML to play (not with a recording).")] = None,
    train: Annotated[str, typer.Option(help="How long to train.")] = "70s",
    record: Annotated[Path | None, typer.Option(help="Write a recording of this run into this folder.")] = None,
) -> None:
    """Real routers polled, forecast, changed: the twin's prediction beside what the counters then showed.

    Without root, Linux or the lab's packages the same thread runs on a recording of the lab, and says so.
    Ctrl-C cleans up.
    """
    from twin.app.demo.play import prepared
    from twin.app.demo.recording import write_recording
    from twin.app.demo.thread import run

    show = screen()
    if recording and (record or change):
        raise UsageError("--record and --change need the lab, --recording plays what was recorded")
    if report is not None and not report.resolve().parent.is_dir():
        raise UsageError(f"--report {report}: there is no folder {report.resolve().parent}")
    plan, network, why = prepared(folder, settings, change, parse_duration(train), force_recording=recording)
    _fresh(folder)
    if why:
        show.warn(f"This is a RECORDING of the lab, not live routers: {'; '.join(why)}.")
    kept = False
    try:
        with Terminable():
            outcome = run(plan, network, _stages(), lambda said: _say(show, said))
            _print_outcome(show, outcome)
            _write_files(show, outcome, folder, report)
            if record is not None:
                write_recording(network, folder, record)
        kept = not leave and network.mode == "lab"
    finally:
        if not kept:
            _close(show, network)
    if kept:
        _print_next(show, folder, plan.lab.name, str(plan.change.steps[0].port))


def _write_files(show: Screen, outcome: Outcome, folder: Path, report: Path | None) -> None:
    from twin.app.demo.report import report as figures

    picture = to_svg(answer_view(outcome.answer, UTC), f"nettwin whatif: {outcome.answer.change}")
    (folder / "answer.svg").write_text(picture, encoding="utf-8")
    if report is not None:
        report.write_text(json.dumps(figures(outcome.facts), indent=2) + "\n", encoding="utf-8")
        show.out.print(f"figures: {report}", soft_wrap=True)


def _close(show: Screen, network: Network) -> None:
    """Cleaning up is not cut short by a second Ctrl-C."""
    before = signal.signal(signal.SIGINT, lambda *_: show.warn("still cleaning up ..."))
    try:
        with progress("cleaning up"):
            network.close()
    finally:
        signal.signal(signal.SIGINT, before)


def _fresh(folder: Path) -> None:
    """The demo's own folder, empty. Anything that is not a demo folder is refused."""
    if folder.exists() and any(folder.iterdir()) and not (folder / ".nettwin-demo").is_file():
        raise UsageError(f"{folder}: holds something that is not a demo; choose another --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / ".nettwin-demo").touch()


def _stages() -> Any:
    began = time.monotonic()

    @contextmanager
    def stage(title: str) -> Iterator[Any]:
        with progress(f"{time.monotonic() - began:4.0f} s  {title}") as steps:
            yield steps

    return stage


def _say(show: Screen, said: object) -> None:
    if isinstance(said, Answer):
        show.out.print(answer_view(said, UTC, width=show.out.width))
    else:
        show.out.print(f"       {said}", markup=False)


def _print_outcome(show: Screen, outcome: Outcome) -> None:
    made, facts = outcome.score, outcome.facts
    show.out.print(score_view(made))
    from twin.app.demo.report import skills

    for skill in skills(outcome.rows, "nettwin"):
        show.out.print(
            f"forecast {skill.horizon_hours:g} h ahead, held-out day: {_compared(skill.skill)} than naive day, "
            f"{_compared(skill.skill_against_last_value)} than the last value; "
            f"the 80 % band held {percent(skill.coverage80)}"
        )
    if outcome.later is not None:
        show.out.print(f"the same change in two hours, on the forecast: {outcome.later.verdict}")
    same = "all read back" if facts.samples == facts.samples_read_back else f"{facts.samples_read_back:,} READ BACK"
    show.out.print(f"{facts.samples:,} values collected from {facts.routers} routers, {same}; {facts.seconds:.0f} s")


def _compared(skill: float) -> str:
    return f"{percent(abs(skill))} {'better' if skill >= 0 else 'worse'}"


def _print_next(show: Screen, folder: Path, lab: str, port: str) -> None:
    settings = (folder / "nettwin.yaml").resolve()
    show.out.print(f"\nThe lab is still running. Try (root):\n  export NETTWIN_SETTINGS={settings}", soft_wrap=True)
    for line in (
        "nettwin collect --every 10s          # in another terminal, first",
        "nettwin snapshot",
        f"nettwin whatif --disable {port}",
        f"nettwin whatif --cost {port}=5000 --at +2h",
        "nettwin forecast show " + port,
        "nettwin ledger",
        f"nettwin lab status {lab}",
        f"nettwin lab down {lab}               # when you are done",
    ):
        show.out.print(f"  {line}", markup=False, soft_wrap=True)
