import pytest

from harness.server import wait_until


def test_encoding_of_what_is_not_there(same):
    for subcommand in ("ENCODING", "FREQ", "IDLETIME", "REFCOUNT"):
        assert same("OBJECT", subcommand, "nosuch") is None


def test_refcount(same):
    for value, count in (("0", 2147483647), ("9999", 2147483647), ("10000", 1), ("-1", 1), ("v", 1)):
        same("SET", "k", value)
        assert same("OBJECT REFCOUNT k") == count


def test_idletime_and_freq_need_their_policy(same):
    same("SET k v")
    assert same("OBJECT IDLETIME k") == 0
    assert "An LFU maxmemory policy is not selected" in same.error("OBJECT FREQ k")
    same("CONFIG SET maxmemory-policy allkeys-lfu")
    try:
        assert "An LFU maxmemory policy is selected" in same.error("OBJECT IDLETIME k")
    finally:
        same("CONFIG SET maxmemory-policy noeviction")


def test_adaptive_keeps_neither_times_nor_frequencies(server, larder):
    larder.set("k", "v")
    larder.config_set("maxmemory-policy", "adaptive")
    try:
        with pytest.raises(Exception, match="An LFU maxmemory policy is not selected"):
            larder.object("freq", "k")
        with pytest.raises(Exception, match="adaptive maxmemory policy is selected, idle time not tracked"):
            larder.object("idletime", "k")
    finally:
        larder.config_set("maxmemory-policy", "noeviction")

    def advance_five_seconds():
        server.clock.advance(5000)
        return larder.object("idletime", "k") in (4, 5)
    wait_until(advance_five_seconds)                    # counted from when a tick has told the policy of the key


def test_idletime_counts_seconds_since_the_last_use(server, larder):
    larder.set("k", "v")
    server.clock.advance(10000)
    assert larder.object("idletime", "k") in (9, 10)
    larder.ttl("k"), larder.exists("k"), larder.type("k")
    assert larder.object("idletime", "k") in (9, 10)
    larder.touch("k")
    assert larder.object("idletime", "k") in (0, 1)


@pytest.mark.parametrize("line", ["OBJECT", "OBJECT nosuch", "OBJECT nosuch k", "OBJECT ENCODING", "OBJECT ENCODING a b", "OBJECT HELP k"])
def test_refuses(same, line):
    same.error(line)


def test_help(same):
    assert same("OBJECT HELP")[-1] == b"    Prints this help."
