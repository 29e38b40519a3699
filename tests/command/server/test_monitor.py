import re

import pytest

LARDER_ARGS = ("--threads", 2)
pytestmark = pytest.mark.concurrency
LINE = re.compile(rb"(\d+\.\d{6}) \[(\d+) ([^]]+)\] (.*)")


@pytest.fixture
def monitors(server):
    raws = [server.raw() for _ in range(4)]     # on both workers
    for raw in raws:
        assert raw.call("MONITOR") == b"OK"
    yield raws
    for raw in raws:
        raw.close()


def shown(raw, count):
    return [LINE.fullmatch(raw.read_reply()).groups() for _ in range(count)]


def test_lines_are_those_of_redis(same):
    """What one connection asks is shown alike, secrets and what is not shown included."""
    asked = (b"SELECT 3\r\nSET k 'a'\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\n\x00\r\n\"\xff\r\nAUTH default bar\r\nHELLO 2 AUTH default x SETNAME foo\r\nINCR k\r\n"
             b"GET\r\nnosuch\r\nCONFIG GET foo\r\nCLIENT SETNAME x\r\nCLIENT ID\r\nPING\r\nCOMMAND COUNT\r\nSLOWLOG LEN\r\nRESET\r\nget k\r\n")
    lines = []
    for connection in same.connections:
        watcher = type(connection)(connection.socket.getpeername())
        assert watcher.call("MONITOR") == b"OK"
        connection.send(asked)
        for _ in range(16):
            connection.read_reply()
        assert connection.call("ECHO", "end") == b"end"
        name = b"%s:%d" % (connection.socket.getsockname()[0].encode(), connection.socket.getsockname()[1])
        seen = []
        while not seen or b'"end"' not in seen[-1][1]:
            _, db, peer, words = LINE.fullmatch(watcher.read_reply()).groups()
            assert peer == name
            seen.append((db, words))
        lines.append(seen)
        watcher.close()
    assert lines[0] == lines[1]


@pytest.mark.parametrize("line", ["MONITOR x"])
def test_replies(same, line):
    same(line)


def test_every_monitor_sees_both_workers(server, monitors):
    raws = [server.raw() for _ in range(4)]
    for number, raw in enumerate(raws):
        raw.call("ECHO", number)
    for monitor in monitors:
        assert [words for _, _, _, words in shown(monitor, 4)] == [b'"ECHO" "%d"' % number for number in range(4)]
    for raw in raws:
        raw.close()


def test_a_key_s_commands_come_in_their_order(server, monitors, scale):
    """Two workers append to one key; each monitor sees the appends in the order in which they stand in the value."""
    import threading

    rounds = scale(small=200, normal=500, long=5000)

    def append(letter):
        with server.raw() as raw:
            raw.send(b"".join(b"APPEND k %c%d,\r\n" % (letter, i) for i in range(rounds)))
            for _ in range(rounds):
                raw.read_reply()

    with server.raw() as raw:
        raw.call("FLUSHALL")
        threads = [threading.Thread(target=append, args=(letter,)) for letter in b"abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        value = raw.call("GET", "k")
    for monitor in monitors:
        words = [line[3] for line in shown(monitor, 1 + 4 * rounds)][1:]
        assert b"".join(re.fullmatch(rb'"APPEND" "k" "(.*)"', each)[1] for each in words) == value


def test_a_monitor_may_go_on_and_stop(server):
    with server.raw() as raw, server.raw() as other:
        assert raw.call("MONITOR") == b"OK"
        raw.send(b"MONITOR\r\nPING\r\n")                # a second one has no answer
        assert sorted([raw.read_reply(), raw.read_reply()])[1] == b"PONG"
        assert b"flags=O " in other.call("CLIENT", "LIST")
        assert b'"CLIENT" "LIST"' not in raw.buffer
        other.call("CLIENT", "INFO")
        assert raw.read_reply().endswith(b'"CLIENT" "INFO"')
        raw.send(b"RESET\r\n")
        assert raw.read_reply() == b"RESET"
        other.call("ECHO", "unseen")
        assert raw.call("PING") == b"PONG"
        assert b"flags=O " not in other.call("CLIENT", "LIST")
