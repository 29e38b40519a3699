"""The system refuses memory: the command fails with an error and has changed nothing, and the server lives."""
import pytest

from harness import resp

REFUSED = b"ERR the system refused memory for this command"
KEYS = [b"s", b"n", b"long", b"timed", b"new", b"newer", b"newest"]
SET_UP = ["SET s value", "SET n 41", f"SET long {'x' * 5000}", "SET timed v PXAT 4000000000000"]
LONG = "y" * 3000
COMMANDS = [
    "SET new v", "SET s v", f"SET s {LONG} EX 1000000", "SET n 5 GET KEEPTTL", f"SET new {LONG}", "SETNX new v", f"SETEX timed 1000000 {LONG}",
    "GETSET s w", "GETDEL long", "GETEX s EX 1000000", "GETEX timed PERSIST", "MGET s n long nothing",
    f"MSET new 1 newer {LONG} s 3 long 4", f"MSETNX new 1 newer {LONG} newest 3", f"MSETEX 3 new 1 newer {LONG} s 3 EX 1000000",
    "MSET new 1 new 2", f"APPEND s {LONG}", "APPEND new v", "APPEND long x", "SETRANGE s 10 x", "SETRANGE new 5000 x", "SETRANGE timed 0 zz",
    "INCR n", "INCR new", "INCRBY n 100000", "DECR timed", "INCRBYFLOAT n 0.5", "INCRBYFLOAT new 1.5", "GETRANGE long 0 -1", "LCS s long IDX",
    f"LCS s long LEN", "DEL s n nothing", "UNLINK long", "DELEX s IFEQ value", "EXPIRE s 1000000", "EXPIRE timed 1", "PERSIST timed", "RENAME s new",
    "RENAME long s", "RENAMENX s new", "COPY s new", "COPY long s REPLACE", "COPY s s DB 3", "MOVE s 3", "TOUCH s n", "EXISTS s n", "TYPE s", "OBJECT ENCODING s",
    "KEYS *", "SCAN 0 COUNT 100", "DBSIZE", "RANDOMKEY", "FLUSHDB", "FLUSHALL", "FLUSHALL ASYNC", "SWAPDB 0 3", "SELECT 0", "PING", f"ECHO {LONG}", "HELLO 2", "HELLO 2 SETNAME x",
    "RESET", "CLIENT LIST", "CLIENT INFO", "CLIENT SETNAME somebody", "CLIENT SETINFO LIB-NAME lib", "CLIENT KILL ID 999999", "CLIENT KILL TYPE pubsub",
    "CLIENT PAUSE 0", "CLIENT UNPAUSE", "CLIENT UNBLOCK 999999", "CLIENT LIST ID 1 2 3", "CONFIG GET *", "CONFIG SET timeout 0 maxmemory-samples 5",
    "CONFIG SET latency-tracking yes", "CONFIG RESETSTAT", "COMMAND", "COMMAND DOCS", "COMMAND INFO get set", "COMMAND LIST FILTERBY PATTERN g*", "COMMAND GETKEYS MSET a 1 b 2",
    "COMMAND GETKEYSANDFLAGS MSET a 1 b 2", "COMMAND COUNT", "INFO everything", "INFO commandstats", "LATENCY HISTOGRAM", "LATENCY DOCTOR", "LATENCY LATEST", "LATENCY RESET",
    "SLOWLOG GET", "SLOWLOG LEN", "SLOWLOG RESET", "MEMORY USAGE long", "MEMORY STATS", "MEMORY DOCTOR", "MEMORY PURGE", "DEBUG OBJECT s", "DEBUG POPULATE 50 made 100",
    "DEBUG PROTOCOL map", "DEBUG LOG words", "ROLE", "WAIT 0 0", "TIME", "LOLWUT", "CACHE.GET s", "CACHE.EXPLAIN s", "CACHE.RULES", "CACHE.INVALIDATE KEYS 1 s",
    "CACHE.INVALIDATE PREFIX s", "GET", "nosuch command"]
LARDER_ARGS = ("--threads", 1, "--enable-debug-command", "yes")


def look(raw):
    """Everything that is stored."""
    found = [raw.call("DBSIZE"), sorted(raw.call("KEYS", "*"))]
    for key in KEYS:
        found += [raw.call("GET", key), raw.call("PEXPIRETIME", key)]
    return found


def set_up(raw):
    for line in ["FLUSHALL", *SET_UP]:
        assert raw.call(*line.split()) == b"OK"


@pytest.fixture
def raws(server):
    """(who asks, who looks), each of which had what it needs once."""
    connections = server.raw(), server.raw()
    for raw in connections:
        set_up(raw)
        look(raw)
    yield list(connections)
    server.memory.refuse()
    for raw in connections:
        raw.close()


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line[:40])
def test_each_allocation_of_a_command_in_turn(server, raws, line):
    words, observer = line.split(), raws[1]
    in_parts = line.startswith("DEBUG POPULATE")                # as in Redis: keys one by one
    for place in range(1, 2000):
        raw = server.raw()
        set_up(observer)
        raw.call("PING")
        before, refused = look(observer), server.memory.refused
        server.memory.refuse(once=place)
        try:
            raw.send(resp.encode(*words))
            reply = raw.read_reply()
        except (EOFError, ConnectionError):
            reply = None                            # not even the reply had room
        server.memory.refuse()
        raw.close()
        was_refused = server.memory.refused > refused
        if was_refused and isinstance(reply, resp.Error) and reply == REFUSED and not in_parts:
            assert look(observer) == before
        if not was_refused:
            break
    assert observer.call("PING") == b"PONG"
