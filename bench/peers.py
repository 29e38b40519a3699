"""The servers that are compared: how each is started on one core, and what it costs."""
import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE, LOAD_CORE = "0", "1"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Peer:
    """A running server. `protocol` is what the load generator speaks to it; `null` needs to know which operation it answers; `config` is a file for Larder."""
    protocol = "resp"

    def __init__(self, cores=SERVER_CORE, threads=1, op="get", config=None):
        self.port, self.op, self.threads, self.config = free_port(), op, threads, config
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, self.command())], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"{self.name} did not start: {self.command()}")
            time.sleep(0.02)

    def cpu_ns(self):
        """Time on a processor of all threads, to the nanosecond."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total

    def resident_bytes(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Larder(Peer):
    name = "larder"

    def command(self):
        binary = os.environ.get("LARDER_BINARY", ROOT / "build/larder")
        return [binary, *([self.config] if self.config else []), "--port", self.port, "--threads", self.threads, "--save", ""]


class Redis(Peer):
    name = "redis-server"

    def command(self):
        return ["redis-server", "--port", self.port, "--save", "", "--appendonly", "no"]


class Memcached(Peer):
    name = "memcached"
    protocol = "meta"           # its classic `get` answers each request of a pipeline with a system call of its own

    def command(self):
        return ["memcached", "-U", 0, "-l", "127.0.0.1", "-p", self.port, "-t", self.threads, "-m", 4096, "-c", 4096,
                *(["-u", "nobody"] if os.getuid() == 0 else [])]


class Null(Peer):
    name = "null"

    def command(self):
        return [ROOT / "build/bench/null", self.port, {"get": 39, "set": 5}[self.op]]
