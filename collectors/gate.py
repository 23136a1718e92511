"""How many may be at work at once, and who goes first when not all can."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import TypeAlias

_Waiter: TypeAlias = tuple[int, int, "asyncio.Future[None]"]


class Gate:
    """At most ``places`` inside; waiters enter by rank (smaller first), then by arrival. For one event loop."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[_Waiter] = []
        self._arrivals = count()

    @asynccontextmanager
    async def entered(self, rank: int = 0) -> AsyncIterator[None]:
        await self._enter(rank)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, rank: int) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._arrivals), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was given just as we were told to end
                self._leave()
            raise

    def _leave(self) -> None:
        """Give the place to the first waiter that still waits."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
