"""maxmemory-process: what is resident of the whole process stays below it, whoever takes the memory; free memory goes before data does."""
import os
import re

import pytest

from harness.server import wait_until

MB = 1 << 20
OOM = "command not allowed when used memory > 'maxmemory'"
BOUND = 160 * MB
BETWEEN_LOOKS = 40 * MB                 # what a tenth of a second may leave in buffers and free pages, on a machine that is busy


def start(start_larder, policy, *more):
    server = start_larder(args=["--maxmemory-process", BOUND, "--maxmemory-policy", policy, *more])
    with server.client() as client:
        if client.info("memory")["mem_allocator"] == "libc":
            pytest.skip("a sanitizer's allocator keeps what is freed, and tells nobody")
    return server


def memory(client, field):
    return client.info("memory")[field]


def fill(client, rng, count, bytes_each, name="key"):
    """Replies that are errors are returned."""
    value, pipe = os.urandom(2 * bytes_each), client.pipeline(transaction=False)
    refused = []
    for number in range(count):
        pipe.set(f"{name}:{number}", value[:rng.randrange(2 * bytes_each)])
        if len(pipe) * bytes_each > MB or number + 1 == count:
            refused += [reply for reply in pipe.execute(raise_on_error=False) if isinstance(reply, Exception)]
    return refused


@pytest.mark.parametrize("bytes_each", [300, 5000, 200_000])
def test_data_fills_what_is_left_and_no_more(start_larder, rng, bytes_each):
    server = start(start_larder, "adaptive")
    with server.client() as client:
        for part in range(14):
            assert fill(client, rng, BOUND // 10 // (bytes_each + 60), bytes_each, f"key:{part}") == []
            assert server.resident_bytes() <= BOUND + BETWEEN_LOOKS
        wait_until(lambda: server.resident_bytes() <= BOUND)
        assert client.info("stats")["evicted_keys"] > 0
        assert memory(client, "used_memory") > BOUND * 0.5
        assert memory(client, "used_memory") <= memory(client, "maxmemory_effective") * 1.02
        wait_until(lambda: server.log().count("maxmemory-process limits the data to") == 1)


def unread_replies(server, client, bytes_more):
    """A connection that asks for long replies and reads none, until those that the kernel does not take cost the server so much."""
    raw, goal = server.raw(), memory(client, "mem_clients_normal") + bytes_more

    def answered():
        return client.info("commandstats").get("cmdstat_command", {"calls": 0})["calls"]
    while memory(client, "mem_clients_normal") < goal:
        asked = answered() + 10
        raw.send(b"COMMAND\r\n" * 10)
        wait_until(lambda: answered() >= asked)
    return raw


def test_data_makes_room_for_connections_and_comes_back(start_larder, rng):
    server = start(start_larder, "adaptive")
    with server.client() as client:
        fill(client, rng, 110_000, 1500)
        wait_until(lambda: server.resident_bytes() <= BOUND)
        full, evicted = memory(client, "maxmemory_effective"), client.info("stats")["evicted_keys"]
        readers = []
        for _ in range(5):
            readers.append(unread_replies(server, client, 5 * MB))
            wait_until(lambda: server.resident_bytes() <= BOUND)
        wait_until(lambda: memory(client, "maxmemory_effective") < full - 10 * MB)
        wait_until(lambda: memory(client, "used_memory") <= memory(client, "maxmemory_effective") * 1.02)
        assert client.info("stats")["evicted_keys"] > evicted and client.dbsize() > 5000
        for reader in readers:
            reader.close()
        wait_until(lambda: memory(client, "maxmemory_effective") > full - 8 * MB)
        before = memory(client, "used_memory")
        fill(client, rng, 110_000, 1500, "again")
        assert memory(client, "used_memory") > before + 5 * MB
        wait_until(lambda: server.resident_bytes() <= BOUND)
    assert server.log().count("maxmemory-process limits the data no more") == 1


def test_free_memory_goes_before_data(start_larder, rng):
    """What was deleted is still resident; new connections take that, and no key has to go."""
    server = start(start_larder, "adaptive")
    with server.client() as client:
        fill(client, rng, 9000, 5000, "short-lived")
        fill(client, rng, 1000, 5000, "kept")
        client.delete(*(f"short-lived:{number}" for number in range(9000)))
        readers = [unread_replies(server, client, 5 * MB) for _ in range(5)]
        wait_until(lambda: server.resident_bytes() <= BOUND)
        for reader in readers:
            reader.close()
        assert client.dbsize() == 1000 and client.info("stats")["evicted_keys"] == 0


def test_without_eviction_writes_are_refused(start_larder, rng):
    server = start(start_larder, "noeviction")
    with server.client() as client:
        refused = fill(client, rng, 90_000, 2000)
        assert refused and all(OOM in str(error) for error in refused)
        assert server.resident_bytes() <= BOUND + BETWEEN_LOOKS
        wait_until(lambda: server.resident_bytes() <= BOUND)
        kept = client.dbsize()
        assert client.exists("key:0") and client.info("stats")["evicted_keys"] == 0
        client.delete(*(f"key:{number}" for number in range(kept // 2)))
        assert client.set("key:0", "v")


def test_it_is_set_while_it_runs(start_larder):
    server = start_larder(config_text="maxmemory 50mb\n")
    with server.client() as client:
        def effective():
            return memory(client, "maxmemory_effective")
        assert memory(client, "maxmemory_process") == 0 and effective() == 50 * MB
        bound = server.resident_bytes() + 30 * MB
        client.config_set("maxmemory-process", bound)
        assert client.config_get("maxmemory-process") == {"maxmemory-process": str(bound)}
        wait_until(lambda: 0 < effective() < 32 * MB)
        client.config_set("maxmemory", "1mb")                       # the narrower of the two
        assert effective() == MB
        client.config_set("maxmemory", 0)
        assert 10 * MB < effective() < 32 * MB
        client.config_rewrite()
        assert f"maxmemory-process {bound}" in re.sub(" +", " ", server.config.read_text())
        with pytest.raises(Exception, match=r"maxmemory-process.* this server takes \d+ bytes without data .*needs at least \d+"):
            client.config_set("maxmemory-process", "1mb")
        assert memory(client, "maxmemory_process") == bound
        client.config_set("maxmemory-process", 0)
        wait_until(lambda: effective() == 0)


def test_less_than_an_empty_server_needs_is_refused_at_start(run_larder):
    done = run_larder("--port", "0", "--maxmemory-process", "1mb")
    assert done.returncode == 1
    assert re.search(r"maxmemory-process 1048576: this server takes \d{7,} bytes without data and connections, so it needs at least \d{7,}", done.stderr)
