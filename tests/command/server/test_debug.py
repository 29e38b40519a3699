import shlex

import pytest

from harness import server as servers

LARDER_CONFIG = "enable-debug-command yes\n"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    """One that allows DEBUG."""
    server = servers.RedisServer(tmp_path_factory.mktemp("redis"), args=["--enable-debug-command", "yes"])
    yield server.start()
    server.stop()


@pytest.mark.parametrize("line", ["DEBUG", "DEBUG HELP x", "DEBUG nosuch", "DEBUG JMAP x", "DEBUG SLEEP", "DEBUG SLEEP 0", "DEBUG SLEEP x", "DEBUG SLEEP -1",
                                  "DEBUG SLEEP 0 0", "DEBUG OBJECT nosuch", "DEBUG OBJECT", "DEBUG SET-ACTIVE-EXPIRE 1", "DEBUG SET-ACTIVE-EXPIRE",
                                  "DEBUG STRINGMATCH-LEN a*", "DEBUG POPULATE x", "DEBUG POPULATE -1", "DEBUG POPULATE 1 a b", "DEBUG POPULATE 1 a 1 1",
                                  "DEBUG ERROR 'FOO bar'", "DEBUG ERROR", "DEBUG LOG hello", "DEBUG LOG", "DEBUG REPLYBUFFER PEAK-RESET-TIME x",
                                  "DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER", "DEBUG REPLYBUFFER PEAK-RESET-TIME 10",
                                  "DEBUG REPLYBUFFER RESIZING 0", "DEBUG REPLYBUFFER PEAK-RESET-TIME RESET", "DEBUG REPLYBUFFER RESIZING 1",
                                  "DEBUG REPLYBUFFER FOO 0", "DEBUG REPLYBUFFER", "DEBUG PROTOCOL", "DEBUG PROTOCOL foo", "DEBUG PROTOCOL push",
                                  *(f"DEBUG PROTOCOL {kind}" for kind in "string integer double null array set map verbatim true false bignum".split())])
def test_replies(same, line):
    if line == "DEBUG PROTOCOL push" and same.protocol == 3:
        for connection in same.connections:
            connection.send(b"DEBUG PROTOCOL push\r\n")
        pushes, replies = zip(*[(connection.read_reply(), connection.read_reply()) for connection in same.connections])
        assert pushes[0] == pushes[1] and replies[0] == replies[1]
    else:
        same(line)


def test_an_attribute_comes_before_its_reply(same):
    answers = []
    for connection in same.connections:
        connection.send(b"DEBUG PROTOCOL attrib\r\nECHO end\r\n")
        answer = b""
        while not answer.endswith(b"$3\r\nend\r\n"):
            answer += connection.read_exactly(1)
        answers.append(answer)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("line", ["DEBUG POPULATE 3", "DEBUG POPULATE 3 pre", "DEBUG POPULATE 2 big 10", "DEBUG POPULATE 12 cut 5", "DEBUG POPULATE 0"])
def test_populate(same, line):
    same("SET key:1 mine")
    same(line)
    same("DBSIZE")
    same("MGET key:0 key:1 key:2 pre:0 pre:2 big:0 big:1 cut:11")


def test_object(same):
    same("MSET k v n 12 l " + "x" * 100)
    for key in "k", "n", "l":
        words = [connection.call("DEBUG", "OBJECT", key).decode().split() for connection in same.connections]
        names = [[word.split(":")[0] for word in each] for each in words]
        assert names[0] == names[1]
        assert [word for word in words[0] if word.startswith("encoding")] == [word for word in words[1] if word.startswith("encoding")]


def test_keys_expire_only_when_asked_for(server, larder):
    larder.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    larder.set("k", "v", px=100)
    server.clock.advance(1000)
    for _ in range(20):
        assert larder.dbsize() == 1
    assert larder.get("k") is None and larder.dbsize() == 0
    larder.set("k", "v", px=100)
    larder.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    server.clock.advance(1000)
    while larder.dbsize():
        pass


def test_stringmatch(ask):
    assert ask("DEBUG STRINGMATCH-LEN a* abc") == 1
    assert ask("DEBUG STRINGMATCH-LEN a?? ab") == 0


def test_log(server, larder):
    larder.execute_command("DEBUG", "LOG", "here I am")
    assert "DEBUG LOG: here I am" in server.log()


def test_who_may(start_larder):
    for config, allowed in ("", False), ("enable-debug-command no\n", False), ("enable-debug-command local\n", True):
        server = start_larder(config_text=config)
        with server.raw() as raw:
            reply = raw.call("DEBUG", "SLEEP", 0)
            assert reply == b"OK" if allowed else reply.startswith(b"ERR DEBUG command not allowed. If the enable-debug-command option")


def test_slow_commands_are_seen(server, larder):
    """LATENCY and SLOWLOG, from a command that really takes long."""
    for line in "CONFIG SET latency-monitor-threshold 5 slowlog-log-slower-than 5000", "LATENCY RESET", "SLOWLOG RESET", "DEBUG SLEEP 0.01":
        larder.execute_command(*shlex.split(line))
    (name, when, last, longest), = larder.execute_command("LATENCY", "LATEST")
    assert name == b"command" and when > 1e9 and longest >= last >= 10
    assert larder.execute_command("LATENCY", "HISTORY", "command") == [[when, last]]
    assert larder.execute_command("LATENCY", "HISTORY", "fast-command") == []
    assert [entry["command"] for entry in larder.slowlog_get()] == [b"DEBUG SLEEP 0.01"]
    assert "command: slow in 1 seconds" in larder.execute_command("LATENCY", "DOCTOR").decode()
    assert larder.execute_command("LATENCY", "RESET", "fast-command", "nosuch") == 0
    assert larder.execute_command("LATENCY", "RESET", "command") == 1
    assert larder.execute_command("LATENCY", "LATEST") == []
    larder.config_set("latency-monitor-threshold", 0)
    larder.execute_command("DEBUG", "SLEEP", 0.01)
    assert larder.execute_command("LATENCY", "LATEST") == []
    assert "CONFIG SET latency-monitor-threshold" in larder.execute_command("LATENCY", "DOCTOR").decode()
