"""PostgreSQL in trouble, and many at once: how queries share connections, timeouts, lost servers, refusals. Everyone is answered, nothing is left behind."""
import os
import signal
import threading

import pytest
import redis

from harness.server import wait_until

SLEEP = 'rule sleep:{s}:{id} {\n source db\n load "SELECT pg_sleep({s}::float8), {id}::int"\n value json\n ttl 5m\n wait-timeout 60s\n}\n'
ROW = 'rule row:{id} {\n source db\n load "SELECT name FROM t WHERE id = {id}"\n ttl 5m\n}\n'
TABLE = "CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 1000) i"
ACTIVE = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'larder' AND state = 'active'"
OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'larder'"
CONNECTED = f"SELECT count(*) {OURS}"


def config(url, rules, knobs=""):
    """On a busy machine a connection takes longer than connect-timeout has by itself."""
    patience = "" if "connect-timeout" in knobs else "connect-timeout 10s\n"
    return f'source db {{\n postgres "{url}"\n {patience}{knobs}\n}}\n' + rules


def figures(client):
    return client.info("cache")["source0"]


def error_of(client, key):
    with pytest.raises(redis.ResponseError) as caught:
        client.get(key)
    return str(caught.value)


def ask(server, keys):
    """A connection for each key, which is asked for at once."""
    readers = [server.raw(timeout=60) for _ in keys]
    for reader, key in zip(readers, keys):
        reader.send(f"GET {key}\r\n".encode())
    return readers


def nothing_is_left(client, connections):
    seen = figures(client)
    assert (seen["inflight"], seen["queued"]) == (0, 0) and seen["connections"] <= connections, seen
    assert sum(client.info("cache")[f"rule{i}"]["waiters"] for i in range(client.info("cache")["cache_rules"])) == 0


# ---- sharing connections -------------------------------------------------------------------------------------------------
def test_idle_connections_first_then_four_deep_then_the_queue(start_larder, shop):
    url, psql = shop()
    server = start_larder(config_text=config(url, SLEEP, "connections 3\n timeout 30s\n retries 0\n max-inflight 20"))
    client = server.client()
    client.get("sleep:0:0")
    assert figures(client)["connections"] == 1          # it grows with need
    readers = ask(server, [f"sleep:30:{i}" for i in range(3)])
    wait_until(lambda: psql.value(ACTIVE) == "3")
    more = ask(server, [f"sleep:0:{i}" for i in range(1, 16)])
    wait_until(lambda: figures(client)["queued"] == 6)
    assert figures(client)["inflight"] == 12 and psql.value(CONNECTED) == "3"
    psql(f"SELECT pg_cancel_backend(pid) {OURS} AND state = 'active'")
    assert [reader.read_reply().startswith(b"SOURCETIMEOUT canceling statement due to user request") for reader in readers] == [True] * 3
    assert [b'"int4":%d' % i in reader.read_reply() for i, reader in enumerate(more, 1)] == [True] * 15
    nothing_is_left(client, 3)


def test_a_stop_lets_everyone_have_the_answer(start_larder, shop):
    url, psql = shop()
    server = start_larder(config_text=config(url, SLEEP, "connections 2\n timeout 60s"))
    readers = ask(server, [f"sleep:0.2:{i}" for i in range(12)])
    wait_until(lambda: psql.value(ACTIVE) == "2")
    server.stop()
    assert [b'"int4":%d' % i in reader.read_reply() for i, reader in enumerate(readers)] == [True] * 12
    assert psql.value(CONNECTED) == "0"


def test_a_stop_does_not_wait_for_a_query_without_end(start_larder, shop):
    url, psql = shop()
    server = start_larder(config_text=config(url, SLEEP, "connections 2\n timeout 60s"), args=["--shutdown-timeout", "1"])
    readers = ask(server, [f"sleep:60:{i}" for i in range(12)])
    wait_until(lambda: psql.value(ACTIVE) == "2")
    server.stop()
    for reader in readers:
        reader.close()


def test_max_inflight_bounds_all(start_larder, shop):
    url, psql = shop()
    server = start_larder(config_text=config(url, SLEEP, "connections 4\n timeout 30s\n max-inflight 6"))
    client = server.client()
    readers = ask(server, [f"sleep:0.2:{i}" for i in range(50)])
    most = 0
    while figures(client)["queries"] < 50 or figures(client)["inflight"]:
        most = max(most, figures(client)["inflight"])
        assert int(psql.value(ACTIVE)) <= 4
    assert 4 < most <= 6
    assert [b'"int4":%d' % i in reader.read_reply() for i, reader in enumerate(readers)] == [True] * 50
    nothing_is_left(client, 4)


@pytest.mark.concurrency
def test_many_keys_at_once_none_lost_each_asked_once(start_larder, shop, scale):
    count = scale(small=200, normal=2000, long=2000)
    url, psql = shop(TABLE + "; CREATE SEQUENCE asked")
    load = "SELECT nextval('asked') > 0 AND id > 0 FROM t WHERE id = {id}::int % 1000 + 1"
    server = start_larder(config_text=config(url, f'rule k:{{id}} {{\n source db\n load "{load}"\n ttl 5m\n}}\n'))
    readers = [server.raw(timeout=60) for _ in range(50)]
    for number in range(count):
        for _ in range(3):
            readers[number * 7 % 50].send(b"GET k:%d\r\n" % number)
            readers[(number * 7 + 1) % 50].send(b"GET k:%d\r\n" % number)
    for number in range(count):
        for _ in range(3):
            assert readers[number * 7 % 50].read_reply() == b"t"
            assert readers[(number * 7 + 1) % 50].read_reply() == b"t"
    assert psql.value("SELECT last_value FROM asked") == str(count)
    with server.client() as client:
        nothing_is_left(client, 8)


def test_emptied_under_load_each_key_is_asked_for_once(start_larder, shop):
    url, psql = shop(TABLE + "; CREATE SEQUENCE asked")
    load = "SELECT nextval('asked')::text || name FROM t WHERE id = {id}"
    server = start_larder(config_text=config(url, f'rule k:{{id}} {{\n source db\n load "{load}"\n ttl 5m\n}}\n'))
    over = threading.Event()

    def read():
        with server.client() as client:
            while not over.is_set():
                client.mget([f"k:{i}" for i in range(1, 201)])

    threads = [threading.Thread(target=read) for _ in range(4)]
    with server.client() as client:
        client.mget([f"k:{i}" for i in range(1, 201)])
        for thread in threads:
            thread.start()
        for emptied in range(1, 6):
            client.flushall()
            client.mget([f"k:{i}" for i in range(1, 201)])
            # A load in flight that the flush voids is one query more for its key: of a flush, not of a reader.
            voided = client.info("cache")["rule0"]["voided"]
            assert int(psql.value("SELECT last_value FROM asked")) <= 200 * (emptied + 1) + voided
    over.set()
    for thread in threads:
        thread.join()


# ---- time ------------------------------------------------------------------------------------------------------------------
def test_a_timeout_ends_the_query_in_the_database(start_larder, shop):
    url, psql = shop()
    server = start_larder(config_text=config(url, SLEEP, "connections 2\n timeout 200ms\n retries 0"))
    client = server.client()
    assert client.get("sleep:0:1") == b'{"pg_sleep":"","int4":1}'
    assert error_of(client, "sleep:60:1").startswith("SOURCETIMEOUT")
    wait_until(lambda: psql.value(ACTIVE) == "0")
    assert client.get("sleep:0:2") == b'{"pg_sleep":"","int4":2}'
    assert figures(client)["timeouts"] == 1 and int(psql.value(CONNECTED)) <= 3


NO_TIMEOUT = 'rule off:{id} {\n source db\n load "SELECT set_config(\'statement_timeout\', \'0\', false) || {id}"\n}\n'


def test_a_query_that_does_not_end_by_itself_is_cancelled_and_its_neighbours_are_not(start_larder, shop, cluster):
    url, psql = shop()
    server = start_larder(config_text=config(url, SLEEP + NO_TIMEOUT, "connections 1\n timeout 400ms\n retries 0\n connect-timeout 5s"))
    client = server.client()
    assert client.get("off:1") == b"01"                 # the session's own limit is gone: only a cancel can end it
    before = cluster.log().count("canceling statement due to user request")
    readers = ask(server, ["sleep:60:1"])
    wait_until(lambda: psql.value(ACTIVE) == "1")
    neighbours = ask(server, [f"sleep:0.01:{i}" for i in range(3)])
    wait_until(lambda: figures(client)["inflight"] == 4)
    assert readers[0].read_reply().startswith(b"SOURCETIMEOUT")
    assert [reader.read_reply() for reader in neighbours] == [b'{"pg_sleep":"","int4":%d}' % i for i in range(3)]
    assert cluster.log().count("canceling statement due to user request") > before
    wait_until(lambda: psql.value(CONNECTED) == "1")    # the connection that carried the cancel is closed
    seen = figures(client)
    assert (seen["timeouts"], seen["errors"], seen["connections"]) == (1, 1, 1)
    nothing_is_left(client, 1)


def test_many_timeouts_at_once(start_larder, shop):
    url, psql = shop()
    server = start_larder(config_text=config(url, SLEEP + NO_TIMEOUT, "connections 6\n timeout 300ms\n retries 0\n connect-timeout 5s\n breaker off"))
    client = server.client()
    for reader in ask(server, [f"off:{i}" for i in range(60)]):
        reader.read_reply()
    readers = ask(server, [f"sleep:60:{i}" for i in range(24)])
    for reader in readers:
        assert reader.read_reply().startswith(b"SOURCETIMEOUT")
    wait_until(lambda: psql.value(ACTIVE) == "0")
    for reader in ask(server, [f"sleep:0:{i}" for i in range(24)]):
        assert b"int4" in reader.read_reply()
    nothing_is_left(client, 6)


def test_a_server_that_hangs(start_larder, own_cluster):
    """A stopped backend answers neither the query nor the cancel: the connection is given up. Larder ends in the middle of it, too."""
    cluster = own_cluster()
    cluster.psql()(TABLE)
    server = start_larder(config_text=config(cluster.url(), ROW + SLEEP, "connections 1\n timeout 300ms\n connect-timeout 300ms\n retries 0\n breaker off"))
    client = server.client()
    assert client.get("row:1") == b"row 1"
    psql = cluster.psql()
    pid = int(psql.value("SELECT pid FROM pg_stat_activity WHERE application_name = 'larder'"))
    os.kill(pid, signal.SIGSTOP)
    try:
        assert error_of(client, "row:2").startswith("SOURCETIMEOUT")
        wait_until(lambda: client.get("row:3") == b"row 3" if figures(client)["connections"] == 0 else None)
        os.kill(cluster.process.pid, signal.SIGSTOP)    # now nobody can connect either
        again = int(psql.value(f"SELECT pid FROM pg_stat_activity WHERE application_name = 'larder' AND pid <> {pid}"))
        os.kill(again, signal.SIGSTOP)
        assert error_of(client, "row:4").startswith("SOURCETIMEOUT")
        wait_until(lambda: figures(client)["connections"] == 0)
        assert error_of(client, "row:5") == "SOURCETIMEOUT no connection within 300 ms"
        readers = ask(server, ["row:6"])
        wait_until(lambda: figures(client)["inflight"] + figures(client)["queued"] == 1)
        server.stop()
        readers[0].close()
    finally:
        for number in (cluster.process.pid, pid, again):
            os.kill(number, signal.SIGCONT)


# ---- a lost server -----------------------------------------------------------------------------------------------------------
def test_terminated_backends_are_not_noticed_by_anybody(start_larder, shop):
    url, psql = shop(TABLE)
    server = start_larder(config_text=config(url, ROW + SLEEP, "connections 4\n timeout 30s\n retries 9\n breaker off"))
    client = server.client()
    for i in range(1, 21):
        assert client.get(f"row:{i}") == b"row %d" % i
        psql(f"SELECT pg_terminate_backend(pid) {OURS}")
    readers = ask(server, [f"sleep:0.5:{i}" for i in range(8)])     # also in the middle of queries: each is tried again
    wait_until(lambda: psql.value(ACTIVE) == "4")
    psql(f"SELECT pg_terminate_backend(pid) {OURS}")
    assert [b'"int4":%d' % i in reader.read_reply() for i, reader in enumerate(readers)] == [True] * 8
    assert figures(client)["retries"] >= 8
    nothing_is_left(client, 4)


@pytest.mark.concurrency
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_ends_in_the_middle_and_comes_back(start_larder, own_cluster, number):
    cluster = own_cluster()
    cluster.psql()(TABLE)
    server = start_larder(config_text=config(cluster.url(), ROW + SLEEP, "connections 4\n timeout 5s\n breaker errors=50% window=10s open=100ms"))
    client = server.client()
    client.ping()
    files = len(os.listdir(f"/proc/{server.pid}/fd"))
    for _ in range(2):
        assert client.get("row:1") == b"row 1"
        client.flushall()
        readers = ask(server, [f"sleep:5:{i}" for i in range(40)])
        wait_until(lambda: figures(client)["inflight"] == 16)
        cluster.end(number)
        for reader in readers:
            assert reader.read_reply().startswith((b"SOURCEDOWN", b"SOURCEERR"))
            reader.close()
        nothing_is_left(client, 0)
        wait_until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) == files)
        with pytest.raises(redis.ResponseError, match="SOURCEDOWN"):
            client.get("row:1")
        cluster.start()

        def recovered():
            try:
                return client.get("row:2") == b"row 2"
            except redis.ResponseError:
                return False

        wait_until(recovered)
        assert int(cluster.psql().value(CONNECTED)) <= 4
    assert "connected again" in server.log()


def test_breaker_counts_connections_that_fail(start_larder, own_cluster):
    cluster = own_cluster()
    url = cluster.url()
    cluster.end()
    client = start_larder(config_text=config(url, ROW, "retries 0")).client()
    words = [error_of(client, f"row:{i}") for i in range(12)]
    assert "Connection refused" in words[0] and words[0].startswith("SOURCEDOWN")
    assert words[-1] == "SOURCEDOWN the source is unavailable"
    assert figures(client)["breaker"] == "open"


# ---- refusals: the reason is told, the password is not -----------------------------------------------------------------------
SECRET = "s3cr3t-pa55"


def refused(start_larder, run_larder, tmp_path, url, why, prefix="SOURCEDOWN"):
    text = config(url, ROW, "retries 0")
    server = start_larder(config_text=text)
    client = server.client()
    words = error_of(client, "row:1")
    assert words.startswith(prefix) and why in words, words
    everything = str(client.info("everything")) + str(client.execute_command("CACHE.EXPLAIN", "row:1")) + words
    file = tmp_path / "larder.conf"
    file.write_text(text)
    checked = run_larder("check", file)
    assert checked.returncode != 0 and why in checked.stdout + checked.stderr
    for said in (everything, server.log(), checked.stdout, checked.stderr):
        assert SECRET not in said and "0ther" not in said


def test_a_wrong_password(start_larder, run_larder, tmp_path, own_cluster):
    cluster = own_cluster(password=SECRET)
    psql = cluster.psql()
    psql(TABLE)
    psql("GRANT SELECT ON t TO app")
    assert start_larder(config_text=config(cluster.url(user="app", password=SECRET), ROW)).client().get("row:1") == b"row 1"
    refused(start_larder, run_larder, tmp_path, cluster.url(user="app", password="0ther"), 'password authentication failed for user "app"')
    refused(start_larder, run_larder, tmp_path, cluster.url(user="app"), "no password supplied")


def test_what_the_server_refuses(start_larder, run_larder, tmp_path, own_cluster):
    cluster = own_cluster()
    psql = cluster.psql()
    psql(TABLE)
    psql("CREATE ROLE app LOGIN")
    psql("CREATE ROLE nobody NOLOGIN")
    refused(start_larder, run_larder, tmp_path, cluster.url(database="missing", password=SECRET), 'database "missing" does not exist')
    refused(start_larder, run_larder, tmp_path, cluster.url(user="missing", password=SECRET), 'role "missing" does not exist')
    refused(start_larder, run_larder, tmp_path, cluster.url(user="nobody", password=SECRET), "is not permitted to log in")
    refused(start_larder, run_larder, tmp_path, cluster.url(user="app", password=SECRET), "permission denied for table t", "SOURCEERR")


@pytest.mark.parametrize("url", [f"postgresql://app:{SECRET}%zz@127.0.0.1/shop", f"postgresql://app:{SECRET}@127.0.0.1/shop?nosuch=1",
                                 f"postgresql://app:{SECRET}@127.0.0.1:port/shop"])
def test_a_url_that_is_none(start_larder, run_larder, tmp_path, url):
    refused(start_larder, run_larder, tmp_path, url, "", "SOURCE")


def test_a_line_that_is_no_url_is_not_repeated(run_larder, tmp_path):
    file = tmp_path / "larder.conf"
    file.write_text(config(f"host=127.0.0.1 password={SECRET}", ROW))
    checked = run_larder("check", file)
    assert checked.returncode != 0 and SECRET not in checked.stdout + checked.stderr
    assert "expected a URL like postgresql://" in checked.stdout + checked.stderr


# ---- reload and stop ---------------------------------------------------------------------------------------------------------
def test_a_reload_loses_no_query(start_larder, shop):
    url, _ = shop(TABLE)
    server = start_larder(config_text=config(url, SLEEP, "connections 2\n timeout 20s"))
    client = server.client()
    for turn in range(5):
        readers = ask(server, [f"sleep:0.3:{turn * 100 + i}" for i in range(12)])
        wait_until(lambda: figures(client)["inflight"] == 8)
        server.config.write_text(config(url, SLEEP, f"connections {2 + turn % 2}\n timeout {21 + turn}s"))
        server.signal(signal.SIGHUP)
        assert [b'"int4":%d' % (turn * 100 + i) in reader.read_reply() for i, reader in enumerate(readers)] == [True] * 12
        wait_until(lambda: figures(client)["connections"] == 0)     # those of a source that nobody has asked yet
        client.get(f"sleep:0:{turn}")
        server.config.write_text(config(url, SLEEP, "connections 2\n timeout 20s"))
        server.signal(signal.SIGHUP)
        wait_until(lambda: figures(client)["connections"] == 0)


def test_the_old_row_is_never_left(start_larder, shop, rng, scale):
    """UPDATE and then CACHE.INVALIDATE while the load of the old row is in flight: the row that stays is the new one."""
    url, psql = shop(TABLE)
    server = start_larder(config_text=config(url, ROW))
    with server.client() as client, server.raw() as reader:
        for trial in range(scale(small=100, normal=2000, long=10_000)):
            key, number = f"row:{trial % 1000 + 1}", trial % 1000 + 1
            client.execute_command("CACHE.INVALIDATE", "KEYS", 1, key)
            with server.pause("load_before_fill") as point:
                reader.send(f"GET {key}\r\n".encode())
                point.wait_reached()
                psql(f"UPDATE t SET name = 'new {trial}' WHERE id = {number}")
                how = rng.choice([("KEYS", 1, key), ("PREFIX", key), ("RULE", "row:{id}")])
                assert client.execute_command("CACHE.INVALIDATE", *how) >= 0
                point.release()
                assert reader.read_reply() != b"new %d" % trial      # who waited before gets what was loaded for him
            assert client.get(key) == b"new %d" % trial
        assert client.info("cache")["rule0"]["voided"] >= trial + 1
