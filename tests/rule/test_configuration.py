"""`larder check`, what is refused at start, and reloading the rules by SIGHUP."""
import contextlib
import pathlib
import signal
import sqlite3

import pytest


@pytest.fixture
def check(run_larder, tmp_path):
    def checked(text):
        (tmp_path / "larder.conf").write_text(text)
        return run_larder("check", "larder.conf", directory=tmp_path)

    sqlite3.connect(tmp_path / "good.db").execute("CREATE TABLE t (id INTEGER, name TEXT)")
    return checked


def test_check_tells_what_it_found(check):
    result = check('source s {\n sqlite "good.db"\n}\nrule a:{id} {\n source s\n load "SELECT id, name FROM t WHERE id = {id}"\n value json\n}\nrule b:* {\n ttl 1s\n}\n')
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["source s: sqlite, opened", "rule a:{id}: source s, json of 2 columns", "rule b:*: no source", "the configuration is good"]


def test_check_names_the_line_of_what_is_wrong(check):
    result = check('source s {\n sqlite "good.db"\n}\nsource gone {\n sqlite "nosuch.db"\n}\nrule a:{id} {\n source s\n load "SELECT missing FROM t WHERE id = {id}"\n}\n')
    assert result.returncode == 1
    assert "larder.conf:7: rule a:{id}: source s refuses its statement: no such column: missing" in result.stdout
    assert "larder.conf:4: source gone: cannot be opened: unable to open database file: No such file or directory" in result.stdout


@pytest.mark.parametrize("text, words", [
    ('rule a:{id} {\n source nosuch\n load "SELECT {id}"\n}\n', "nosuch"),
    ('source s {\n sqlite "good.db"\n}\nrule a:{id}:{other} {\n source s\n load "SELECT {nosuch}"\n}\n', "nosuch"),
    ("rule a:{x}:b {\n ttl 1s\n}\nrule a:{y}:b {\n ttl 2s\n}\n", "a:"),
])
def test_a_mistake_refuses_the_start(run_larder, check, tmp_path, text, words):
    result = check(text)
    assert result.returncode == 1 and words in result.stderr and "larder.conf:" in result.stderr
    started = run_larder("larder.conf", "--port", "0", directory=tmp_path)
    assert started.returncode == 1 and words in started.stderr


def test_a_source_that_changes_is_opened_anew_and_the_old_one_closed(start, source, helpers):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    server = start('rule row:{id} {\n source db\n load "SELECT name FROM t WHERE id = {id}"\n}\n', "connections 3")
    threads = f"/proc/{server.pid}/task"

    def count():
        names = 0
        for thread in pathlib.Path(threads).iterdir():
            with contextlib.suppress(OSError):                  # it has ended meanwhile
                names += "source-db" in (thread / "comm").read_text()
        return names

    with server.client() as client, server.raw() as reader:
        assert client.get("row:1") == b"one" and count() == 3
        with server.pause("load_before_fill") as point:
            reader.send(b"GET row:2\r\n")
            point.wait_reached()
            server.config.write_text(server.config.read_text().replace("connections 3", "connections 5"))
            server.signal(signal.SIGHUP)
            helpers.wait_until(lambda: count() == 8)        # the old ones wait for the load that runs
            point.release()
            assert reader.read_reply() == b"two"
        helpers.wait_until(lambda: count() == 5)
        client.delete("row:1")
        assert client.get("row:1") == b"one"
        server.config.write_text("")                        # all rules and sources go
        server.signal(signal.SIGHUP)
        helpers.wait_until(lambda: count() == 0)


def test_sighup_applies_new_rules_to_later_loads(start, source, helpers):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')")
    rule = 'rule row:{id} {\n source db\n load "SELECT name FROM t WHERE id = {id}"\n ttl 100s\n}\n'
    server = start(rule)
    text = server.config.read_text()

    def reload(new):
        server.config.write_text(new)
        server.signal(signal.SIGHUP)

    with server.client() as client, server.raw() as reader:
        client.get("row:1")
        with server.pause("load_before_fill") as point:     # a load that runs keeps the rule that it began with
            reader.send(b"GET row:2\r\n")
            point.wait_reached()
            reload(text.replace("SELECT name", "SELECT upper(name)").replace("100s", "500s"))
            helpers.wait_until(lambda: client.execute_command("CACHE.EXPLAIN", "row:3")[5][11] == b"500s")
            point.release()
            assert reader.read_reply() == b"two"
        assert client.get("row:3") == b"THREE" and client.ttl("row:3") > 100
        assert client.get("row:1") == b"one"                # entries stay
        assert helpers.figures(client)["loads"] == 3        # and what was counted

        reload(text.replace("SELECT name", "SELECT name, {nosuch}"))
        helpers.wait_until(lambda: "the rules were not changed" in server.log())
        client.delete("row:3")
        assert client.get("row:3") == b"THREE"

        reload(text[:text.index("rule ")])                  # a rule that is gone leaves its entries as plain keys
        helpers.wait_until(lambda: client.execute_command("CACHE.RULES") == [])
        assert client.get("row:1") == b"one" and client.get("row:9") is None
        reload(text.replace("source.db", "source.db").replace("ttl 100s", "ttl 7s"))
        helpers.wait_until(lambda: len(client.execute_command("CACHE.RULES")) == 1)
        client.delete("row:3")
        assert client.get("row:3") == b"three" and client.ttl("row:3") <= 7


@pytest.mark.concurrency
def test_reloads_under_load_lose_nobody(start, source, helpers, scale):
    """Rules and sources come and go while clients read through them; everyone gets the row of one of the configurations."""
    reloads = scale(small=20, normal=100, long=1000)
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);"
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i, 'x' FROM n")
    rule = 'rule row:{id} {\n source db\n load "SELECT name FROM t WHERE id = {id}"\n ttl 1ms\n}\n'
    server = start(rule, "connections 2")
    text = server.config.read_text()
    variants = [text, text.replace("name FROM", "upper(name) FROM"), text.replace("connections 2", "connections 3"), text[:text.index("rule ")]]
    readers = [server.raw() for _ in range(8)]
    with server.client() as client:
        for number in range(reloads):
            for place, reader in enumerate(readers):
                reader.send(b"".join(b"GET row:%d\r\n" % ((number * 97 + place * 13 + i) % 5000 + 1) for i in range(50)))
            server.config.write_text(variants[number % len(variants)])
            server.signal(signal.SIGHUP)
            for reader in readers:
                assert {reader.read_reply() for _ in range(50)} <= {b"x", b"X", None}
        server.config.write_text(text)
        server.signal(signal.SIGHUP)
        helpers.wait_until(lambda: len(client.execute_command("CACHE.RULES")) == 1)
        assert client.get("row:1") in (b"x", b"X")
