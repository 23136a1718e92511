"""The command ``nettwin``: a skin over the same functions that programs use."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping, Sequence
from typing import Annotated, Any

import structlog
import typer

from twin import __version__
from twin.app.cli import (
    EXIT_INTERRUPTED,
    basics,
    collect,
    demo,
    discover,
    forecast,
    lab,
    live,
    netconf,
    records,
    snmp,
    store,
    store_ship,
    store_verify,
    transfer,
    whatif,
)
from twin.app.cli.common import screen
from twin.app.render import shown
from twin.vocab.errors import EXIT_ERROR, NettwinError

app = typer.Typer(
    name="nettwin",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A digital twin for network equipment: it watches real devices, forecasts their load, and answers what a "
    "change would do before it is made.",
    epilog="Exit codes: 0 PASS or done, 1 error, 2 usage, 3 FAIL, 4 INCONCLUSIVE. Settings: --settings, "
    "$NETTWIN_SETTINGS, else configs/nettwin.yaml.",
)
for room in (basics, discover, live, collect, forecast, whatif, demo):
    room.register(app)
app.add_typer(lab.app, name="lab")
app.add_typer(netconf.app, name="netconf")
app.add_typer(records.app, name="records")
app.add_typer(snmp.app, name="snmp")
store_app = typer.Typer(no_args_is_help=True, help="Look after the store: what is in it, its files, its copies.")
for part in (store, store_ship, store_verify, transfer):
    part.register(store_app)
app.add_typer(store_app, name="store")


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"nettwin {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done, to stderr.")] = False,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    configure_logging(logging.INFO if verbose else logging.ERROR)


def configure_logging(level: int) -> None:
    """Structured lines on stderr; results alone go to stdout. No tracebacks with values: they could hold secrets."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _printable,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    for noisy in ("ncclient", "paramiko", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def _printable(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: shown(value) if isinstance(value, str) else value for key, value in event.items()}


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command (``words``, else the process's own) and turns errors into one line and an exit code."""
    try:
        app(args=words)
    except SystemExit as ended:
        if ended.code == EXIT_INTERRUPTED:
            screen().warn("nettwin: interrupted")
        raise
    except NettwinError as problem:
        screen().error(f"nettwin: {problem}")
        sys.exit(problem.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)
    except OSError as problem:
        what = f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem)
        screen().error(f"nettwin: {what}")
        sys.exit(EXIT_ERROR)
