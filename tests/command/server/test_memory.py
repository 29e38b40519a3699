import pytest


@pytest.mark.parametrize("line", ["MEMORY", "MEMORY nosuch", "MEMORY USAGE", "MEMORY USAGE nosuch", "MEMORY USAGE k SAMPLES", "MEMORY USAGE k SAMPLES x",
                                  "MEMORY USAGE k SAMPLES -1", "MEMORY USAGE k COUNT 1", "MEMORY PURGE", "MEMORY PURGE x", "MEMORY STATS x",
                                  "MEMORY DOCTOR x"])
def test_replies(same, line):
    same("SET k v")
    same(line)


def test_usage_follows_the_value(larder):
    larder.set("small", "x")
    larder.set("large", "x" * 100000)
    assert 0 < larder.memory_usage("small") < 200
    assert 100000 < larder.memory_usage("large", samples=0) < 140000


def test_usage_is_no_look(larder):
    larder.set("k", "v")
    before = larder.info()
    larder.memory_usage("k")
    larder.memory_usage("nosuch")
    after = larder.info()
    assert all(before[name] == after[name] for name in ("keyspace_hits", "keyspace_misses"))


def test_stats_are_of_the_names_of_redis(same):
    def fields(reply):
        return dict(reply if isinstance(reply[0], tuple) else zip(reply[::2], reply[1::2]))

    larder, redis = (fields(connection.call("MEMORY", "STATS")) for connection in same.connections)
    assert set(larder) < set(redis)
    assert [type(larder[name]) for name in larder] == [type(redis[name]) for name in larder]


def test_doctor(server):
    with server.raw() as raw:
        raw.call("FLUSHALL")
        assert b"hardly anything" in raw.call("MEMORY", "DOCTOR")
        raw.call("SET", "k", b"x" * (8 << 20))
        assert raw.call("MEMORY", "DOCTOR").endswith(b"\n")
        raw.call("CONFIG", "SET", "maxmemory", 9000000)
        assert b"of maxmemory" in raw.call("MEMORY", "DOCTOR")
        raw.call("CONFIG", "SET", "maxmemory", 0)


def test_purge_gives_back_what_deletions_left_sparse(larder):
    for first in range(0, 100_000, 10_000):
        with larder.pipeline(transaction=False) as pipe:
            for i in range(first, first + 10_000):
                pipe.set(f"k{i}", b"v" * 200)
            pipe.execute()
    full = larder.info("memory")["slabs_held"]
    for first in range(0, 100_000, 10_000):
        larder.delete(*(f"k{i}" for i in range(first, first + 10_000) if i % 10))
    assert larder.memory_purge()
    after = larder.info("memory")
    assert after["slabs_held"] < full / 3
    assert after["slabs_held"] < after["slabs_used"] * 2
    assert all(larder.get(f"k{i}") == b"v" * 200 for i in range(0, 100_000, 1000))


def test_others_are_served_while_the_allocator_gives_back(server):
    with server.pause("chore_last") as point, server.raw() as purging, server.raw() as other:
        purging.send(b"MEMORY PURGE\r\n")
        point.wait_reached()
        assert other.call("SET", "k", "v") == b"OK"
        purging.expect_silence()
        point.release()
        assert purging.read_reply() == b"OK"


def test_a_purge_ends_without_its_client(server):
    with server.pause("chore_last") as point:
        with server.raw() as purging:
            purging.send(b"MEMORY PURGE\r\n")
            point.wait_reached()
        point.release()
    with server.raw() as raw:
        assert raw.call("MEMORY", "PURGE") == b"OK"
