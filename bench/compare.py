"""Larder beside redis-server, memcached and a server that does nothing, in one run: `./dev bench [--quick]`.

Server on one core, load on the other; the servers take turns, so that what else the machine does meets all alike; medians. What counts is the CPU time that
the server spends on an operation: the wall is noisy on a shared machine. Writes bench/results/compare.md and .svg; exits 1 when a demanded number is missed.
"""
import platform
import statistics
import sys
from pathlib import Path

import load
from peers import Larder, Memcached, Null, Redis
from report import Demands, bars, table

QUICK = "--quick" in sys.argv
ROUNDS, SECONDS, MEMORY_KEYS = (3, 0.3, 200_000) if QUICK else (5, 1.0, 2_000_000)
KEYS = 1000
PIPELINES = (1, 16, 64)
RESULTS = Path(__file__).resolve().parent / "results"
demands = Demands()


def operation_costs():
    """{(op, pipeline): {peer: (us an operation, operations a second)}}"""
    costs = {}
    for op in ("get", "set"):
        peers = [kind(op=op) for kind in (Larder, Redis, Memcached, Null)]
        for peer in peers:
            if peer.name != "null":
                load.fill(peer, KEYS)
        for pipeline in PIPELINES:
            rounds = {peer.name: [] for peer in peers}
            for _ in range(ROUNDS):
                for peer in peers:
                    rounds[peer.name].append(load.cost(peer, op, pipeline, keys=KEYS, seconds=SECONDS))
            costs[op, pipeline] = {name: tuple(map(statistics.median, zip(*got))) for name, got in rounds.items()}
            print(f"{op} pipeline {pipeline}: " + ", ".join(f"{name} {us:.3f} us" for name, (us, _) in costs[op, pipeline].items()), flush=True)
        for peer in peers:
            peer.stop()
    return costs


def check_costs(costs):
    limits = {1: 1.0, 16: 0.8, 64: 0.8}
    for (op, pipeline), of in costs.items():
        demands.at_most(f"{op} pipeline {pipeline}: CPU of redis-server", of["larder"][0] / of["redis-server"][0], limits[pipeline])


def scaling():
    """CPU an operation with two workers, both cores shared with the load, against one worker under the same conditions."""
    for op in ("get", "set"):
        with Larder(cores="0,1", threads=1) as one, Larder(cores="0,1", threads=2) as two:
            rounds = {one: [], two: []}
            for peer in rounds:
                load.fill(peer, KEYS, core="0,1")
            for _ in range(ROUNDS + 4):
                for peer, got in rounds.items():
                    got.append(load.cost(peer, op, 16, keys=KEYS, seconds=SECONDS, core="0,1")[0])
            ratio = statistics.median(rounds[two]) / statistics.median(rounds[one])
            demands.at_most(f"{op} pipeline 16: CPU with two workers, of one", ratio, 1.10)


def memory():
    """{(peer, ttl?): bytes a key}: growth of the resident size."""
    sizes = {}
    for ttl in (0, 86400):
        for kind in (Larder, Redis, Memcached):
            with kind() as peer:
                load.fill(peer, 1, ttl=ttl)
                before = peer.resident_bytes()
                load.fill(peer, MEMORY_KEYS, ttl=ttl)
                sizes[peer.name, bool(ttl)] = (peer.resident_bytes() - before) / MEMORY_KEYS
                print(f"bytes a key, {'with' if ttl else 'without'} TTL: {peer.name} {sizes[peer.name, bool(ttl)]:.1f}", flush=True)
    demands.at_most("bytes a key with TTL, of redis-server", sizes["larder", True] / sizes["redis-server", True], 0.60)
    return sizes


def write_results(costs, sizes):
    RESULTS.mkdir(exist_ok=True)
    names = ["larder", "redis-server", "memcached", "null"]
    speed = table(["operation, pipeline", *(f"{name}: us (ops/s)" for name in names)],
                  [[f"{op} {pipeline}", *(f"{of[name][0]:.3f} ({of[name][1] / 1000:.0f} k)" for name in names)] for (op, pipeline), of in costs.items()])
    space = table(["bytes a key", *names[:3]],
                  [[label, *(f"{sizes[name, ttl]:.1f}" for name in names[:3])] for label, ttl in (("without TTL", False), ("with TTL", True))])
    (RESULTS / "compare.md").write_text(
        f"# Server CPU an operation and bytes a key\n\n50 connections, 16-byte keys ({KEYS} of them), 32-byte values, medians of {ROUNDS} turns of {SECONDS} s, "
        f"memcached by meta commands; {MEMORY_KEYS} keys for memory. {platform.platform()}.\n\n{speed}\n\n{space}\n\n{demands.text()}\n\n![compare](compare.svg)\n")
    groups = [(f"{op} P{pipeline}", {name: of[name][0] for name in names}) for (op, pipeline), of in costs.items()]
    (RESULTS / "compare.svg").write_text(bars("Server CPU an operation (us): less is better", "us", groups))


def main():
    costs = operation_costs()
    check_costs(costs)
    scaling()
    sizes = memory()
    write_results(costs, sizes)
    missed = demands.missed()
    print(f"bench: {len(demands.rows) - len(missed)} of {len(demands.rows)} demanded numbers reached; results in {RESULTS}/compare.md")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
