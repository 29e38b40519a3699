import contextlib
import pathlib
import signal

import pytest

from harness.server import wait_until


ENDING = b"ERR the server ends before this command can"


def threads(server):
    names = set()
    for task in pathlib.Path(f"/proc/{server.pid}/task").iterdir():
        with contextlib.suppress(OSError):                      # it has ended meanwhile
            names.add((task / "comm").read_text().strip())
    return names


@pytest.mark.parametrize("line", ["SHUTDOWN now what", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT", "SHUTDOWN ABORT NOW"])
def test_refusals(same, line):
    same.error(line)


@pytest.mark.parametrize("line", ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN NOW", "shutdown nosave now force"])
def test_it_ends_in_order(start_larder, line):
    server = start_larder(args=["--threads", 2])
    others = [server.raw() for _ in range(5)]
    with server.raw() as raw:
        raw.send(line.encode() + b"\r\nPING\r\n")
        raw.expect_closed()
    for other in others:
        other.expect_closed()
        other.close()
    assert server.process.wait(20) == 0


def test_nothing_is_saved_where_nothing_can_be(ask):
    assert ask("SHUTDOWN SAVE").startswith(b"ERR SHUTDOWN SAVE")


def test_who_waits_longer_than_shutdown_timeout_is_told(start_larder):
    server = start_larder(args=["--threads", 2])
    with server.raw() as raw, server.raw() as quiet, server.raw() as other:
        assert other.call("CLIENT", "PAUSE", 1_000_000, "WRITE") == b"OK"
        raw.send(b"SET k v\r\nPING\r\n")
        quiet.send(b"CLIENT REPLY OFF\r\nSET k v\r\n")
        wait_until(lambda: b"blocked_clients:2\r" in other.call("INFO", "clients"))
        server.signal(signal.SIGTERM)
        other.expect_closed()
        server.clock.advance(11_000)
        assert raw.read_reply() == ENDING
        raw.expect_closed()
        quiet.expect_closed()
    assert server.process.wait(20) == 0
    server.stop()                                               # its log is looked at


@pytest.mark.concurrency
def test_cut_off_with_a_tour_on_its_way(start_larder):
    """A call that visits the workers comes home when its own has stopped already: nothing of it is left behind."""
    server = start_larder(args=["--threads", 2])
    with server.pause("tour_visit") as first, server.pause("tour_home") as last, server.raw() as raw:
        raw.send(b"CLIENT KILL TYPE normal\r\n")
        first.wait_reached()                                    # on its own worker, the first
        server.signal(signal.SIGTERM)
        wait_until(lambda: "ending" in server.log())
        server.clock.advance(11_000)
        wait_until(lambda: "shutdown-timeout is over" in server.log())
        first.release()
        last.wait_reached()
        wait_until(lambda: "worker-0" not in threads(server))
        last.release()
        assert raw.read_reply() == ENDING
        raw.expect_closed()
    assert server.process.wait(20) == 0
    server.stop()                                               # its log is looked at
