"""The SNMP engine made for many devices: its own codec, a UDP socket for each device, one request outstanding on each.

What was learnt about a device (round-trip time, how much fits a response, its SNMPv3 engine) outlives the conversation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar
from weakref import WeakSet

from collectors.failures import PollError
from collectors.pace import Policer
from collectors.snmp.ber import (
    GET,
    GET_BULK,
    GET_NEXT,
    Cells,
    Pdu,
    content_of,
    decode_oid,
    encode_oid,
    request,
    scalars,
)
from collectors.snmp.community import Community
from collectors.snmp.conversation import Conversation, Manners, fresh_id
from collectors.snmp.transport import Endpoint, resolve
from collectors.snmp.usm import AskAgainError, Remembered, UserSecurity, discovery, refuse_unusable
from collectors.snmp.walk import Fit, ObjectError, TooBigError, walk_cells
from collectors.snmp.wire import Agent, Oid, Tally, Value, Walk
from twin.vocab.inventory import Device, SnmpAccess, SnmpV1, SnmpV3

T = TypeVar("T")
MOST_DEVICES = 100_000  # to remember something about
MOST_REPEATS = 3  # of a request, as the agent tells its engine and its clock
MOST_OBJECTS = 60  # in one GET
NO_SUCH_OBJECT = 0x80  # the first tag that stands for no value (RFC 3416 section 3)
_TOO_BIG, _NO_SUCH_NAME, _NO_ACCESS, _AUTHORIZATION_ERROR = 1, 2, 6, 16  # error-status, RFC 3416


class Security(Protocol):
    """How messages are wrapped for a device, and unwrapped."""

    def greeting(self) -> Callable[[int], bytes] | None:
        """What must be sent before anything can be asked, by request-id; None if nothing."""
        ...

    def welcome(self, datagram: bytes, request_id: int) -> None:
        """Take the answer to the greeting; raises MalformedError for what is none."""
        ...

    def seal(self, pdu: bytes, request_id: int) -> bytes: ...

    def open(self, datagram: bytes, request_id: int) -> Pdu:
        """Raises MalformedError for what is no response to that request, AskAgainError where it must be repeated."""
        ...


@dataclass
class Acquaintance:
    """What was learnt about one device."""

    manners: Manners = field(default_factory=Manners)
    fit: Fit = field(default_factory=Fit)
    peer: Remembered = field(default_factory=Remembered)


class FastEngine:
    """Must be made and used inside one running event loop. Sockets are opened as agents ask, and given back by them."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Acquaintance] = {}
        self._agents: WeakSet[FastAgent] = WeakSet()

    async def agent(self, device: Device) -> Agent:
        """The conversation with ``device``.

        Raises:
            PollError: the device has no SNMP access, its name is unknown, or its credentials can't be used.
        """
        access = device.snmp
        if access is None:
            raise PollError("error", "no SNMP access configured")
        endpoints = await resolve(device.address, access.port)
        known = self._acquaintance(device.address, access)
        agent = FastAgent(access, endpoints, known, _security(access, known))
        self._agents.add(agent)
        return agent

    def _acquaintance(self, address: str, access: SnmpAccess) -> Acquaintance:
        key = (address, access.port)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_DEVICES:
                del self._known[next(iter(self._known))]
            known = self._known[key] = Acquaintance()
        rate = access.requests_per_second
        if rate is None:
            known.manners.policer = None
        elif known.manners.policer is None or known.manners.policer.per_second != rate:
            known.manners.policer = Policer(rate)
        return known

    async def close(self) -> None:
        for agent in self._agents:
            agent.close()
        self._known.clear()


def _security(access: SnmpAccess, known: Acquaintance) -> Security:
    credentials = access.credentials
    if isinstance(credentials, SnmpV3):
        refuse_unusable(credentials)
        return UserSecurity(credentials, known.peer)
    return Community(0 if isinstance(credentials, SnmpV1) else 1, credentials.community.reveal().encode())


class FastAgent:
    """The conversation with one agent."""

    def __init__(
        self, access: SnmpAccess, endpoints: Sequence[Endpoint], known: Acquaintance, security: Security
    ) -> None:
        self._access = access
        self._known = known
        self._security = security
        self._tally = Tally()
        self._endpoints = list(endpoints)
        self._conversation = self._begin()
        self.types: dict[Oid, int] | None = None

    @property
    def tally(self) -> Tally:
        return self._tally

    async def get(self, oids: Sequence[Oid]) -> Mapping[Oid, Value]:
        try:
            return await self._get_all(oids)
        except PollError as problem:
            if problem.status == "silent" and await self._answers_strangers():
                raise PollError("auth", "the agent is there but silent to this user: wrong privacy key?") from None
            raise

    async def _get_all(self, oids: Sequence[Oid]) -> Mapping[Oid, Value]:
        names = {encode_oid(oid): oid for oid in oids}
        found: dict[Oid, Value] = {}
        waiting = [list(names)[start : start + MOST_OBJECTS] for start in range(0, len(names), MOST_OBJECTS)]
        while waiting:
            asked = waiting.pop()
            try:
                answer = await self._get(asked)
            except TooBigError as problem:
                waiting += _halves(asked, problem)
            except ObjectError as problem:
                waiting += [rest] if (rest := [n for place, n in enumerate(asked) if place != problem.place]) else []
            else:
                found |= {names[name]: value for name, value in answer.items() if value is not None and name in names}
        return found

    async def walk(self, columns: Sequence[Oid], *, rows: int, max_rows: int, until: float) -> Walk:
        async def bulk(names: Sequence[bytes], repetitions: int) -> Sequence[Cells]:
            return await self._next_rows(names, repetitions, until)

        return await walk_cells(
            bulk,
            columns,
            repetitions=1 if isinstance(self._access.credentials, SnmpV1) else self._access.repetitions,
            rows=rows,
            max_rows=max_rows,
            until=until,
            fit=self._known.fit,
        )

    def close(self) -> None:
        self._conversation.close()

    def _begin(self) -> Conversation:
        return Conversation(self._endpoints.pop(0), self._access, self._known.manners, self._tally)

    async def _get(self, names: Sequence[bytes]) -> Mapping[bytes, Value | None]:
        return await self._ask(GET, names, lambda pdu: dict(scalars(pdu)))

    async def _next_rows(self, names: Sequence[bytes], repetitions: int, until: float) -> Sequence[Cells]:
        if isinstance(self._access.credentials, SnmpV1):
            return await self._next_row(names, until)
        return await self._ask(GET_BULK, names, lambda pdu: self._cells(pdu, len(names)), repetitions, until)

    def _cells(self, pdu: Pdu, width: int) -> Sequence[Cells]:
        if self.types is not None:
            tagged = ((name, tag[0]) for name, tag in zip(pdu.names, pdu.tags, strict=True) if tag[0] < NO_SUCH_OBJECT)
            self.types.update((decode_oid(content_of(name)), tag) for name, tag in tagged)
        return pdu.cells(width)

    async def _next_row(self, names: Sequence[bytes], until: float) -> Sequence[Cells]:
        """By GETNEXT; version 1 says noSuchName of the first object after which there is nothing."""
        places = list(range(len(names)))
        row = [Cells([], [])] * len(names)
        while places:
            try:
                cells = await self._ask(
                    GET_NEXT, [names[place] for place in places], lambda pdu: self._cells(pdu, len(places)), 0, until
                )
            except _NoSuchNameError as problem:
                row[places.pop(problem.place)] = Cells([], [], ended=True)
                continue
            for place, cell in zip(places, cells, strict=False):
                row[place] = cell
            break
        return row

    async def _ask(
        self,
        kind: int,
        names: Sequence[bytes],
        decode: Callable[[Pdu], T],
        repetitions: int = 0,
        until: float = math.inf,
    ) -> T:
        for _ in range(MOST_REPEATS):
            if (greeting := self._security.greeting()) is not None:
                await self._greet(greeting)
            request_id = fresh_id()
            pdu = request(kind, request_id, names, repetitions=repetitions)

            def read(datagram: bytes, request_id: int = request_id) -> T:
                answer = self._security.open(datagram, request_id)
                _check_status(answer, len(names))
                return decode(answer)

            try:
                return await self._reach(request_id, partial(self._security.seal, pdu, request_id), read, until)
            except AskAgainError as problem:
                reason = problem.reason
        raise PollError("auth", f"{reason}, time and again")

    async def _greet(self, greeting: Callable[[int], bytes]) -> None:
        request_id = fresh_id()
        await self._reach(request_id, partial(greeting, request_id), partial(self._welcome, request_id))

    def _welcome(self, request_id: int, datagram: bytes) -> bool:
        self._security.welcome(datagram, request_id)
        return True

    async def _answers_strangers(self) -> bool:
        """Agents drop what they can't decrypt (RFC 3414 section 3.2), yet tell anybody their engine-id."""
        credentials = self._access.credentials
        if not isinstance(credentials, SnmpV3) or credentials.privacy_passphrase is None:
            return False
        request_id = fresh_id()
        stranger = UserSecurity(SnmpV3("nettwin-unknown"), Remembered())
        brief = replace(self._conversation, access=replace(self._access, retries=0))

        def read(datagram: bytes) -> bool:
            stranger.welcome(datagram, request_id)
            return True

        try:
            return await brief.ask(request_id, lambda: discovery(request_id), read)
        except PollError:
            return False
        finally:
            brief.close()

    async def _reach(
        self, request_id: int, seal: Callable[[], bytes], read: Callable[[bytes], T], until: float = math.inf
    ) -> T:
        """Ask; as long as nothing was ever heard, the device's other addresses are tried as well."""
        while True:
            try:
                answer = await self._conversation.ask(request_id, seal, read, until=until)
            except PollError as problem:
                if problem.status != "silent" or not self._endpoints:
                    raise
                self._conversation.close()
                self._conversation = self._begin()
            else:
                self._endpoints.clear()
                return answer


class _NoSuchNameError(ObjectError):
    """Version 1: there is no such object, or nothing after it."""


def _check_status(pdu: Pdu, width: int) -> None:
    """RFC 3416 error-status -> exception."""
    status, place = pdu.error_status, pdu.error_index - 1
    if status == 0:
        return
    if status == _TOO_BIG:
        raise TooBigError
    if status in (_NO_ACCESS, _AUTHORIZATION_ERROR):
        raise PollError("refused", "the agent refuses access")
    reason = f"the agent answers error-status {status} ({_STATUS.get(status, 'undefined')})"
    if not 0 <= place < width:
        raise PollError("error", reason)
    raise (_NoSuchNameError if status == _NO_SUCH_NAME else ObjectError)(place, reason)


_STATUS: Final = {2: "noSuchName", 3: "badValue", 4: "readOnly", 5: "genErr", 13: "resourceUnavailable"}


def _halves(names: list[bytes], problem: TooBigError) -> list[list[bytes]]:
    if len(names) == 1:
        raise problem
    middle = len(names) // 2
    return [names[:middle], names[middle:]]
