"""Pipelines: reads of one command that follow each other share what is looked at before they run; replies and counts must not show it."""
import re

import pytest

from harness import resp

READS = [b"GET here", b"GET absent", b"GET over", b"GET list", b"STRLEN here", b"TYPE here", b"TYPE absent", b"TTL here", b"TTL absent", b"GETRANGE here 0 1"]
OTHERS = [b"SET here changed", b"SET here value", b"SELECT 1", b"SELECT 0", b"GET", b"GET here here", b"nosuch", b"CLIENT REPLY SKIP", b"CLIENT REPLY OFF",
          b"CLIENT REPLY ON", b"DEL here", b"PING"]


def figures(connection):
    stats = connection.call("INFO", "everything")
    return [int(found[1]) if found else 0 for name in (b"keyspace_hits", b"keyspace_misses", b"cmdstat_get", b"cmdstat_ttl", b"cmdstat_strlen")
            for found in [re.search(rb"^%s:(?:calls=)?(\d+)" % name, stats, re.M)]]


def answers(connection, requests):
    """All bytes up to the last reply, whatever is not answered before."""
    end = b"$3\r\nend\r\n"
    connection.send(b"".join(line + b"\r\n" for line in requests) + b"CLIENT REPLY ON\r\nECHO end\r\n")
    came = b""
    while not came.endswith(end):
        came += connection.read_exactly(1)
    return came


@pytest.mark.parametrize("reads", [0.5, 0.97])
def test_reads_among_others(same, rng, scale, reads):
    if same.protocol == 3:
        pytest.skip("the bytes are compared in one protocol")
    for _ in range(scale(small=20, normal=200, long=3000)):
        requests = []
        while len(requests) < rng.choice([1, 15, 16, 17, 33, 200]):
            requests += [rng.choice(READS)] * rng.choice([1, 1, 2, 20]) if rng.random() < reads else [rng.choice(OTHERS)]
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


def test_a_batch_is_of_whoever_may_read(server):
    """Who has not authenticated reads nothing, however many reads come behind each other."""
    with server.raw() as admin, server.raw() as early:
        assert early.call("FLUSHALL") == b"OK"
        assert admin.call("CONFIG", "SET", "requirepass", "secret") == b"OK"
        with server.raw() as late:
            late.send(resp.encode("GET", "k") * 40 + resp.encode("AUTH", "secret") + resp.encode("GET", "k") * 40)
            replies = [late.read_reply() for _ in range(81)]
            assert [isinstance(reply, resp.Error) for reply in replies] == [True] * 40 + [False] * 41
        early.send(resp.encode("GET", "k") * 40)
        assert not any(isinstance(early.read_reply(), resp.Error) for _ in range(40))
        assert admin.call("CONFIG", "SET", "requirepass", "") == b"OK"


def test_reads_wait_for_the_end_of_a_pause(server):
    with server.raw() as pausing, server.raw() as reading:
        assert reading.call("FLUSHALL") == b"OK"
        assert pausing.call("CLIENT", "PAUSE", 400, "ALL") == b"OK"
        reading.send(resp.encode("GET", "k") * 40)
        reading.expect_silence()
        assert [reading.read_reply() for _ in range(40)] == [None] * 40


def test_a_monitor_sees_each_read(server):
    with server.raw() as monitor, server.raw() as reading:
        assert monitor.call("MONITOR") == b"OK"
        reading.send(resp.encode("GET", "k") * 40)
        assert all(b'"GET" "k"' in monitor.read_line() for _ in range(40))
