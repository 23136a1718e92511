"""Device configuration <-> the neutral types of ``twin.vocab.config``; a file per dialect."""

from __future__ import annotations

from twin.config import frr, yang
from twin.vocab.config import DeviceConfig
from twin.vocab.errors import UsageError

__all__ = ["DIALECTS", "read"]
DIALECTS = {frr.DIALECT: frr.parse, yang.DIALECT: yang.parse}


def read(text: str, dialect: str | None = None) -> DeviceConfig:
    """A device's configuration in any dialect known here -> neutral; without a hint, XML is told by its first sign.

    Raises:
        UsageError: an unknown dialect, or XML that is not a NETCONF configuration.
    """
    chosen = dialect or (yang.DIALECT if text.lstrip("\ufeff \t\r\n").startswith("<") else frr.DIALECT)
    if chosen not in DIALECTS:
        raise UsageError(f"no configuration dialect {chosen!r}; there is {', '.join(DIALECTS)}")
    return DIALECTS[chosen](text)
