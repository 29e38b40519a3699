"""Reads that load while CLIENT PAUSE is in force: they are answered, and leave nothing behind."""
import pytest

pytestmark = pytest.mark.concurrency
LONG = 1_000_000


@pytest.fixture
def server(start, source):
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'old')")
    return start('rule row:{id} {\n source db\n load "SELECT name FROM t WHERE id = {id}"\n ttl 100s\n'
                 ' stale-while-revalidate 50s\n negative-ttl 100s\n}\n')


def test_a_load_under_a_pause_is_answered_and_not_stored(server, source):
    with server.client() as client:
        assert client.client_pause(LONG, all=False)
        assert [client.get("row:1"), client.get("row:1"), client.get("row:2")] == [b"old", b"old", None]
        assert client.dbsize() == 0 and source.queries() == 3
        assert client.client_unpause()
        assert [client.get("row:1"), client.get("row:1")] == [b"old"] * 2
        assert client.dbsize() == 1 and source.queries() == 4


def test_a_load_that_a_pause_overtakes_is_answered_and_not_stored(server, source):
    with server.client() as client, server.raw() as reader:
        with server.pause("load_before_fill") as point:
            reader.send(b"GET row:1\r\n")
            point.wait_reached()
            assert client.client_pause(LONG, all=False)
            point.release()
        assert reader.read_reply() == b"old"
        assert client.dbsize() == 0
        assert client.client_unpause()
        assert client.get("row:1") == b"old" and client.dbsize() == 1 and source.queries() == 2


def test_a_refresh_under_a_pause_changes_nothing(server, source):
    with server.client() as client:
        assert client.get("row:1") == b"old"
        source.run("UPDATE t SET name = 'new'")
        server.clock.advance(101_000)
        assert client.client_pause(LONG, all=False)
        with server.pause("load_before_fill") as point:
            assert client.get("row:1") == b"old"
            point.wait_reached()
        while client.info("cache")["loads_in_flight"]:
            pass
        assert client.get("row:1") == b"old"
        assert client.client_unpause()
        while client.get("row:1") != b"new":
            pass


def test_a_write_that_needs_the_row_waits_for_the_end_of_the_pause_and_then_loads(server, source):
    with server.client() as client, server.raw() as writer:
        assert client.client_pause(LONG, all=False)
        writer.send(b"APPEND row:1 er\r\nGET row:1\r\n")
        writer.expect_silence(0.01)
        assert source.queries() == 0
        assert client.client_unpause()
        assert [writer.read_reply(), writer.read_reply()] == [5, b"older"]
        assert source.queries() == 1


def test_who_waits_for_all_loads_afterwards(server, source):
    with server.raw() as reader, server.raw() as other:
        assert reader.call("CLIENT", "PAUSE", 60_000, "ALL") == b"OK"
        for raw in reader, other:
            raw.send(b"GET row:1\r\n")
            raw.expect_silence(0.01)
        assert source.queries() == 0
        server.clock.advance(60_001)
        assert [raw.read_reply() for raw in (reader, other)] == [b"old"] * 2
        assert source.queries() == 1
