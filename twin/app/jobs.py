"""Runs of long work, noted in the site's state: what ran, when, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twin.app.settings import Settings
from twin.app.wiring import state_of
from twin.vocab.time import now


class Note:
    """What a run wants to leave behind as its detail."""

    text = ""


@contextmanager
def job(settings: Settings, name: str) -> Iterator[Note]:
    """Note one run of ``name``: done, failed (with the error's line) or cancelled."""
    note = Note()
    with state_of(settings) as state:
        number = state.job_started(name, now())
        try:
            yield note
        except Exception as problem:
            state.job_ended(number, now(), "failed", str(problem))
            raise
        except BaseException:
            state.job_ended(number, now(), "cancelled")
            raise
        state.job_ended(number, now(), "done", note.text)
