"""The command ``nettwin``: a skin over the same functions that programs use. Put together in main.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

EXIT_INTERRUPTED = 130


def run() -> None:
    """The installed command: also Ctrl-C while it still loads, and closed standard streams, end it cleanly."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open while the process is
    try:
        from twin.app.cli.main import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("nettwin: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
