"""Pure: processors, memory pools and sensors as read -> samples, and the device's own load and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from collectors.snmp.interfaces import Interfaces
from collectors.snmp.rows import Reading, Row, TableRead
from collectors.snmp.wire import dotted
from collectors.subjects import Subject
from twin.vocab.blocks import Block
from twin.vocab.sensors import SENSOR_UNITS


def hardware_blocks(device: str, interfaces: Interfaces, reading: Reading) -> Iterator[Block]:
    """One block for each kind of which there is something."""
    processors = [
        {"device": device, "processor": name, "at": at, "load_percent": row["load_percent"]}
        for name, at, row in _named(reading, "processor")
        if "load_percent" in row
    ]
    pools = [
        {"device": device, "pool": name, "at": at} | pool
        for name, at, row in _named(reading, "memory_pool")
        if (pool := pool_of(row))
    ]
    sensors = [
        {"device": device, "sensor": name, "at": at} | _sensor(row, interfaces)
        for name, at, row in _named(reading, "sensor")
        if is_sensor(row)
    ]
    for kind, rows in (("processor", processors), ("memory_pool", pools), ("sensor", sensors)):
        if rows:
            yield Block.from_rows(kind, rows)


def _named(reading: Reading, subject: Subject) -> Iterator[tuple[str, np.datetime64, Row]]:
    """Rows under names of their own: what has none is called by table and index, shared ones get the index added."""
    taken: set[str] = set()
    for table in reading.tables_of(subject):
        rows = table.rows()
        names = _names(table, rows)
        for name, row in zip(names, rows, strict=True):
            yield (f"{name} [{table.name}]" if name in taken else name), table.at, row
        taken |= set(names)


def _names(table: TableRead, rows: Sequence[Row]) -> list[str]:
    names = [row.get("name") or table.called(number) for number, row in enumerate(rows)]
    tally = Counter(names)
    indexes = map(dotted, table.instances)
    return [f"{name} #{index}" if tally[name] > 1 else name for name, index in zip(names, indexes, strict=True)]


def is_sensor(row: Row) -> bool:
    return row.get("type") in SENSOR_UNITS and ("value" in row or "status" in row)


def _sensor(row: Row, interfaces: Interfaces) -> dict[str, Any]:
    given = {name: row[name] for name in ("type", "value", "status", "low", "high") if name in row}
    return given | {"unit": SENSOR_UNITS[row["type"]], "interface": interfaces.find(row.get("interface"))}


def pool_of(row: Row) -> dict[str, int | float]:
    """Used and total bytes and the percentage used, from any two of used, free, total and percent."""
    used, free, total, percent = (row.get(n) for n in ("used_bytes", "free_bytes", "total_bytes", "used_percent"))
    if total is None and used is not None and free is not None:
        total = used + free
    if used is None and total is not None:
        used = total - free if free is not None else _share(total, percent)
    if percent is None and used is not None and total:
        percent = 100.0 * used / total
    found = {"used_bytes": used, "total_bytes": total, "used_percent": percent}
    told = {name: value for name, value in found.items() if value is not None and 0 <= value < 2**63}
    return told if "used_bytes" in told or "used_percent" in told else {}


def _share(total: int, percent: float | None) -> int | None:
    return None if percent is None else round(total * percent / 100.0)


def device_block(device: str, reading: Reading) -> Block:
    """Clocks, load and memory of the device as a whole."""
    scalars = reading.scalars
    sample: dict[str, Any] = {"device": device, "uptime_cs": reading.system.uptime_cs, "cpu_percent": _load(reading)}
    sample |= {name: scalars.get(name) for name in ("cpu_time_us", "host_uptime_cs", "engine_boots", "engine_time_s")}
    sample |= {f"memory_{name}": value for name, value in _memory(reading).items() if name != "used_percent"}
    return Block.from_rows("device", [{k: v for k, v in sample.items() if v is not None}], reading.at)


def _load(reading: Reading) -> float | None:
    if "cpu_percent" in reading.scalars:
        return float(reading.scalars["cpu_percent"])
    loads = [row["load_percent"] for row in _main(reading.of("processor")) if "load_percent" in row]
    return float(np.mean(loads)) if loads else None


def _memory(reading: Reading) -> Mapping[str, int | float]:
    names = ("used_bytes", "free_bytes", "total_bytes")
    told = {name: reading.scalars[f"memory_{name}"] for name in names if f"memory_{name}" in reading.scalars}
    own = pool_of(told)
    if "used_bytes" in own:
        return own
    pools = [pool for row in _main(reading.of("memory_pool")) if "used_bytes" in (pool := pool_of(row))]
    return max(pools, key=lambda pool: pool.get("total_bytes", 0), default=own)


def _main(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows marked as the device's own; all where none is."""
    return [row for row in rows if row.get("main") == 1] or rows
