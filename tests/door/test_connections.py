"""Connections: limits, who comes in, who is closed and why, and that one cannot harm the others."""
import os
import resource
import signal
import socket
import stat
import time

import pytest

from harness import resp
from harness.raw import Raw
from harness.server import wait_until


# ---- who comes in --------------------------------------------------------------------------------------------------
def test_maxclients(start_larder):
    server = start_larder(args=["--threads", 2])
    inside = [server.raw()]
    # The harness has looked whether we listen; that connection must be gone.
    wait_until(lambda: b"connected_clients:1\r\n" in inside[0].call("INFO", "clients"))
    assert inside[0].call("CONFIG", "SET", "maxclients", 3) == b"OK"
    inside += [server.raw() for _ in range(2)]
    assert [raw.call("PING") for raw in inside] == [b"PONG"] * 3
    with server.raw() as one_more:
        one_more.expect(b"-ERR max number of clients reached\r\n")
        one_more.expect_closed()
    assert b"errorstat_ERR:count=1\r\n" in inside[0].call("INFO", "errorstats")
    assert inside[0].call("CONFIG", "SET", "maxclients", 4) == b"OK"
    inside.append(server.raw())
    assert inside[3].call("PING") == b"PONG"
    for raw in inside:
        raw.close()

    def comes_in():
        with server.raw() as raw:
            raw.send(b"PING\r\n")
            return raw.read_reply() == b"PONG"
    wait_until(comes_in)                # the places of those who left are free


def test_without_descriptors_new_connections_wait(start_larder):
    server = start_larder(args=["--threads", 2])
    with server.raw() as inside:
        in_use = len(os.listdir(f"/proc/{server.pid}/fd"))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (in_use + 10, in_use + 10))
        waiting = [server.raw() for _ in range(20)]
        wait_until(lambda: "no file descriptor or memory is left" in server.log())
        assert inside.call("PING") == b"PONG"
        for _ in range(20):             # each that leaves lets another one in
            raw = waiting.pop(0)
            assert raw.call("PING") == b"PONG"
            raw.close()


def test_unix_socket(start_larder):
    server = start_larder(config_text="unixsocket larder.sock\nunixsocketperm 700\n")
    path = str(server.dir / "larder.sock")
    with server.raw() as raw:                                   # answered when everything is set up
        assert raw.call("SET", "k", "v") == b"OK"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    with server.raw(unix=path) as raw:
        assert raw.call("GET", "k") == b"v"
    server.stop()
    assert not os.path.exists(path)


def test_a_unix_socket_that_cannot_be_made_is_said(run_larder):
    done = run_larder("--port", 0, "--unixsocket", "/nonexistent/larder.sock")
    assert done.returncode == 3 and "/nonexistent/larder.sock" in done.stderr


def test_a_taken_port_is_said(server, run_larder):
    done = run_larder("--port", server.port, "--bind", "127.0.0.1")
    assert done.returncode == 3
    assert f"127.0.0.1 port {server.port}: Address already in use" in done.stderr


def test_optional_addresses(start_larder):
    server = start_larder(args=["--bind", "127.0.0.1 -198.51.100.1"])
    assert server.client().ping()


def test_port_and_bind_change_while_it_runs(start_larder):
    server = start_larder()
    with server.raw() as raw:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        assert raw.call("CONFIG", "SET", "port", port) == b"OK"
        server.port = port

        def listens():
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            except ConnectionRefusedError:
                return False
        wait_until(listens)
        assert raw.call("PING") == b"PONG"      # those who are in stay


def other_address():
    """An address of this machine that is not loopback; None when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("198.51.100.1", 9))      # sends nothing
        except OSError:
            return None
        return s.getsockname()[0]


def test_protected_mode(start_larder):
    address = other_address()
    if not address:
        pytest.skip("this machine has only loopback")
    server = start_larder()
    with server.raw() as inside:
        assert inside.call("CONFIG", "SET", "bind", "*") == b"OK"

        def connect():
            return Raw((address, server.port))
        wait_until(lambda: socket.socket().connect_ex((address, server.port)) == 0)
        with connect() as stranger:
            assert stranger.read_reply().startswith(b"DENIED Larder is in protected mode")
            stranger.expect_closed()
        assert b"errorstat_DENIED:count=" in inside.call("INFO", "errorstats")
        assert inside.call("CONFIG", "SET", "requirepass", "secret") == b"OK"
        with connect() as stranger:
            assert stranger.call("PING").startswith(b"NOAUTH")
        assert inside.call("CONFIG", "SET", "requirepass", "") == b"OK"
        assert inside.call("CONFIG", "SET", "protected-mode", "no") == b"OK"
        with connect() as stranger:
            assert stranger.call("PING") == b"PONG"


# ---- before AUTH ---------------------------------------------------------------------------------------------------
@pytest.fixture
def guarded(start_larder):
    return start_larder(config_text="requirepass secret\n")


def test_auth_in_a_pipeline(guarded):
    with guarded.raw() as raw:
        raw.send(resp.encode("PING") + resp.encode("AUTH", "secret") + resp.encode("SET", "k", "x" * 20000) +
                 resp.encode("DEL", *["k"] * 20))
        raw.expect(b"-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n:1\r\n")


@pytest.mark.parametrize("request_, fault", [
    (b"*11\r\n", b"unauthenticated multibulk length"),
    (b"*1\r\n$16385\r\n", b"unauthenticated bulk length"),
])
def test_strangers_get_little(guarded, request_, fault):
    with guarded.raw() as raw:
        raw.send(request_)
        raw.expect(b"-ERR Protocol error: " + fault + b"\r\n")
        raw.expect_closed()


# ---- who is closed -------------------------------------------------------------------------------------------------
def test_timeout(start_larder):
    server = start_larder(args=["--timeout", 60])
    with server.raw() as idle, server.raw() as busy:
        assert idle.call("PING") == busy.call("PING") == b"PONG"
        server.clock.advance(40_000)
        assert busy.call("PING") == b"PONG"
        server.clock.advance(40_000)
        idle.expect_closed()
        assert busy.call("PING") == b"PONG"


def test_quit(larder, server):
    with server.raw() as raw:
        raw.send(resp.encode("SET", "k", "1") + resp.encode("QUIT") + resp.encode("SET", "k", "2"))
        raw.expect(b"+OK\r\n+OK\r\n")
        raw.expect_closed()
    assert larder.get("k") == b"1"


def test_client_reply(server, larder):
    with server.raw() as raw:
        raw.send(resp.encode("CLIENT", "REPLY", "OFF") + resp.encode("SET", "k", "1") + resp.encode("NOSUCH") +
                 resp.encode("CLIENT", "REPLY", "ON") + resp.encode("CLIENT", "REPLY", "SKIP") +
                 resp.encode("INCR", "k") + resp.encode("GET", "k"))
        raw.expect(b"+OK\r\n$1\r\n2\r\n")


def test_protocol_3(server, larder):
    with server.raw() as raw:
        raw.send(resp.encode("HELLO", "3") + resp.encode("GET", "absent"))
        hello = dict(raw.read_reply())
        assert hello[b"proto"] == 3
        raw.expect(b"_\r\n")
        raw.send(resp.encode("HELLO", "2") + resp.encode("GET", "absent"))
        raw.read_reply()
        raw.expect(b"$-1\r\n")


# ---- who does not read ---------------------------------------------------------------------------------------------
def test_a_client_that_never_reads_is_bounded(server, larder):
    larder.set("k", "x" * 100_000)
    with server.raw(timeout=1) as greedy:
        address = "%s:%d" % greedy.socket.getsockname()
        request = resp.encode("GET", "k") * 100
        try:
            for _ in range(60_000):         # 600 GB of replies
                greedy.send(request)
        except TimeoutError:
            pass                            # nobody takes our requests any more
        else:
            raise AssertionError("all requests were taken")
        assert larder.get("k") == b"x" * 100_000
        memory = next(int(client["tot-mem"]) for client in larder.client_list() if client["addr"] == address)
        assert memory < 200_000_000
    wait_until(lambda: all(client["addr"] != address for client in larder.client_list()))
    assert larder.ping()


def test_who_sends_all_before_reading_gets_all(server, larder):
    larder.set("k", "x" * 10_000)
    count = 5_000                           # 50 MB of replies, none read while requests are sent
    with server.raw() as raw:
        raw.send(resp.encode("GET", "k") * count)
        reply = b"$10000\r\n" + b"x" * 10_000 + b"\r\n"
        for _ in range(count):
            raw.expect(reply)


def test_hard_output_limit(start_larder):
    server = start_larder(config_text="client-output-buffer-limit normal 1mb 0 0\n")
    with server.raw() as raw:
        raw.call("SET", "k", "x" * 600_000)
        raw.send(resp.encode("MGET", *["k"] * 30))
        with pytest.raises((EOFError, ConnectionResetError)):
            raw.read_reply()
    wait_until(lambda: "client-output-buffer-limit" in server.log())
    with server.client() as client:
        assert client.ping()


def test_soft_output_limit(start_larder):
    server = start_larder(config_text="client-output-buffer-limit normal 0 1mb 10\n")
    with server.raw() as raw, server.raw() as other:
        raw.call("SET", "k", "x" * 1_000_000)
        raw.send(resp.encode("MGET", *["k"] * 30))
        assert other.call("PING") == b"PONG"
        for second in range(30):            # it is looked at once a second
            if second < 9:
                assert "soft client-output-buffer-limit" not in server.log()
            server.clock.advance(1_000)
            assert other.call("PING") == b"PONG"
            time.sleep(0.02)
        wait_until(lambda: "soft client-output-buffer-limit" in server.log())
        assert other.call("PING") == b"PONG"


def test_query_buffer_limit(start_larder):
    server = start_larder(config_text="client-query-buffer-limit 1mb\n")
    with server.raw() as raw:
        raw.send(b"*2\r\n$3\r\nGET\r\n$3000000\r\n")
        with pytest.raises((EOFError, ConnectionResetError, BrokenPipeError)):
            for _ in range(300):
                raw.send(b"x" * 10_000)
            raw.read_reply()
    assert "client-query-buffer-limit" in server.log()


# ---- many ----------------------------------------------------------------------------------------------------------
@pytest.mark.concurrency
def test_connections_that_vanish(start_larder, rng, scale):
    server = start_larder(args=["--threads", 3])
    for i in range(scale(small=100, normal=1000, long=20_000)):
        raw = server.raw()
        if i % 2:
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")      # ends with a reset
        request = resp.encode("SET", "k", "v" * rng.randrange(1000)) * rng.randrange(1, 600)
        raw.send(request[:rng.randrange(len(request))])
        raw.close()
    with server.client() as client:
        assert client.ping()
        wait_until(lambda: client.info("clients")["connected_clients"] == 1)


@pytest.mark.concurrency
def test_connections_are_spread_and_served(start_larder, scale):
    server = start_larder(args=["--threads", 3])
    connections = [server.raw() for _ in range(scale(small=30, normal=300, long=2000))]
    for i, raw in enumerate(connections):
        raw.send(resp.encode("SET", f"k{i}", i) + resp.encode("GET", f"k{i}"))
    for i, raw in enumerate(connections):
        raw.expect(b"+OK\r\n$%d\r\n%d\r\n" % (len(str(i)), i))
    for raw in connections:
        raw.close()


def test_an_idle_connection_is_small(start_larder):
    server = start_larder(args=["--threads", 1])
    connections = []
    for _ in range(100):                    # what the first ones need once
        connections.append(server.raw())
        assert connections[-1].call("PING") == b"PONG"
    before = server.resident_bytes()
    for _ in range(2000):
        connections.append(server.raw())
        assert connections[-1].call("PING") == b"PONG"
    assert (server.resident_bytes() - before) / 2000 < 4096
    for raw in connections:
        raw.close()


def test_an_idle_connection_gives_back_its_buffers(start_larder):
    server = start_larder(args=["--threads", 1])
    with server.raw() as raw, server.client() as other:
        value = "x" * 10_000
        raw.call("SET", "k", value)
        raw.send(resp.encode("GET", "k") * 50)
        for _ in range(50):
            assert raw.read_reply() == value.encode()
        address = "%s:%d" % raw.socket.getsockname()

        def memory():
            return next(int(client["tot-mem"]) for client in other.client_list() if client["addr"] == address)
        assert memory() > 10_000
        server.clock.advance(3_000)
        wait_until(lambda: memory() < 4096)


# ---- the end -------------------------------------------------------------------------------------------------------
def test_sigterm_lets_connections_go(start_larder):
    server = start_larder(args=["--threads", 2])
    with server.raw() as raw:
        assert raw.call("PING") == b"PONG"
        server.signal(signal.SIGTERM)
        raw.expect_closed()
    assert server.process.wait(10) == 0


def test_sigterm_does_not_wait_for_who_never_reads(start_larder):
    server = start_larder(args=["--shutdown-timeout", 1])
    with server.raw() as raw:
        raw.call("SET", "k", "x" * 1_000_000)
        raw.send(resp.encode("MGET", *["k"] * 30))
        with server.raw() as other:
            assert other.call("PING") == b"PONG"
        server.stop()


def test_pidfile(start_larder):
    server = start_larder(config_text="pidfile larder.pid\n")
    assert int((server.dir / "larder.pid").read_text()) == server.pid
    server.stop()
    assert not (server.dir / "larder.pid").exists()
