"""Samples from files and into files: line protocol, CSV and Parquet; others' line protocol by a mapping."""

from __future__ import annotations

from twin.store.transfer.exporting import Exported, export, output_of
from twin.store.transfer.importing import Imported, ImportPlan, import_file
from twin.store.transfer.manifest import ExportPlan
from twin.store.transfer.mapping import MappingFile, find_mapping, read_mapping
from twin.store.transfer.sources import Format

__all__ = [
    "ExportPlan",
    "Exported",
    "Format",
    "ImportPlan",
    "Imported",
    "MappingFile",
    "export",
    "find_mapping",
    "import_file",
    "output_of",
    "read_mapping",
]
