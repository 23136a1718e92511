"""How versions 1 and 2c say who asks: a community, in clear (RFC 1157, RFC 3584)."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.snmp.ber import RESPONSE, MalformedError, Pdu, message, read_message


@dataclass(frozen=True)
class Community:
    """Messages of version 1 or 2c (``version`` 0 or 1)."""

    version: int
    community: bytes

    def seal(self, pdu: bytes) -> bytes:
        return message(self.version, self.community, pdu)

    def open(self, datagram: bytes) -> Pdu:
        """The response in a datagram.

        Raises:
            MalformedError: there is none, or it is of another version or community.
        """
        found = read_message(datagram)
        if found.version != self.version:
            raise MalformedError("a response of another version")
        if found.community != self.community:
            raise MalformedError("a response of another community")
        if found.pdu.kind != RESPONSE:
            raise MalformedError(f"PDU {found.pdu.kind:#04x} is no response")
        return found.pdu
