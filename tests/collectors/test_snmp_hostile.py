"""Agents that loop, cut, mix up, repeat, come late, lie or send rubbish: what is kept is true, and it ends in time.

A behaviour is a row: a script that turns a request into datagrams, and what the walk makes of it.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import pytest

from collectors.failures import PollError
from collectors.snmp.fast_engine import FastEngine
from collectors.snmp.wire import Agent, Oid, Value, Walk
from tests.collectors.scripted import (
    END_OF_MIB_VIEW,
    GET_BULK,
    NO_SUCH_OBJECT,
    NULL,
    REPORT,
    Message,
    Script,
    Sent,
    Varbind,
    honest,
    number,
    read,
    scripted,
    tlv,
)
from twin.vocab.inventory import Device, Secret, SnmpAccess, SnmpV2c
from twin.vocab.time import instant, now

IN, OUT = (1, 3, 6, 1, 2, 1, 2, 2, 1, 10), (1, 3, 6, 1, 2, 1, 2, 2, 1, 16)
IN_NAME, OUT_NAME = (bytes((0x2B, *oid[2:])) for oid in (IN, OUT))
ROWS, MOST_ROWS, LONGEST = 30, 100, 10.0  # seconds that any of them may take, on a busy machine
COLUMNS = {
    prefix: {row: number(1000 * row + column, 0x41) for row in range(1, ROWS + 1)}
    for column, prefix in ((10, IN_NAME), (16, OUT_NAME))
}
TRUE: Mapping[Oid, Value] = {
    (*oid, row): 1000 * row + column for column, oid in ((10, IN), (16, OUT)) for row in range(1, ROWS + 1)
}
ENDLESS: Mapping[Oid, Value] = {(*oid, row): row for oid in (IN, OUT) for row in range(1, MOST_ROWS + 1)}
Reply: TypeAlias = Callable[[Message, Message, int], Sequence[Sent]]


def answering(reply: Reply) -> Script:
    """A script from: the request, the right response, how many-th it is."""

    def script(datagram: bytes, asked: int) -> Sequence[Sent]:
        request = read(datagram)
        return reply(request, honest(COLUMNS, request), asked)

    return script


def changing(change: Callable[[Message], Message]) -> Script:
    """Each right response, changed."""
    return answering(lambda _request, response, _asked: [Sent(change(response).encoded())])


def varbinds(change: Callable[[Sequence[Varbind]], Sequence[Varbind]]) -> Script:
    return changing(lambda response: replace(response, varbinds=tuple(change(response.varbinds))))


def error(status: int, *, when: Callable[[Message], bool] = lambda _request: True) -> Script:
    def reply(request: Message, response: Message, _asked: int) -> list[Sent]:
        failed = replace(response, first=status, second=1, varbinds=request.varbinds)
        return [Sent((failed if when(request) else response).encoded())]

    return answering(reply)


def failing_after_10(request: Message, response: Message, _asked: int) -> list[Sent]:
    """It can't read the rows after the tenth, and fails wherever one of them would be in the response."""
    fails = any(v.name[: len(IN_NAME)] in COLUMNS and v.name[len(IN_NAME) :] > b"\x0a" for v in response.varbinds)
    failed = replace(response, first=5, second=1, varbinds=request.varbinds)
    return [Sent((failed if fails else response).encoded())]


def instead(datagram: bytes) -> Script:
    return lambda _request, _asked: [Sent(datagram)]


def before(*datagrams: bytes) -> Script:
    return answering(lambda _request, response, _asked: [*map(Sent, datagrams), Sent(response.encoded())])


def looping(period: int) -> Script:
    """The rows of both columns begin again after ``period``."""

    def reply(request: Message, response: Message, _asked: int) -> list[Sent]:
        if request.kind != GET_BULK:
            return [Sent(response.encoded())]
        answer = [
            Varbind(prefix + bytes((row % period + 1,)), COLUMNS[prefix][row % period + 1])
            for row in range(request.second)
            for prefix in (v.name[: len(IN_NAME)] for v in request.varbinds)
        ]
        return [Sent(replace(response, varbinds=tuple(answer)).encoded())]

    return answering(reply)


def endless(request: Message, response: Message, _asked: int) -> list[Sent]:
    """Row after row, without end."""

    def row_after(name: bytes) -> int:
        rest = name[len(IN_NAME) :]
        return 1 + (0 if not rest else rest[0] if len(rest) == 1 else (rest[0] & 0x7F) << 7 | rest[1])

    def encoded(row: int) -> bytes:
        return bytes((row,)) if row < 128 else bytes((0x80 | row >> 7, row & 0x7F))

    starts = [(v.name[: len(IN_NAME)], row_after(v.name)) for v in request.varbinds]
    answer = [
        Varbind(prefix + encoded(start + step), number(start + step, 0x41))
        for step in range(request.second)
        for prefix, start in starts
    ]
    return [Sent(replace(response, varbinds=tuple(answer)).encoded())]


def held_back() -> Script:
    """Every other answer waits until the next request has been answered: responses overtake each other."""
    held: list[bytes] = []

    def reply(_request: Message, response: Message, asked: int) -> list[Sent]:
        if asked % 2:
            held.append(response.encoded())
            return []
        return [Sent(response.encoded()), Sent(held.pop())]

    return answering(reply)


def late(request: Message, response: Message, asked: int) -> list[Sent]:
    """Every other answer comes when nobody waits for it any more."""
    return [Sent(response.encoded(), after=0.3 if asked % 2 else 0.0)]


def forged(response: Message) -> bytes:
    """Whoever doesn't see the requests must guess their number."""
    lies = tuple(Varbind(v.name, number(666, 0x41)) for v in response.varbinds)
    return replace(response, varbinds=lies, request_id=response.request_id ^ 1).encoded()


def outside(name: bytes) -> Script:
    return varbinds(lambda given: [Varbind(name, v.value) for v in given])


def huge(value: bytes) -> Script:
    return varbinds(lambda given: [replace(v, value=value) for v in given])


def cut_to(octets: int) -> Script:
    return answering(lambda _request, response, _asked: [Sent(response.encoded()[:octets])])


def shuffled(given: Sequence[Varbind]) -> list[Varbind]:
    return random.Random(1).sample(list(given), len(given))


NESTED = b"\x30\x80" * 5000
JUNK = random.Random(2).randbytes(1400)
TO_ROW_10 = frozenset(oid for oid in TRUE if oid[-1] <= 10)
TO_ROW_3 = frozenset(oid for oid in TRUE if oid[-1] <= 3)
ALL, NOTHING = frozenset(TRUE), frozenset[Oid]()


UNREADABLE, BRIEF = "its answers can't be read", 0.15  # seconds


@dataclass(frozen=True)
class Row:
    """``kept``: the objects that come (None: some true ones); ``flag``: part of what the walk says is missing, and why.

    ``status``: with which PollError it ends, where nothing came.
    """

    script: Script
    kept: frozenset[Oid] | None = ALL
    flag: str = ""
    status: str = ""
    true: Mapping[Oid, Value] = field(default_factory=lambda: TRUE)
    access: Mapping[str, Any] = field(default_factory=dict)
    until: float = math.inf

    @property
    def patience(self) -> Mapping[str, Any]:
        """Where all waiting is in vain, it is brief."""
        in_vain = self.status == "silent" or self.flag == UNREADABLE
        return {"timeout": BRIEF, **self.access} if in_vain else self.access


SILENT: dict[str, Any] = {"kept": NOTHING, "status": "silent"}
BEHAVIOURS = {
    "honest": Row(varbinds(lambda given: given)),
    "loops over three rows": Row(looping(3), TO_ROW_3, "does not increase"),
    "stands still": Row(looping(1), frozenset(o for o in TRUE if o[-1] == 1), "does not increase"),
    "cuts responses in half, amid a row": Row(varbinds(lambda given: given[: max(1, len(given) // 2 + 1)])),
    "one varbind a response": Row(varbinds(lambda given: given[:1])),
    "sends everything twice": Row(answering(lambda _q, response, _n: [Sent(response.encoded())] * 2)),
    "responses overtake each other": Row(held_back()),
    "varbinds in any order": Row(varbinds(shuffled), None, "goes back"),
    "every other answer too late": Row(answering(late), access={"timeout": BRIEF}),
    "all answers too late": Row(answering(lambda _q, r, _n: [Sent(r.encoded(), after=3.0)]), **SILENT),
    "wrong request-id": Row(changing(lambda r: replace(r, request_id=r.request_id ^ 1)), **SILENT),
    "wrong request-id, then the right one": Row(answering(lambda _q, r, _n: [Sent(forged(r)), Sent(r.encoded())])),
    "from another port": Row(answering(lambda _q, r, _n: [Sent(r.encoded(), elsewhere=True)]), **SILENT),
    "from another port, as is known of it": Row(
        answering(lambda _q, r, _n: [Sent(r.encoded(), elsewhere=True)]), access={"unconnected": True}
    ),
    "a stranger is faster": Row(
        answering(lambda _q, r, _n: [Sent(forged(r), elsewhere=True), Sent(r.encoded(), after=0.02)])
    ),
    "a stranger is faster, unconnected": Row(
        answering(lambda _q, r, _n: [Sent(forged(r), elsewhere=True), Sent(r.encoded(), after=0.02)]),
        access={"unconnected": True},
    ),
    "wrong community": Row(changing(lambda r: replace(r, community=b"private")), **SILENT),
    "wrong version": Row(changing(lambda r: replace(r, version=0)), **SILENT),
    "no version there is": Row(changing(lambda r: replace(r, version=7)), **SILENT),
    "echo": Row(lambda datagram, _asked: [Sent(datagram)], **SILENT),
    "a report instead of a response": Row(changing(lambda r: replace(r, kind=REPORT)), **SILENT),
    "always tooBig": Row(error(1), NOTHING, "tooBig for a single object"),
    "tooBig above 4 rows": Row(error(1, when=lambda q: q.kind == GET_BULK and q.second > 4)),
    "always genErr": Row(error(5), NOTHING, "error-status 5"),
    "genErr after row 10": Row(answering(failing_after_10), TO_ROW_10, "error-status 5"),
    "an error-status there isn't": Row(error(99), NOTHING, "error-status 99"),
    "no access": Row(error(6), NOTHING, status="refused"),
    "a table without end": Row(answering(endless), None, f"more than {MOST_ROWS} rows", true=ENDLESS),
    "empty responses": Row(varbinds(lambda _given: ()), NOTHING, "empty response"),
    "more than was asked for": Row(
        answering(lambda q, _r, _n: [Sent(honest(COLUMNS, replace(q, second=q.second * 3)).encoded())])
    ),
    "objects before the columns": Row(outside(b"\x2b\x06\x01\x02\x01\x01\x05\x00"), NOTHING, "goes back"),
    "objects after the columns": Row(outside(b"\x2b\x06\x01\x02\x01\x7f\x01"), NOTHING),
    "an object identifier without end": Row(outside(IN_NAME + b"\xff" * 90), NOTHING, UNREADABLE),
    "an object identifier of 10,000 arcs": Row(outside(IN_NAME + b"\x01" * 10_000), NOTHING, UNREADABLE),
    "an integer of 1,000 octets": Row(huge(tlv(2, b"\x7f" * 1000)), NOTHING, UNREADABLE),
    "a counter beyond 64 bits": Row(huge(tlv(0x46, b"\x01" + bytes(8))), NOTHING, UNREADABLE),
    "an integer without octets": Row(huge(b"\x02\x00"), NOTHING, UNREADABLE),
    "a tag nobody knows": Row(huge(tlv(0x5E, b"\x01")), NOTHING, UNREADABLE),
    "no values": Row(huge(NULL), NOTHING, "does not increase"),
    "noSuchObject everywhere": Row(huge(NO_SUCH_OBJECT), NOTHING),
    "the view ends at once": Row(huge(END_OF_MIB_VIEW), NOTHING),
    "nothing but rubbish": Row(instead(JUNK), **SILENT),
    "an empty datagram": Row(instead(b""), **SILENT),
    "nested without end": Row(instead(NESTED), **SILENT),
    "a length of 4 GiB": Row(instead(b"\x30\x84\xff\xff\xff\xff"), **SILENT),
    "cut in the header": Row(cut_to(9), **SILENT),
    "cut in the varbinds, unless there are few": Row(cut_to(80)),
    "the last octet lacks": Row(cut_to(-1), **SILENT),
    "rubbish before each answer": Row(before(JUNK, b"", NESTED, b"\x30\x84\xff\xff\xff\xff")),
    "a flood before each answer": Row(before(*[JUNK[:60]] * 500)),
    "slow": Row(
        answering(lambda _q, r, _n: [Sent(replace(r, varbinds=r.varbinds[:4]).encoded(), after=0.2)]),
        None,
        "out of time",
        until=1.0,
        access={"timeout": 0.5},
    ),
}


def ask(script: Script, question: Callable[[Agent], Any], **access: Any) -> Any:
    async def conversation() -> Any:
        engine = FastEngine()
        async with scripted(script) as port:
            options = {"timeout": 0.6, "retries": 1, "max_rows": MOST_ROWS, **access}
            device = Device("box", "127.0.0.1", SnmpAccess(SnmpV2c(Secret("public")), port=port, **options))
            agent = await engine.agent(device)
            try:
                return await question(agent)
            finally:
                agent.close()
                await engine.close()

    return asyncio.run(conversation())


@pytest.mark.parametrize("row", BEHAVIOURS.values(), ids=BEHAVIOURS.keys())
def test_what_is_kept_is_true_and_what_lacks_is_told(row: Row) -> None:
    began, status = time.monotonic(), ""
    try:
        walk: Walk = ask(
            row.script,
            lambda agent: agent.walk([IN, OUT], rows=8, max_rows=MOST_ROWS, until=began + row.until),
            **row.patience,
        )
    except PollError as problem:
        status, walk = problem.status, Walk({}, instant(now()))
    assert time.monotonic() - began < LONGEST
    assert status == row.status
    got = dict(walk.varbinds)
    assert len(got) == len(walk)
    if row.kept is None:
        assert got
        assert got.items() <= row.true.items()
    else:
        assert got == {oid: TRUE[oid] for oid in row.kept}
    assert bool(walk.cut) == bool(row.flag), walk.cut
    assert row.flag in " ".join(walk.cut)


GETS: Mapping[str, tuple[Script, Mapping[Oid, Value] | str]] = {
    "honest": (varbinds(lambda given: given), {(*IN, 7): 7010}),
    "another object": (outside(OUT_NAME + b"\x07"), {}),
    "the object twice": (varbinds(lambda given: [*given, *given]), {(*IN, 7): 7010}),
    "one more object": (varbinds(lambda given: [*given, Varbind(OUT_NAME + b"\x07", number(666))]), {(*IN, 7): 7010}),
    "nothing": (varbinds(lambda _given: ()), {}),
    "no such name, as version 1 says it": (error(2), {}),
    "wrong request-id": (changing(lambda r: replace(r, request_id=r.request_id ^ 1)), "silent"),
    "genErr": (error(5), {}),
    "authorizationError": (error(16), "refused"),
}


@pytest.mark.parametrize(("script", "expected"), GETS.values(), ids=GETS.keys())
def test_only_what_was_asked_for_is_taken(script: Script, expected: Mapping[Oid, Value] | str) -> None:
    try:
        got = ask(script, lambda agent: agent.get([(*IN, 7)]))
    except PollError as problem:
        got = problem.status
    assert got == expected
