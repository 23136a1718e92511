"""Send dead letters again, once what they were refused for is mended. Works beside a running shipper: sending a line
twice is harmless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from twin.store.bisect import deliver
from twin.store.dead_letters import DeadLetter, remove_dead_letters
from twin.store.lines import database_of
from twin.store.outbox import Outbox
from twin.store.shipper import Remote, ShipLimits

_REQUEST = ShipLimits().lines_a_request


@dataclass(frozen=True)
class Retried:
    """What became of dead letters that were sent again.

    Attributes:
        sent: accepted now (or too old for the server by now), and no longer dead letters.
        refused: again, each with the reason of now; they stay what they were.
        trouble: why others were not tried; "" if all were.
    """

    sent: int = 0
    refused: tuple[tuple[DeadLetter, str], ...] = ()
    trouble: str = ""


def retry_dead_letters(outbox: Outbox, remote: Remote, database: str, letters: Sequence[DeadLetter]) -> Retried:
    """Send them; those accepted are taken out of the file.

    Raises:
        StoreError: the file can't be read or written.
    """
    sent: list[DeadLetter] = []
    refused: list[tuple[DeadLetter, str]] = []
    trouble = ""
    for kind, group in groupby(sorted(letters, key=lambda letter: letter.kind), key=lambda letter: letter.kind):
        some = list(group)
        requests = [range(low, min(low + _REQUEST, len(some))) for low in range(0, len(some), _REQUEST)]
        done = deliver(
            [letter.line for letter in some],
            partial(remote.write, database_of(kind, database)),
            requests=requests,
            limit=len(some) + 1,
        )
        if done.held is not None:
            trouble = done.held.reason
            break
        again = dict(done.refused)
        refused += [(some[i], reason) for i, reason in again.items()]
        sent += [letter for i, letter in enumerate(some) if i not in again]
    remove_dead_letters(outbox, sent)
    return Retried(len(sent), tuple(refused), trouble)
