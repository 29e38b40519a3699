"""INFO counts every key that went by itself: expired unseen, expired when met, evicted."""

LARDER_ARGS = ("--threads", 1, "--enable-debug-command", "yes")


def stat(client, name):
    return client.info("stats")[name]


def test_a_key_that_expires_unseen_is_counted(server, larder):
    before = stat(larder, "expired_keys")
    larder.set("soon", "v", px=1000)
    server.clock.advance(2000)
    while larder.dbsize():
        pass
    assert stat(larder, "expired_keys") == before + 1


def lag(client):
    return client.info("workerstats")["worker0_expiry_lag"]


def test_how_late_keys_expire_is_measured(server, larder):
    """Keys that were due while nobody might expire them went as late as that; what a command met is not in it."""
    larder.config_resetstat()
    assert lag(larder)["count"] == 0
    larder.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    for number in range(100):
        larder.set(f"key:{number}", "v", px=1000)
    server.clock.advance(11_000)
    assert larder.get("key:0") is None
    larder.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 1)
    while larder.dbsize():
        pass
    seen = lag(larder)
    assert seen["count"] == 99
    assert 9_000_000 < seen["p50"] <= seen["p99"] <= seen["max"] < 60_000_000
    larder.config_resetstat()
    assert lag(larder)["count"] == 0


def test_evicted_keys_are_counted(server, larder):
    before = stat(larder, "evicted_keys")
    larder.config_set("maxmemory-policy", "allkeys-random")
    used = larder.info("memory")["used_memory"]
    larder.config_set("maxmemory", used + 200_000)
    for number in range(2000):
        larder.set(f"key:{number}", "v" * 200)
    larder.config_set("maxmemory", 0)                           # nothing more goes between the two readings
    assert stat(larder, "evicted_keys") - before == 2000 - larder.dbsize() > 0
