"""How versions 1 and 2c say who asks: a community, in clear (RFC 1157, RFC 3584)."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.snmp.ber import RESPONSE, MalformedError, Pdu, message, read_message


@dataclass(frozen=True)
class Community:
    """Messages of version 1 or 2c (``version`` 0 or 1)."""

    version: int
    community: bytes

    def greeting(self) -> None:
        """None is needed."""

    def welcome(self, _datagram: bytes, _request_id: int) -> None:
        """Never called: there is no greeting."""

    def seal(self, pdu: bytes, _request_id: int) -> bytes:
        return message(self.version, self.community, pdu)

    def open(self, datagram: bytes, request_id: int) -> Pdu:
        """The response in a datagram.

        Raises:
            MalformedError: there is none, or it is of another version, community or request.
        """
        found = read_message(datagram)
        if found.version != self.version or found.community != self.community:
            raise MalformedError("an answer of another version or community")
        if found.pdu.kind != RESPONSE or found.pdu.request_id != request_id:
            raise MalformedError("an answer to another request")
        return found.pdu
