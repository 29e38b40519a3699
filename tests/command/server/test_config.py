import pytest


@pytest.mark.parametrize("line", ["CONFIG GET timeout", "CONFIG GET nosuch", "CONFIG GET databases", "CONFIG GET",
                                  "CONFIG SET timeout", "CONFIG SET timeout 1 port", "CONFIG SET nosuch 1", "CONFIG SET timeout x",
                                  "CONFIG SET timeout 5 timeout 6", "CONFIG SET databases 3"])
def test_replies(same, line):
    same(line)


def test_all_or_none(larder):
    larder.config_set("timeout", 100)
    with pytest.raises(Exception, match="CONFIG SET failed"):
        larder.execute_command("CONFIG", "SET", "timeout", 200, "maxmemory", "lots")
    assert larder.config_get("timeout") == {"timeout": "100"}
    larder.execute_command("CONFIG", "SET", "timeout", 0, "maxmemory-policy", "allkeys-lfu")
    assert larder.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lfu"}
    larder.config_set("maxmemory-policy", "noeviction")


def test_a_memory_limit_holds_at_once(larder):
    larder.set("k", "v")
    larder.config_set("maxmemory", 1)
    with pytest.raises(Exception, match="command not allowed when used memory > 'maxmemory'"):
        larder.set("k2", "v")
    assert larder.get("k") == b"v"
    assert larder.delete("k") == 1
    larder.config_set("maxmemory", 0)
    assert larder.set("k2", "v")


def test_a_password_holds_at_once(start_larder):
    server = start_larder()
    with server.raw() as old, server.raw() as admin:
        assert old.call("PING") == b"PONG"
        assert admin.call("CONFIG", "SET", "requirepass", "hush") == b"OK"
        assert old.call("PING") == b"PONG"
        with server.raw() as new:
            assert new.call("PING") == b"NOAUTH Authentication required."
        assert admin.call("CONFIG", "SET", "requirepass", "") == b"OK"
        with server.raw() as new:
            assert new.call("PING") == b"PONG"
