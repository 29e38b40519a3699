"""The servers that are compared: how each is started on one core, and what it costs."""
import contextlib
import os
import re
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
    """A running server. `protocol` is what the load generator speaks to it; `null` needs to know which operation it answers; `config` is a file for Larder; `options` are
    more words for its command line."""
    protocol = "resp"

    def __init__(self, cores=SERVER_CORE, threads=1, op="get", config=None, options=()):
        self.port, self.op, self.threads, self.config = free_port(), op, threads, config
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, self.command()), *map(str, options)], stdin=subprocess.DEVNULL,
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

    def ask(self, *words):
        """The reply to one RESP command: text, a number, or None; an error ends the benchmark."""
        with socket.create_connection(("127.0.0.1", self.port), 60) as s, s.makefile("rb") as replies:
            words = [str(word).encode() for word in words]
            s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
            line = replies.readline().rstrip(b"\r\n").decode()
            if line[:1] == "$":
                return replies.read(int(line[1:])).decode() if line != "$-1" else None
        if line[:1] not in ("+", ":"):
            raise SystemExit(f"{self.name} answers {words}: {line}")
        return int(line[1:]) if line[:1] == ":" else line[1:]

    def info(self, section):
        return dict(line.split(":", 1) for line in self.ask("INFO", section).splitlines() if ":" in line)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Larder(Peer):
    name = "larder"
    binary = os.environ.get("LARDER_BINARY", ROOT / "build/larder")

    @classmethod
    def policies(cls):
        """Its eviction policies that need no TTL, the recommended one first."""
        options = subprocess.run([cls.binary, "--describe", "options"], capture_output=True, text=True, check=True).stdout
        row = next(line for line in options.splitlines() if line.startswith("maxmemory-policy\t"))
        known = re.findall(r"adaptive|allkeys-\w+", row)
        return sorted(set(known), key=lambda policy: (policy != "adaptive", policy != "allkeys-lfu", policy))

    def command(self):
        return [self.binary, *([self.config] if self.config else []), "--port", self.port, "--threads", self.threads, "--save", ""]


class Redis(Peer):
    name = "redis-server"

    @classmethod
    def policies(cls):
        return ["allkeys-lru", "allkeys-lfu"]

    def command(self):
        return ["redis-server", "--port", self.port, "--save", "", "--appendonly", "no"]


class Memcached(Peer):
    name = "memcached"

    @classmethod
    def policies(cls):
        return [""]         # it has one, without a name
    protocol = "meta"           # its classic `get` answers each request of a pipeline with a system call of its own

    def command(self):
        return ["memcached", "-U", 0, "-l", "127.0.0.1", "-p", self.port, "-t", self.threads, "-m", 4096, "-c", 4096,
                *(["-u", "nobody"] if os.getuid() == 0 else [])]


class Null(Peer):
    name = "null"

    def command(self):
        return [ROOT / "build/bench/null", self.port, {"get": 39, "set": 5}[self.op]]
