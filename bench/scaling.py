"""One worker to as many as there are cores: `./dev bench scaling [--quick]`.

The servers take turns with the same load, all of them and the load on all cores; medians. The load is one generator for every two cores. What is judged is the CPU time
that the server spends on an operation, against one worker: a lock that is fought over, or a line that goes from core to core, shows there. Operations a second
depend on what the load leaves of the cores and are reported. Writes bench/results/scaling.md and .svg; exits 1 when a demanded number is missed.
"""
import os
import statistics
import sys

from load import Running, fill
from peers import Larder
from report import Demands, bars, finish, table, write_results

QUICK = "--quick" in sys.argv
ROUNDS, SECONDS = (5, 0.3) if QUICK else (9, 1.0)
KEYS, PIPELINES = 1000, (1, 16)
CORES = sorted(os.sched_getaffinity(0))
ALL = ",".join(map(str, CORES))
WORKERS = sorted({1, *(2**i for i in range(1, 8) if 2**i < len(CORES)), len(CORES)})
LIMIT = 1.15 if len(CORES) <= 2 else 1.08


def cost(peer, op, pipeline):
    """Microseconds of server CPU an operation, and operations a second."""
    before = peer.cpu_ns()
    loads = [Running("load", peer, "--op", op, "--pipeline", pipeline, "--keys", KEYS, "--seconds", SECONDS, core=ALL) for _ in range(max(1, len(CORES) // 2))]
    figures = [load.figures() for load in loads]
    return (peer.cpu_ns() - before) / 1000 / sum(of["operations"] for of in figures), sum(of["per_second"] for of in figures)


def measure(op, pipeline):
    """{workers: (us, operations a second)}"""
    peers = {workers: Larder(cores=ALL, threads=workers) for workers in WORKERS}
    rounds = {workers: [] for workers in WORKERS}
    for peer in peers.values():
        fill(peer, KEYS, core=ALL)
    for _ in range(ROUNDS):
        for workers, peer in peers.items():
            rounds[workers].append(cost(peer, op, pipeline))
    for peer in peers.values():
        peer.stop()
    return {workers: tuple(map(statistics.median, zip(*got))) for workers, got in rounds.items()}


def main():
    demands = Demands()
    shown = {}
    for op in ("get", "set"):
        for pipeline in PIPELINES:
            of = shown[op, pipeline] = measure(op, pipeline)
            for workers in WORKERS[1:]:
                if workers <= 8:
                    demands.at_most(f"{op} pipeline {pipeline}: CPU with {workers} workers, of one", of[workers][0] / of[1][0], LIMIT)
    rows = [[f"{op} {pipeline}", *(f"{of[workers][0]:.3f} ({of[workers][1] / 1000:.0f} k)" for workers in WORKERS)] for (op, pipeline), of in shown.items()]
    write_results("scaling", "CPU an operation over workers",
                  f"50 connections for each generator, {KEYS} keys, medians of {ROUNDS} turns of {SECONDS} s; server and load share {len(CORES)} cores.",
                  table(["operation, pipeline", *(f"{workers} worker{'s' * (workers > 1)}: us (ops/s)" for workers in WORKERS)], rows), demands.text(),
                  picture=bars("Server CPU an operation (us): less is better", "us",
                               [(f"{op} P{pipeline}", {f"larder, {workers}": of[workers][0] for workers in WORKERS}) for (op, pipeline), of in shown.items()]))
    finish("scaling", demands)


if __name__ == "__main__":
    main()
