"""Pipelines: small calls of one command that follow each other share what is looked at before they run; replies and counts must not show it."""
import re

import pytest

from harness import resp

READS = [b"GET here", b"GET absent", b"GET over", b"GET list", b"STRLEN here", b"TYPE here", b"TYPE absent", b"TTL here", b"TTL absent", b"GETRANGE here 0 1", b"MGET here absent", b"EXISTS here absent here",
         b"TOUCH here absent", b"OBJECT ENCODING here", b"OBJECT ENCODING absent"]
WRITES = [b"SET here value", b"SET here 7 EX 100", b"SET here 8 XX GET", b"SET absent 8 XX GET", b"SET here 8 NX GET", b"SET here 1 NX", b"SET other x PX 0", b"SETNX here 5", b"SETNX absent 5", b"SETEX over 100 9",
          b"SETEX over 0 9", b"PSETEX over 100000 3", b"INCR here", b"INCR absent", b"INCRBY absent 40", b"INCRBY absent many", b"DECR list", b"GETSET here 4", b"GETSET absent 4", b"GETDEL here", b"GETEX here EX 100", b"GETEX absent", b"COPY here other",
          b"COPY absent other", b"APPEND here x", b"EXPIRE here 100", b"PERSIST here", b"RENAME here other", b"DECRBY here 9223372036854775807"]
OTHERS = [b"SET here changed", b"SET here value", b"SELECT 1", b"SELECT 0", b"GET", b"GET here here", b"nosuch", b"CLIENT REPLY SKIP", b"CLIENT REPLY OFF",
          b"CLIENT REPLY ON", b"DEL here", b"PING"]


def figures(connection):
    stats = connection.call("INFO", "everything")
    return [int(found[1]) if found else 0 for name in (b"keyspace_hits", b"keyspace_misses", b"cmdstat_get", b"cmdstat_ttl", b"cmdstat_strlen", b"cmdstat_set", b"cmdstat_incr", b"cmdstat_setex")
            for found in [re.search(rb"^%s:(?:calls=)?(\d+)" % name, stats, re.M)]]


def answers(connection, requests):
    """All bytes up to the last reply, whatever is not answered before."""
    end = b"$3\r\nend\r\n"
    connection.send(b"".join(line + b"\r\n" for line in requests) + b"CLIENT REPLY ON\r\nECHO end\r\n")
    came = b""
    while not came.endswith(end):
        came += connection.read_exactly(1)
    return came


@pytest.mark.parametrize("often, share", [(READS, 0.5), (READS, 0.97), (WRITES, 0.5), (WRITES, 0.97), (READS + WRITES, 0.9)], ids=["reads", "more-reads", "writes", "more-writes", "both"])
def test_runs_among_others(same, rng, scale, often, share):
    if same.protocol == 3:
        pytest.skip("the bytes are compared in one protocol")
    for _ in range(scale(small=20, normal=200, long=3000)):
        requests = []
        while len(requests) < rng.choice([1, 15, 16, 17, 33, 200]):
            requests += [rng.choice(often)] * rng.choice([1, 1, 2, 20]) if rng.random() < share else [rng.choice(OTHERS)]
        grown, came = [], []
        for connection in same.connections:
            for line in "FLUSHALL", "SELECT 0", "SET here value", "SET over x PX 1":
                connection.call(*line.split())
            while connection.call("PTTL", "over") != -2:
                pass
            before = figures(connection)
            came.append(answers(connection, requests))
            connection.call("SELECT", 0)
            grown.append([after - then for after, then in zip(figures(connection), before)])
        assert came[0] == came[1], requests
        assert grown[0] == grown[1], requests


def test_an_error_among_reads(same):
    for connection in same.connections:
        connection.send(b"SET k value\r\n" + b"GETRANGE k 0 1\r\n" * 5 + b"GETRANGE k a b\r\n" + b"GETRANGE k 0 1\r\n" * 5 + b"INCR k\r\nGET k\r\n")
    larder, redis = ([connection.read_reply() for _ in range(14)] for connection in same.connections)
    assert larder == redis


def test_an_error_among_writes(same):
    for connection in same.connections:
        connection.send(b"SET k 1\r\n" + b"INCRBY k 2\r\n" * 5 + b"INCRBY k x\r\n" + b"INCRBY k 2\r\n" * 5 + b"SET k 9223372036854775807\r\n" + b"INCR k\r\n" * 5 + b"GET k\r\n")
    larder, redis = ([connection.read_reply() for _ in range(19)] for connection in same.connections)
    assert larder == redis


def test_writes_for_which_there_is_no_room(same):
    """With nothing that may go, each write behind the first that finds no room is refused, and what takes none still runs."""
    for connection in same.connections:
        assert connection.call("FLUSHALL") == b"OK"
        assert connection.call("SET", "k", "1") == b"OK"
        assert connection.call("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", 1) == b"OK"
        connection.send(b"SET k 2\r\n" * 20 + b"GET k\r\n" * 20 + b"INCR k\r\n" * 20 + b"TTL k\r\n")
    larder, redis = ([connection.read_reply() for _ in range(61)] for connection in same.connections)
    for connection in same.connections:
        assert connection.call("CONFIG", "SET", "maxmemory", 0) == b"OK"
    assert larder == redis


@pytest.mark.parametrize("request_", ["GET k", "INCR n"])
def test_a_batch_is_of_whoever_may(server, request_):
    """Who has not authenticated reads and writes nothing, however many calls come behind each other."""
    with server.raw() as admin, server.raw() as early:
        assert early.call("FLUSHALL") == b"OK"
        assert admin.call("CONFIG", "SET", "requirepass", "secret") == b"OK"
        with server.raw() as late:
            late.send(resp.encode(*request_.split()) * 40 + resp.encode("AUTH", "secret") + resp.encode(*request_.split()) * 40)
            replies = [late.read_reply() for _ in range(81)]
            assert [isinstance(reply, resp.Error) for reply in replies] == [True] * 40 + [False] * 41
        early.send(resp.encode(*request_.split()) * 40)
        assert not any(isinstance(early.read_reply(), resp.Error) for _ in range(40))
        assert admin.call("CONFIG", "SET", "requirepass", "") == b"OK"


@pytest.mark.parametrize("mode, request_, replies", [("ALL", "GET k", [None] * 40), ("WRITE", "INCR k", list(range(1, 41)))])
def test_they_wait_for_the_end_of_a_pause(server, mode, request_, replies):
    with server.raw() as pausing, server.raw() as waiting:
        assert waiting.call("FLUSHALL") == b"OK"
        assert pausing.call("CLIENT", "PAUSE", 400, mode) == b"OK"
        waiting.send(resp.encode(*request_.split()) * 40)
        waiting.expect_silence()
        assert [waiting.read_reply() for _ in range(40)] == replies


@pytest.mark.parametrize("request_", ["GET k", "SET k v"])
def test_a_monitor_sees_each(server, request_):
    shown = b" ".join(b'"%s"' % word.encode() for word in request_.split())
    with server.raw() as monitor, server.raw() as running:
        assert monitor.call("MONITOR") == b"OK"
        running.send(resp.encode(*request_.split()) * 40)
        assert all(shown in monitor.read_line() for _ in range(40))
