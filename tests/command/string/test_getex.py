import pytest


def test_without_options_it_is_get(same):
    same("SET k v EXAT 99999999999")
    assert same("GETEX k") == b"v"
    assert same("EXPIRETIME k") == 99999999999


def test_times(same):
    same("SET k v")
    assert same("GETEX k EX 100") == b"v"
    assert same("TTL k") == 100
    same("GETEX k PXAT 99999999999000")
    assert same("PEXPIRETIME k") == 99999999999000
    same("GETEX k PERSIST PERSIST")
    assert same("TTL k") == -1


def test_a_time_that_is_over_removes(same):
    same("SET k v")
    assert same("GETEX k EXAT 1") == b"v"
    assert same("EXISTS k") == 0


@pytest.mark.parametrize("options", ["EX", "EX 10 PERSIST", "EX 10 PX 10", "KEEPTTL", "NX", "GET", "nosuch"])
def test_syntax_is_checked_before_the_key(same, options):
    assert same.error(f"GETEX nosuch {options}") == "ERR syntax error"


def test_the_time_is_checked_after_the_key(same):
    assert same("GETEX nosuch EX a") is None
    same("SET k v")
    assert same.error("GETEX k EX a") == "ERR value is not an integer or out of range"
    assert same.error("GETEX k EX 0") == "ERR invalid expire time in 'getex' command"
