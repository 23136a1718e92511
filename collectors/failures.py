"""How a device can fail to answer: values, named the same for every protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from twin.vocab.inventory import SnmpAccess, SnmpV1, SnmpV2c

FailureStatus = Literal["silent", "auth", "refused", "error"]
Protocol = Literal["snmp", "netconf"]


@dataclass(frozen=True)
class Failed:
    """A device that gave nothing in this round by one protocol.

    ``silent`` no answer in time; ``auth`` wrong user, key, passphrase or host key; ``refused`` it answered and
    declined; ``error`` anything else. ``at``: when asking began (UTC). Over SNMPv2c a wrong community looks silent:
    agents don't answer it (RFC 3584).
    """

    device: str
    protocol: Protocol
    status: FailureStatus
    reason: str
    seconds: float
    at: np.datetime64 | None = None


class PollError(Exception):
    """Why one device could not be read; becomes a ``Failed`` at the edge of a round."""

    def __init__(self, status: FailureStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@contextmanager
def community_doubted(access: SnmpAccess | None) -> Iterator[None]:
    """Says of silence that a wrong community looks the same, where there is a community (RFC 3584)."""
    try:
        yield
    except PollError as problem:
        if problem.reason == "no answer" and access and isinstance(access.credentials, SnmpV1 | SnmpV2c):
            raise PollError("silent", "no answer; a wrong community looks the same") from None
        raise
