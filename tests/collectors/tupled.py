"""Walks of agents that are told and tell objects as tuples, as tests write them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import TypeAlias

from collectors.snmp.ber import Cells, content_of, decode_oid, encode_oid
from collectors.snmp.walk import walk_cells
from collectors.snmp.wire import Oid, Value, Walk

Varbinds: TypeAlias = Sequence[tuple[Oid, Value | None]]
Bulk: TypeAlias = Callable[[Sequence[Oid], int], Awaitable[Varbinds]]


async def walk_columns(
    bulk: Bulk, columns: Sequence[Oid], *, repetitions: int, rows: int, max_rows: int, until: float
) -> Walk:
    """``walk_cells`` for an agent that answers with object identifiers; None as a value stands for endOfMibView."""

    async def cells(names: Sequence[bytes], count: int) -> Sequence[Cells]:
        answer = await bulk([decode_oid(content_of(name)) for name in names], count)
        return cells_of(answer, len(names))

    return await walk_cells(cells, columns, repetitions=repetitions, rows=rows, max_rows=max_rows, until=until)


def cells_of(answer: Varbinds, width: int) -> list[Cells]:
    """Varbinds in the order they came -> cells for each of the ``width`` objects asked for."""
    found = []
    for place in range(min(width, len(answer))):
        own = list(takewhile(lambda varbind: varbind[1] is not None, answer[place::width]))
        ended = len(own) < len(answer[place::width])
        found.append(Cells([encode_oid(oid) for oid, _ in own], [value for _, value in own], ended=ended))
    return found
