"""A source in trouble: deleted, locked, replaced, corrupt, failing in the middle. Everyone is answered, the breaker opens, and it recovers by itself."""
import os
import sqlite3

import pytest
import redis

RULES = """
rule row:{id} {
    source db
    load "SELECT name FROM t WHERE id = {id}"
    ttl 100s
}
rule kept:{id} {
    source db
    load "SELECT name FROM t WHERE id = {id}"
    ttl 100s
    stale-if-error 1h
}
"""
KNOBS = "retries 0\n timeout 200ms\n breaker errors=50% window=10s open=5s"


def fill(file, name):
    db = sqlite3.connect(file, isolation_level=None)
    db.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);"
                     f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO t SELECT i, '{name}' FROM n")
    db.close()


@pytest.fixture
def server(start, source):
    fill(source.file, "old")
    return start(RULES, KNOBS)


def fail(client, key):
    with pytest.raises(redis.ResponseError) as caught:
        client.get(key)
    return str(caught.value)


def breaker(client):
    return client.info("cache")["source0"]["breaker"]


def fail_until_open(client):
    words = [fail(client, f"row:{i}") for i in range(1, 31)]
    assert breaker(client) == "open"
    return words


def test_a_deleted_file(server, source):
    with server.client() as client:
        assert client.get("kept:1") == b"old"
        os.unlink(source.file)
        words = fail_until_open(client)
        assert words[0] == "SOURCEERR unable to open database file: No such file or directory"
        assert words[-1] == "SOURCEDOWN the source is unavailable"
        assert not source.file.exists()
        server.clock.advance(101_000)               # the breaker is half-open, the value is stale
        assert client.get("kept:1") == b"old"       # the probe failed
        assert breaker(client) == "open"
        fill(source.file, "new")
        server.clock.advance(5_001)
        assert client.get("kept:1") == b"new"       # the probe succeeded
        assert breaker(client) == "closed"
        assert client.get("row:5") == b"new"


def test_a_replaced_file_is_read_anew(server, source, tmp_path):
    with server.client() as client:
        assert client.get("row:1") == b"old"
        fill(tmp_path / "next.db", "new")
        os.rename(tmp_path / "next.db", source.file)
        assert client.get("row:2") == b"new"
        assert client.get("row:1") == b"old"        # in memory


def test_a_locked_file(server, source):
    with server.client() as client:
        assert client.get("kept:1") == b"old"
        source.run("BEGIN EXCLUSIVE")
        assert fail(client, "row:2") == "SOURCETIMEOUT database is locked"
        server.clock.advance(101_000)
        assert client.get("kept:1") == b"old"
        source.run("COMMIT")
        assert client.get("row:2") == b"old"


def test_a_file_that_is_no_database(server, source):
    with server.client() as client:
        client.get("row:1")
        source.file.write_bytes(b"no database at all, but long enough to be looked at " * 100)
        assert "SOURCEERR" in fail(client, "row:2")


def test_a_mistake_in_the_statement_is_told_and_does_not_open_the_breaker(server, source):
    with server.client() as client:
        source.run("ALTER TABLE t RENAME COLUMN name TO title")
        for i in range(1, 41):
            assert fail(client, f"row:{i}") == "SOURCEERR no such column: name"
        assert breaker(client) == "closed"
        assert client.info("cache")["loads_failed"] == 40
        source.run("ALTER TABLE t RENAME COLUMN title TO name")
        assert client.get("row:1") == b"old"
    lines = [line for line in server.log().splitlines() if "no such column" in line]
    assert 1 <= len(lines) < 40                     # at most one a second


def test_failing_in_the_middle_of_many(server, source):
    readers = [server.raw() for _ in range(60)]
    with server.pause("load_before_query") as point:
        for number, reader in enumerate(readers):
            reader.send(b"GET row:%d\r\n" % (number + 1))
        point.wait_reached()
        os.unlink(source.file)
        point.release()
        replies = [str(reader.read_reply()) for reader in readers]
    assert all("SOURCEERR" in reply or "SOURCEDOWN" in reply for reply in replies)
    with server.client() as client:
        assert client.info("cache")["rule0"]["waiters"] == 0
        assert breaker(client) == "open"


def test_transient_failures_are_tried_again(start, source):
    fill(source.file, "old")
    server = start(RULES, "retries 3\n timeout 300ms")
    with server.client() as client, server.raw() as reader:
        source.run("BEGIN EXCLUSIVE")
        reader.send(b"GET row:1\r\n")
        while client.info("cache")["source_retries"] == 0:
            pass
        source.run("COMMIT")
        assert reader.read_reply() == b"old"


def test_the_file_of_the_user_is_left_alone(start, source):
    """In WAL mode, with Larder the last to close it: no checkpoint, not one byte changed."""
    fill(source.file, "old")
    source.run("PRAGMA journal_mode = WAL")
    source.run("PRAGMA wal_autocheckpoint = 0")
    source.run("UPDATE t SET name = 'new' WHERE id = 1")
    server = start(RULES)
    with server.client() as client:
        before = source.file.read_bytes()
        assert client.get("row:1") == b"new"        # it is in the WAL only
        assert client.get("row:2") == b"old"
    server.stop()
    assert source.file.read_bytes() == before
    assert source.run("PRAGMA wal_checkpoint")[0][1] > 0     # frames were still there to be moved


def test_refused_memory_loses_nobody(start, source):
    """Every 97th allocation fails: each call gets its row or an error in words (or its connection ends, when not even
    the reply has room), and what is in memory is right."""
    fill(source.file, "old")
    server = start(RULES)
    server.memory.refuse(every=97)
    refused, reader = 0, server.raw()
    for number in range(2000):
        try:
            reply = reader.call("GET", f"row:{number % 1000 + 1}")
        except (EOFError, ConnectionError):
            reply = None
            reader.close()
            reader = server.raw()
        if reply != b"old":
            assert reply is None or b"refused memory" in reply, reply
            refused += 1
    assert 0 < refused < 500
    server.memory.refuse()
    reader.close()
    with server.raw() as reader:
        assert reader.call("INCR", "row:1") == b"ERR value is not an integer or out of range"
