def test_no_key_and_no_end(same):
    same("SET k v")
    for command in ("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"):
        assert same(command, "nosuch") == -2
        assert same(command, "k") == -1


def test_absolute_times(same):
    same("SET k v PXAT 99999999999500")
    assert same("PEXPIRETIME k") == 99999999999500
    assert same("EXPIRETIME k") == 100000000000
    same("PEXPIREAT k 99999999999499")
    assert same("EXPIRETIME k") == 99999999999


def test_seconds_are_rounded(larder):
    for left_ms in range(100_000, 101_000, 50):
        larder.set("k", "v", px=left_ms)
        before, seconds, after = larder.pttl("k"), larder.ttl("k"), larder.pttl("k")
        assert (after + 500) // 1000 <= seconds <= (before + 500) // 1000
