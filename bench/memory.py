"""What data costs in memory: `./dev bench memory [--quick]`.

Bytes a key: the growth of the resident size for each of 4 million keys of 16 bytes with values of 32, without a TTL, with one, and with one while a policy of eviction is on,
beside redis-server and memcached. Fragmentation: many small values, of which a random 80 % are deleted before larger ones take the room. Churn:
keys with a long TTL that are deleted soon. Writes bench/results/memory.md and .svg; exits 1 when a demanded number is missed.
"""
import sys
import time

from load import Running, fill, jitter, run
from peers import Larder, Memcached, Redis
from report import Demands, bars, finish, table, write_results

QUICK = "--quick" in sys.argv
KEYS = 1_000_000 if QUICK else 4_000_000
SMALL_KEYS, SMALL_BYTES, LARGE_BYTES, DELETED_PERCENT = 200_000 if QUICK else 2_000_000, 100, 300, 80
CHURN_PAIRS, CHURN_SECONDS, CHURN_LIVE = 100_000, 8 if QUICK else 60, 50_000 if QUICK else 100_000
DAY_S, BEYOND = 86400, 10**9
SETTLES_S = 3 if QUICK else 10
CASES = ("no TTL", "TTL", "TTL, eviction on")
BYTES_A_KEY = dict(zip(CASES, (66, 78, 85)))
OF_REDIS = 0.60                      # with TTL
RESIDENT_OF_USED, TURN_US_MAX, CHURN_GROWTH = 1.15, 200, 1.02


def eviction_on(kind):
    return () if kind is Memcached else ("--maxmemory", "16gb", "--maxmemory-policy", kind.policies()[0])


def bytes_a_key(kind, case):
    with kind(options=eviction_on(kind) if case == CASES[2] else ()) as peer:
        ttl = 0 if case == CASES[0] else DAY_S
        fill(peer, 1, ttl=ttl)
        before = peer.resident_bytes()
        fill(peer, KEYS, ttl=ttl)
        size = (peer.resident_bytes() - before) / KEYS
    print(f"bytes a key, {case}: {kind.name} {size:.1f}", flush=True)
    return size


def used_bytes(peer):
    return int(peer.info("memory")["used_memory"])


def fragmentation(peer, demands):
    """Rows of the table: what was done, used_memory, resident size."""
    def row(what):
        used, resident = used_bytes(peer), peer.resident_bytes()
        return [what, f"{used / 1e6:.0f}", f"{resident / 1e6:.0f}", f"{resident / used:.3f}"]

    fill(peer, SMALL_KEYS, "--value-bytes", SMALL_BYTES)
    rows, limit = [row("full of small values")], used_bytes(peer)
    run(peer, "--op", "del", "--keys", SMALL_KEYS, "--percent", DELETED_PERCENT, "--pipeline", 32)
    left = peer.ask("DBSIZE") / SMALL_KEYS
    if not 0.99 < left / (1 - DELETED_PERCENT / 100) < 1.01:
        raise SystemExit(f"memory: {left:.3f} of the keys are left")
    rows.append(row(f"{DELETED_PERCENT} % deleted"))
    peer.ask("CONFIG", "SET", "maxmemory-policy", peer.policies()[0])
    peer.ask("CONFIG", "SET", "maxmemory", limit)
    fill(peer, int(limit / LARGE_BYTES), "--value-bytes", LARGE_BYTES, "--first", BEYOND)     # more than there is room for
    rows.append(row("larger ones up to the limit"))
    peer.ask("CONFIG", "RESETSTAT")
    time.sleep(SETTLES_S)       # without a question: what a turn takes then is what the server does by itself
    demands.at_most("fragmentation: longest turn meanwhile, us", longest_turn(peer), TURN_US_MAX)
    rows.append(row(f"{SETTLES_S} s later"))
    demands.at_most("fragmentation: resident size, of used_memory", peer.resident_bytes() / used_bytes(peer), RESIDENT_OF_USED)
    return rows


def longest_turn(peer):
    return int(peer.info("workerstats")["worker0_turns"].rpartition("max=")[2])


def churn(peer, demands):
    """[(second, resident size)]"""
    load = Running("rate", peer, "--op", "churn", "--rate", CHURN_PAIRS, "--seconds", CHURN_SECONDS, "--keys", CHURN_LIVE, "--ttl", DAY_S, "--batch", 32, "--connections", 4)
    while peer.ask("DBSIZE") < CHURN_LIVE:
        time.sleep(0.1)
    samples = []
    while load.process.poll() is None:
        samples.append((len(samples), peer.resident_bytes(), used_bytes(peer)))
        time.sleep(1)
    load.figures()
    samples.pop()                   # the last may be of after the end
    settled = len(samples) // 2
    for what, column in (("resident size", 1), ("used_memory", 2)):
        early = max(sample[column] for sample in samples[:settled])
        late = max(sample[column] for sample in samples[settled:])
        demands.at_most(f"churn: {what} in the second half, of the first", late / early, CHURN_GROWTH)
    return samples


def main():
    demands = Demands()
    sizes = {case: {kind.name: bytes_a_key(kind, case) for kind in (Larder, Redis, Memcached)} for case in CASES}
    for case, limit in BYTES_A_KEY.items():
        demands.at_most(f"bytes a key, {case}", sizes[case]["larder"], limit)
    demands.at_most("bytes a key, TTL, of redis-server", sizes["TTL"]["larder"] / sizes["TTL"]["redis-server"], OF_REDIS)
    with Larder() as peer:
        fragments = fragmentation(peer, demands)
    with Larder() as peer:
        samples = churn(peer, demands)
    machine = jitter(SETTLES_S)
    print(machine, flush=True)
    names = list(sizes[CASES[0]])
    write_results(
        "memory", "Memory",
        f"{KEYS} keys of 16 bytes with values of 32; fragmentation with {SMALL_KEYS} values of {SMALL_BYTES} bytes, then of {LARGE_BYTES}; churn of {CHURN_PAIRS} SET EX {DAY_S} "
        f"and DEL a second, each key deleted when {CHURN_LIVE} others have been set. The machine: {machine}.",
        table(["bytes a key", *names], [[case, *(f"{of[name]:.1f}" for name in names)] for case, of in sizes.items()]),
        table(["fragmentation", "used_memory, MB", "resident, MB", "of used_memory"], fragments),
        table(["churn, second", "resident, MB", "used_memory, MB"],
              [[second, f"{resident / 1e6:.1f}", f"{used / 1e6:.1f}"] for second, resident, used in samples[::max(1, len(samples) // 6)]]),
        demands.text(), picture=bars("Bytes a key: less is better", "bytes", list(sizes.items())))
    finish("memory", demands)


if __name__ == "__main__":
    main()
