"""A walk of a real device (snmprec, bzip2) played as an agent.

The lines stay octets in the order the device gave them; objects are found by bisection and parsed when asked for, so
that a recording of 800,000 lines is ready in the time bzip2 needs.
"""

from __future__ import annotations

import bz2
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from collectors.snmp.wire import Oid, Tally, Value, Walk
from tests.collectors.tupled import walk_columns

_NUMBERS = frozenset({b"2", b"65", b"66", b"67", b"70"})


def _octets_of_address(text: bytes) -> bytes:
    return bytes(map(int, text.split(b".")))


_READ: Mapping[bytes, Callable[[bytes], Value]] = {
    **dict.fromkeys(_NUMBERS, int),
    b"4": bytes,
    b"6": lambda text: tuple(map(int, text.split(b"."))),
    b"64": _octets_of_address,
}


def _value(kind: bytes, text: bytes) -> Value | None:
    """None for what is no fixed value: a simulator's instruction (``2:numeric``)."""
    if kind.endswith(b"x"):
        return bytes.fromhex(text.decode("ascii"))
    read = _READ.get(kind)
    return read(text) if read else None


class RecordedAgent:
    """An agent that has exactly what the recording holds."""

    def __init__(self, path: Path) -> None:
        self.tally = Tally()
        text = bz2.decompress(path.read_bytes())
        comment = text.index(b"\n") + 1 if text.startswith(b"#") else 0
        self._text = text[comment:]

    async def get(self, oids: Sequence[Oid]) -> Mapping[Oid, Value]:
        """The objects asked for that the recording has."""
        found = {oid: next(self._from(self._place(oid)), (None, None)) for oid in oids}
        return {oid: value for oid, (there, value) in found.items() if there == oid and value is not None}

    async def walk(self, columns: Sequence[Oid], *, rows: int, max_rows: int, until: float) -> Walk:
        """By GETBULK, as from a device."""
        return await walk_columns(self._bulk, columns, repetitions=50, rows=rows, max_rows=max_rows, until=until)

    def close(self) -> None:
        """Nothing to give back."""

    async def _bulk(self, oids: Sequence[Oid], repetitions: int) -> list[tuple[Oid, Value | None]]:
        runs = [self._after(oid, repetitions) for oid in oids]
        return [varbind for step in zip(*runs, strict=True) for varbind in step]

    def _after(self, oid: Oid, count: int) -> list[tuple[Oid, Value | None]]:
        varbinds = self._from(self._place((*oid, 0)))
        run = [varbind for varbind, _ in zip(varbinds, range(count), strict=False)]
        return run + [(oid, None)] * (count - len(run))

    def _from(self, at: int) -> Iterator[tuple[Oid, Value | None]]:
        while at < len(self._text):
            end = self._text.find(b"\n", at)
            oid, kind, text = self._text[at:end].split(b"|", 2)
            if (value := _value(kind, text)) is not None:
                yield _oid(oid), value
            at = end + 1

    def _place(self, oid: Oid) -> int:
        """Where the first line at or after ``oid`` begins."""
        low, high = 0, len(self._text)
        while low < high:
            line = self._text.rfind(b"\n", 0, (low + high) // 2) + 1
            if _oid(self._text[line : self._text.index(b"|", line)]) < oid:
                low = self._text.index(b"\n", line) + 1
            else:
                high = line
        return low


def _oid(text: bytes) -> Oid:
    return tuple(map(int, text.split(b".")))
