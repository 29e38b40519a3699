"""maxmemory: kept with values of all sizes, lowered while it runs, refused in Redis's words."""
import os

import pytest

from harness import scale as scale_of_run

OOM = "command not allowed when used memory > 'maxmemory'"


def used(client):
    return client.info("memory")["used_memory"]


LIMITS = [4 << 20, 64 << 20] + ([4 << 30] if scale_of_run.SCALE == "long" else [])


@pytest.mark.limit(900)
@pytest.mark.parametrize("policy", ["adaptive", "allkeys-lru"])
@pytest.mark.parametrize("limit", LIMITS)
def test_the_limit_is_kept(start_larder, rng, limit, policy):
    """Values from 1 byte to a 40th of the limit (100 MB of 4 GB), of all magnitudes alike."""
    server = start_larder(args=["--maxmemory", limit, "--maxmemory-policy", policy])
    value = os.urandom(limit // 40)
    written = most = 0
    with server.client() as client:
        pipe = client.pipeline(transaction=False)
        while written < 3 * limit:
            for _ in range(20):
                size = int(len(value) ** rng.random())
                written += size
                pipe.set(f"key:{rng.randrange(1_000_000)}", value[:size])
            pipe.execute()
            most = max(most, used(client))
        assert most <= limit * 1.02
        assert used(client) >= limit * 0.93
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": policy}


def test_a_lowered_limit_is_reached_in_slices(start_larder, rng):
    server = start_larder(args=["--maxmemory", "64mb", "--maxmemory-policy", "adaptive"])
    with server.client() as client, server.client() as other:
        pipe = client.pipeline(transaction=False)
        for number in range(100_000):
            pipe.set(f"key:{number}", "v" * 200)
        pipe.execute()
        assert used(client) > 20 << 20
        client.config_set("maxmemory", "4mb")
        assert used(other) > 8 << 20                            # no command has to wait for all of it
        assert other.set("written meanwhile", "v")
        while used(client) > 4 << 20:
            assert other.ping()
        assert other.get("written meanwhile") == b"v"
        assert client.info("stats")["evicted_keys"] > 50_000


def test_what_cannot_be_served_is_refused_in_redis_words(start_larder):
    server = start_larder(args=["--maxmemory", "4mb"])
    with server.client() as client:
        with pytest.raises(Exception, match=OOM):
            for number in range(10_000):
                client.set(f"key:{number}", "v" * 1000)
        assert client.dbsize() > 3000
        assert client.get("key:1") == b"v" * 1000               # reads and what frees memory go on
        client.delete(*(f"key:{number}" for number in range(1000)))
        assert client.set("key:1", "v")
        client.config_set("maxmemory-policy", "volatile-lru")   # nothing has a deadline
        with pytest.raises(Exception, match=OOM):
            for number in range(10_000):
                client.set(f"key:{number}", "v" * 1000)


@pytest.mark.parametrize("policy", ["adaptive", "allkeys-lfu", "noeviction"])
def test_a_value_over_the_limit_is_refused_and_costs_nobody_anything(start_larder, policy):
    server = start_larder(args=["--maxmemory", "4mb", "--maxmemory-policy", policy])
    with server.client() as client:
        for number in range(1000):
            client.set(f"key:{number}", "v" * 1000)
        with pytest.raises(Exception, match=OOM):
            client.set("huge", b"v" * (5 << 20))
        assert client.ping() and client.dbsize() == 1000


def test_one_huge_value_is_paid_for_by_who_stores_it(start_larder):
    """Room is made before it is stored; whoever writes next finds the limit kept and evicts next to nothing."""
    server = start_larder(args=["--maxmemory", "32mb", "--maxmemory-policy", "adaptive"])
    with server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(200_000):
            pipe.set(f"key:{number}", "v" * 100)
        pipe.execute()
        client.set("huge", b"v" * (16 << 20))
        assert used(client) <= (32 << 20) * 1.02
        before = client.info("stats")["evicted_keys"]
        client.set("next", "v")
        assert client.info("stats")["evicted_keys"] - before < 200
        assert client.strlen("huge") == 16 << 20


@pytest.mark.parametrize("options", ["", "REPLACE", "DB 1", "DB 1 REPLACE"])
def test_room_is_made_for_copies_of_a_large_value(start_larder, options):
    """Which stands in none of COPY's arguments."""
    server = start_larder(args=["--maxmemory", "32mb", "--maxmemory-policy", "adaptive"])
    with server.client() as client:
        for number in range(5):
            client.set("huge", b"v" * (12 << 20))
            client.execute_command("COPY", "huge", f"copy:{number}", *options.split())
            assert used(client) <= (32 << 20) * 1.02
        assert client.info("stats")["evicted_keys"] > 0


def test_coming_and_going_grows_nothing(start_larder, scale):
    server = start_larder(args=["--maxmemory", "64mb", "--maxmemory-policy", "adaptive"])
    with server.client() as client:
        pipe = client.pipeline(transaction=False)

        def come_and_go(count):
            for _ in range(count):
                for number in range(1000):
                    pipe.set(f"key:{number}", "v", ex=86400)
                    pipe.delete(f"key:{number}")
                pipe.execute()
            return used(client)
        # What went is kept in mind up to a bound: in each of 64 shards a wheel of 4 KB, and some more than a thousand records of 4 bytes.
        assert come_and_go(scale(small=300, normal=300, long=4000)) <= 64 * 10 * 1024
