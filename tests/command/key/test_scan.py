import pytest


def walk(client, **options):
    return list(client.scan_iter(**options))


def test_all_keys_once_while_nothing_changes(larder):
    names = {b"k%d" % i for i in range(1000)}
    larder.mset({name: 1 for name in names})
    for count in (1, 10, 100, 10000):
        found = walk(larder, count=count)
        assert len(found) == 1000 and set(found) == names


def test_match_and_type(larder):
    larder.mset({f"{kind}:{i}": 1 for kind in "ab" for i in range(50)})
    assert sorted(walk(larder, match="a:*")) == sorted(b"a:%d" % i for i in range(50))
    assert len(walk(larder, _type="STRING")) == 100
    assert walk(larder, _type="list") == walk(larder, _type="") == []


def test_what_stays_is_found_while_others_come_and_go(larder, rng):
    stay = {b"stay:%d" % i for i in range(300)}
    larder.mset({name: 1 for name in stay})
    come, cursor, found = 0, 0, set()
    while True:
        cursor, keys = larder.scan(cursor, count=10)
        assert cursor < 1 << 53
        found.update(keys)
        if cursor == 0:
            break
        if rng.random() < 0.5 and come < 20000:
            larder.mset({f"come:{come + i}": 1 for i in range(500)})
            come += 500
        elif come:
            larder.delete(*(f"come:{rng.randrange(come)}" for _ in range(400)))
    assert stay <= found


def test_expired_keys_are_not_found(server, larder):
    larder.mset({"a": 1, "b": 2})
    larder.pexpire("a", 10)
    server.clock.advance(11)
    assert walk(larder) == [b"b"]
    assert larder.keys() == [b"b"]
    assert larder.randomkey() == b"b"


@pytest.mark.parametrize("line", ["SCAN", "SCAN a", "SCAN ' 0'", "SCAN 0x", "SCAN 18446744073709551616", "SCAN 0 COUNT", "SCAN 0 COUNT 0",
                                  "SCAN 0 COUNT -1", "SCAN 0 COUNT a", "SCAN 0 nosuch", "SCAN 0 nosuch 1", "SCAN 0 MATCH", "SCAN 0 TYPE"])
def test_scan_refuses(same, line):
    same.error(line)


@pytest.mark.parametrize("line", ["SCAN 0", "SCAN +0", "SCAN ''", "SCAN 0 TYPE nosuch", "SCAN 0 COUNT 9223372036854775807", "SCAN 000"])
def test_scan_of_nothing(same, line):
    assert same(line) == [b"0", []]


@pytest.mark.parametrize("cursor", ["1", "99", "9007199254740991", "18446744073709551615", "-1", "12345678901234567"])
def test_a_cursor_that_was_never_given_out(ask, cursor):
    for i in range(50):
        ask(f"SET k{i} v")
    while cursor != b"0":
        cursor, _ = ask("SCAN", cursor, "COUNT", "100")


def test_keys(same):
    same("MSET one 1 two 2 three 3 four 4 h[llo 5")
    for pattern in ("*", "t*", "*o*", "t??", "[ot]*", "[^t]*", "f[a-z]ur", "\\*", "h\\[llo", "nosuch", "", "one", "[", "[t", "*e"):
        for connection in same.connections:
            connection.reply = sorted(connection.call("KEYS", pattern))
        assert same.connections[0].reply == same.connections[1].reply, pattern


def test_randomkey(same):
    assert same("RANDOMKEY") is None
    same("SET k v")
    assert same("RANDOMKEY") == b"k"
    same("SELECT 1")
    assert same("RANDOMKEY") is None


def test_randomkey_finds_them_all(larder):
    larder.mset({f"k{i}": 1 for i in range(5)})
    seen = set()
    for _ in range(10000):
        seen.add(larder.randomkey())
        if len(seen) == 5:
            break
    assert len(seen) == 5
