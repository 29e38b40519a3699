"""Memory that was freed goes back to the system, also when nobody asks for anything any more."""
import pytest

from harness.server import wait_until

MB = 1 << 20
COUNT, BYTES = 20_000, 3000


def test_an_idle_server_gives_back_what_was_freed(start_larder):
    server = start_larder(env={"MALLOC_CONF": "dirty_decay_ms:200"})
    with server.client() as client:
        if client.info("memory")["mem_allocator"] == "libc":
            pytest.skip("a sanitizer's allocator keeps what is freed")
        before = server.resident_bytes()
        names = [f"key:{number}" for number in range(COUNT)]
        pipe = client.pipeline(transaction=False)
        for name in names:
            pipe.set(name, bytes(BYTES))
        pipe.execute()
        assert server.resident_bytes() > before + COUNT * BYTES
        assert client.delete(*names) == COUNT
    wait_until(lambda: server.resident_bytes() < before + 15 * MB)
