"""Find the lines a server refuses, whatever it does with the others of a request: stores them (1.x) or not (2.x)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from twin.store.triage import Accepted, Busy, Held, Refused, Verdict

PROBES = 16
Send = Callable[[Sequence[str]], Verdict]


@dataclass
class Delivery:
    """How far the lines of one portion came. ``held``: why they are not settled; then none may count as done."""

    accepted: int = 0
    expired: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    refused_in_a_row: int = 0
    held: Held | Busy | None = None


def deliver(lines: Sequence[str], send: Send, *, requests: Sequence[range], limit: int, in_a_row: int = 0) -> Delivery:
    """Send the lines in their order; halve what is refused until single lines are left.

    Args:
        requests: which lines to send at once, without gaps.
        limit: after so many refused lines in a row without one accepted, a few of the others are tried; if none is
            accepted the trouble is not in the lines, and all is held.
        in_a_row: how many were refused before these.
    """
    done = Delivery(refused_in_a_row=in_a_row)
    waiting = list(reversed(requests))
    while waiting and done.held is None:
        some = waiting.pop()
        answer = send(lines[some.start : some.stop])
        match answer:
            case Accepted():
                done.accepted += len(some)
                done.refused_in_a_row = 0
            case Refused(expired=old) if old >= len(some):
                done.expired += len(some)
            case Refused() if len(some) > 1:
                middle = some.start + len(some) // 2
                waiting += [range(middle, some.stop), range(some.start, middle)]
            case Refused():
                done.refused.append((some.start, answer.reason))
                done.refused_in_a_row += 1
                if done.refused_in_a_row >= limit:
                    done.held = _systematic(lines, send, waiting, answer.reason)
                    done.refused_in_a_row = done.refused_in_a_row if done.held else 0
            case Busy() | Held():
                done.held = answer
    return done


def _systematic(lines: Sequence[str], send: Send, waiting: Sequence[range], reason: str) -> Held | Busy | None:
    """None if one of the lines not settled yet is accepted."""
    others = [i for some in waiting for i in some]
    step = max(-(-len(others) // PROBES), 1)
    tried = 0
    for i in islice(others, 0, None, step):
        answer = send(lines[i : i + 1])
        if isinstance(answer, Accepted):
            return None
        if isinstance(answer, Held | Busy):
            return answer
        tried += 1
    return Held(f"every line is refused, {tried} others tried as well: {reason}", scope="kind")
