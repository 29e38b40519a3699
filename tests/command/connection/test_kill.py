import pytest

LARDER_ARGS = ("--threads", 2)
pytestmark = pytest.mark.concurrency


@pytest.mark.parametrize("line", ["CLIENT KILL", "CLIENT KILL x", "CLIENT KILL ''", "CLIENT KILL 1.1.1.1:3", "CLIENT KILL ID x", "CLIENT KILL ID 0",
                                  "CLIENT KILL ID -1", "CLIENT KILL ID 99999", "CLIENT KILL TYPE foo", "CLIENT KILL TYPE pubsub", "CLIENT KILL TYPE master",
                                  "CLIENT KILL TYPE replica", "CLIENT KILL TYPE slave", "CLIENT KILL USER foo", "CLIENT KILL USER default SKIPME foo",
                                  "CLIENT KILL ADDR 1.1.1.1:3", "CLIENT KILL LADDR 1.1.1.1:3", "CLIENT KILL ADDR", "CLIENT KILL ID 99999 ADDR",
                                  "CLIENT KILL FOO 1", "CLIENT KILL ID 1 ID", "CLIENT UNBLOCK", "CLIENT UNBLOCK x", "CLIENT UNBLOCK 99999",
                                  "CLIENT UNBLOCK 99999 timeout", "CLIENT UNBLOCK 1 FOO", "CLIENT UNBLOCK -5", "CLIENT UNBLOCK 1 ERROR x"])
def test_replies(same, line):
    same(line)


@pytest.fixture
def raws(server):
    connections = [server.raw() for _ in range(6)]      # on both workers
    for connection in connections:
        connection.call("PING")
    yield connections
    for connection in connections:
        connection.close()


def name_of(raw):
    return "%s:%d" % raw.socket.getsockname()


def test_by_address_and_by_id(server, raws):
    admin, first, second, third, fourth, fifth = raws
    assert admin.call("CLIENT", "KILL", name_of(first)) == b"OK"
    assert admin.call("CLIENT", "KILL", "ADDR", name_of(second)) == 1
    assert admin.call("CLIENT", "KILL", "ID", third.call("CLIENT", "ID")) == 1
    assert admin.call("CLIENT", "KILL", "ID", fourth.call("CLIENT", "ID"), "ADDR", name_of(fifth)) == 0
    assert len(admin.call("CLIENT", "LIST").splitlines()) == 3
    for raw in first, second, third:
        raw.expect_closed()
    assert fourth.call("PING") == fifth.call("PING") == b"PONG"
    assert admin.call("CLIENT", "KILL", "LADDR", f"127.0.0.1:{server.port}") == 2
    for raw in fourth, fifth:
        raw.expect_closed()
    assert admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no") == 1
    admin.expect_closed()


def test_an_address_that_is_no_text_is_nobodys(raws):
    first, second = raws[:2]
    for address in "\0", name_of(second) + "\0", name_of(second) + "\0x":
        assert first.call("CLIENT", "KILL", "ADDR", address) == first.call("CLIENT", "KILL", "LADDR", address) == 0
    assert second.call("PING") == b"PONG"


def test_itself(server, raws):
    assert raws[0].call("CLIENT", "KILL", name_of(raws[0])) == b"OK"
    raws[0].expect_closed()
    raws[1].send(b"CLIENT KILL USER default SKIPME no\r\nPING\r\n")
    assert raws[1].read_reply() == 5
    for raw in raws[1:]:
        raw.expect_closed()


def test_by_age(server, raws):
    server.clock.advance(100000)
    raws[0].call("PING")
    with server.raw() as young:
        assert young.call("CLIENT", "KILL", "MAXAGE", 50, "SKIPME", "no") == 6
        assert young.call("CLIENT", "KILL", "MAXAGE", "x") == b"ERR maxage is not an integer or out of range"
        assert young.call("CLIENT", "KILL", "MAXAGE", "0") == b"ERR maxage should be greater than 0"


def test_one_that_is_held_by_a_pause(server, raws):
    admin, other = raws[:2]
    admin.call("CLIENT", "PAUSE", 1000000, "WRITE")
    number = other.call("CLIENT", "ID")
    other.send(b"SET killed v\r\n")
    while b"blocked_clients:1\r" not in admin.call("INFO", "clients"):
        pass
    assert admin.call("CLIENT", "UNBLOCK", number) == 0         # it does not wait for anything of its own
    assert admin.call("CLIENT", "KILL", "ID", number) == 1
    other.expect_closed()
    admin.call("CLIENT", "UNPAUSE")
    assert admin.call("GET", "killed") is None


def test_killers_among_each_other(server, scale):
    import threading

    def kill():
        for _ in range(scale(small=20, normal=50, long=1000)):
            with server.raw() as raw:
                try:
                    raw.send(b"PING\r\nCLIENT KILL TYPE normal\r\nCLIENT LIST\r\n")
                    for _ in range(3):
                        raw.read_reply()
                except (EOFError, ConnectionError):
                    pass

    threads = [threading.Thread(target=kill) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with server.raw() as raw:
        raw.call("CLIENT", "KILL", "TYPE", "normal")
        assert raw.call("PING") == b"PONG"
