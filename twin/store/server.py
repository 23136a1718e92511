"""Which InfluxDB samples are shipped to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from twin.vocab.inventory import Secret


@dataclass(frozen=True)
class InfluxServer:
    """A server, 1.x to 3.x, and what things are called there.

    Attributes:
        database: of raw kinds (2.x: a bucket); tiers go to databases named after it.
        token: for 1.x ``user:password``.
        organisation: matters to 2.x only.
        timeout: of one request.
    """

    url: str
    database: str
    token: Secret | None = None
    organisation: str = "-"
    timeout: timedelta = timedelta(seconds=30)
