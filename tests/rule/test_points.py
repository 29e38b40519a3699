"""What must hold, whatever happens: the points at the end of the rules' specification, as far as their commands exist. Points 4, 5 and 8 are
about writing to a source and following its changes."""
import signal

import pytest
import redis

RULES = """
rule row:{id} {
    source db
    load "SELECT name FROM t WHERE id = {id}"
    ttl 100s
}
rule window:{id} {
    source db
    load "SELECT name FROM t WHERE id = {id}"
    ttl 100s
    stale-while-revalidate 50s
    negative-ttl 100s
}
"""

CHANGES = {
    "SET": ("SET row:1 written",),
    "DEL": ("DEL row:1",),
    "UNLINK": ("UNLINK row:1",),
    "EXPIRE that removes": ("SET row:1 x", "EXPIRE row:1 -1"),
    "RENAME away": ("SET row:1 x", "RENAME row:1 elsewhere"),
    "RENAME over": ("SET elsewhere written", "RENAME elsewhere row:1"),
    "COPY over": ("SET elsewhere written", "COPY elsewhere row:1 REPLACE"),
    "MOVE away": ("SET row:1 x", "MOVE row:1 9"),
    "FLUSHDB": ("FLUSHDB",),
    "FLUSHALL": ("FLUSHALL",),
    "SWAPDB": ("SWAPDB 0 1",),
    "INVALIDATE KEYS": ("CACHE.INVALIDATE KEYS 1 row:1",),
    "INVALIDATE PREFIX": ("CACHE.INVALIDATE PREFIX ro",),
    "INVALIDATE RULE": ("CACHE.INVALIDATE RULE row:{id}",),
    "INVALIDATE SOFT": ("CACHE.INVALIDATE SOFT KEYS 1 row:1",),
}


@pytest.fixture
def served(start, source):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'old')")
    return start(RULES)


@pytest.mark.parametrize("change", CHANGES)
def test_1_an_invalidation_beats_every_fill_that_began_before(served, source, change):
    with served.client() as client, served.raw() as before:
        with served.pause("load_before_fill") as point:
            before.send(b"GET row:1\r\n")
            point.wait_reached()
            source.run("UPDATE t SET name = 'new'")
            for line in CHANGES[change]:
                client.execute_command(*line.split())
            point.release()
            # It was waiting already: the result of its load is for it, unless something newer is there.
            left = b"written" if CHANGES[change][0].endswith(" written") else None
            assert before.read_reply() == (left or b"old")
        assert client.get("row:1") == (left or b"new")


def test_2_one_load_in_flight_for_a_key_that_is_not_voided(served, source, helpers):
    readers = [served.raw() for _ in range(20)]
    with served.client() as client, served.pause("load_before_fill") as point:
        for reader in readers[:10]:
            reader.send(b"GET row:1\r\n")
        point.wait_reached()
        helpers.wait_until(lambda: helpers.figures(client)["waiters"] == 10)
        assert source.queries() == 1
        client.execute_command("CACHE.INVALIDATE KEYS 1 row:1")
        source.run("UPDATE t SET name = 'new'")
        for reader in readers[10:]:
            reader.send(b"GET row:1\r\n")
        helpers.wait_until(lambda: helpers.figures(client)["waiters"] == 20)
        point.release()
        assert {reader.read_reply() for reader in readers[:10]} <= {b"old", b"new"}
        assert {reader.read_reply() for reader in readers[10:]} == {b"new"}
        assert source.queries() == 2


def test_3_a_source_that_dies_frees_its_waiters(start, source, helpers):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'old')")
    server = start(RULES, "timeout 200ms\n retries 0\n breaker off")
    readers = [server.raw() for _ in range(10)]
    source.run("BEGIN EXCLUSIVE")
    for number, reader in enumerate(readers):
        reader.send(b"GET row:%d\r\n" % (number % 3))
    for reader in readers:
        assert b"SOURCETIMEOUT database is locked" in reader.read_reply()
    source.run("COMMIT")
    with server.client() as client:
        assert client.get("row:1") == b"old"
        assert helpers.figures(client)["waiters"] == 0


def test_3_no_reader_waits_longer_than_wait_timeout(start, source):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'old')")
    server = start(RULES.replace("    ttl 100s", "    ttl 100s\n    wait-timeout 300ms"))
    with server.client() as client, server.pause("load_before_fill") as point:
        with pytest.raises(redis.ResponseError, match="SOURCETIMEOUT"):
            client.get("row:1")
        point.wait_reached()
        point.release()
        assert client.get("row:1") == b"old"     # the load outlived its reader


def test_6_stale_and_negative_stay_what_they_are(served, helpers):
    with served.client() as client:
        client.get("window:1")
        client.get("window:2")
        served.clock.advance(101_000)
        assert client.copy("window:1", "elsewhere") is True     # may read a stale value
        assert helpers.cache_get(client, "elsewhere")["state"] == b"stale"
        assert client.ttl("elsewhere") == 0
        served.clock.advance(50_000)
        assert client.exists("elsewhere") == 0
    with served.client() as client:
        client.get("window:2")
        assert helpers.cache_get(client, "window:2")["state"] == b"negative"
        assert (client.exists("window:2"), client.ttl("window:2"), client.type("window:2")) == (0, -2, b"none")
        assert client.copy("window:2", "elsewhere") is False


def test_7_ttl_is_the_fresh_time_and_cache_get_has_the_outer_bound(served, helpers):
    with served.client() as client:
        client.get("window:1")
        seen = helpers.cache_get(client, "window:1")
        assert 99_000 < seen["ttl"] <= 100_000
        assert seen["stale-ttl"] - seen["ttl"] == 50_000
        assert 99 <= client.ttl("window:1") <= 100
        with served.pause("load_before_fill"):
            served.clock.advance(110_000)
            assert client.get("window:1") == b"old"
            assert client.ttl("window:1") == 0 and client.pttl("window:1") == 0
            seen = helpers.cache_get(client, "window:1")
            assert seen["ttl"] == 0 and 30_000 < seen["stale-ttl"] <= 40_000


def test_a_server_that_ends_answers_who_waits(served):
    with served.pause("load_before_query") as point, served.raw() as reader:
        reader.send(b"GET row:1\r\n")
        point.wait_reached()
        served.signal(signal.SIGTERM)
        point.release()
        assert reader.read_reply() == b"old"
    assert served.process.wait(30) == 0
