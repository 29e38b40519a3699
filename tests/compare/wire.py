"""Bytes of both servers: a batch of commands goes to two connections at once, the replies come back as (kind, payload).

A reply keeps everything that a client could see: b"+" and b"-" with their text, b":" with the digits, b"$" with the
bytes or None, aggregates with a list. Two replies are the same exactly when they are equal.
"""
import selectors
import socket
import ssl

SECONDS = 30                            # without a byte from either server the batch fails
SIMPLE, BULKS, ARRAYS, MAPS = b"+-:_#,(", b"$=!", b"*~>", b"%|"


def encode(words):
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def encode_inline(words):
    """The same as a line, each word in double quotes with everything unusual escaped."""
    return b" ".join(b'"' + b"".join(_INLINE[byte] for byte in word) + b'"' for word in words) + b"\r\n"


_INLINE = [b"\\x%02x" % byte if byte < 32 or byte > 126 or byte in b'"\\' else bytes([byte]) for byte in range(256)]


def parse(data):
    """All replies in data."""
    replies, place = [], 0
    while place < len(data):
        reply, place = _parse_one(data, place)
        replies.append(reply)
    return replies


def _parse_one(data, place):
    end = data.index(b"\r\n", place)
    kind, rest, place = data[place:place + 1], data[place + 1:end], end + 2
    if kind in SIMPLE:
        return (kind, rest), place
    count = int(rest)
    if kind in BULKS:
        if count < 0:
            return (kind, None), place
        if data[place + count:place + count + 2] != b"\r\n":
            raise ValueError(f"a bulk of {count} bytes ends in {data[place + count:place + count + 2]!r}")
        return (kind, data[place:place + count]), place + count + 2
    if kind not in ARRAYS + MAPS:
        raise ValueError(f"no reply begins with {kind!r}")
    if count < 0:
        return (kind, None), place
    items = []
    for _ in range(count * (2 if kind in MAPS else 1)):
        item, place = _parse_one(data, place)
        items.append(item)
    return (kind, items), place


def connect(server):
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return connection


def connect_unix(server):
    """The server listens on `socket` in its directory."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(server.dir / "socket"))
    connection.setblocking(False)
    return connection


def address(name, path=None):
    """A socket's name as servers show it. One of a unix socket's client is that of the socket: `path`."""
    return b"%b:%d" % (name[0].encode(), name[1]) if isinstance(name, tuple) else (name or path).encode() + b":0"


def connect_tls(server):
    return Encrypted(server.tls_raw().socket)


class Encrypted:
    """A connection over TLS (done with its handshake) that behaves as a plain one in exchange()."""

    def __init__(self, connection):
        self.connection = connection
        connection.setblocking(False)

    def getsockname(self):
        return self.connection.getsockname()

    def getpeername(self):
        return self.connection.getpeername()

    def fileno(self):
        return self.connection.fileno()

    def close(self):
        self.connection.close()

    def send(self, data):
        try:
            return self.connection.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def recv(self, count):
        """Everything that is there, since a selector does not see what TLS has read already; None for nothing yet."""
        data = bytearray()
        try:
            while piece := self.connection.recv(count):
                data += piece
        except ssl.SSLWantReadError:
            return data or None
        return data


def exchange(connections, requests, end):
    """Sends requests[i] to connections[i], reading all the while, so that no server waits for us to read. Returns for
    each what came until `end` or until the server closed."""
    unsent = [memoryview(request) for request in requests]
    received = [bytearray() for _ in connections]
    with selectors.DefaultSelector() as waiting:
        for i, connection in enumerate(connections):
            waiting.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, i)
        while waiting.get_map():
            ready = waiting.select(SECONDS)
            if not ready:
                silent = [key.data for key in waiting.get_map().values()]
                so_far = [bytes(r[-200:]) for r in received]
                raise TimeoutError(f"no reply in {SECONDS} s from {silent}; so far {so_far}")
            for key, events in ready:
                i, connection = key.data, key.fileobj
                try:
                    if events & selectors.EVENT_WRITE and unsent[i]:
                        unsent[i] = unsent[i][connection.send(unsent[i]):]
                        if not unsent[i]:
                            waiting.modify(connection, selectors.EVENT_READ, i)
                    data = connection.recv(1 << 20) if events & selectors.EVENT_READ else None
                except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                    data = b""
                if data:
                    received[i] += data
                if data == b"" or (data and received[i].endswith(end)):
                    waiting.unregister(connection)
    return [bytes(r) for r in received]
