"""``python -m twin.app.cli``: the command, where the installed script is not on PATH."""

from twin.app.cli import run

run()
