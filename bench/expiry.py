"""How late keys expire under load: `./dev bench expiry [--quick]`. It takes twenty minutes and is no part of a run of everything.

Ten million keys are set at an even pace over ten minutes, with a time to live that is a little longer; so they expire at the same pace in the ten minutes after. Meanwhile
the loads of bench/latency.py keep the server under a fixed rate. What is judged is the server's own figure (INFO workerstats): how long after its deadline each key went, and
with it its event. Writes bench/results/expiry.md and .svg; exits 1 when the demanded number is missed.
"""
import sys
import time

from load import Running, fill
from peers import Larder
from report import Demands, bars, finish, table, write_results

QUICK = "--quick" in sys.argv
KEYS, SPREAD_S = (500_000, 15) if QUICK else (10_000_000, 600)
RATE, WRITES, HOT_KEYS, BEYOND = 20_000, 100_000, 1000, 10**9
SPARE_S = 5                          # between the last key that is set and the first that expires
LAG_MS_P99 = 50


def set_keys(peer):
    Running("rate", peer, "--op", "new", "--rate", KEYS // SPREAD_S, "--batch", 16, "--connections", 4, "--first", BEYOND, "--keys", KEYS,
            "--ttl", SPREAD_S + SPARE_S, "--seconds", 2 * SPREAD_S).figures()
    if int(peer.info("stats")["expired_keys"]) > 0:
        raise SystemExit("expiry: to set the keys took longer than they had to live")


def expire_under_load(peer):
    """The figures of the load whose latencies are measured."""
    seconds = SPREAD_S + SPARE_S
    measured = Running("rate", peer, "--op", "mixed", "--rate", RATE, "--keys", HOT_KEYS, "--seconds", seconds)
    writing = Running("rate", peer, "--op", "set", "--rate", WRITES, "--batch", 16, "--connections", 4, "--keys", HOT_KEYS, "--seconds", seconds)
    figures = measured.figures()
    writing.figures()
    until = time.monotonic() + 10
    while int(peer.info("stats")["expired_keys"]) < KEYS:
        if time.monotonic() > until:
            raise SystemExit(f"expiry: not all of {KEYS} keys have expired 10 s after the loads")
        time.sleep(0.2)
    return figures


def lags_ms(peer):
    """{"count", "p50", "p99", "p99.9", "max"}: how many keys went by themselves, and how late, in ms."""
    lags = dict(part.split("=") for part in peer.info("workerstats")["worker0_expiry_lag"].split(","))
    return {name: int(lags[name]) if name == "count" else int(lags[name]) / 1000 for name in ("count", "p50", "p99", "p99.9", "max")}


def main():
    demands = Demands()
    with Larder() as peer:
        fill(peer, HOT_KEYS)
        set_keys(peer)
        before_ns = peer.cpu_ns()
        figures = expire_under_load(peer)
        cores = (peer.cpu_ns() - before_ns) / 1e9 / (SPREAD_S + SPARE_S)
        lags = lags_ms(peer)
    if lags["count"] != KEYS:
        raise SystemExit(f"expiry: {lags['count']} of {KEYS} keys were counted")
    demands.at_most("p99 of how late a key expires, ms", lags["p99"], LAG_MS_P99)
    latencies = {name: figures[name] / 1000 for name in ("p50_us", "p99_us", "p999_us")}
    write_results(
        "expiry", "How late keys expire under load",
        f"{KEYS} keys expire evenly within {SPREAD_S} s, while {RATE} GET and SET a second over 50 connections are measured and {WRITES} SET a second are written in batches of "
        f"16; one server core, {cores:.2f} of it used.",
        table(["ms", "p50", "p99", "p99.9", "longest"],
              [["after the deadline", *(lags[name] for name in ("p50", "p99", "p99.9", "max"))], ["client's latency", *latencies.values(), ""]]),
        demands.text(), picture=bars("How late a key expires: less is better", "ms", [(name, {"larder": max(lags[name], 0.001)}) for name in ("p50", "p99", "p99.9", "max")]))
    finish("expiry", demands)


if __name__ == "__main__":
    main()
