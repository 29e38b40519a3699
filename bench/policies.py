"""What `maxmemory-policy adaptive` was chosen by: `./dev bench policies [--quick]`.

Real and made traces go through `larder simulate`, which asks the server's own eviction, and through bench/candidates.c, which has the policies that it was chosen
among, in caches of as many keys. On the real traces `adaptive` must be within 0.01 of the best of them. Writes bench/results/policies.md and .svg.
"""
import gzip
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_left
from itertools import accumulate
from pathlib import Path

from peers import ROOT
from report import Demands, bars, finish, table, write_results

QUICK = "--quick" in sys.argv
TRACES = ROOT.parent / "shared" / "data" / "traces"
REAL = {"web12": (1, 4, 8), "orm-busy": (1, 4, 16)}      # MB
MADE_MB = (1, 10)                                        # about 1,000 and 10,000 keys
WINDOW = 32                                              # of the real traces, as in hitratio.py
REQUESTS, KEYS = (100_000 if QUICK else 1_000_000), 100_000
POLICIES = ("adaptive", "allkeys-lfu", "allkeys-lru", "optimum")
FROM_BEST = 0.01


# ---- made traces ---------------------------------------------------------------------------------------------------
def zipf(exponent):
    """Numbers below KEYS, by Zipf's law."""
    sums = list(accumulate((rank + 1) ** -exponent for rank in range(KEYS)))
    while True:
        yield bisect_left(sums, random.random() * sums[-1])


def size_of(key):
    """The same for the same key; many small ones, few large ones, about 1,000 bytes in the mean."""
    return int(min(1e6, max(50, 1000 * math.exp(1.5 * random.Random(key).gauss(0, 1) - 1.1))))


def made():
    """{name: lines}"""
    popular = zipf(0.9)
    for exponent in (0.7, 0.9, 1.2):
        yield f"Zipf {exponent}", (str(key) for _, key in zip(range(REQUESTS), zipf(exponent)))
    yield "Zipf 0.9, scans", (f"scan{i}" if i // 50_000 % 3 == 2 else str(next(popular)) for i in range(REQUESTS))
    yield "Zipf 0.9, half of it once", (f"once{i}" if i % 2 else str(next(popular)) for i in range(REQUESTS))
    yield "Zipf 0.9, half of it a loop", (f"loop{i // 2 % 20_000}" if i % 2 else str(next(popular)) for i in range(REQUESTS))
    yield "Zipf 0.9, shifting", (str((next(popular) + i // 20_000 * 500) % KEYS) for i in range(REQUESTS))
    yield "loop over 10,500", (str(i % 10_500) for i in range(REQUESTS))
    yield "loop over 30,000", (str(i % 30_000) for i in range(REQUESTS))
    yield "Zipf 0.9, mixed sizes", (f"{key} {size_of(key)}" for _, key in zip(range(REQUESTS), popular))


def write_traces(directory):
    """Yields name, file, megabytes, window."""
    for name, sizes in REAL.items():
        packed, file = TRACES / f"{name}.txt.gz", Path(directory) / name
        if packed.exists():
            with gzip.open(packed) as lines, open(file, "wb") as plain:
                shutil.copyfileobj(lines, plain)
            yield name, file, sizes, WINDOW
    random.seed(1)
    for name, lines in made():
        file = Path(directory) / "made"
        file.write_text("\n".join(lines) + "\n")
        yield name, file, MADE_MB, 1


# ---- measuring -----------------------------------------------------------------------------------------------------
def simulate(file, sizes, window):
    """For each size: how many keys it keeps, {policy: hit ratio}."""
    done = subprocess.run([ROOT / "build" / "larder", "simulate", file, "--sizes", ",".join(f"{size}mb" for size in sizes), "--window", str(window),
                           "--policy", ",".join(POLICIES[:-1])], check=True, capture_output=True, text=True)
    rows = {row[0]: row[1:] for row in map(str.split, done.stdout.splitlines()[3:])}
    return [(int(rows["keys"][i]), {policy: float(rows[policy][i]) for policy in POLICIES}) for i in range(len(sizes))]


def candidates(file, keys, window):
    with open(file) as lines:
        done = subprocess.run([ROOT / "build" / "bench" / "candidates", str(window), str(keys)], check=True, stdin=lines, capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    demands, shown = Demands(), {}
    with tempfile.TemporaryDirectory(prefix="larder-bench-") as directory:
        for name, file, sizes, window in write_traces(directory):
            for size, (keys, ours) in zip(sizes, simulate(file, sizes, window)):
                what = f"{name}, {keys} keys"
                others = {} if "sizes" in name else candidates(file, keys, window)
                shown[what] = {**ours, **others}
                print(what, *(f"{policy} {ratio:.3f}" for policy, ratio in shown[what].items()), flush=True)
                if name in REAL:
                    demands.at_least(f"{name}, {size} MB: within {FROM_BEST} of the best candidate", ours["adaptive"], max(others.values()) - FROM_BEST)
    columns = list(next(iter(shown.values())))
    write_results(
        "policies", "Hit ratio by eviction policy",
        f"Values of 1,000 bytes but for mixed sizes; {REQUESTS} requests for {KEYS} keys where nothing else is said. Real traces in windows of {WINDOW}; they are cache2k's, "
        "headissue GmbH, CC BY 4.0.",
        table(["trace", *columns], [[what, *(f"{of[column]:.3f}" if column in of else "" for column in columns)] for what, of in shown.items()]), demands.text(),
        picture=bars("Hit ratio by policy: more is better", "", list(shown.items())))
    finish("policies", demands)


if __name__ == "__main__":
    main()
