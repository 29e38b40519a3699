"""Reading through to PostgreSQL: what rows become, statements, parameters, what is the caller's mistake."""
import json

import pytest
import redis


def config(url, rules, knobs=""):
    return f'source db {{\n postgres "{url}"\n {knobs}\n}}\n' + rules


def rule(pattern, load, value="string", knobs=""):
    return f'rule {pattern} {{\n source db\n load "{load}"\n value {value}\n ttl 5m\n {knobs}\n}}\n'


def error_of(call, *args):
    with pytest.raises(redis.ResponseError) as caught:
        call(*args)
    return str(caught.value)


TYPES = [
    ("true", True), ("false", False), ("1::int2", 1), ("-7", -7), ("9223372036854775807", 9223372036854775807),
    ("1.50::numeric(8,2)", "raw 1.50"), ("12345678901234567890.123", "raw 12345678901234567890.123"), ("'NaN'::numeric", None),
    ("'Infinity'::numeric", None), ("0.1::float8", 0.1), ("1e300::float8", 1e300), ("'NaN'::float8", None), ("'-inf'::float4", None),
    ("3.5::float4", 3.5), ("NULL::int", None), ("'text'", "text"), ("'caf\u00e9 \u2603'::text", "caf\u00e9 \u2603"), ("''", ""),
    ("'tab\tquote''s'", "tab\tquote's"), ("'{\"a\": [1, null]}'::json", {"a": [1, None]}), ("'[true]'::jsonb", [True]),
    ("'null'::json", None), ("'\\x00ff10'::bytea", "AP8Q"), ("''::bytea", ""), ("DATE '2024-02-29'", "2024-02-29"),
    ("'{1,2}'::int[]", "{1,2}"), ("'6f2d9d2c-0d0e-4f5e-9a58-3f5b6a1c7d11'::uuid", "6f2d9d2c-0d0e-4f5e-9a58-3f5b6a1c7d11"),
    ("INTERVAL '1 day'", "1 day"), ("'x'::char(3)", "x  "), ("26::oid", 26), ("(1, 'a')::pair", "(1,a)"), ("5::positive", 5),
    ("'10.0.0.1'::inet", "10.0.0.1"), ("'2.50'::money", "$2.50"),
]


def test_types_as_json(start_larder, shop):
    columns = ", ".join(f"{sql} AS c{i}" for i, (sql, _) in enumerate(TYPES))
    url, _ = shop("CREATE TYPE pair AS (a int, b text); CREATE DOMAIN positive AS int CHECK (VALUE > 0); "
                  f"CREATE VIEW v AS SELECT 1 AS id, {columns}")
    names = ", ".join(f"c{i}" for i in range(len(TYPES)))
    client = start_larder(config_text=config(url, rule("v:{id}", f"SELECT {names} FROM v WHERE id = {{id}}", "json"))).client()
    row = json.loads(client.get("v:1"), parse_float=lambda text: f"raw {text}")
    for i, (sql, expected) in enumerate(TYPES):
        if isinstance(expected, float):
            assert float(row[f"c{i}"].removeprefix("raw ")) == expected, sql
        else:
            assert row[f"c{i}"] == expected, sql
    assert list(row) == [f"c{i}" for i in range(len(TYPES))]


def test_values_of_each_kind(start_larder, shop):
    url, _ = shop("CREATE TABLE t (id int PRIMARY KEY, name text, data bytea); "
                  "INSERT INTO t VALUES (1, 'one', '\\x00ff'), (2, NULL, '\\x'), (3, 'three', NULL)")
    client = start_larder(config_text=config(url, rule("name:{id}", "SELECT name FROM t WHERE id = {id}") +
                                             rule("data:{id}", "SELECT data FROM t WHERE id = {id}") +
                                             rule("from:{id}", "SELECT id, name FROM t WHERE id >= {id} ORDER BY id", "json-array"))).client()
    assert client.mget("name:1", "name:2", "name:3", "name:4") == [b"one", None, b"three", None]
    assert client.mget("data:1", "data:2", "data:3") == [b"\0\xff", b"", None]
    assert client.get("from:2") == b'[{"id":2,"name":null},{"id":3,"name":"three"}]'
    assert client.get("from:4") == b"[]"


def test_many_rows(start_larder, shop):
    url, _ = shop()
    client = start_larder(config_text=config(url, rule("n:{n}", "SELECT i, repeat('x', 50) AS x FROM generate_series(1, {n}::int) i", "json-array"))).client()
    assert json.loads(client.get("n:50000")) == [{"i": i, "x": "x" * 50} for i in range(1, 50001)]
    assert client.get("n:0") == b"[]"


def test_over_tls(start_larder, own_cluster):
    """Records of TLS end where they like: rows smaller and larger than one."""
    cluster = own_cluster(tls=True)
    rules = rule("n:{n}:{bytes}", "SELECT i, repeat(chr(97 + i % 26), {bytes}::int) AS x FROM generate_series(1, {n}::int) i", "json-array")
    rules += rule("tls:{id}", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND {id} = '1'")
    client = start_larder(config_text=config(cluster.url() + "?sslmode=require", rules)).client()
    assert client.get("tls:1") == b"t"
    for count, size in ((10, 10), (50000, 60), (300, 16300), (40, 100_000), (3, 3_000_000)):
        assert json.loads(client.get(f"n:{count}:{size}")) == [{"i": i, "x": chr(97 + i % 26) * size} for i in range(1, count + 1)]


def test_parameters_are_bound_and_have_the_columns_type(start_larder, shop):
    url, _ = shop("CREATE TABLE t (id bigint PRIMARY KEY, name text); INSERT INTO t VALUES (7, 'seven'), (8, '7')")
    client = start_larder(config_text=config(url, rule("id:{id}", "SELECT name FROM t WHERE id = {id}") +
                                             rule("name:{name}", "SELECT id FROM t WHERE name = {name}") +
                                             rule("both:{a}:{b}", "SELECT {b} || '/' || {a} || '/' || {b}"))).client()
    assert client.get("id:7") == b"seven"
    assert client.get("name:7") == b"8"
    assert client.get("name:7' OR '1'='1") is None
    assert client.get("both:x:y'y") == b"y'y/x/y'y"


def test_a_bad_parameter_is_the_callers_mistake(start_larder, shop):
    url, psql = shop("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'one')")
    server = start_larder(config_text=config(url, rule("t:{id}", "SELECT name FROM t WHERE id = {id}"), "breaker errors=1% window=10s open=5m"))
    client = server.client()
    for _ in range(30):
        assert error_of(client.get, "t:abc") == 'SOURCEERR invalid input syntax for type integer: "abc"'
    assert "out of range" in error_of(client.get, "t:99999999999")
    assert client.get("t:1") == b"one"                     # 31 failures, and the breaker is closed
    assert error_of(client.get, b"t:\xff").startswith("SOURCEERR")
    assert error_of(client.get, b"t:1\0").startswith("SOURCEERR")


@pytest.mark.parametrize("load, why", [
    ("SELEC 1 WHERE {id} = 1", "syntax error at or near"),
    ("SELECT * FROM missing WHERE id = {id}", 'relation "missing" does not exist'),
    ("DELETE FROM t WHERE id = {id}", "the statement returns no columns"),
    ("COPY t TO STDOUT /* */ WHERE {id} = 1", ""),
    ("SELECT $2::int + {id}", "the statement has parameters of its own; only {name} can be bound"),
    ("SELECT 1 WHERE {id} = '1'; SELECT 2", "cannot insert multiple commands into a prepared statement"),
    ("SELECT 1 / {id}::int", "division by zero"),
])
def test_a_mistake_in_a_statement_is_told(start_larder, run_larder, shop, tmp_path, load, why):
    url, psql = shop("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (0)")
    text = config(url, rule("t:{id}", load.replace('"', '\\"')) + rule("good:{id}", "SELECT id FROM t WHERE id = {id}"))
    client = start_larder(config_text=text).client()
    assert error_of(client.get, "t:0").startswith("SOURCEERR " + why)
    assert error_of(client.get, "t:0").startswith("SOURCEERR " + why)
    assert client.get("good:0") == b"0"                    # nothing was deleted, and the connection is in order
    file = tmp_path / "larder.conf"
    file.write_text(text)
    checked = run_larder("check", file)
    if load.startswith("SELECT 1 /"):
        assert checked.returncode == 0
    else:
        assert checked.returncode != 0 and why in checked.stdout + checked.stderr


def test_statements_are_prepared_once_for_each_connection(start_larder, shop):
    url, psql = shop("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)")
    load = "SELECT (SELECT count(*) FROM pg_prepared_statements) AS n, count(id) FROM t WHERE id = {id}"
    client = start_larder(config_text=config(url, rule("a:{id}", load, "json") + rule("b:{id}", load + " AND true", "json"), "connections 1")).client()
    assert [json.loads(client.get(f"a:{i}"))["n"] for i in range(3)] == [1, 1, 1]
    assert [json.loads(client.get(f"b:{i}"))["n"] for i in range(3)] == [2, 2, 2]


def test_more_statements_than_a_connection_keeps(start_larder, shop):
    url, _ = shop()
    rules = "".join(rule(f"r{i}:{{id}}", f"SELECT {i} + {{id}}::int, (SELECT count(*) FROM pg_prepared_statements)", "json") for i in range(150))
    client = start_larder(config_text=config(url, rules, "connections 1")).client()
    for turn in range(2):
        for i in range(150):
            row = list(json.loads(client.get(f"r{i}:{turn}")).values())
            assert row[0] == i + turn and row[1] <= 129


@pytest.mark.parametrize("ddl, expected", [
    ("ALTER TABLE t ADD COLUMN more text DEFAULT 'x'", {"id": 1, "name": "one", "more": "x"}),
    ("ALTER TABLE t ALTER COLUMN name TYPE varchar(10)", {"id": 1, "name": "one"}),
    ("ALTER TABLE t ALTER COLUMN id TYPE text", {"id": "1", "name": "one"}),
    ("ALTER TABLE t DROP COLUMN name", {"id": 1}),
    ("DROP TABLE t; CREATE TABLE t (id numeric, other int); INSERT INTO t VALUES (1, 2)", {"id": 1, "other": 2}),
])
def test_a_changed_table_under_a_prepared_statement(start_larder, shop, ddl, expected):
    url, psql = shop("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'one')")
    server = start_larder(config_text=config(url, rule("t:{id}", "SELECT * FROM t WHERE id = {id}", "json"), "connections 1\n retries 0"))
    client = server.client()
    assert json.loads(client.get("t:1")) == {"id": 1, "name": "one"}
    psql(ddl)
    client.execute_command("CACHE.INVALIDATE", "KEYS", 1, "t:1")
    assert json.loads(client.get("t:1")) == expected
    client.execute_command("CACHE.INVALIDATE", "KEYS", 1, "t:1")
    assert json.loads(client.get("t:1")) == expected
    psql("DROP TABLE t")
    client.execute_command("CACHE.INVALIDATE", "KEYS", 1, "t:1")
    for _ in range(3):
        assert error_of(client.get, "t:1") == 'SOURCEERR relation "t" does not exist'


def test_discarded_statements_are_prepared_again(start_larder, shop):
    url, _ = shop("CREATE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN 1; END $$")
    client = start_larder(config_text=config(url, rule("t:{id}", "SELECT {id} || forget()"), "connections 1\n retries 0")).client()
    assert [client.get(f"t:{i}") for i in range(5)] == [f"{i}1".encode() for i in range(5)]


def test_a_rare_sequence_of_errors_leaves_neighbours_alone(start_larder, shop):
    """Good and bad loads mixed on one connection, in one pipeline: each gets its own answer."""
    url, _ = shop("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)")
    client = start_larder(config_text=config(url, rule("t:{id}", "SELECT 100 / (id % 10) FROM t WHERE id = {id}"), "connections 1\n retries 0")).client()
    pipe = client.pipeline(transaction=False)
    for i in range(1, 1001):
        pipe.get(f"t:{i}")
    for i, reply in enumerate(pipe.execute(raise_on_error=False), 1):
        if i % 10:
            assert reply == str(100 // (i % 10)).encode(), i
        else:
            assert str(reply) == "SOURCEERR division by zero", i
