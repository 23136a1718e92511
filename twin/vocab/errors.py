"""Errors an operator may see: each is one clear line and knows its exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

EXIT_DONE = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_FAIL = 3
EXIT_INCONCLUSIVE = 4


class NettwinError(Exception):
    """Something asked for could not be done; nothing is half-written."""

    exit_code = EXIT_ERROR


class UsageError(NettwinError):
    """The question itself is wrong: unknown name, bad argument, bad file."""

    exit_code = EXIT_USAGE


@dataclass(frozen=True)
class Place:
    """Where in a file something stands."""

    file: Path | str
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        where = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.key}" if self.key else where


class InputError(UsageError):
    """A file that can't be accepted, with its place."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place
        self.message = message


class MissingSecretError(UsageError):
    """A secret is referred to but not there. Never carries its value."""
