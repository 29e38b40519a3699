"""Requests as they come over a socket: in pieces, in bulk, typed by hand, damaged."""
import socket

import pytest

from harness import resp

LARDER_ARGS = ["--threads", 2]


@pytest.fixture
def raw(server):
    with server.raw() as connection:
        yield connection


# ---- pieces --------------------------------------------------------------------------------------------------------
def test_byte_by_byte(raw, larder):
    for request in (resp.encode("SET", "piece", "a\r\nb"), b"GET piece\r\n", resp.encode("GET", "piece")):
        for i in range(len(request)):
            raw.send(request[i:i + 1])
    raw.expect(b"+OK\r\n$4\r\na\r\nb\r\n$4\r\na\r\nb\r\n")


def test_pieces_of_any_size(raw, larder, rng, scale):
    rounds = scale(small=20, normal=100, long=2000)
    expected, requests = b"", b""
    for i in range(rounds):
        value = rng.randbytes(rng.choice([0, 1, 10, 1000, 70000]))
        requests += resp.encode("SET", f"k{i % 7}", value) + resp.encode("GET", f"k{i % 7}")
        expected += b"+OK\r\n$%d\r\n%s\r\n" % (len(value), value)
    at = 0
    while at < len(requests):
        size = rng.choice([1, 2, 17, 1000, 40000, 300000])
        raw.send(requests[at:at + size])
        at += size
    raw.expect(expected)


def test_100000_commands_in_one_write(raw, larder, scale):
    count = scale(small=10_000, normal=100_000, long=1_000_000)
    raw.send(b"".join(resp.encode("SET", f"key:{i % 1000}", i) for i in range(count)) + resp.encode("GET", "key:7"))
    raw.expect(b"+OK\r\n" * count)
    last = (count - 1 - 7) // 1000 * 1000 + 7
    assert raw.read_reply() == str(last).encode()


def test_what_was_sent_before_hanging_up_still_runs(server, larder):
    count = 3000
    with server.raw() as raw:
        raw.send(b"".join(resp.encode("SET", f"gone:{i}", i) for i in range(count)))
        raw.send(resp.encode("SET", "gone", "done"))
        raw.socket.shutdown(socket.SHUT_WR)
        try:
            while raw.socket.recv(1 << 20):
                pass
        except ConnectionResetError:
            pass
    with server.raw() as other:
        while other.call("GET", "gone") != b"done":     # bounded by the test's limit
            pass
    assert larder.dbsize() == count + 1


@pytest.mark.parametrize("bytes_each", [10, 20_000])            # in several turns; and more than the socket takes
def test_who_hangs_up_in_order_gets_all_replies(server, larder, bytes_each):
    larder.set("k", "x" * bytes_each)
    with server.raw() as raw:
        raw.send(resp.encode("GET", "k") * 3000 + b"PING\r\n")
        raw.socket.shutdown(socket.SHUT_WR)
        raw.expect((b"$%d\r\n" % bytes_each + b"x" * bytes_each + b"\r\n") * 3000 + b"+PONG\r\n")
        raw.expect_closed()


def test_a_large_value_comes_back_whole(larder, rng):
    value = rng.randbytes(20_000_000)
    larder.set("large", value)
    assert larder.get("large") == value


def test_binary_keys(raw, larder, rng):
    keys = {b"", b"\r\n", b"\x00" * 1000, b"*1\r\n$4\r\nPING\r\n"}
    keys |= {bytes([i]) for i in range(256)} | {rng.randbytes(30) for _ in range(50)}
    for key in keys:
        assert raw.call("SET", key, key[::-1]) == b"OK"
    for key in keys:
        assert raw.call("GET", key) == key[::-1]
    assert larder.dbsize() == len(keys)


# ---- typed by hand -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("line, reply", [
    (b"PING\r\n", b"+PONG\r\n"),
    (b"PING\n", b"+PONG\r\n"),
    (b"\r\n  \r\nPING\r\n", b"+PONG\r\n"),
    (b"*0\r\n*-1\r\nPING\r\n", b"+PONG\r\n"),
    (b"  echo\t 'it\\'s' \r\n", b"$4\r\nit's\r\n"),
    (b'ECHO "a \\x41\\r\\n\\t\\"\\\\"\r\n', b"$8\r\na A\r\n\t\"\\\r\n"),
    (b'ECHO ""\r\n', b"$0\r\n\r\n"),
    (b"ECHO " + b"x" * 60000 + b"\r\n", b"$60000\r\n" + b"x" * 60000 + b"\r\n"),
])
def test_inline(raw, line, reply):
    raw.send(line)
    raw.expect(reply)


# ---- damage --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("request_, fault", [
    (b"*x\r\n", b"invalid multibulk length"),
    (b"*1048577\r\n", b"invalid multibulk length"),
    (b"*99999999999999999999\r\n", b"invalid multibulk length"),
    (b"*1\r\n:1\r\n", b"expected '$', got ':'"),
    (b"*1\r\nPING\r\n", b"expected '$', got 'P'"),
    (b"*1\r\n$-1\r\n", b"invalid bulk length"),
    (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
    (b"*1\r\n$x\r\n", b"invalid bulk length"),
    (b"*" + b"1" * 70000, b"too big mbulk count string"),
    (b"*1\r\n$" + b"1" * 70000, b"too big bulk count string"),
    (b"x" * 70000, b"too big inline request"),
    (b"ECHO \"a\r\n", b"unbalanced quotes in request"),
    (b"ECHO 'a'b\r\n", b"unbalanced quotes in request"),
])
def test_a_fault_is_said_and_ends_the_connection(server, larder, request_, fault):
    with server.raw() as raw:
        raw.send(resp.encode("SET", "before", "1"))
        raw.expect(b"+OK\r\n")
        raw.send(request_)
        raw.expect(b"-ERR Protocol error: " + fault + b"\r\n")
        raw.expect_closed()
    assert larder.get("before") == b"1"


def test_what_came_before_a_fault_is_answered(server, larder):
    with server.raw() as raw:
        raw.send(resp.encode("SET", "k", "1") + resp.encode("INCR", "k") + b"*1\r\n!\r\n" + resp.encode("INCR", "k"))
        raw.expect(b"+OK\r\n:2\r\n-ERR Protocol error: expected '$', got '!'\r\n")
        raw.expect_closed()
    assert larder.get("k") == b"2"


def test_claims_reserve_nothing(server, larder):
    claims = [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc", b"*1048576\r\n$1\r\na\r\n"]
    connections = [server.raw() for _ in range(100)]
    for i, raw in enumerate(connections):
        raw.send(claims[i % 2])
    while len(clients := larder.client_list()) < 101:
        pass                            # they are still on their way to their workers
    assert sum(int(client["tot-mem"]) for client in clients) < 100 * 10_000
    for raw in connections:
        raw.close()
    assert larder.ping()


def test_a_web_page_cannot_command(server, larder):
    for request in (b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k evil\r\n",
                    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent: x\r\n\r\nSET k evil\r\n"):
        with server.raw() as raw:
            raw.send(request)
            try:
                raw.read_reply()        # of GET, which is a command with one argument too many
            except EOFError:
                continue
            raw.expect_closed()
    assert larder.get("k") is None
    assert "Possible SECURITY ATTACK" in server.log()


def test_random_bytes_harm_nobody(server, larder, rng, scale):
    larder.set("untouched", "v")
    for _ in range(scale(small=50, normal=300, long=10_000)):
        request = bytearray(resp.encode("SET", "j", rng.randbytes(20)) * rng.randrange(1, 4))
        for _ in range(rng.randrange(1, 6)):
            request[rng.randrange(len(request))] = rng.randrange(256)
        with server.raw() as raw:
            raw.send(bytes(request))
    assert larder.get("untouched") == b"v"
