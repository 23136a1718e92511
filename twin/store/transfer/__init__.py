"""Samples from files and into files: line protocol, CSV and Parquet; others' line protocol by a mapping."""

from __future__ import annotations

from twin.store.transfer.importing import Imported, ImportPlan, import_file
from twin.store.transfer.mapping import MappingFile, find_mapping, read_mapping
from twin.store.transfer.sources import Format

__all__ = ["Format", "ImportPlan", "Imported", "MappingFile", "find_mapping", "import_file", "read_mapping"]
