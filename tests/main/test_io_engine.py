"""io-engine: which one runs is told, a kernel that refuses io_uring is lived with under auto and said under io_uring."""
import stat
import sys

import pytest

from harness import server as servers

# Ends up as the program itself, with io_uring_setup (system call 425) forbidden, as containers forbid it.
WITHOUT_IO_URING = """#!{python}
import ctypes, os, struct, sys
def instruction(code, if_true, if_false, k):
    return struct.pack("HBBI", code, if_true, if_false, k)
load_number, jump_if_equal, give = 0x20, 0x15, 0x06
program = ctypes.create_string_buffer(instruction(load_number, 0, 0, 0) + instruction(jump_if_equal, 0, 1, 425)
                                      + instruction(give, 0, 0, 0x00050000 | {errno}) + instruction(give, 0, 0, 0x7FFF0000))
filter = struct.pack("HxxxxxxQ", 4, ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0                      # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, filter, 0, 0) == 0                 # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
os.execv({binary!r}, [{binary!r}] + sys.argv[1:])
"""


@pytest.fixture
def forbid_io_uring(tmp_path, monkeypatch):
    """forbid_io_uring(errno): servers from now on live on a kernel that answers io_uring_setup with this error."""
    def forbid(errno):
        wrapper = tmp_path / "larder"
        wrapper.write_text(WITHOUT_IO_URING.format(python=sys.executable, binary=servers.binary(), errno=errno))
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("LARDER_BINARY", str(wrapper))
    return forbid


def engine_of(server):
    with server.client() as client:
        info = client.info("server")
        assert info["multiplexing_api"] == info["larder_io_engine"]
        client.set("key", "value")
        assert client.get("key") == b"value"
        return info["larder_io_engine"]


def test_epoll_when_it_is_asked_for(start_larder):
    assert engine_of(start_larder(args=["--io-engine", "epoll"])) == "epoll"


def test_auto_takes_epoll_where_io_uring_is_forbidden_and_says_why(start_larder, forbid_io_uring):
    forbid_io_uring(errno=1)
    server = start_larder(args=["--io-engine", "auto"])
    assert engine_of(server) == "epoll"
    assert server.log().count("io-engine auto: epoll, since io_uring is forbidden here") == 1


def test_auto_takes_epoll_where_there_is_no_io_uring(start_larder, forbid_io_uring):
    forbid_io_uring(errno=38)
    server = start_larder(args=["--io-engine", "auto"])
    assert engine_of(server) == "epoll"
    assert "since the kernel has no io_uring" in server.log()


def test_what_is_asked_for_and_cannot_be_had_ends_the_start(run_larder, forbid_io_uring):
    forbid_io_uring(errno=1)
    done = run_larder("--port", "0", "--io-engine", "io_uring")
    assert done.returncode == 4
    assert "cannot start: io-engine io_uring: io_uring is forbidden here" in done.stderr


def test_auto_takes_io_uring_or_says_why_not(start_larder):
    server = start_larder(args=["--io-engine", "auto"])
    assert (engine_of(server) == "io_uring") != ("io-engine auto: epoll, since" in server.log())


def test_it_is_told_but_cannot_be_changed_while_it_runs(start_larder):
    with start_larder(args=["--io-engine", "epoll"]).client() as client:
        assert client.config_get("io-engine") == {"io-engine": "epoll"}
        with pytest.raises(Exception, match="can't set immutable config"):
            client.config_set("io-engine", "auto")
