"""A connection without a client library: the test decides which bytes leave, in what pieces, and sees what comes back."""
import select
import socket

from . import resp


class Raw:
    """Every wait ends after `timeout` seconds with TimeoutError."""

    def __init__(self, address, timeout=10):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def call(self, *words):
        """Sends one command and returns its reply as harness.resp reads it."""
        self.send(resp.encode(*words))
        return self.read_reply()

    def read_reply(self):
        return resp.read(self.read_line, self.read_exactly)

    def read_line(self):
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._receive()
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        return line

    def read_exactly(self, count):
        while len(self.buffer) < count:
            self._receive()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def expect(self, data):
        """The next bytes are exactly these."""
        got = self.read_exactly(len(data))
        assert got == data, f"expected {data[:200]!r}, got {got[:200]!r}"

    def expect_closed(self):
        """The peer has closed, and nothing came before that is still unread."""
        try:
            self._receive()
        except (EOFError, ConnectionResetError):
            pass
        assert not self.buffer, f"expected the end, got {bytes(self.buffer[:200])!r}"

    def expect_silence(self, seconds=0.1):
        """Nothing is there to read; for replies that must not have come yet."""
        readable = select.select([self.socket], [], [], seconds)[0]
        assert not self.buffer and not readable, "expected silence"

    def _receive(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise EOFError(f"the peer closed; unread: {bytes(self.buffer[:200])!r}")
        self.buffer += data
