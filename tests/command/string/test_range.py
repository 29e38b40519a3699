import pytest
import redis

NUMBERS = [-9223372036854775808, -100, -12, -11, -10, -2, -1, 0, 1, 5, 10, 11, 12, 100, 4294967297, 9223372036854775807]


def test_getrange_of_all_corners(same):
    same("SET", "k", "Hello World")
    for start in NUMBERS:
        for end in NUMBERS:
            same("GETRANGE", "k", start, end)
            same("GETRANGE", "nosuch", start, end)
    assert same("SUBSTR k -5 -1") == b"World"


def test_setrange(same):
    assert same("SETRANGE k 3 abc") == 6
    assert same("GET k") == b"\0\0\0abc"
    assert same("OBJECT ENCODING k") == b"raw"
    assert same("SETRANGE k 1 x") == 6
    assert same("GET k") == b"\0x\0abc"


def test_setrange_with_nothing_to_write(same):
    assert same("SETRANGE k 10 ''") == 0
    assert same("EXISTS k") == 0
    same("SET k 5")
    assert same("SETRANGE k 10 ''") == 1
    assert same("OBJECT ENCODING k") == b"int"


@pytest.mark.parametrize("offset", [536870912, 536870909, 9223372036854775807])
def test_setrange_past_the_largest_string(same, offset):
    assert same.error("SETRANGE", "k", offset, "four") == "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
    assert same("EXISTS k") == 0


def test_offsets_that_are_none(same):
    assert same.error("SETRANGE k -1 x") == "ERR offset is out of range"
    assert same.error("SETRANGE k a ''") == "ERR value is not an integer or out of range"
    assert same.error("GETRANGE k a 0") == "ERR value is not an integer or out of range"
    assert same.error("GETRANGE k 0 9223372036854775808") == "ERR value is not an integer or out of range"


def test_append(same):
    assert same("APPEND k 12") == 2
    assert same("OBJECT ENCODING k") == b"int"
    assert same("APPEND k ''") == 2
    assert same("OBJECT ENCODING k") == b"raw"
    assert same("APPEND k 34") == 4
    assert same("INCR k") == 1235
    assert same("APPEND empty ''") == 0
    assert same("EXISTS empty") == 1
    assert same("OBJECT ENCODING empty") == b"embstr"


def test_append_grows_a_string_by_pieces(same):
    expected = b""
    for i in range(200):
        piece = bytes([i]) * (i * 7 % 50)
        expected += piece
        assert same("APPEND", "k", piece) == len(expected)
    assert same("GET k") == expected


def test_the_time_stays(same):
    same("SET k v EXAT 99999999999")
    same("APPEND k w")
    same("SETRANGE k 0 x")
    assert same("EXPIRETIME k") == 99999999999


def test_setrange_beyond_the_end_needs_room(start_larder):
    """What it fills up with zeros stands in no argument. (The key itself has no TTL, so that it stays.)"""
    server = start_larder(args=["--maxmemory", "8mb", "--maxmemory-policy", "volatile-lru"])
    larder = server.client()
    for i in range(7000):
        larder.set(f"small:{i}", "x" * 900, ex=100_000)
    larder.set("k", "value")
    assert larder.setrange("k", 4_000_000, "x") == 4_000_001
    assert larder.get("k") == b"value".ljust(4_000_000, b"\0") + b"x"
    assert larder.info("memory")["used_memory"] <= (8 << 20) * 102 // 100
    for key in ("k", "absent"):
        with pytest.raises(redis.ResponseError, match="OOM"):
            larder.setrange(key, 400_000_000, "x")
    assert larder.strlen("k") == 4_000_001 and larder.exists("absent") == 0
    larder.config_set("maxmemory-policy", "noeviction")
    larder.delete(*larder.keys("small:*")[:100])
    assert larder.setrange("k", 4_500_000, "x") == 4_500_001
    larder.close()
