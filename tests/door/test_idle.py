"""Many idle connections and some busy ones: what they cost, in memory and while nothing happens."""
import resource
import socket
import time

import pytest

from harness import resp, tls
from harness.server import wait_until

REAL_TIME = {"LARDER_CLOCK_FILE": ""}       # a clock that a test may move is looked at all the time
SECOND_MS = 1000


@pytest.fixture
def descriptors():
    """descriptors(count): as many may be open from here on."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def allow(count):
        wanted = max(before[0], count + 200)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, before[1])))
        except (PermissionError, ValueError):
            pytest.skip(f"the system allows {before[1]} descriptors, {wanted} are needed")

    yield allow
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0], resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def connect(server, count):
    """Connections that have asked something."""
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(count)]
    for connection in connections:
        connection.sendall(resp.encode("PING"))
    for connection in connections:
        assert connection.recv(100) == b"+PONG\r\n"
    return connections


def bytes_each(server, before, count):
    return (server.resident_bytes() - before) / count


@pytest.mark.limit(300)
def test_idle_and_active_connections(start_larder, scale, descriptors):
    idle_count = scale(small=1000, normal=10_000, long=10_000)
    active_count = idle_count // 10
    descriptors(idle_count + active_count)
    server = start_larder(args=["--threads", 2, "--maxclients", 12_000], env=REAL_TIME)
    connections = connect(server, 100)                      # what the first ones need once
    before = server.resident_bytes()
    connections += connect(server, idle_count)
    wait_until(lambda: bytes_each(server, before, idle_count) < 4096)

    active = connect(server, active_count)
    for number in range(5):
        for i, connection in enumerate(active):
            connection.sendall(resp.encode("SET", f"k{i}", f"{i} {number}") + resp.encode("GET", f"k{i}"))
        for i, connection in enumerate(active):
            value = b"%d %d" % (i, number)
            expected = b"+OK\r\n$%d\r\n%b\r\n" % (len(value), value)
            assert connection.recv(len(expected), socket.MSG_WAITALL) == expected

    time.sleep(2.5)                                         # until all have given back their buffers
    costs = server.thread_costs()
    time.sleep(1)
    for thread, (cpu_ns, slept) in server.thread_costs().items():
        assert cpu_ns - costs[thread][0] < 20e6 and slept - costs[thread][1] < 100, f"thread {thread} is not idle"
    for connection in connections + active:
        connection.close()


@pytest.mark.limit(300)
def test_idle_tls_connections(start_tls_larder, scale, descriptors, pki):
    """Most of it is OpenSSL's."""
    count = scale(small=0, normal=1000, long=5000)
    if not count:
        pytest.skip("a sanitizer keeps what a handshake frees")
    descriptors(count)
    server = start_tls_larder(auth="no", args=["--threads", 2, "--maxclients", 12_000])
    context = pki.context()

    def connect_tls(count):
        connections = [tls.RawTls(server.tls_port, context) for _ in range(count)]
        assert [connection.call("PING") for connection in connections] == [b"PONG"] * count
        return connections
    connections = connect_tls(100)
    before = server.resident_bytes()
    connections += connect_tls(count)
    server.clock.advance(3 * SECOND_MS)
    wait_until(lambda: bytes_each(server, before, count) < 20_000)
    for connection in connections:
        connection.close()
