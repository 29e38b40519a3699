"""What systemd is told: the socket that it would listen on is the test's."""
import os
import signal
import socket

import pytest


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A datagram socket and the word that goes into $NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@larder-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(name.replace("@", "\0"))
        s.settimeout(10)
        yield s, name


def test_from_start_to_end(start_larder, manager):
    s, name = manager
    server = start_larder(args=["--supervised", "systemd"], env={"NOTIFY_SOCKET": name})
    assert s.recv(100) == b"READY=1"
    server.signal(signal.SIGHUP)
    assert s.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert s.recv(100) == b"READY=1"
    server.stop()
    assert s.recv(100) == b"STOPPING=1"


def test_watchdog(start_larder, manager):
    """At half of the time granted. The test's clock outruns the workers, who may need another half to answer."""
    s, name = manager
    server = start_larder(args=["--supervised", "auto"], env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000"})
    assert s.recv(100) == b"READY=1"
    s.settimeout(0.2)
    heard = 0
    for _ in range(50):
        server.clock.advance(30000)
        try:
            assert s.recv(100) == b"WATCHDOG=1"
            heard += 1
        except TimeoutError:
            pass
    assert heard >= 10


def test_no_watchdog_of_another_process(start_larder, manager):
    s, name = manager
    server = start_larder(args=["--supervised", "systemd"],
                          env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"})
    assert s.recv(100) == b"READY=1"
    server.clock.advance(90000)
    server.stop()
    assert s.recv(100) == b"STOPPING=1"


def test_unsupervised(start_larder, manager):
    s, name = manager
    start_larder(env={"NOTIFY_SOCKET": name}).stop()
    s.setblocking(False)
    with pytest.raises(BlockingIOError):
        s.recv(100)


def test_nobody_to_tell(start_larder):
    server = start_larder(args=["--supervised", "systemd"])
    assert "supervised is systemd, but $NOTIFY_SOCKET names no socket" in server.log()
    server = start_larder(args=["--supervised", "auto"])
    assert "NOTIFY_SOCKET" not in server.log()
