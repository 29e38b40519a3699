"""Larder beside redis-server, memcached and a server that does nothing, in one run: `./dev bench compare [--quick]`.

Server on one core, load on the other; the servers take turns, so that what else the machine does meets all alike; medians. What counts is the CPU time that
the server spends on an operation: the wall is noisy on a shared machine. Writes bench/results/compare.md and .svg.

Two sets of numbers: `demanded` compares servers, and exits 1 when it is missed; `engine` is where the engine is to come, and is only reported: over keys that no cache holds the
machine's memory decides, of which bench/fetch.c shows the share.
"""
import statistics
import sys

import load
from peers import Larder, Memcached, Null, Redis
from report import Demands, bars, finish, table, write_results

QUICK = "--quick" in sys.argv
ROUNDS, SECONDS, MANY_KEYS = (3, 0.2, 1_000_000) if QUICK else (5, 1.0, 4_000_000)
KEYS = 1000
FULL_KEYS = 1_000_000
PIPELINES = (1, 16, 64)
demands = Demands()
engine = Demands("engine", "not yet")


class Rounds:
    """What rounds of turns have brought. A host that moves the two cores apart makes every packet dearer (a cache line takes 190 ns from one to the other instead of 45),
    and servers that have little else to do most of all. So the way between the cores is measured around each round, and those with a way of more than twice the
    shortest of the run are kept by themselves, unless there are no others."""
    TRIES = 3
    shortest_ns = float("inf")

    def __init__(self):
        self.all = []       # (ns between the cores, {peer: (us an operation, operations a second)})

    def add(self, way_ns, costs):
        self.all.append((way_ns, costs))
        Rounds.shortest_ns = min(Rounds.shortest_ns, way_ns)

    def divide(self):
        near = [each for each in self.all if each[0] <= 2 * Rounds.shortest_ns]
        far = [each for each in self.all if each not in near]
        return (near, far) if near else (far, [])

    def are_enough(self):
        return len(self.divide()[0]) >= ROUNDS or len(self.all) >= self.TRIES * ROUNDS

    @staticmethod
    def medians(rounds):
        return {name: tuple(map(statistics.median, zip(*(costs[name] for _, costs in rounds)))) for name in rounds[0][1]}

    @staticmethod
    def ways(rounds):
        return f"{min(way for way, _ in rounds):.0f} to {max(way for way, _ in rounds):.0f}"


def one_round(peers, op, pipeline):
    before = load.pass_ns()
    costs = {peer.name: load.cost(peer, op, pipeline, keys=KEYS, seconds=SECONDS) for peer in peers}
    return max(before, load.pass_ns()), costs


def operation_costs():
    """{(op, pipeline): Rounds}"""
    costs = {}
    for op in ("get", "set"):
        peers = [kind(op=op) for kind in (Larder, Redis, Memcached, Null)]
        for peer in peers:
            if peer.name != "null":
                load.fill(peer, KEYS)
        for pipeline in PIPELINES:
            rounds = costs[op, pipeline] = Rounds()
            while not rounds.are_enough():
                rounds.add(*one_round(peers, op, pipeline))
            near, far = rounds.divide()
            print(f"{op} pipeline {pipeline}: " + ", ".join(f"{name} {us:.3f} us" for name, (us, _) in rounds.medians(near).items())
                  + f"; {len(near)} rounds, {len(far)} with the cores apart", flush=True)
        for peer in peers:
            peer.stop()
    return costs


def check_costs(costs):
    limits = {1: (0.92, 1.10), 16: (0.60, 1.35), 64: (0.45, 2.0)}
    for (op, pipeline), rounds in costs.items():
        of = rounds.medians(rounds.divide()[0])
        of_redis, of_null = of["larder"][0] / of["redis-server"][0], of["larder"][0] / of["null"][0]
        demands.at_most(f"{op} pipeline {pipeline}: CPU of redis-server", of_redis, limits[pipeline][0])
        demands.at_most(f"{op} pipeline {pipeline}: CPU of the null server", of_null, limits[pipeline][1])


def many_keys():
    """{(op, pipeline): (us an operation over few keys, over many drawn uniformly under the same conditions)}, and what the second takes of memory alone more than the first."""
    costs = {}
    memory_us = (load.fetch_ns(MANY_KEYS) - load.fetch_ns(KEYS)) / 1000
    with Larder() as few, Larder() as many:
        load.fill(few, KEYS)
        load.fill(many, MANY_KEYS)
        for op in ("get", "set"):
            for pipeline in PIPELINES:
                rounds = {few: [], many: []}
                for _ in range(ROUNDS):
                    for peer, keys in ((few, KEYS), (many, MANY_KEYS)):
                        rounds[peer].append(load.cost(peer, op, pipeline, keys=keys, seconds=SECONDS)[0])
                costs[op, pipeline] = of_few, of_many = tuple(statistics.median(rounds[peer]) for peer in (few, many))
                engine.at_most(f"{op} pipeline {pipeline}: CPU over {MANY_KEYS} keys, of {KEYS}", of_many / of_few, 1.20)
    return costs, memory_us


def full_cache():
    """{peer: us a SET of a new key, for each of which another one goes}"""
    with Larder() as larder, Redis() as redis:
        rounds = {larder: [], redis: []}
        for peer in rounds:
            load.fill(peer, FULL_KEYS)
            peer.ask("CONFIG", "SET", "maxmemory-policy", peer.policies()[0])
            peer.ask("CONFIG", "SET", "maxmemory", peer.info("memory")["used_memory"])
        step = FULL_KEYS // 4
        for turn in range(ROUNDS + 2):      # two to settle
            for peer, costs in rounds.items():
                before = peer.cpu_ns()
                load.fill(peer, step, "--first", FULL_KEYS + turn * step)
                costs.append((peer.cpu_ns() - before) / 1000 / step)
        costs = {peer.name: statistics.median(of[2:]) for peer, of in rounds.items()}
    print("set in a full cache: " + ", ".join(f"{name} {us:.3f} us" for name, us in costs.items()), flush=True)
    demands.at_most("set in a full cache: CPU of redis-server", costs["larder"] / costs["redis-server"], 0.8)
    return costs


def row(op, pipeline, rounds):
    return [f"{op} {pipeline}", *(f"{us:.3f} ({per_second / 1000:.0f} k)" for us, per_second in Rounds.medians(rounds).values()), Rounds.ways(rounds)]


def apart(headings, costs):
    rows = [row(op, pipeline, far) for (op, pipeline), rounds in costs.items() if (far := rounds.divide()[1])]
    return ["Rounds in which the host had the two cores apart, which do not count above:", table(headings, rows)] if rows else []


def main():
    costs = operation_costs()
    check_costs(costs)
    many, memory_us = many_keys()
    full = full_cache()
    headings = ["operation, pipeline", *(f"{name}: us (ops/s)" for name in ("larder", "redis-server", "memcached", "null")), "between the cores: ns"]
    write_results(
        "compare", "Server CPU an operation",
        f"50 connections, 16-byte keys ({KEYS} of them), 32-byte values, medians of {ROUNDS} turns of {SECONDS} s, memcached by meta commands. The last column: what a cache line "
        "takes from the server's core to the load's, measured around each round.",
        table(headings, [row(op, pipeline, rounds.divide()[0]) for (op, pipeline), rounds in costs.items()]),
        *apart(headings, costs),
        f"Over {MANY_KEYS} keys, beside {KEYS} in the same turns. A thread that only brings a line of an index and two of an entry from memory, for 32 keys at a time, takes {memory_us:.3f} us a key more over so many:",
        table(["operation, pipeline", f"{KEYS} keys: us", f"{MANY_KEYS} keys: us", "more: us"],
              [[f"{op} {pipeline}", f"{of_few:.3f}", f"{of_many:.3f}", f"{of_many - of_few:.3f}"] for (op, pipeline), (of_few, of_many) in many.items()]),
        "SET of new keys in a cache that is full, in a pipeline of 32:", table(["", *(f"{name}: us" for name in full)], [["set", *(f"{us:.3f}" for us in full.values())]]),
        demands.text(), engine.text(),
        picture=bars("Server CPU an operation (us): less is better", "us", [(f"{op} P{pipeline}", {name: us for name, (us, _) in rounds.medians(rounds.divide()[0]).items()}) for (op, pipeline), rounds in costs.items()]))
    finish("compare", demands, engine)


if __name__ == "__main__":
    main()
