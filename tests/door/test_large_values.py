"""Large values are not copied for who reads them: slow readers share one, and each gets what was there when he asked."""
import os
import time

import pytest

from harness import resp
from harness import scale as run

VALUE_BYTES = run.scale(small=8 << 20, normal=50 << 20, long=50 << 20)
HAS_FIGURES = run.scale(small=False, normal=True, long=True)     # a sanitizer keeps what is freed, and tells nothing
READERS = 8

pytestmark = [pytest.mark.concurrency, pytest.mark.limit(60)]


@pytest.fixture
def value():
    return os.urandom(VALUE_BYTES)


def wait_until(condition):
    while not condition():
        time.sleep(0.01)


def unsent(server):
    """Of those who have most of the value still to take."""
    with server.client() as client:
        return [int(c["omem"]) for c in client.client_list() if int(c["omem"]) > VALUE_BYTES // 2]


def takes_less_than(server, resident_bytes):
    return not HAS_FIGURES or server.resident_bytes() < resident_bytes


def is_back(server):
    with server.client() as client:
        return not HAS_FIGURES or client.info("memory")["allocator_allocated"] < VALUE_BYTES // 2


def answer(value):
    return b"$%d\r\n%s\r\n" % (len(value), value)


def slow_readers(server, *words):
    """Connections that have asked and read nothing yet."""
    readers = [server.raw(timeout=120) for _ in range(READERS)]
    for reader in readers:
        reader.send(resp.encode(*words))
    wait_until(lambda: len(unsent(server)) == READERS)
    return readers


CHANGES = {
    "nothing": lambda client: None,
    "overwritten": lambda client: client.set("k", b"n" * VALUE_BYTES),
    "appended": lambda client: client.append("k", b"more"),
    "edited": lambda client: client.setrange("k", 7, b"other"),
    "cut": lambda client: client.set("k", b"short"),
    "deleted": lambda client: client.delete("k"),
    "unlinked": lambda client: client.unlink("k"),
    "flushed": lambda client: client.flushall(),
    "renamed": lambda client: client.rename("k", "other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_slow_readers_share_one_value(start_larder, value, change):
    server = start_larder(args=["--threads", 2])
    with server.client() as client:
        before = server.resident_bytes()
        client.set("k", value)
        readers = slow_readers(server, "GET", "k")
        assert takes_less_than(server, before + 4 * VALUE_BYTES)        # the value, and the buffer that it came in
        CHANGES[change](client)
        now = client.get("k")
        assert takes_less_than(server, before + 6 * VALUE_BYTES)
        for reader in readers:
            reader.expect(answer(value))
            reader.close()
        assert client.get("k") == now
        client.flushall()
        wait_until(lambda: is_back(server))


def test_who_hangs_up_holds_nothing(start_larder, value):
    server = start_larder()
    with server.client() as client:
        client.set("k", value)
        readers = slow_readers(server, "GET", "k")
        client.delete("k")
        assert not HAS_FIGURES or not is_back(server)
        for reader in readers:
            reader.close()
        wait_until(lambda: is_back(server))


def test_what_only_replies_hold_counts_as_theirs(start_larder, value):
    server = start_larder()

    def memory():
        return sum(int(c["tot-mem"]) for c in client.client_list())

    with server.client() as client:
        client.set("k", value)
        readers = slow_readers(server, "GET", "k")
        assert client.info("memory")["used_memory"] > VALUE_BYTES
        wait_until(lambda: memory() < VALUE_BYTES // 2)         # the keyspace's
        client.delete("k")
        assert client.info("memory")["used_memory"] < VALUE_BYTES // 2
        wait_until(lambda: memory() > VALUE_BYTES)              # theirs, each a share
        assert memory() < 2 * VALUE_BYTES
        for reader in readers:
            reader.close()
        wait_until(lambda: memory() < VALUE_BYTES // 2)


def test_replies_that_are_held_have_the_limit_of_copied_ones(start_larder, value):
    server = start_larder(args=["--client-output-buffer-limit", f"normal {VALUE_BYTES * 6 // 5} 0 0"])
    with server.client() as client, server.raw(timeout=60) as reader:
        client.set("k", value)
        reader.send(resp.encode("GET", "k"))
        reader.expect(answer(value))
        reader.send(resp.encode("MGET", "k", "k"))
        wait_until(lambda: "outgrew client-output-buffer-limit" in server.log())
        assert client.get("k") == value


COMMANDS = [("GET", "k"), ("GETEX", "k"), ("GETDEL", "k"), ("GETSET", "k", "new"), ("SET", "k", "new", "GET"),
            ("GETRANGE", "k", 10, -1), ("GETRANGE", "k", 0, 20_000), ("MGET", "k", "small", "k", "absent"), ("CACHE.GET", "k")]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(map(str, words)))
def test_every_reader_of_strings(larder, server, words):
    value = os.urandom(100_000)
    larder.set("k", value)
    larder.set("small", "s")
    with server.raw() as raw:
        raw.send(resp.encode("PING") + resp.encode(*words) + resp.encode("PING"))
        assert raw.read_reply() == b"PONG"
        reply = raw.read_reply()
        assert raw.read_reply() == b"PONG"
    expected = {"GETRANGE": value[10:] if words[2:] == (10, -1) else value[:20_001], "MGET": [value, b"s", value, None]}
    if words[0] == "CACHE.GET":
        reply = reply[1]
    assert reply == expected.get(words[0], value)


def test_replies_that_nobody_wants_hold_nothing(larder, server):
    value = b"v" * 100_000
    larder.set("k", value)
    with server.raw() as raw:
        raw.send(resp.encode("CLIENT", "REPLY", "SKIP") + resp.encode("GET", "k") + resp.encode("GETDEL", "k") + resp.encode("PING"))
        raw.expect(answer(value) + b"+PONG\r\n")


@pytest.mark.parametrize("size", [16 << 10, (16 << 10) + 1, 1 << 20])
def test_encrypted(start_tls_larder, size):
    server = start_tls_larder(auth="no")
    value = os.urandom(size)
    with server.client() as client, server.tls_client() as encrypted:
        client.set("k", value)
        assert encrypted.get("k") == value
        assert encrypted.mget("k", "k", "absent") == [value, value, None]


# ---- without being copied ------------------------------------------------------------------------------------------
def resident_growth(server, change):
    before = server.resident_bytes()
    change()
    return server.resident_bytes() - before


MOVES = {
    "rename": ("RENAME k other", 0, "other"),
    "renamenx": ("RENAMENX k other", 0, "other"),
    "move": ("MOVE k 1", 1, "k"),
    "copy": ("COPY k other", 0, "other"),
    "copy to a database": ("COPY k other DB 1", 1, "other"),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_value_under_another_name_is_the_same_memory(start_larder, value, move):
    words, db, name = MOVES[move]
    server = start_larder()
    with server.client() as client, server.client(db=db) as there:
        client.set("k", value)
        grown = resident_growth(server, lambda: client.execute_command(*words.split()))
        assert not HAS_FIGURES or grown < VALUE_BYTES // 4
        cost = there.memory_usage(name)
        assert there.setrange(name, 1, b"changed") == len(value)
        assert there.get(name) == value[:1] + b"changed" + value[8:]
        assert there.memory_usage(name) == cost
        assert client.get("k") == (value if "copy" in move else None)
        client.delete("k")
        there.delete(name)
        wait_until(lambda: is_back(server))


def test_zeros_that_nobody_wrote_cost_no_memory(start_larder, value):
    server = start_larder()
    with server.client() as client:
        client.set("k", value)
        for name, before in ("k", value), ("new", b""):
            grown = resident_growth(server, lambda name=name: client.setrange(name, 4 * VALUE_BYTES, b"end"))
            assert not HAS_FIGURES or grown < VALUE_BYTES // 4
            assert client.getrange(name, 0, VALUE_BYTES) == before.ljust(VALUE_BYTES + 1, b"\0")
            assert client.getrange(name, 4 * VALUE_BYTES - 3, -1) == b"\0\0\0end"
            assert client.memory_usage(name) > 4 * VALUE_BYTES


def test_a_value_that_grows_is_not_copied(start_larder, value):
    """Its peak is what it has become."""
    server = start_larder()
    with server.client() as client:
        before = server.resident_bytes()
        client.set("k", value)
        for _ in range(20):
            client.append("k", value[:VALUE_BYTES // 50])
        assert client.get("k") == value + 20 * value[:VALUE_BYTES // 50]
        assert not HAS_FIGURES or client.info("memory")["used_memory_peak"] < 1.5 * VALUE_BYTES
        assert takes_less_than(server, before + 2 * VALUE_BYTES)
