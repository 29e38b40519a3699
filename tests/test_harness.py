"""The harness itself, against redis-server: a test that cannot fail is a defect, and so is a harness that cannot."""
import pathlib
import signal
import threading

import pytest

from harness import resp
from harness.hooks import Clock, Pause
from harness.raw import Raw
from harness.server import RedisServer, Server, wait_until


def test_client_and_raw_connection(redis_server, oracle):
    assert oracle.set("k", b"\xff\r\n") and oracle.get("k") == b"\xff\r\n"
    with redis_server.raw() as raw:
        raw.send(b"PI")
        raw.expect_silence()
        raw.send(b"NG\r\nGET k\r\n")
        raw.expect(b"+PONG\r\n$3\r\n\xff\r\n\r\n")
        assert raw.call("SET", "k", 1) == b"OK"
        raw.send(b"QUIT\r\n")
        raw.expect(b"+OK\r\n")
        raw.expect_closed()


def test_replies_keep_their_type(redis_server, oracle):
    with redis_server.raw() as raw:
        assert isinstance(raw.call("HELLO", 3), resp.Map)
        assert isinstance(raw.call("PING"), resp.Status)
        assert isinstance(raw.call("GET"), resp.Error)
        assert raw.call("GET", "absent") is None
        assert raw.call("SADD", "s", "a") == 1
        assert isinstance(raw.call("SMEMBERS", "s"), resp.Set)
        assert raw.call("ZADD", "z", 1.5, "m") == 1
        assert isinstance(raw.call("ZSCORE", "z", "m"), resp.Double)
        assert raw.call("LRANGE", "absent", 0, -1) == []


def test_raw_waits_are_bounded(redis_server):
    with redis_server.raw(timeout=0.05) as raw, pytest.raises(TimeoutError):
        raw.read_reply()
    with redis_server.raw() as raw:
        with pytest.raises(AssertionError, match="expected"):
            raw.send(b"PING\r\n")
            raw.expect(b"+PINK\r\n")


def test_unix_socket(tmp_path):
    server = RedisServer(tmp_path, args=["--unixsocket", tmp_path / "s"]).start()
    with server.raw(unix=str(tmp_path / "s")) as raw:
        assert raw.call("PING") == b"PONG"
    server.stop()


class Script(Server):
    """Listens, and does what `on_sigterm` says when it is asked to stop."""

    def __init__(self, directory, on_sigterm):
        super().__init__(directory)
        self.on_sigterm = on_sigterm

    def command_line(self):
        return ["/usr/bin/python3", "-c", "import os, signal, socket, sys\n"
                f"signal.signal(signal.SIGTERM, lambda *_: {self.on_sigterm})\n"
                "s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
                "while True: signal.pause()", str(self.port)]


def test_stop_sees_a_bad_exit_code(tmp_path):
    server = Script(tmp_path, "os._exit(3)").start()
    with pytest.raises(AssertionError, match="ended with 3"):
        server.stop()


def test_stop_does_not_ask_twice(tmp_path):
    """A test that fails between its own SIGTERM and the end of the server."""
    server = Script(tmp_path, "(signal.signal(signal.SIGALRM, lambda *_: os._exit(0)),"
                              " signal.signal(signal.SIGTERM, lambda *_: os._exit(5)),"
                              " print('asked', flush=True), signal.setitimer(signal.ITIMER_REAL, 0.3))").start()
    server.signal(signal.SIGTERM)
    wait_until(lambda: "asked" in server.log())
    server.stop()


def test_stop_sees_a_sanitizer(tmp_path):
    server = Script(tmp_path, "(print('x.c:1:2: runtime error: shift', flush=True), os._exit(0))").start()
    with pytest.raises(AssertionError, match="a sanitizer complained"):
        server.stop()


def test_stop_after_a_crash(tmp_path):
    server = RedisServer(tmp_path).start()
    server.signal(signal.SIGKILL)
    with pytest.raises(AssertionError, match="ended with -9"):
        server.stop()


def test_a_server_that_does_not_start_shows_its_log(tmp_path):
    with pytest.raises(AssertionError, match="no-such-directive"):
        RedisServer(tmp_path, args=["--no-such-directive", "1"]).start()


def test_clock(tmp_path):
    path = pathlib.Path(tmp_path / "clock")
    clock = Clock(path)
    clock.advance(1500)
    clock.step_wall(-500)
    assert path.read_bytes() == (1000).to_bytes(8, "little") + (1500).to_bytes(8, "little")


def test_pause(tmp_path):
    passed = threading.Event()

    def server_thread():
        (tmp_path / "here.reached").touch()
        while (tmp_path / "here").exists():
            pass
        passed.set()

    with Pause(tmp_path, "here") as point:
        with pytest.raises(TimeoutError):
            point.wait_reached(timeout=0.01)
        thread = threading.Thread(target=server_thread)
        thread.start()
        point.wait_reached()
        assert not passed.is_set()
        point.release()
        assert passed.wait(10)
        thread.join()


@pytest.mark.limit(1)
def test_a_test_that_hangs_fails(redis_server):
    with pytest.raises(TimeoutError, match="took too long"):
        Raw(("127.0.0.1", redis_server.port), timeout=60).read_reply()


def test_amounts_and_chance(scale, rng):
    assert scale(small=1, normal=2, long=3) in (1, 2, 3)
    assert 0 <= rng.random() < 1
