"""Quantities as people write them -> numbers."""

from __future__ import annotations

import re
from typing import Any

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(?:bit/s|bit|bps)?", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B", re.ASCII)
_DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_rate(text: str) -> int:
    """``10G``, ``20Mbit``, ``2.48 Gbit/s``, ``9600 bps`` -> bit/s (decimal prefixes, rounded).

    Raises:
        ValueError: not a rate, or not positive.
    """
    found = _RATE.fullmatch(text.strip())
    rate = round(float(found[1]) * _DECIMAL[found[2]]) if found else 0
    if rate <= 0:
        raise ValueError(f"{text!r} is not a rate; write for example 10G or 20Mbit")
    return rate


def parse_size(text: str) -> int:
    """``500 MB``, ``10GB``, ``1.5 TB`` -> bytes (decimal prefixes, rounded).

    Raises:
        ValueError: not a size, or not positive.
    """
    found = _SIZE.fullmatch(text.strip())
    size = round(float(found[1]) * _DECIMAL[found[2]]) if found else 0
    if size <= 0:
        raise ValueError(f"{text!r} is not a size; write for example 500MB or 10GB")
    return size


def size_of(value: Any) -> Any:
    """A size in a file: text is read, all else is left for the schema to judge."""
    return parse_size(value) if isinstance(value, str) else value


def rate_of(value: Any) -> Any:
    """A rate in a file: text is read, all else is left for the schema to judge."""
    return parse_rate(value) if isinstance(value, str) else value
