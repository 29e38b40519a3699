"""A write to the key, or CACHE.INVALIDATE, while a load of the old row is in flight never leaves the old row behind."""
import pytest

RULE = 'rule row:{id} {\n source db\n load "SELECT name FROM t WHERE id = {id}"\n ttl 1000s\n}\n'


@pytest.mark.limit(3000)
def test_no_order_of_load_and_change_leaves_the_old_row(start, source, rng, scale):
    """Each trial stops the load of the old row after the query, changes the row and the key in a random way, and lets the load go on."""
    trials = scale(small=200, normal=2000, long=10_000)
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    server = start(RULE)
    changes = [("SET", "{key}", "written"), ("DEL", "{key}"), ("UNLINK", "{key}"), ("GETSET", "{key}", "written"), ("CACHE.INVALIDATE", "KEYS", 1, "{key}"),
               ("CACHE.INVALIDATE", "PREFIX", "{key}"), ("CACHE.INVALIDATE", "RULE", "row:{id}"), ("CACHE.INVALIDATE", "SOFT", "KEYS", 1, "{key}"),
               ("MSET", "{key}", "written", "other", "x"), ("FLUSHDB",), ("EXPIRE", "{key}", -1), ("SETRANGE", "{key}", 0, "written"), ("APPEND", "{key}", "")]
    with server.client() as client, server.raw() as reader, server.raw() as changer:
        for trial in range(trials):
            key = f"row:{trial}"
            source.run("INSERT INTO t VALUES (?, 'old')", trial)
            change = [str(word).replace("{key}", key) for word in rng.choice(changes)]
            needs_the_row = change[0] in ("GETSET", "EXPIRE", "SETRANGE", "APPEND")
            with server.pause("load_before_fill") as point:
                reader.send(f"GET {key}\r\n".encode())
                point.wait_reached()
                source.run("UPDATE t SET name = 'new' WHERE id = ?", trial)
                if needs_the_row:       # it would wait for this very load: what voids it comes first
                    client.execute_command("CACHE.INVALIDATE", "KEYS", 1, key)
                    changer.send(b" ".join(word.encode() or b'""' for word in change) + b"\r\n")
                else:
                    client.execute_command(*change)
                if rng.random() < 0.3:  # somebody else asks in between
                    changer_reads = True
                    other = server.raw()
                    other.send(f"GET {key}\r\n".encode())
                else:
                    changer_reads = False
                point.release()
                assert reader.read_reply() in (b"old", b"new", b"written"), change
                if needs_the_row:
                    changer.read_reply()
                if changer_reads:
                    assert other.read_reply() in (b"new", b"written", None), change
                    other.close()
            left = client.get(key)
            assert left in (b"new", b"written"), (trial, change, left)
        seen = client.info("cache")["rule0"]
        assert seen["voided"] >= trials


@pytest.mark.concurrency
def test_writers_and_readers_without_a_pause(start, source, rng, scale):
    """The same without holding anything still: after each change is acknowledged nobody may read what was there before."""
    rounds = scale(small=200, normal=3000, long=20_000)
    source.script("CREATE TABLE t (id INTEGER PRIMARY KEY, name INTEGER); INSERT INTO t VALUES (1, 0)")
    server = start(RULE)
    readers = [server.raw() for _ in range(4)]
    with server.client() as client:
        for version in range(1, rounds + 1):
            for reader in readers:      # loads that are under way while the row changes
                reader.send(b"GET row:1\r\n")
            source.run("UPDATE t SET name = ?", version)
            if rng.random() < 0.5:
                client.execute_command("CACHE.INVALIDATE", "KEYS", 1, "row:1")
            else:
                client.delete("row:1")
            assert client.get("row:1") == str(version).encode()
            for reader in readers:
                assert reader.read_reply() in (str(version - 1).encode(), str(version).encode())
