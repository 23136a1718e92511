"""One question to a store, asked by a fresh process; prints what it took as JSON.

store_reads.py latest STORE KIND | range STORE KIND DEVICE... | random STORE KIND COUNT
"""

import time

BEGAN = time.perf_counter()

import json  # noqa: E402 - the clock runs first
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from twin.store import Store, open_delta  # noqa: E402
from twin.vocab.blocks import Block  # noqa: E402

ASKED = ["in_octets_mean", "in_octets_p95", "out_octets_mean"]
AT_ONCE = 20
ALL_TIME = np.datetime64("1990-01-01", "us"), np.datetime64("2100-01-01", "us")


def asked(store: Store, question: str, kind: str, words: list[str]) -> list[Block]:
    if question == "latest":
        return [store.latest(kind)]
    if question == "range":
        return [store.range(kind, {"device": words}, *ALL_TIME, ASKED)]
    return [part for some in _by_device(store.series(kind), int(words[0])) for part in _pairs(store, kind, some)]


def _by_device(every: list[dict[str, str]], count: int) -> list[dict[str, set[str]]]:
    """Interfaces chosen at random by device, in groups of neighbouring devices."""
    chosen = np.random.default_rng(3).choice(len(every), min(count, len(every)), replace=False)
    found: dict[str, set[str]] = {}
    for number in sorted(chosen.tolist()):
        found.setdefault(every[number]["device"], set()).add(every[number]["interface"])
    names = list(found)
    return [{name: found[name] for name in names[low : low + AT_ONCE]} for low in range(0, len(names), AT_ONCE)]


def _pairs(store: Store, kind: str, wanted: dict[str, set[str]]) -> Iterator[Block]:
    keys = {"device": list(wanted), "interface": sorted(set().union(*wanted.values()))}
    found = store.range(kind, keys, *ALL_TIME, ASKED)
    names = zip(found.keys["device"].tolist(), found.keys["interface"].tolist(), strict=True)
    yield found.take(np.array([name in wanted[device] for device, name in names], dtype=bool))


def peak_mb() -> float:
    """Of this process alone; what getrusage tells may be its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def main() -> None:
    question, path, kind, *words = sys.argv[1:]
    imported = time.perf_counter()
    with open_delta(Path(path)) as store:
        found = asked(store, question, kind, words)
        done = time.perf_counter()
    told = {
        "seconds": done - BEGAN,
        "after_imports_s": done - imported,
        "rows": sum(map(len, found)),
        "values": int(sum(c.valid.sum() for b in found for c in b.fields.values())),
        "rss_mb": peak_mb(),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
