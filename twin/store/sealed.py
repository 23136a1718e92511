"""Small files of JSON that carry their own hash, so that a wrong byte in one is found. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

_HASH = "sha256"


def to_sealed(values: Mapping[str, Any]) -> bytes:
    """The values with their hash, as one line."""
    return (json.dumps(dict(values) | {_HASH: _digest(values)}) + "\n").encode()


def from_sealed(content: bytes) -> dict[str, Any]:
    """The values; one without a hash (older ones had none) is taken as it is.

    Raises:
        ValueError: it is no JSON object, or does not match the hash it carries.
    """
    values = json.loads(content)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - what is wrong with a file
    told = values.pop(_HASH, None)
    if told not in {None, _digest(values)}:
        raise ValueError("it does not match the hash it carries")
    return values


def _digest(values: Mapping[str, Any]) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
