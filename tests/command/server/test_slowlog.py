import pytest


@pytest.mark.parametrize("line", ["SLOWLOG", "SLOWLOG GET x", "SLOWLOG GET -2", "SLOWLOG GET 1 2", "SLOWLOG get 1 2", "SLOWLOG LEN x", "SLOWLOG RESET",
                                  "SLOWLOG RESET x", "SLOWLOG nosuch"])
def test_replies(same, line):
    same(line)


def test_what_is_kept(same):
    """The same calls are kept, with the same arguments, short of time and duration."""
    same("SLOWLOG RESET")
    same("CLIENT SETNAME me")
    same("CONFIG SET slowlog-log-slower-than 0")
    same("SET", "k", "x" * 1000)
    same("MSET", *(str(i % 7) for i in range(60)))
    same("INCR", "k")
    same("GET")
    same("nosuch")
    same("AUTH default hush")
    same("HELLO 2 AUTH joe hush SETNAME x")
    same("CONFIG SET requirepass hush")
    same("CONFIG SET requirepass ''")
    same("CONFIG SET slowlog-log-slower-than -1")
    same("SET not kept")
    logs = [connection.call("SLOWLOG", "GET", -1) for connection in same.connections]
    for log, connection in zip(logs, same.connections):
        host, port = connection.socket.getsockname()
        assert [entry[4] for entry in log] == [f"{host}:{port}".encode()] * len(log)
        assert all(entry[2] >= 0 and entry[1] > 1e9 for entry in log)
        ids = [entry[0] for entry in log]
        assert ids == list(range(ids[0], ids[0] - len(ids), -1))
    assert [(entry[3], entry[5]) for entry in logs[0]] == [(entry[3], entry[5]) for entry in logs[1]]
    for connection in same.connections:
        assert len(connection.call("SLOWLOG", "GET", 2)) == 2
    same("SLOWLOG LEN")
    same("SLOWLOG RESET")
    assert same("SLOWLOG GET") == []


def test_the_oldest_go(same):
    same("SLOWLOG RESET")
    same("CONFIG SET slowlog-max-len 3 slowlog-log-slower-than 0")
    for i in range(5):
        same(f"SET k {i}")
    assert same("SLOWLOG LEN") == 3
    same("CONFIG SET slowlog-max-len 0")
    assert same("SLOWLOG LEN") == 0
    same("CONFIG SET slowlog-max-len 128 slowlog-log-slower-than 10000")


def test_calls_of_all_workers_are_in_it(start_larder):
    server = start_larder(args=["--threads", 2])
    raws = [server.raw() for _ in range(4)]
    raws[0].call("CONFIG", "SET", "slowlog-log-slower-than", 0)
    for number, raw in enumerate(raws):
        raw.call("ECHO", number)
    shown = [entry[3] for entry in raws[0].call("SLOWLOG", "GET")]
    assert [words[1] for words in shown if words[0] == b"ECHO"] == [b"3", b"2", b"1", b"0"]
