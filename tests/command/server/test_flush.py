import pytest


@pytest.mark.parametrize("line", ["FLUSHALL", "FLUSHALL SYNC", "FLUSHALL async", "FLUSHALL now", "FLUSHALL SYNC SYNC", "FLUSHDB", "FLUSHDB ASYNC",
                                  "FLUSHDB what", "DBSIZE", "DBSIZE x", "SWAPDB 0 1", "SWAPDB a 1", "SWAPDB 1 b", "SWAPDB 0 16", "SWAPDB -1 0",
                                  "SWAPDB 0", "SWAPDB 99999999999 1", "SWAPDB 3 3"])
def test_replies(same, line):
    same("MSET a 1 b 2")
    same(line)
    same("DBSIZE")
    same("MGET a b")


@pytest.mark.parametrize("mode", ["", "SYNC", "ASYNC"])
def test_flushdb_takes_one_database(same, mode):
    same("SET zero 0")
    same("SELECT 1")
    same("SET one 1")
    same(f"FLUSHDB {mode}")
    assert same("DBSIZE") == 0
    assert same("GET one") is None
    same("SET one again")
    same("SELECT 0")
    assert same("GET zero") == b"0"
    same(f"FLUSHALL {mode}")
    same("SELECT 1")
    assert same("DBSIZE") == 0


def test_swapdb_is_seen_by_others(same):
    same("SET k zero")
    same("SELECT 1")
    same("SET k one")
    same("SWAPDB 0 1")
    assert same("GET k") == b"zero"
    same("SELECT 0")
    assert same("GET k") == b"one"


@pytest.mark.concurrency
def test_flushes_and_swaps_among_writers(start_larder, scale):
    import threading

    server = start_larder(args=["--threads", 2])
    rounds = scale(small=100, normal=500, long=5000)

    def write(number):
        with server.client() as client:
            for i in range(rounds):
                pipe = client.pipeline(transaction=False)
                pipe.mset({f"{number}:{i}:{j}": j for j in range(10)})
                pipe.mget([f"{number}:{i}:{j}" for j in range(10)])
                assert pipe.execute()[1] in ([str(j).encode() for j in range(10)], [None] * 10)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    with server.client() as client:
        while any(thread.is_alive() for thread in threads):
            client.flushall(asynchronous=True)
            client.swapdb(0, 1)
            client.flushdb()
        for thread in threads:
            thread.join()
        client.flushall()
        assert client.dbsize() == 0


def test_a_flush_under_way_ends_with_the_server(start_larder):
    """Its client has gone, and then the server ends: nothing of it is left behind."""
    server = start_larder(args=["--threads", 2, "--enable-debug-command", "yes"])
    with server.raw() as raw:
        assert raw.call("DEBUG", "POPULATE", 100_000) == b"OK"
        raw.send(b"FLUSHALL SYNC\r\n")
    with server.raw() as raw:
        while raw.call("DBSIZE"):
            pass
    server.stop()


@pytest.mark.concurrency
def test_flushes_on_both_workers(start_larder):
    server = start_larder(args=["--threads", 2, "--enable-debug-command", "yes"])
    raws = [server.raw() for _ in range(4)]
    for _ in range(3):
        assert raws[0].call("DEBUG", "POPULATE", 20_000) == b"OK"
        for raw in raws:
            raw.send(b"FLUSHALL\r\nSET k v\r\n")
        for raw in raws:
            assert (raw.read_reply(), raw.read_reply()) == (b"OK", b"OK")
        assert raws[0].call("DBSIZE") == 1
    for raw in raws:
        raw.close()
