"""Workers that share a keyspace: `./dev bench scaling [--quick]`.

One server of N workers against N servers of one worker, on the same N cores, with as many load generators and connections: what the cores, the kernel and the load cost
is the same on both sides, and what is left is what sharing costs: locks that are fought over, lines that go from core to core. What is judged is the CPU time that the
servers spend on an operation. The two take turns, medians count; each turn starts its servers, since much depends on where the kernel puts
the threads. Writes bench/results/scaling.md and .svg; exits 1 when a demanded number is missed.
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
CORES = [str(core) for core in sorted(os.sched_getaffinity(0))]
WORKERS = sorted({*(2**i for i in range(1, 8) if 2**i < len(CORES)), len(CORES)} - {1})
LIMIT = 1.10 if len(CORES) <= 2 else 1.08


def cost(peers, op, pipeline):
    """Microseconds of CPU an operation over all of these servers, and operations a second: a load for each worker."""
    before = sum(peer.cpu_ns() for peer in peers)
    cores = ",".join(CORES[:sum(peer.threads for peer in peers)])
    loads = [Running("load", peer, "--op", op, "--pipeline", pipeline, "--keys", KEYS, "--seconds", SECONDS, core=cores) for peer in peers for _ in range(peer.threads)]
    figures = [load.figures() for load in loads]
    spent = sum(peer.cpu_ns() for peer in peers) - before
    return spent / 1000 / sum(of["operations"] for of in figures), sum(of["per_second"] for of in figures)


def turn(servers, threads, op, pipeline):
    """The cost with so many servers of so many workers, freshly started: which thread the kernel puts where is drawn anew."""
    peers = [Larder(cores=",".join(CORES[:servers * threads]), threads=threads) for _ in range(servers)]
    for peer in peers:
        fill(peer, KEYS, core=CORES[0])
    got = cost(peers, op, pipeline)
    for peer in peers:
        peer.stop()
    return got


def measure(workers, op, pipeline):
    """(us, operations a second) of that many servers, and of one server with that many workers."""
    rounds = [(turn(workers, 1, op, pipeline), turn(1, workers, op, pipeline)) for _ in range(ROUNDS)]
    return [tuple(map(statistics.median, zip(*side))) for side in zip(*rounds)]


def main():
    demands = Demands()
    rows, shown = [], []
    for op in ("get", "set"):
        for pipeline in PIPELINES:
            for workers in WORKERS:
                apart, together = measure(workers, op, pipeline)
                rows.append([f"{op} {pipeline}", str(workers), *(f"{us:.3f} ({per_second / 1000:.0f} k)" for us, per_second in (apart, together))])
                shown.append((f"{op} P{pipeline}, {workers}", {"alone": apart[0], "together": together[0]}))
                if workers <= 8:
                    demands.at_most(f"{op} pipeline {pipeline}: CPU of {workers} workers together, of alone", together[0] / apart[0], LIMIT)
    write_results("scaling", "What sharing a keyspace costs",
                  f"{KEYS} keys, 50 connections for each worker, medians of {ROUNDS} turns of {SECONDS} s; workers and load share as many cores as there are workers.",
                  table(["operation, pipeline", "workers", "a server for each: us (ops/s)", "one server: us (ops/s)"], rows), demands.text(),
                  picture=bars("Server CPU an operation (us): less is better", "us", shown))
    finish("scaling", demands)


if __name__ == "__main__":
    main()
