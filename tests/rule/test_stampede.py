"""Many at once: one query for one key, a bounded number of queries for many keys, nobody lost. SQLite itself says what it ran."""
import re

import pytest

pytestmark = pytest.mark.concurrency


def connect(server, count):
    return [server.raw(timeout=60) for _ in range(count)]


def test_a_thousand_readers_of_one_absent_key_make_one_query(start, source, slow_sql, scale):
    count = scale(small=100, normal=1000, long=1000)
    server = start(f'rule slow:{{id}} {{\n source db\n load "SELECT {{id}} || {slow_sql}"\n ttl 100s\n wait-timeout 60s\n}}\n', "timeout 60s")
    readers = connect(server, count)
    for reader in readers:
        reader.send(b"GET slow:x\r\n")
    assert [reader.read_reply() for reader in readers] == [b"x1"] * count
    assert source.queries() == 1
    for reader in readers:
        reader.close()


def test_many_absent_keys_never_more_than_max_inflight_and_none_lost(start, source, scale):
    count = scale(small=100, normal=1000, long=1000)
    spin = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT min(i) FROM n)"
    server = start(f'rule slow:{{id}} {{\n source db\n load "SELECT {{id}} || {spin}"\n ttl 100s\n wait-timeout 60s\n}}\n',
                   "timeout 60s\n connections 64\n max-inflight 16")
    readers = connect(server, count)
    for number, reader in enumerate(readers):
        reader.send(b"GET slow:%d\r\n" % number)
    assert [reader.read_reply() for reader in readers] == [b"%d1" % number for number in range(count)]
    asked = [int(re.search(r"'(\d+)'", sql).group(1)) for what, _, sql in source.events("RECURSIVE") if what == "start"]
    assert sorted(asked) == list(range(count))
    assert 1 < source.most_at_once("RECURSIVE") <= 16
    for reader in readers:
        reader.close()


def test_max_waiters_are_parked_and_the_next_is_told(start, source):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'one')")
    server = start('rule row:{id} {\n source db\n load "SELECT name FROM t WHERE id = {id}"\n ttl 1s\n max-waiters 5\n}\n')
    readers = connect(server, 6)
    with server.pause("load_before_fill") as point, server.client() as client:
        for reader in readers[:5]:
            reader.send(b"GET row:1\r\n")
        point.wait_reached()
        while client.info("cache")["rule0"]["waiters"] < 5:
            pass
        assert b"SOURCEBUSY" in readers[5].call("GET", "row:1")
    assert [reader.read_reply() for reader in readers[:5]] == [b"one"] * 5


def test_who_hangs_up_is_forgotten(start, source, helpers):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'one')")
    server = start('rule row:{id} {\n source db\n load "SELECT name FROM t WHERE id = {id}"\n ttl 100s\n}\n')
    readers = connect(server, 50)
    with server.pause("load_before_fill") as point, server.client() as client:
        for reader in readers:
            reader.send(b"GET row:1\r\n")
        point.wait_reached()
        helpers.wait_until(lambda: helpers.figures(client)["waiters"] == 50)
        for reader in readers[:40]:
            reader.close()
        helpers.wait_until(lambda: helpers.figures(client)["waiters"] == 10)
        point.release()
        assert [reader.read_reply() for reader in readers[40:]] == [b"one"] * 10
        assert client.get("row:1") == b"one" and source.queries() == 1
