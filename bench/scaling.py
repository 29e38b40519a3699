"""Workers that share a keyspace: `./dev bench scaling [--quick]`.

One server of N workers against N servers of one worker, each worker on a core of its own, on the same N cores. On each core is a load generator, too, whose connections are
dealt to all the workers, in both cases alike: half of what two workers receive comes from the other core, which costs nearly twice as much as what comes from their own. So
what the cores, the kernel and the load cost is the same on both sides, and what is left is what sharing costs: locks that are fought over, lines that go from core to core. What is judged is the CPU time that the
servers spend on an operation. The two take turns, medians count. Writes bench/results/scaling.md and .svg; exits 1 when a demanded number is missed.
"""
import os
import statistics
import subprocess
import sys
from pathlib import Path

from load import Running, fill
from peers import Larder
from report import Demands, bars, finish, table, write_results

QUICK = "--quick" in sys.argv
ROUNDS, SECONDS = (5, 0.3) if QUICK else (9, 1.0)
KEYS, PIPELINES = 1000, (1, 16)
CORES = [str(core) for core in sorted(os.sched_getaffinity(0))]
WORKERS = sorted({*(2**i for i in range(1, 8) if 2**i < len(CORES)), len(CORES)} - {1})
LIMIT = 1.10 if len(CORES) <= 2 else 1.08


def pin(server, cores):
    """Each worker on a core of its own."""
    threads = Path(f"/proc/{server.process.pid}/task")
    workers = {(thread / "comm").read_text().strip(): int(thread.name) for thread in threads.iterdir()}
    for i, core in enumerate(cores):
        os.sched_setaffinity(workers[f"worker-{i}"], {int(core)})


def cost(servers, cores, op, pipeline):
    """Microseconds of CPU an operation over all of these servers, and operations a second. On each core is a load that speaks to all workers: those of a load are connected
    before the next one's, since Larder gives a new connection to the worker that has fewest."""
    loads = []
    for core in cores:
        loads.append(Running("load", servers, "--op", op, "--pipeline", pipeline, "--keys", KEYS, "--seconds", SECONDS, "--wait", core=core, stdin=subprocess.PIPE))
        loads[-1].wait_until_connected()
    before = sum(server.cpu_ns() for server in servers)
    for load in loads:
        load.begin()
    figures = [load.figures() for load in loads]
    spent = sum(server.cpu_ns() for server in servers) - before
    return spent / 1000 / sum(of["operations"] for of in figures), sum(of["per_second"] for of in figures)


def turn(apart, workers, op, pipeline):
    """The cost with so many workers, freshly started: each a server of its own, or all in one."""
    cores = CORES[:workers]
    servers = [Larder(cores=core) for core in cores] if apart else [Larder(cores=",".join(cores), threads=workers)]
    if not apart:
        pin(servers[0], cores)
    for server in servers:
        fill(server, KEYS, core=cores[0])
    got = cost(servers, cores, op, pipeline)
    for server in servers:
        server.stop()
    return got


def measure(workers, op, pipeline):
    """(us, operations a second) of that many servers, and of one server with that many workers."""
    rounds = [(turn(True, workers, op, pipeline), turn(False, workers, op, pipeline)) for _ in range(ROUNDS)]
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
                  f"{KEYS} keys, 50 connections for each worker, medians of {ROUNDS} turns of {SECONDS} s; on each core a worker and a load that speaks to all workers.",
                  table(["operation, pipeline", "workers", "a server for each: us (ops/s)", "one server: us (ops/s)"], rows), demands.text(),
                  picture=bars("Server CPU an operation (us): less is better", "us", shown))
    finish("scaling", demands)


if __name__ == "__main__":
    main()
