"""RESP2 and RESP3 as the tests need it: commands to bytes, replies to values that keep the type they came with."""


class Status(bytes):
    """+OK"""


class Error(bytes):
    """-ERR ... or !..."""


class Verbatim(bytes):
    """=txt:..."""


class Double(bytes):
    """,3.14 as it was written"""


class Set(list):
    """~ in the order of arrival"""


class Map(list):
    """% as a list of (key, value)"""


class Push(list):
    """>"""


def encode(*words):
    """A command as an array of bulk strings; a word is bytes, str, int or float."""
    parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def read(read_line, read_exactly):
    """One reply. read_line() gives a line without CRLF, read_exactly(n) gives n bytes."""
    line = read_line()
    kind, rest = line[:1], line[1:]

    def items(count):
        return [read(read_line, read_exactly) for _ in range(count)]

    def text():
        body = read_exactly(int(rest) + 2)
        assert body.endswith(b"\r\n"), f"a bulk of {rest!r} bytes ends in {body[-2:]!r}"
        return body[:-2]

    if kind == b"+":
        return Status(rest)
    if kind == b"-":
        return Error(rest)
    if kind in b":(":
        return int(rest)
    if kind == b"_" or line in (b"$-1", b"*-1"):
        return None
    if kind == b"$":
        return text()
    if kind == b"!":
        return Error(text())
    if kind == b"=":
        return Verbatim(text())
    if kind == b"#":
        return {b"t": True, b"f": False}[rest]
    if kind == b",":
        return Double(rest)
    if kind == b"*":
        return items(int(rest))
    if kind == b"~":
        return Set(items(int(rest)))
    if kind == b">":
        return Push(items(int(rest)))
    if kind == b"%":
        flat = items(2 * int(rest))
        return Map(zip(flat[::2], flat[1::2]))
    raise AssertionError(f"no reply begins like this: {line[:80]!r}")
