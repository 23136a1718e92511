"""A gate: never more inside than places, the most urgent first, and no place is ever lost."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from collectors.gate import Gate


def test_the_urgent_go_first_and_equals_in_order() -> None:
    order: list[str] = []

    async def work(gate: Gate, name: str, rank: int) -> None:
        async with gate.entered(rank):
            order.append(name)
            await asyncio.sleep(0)

    async def main() -> None:
        gate = Gate(1)
        names = [("first", 2), ("low", 3), ("normal a", 2), ("normal b", 2), ("urgent", 0)]
        await asyncio.gather(*(work(gate, name, rank) for name, rank in names))

    asyncio.run(main())
    assert order == ["first", "urgent", "normal a", "normal b", "low"]


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=20), st.integers())
def test_whoever_is_cancelled_takes_no_place_along(places: int, jobs: list[tuple[int, bool]], seed: int) -> None:
    inside, most = 0, 0
    chance = random.Random(seed)

    async def work(gate: Gate, rank: int) -> None:
        nonlocal inside, most
        async with gate.entered(rank):
            inside += 1
            most = max(most, inside)
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                inside -= 1

    async def main() -> None:
        gate = Gate(places)
        tasks = [asyncio.create_task(work(gate, rank)) for rank, _ in jobs]
        for task, (_, cancelled) in zip(tasks, jobs, strict=True):
            await asyncio.sleep(0)
            if cancelled:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(1):
            for _ in range(places):
                await gate.entered().__aenter__()

    asyncio.run(main())
    assert most <= places
