"""How long a client waits, and how long a worker is away from its other connections, while the server has much to do: `./dev bench latency [--quick]`.

Two open-loop loads (bench/rate.c) keep the server under a fixed rate: one whose latencies are measured, and one that writes in batches. In the quiet run that is all.
Then, one after the other: the writer's keys are new, so that the index grows; quiet again, over all of them; a million keys expire in the same second; values of 100 MB are deleted; the writer's
new keys meet maxmemory; maxmemory is set to half of what is used; everything is flushed. Writes bench/results/latency.md and .svg; exits 1 when a demanded number is missed.

What is judged is the server's own figure: the time of its thread for one turn of its loop (INFO workerstats), in which it serves nobody else. The client's latencies have
in them whatever else the machine does; they are reported, beside those of redis-server under the same load. Medians of several rounds: what the server does it does each time,
while a virtual machine also counts as a thread's time what its host did meanwhile (bench/jitter.c shows how much).
"""
import collections
import contextlib
import statistics
import sys
import time

from load import Running, fill, jitter
from peers import Larder, Redis
from report import Demands, bars, finish, table, write_results

QUICK = "--quick" in sys.argv
RATE, WRITES = 20_000, 100_000
ROUNDS, SECONDS = (1, 2.5) if QUICK else (3, 10)
GROWS_FROM, GROWS_TO = (50_000, 400_000) if QUICK else (1_000_000, 8_000_000)
EXPIRING = 100_000 if QUICK else 1_000_000
BIG_BYTES, BIG_COUNT = 100_000_000, 2 if QUICK else 10
HOT_KEYS, BEYOND = 1000, 10**9       # keys that are read; keys from BEYOND on are nobody's
STARTED = 0.5                        # seconds from the start of the loads until the turns are counted: connecting is over
TURN_US_MAX, TURN_OF_QUIET = 2000, 2.0
GROWN = "quiet, all keys"            # what stress is measured by: it touches as much memory, so that what the machine does to memory is in both

Shown = collections.namedtuple("Shown", "p50 p99 p999 turn_p999 turn_max")       # us; the turns are None where the server does not tell


def turns(peer):
    """The 99.9th percentile of the turns of worker 0 and the longest, in us."""
    line = peer.info("workerstats").get("worker0_turns")
    figures = dict(part.split("=") for part in line.split(",")) if line else {}
    return (int(figures["p99.9"]), int(figures["max"])) if line else (None, None)


@contextlib.contextmanager
def under_load(peer, shown, name, *writer, seconds=SECONDS):
    """The body runs while the loads do; then shown[name] is what came of it."""
    measured = Running("rate", peer, "--op", "mixed", "--rate", RATE, "--keys", HOT_KEYS, "--seconds", seconds)
    writing = Running("rate", peer, "--rate", WRITES, "--batch", 16, "--connections", 4, "--seconds", seconds, *writer)
    time.sleep(STARTED)
    peer.ask("CONFIG", "RESETSTAT")
    yield
    figures = measured.figures()
    writing.figures()
    shown[name] = Shown(figures["p50_us"], figures["p99_us"], figures["p999_us"], *turns(peer))
    print(f"{peer.name}, {name}: {shown[name]} (the load itself was late: {figures['late_p999_us']})", flush=True)


OVER_OLD_KEYS = ("--op", "set", "--keys", GROWS_FROM)
OVER_ALL_KEYS = ("--op", "set", "--keys", GROWS_TO)


def new_keys(first, count=10**8):
    return ("--op", "new", "--first", first, "--keys", count)


def wait_until_expired(peer):
    """On a machine with other work there may be some left after the loads."""
    until = time.monotonic() + 20
    while int(peer.info("stats")["expired_keys"]) < EXPIRING:
        if time.monotonic() > until:
            raise SystemExit(f"latency: not all of {EXPIRING} keys have expired 20 s after the loads")
        time.sleep(0.2)


def set_expiring(peer):
    """Keys that all expire at the same time, which it returns: later, when setting them took longer than they had to live."""
    for seconds in (2, 6, 12, 24):
        at = int(time.time()) + seconds + EXPIRING // 100_000
        fill(peer, EXPIRING, "--first", BEYOND, "--expire-at", at)
        if time.time() < at - 2 * STARTED:
            return at
    raise SystemExit("latency: to set the keys that are to expire takes too long")


def expire(peer, shown):
    at = set_expiring(peer)
    time.sleep(max(0, at - SECONDS / 3 - time.time()))
    with under_load(peer, shown, "keys expire", *OVER_OLD_KEYS):
        pass
    if peer.name == "larder":
        wait_until_expired(peer)


def delete_big(peer, shown):
    for i in range(BIG_COUNT):
        peer.ask("SET", f"big:{i}", "x" * BIG_BYTES)       # a SETRANGE would leave holes, which cost nothing to give back
    with under_load(peer, shown, "100 MB are deleted", *OVER_OLD_KEYS):
        for i in range(BIG_COUNT):
            peer.ask("DEL", f"big:{i}")
            time.sleep((SECONDS - 2 * STARTED) / BIG_COUNT)


def meet_limit(peer, shown):
    used = int(peer.info("memory")["used_memory"])
    peer.ask("CONFIG", "SET", "maxmemory-policy", peer.policies()[0])
    peer.ask("CONFIG", "SET", "maxmemory", int(used * 1.02))
    with under_load(peer, shown, "the limit is hit", *new_keys(BEYOND)):
        pass
    if int(peer.info("stats")["evicted_keys"]) == 0:
        raise SystemExit(f"latency: {peer.name} was to meet maxmemory and evicted nothing")
    with under_load(peer, shown, "the limit is halved", *OVER_OLD_KEYS):
        peer.ask("CONFIG", "SET", "maxmemory", used // 2)


def measure(kind):
    """{stress: Shown}"""
    shown = {}
    with kind() as peer:
        fill(peer, GROWS_FROM)
        with under_load(peer, shown, "quiet", *OVER_OLD_KEYS):
            pass
        with under_load(peer, shown, "the index grows", *new_keys(GROWS_FROM, GROWS_TO - GROWS_FROM), seconds=(GROWS_TO - GROWS_FROM) / WRITES):
            pass
        with under_load(peer, shown, GROWN, *OVER_ALL_KEYS):
            pass
        expire(peer, shown)
        delete_big(peer, shown)
        meet_limit(peer, shown)
        with under_load(peer, shown, "all is flushed", *OVER_OLD_KEYS):
            peer.ask("FLUSHALL", "ASYNC")
    return shown


def median(rounds):
    """{stress: Shown}, each figure the median of the rounds'."""
    return {name: Shown(*(statistics.median(figures) if figures[0] is not None else None for figures in zip(*(shown[name] for shown in rounds)))) for name in rounds[0]}


def check(shown, demands):
    quiet = shown[GROWN]
    for name, of in shown.items():
        demands.at_most(f"{name}: longest turn, ms", of.turn_max / 1000, TURN_US_MAX / 1000)
        if name not in ("quiet", GROWN):
            demands.at_most(f"{name}: p99.9 of turns, of quiet", of.turn_p999 / quiet.turn_p999, TURN_OF_QUIET)


def main():
    demands = Demands()
    machine = [jitter(SECONDS)]
    print(machine[0], flush=True)
    larder = median([measure(Larder) for _ in range(ROUNDS)])
    redis = median([measure(Redis)])
    machine.append(jitter(SECONDS))
    print(machine[1], flush=True)
    check(larder, demands)
    rows = [[name, of.turn_p999, of.turn_max, f"{of.p50} / {of.p99} / {of.p999}", f"{redis[name].p50} / {redis[name].p99} / {redis[name].p999}"] for name, of in larder.items()]
    write_results(
        "latency", "Latency under a fixed rate",
        f"{RATE} GET and SET a second over 50 connections, whose latencies are measured, and {WRITES} SET a second in batches of 16; one server core, the loads on the other. "
        f"Medians of {ROUNDS} round{'s' * (ROUNDS > 1)}; {SECONDS} s each; the index grows from {GROWS_FROM} to {GROWS_TO} keys, {EXPIRING} keys expire, {BIG_COUNT} values of 100 MB are deleted. Microseconds. The machine before and after: {machine[0]}; {machine[1]}.",
        table(["", "larder: p99.9 of turns", "larder: longest turn", "larder: client's p50 / p99 / p99.9", "redis-server: client's p50 / p99 / p99.9"], rows),
        demands.text(), picture=bars("Client's p99.9 (us): less is better", "us",
                                     [(name, {"larder": of.p999, "redis-server": redis[name].p999}) for name, of in larder.items()]))
    finish("latency", demands)


if __name__ == "__main__":
    main()
