"""CLIENT PAUSE and UNPAUSE. Pauses here end by UNPAUSE or by the test's clock, so nothing waits for time to pass."""
import select

import pytest

from harness.server import wait_until

LARDER_ARGS = ("--threads", 2)
pytestmark = pytest.mark.concurrency
LONG = 1000000


@pytest.mark.parametrize("line", ["CLIENT PAUSE", "CLIENT PAUSE x", "CLIENT PAUSE -1", "CLIENT PAUSE 10 FOO", "CLIENT PAUSE 1 2 3", "CLIENT PAUSE 0",
                                  "CLIENT PAUSE 0 write", "CLIENT UNPAUSE", "CLIENT UNPAUSE x"])
def test_replies(same, line):
    same(line)


@pytest.fixture
def raws(server):
    connections = [server.raw() for _ in range(6)]      # on both workers
    connections[0].call("FLUSHALL")
    yield connections
    for connection in connections:
        connection.close()


def test_writes_wait_and_reads_do_not(raws):
    admin, *others = raws
    admin.call("SET", "k", "before")
    assert admin.call("CLIENT", "PAUSE", LONG, "WRITE") == b"OK"
    for number, raw in enumerate(others):
        raw.send(b"SET k%d v\r\nGET k%d\r\n" % (number, number))
    for raw in others:
        raw.expect_silence(0.01)
    assert admin.call("GET", "k") == b"before" and admin.call("DBSIZE") == 1
    flags = [line.split(b"flags=")[1].split()[0] for line in admin.call("CLIENT", "LIST").splitlines()]
    assert flags.count(b"b") == len(others)
    assert b"blocked_clients:%d\r" % len(others) in admin.call("INFO", "clients")
    assert admin.call("CLIENT", "UNPAUSE") == b"OK"
    for raw in others:
        assert (raw.read_reply(), raw.read_reply()) == (b"OK", b"v")
    assert admin.call("DBSIZE") == 1 + len(others)


def test_all_wait_until_the_time_is_over(server, raws):
    admin, *others = raws
    assert admin.call("CLIENT", "PAUSE", 60000) == b"OK"
    for raw in others:
        raw.send(b"PING\r\n")
    others[0].send(b"CLIENT UNPAUSE\r\n")
    for raw in others:
        raw.expect_silence(0.01)
    with server.raw() as raw:
        assert raw.call("GET") == b"ERR wrong number of arguments for 'get' command"     # mistakes are told at once
        assert raw.call("nosuch").startswith(b"ERR unknown command")
    server.clock.advance(60001)
    for raw in others:
        assert raw.read_reply() == b"PONG"
    assert others[0].read_reply() == b"OK"
    assert admin.call("PING") == b"PONG"


def test_the_stricter_and_the_longer_stay(server, raws):
    admin, reader, other = raws[:3]
    admin.call("CLIENT", "PAUSE", 60000, "WRITE")
    admin.call("CLIENT", "PAUSE", 10, "ALL")
    reader.send(b"GET k\r\n")
    server.clock.advance(20)
    reader.expect_silence(0.01)
    server.clock.advance(60000)
    assert reader.read_reply() is None
    assert other.call("SET", "k", "v") == b"OK"


def test_nothing_expires_or_is_evicted(server, raws):
    admin, other = raws[:2]
    for i in range(100):
        admin.call("SET", f"k{i}", "v" * 1000, "PX", 1000)
    expired = b"expired_keys:"
    before = [line for line in admin.call("INFO", "stats").splitlines() if line.startswith(expired)]
    assert admin.call("CLIENT", "PAUSE", LONG, "WRITE") == b"OK"
    server.clock.advance(5000)
    assert admin.call("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", 50000) == b"OK"
    for i in range(100):
        assert admin.call("GET", f"k{i}") is None and other.call("EXISTS", f"k{i}") == 0     # gone for who looks
    for _ in range(20):
        assert other.call("DBSIZE") == 100                                                   # and still there
    assert [line for line in admin.call("INFO", "stats").splitlines() if line.startswith(expired)] == before
    assert admin.call("CLIENT", "UNPAUSE") == b"OK"
    while other.call("DBSIZE"):
        pass
    admin.call("CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction")


def test_who_hangs_up_is_forgotten(server, raws):
    admin, other = raws[:2]
    admin.call("CLIENT", "PAUSE", LONG, "WRITE")
    other.send(b"SET k v\r\n")
    while b"blocked_clients:1\r" not in admin.call("INFO", "clients"):
        pass
    other.close()
    while b"blocked_clients:0\r" not in admin.call("INFO", "clients"):
        pass
    admin.call("CLIENT", "UNPAUSE")
    assert admin.call("GET", "k") is None


def test_after_the_answer_nothing_is_written(server, scale):
    """The promise of PAUSE: whatever writers do on other workers, what is read after it has answered stays as it is."""
    import threading

    stop = threading.Event()

    def write(number):
        with server.raw() as raw:
            while not stop.is_set():
                raw.call("INCR", f"counter{number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    names = [f"counter{number}" for number in range(4)]
    with server.raw() as admin:
        for _ in range(scale(small=20, normal=50, long=1000)):
            assert admin.call("CLIENT", "PAUSE", LONG, "WRITE") == b"OK"
            seen = admin.call("MGET", *names)
            for _ in range(3):
                assert admin.call("MGET", *names) == seen
            assert admin.call("CLIENT", "UNPAUSE") == b"OK"
    stop.set()
    for thread in threads:
        thread.join()


def test_an_unpause_while_a_pause_is_on_its_way(server, raws):
    """The pause that was ended while it went from worker to worker freezes nothing when it has come round."""
    admin, *others = raws
    admin.call("SET", "k", "v", "PX", 1000)
    with server.pause("tour_visit") as point:
        admin.send(b"CLIENT PAUSE %d WRITE\r\n" % LONG)
        point.wait_reached()                                    # the first worker stands
        for other in others:
            other.send(b"PING\r\n")
        free = []                                               # on the other worker
        while len(free) < 2:
            free = [other for other in others if select.select([other.socket], [], [], 0)[0]]
        for other in free:
            assert other.read_reply() == b"PONG"
        free[0].send(b"CLIENT UNPAUSE\r\n")
        wait_until(lambda: b"blocked_clients:2\r" in free[1].call("INFO", "clients"))
        point.release()
    assert admin.read_reply() == b"OK" and free[0].read_reply() == b"OK"
    server.clock.advance(2000)
    assert admin.call("SET", "k", "w", "GET") is None
    assert admin.call("GET", "k") == b"w"
