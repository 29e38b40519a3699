"""CACHE.GET, CACHE.REFRESH, CACHE.INVALIDATE, CACHE.RULES, CACHE.EXPLAIN, INFO cache."""
import pytest
import redis

RULES = """
rule row:{id} {
    source db
    load "SELECT name FROM t WHERE id = {id}"
    ttl 100s
    stale-if-error 1h
    refresh early beta=1.5
}
rule row:{id}:of:{owner} {
    ttl 90m
    ttl-jitter 5%
    max-ttl 2d
}
rule other:{id} {
    database 3
    ttl 1s
}
"""


@pytest.fixture
def server(start, source):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);"
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO t SELECT i, 'row ' || i FROM n")
    return start(RULES)


@pytest.fixture
def client(server):
    with server.client() as client:
        yield client


def test_get_tells_value_and_state(client, server, helpers):
    seen = helpers.cache_get(client, "row:1")
    assert (seen["value"], seen["state"]) == (b"row 1", b"fresh")
    assert 99_000 < seen["ttl"] <= 100_000 and seen["age"] >= 0
    assert helpers.cache_get(client, "row:1000")["state"] == b"negative"
    assert helpers.cache_get(client, "plain") == {"value": None, "state": b"miss", "ttl": -2, "stale-ttl": -2, "age": None}
    client.set("plain", "x")
    assert helpers.cache_get(client, "plain") == {"value": b"x", "state": b"fresh", "ttl": -1, "stale-ttl": -1, "age": None}


def test_get_is_a_map_in_resp3(server):
    with server.raw() as raw:
        raw.call("HELLO", "3")
        reply = dict(raw.call("CACHE.GET", "plain"))
        assert reply[b"state"] == b"miss" and reply[b"value"] is None


@pytest.mark.parametrize("line", ["CACHE.GET row:1 LEASE 100", "CACHE.GET row:1 WAIT 5", "CACHE.INVALIDATE NOTHING x",
                                  "CACHE.INVALIDATE SOFT x", "CACHE.INVALIDATE PREFIX a b", "CACHE.INVALIDATE TAGS 1 t"])
def test_what_is_not_there_is_a_syntax_error(client, line):
    with pytest.raises(redis.ResponseError, match="syntax error"):
        client.execute_command(*line.split())


def test_refresh_loads_in_the_background_and_the_old_value_stays_readable(client, server, source, helpers):
    client.get("row:1")
    source.run("UPDATE t SET name = 'new'")
    with server.pause("load_before_fill") as point:
        assert client.execute_command("CACHE.REFRESH", "row:1", "row:2", "plain") == 2
        point.wait_reached()
        assert client.get("row:1") == b"row 1"
    helpers.wait_until(lambda: client.get("row:1") == b"new")
    helpers.wait_until(lambda: helpers.figures(client)["refreshes"] == 2)
    assert client.get("row:2") == b"new"
    assert source.queries() == 3


def test_invalidate_counts_what_it_touches(client):
    for i in range(1, 11):
        client.get(f"row:{i}")
        client.set(f"plain:{i}", "x")
    assert client.execute_command("CACHE.INVALIDATE", "KEYS", 3, "row:1", "row:1", "nosuch") == 1
    assert client.execute_command("CACHE.INVALIDATE", "PREFIX", "plain:") == 10
    assert client.execute_command("CACHE.INVALIDATE", "RULE", "row:{id}") == 9
    assert client.dbsize() == 0
    with pytest.raises(redis.ResponseError, match="no such rule"):
        client.execute_command("CACHE.INVALIDATE", "RULE", "other:{id}")      # of another database
    with pytest.raises(redis.ResponseError, match="numkeys"):
        client.execute_command("CACHE.INVALIDATE", "KEYS", 0, "a")
    with pytest.raises(redis.ResponseError, match="numkeys"):
        client.execute_command("CACHE.INVALIDATE", "KEYS", 2, "a")


def test_invalidate_soft_marks_stale(client, server, source, helpers):
    client.get("row:1")
    assert client.execute_command("CACHE.INVALIDATE", "SOFT", "KEYS", 1, "row:1") == 1
    source.run("ALTER TABLE t RENAME TO away")
    assert helpers.cache_get(client, "row:1")["state"] == b"stale"      # tried to load, and fell back
    source.run("ALTER TABLE away RENAME TO t")
    source.run("UPDATE t SET name = 'new'")
    assert client.get("row:1") == b"new"


def test_a_long_walk_leaves_room_for_others(server, scale):
    """Both connections are served by one worker; the second is answered while the first one's walk goes on."""
    keys = scale(small=100_000, normal=200_000, long=1_000_000)
    with server.client() as client:
        client.config_set("maxmemory", "0")
        pipe = client.pipeline(transaction=False)
        for i in range(keys):
            pipe.set(f"many:{i}", "x")
            if i % 10_000 == 9_999:
                pipe.execute()
        pipe.execute()
        with server.raw() as walker:
            walker.send(b"CACHE.INVALIDATE PREFIX many:\r\n")
            answered = 0
            while client.dbsize() > 0:
                answered += 1
            assert walker.read_reply() == keys
    assert answered > 10


def test_a_walk_outlives_its_client(server, helpers):
    with server.client() as client:
        client.mset({f"many:{i}": "x" for i in range(50_000)})
        with server.raw() as walker:
            walker.send(b"CACHE.INVALIDATE PREFIX many:\r\n")
        helpers.wait_until(lambda: client.dbsize() == 0)


def test_rules_and_explain(client):
    rules = client.execute_command("CACHE.RULES")
    shown = [dict(zip(rule[::2], rule[1::2])) for rule in rules]
    assert [rule[b"rule"] for rule in shown] == [b"row:{id}", b"row:{id}:of:{owner}", b"other:{id}"]
    assert shown[0][b"load"] == b"SELECT name FROM t WHERE id = {id}" and shown[0][b"refresh"] == b"early beta=1.5"
    assert (shown[1][b"ttl"], shown[1][b"max-ttl"], shown[1][b"ttl-jitter"]) == (b"90m", b"2d", b"5%")
    assert shown[2][b"database"] == 3
    told = client.execute_command("CACHE.EXPLAIN", "row:5:of:me")
    told = dict(zip(told[::2], told[1::2]))
    assert told[b"parts"] == [b"id", b"5", b"owner", b"me"]
    assert told[b"rule"][1] == b"row:{id}:of:{owner}"
    assert told[b"state"] == b"miss"
    told = client.execute_command("CACHE.EXPLAIN", "ungoverned")
    assert dict(zip(told[::2], told[1::2]))[b"rule"] is None


def test_info_counts(client, source, helpers):
    for key in ("row:1", "row:1", "row:1000", "row:1000"):
        client.get(key)
    helpers.wait_until(lambda: helpers.figures(client)["negative"] == 1)
    seen = helpers.figures(client)
    assert {name: seen[name] for name in ("hits", "misses", "negative_hits", "loads", "negative", "failed")} == {
        "hits": 1, "misses": 2, "negative_hits": 1, "loads": 2, "negative": 1, "failed": 0}
    told = client.info("cache")
    assert told["source0"]["queries"] == 2 and told["source0"]["breaker"] == "closed"
    assert told["loads_started"] == 2 and told["load_negative"] == 1 and told["negative_served"] == 1


def test_a_key_that_cannot_be_bound_is_refused_without_a_query(client, source):
    for key in (b"row:\xff", b"row:a\0b"):
        with pytest.raises(redis.ResponseError, match="SOURCEERR"):
            client.get(key)
    assert source.queries() == 0
