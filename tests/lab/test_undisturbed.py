"""Signals that come while something is being taken away are put off, not lost."""

from __future__ import annotations

import signal
import threading

import pytest

from twin.lab.undisturbed import PUT_OFF, undisturbed


def test_ctrl_c_acts_once_what_is_within_is_done() -> None:
    done: list[str] = []

    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        done.append("all of it")

    with pytest.raises(KeyboardInterrupt), undisturbed():
        work()
    assert done == ["all of it"]
    assert [signal.getsignal(n) for n in PUT_OFF] == [signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL]


def test_an_error_within_is_told_and_handlers_are_as_before() -> None:
    with pytest.raises(ValueError, match="broken"), undisturbed():
        raise ValueError("broken")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_the_main_thread_it_does_no_harm() -> None:
    done = []

    def work() -> None:
        with undisturbed():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]
