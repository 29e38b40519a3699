"""Large arguments are received apart from what is around them, and stored without being copied: nobody may see a difference,
except in time and memory."""
import os
import re

import pytest
import redis

from harness import resp
from harness import scale as run
from harness.server import wait_until

VALUE_BYTES = run.scale(small=4 << 20, normal=50 << 20, long=50 << 20)
HAS_FIGURES = run.scale(small=False, normal=True, long=True)     # a sanitizer keeps what is freed, and tells nothing
LARGE = 32 * 1024                                                # from here on

pytestmark = pytest.mark.limit(60)


@pytest.fixture
def raw(server):
    with server.raw(timeout=60) as connection:
        yield connection


def in_pieces(raw, request, size):
    for at in range(0, len(request), size):
        raw.send(request[at:at + size])


def begin(raw, *words, missing=1):
    """Sends a request but for its last bytes."""
    request = resp.encode(*words)
    raw.send(request[:-missing])
    return request[-missing:]


def of_client(larder, name):
    return next(c for c in larder.client_list() if c["name"] == name)


def allocated(larder):
    return larder.info("memory")["allocator_allocated"]


# ---- what is stored ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value_bytes", [LARGE - 1, LARGE, LARGE + 1, 65536, 200_000, 262_144, 262_145, 1_000_000, 3_000_000])
@pytest.mark.parametrize("piece", [1460, 65536, 1 << 30])
def test_a_value_of_any_size_in_pieces_of_any_size(raw, rng, value_bytes, piece):
    value = rng.randbytes(value_bytes)
    in_pieces(raw, resp.encode("SET", "k", value) + resp.encode("GET", "k"), piece)
    raw.expect(b"+OK\r\n$%d\r\n%s\r\n" % (value_bytes, value))


def test_what_it_costs_does_not_depend_on_how_it_came(raw, larder, rng):
    costs = []
    for piece in (1 << 30, 10_000):
        larder.delete("k")
        in_pieces(raw, resp.encode("SET", "k", rng.randbytes(60_000)), piece)
        raw.expect(b"+OK\r\n")
        costs.append(larder.memory_usage("k"))
    assert costs[0] == costs[1]


def test_every_verb_that_stores_it(raw, larder, rng):
    value = [rng.randbytes(LARGE * 3 + i) for i in range(8)]
    larder.set("was", "old")
    for words, answer in ((("SETEX", "a", 100, value[0]), b"OK"), (("PSETEX", "b", 100_000, value[1]), b"OK"),
                          (("SETNX", "c", value[2]), 1), (("GETSET", "was", value[3]), b"old"), (("APPEND", "d", value[4]), len(value[4])),
                          (("SET", "e", value[5], "EX", 100, "NX"), b"OK"), (("MSETEX", 1, "f", value[6], "EX", 100), 1)):
        in_pieces(raw, resp.encode(*words), 20_000)
        assert raw.read_reply() == answer
    assert larder.mget("a", "b", "c", "was", "d", "e", "f") == value[:7]
    assert larder.ttl("a") > 90 and larder.ttl("e") > 90 and larder.ttl("c") == -1


def test_what_does_not_store_it(raw, larder, rng):
    value = rng.randbytes(LARGE * 3)
    larder.set("k", "old")
    for words, answer in ((("SETNX", "k", value), 0), (("SET", "k", value, "NX"), None), (("APPEND", "k", value), 3 + len(value)),
                          (("SETRANGE", "k", 1, value), 3 + len(value)), (("ECHO", value), value)):
        in_pieces(raw, resp.encode(*words), 20_000)
        assert raw.read_reply() == answer
    assert larder.get("k") == b"o" + value + value[-2:]


def test_several_in_one_request(raw, larder, rng):
    values = [rng.randbytes(rng.choice([0, 10, LARGE - 1, LARGE, 70_000, 300_000])) for _ in range(60)]
    words = [word for i, value in enumerate(values) for word in (f"k{i}", value)]
    in_pieces(raw, resp.encode("MSET", *words) + resp.encode("PING"), 9_000)
    raw.expect(b"+OK\r\n+PONG\r\n")
    assert larder.mget(*words[::2]) == values


def test_a_key_that_stands_twice(raw, larder, rng):
    first, second = rng.randbytes(100_000), rng.randbytes(100_000)
    in_pieces(raw, resp.encode("MSET", "k", first, "k", second), 9_000)
    raw.expect(b"+OK\r\n")
    assert larder.get("k") == second


def test_large_names(raw, larder, rng):
    key = rng.randbytes(100_000)
    in_pieces(raw, resp.encode("SET", key, "v") + resp.encode("GET", key), 9_000)
    raw.expect(b"+OK\r\n$1\r\nv\r\n")
    assert larder.exists(key) == 1
    in_pieces(raw, resp.encode(b"x" * 100_000, "k"), 9_000)
    assert raw.read_reply().startswith(b"ERR unknown command 'xxx")


def test_what_is_behind_it_may_change_it(raw, rng):
    """In the same piece as its end."""
    value = rng.randbytes(300_000)
    raw.send(resp.encode("SET", "k", value) + resp.encode("SETRANGE", "k", 0, "begin") + resp.encode("APPEND", "k", "end") +
             resp.encode("SET", "l", value) + resp.encode("GETDEL", "l") + resp.encode("GET", "k"))
    raw.expect(b"+OK\r\n:300000\r\n:300003\r\n+OK\r\n$300000\r\n%s\r\n$300003\r\n%send\r\n" % (value, b"begin" + value[5:]))


def test_monitors_see_it(server, raw, rng):
    value = b"x" * 100_000
    with server.raw() as monitor:
        assert monitor.call("MONITOR") == b"OK"
        in_pieces(raw, resp.encode("SET", "k", value), 20_000)
        raw.expect(b"+OK\r\n")
        assert monitor.read_line().endswith(b'"SET" "k" "%s"' % value)


# ---- what it costs meanwhile ---------------------------------------------------------------------------------------
def test_a_claim_costs_nothing(server, larder):
    before = allocated(larder)
    with server.raw() as raw:
        raw.call("CLIENT", "SETNAME", "claims")
        raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n" + b"x" * 1000)
        wait_until(lambda: int(of_client(larder, "claims")["qbuf"]) > 1000)
        client = of_client(larder, "claims")
        assert int(client["qbuf"]) < 1100 and int(client["qbuf-free"]) < 4096 and int(client["tot-mem"]) < 8192
        assert not HAS_FIGURES or allocated(larder) - before < 1 << 20


def test_a_part_is_the_clients_memory(server, larder):
    with server.raw() as raw:
        raw.call("CLIENT", "SETNAME", "slow")
        rest = begin(raw, "MSET", "a", b"x" * 300_000, "b", b"y" * 300_000, missing=100_000)
        wait_until(lambda: int(of_client(larder, "slow")["qbuf"]) > 500_000)
        assert int(of_client(larder, "slow")["qbuf"]) < 501_000
        assert 500_000 < int(of_client(larder, "slow")["tot-mem"]) < 1_100_000
        raw.send(rest)
        raw.expect(b"+OK\r\n")
        assert int(of_client(larder, "slow")["qbuf"]) == 0 and int(of_client(larder, "slow")["tot-mem"]) < 8192


@pytest.mark.skipif(not HAS_FIGURES, reason="a sanitizer keeps what is freed")
def test_memory_is_once_the_value(start_larder):
    server = start_larder()
    value = os.urandom(VALUE_BYTES)
    before = server.resident_bytes()
    with server.raw(timeout=60) as raw:
        assert raw.call("SET", "k", value) == b"OK"
    with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
        peak = int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) * 1024
    assert peak - before < VALUE_BYTES * 5 // 4


def test_who_hangs_up_in_the_middle_leaves_nothing(server, larder):
    before = allocated(larder)
    for missing in (1, 2, 3, VALUE_BYTES // 2):
        with server.raw(timeout=60) as raw:
            begin(raw, "SET", "k", b"x" * VALUE_BYTES, missing=missing)
    wait_until(lambda: not HAS_FIGURES or allocated(larder) - before < VALUE_BYTES // 2)
    assert larder.exists("k") == 0


# ---- limits --------------------------------------------------------------------------------------------------------
def test_the_limit_of_a_request(start_larder):
    with start_larder(args=["--client-query-buffer-limit", "1mb"]).raw() as raw:
        assert raw.call("SET", "k", b"x" * 900_000) == b"OK"
        in_pieces(raw, resp.encode("MSET", "k", b"x" * 500_000, "l", b"y" * 300_000), 9_000)
        raw.expect(b"+OK\r\n")
        try:
            in_pieces(raw, resp.encode("MSET", "k", b"x" * 800_000, "l", b"y" * 300_000), 9_000)
        except ConnectionError:
            pass
        raw.expect_closed()


def test_the_small_rest_counts_too(start_larder):
    with start_larder(args=["--client-query-buffer-limit", "1mb"]).raw() as raw:
        try:
            in_pieces(raw, resp.encode("MSET", "k", b"x" * 800_000, *[b"y" * 1000] * 301), 9_000)
        except ConnectionError:
            pass
        raw.expect_closed()


def test_the_limit_of_an_argument(start_larder):
    with start_larder(args=["--proto-max-bulk-len", "1mb"]).raw() as raw:
        assert raw.call("SET", "k", b"x" * (1 << 20)) == b"OK"
        raw.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\nxxx")
        raw.expect(b"-ERR Protocol error: invalid bulk length\r\n")


def test_memory_that_is_full(start_larder, rng):
    """Room is made in several goes, between which the call waits with its arguments."""
    server = start_larder(args=["--maxmemory", "32mb", "--maxmemory-policy", "allkeys-lru"])
    larder = server.client()
    with larder.pipeline(transaction=False) as pipe:
        for i in range(120_000):
            pipe.set(f"small:{i}", "x" * 150)
        pipe.execute()
    value = rng.randbytes(16 << 20)
    with server.raw(timeout=60) as raw:
        assert raw.call("SET", "k", value) == b"OK"
    assert larder.get("k") == value
    assert larder.info("memory")["used_memory"] <= (32 << 20) * 102 // 100
    with pytest.raises(redis.ResponseError, match="OOM"):
        larder.set("k", b"x" * (33 << 20))
    assert larder.get("k") == value
    larder.close()


# ---- calls that wait -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("leaves", [False, True])
def test_a_call_that_waits_keeps_them(server, larder, rng, leaves):
    value = rng.randbytes(300_000)
    with server.raw(timeout=60) as raw:
        larder.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
        in_pieces(raw, resp.encode("MSET", "k", value, "small", "s", "l", value[:100_000]), 9_000)
        wait_until(lambda: larder.info("clients")["blocked_clients"] == 1)
        if leaves:
            raw.close()
            wait_until(lambda: larder.info("clients")["blocked_clients"] == 0)
        larder.execute_command("CLIENT", "UNPAUSE")
        if not leaves:
            raw.expect(b"+OK\r\n")
            assert raw.call("ECHO", value) == value
    assert larder.mget("k", "small", "l") == ([None] * 3 if leaves else [value, b"s", value[:100_000]])


# ---- a system without memory ---------------------------------------------------------------------------------------
def test_refused_memory(start_larder, scale):
    """All of it is stored, or none; what was refused is not lost."""
    server = start_larder()
    larder = server.client()
    held = allocated(larder)
    for once in range(1, scale(small=60, normal=60, long=300)):
        before = larder.mget("a", "b", "c")
        value = b"v%03d" % once * 60_000
        server.memory.refuse(once=once)
        try:
            with server.raw(timeout=60) as raw:
                in_pieces(raw, resp.encode("MSET", "a", value, "b", value[:50_000], "c", value), 60_000)
                raw.read_reply()
        except (EOFError, ConnectionError):
            pass
        server.memory.refuse()
        assert larder.mget("a", "b", "c") in (before, [value, value[:50_000], value])
    assert larder.get("c") == value                         # so many allocations it does not take
    larder.flushall()
    wait_until(lambda: not HAS_FIGURES or allocated(larder) - held < 1 << 20)
    larder.close()
