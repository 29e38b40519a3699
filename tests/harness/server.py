"""Servers for tests: Larder, and a real redis-server beside it to compare with.

Each has a directory of its own (its working directory: larder.conf, log, what else the test puts there) and a free port
on 127.0.0.1. It is ended by its pid, and with the test run (PR_SET_PDEATHSIG) whatever happens to that. Start servers
from the test's own thread: the kernel takes the death of the thread that started them for the death of the test run.
"""
import contextlib
import ctypes
import os
import pathlib
import random
import re
import resource
import signal
import socket
import subprocess
import time

import redis

from .hooks import Clock, Memory, Pause
from .raw import Raw

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS = 30, 30
SANITIZER = re.compile(r"(ERROR|WARNING|SUMMARY): \w+Sanitizer|runtime error:")

running = []                            # what is up now, so that a failed test can show the logs


def binary():
    return os.environ.get("LARDER_BINARY") or str(ROOT / "build-test" / "larder")


def free_port():
    """None of those that the system gives to clients: one of these might have it before the server, even our own first
    connection to it, which then is connected to itself and takes that for an answer."""
    while True:
        port = random.SystemRandom().randrange(10000, 32768)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def environment(extra):
    """Ours without LARDER_*: to the server those are directives, and LARDER_SEED is not meant for it. But the I/O engine may be chosen so."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_") or name == "LARDER_IO_ENGINE"}
    return {**env, **extra}


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    """A process that listens. Subclasses say how it is started."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.process = None
        self.port = None
        self.told_to_end = False

    def command_line(self):
        raise NotImplementedError

    def start(self, env=None, port=None):
        for _ in range(3):              # somebody may take the port between our look and the server's bind
            self.port = port or free_port()
            with open(self.dir / "log", "ab") as log:
                self.process = subprocess.Popen(
                    self.command_line(), cwd=self.dir, env=environment(env or {}), stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log, preexec_fn=_die_with_parent)
            self.told_to_end = False
            running.append(self)
            if self._wait_until_it_answers():
                return self
            running.remove(self)
            if "in use" not in self.log():
                break
        raise AssertionError(f"{self.command_line()} ended with {self.process.returncode}:\n{self.log()}")

    def _wait_until_it_answers(self):
        """True once it serves, False when it has ended."""
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS) as visitor:
                    self.visit(visitor)
                return self.process.poll() is None
            except OSError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"does not listen after {START_SECONDS} s:\n{self.log()}") from None
                time.sleep(0.01)
        return False

    def visit(self, visitor):
        """The first connection."""

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return (self.dir / "log").read_text(errors="replace")

    def client(self, **options):
        """A redis.Redis of its own; bytes in, bytes out."""
        return redis.Redis(**{"host": "127.0.0.1", "port": self.port, "socket_timeout": 20, **options})

    def raw(self, unix=None, timeout=10):
        return Raw(unix or ("127.0.0.1", self.port), timeout)

    def signal(self, number):
        self.told_to_end = self.told_to_end or number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    def resident_bytes(self):
        return int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def thread_costs(self):
        """{thread: (CPU time in ns, how often it has slept)} since the start."""
        costs = {}
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            slept = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", (task / "status").read_text(), re.M)
            costs[task.name] = int((task / "schedstat").read_text().split()[0]), int(slept[1])
        return costs

    def kill(self):
        """Ends it at once, as a crash would."""
        self.process.kill()
        self.process.wait()
        if self in running:
            running.remove(self)

    def restart(self):
        """Ended as by a crash, and another one in its place on the same port."""
        self.kill()
        return self.start(port=self.port)

    def stop(self):
        """SIGTERM, unless it has had one: a second would mean at once. It must end by itself with exit code 0 and no
        sanitizer may have complained."""
        if self not in running:
            return
        if self.process.poll() is None and not self.told_to_end:
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"does not end {STOP_SECONDS} s after SIGTERM:\n{self.log()}") from None
        running.remove(self)
        log = self.log()
        assert not SANITIZER.search(log), f"a sanitizer complained:\n{log}"
        assert code == 0, f"ended with {code}:\n{log}"


class Larder(Server):
    def __init__(self, directory, config_text="", args=()):
        super().__init__(directory)
        self.args = [str(arg) for arg in args]
        self.config = self.dir / "larder.conf"
        self.config.write_text(config_text)
        self.clock = Clock(self.dir / "clock")
        self.memory = Memory(self.dir / "memory")
        self.pause_dir = self.dir / "pause"
        self.pause_dir.mkdir(exist_ok=True)

    def command_line(self):
        return [binary(), str(self.config), "--bind", "127.0.0.1", "--port", str(self.port), *self.args]

    def start(self, env=None, port=None):
        hooks = {"LARDER_CLOCK_FILE": str(self.dir / "clock"), "LARDER_MEMORY_FILE": str(self.dir / "memory"),
                 "LARDER_PAUSE_DIR": str(self.pause_dir)}
        return super().start({**hooks, **(env or {})}, port)

    def visit(self, visitor):
        """It is let in, and out again, once there is a listener on every address."""
        visitor.shutdown(socket.SHUT_WR)
        visitor.recv(1)

    def pause(self, name):
        return Pause(self.pause_dir, name)


class RedisServer(Server):
    def __init__(self, directory, args=()):
        super().__init__(directory)
        self.args = [str(arg) for arg in args]

    def command_line(self):
        return ["/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", str(self.port),
                "--save", "", "--appendonly", "no", "--dir", str(self.dir), *self.args]


def run_larder(*args, directory=None, env=None, timeout=30):
    """Larder run to its end, for what it refuses and what it prints: .returncode, .stdout and .stderr as text."""
    return subprocess.run([binary(), *map(str, args)], cwd=directory, env=environment(env or {}), timeout=timeout,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
