"""Cleaning up that a second Ctrl-C, or the next of a burst of signals, does not cut short."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PUT_OFF = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Puts signals that would end the process off until the work is done, then lets the first of them act.

    Outside the main thread it does nothing: signals are handled in the main thread alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in PUT_OFF}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda arrived, _frame: came.append(arrived))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(signal.Signals(came[0]))
