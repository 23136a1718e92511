"""What all commands share: consoles, progress, the settings option, and errors turned into exit codes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated, Any, Self, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from twin.app.render import shown
from twin.app.settings import Settings, load_settings, settings_path
from twin.vocab.time import parse_duration

PIPE_WIDTH = 150
ALMOST = 0.999  # rich takes a full bar for the end, and a stage is not the whole

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        "-s",
        envvar="NETTWIN_SETTINGS",
        help="Settings file.",
        show_default="configs/nettwin.yaml",
    ),
]


WindowOption = Annotated[
    str | None,
    typer.Option("--window", help="'Now' is the mean load of this long.", show_default="3 rounds"),
]
ROUNDS_IN_WINDOW = 3
SHORTEST_WINDOW = timedelta(seconds=60)


def window_of(settings: Settings, option: str | None) -> timedelta:
    """Over how long the present load is averaged: as asked, else three rounds, a minute at least."""
    if option is not None:
        return parse_duration(option)
    return max(SHORTEST_WINDOW, ROUNDS_IN_WINDOW * settings.file.collect.every)


@dataclass(frozen=True)
class Screen:
    """Results go to stdout; progress, notes and errors to stderr."""

    out: Console
    err: Console

    def json(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        self._say(text, "dim")

    def warn(self, text: str) -> None:
        self._say(text, "yellow")

    def error(self, text: str) -> None:
        self._say(text, "red")

    def _say(self, text: str, style: str) -> None:
        """One line on stderr; whatever a device put into it is only text."""
        self.err.print(shown(text), style=style, markup=False, highlight=False, soft_wrap=True)


def screen() -> Screen:
    return Screen(_console(sys.stdout), _console(sys.stderr))


def _console(stream: TextIO) -> Console:
    """As wide as the terminal; on a pipe wide enough that tables keep their lines."""
    return Console(file=stream, width=None if stream.isatty() else PIPE_WIDTH, highlight=False, emoji=False)


def settings_of(option: Path | None) -> Settings:
    return load_settings(settings_path(option))


class Steps:
    """Progress of long work: one line a step, a bar where the length is known. ``Steps(...)(done, total, what)``."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None)
        self._title = title

    def __call__(self, done: float, total: float | None = None, what: str = "") -> None:
        label = f"{self._title}: {shown(what)}" if what else self._title
        below = done if total is None or done < total else total * ALMOST
        self._progress.update(self._task, completed=below, total=total, description=label)

    def stopped(self) -> None:
        """The work did not come to its end."""
        self._progress.update(self._task, description=f"{self._title}: STOPPED")

    def finish(self, what: str = "done") -> None:
        task = self._progress.tasks[self._task]
        total = task.total or 1
        self._progress.update(self._task, completed=total, total=total, description=f"{self._title}: {what}")


@contextmanager
def progress(title: str) -> Iterator[Steps]:
    """A live progress line on stderr; on a pipe, only its last state."""
    columns: tuple[Any, ...] = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_console(sys.stderr)) as live:
        steps = Steps(live, title)
        try:
            yield steps
        except BaseException:
            steps.stopped()
            raise
        if not live.tasks[0].finished:
            steps.finish()


class Stop:
    """Turns the first Ctrl-C or SIGTERM into a wish to end after the work under way; the second ends at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self._event.set()


class Terminable:
    """Within it, SIGTERM and SIGHUP (a lost terminal) end the work as Ctrl-C does, cleaning up included.

    They act once: a burst of them does not cut the cleaning up short. What is ignored (nohup) stays ignored.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._end)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if not self._asked:
            self._asked = True
            raise KeyboardInterrupt
