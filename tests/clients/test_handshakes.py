"""What clients in the field send first, as bytes: every form is answered, and a refused one closes nothing."""
import pytest

from harness import resp


def fields(reply):
    """HELLO's reply as a dict in either protocol."""
    pairs = reply if isinstance(reply, resp.Map) else list(zip(reply[::2], reply[1::2]))
    return dict(pairs)


@pytest.fixture
def raw(larder, server):
    with server.raw() as raw:
        yield raw
        assert raw.call("PING") == b"PONG", "the connection lives on"


@pytest.mark.parametrize("words, protocol, kind", [
    ([], 2, list), (["2"], 2, list), (["3"], 3, resp.Map), (["3", "SETNAME", "w"], 3, resp.Map),
    (["3", "AUTH", "default", "", "SETNAME", "w"], 3, resp.Map),
    (["3", "setname", "w", "auth", "default", "x"], 3, resp.Map)])
def test_hello(raw, words, protocol, kind):
    reply = raw.call("HELLO", *words)
    told = fields(reply)
    assert type(reply) is kind and list(told) == [b"server", b"version", b"proto", b"id", b"mode", b"role", b"modules"]
    assert told[b"proto"] == protocol and told[b"server"] == b"redis"
    assert told[b"mode"] == b"standalone" and told[b"role"] == b"master"
    assert told[b"modules"] == [] and told[b"id"] == raw.call("CLIENT", "ID")
    assert tuple(map(int, told[b"version"].split(b"."))) >= (7, 2, 0)
    assert raw.call("CLIENT", "GETNAME") == (b"w" if "w" in words else None)


@pytest.mark.parametrize("words, error", [
    (["4"], b"NOPROTO unsupported protocol version"), (["1"], b"NOPROTO unsupported protocol version"),
    (["x"], b"ERR Protocol version is not an integer or out of range"),
    (["3", "AUTH", "default"], b"ERR Syntax error in HELLO option 'AUTH'"),
    (["3", "AUTH", "nobody", "x"], b"WRONGPASS invalid username-password pair or user is disabled."),
    (["3", "SETNAME", "a b"], b"ERR Client names cannot contain spaces, newlines or special characters.")])
def test_hello_refused(raw, words, error):
    reply = raw.call("HELLO", *words)
    assert isinstance(reply, resp.Error) and reply == error


def test_switching_protocols(raw):
    assert raw.call("GET", "missing") is None
    said = ["HELLO 3", "GET missing", "HELLO 2", "GET missing"]
    raw.send(b"".join(resp.encode(*text.split()) for text in said))
    assert isinstance(raw.read_reply(), resp.Map)
    raw.expect(b"_\r\n")
    assert fields(raw.read_reply())[b"proto"] == 2
    raw.expect(b"$-1\r\n")


def test_pipeline_of_a_modern_client(raw):
    """redis-py 8, go-redis, node-redis and others send all this at once and take errors for "not supported"."""
    said = [
        ["HELLO", "3"], ["CLIENT", "SETINFO", "LIB-NAME", "redis-py(django_v6.1)"],
        ["CLIENT", "SETINFO", "LIB-VER", "8.0.0"],
        ["CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", "external-ip"], ["CLIENT", "SETNAME", "shop"],
        ["SELECT", "3"], ["READONLY"], ["CLIENT", "TRACKING", "ON"], ["CLIENT", "ID"], ["PING"]]
    raw.send(b"".join(resp.encode(*words) for words in said))
    told = [raw.read_reply() for _ in said]
    assert isinstance(told[0], resp.Map) and told[1:3] == [b"OK", b"OK"]
    assert told[3] == b"ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP."
    assert told[4:6] == [b"OK", b"OK"] and told[9] == b"PONG" and isinstance(told[8], int)
    assert all(isinstance(told[i], resp.Error) for i in (3, 6, 7))
    info = raw.call("CLIENT", "INFO")
    assert b" name=shop " in info and b" db=3 " in info and b" resp=3 " in info
    assert b" lib-name=redis-py(django_v6.1) lib-ver=8.0.0" in info


@pytest.mark.parametrize("value", ["has space", "line\nfeed", "ключ"])
def test_setinfo_refuses(raw, value):
    refusal = raw.call("CLIENT", "SETINFO", "lib-name", value)
    assert refusal == b"ERR lib-name cannot contain spaces, newlines or special characters."


def test_boot_of_stackexchange_redis(raw):
    refused = [["SENTINEL", "MASTERS"], ["CLUSTER", "NODES"]]
    assert raw.call("CLIENT", "SETNAME", "host(SE.Redis-v2.8)") == b"OK"
    assert raw.call("CONFIG", "GET", "timeout") == [b"timeout", b"0"]
    assert raw.call("CONFIG", "GET", "slave-read-only") == [b"slave-read-only", b"yes"]
    assert raw.call("CONFIG", "GET", "replica-read-only") == [b"replica-read-only", b"yes"]
    assert raw.call("CONFIG", "GET", "databases") == [b"databases", b"16"]
    assert all(isinstance(raw.call(*words), resp.Error) for words in refused)
    assert b"redis_version:7." in raw.call("INFO", "server")
    raw.call("INFO", "replication")
    tracer = bytes(range(16))
    assert raw.call("ECHO", tracer) == tracer
    assert raw.call("GET", "__Booksleeve_TieBreak") is None
    assert raw.call("SET", "probe", "1", "PX", "1", "NX") == b"OK"


def test_info_that_clients_look_at(raw):
    """ioredis waits until loading is 0; Sidekiq, Rails and others take the version from a line that begins so."""
    lines = dict(line.split(b":", 1) for line in raw.call("INFO").split(b"\r\n") if b":" in line)
    assert lines[b"redis_version"] >= b"7.2" and lines[b"redis_mode"] == b"standalone"
    assert lines.get(b"loading", b"0") == b"0" and b"valkey_version" not in lines
    assert set(lines) >= {
        b"uptime_in_seconds", b"uptime_in_days", b"connected_clients", b"used_memory", b"used_memory_human",
        b"used_memory_peak_human", b"tcp_port", b"maxmemory_policy", b"keyspace_hits", b"expired_keys", b"evicted_keys"}


def test_inline_health_checks(server):
    with server.raw() as raw:
        raw.send(b"PING\r\nping\n\r\n  ECHO   'a b'\r\nQUIT\r\n")
        raw.expect(b"+PONG\r\n+PONG\r\n$3\r\na b\r\n+OK\r\n")
        raw.expect_closed()


# ---- with a password -----------------------------------------------------------------------------------------------
@pytest.fixture
def locked(start_larder):
    with start_larder(config_text="requirepass secret\n").raw() as raw:
        yield raw


NOAUTH = b"NOAUTH Authentication required."


def test_nothing_without_password(locked):
    for text in ("PING", "GET k", "CLIENT SETNAME x", "CLIENT SETINFO LIB-NAME x", "COMMAND", "INFO"):
        assert locked.call(*text.split()) == NOAUTH
    assert locked.call("HELLO", "3").startswith(b"NOAUTH HELLO must be called with the client already authenticated")
    assert locked.call("AUTH", "wrong").startswith(b"WRONGPASS invalid username-password pair")
    assert locked.call("AUTH", "nobody", "secret").startswith(b"WRONGPASS ")
    assert locked.call("HELLO", "3", "AUTH", "default", "wrong").startswith(b"WRONGPASS ")
    assert locked.call("AUTH", "secret", "x", "y") == b"ERR syntax error"
    assert locked.call("PING") == NOAUTH


@pytest.mark.parametrize("words", [["AUTH", "secret"], ["AUTH", "default", "secret"]])
def test_auth(locked, words):
    assert locked.call(*words) == b"OK" and locked.call("SET", "k", "v") == b"OK"
    assert locked.call("RESET") == b"RESET" and locked.call("GET", "k") == NOAUTH


def test_hello_with_password(locked):
    said = ["HELLO 3 AUTH default secret SETNAME w", "CLIENT SETINFO LIB-NAME x", "SELECT 1", "GET k"]
    locked.send(b"".join(resp.encode(*text.split()) for text in said))
    assert fields(locked.read_reply())[b"proto"] == 3
    assert [locked.read_reply() for _ in said[1:]] == [b"OK", b"OK", None]
    assert locked.call("CLIENT", "GETNAME") == b"w"
