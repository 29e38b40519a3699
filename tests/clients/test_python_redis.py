"""Debian's python3-redis with its defaults."""
import pytest
import redis


def test_text_and_bytes(server):
    with server.client(decode_responses=True) as client:
        assert client.set("text", "grüße, 日本") and client.get("text") == "grüße, 日本"
        assert client.mset({"a": "1", "b": "ü"}) and client.mget("a", "b", "missing") == ["1", "ü", None]
    with server.client() as client:
        key = value = bytes(range(256))
        assert client.set(key, value, ex=100) and client.get(key) == value and client.ttl(key) in (99, 100)
        big = value * 40_000
        assert client.set("big", big) and client.get("big") == big and client.strlen("big") == len(big)


def test_pipeline(larder):
    pipeline = larder.pipeline(transaction=False)
    for i in range(10_000):
        pipeline.set(f"k{i}", i)
        pipeline.incr(f"k{i}")
    replies = pipeline.execute()
    assert replies[::2] == [True] * 10_000 and replies[1::2] == list(range(1, 10_001))
    assert set(larder.scan_iter("k*", count=100)) == {b"k%d" % i for i in range(10_000)}


def test_errors_have_their_classes(larder):
    larder.set("text", "x")
    with pytest.raises(redis.ResponseError, match="^value is not an integer or out of range$"):
        larder.incr("text")
    with pytest.raises(redis.ResponseError, match="^unknown command 'nosuch', with args beginning with: 'x' $"):
        larder.execute_command("nosuch", "x")
    replies = larder.pipeline(transaction=False).incr("text").get("text").execute(raise_on_error=False)
    assert isinstance(replies[0], redis.ResponseError) and replies[1] == b"x"


def test_answers_become_python_values(larder):
    assert larder.info("server")["redis_version"].startswith("7.") and "used_memory" in larder.info()
    assert larder.config_get("maxmemory") == {"maxmemory": "0"}
    assert larder.client_setname("worker-7") and larder.client_getname() == "worker-7"
    assert [c["name"] for c in larder.client_list() if c["id"] == str(larder.client_id())] == ["worker-7"]
    assert larder.set("k", "v", nx=True) and larder.set("k", "w", nx=True) is None
    assert larder.set("k", "w", get=True) == b"v"
    assert larder.object("encoding", "k") == b"embstr" and larder.type("k") == b"string"
    assert "get" in larder.command() and larder.command_count() > 50
    assert larder.command_getkeys("MSET", "a", 1, "b", 2) == ["a", "b"]


def test_handshake_with_password_name_and_database(start_larder):
    server = start_larder(config_text="requirepass secret\n")
    with pytest.raises(redis.AuthenticationError):
        server.client().ping()
    with pytest.raises(redis.ResponseError, match="^WRONGPASS "):
        server.client(password="wrong").ping()
    for user in (None, "default"):
        with server.client(username=user, password="secret", client_name="w", db=3,
                           single_connection_client=True) as client:
            me = [c for c in client.client_list() if c["id"] == str(client.client_id())][0]
            assert (me["name"], me["db"], me["user"]) == ("w", "3", "default")
    url = redis.Redis.from_url(f"redis://:secret@127.0.0.1:{server.port}/3")
    assert url.ping() and url.connection_pool.connection_kwargs["db"] == 3


def test_unix_socket(start_larder, tmp_path):
    path = str(tmp_path / "larder.sock")
    start_larder(args=["--unixsocket", path]).client().ping()       # whoever answers listens everywhere
    with redis.Redis(unix_socket_path=path) as client:
        assert client.set("k", "v") and client.get("k") == b"v"


def test_reconnects_after_a_restart(start_larder):
    server = start_larder()
    with server.client(health_check_interval=1, retry_on_timeout=True) as client:
        assert client.set("k", "v")
        server.restart()
        assert client.get("k") is None and client.set("k", "w") and client.get("k") == b"w"
