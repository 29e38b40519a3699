"""INFO counts every key that went by itself: expired unseen, expired when met, evicted."""

LARDER_ARGS = ("--threads", 1)


def stat(client, name):
    return client.info("stats")[name]


def test_a_key_that_expires_unseen_is_counted(server, larder):
    before = stat(larder, "expired_keys")
    larder.set("soon", "v", px=1000)
    server.clock.advance(2000)
    while larder.dbsize():
        pass
    assert stat(larder, "expired_keys") == before + 1


def test_evicted_keys_are_counted(server, larder):
    before = stat(larder, "evicted_keys")
    larder.config_set("maxmemory-policy", "allkeys-random")
    used = larder.info("memory")["used_memory"]
    larder.config_set("maxmemory", used + 200_000)
    for number in range(2000):
        larder.set(f"key:{number}", "v" * 200)
    larder.config_set("maxmemory", 0)                           # nothing more goes between the two readings
    assert stat(larder, "evicted_keys") - before == 2000 - larder.dbsize() > 0
