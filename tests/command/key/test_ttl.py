import pytest


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


@pytest.mark.parametrize("left_ms, seconds", [(1, 0), (499, 0), (500, 1), (1499, 1), (1500, 2), (100000, 100)])
def test_seconds_are_rounded(server, larder, left_ms, seconds):
    larder.set("k", "v", px=1000000)
    server.clock.advance(1000000 - 200000)
    left = larder.pttl("k")
    larder.pexpireat("k", larder.execute_command("PEXPIRETIME", "k") - left + left_ms + 100000)
    assert larder.ttl("k") in (seconds + 99, seconds + 100)
