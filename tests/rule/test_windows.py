"""Times of governed keys: ttl, its jitter and bounds, the two stale windows, refreshes, remembered absence. Time is moved."""
import pytest
import redis

LOAD = 'source db\n load "SELECT name FROM t WHERE id = {id}"\n'


@pytest.fixture
def serve(start, source):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'old')")
    return lambda knobs: start(f"rule row:{{id}} {{\n {LOAD} {knobs}\n}}\n", "retries 0\n breaker off")


def change(source, name):
    source.run("UPDATE t SET name = ?", name)


def test_a_value_is_read_again_after_ttl(serve, source):
    server = serve("ttl 100s")
    with server.client() as client:
        assert client.get("row:1") == b"old"
        change(source, "new")
        server.clock.advance(99_000)
        assert client.get("row:1") == b"old"
        server.clock.advance(1_001)
        assert client.get("row:1") == b"new"
    assert source.queries() == 2


def test_jitter_spreads_and_only_shortens(serve, source):
    source.run("WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO t SELECT i, 'x' FROM n")
    with serve("ttl 1000s\n ttl-jitter 50%").client() as client:
        for i in range(1, 201):
            client.get(f"row:{i}")
        ttls = [client.pttl(f"row:{i}") for i in range(1, 201)]
    assert all(499_000 < ttl <= 1_000_000 for ttl in ttls)
    assert max(ttls) - min(ttls) > 300_000


def test_what_clients_write_gets_ttl_and_max_ttl(start):
    with start("rule s:* {\n ttl 100s\n max-ttl 200s\n}\n").client() as client:
        client.set("s:a", "x")
        client.set("s:b", "x", ex=150)
        client.set("s:c", "x", ex=1000)
        client.set("other", "x")
        assert [client.ttl(key) for key in ("s:a", "s:b", "s:c", "other")] == [100, 150, 200, -1]
        client.expire("s:a", 5000)
        assert client.ttl("s:a") == 200


def test_stale_while_revalidate_serves_the_old_value_and_refreshes_once(serve, source, helpers):
    server = serve("ttl 100s\n stale-while-revalidate 50s")
    with server.client() as client:
        client.get("row:1")
        change(source, "new")
        server.clock.advance(101_000)
        with server.pause("load_before_fill") as point:
            assert [client.get("row:1") for _ in range(10)] == [b"old"] * 10
            point.wait_reached()
            assert client.exists("row:1") == 1
        helpers.wait_until(lambda: client.get("row:1") == b"new")
        assert source.queries() == 2
        server.clock.advance(151_000)
        change(source, "newer")
        assert client.get("row:1") == b"newer"       # past the window: waits for the load


def test_stale_if_error_serves_the_old_value_only_while_the_source_fails(serve, source):
    server = serve("ttl 100s\n stale-if-error 50s")
    with server.client() as client:
        client.get("row:1")
        server.clock.advance(101_000)
        source.run("ALTER TABLE t RENAME TO away")
        assert client.get("row:1") == b"old"
        with pytest.raises(redis.ResponseError, match="SOURCEERR no such table: t"):
            client.append("row:1", "x")             # never builds on a stale value
        source.run("ALTER TABLE away RENAME TO t")
        change(source, "new")
        assert client.get("row:1") == b"new"
        server.clock.advance(151_000)
        source.run("ALTER TABLE t RENAME TO away")
        with pytest.raises(redis.ResponseError, match="SOURCEERR no such table: t"):
            client.get("row:1")


def test_absence_is_remembered_for_negative_ttl(serve, source):
    server = serve("ttl 100s\n negative-ttl 20s")
    with server.client() as client:
        assert [client.get("row:7") for _ in range(3)] == [None] * 3
        assert source.queries() == 1
        assert client.dbsize() == 0 and list(client.scan_iter()) == [] and client.exists("row:7") == 0
        source.run("INSERT INTO t VALUES (7, 'seven')")
        assert client.get("row:7") is None
        server.clock.advance(20_001)
        assert client.get("row:7") == b"seven"


def test_a_remembered_absence_is_no_value_to_those_who_change_it(serve, source):
    with serve("ttl 100s").client() as client:
        assert client.get("row:7") is None
        source.run("INSERT INTO t VALUES (7, '41')")
        assert client.incr("row:7") == 42           # looked again
        assert client.get("row:8") is None
        assert client.set("row:8", "mine", nx=True) is True
        assert client.get("row:8") == b"mine"


def test_refresh_ahead_reads_again_before_the_end(serve, source, helpers):
    server = serve("ttl 100s\n refresh ahead 80%")
    with server.client() as client:
        client.get("row:1")
        change(source, "new")
        server.clock.advance(79_000)
        assert client.get("row:1") == b"old"
        assert source.queries() == 1
        server.clock.advance(2_000)
        assert client.get("row:1") == b"old"
        helpers.wait_until(lambda: client.get("row:1") == b"new")
        assert source.queries() == 2 and client.ttl("row:1") > 90


def test_refresh_early_comes_by_chance_and_load_time(start, source, slow_sql, helpers):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'old')")
    server = start(f'rule row:{{id}} {{\n source db\n load "SELECT name FROM t WHERE id = {{id}} AND {slow_sql} = 1"\n ttl 100s\n refresh early beta=1.0\n}}\n')
    with server.client() as client:
        client.get("row:1")
        server.clock.advance(50_000)
        assert [client.get("row:1") for _ in range(1000)] == [b"old"] * 1000
        assert source.queries("FROM t") == 1        # 50 s before the end, a load of 0.2 s: practically never
        server.clock.advance(49_900)
        helpers.wait_until(lambda: client.get("row:1") and source.queries("FROM t") == 2)


def test_on_miss_return_never_loads_by_itself(serve, source, helpers):
    with serve("ttl 100s\n on-miss return").client() as client:
        assert client.get("row:1") is None
        assert source.queries() == 0
        assert client.execute_command("CACHE.REFRESH", "row:1") == 1
        helpers.wait_until(lambda: client.get("row:1") == b"old")


def test_plain_commands_that_look_load_and_others_do_not(serve, source):
    with serve("ttl 100s").client() as client:
        assert client.exists("row:1") == 1
        assert client.mget("row:1", "row:2") == [b"old", None]
        assert client.strlen("row:1") == 3
        queries = source.queries()
        client.set("row:3", "x")
        client.delete("row:3", "row:4")
        client.object("ENCODING", "row:1")
        list(client.scan_iter())
        client.keys("*")
        client.randomkey()
        assert source.queries() == queries == 2
