"""How an installation brings files in and out: where marks lie, which mappings there are, what devices are called."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from twin.app.inventory import read_entries
from twin.app.settings import Settings, packaged_configs
from twin.app.wiring import data_of
from twin.vocab.errors import UsageError

if TYPE_CHECKING:
    from twin.store.transfer import MappingFile


def marks_of(settings: Settings) -> Path:
    """Where it is written how far imports have come, and what they refused."""
    return data_of(settings) / "imports"


def mapping_of(settings: Settings, name: str | None) -> MappingFile | None:
    """A mapping: the site's own (``mappings`` beside the settings), a packaged one, or a file.

    Raises:
        UsageError, InputError: there is none of that name, or it does not hold.
    """
    from twin.store.transfer import find_mapping, read_mapping

    if name is None:
        return None
    return read_mapping(find_mapping(name, [settings.path.parent / "mappings", packaged_configs() / "mappings"]))


def names_by_address(settings: Settings) -> Mapping[str, str]:
    """What others may call a device, its address, -> its name in the devices file; empty without that file."""
    with suppress(UsageError):
        return {entry.address: entry.name for entry in read_entries(settings.at(settings.file.devices)).devices}
    return {}
