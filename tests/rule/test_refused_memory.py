"""A mixed load on several connections, over a source, while the system refuses every n-th allocation: each call gets an
answer or its connection ends, the server lives, and nothing of it is left behind."""
import random
import threading

import pytest

from compare.grammar import Grammar
from harness.scale import SEED
from harness.server import wait_until

RULES = """rule row:{id} {
    source db
    load "SELECT name FROM t WHERE id = {id}"
    ttl 1000s
    stale-while-revalidate 100s
    negative-ttl 10s
}
"""
SILENT = {b"client|reply", b"client|pause"}     # one has no answer, the other makes everybody wait
THREADS = 4


def command(rng, chance):
    """A row of the source, a look at the cache, or anything that is in the grammar."""
    key = b"row:%d" % rng.randrange(50)
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(([b"GET", key], [b"MGET", key, b"row:1", b"k1"], [b"APPEND", key, b"x"], [b"EXISTS", key]))
    if kind < 0.45:
        return rng.choice(([b"CACHE.INVALIDATE", b"KEYS", b"1", key], [b"CACHE.INVALIDATE", b"PREFIX", b"row:"],
                           [b"CACHE.INVALIDATE", b"SOFT", b"KEYS", b"1", key], [b"CACHE.GET", key], [b"CACHE.EXPLAIN", key],
                           [b"CACHE.REFRESH", key], [b"CACHE.RULES"], [b"INFO", b"everything"], [b"COMMAND", b"DOCS"]))
    while True:
        words = chance.command()
        if b"|".join(words[:2]).lower() not in SILENT:
            return words


def load(server, name, count):
    """`count` commands, on as many connections as it takes."""
    rng = random.Random(name)
    chance = Grammar(rng)
    while count > 0:
        try:
            with server.raw() as raw:
                while count > 0:
                    count -= 1
                    raw.call(*command(rng, chance))
        except (EOFError, ConnectionError):
            pass


@pytest.mark.limit(600)
def test_every_nth_allocation_fails(start, source, scale):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    source.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO t SELECT i, 'row ' || i FROM n")
    server = start(RULES, "retries 0\n breaker off", args=["--threads", 2])
    for every in [*range(1, scale(small=10, normal=40, long=400)), 97, 997]:
        refused = server.memory.refused
        server.memory.refuse(every=every)
        threads = [threading.Thread(target=load, args=(server, f"{SEED} {every} {i}", 60)) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.memory.refuse()
        assert server.memory.refused > refused or every > 90
        with server.client() as client:
            assert client.flushall() and client.get("row:7") == b"row 7"
    with server.client() as client:
        wait_until(lambda: client.info("clients")["connected_clients"] == 1)
        found = client.info("all")
        assert found["loads_in_flight"] == found["calls_parked_now"] == 0
