"""One question to a store, asked by a fresh process; prints what it took as JSON.

store_reads.py latest STORE KIND | range STORE KIND DEVICE... | random STORE KIND COUNT
"""

import time

BEGAN = time.perf_counter()

import json  # noqa: E402 - the clock runs first
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from twin.store import Store, open_delta  # noqa: E402
from twin.vocab.blocks import Block  # noqa: E402

FIELDS = ["in_octets_mean", "in_octets_p95", "out_octets_mean"]
ALL_TIME = np.datetime64("1990-01-01", "us"), np.datetime64("2100-01-01", "us")


def asked(store: Store, question: str, kind: str, words: list[str]) -> list[Block]:
    if question == "latest":
        return [store.latest(kind)]
    if question == "range":
        return [store.range(kind, {"device": words}, *ALL_TIME, FIELDS)]
    every = store.series(kind)
    chosen = np.random.default_rng(3).choice(len(every), min(int(words[0]), len(every)), replace=False)
    by_device: dict[str, list[str]] = {}
    for number in chosen.tolist():
        by_device.setdefault(every[number]["device"], []).append(every[number]["interface"])
    found = store.range(kind, {"device": sorted(by_device), "interface": sorted(_all(by_device))}, *ALL_TIME, FIELDS)
    wanted = {(every[n]["device"], every[n]["interface"]) for n in chosen.tolist()}
    names = zip(found.keys["device"], found.keys["interface"], strict=True)
    return [found.take(np.array([pair in wanted for pair in names], dtype=bool))]


def _peak_kb() -> int:
    """Of this process alone; what getrusage tells may be its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def _all(by_device: dict[str, list[str]]) -> set[str]:
    return {name for names in by_device.values() for name in names}


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
        "rss_mb": _peak_kb() / 1024,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
