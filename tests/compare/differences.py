"""What may differ between the replies, and why. The contract is Redis 7.2, the real server here is 7.0.

A row: the command (a subcommand after a bar), the reason, and a function (words, theirs, ours) that accepts the pair of
replies. Replies are as wire.py reads them. What no row accepts is a difference.
"""
from . import newer


# ---- what a row may accept -----------------------------------------------------------------------------------------
def within(amount):
    """Two integers at most so far apart."""
    def same(_words, theirs, ours):
        return theirs[0] == ours[0] == b":" and abs(int(theirs[1]) - int(ours[1])) <= amount
    return same


def unordered(_words, theirs, ours):
    """The same elements in any order."""
    return theirs[0] == ours[0] and theirs[0] in b"*~" and _sorted(theirs[1]) == _sorted(ours[1])


def unordered_map(_words, theirs, ours):
    return theirs[0] == ours[0] and theirs[0] in b"*%" and _sorted(_pairs(theirs[1])) == _sorted(_pairs(ours[1]))


def scan(words, theirs, ours):
    """[0, everything] from both, or from both something: another cursor means another thing to every server."""
    shapes = [[item[0] for item in reply[1]] for reply in (theirs, ours) if reply[0] == b"*"]
    if len(shapes) != 2 or shapes[0] != shapes[1] != [b"$", b"*"]:
        return False
    complete = words[1] == b"0" and theirs[1][0] == ours[1][0] == (b"$", b"0")
    return not complete or _sorted(theirs[1][1][1]) == _sorted(ours[1][1][1])


def cursor_with_nul(words, _theirs, _ours):
    return b"\0" in words[1]


def any_integers(_words, theirs, ours):
    return theirs[0] == ours[0] == b":"


def hello(_words, theirs, ours):
    """The same names in the same order; the same values where they do not say who answers."""
    if theirs[0] != ours[0] or theirs[0] not in b"*%":
        return False
    theirs, ours = ([(name[1], value) for name, value in _pairs(reply[1])] for reply in (theirs, ours))
    own = (b"version", b"id", b"modules")
    return [name for name, _ in theirs] == [name for name, _ in ours] and [
        pair for pair in theirs if pair[0] not in own] == [pair for pair in ours if pair[0] not in own]


SHOWN = (b"name", b"db", b"sub", b"psub", b"ssub", b"multi", b"user", b"redir", b"resp", b"cmd")


def clients(_words, theirs, ours):
    """Lines of the same clients, in any order: the same fields but for the new ones, the same values where they say what
    a client did."""
    if theirs[0] != ours[0] or theirs[0] not in b"$=":
        return False
    theirs, ours = (sorted(map(_client, reply[1].removeprefix(b"txt:").splitlines()), key=lambda client: int(client[b"id"]))
                    for reply in (theirs, ours))
    return len(theirs) == len(ours) and all(
        list(a) == [name for name in b if name not in (b"lib-name", b"lib-ver")] and [a[n] for n in SHOWN] == [b[n] for n in SHOWN]
        for a, b in zip(theirs, ours))


def _client(line):
    return dict(field.split(b"=", 1) for field in line.split())


def digest(_words, theirs, ours):
    """GET's answer there, the digest of it here."""
    return theirs[0] == ours[0] == b"$" and theirs[1] is not None and ours[1] == newer.digest(theirs[1])


def both_fail(_words, theirs, ours):
    return theirs[0] == ours[0] == b"-"


def _pairs(items):
    return list(zip(items[::2], items[1::2]))


def _sorted(items):
    return sorted(items, key=repr)


# ---- the table -----------------------------------------------------------------------------------------------------
ROWS = [
    ("ttl", "a second may begin between the two", within(1)),
    ("pttl", "the commands that gave the time reached the two at different moments", within(2000)),
    ("expiretime", "a second may begin between the two", within(2)),
    ("pexpiretime", "the commands that gave the time reached the two at different moments", within(2000)),
    ("keys", "the order is nobody's promise", unordered),
    ("scan", "the order is nobody's promise, and cursors are private", scan),
    ("scan", "redis-server reads a cursor up to its first NUL, Larder refuses it", cursor_with_nul),
    ("config|get", "the order is nobody's promise", unordered_map),
    ("object|idletime", "time passes", within(2)),
    ("object|refcount", "which small integers are one shared object is a matter of storage", any_integers),
    ("hello", "who answers: version, connection, modules", hello),
    ("client|id", "each server counts its own connections", any_integers),
    ("client|info", "7.2 adds lib-name and lib-ver; addresses, ages and sizes are each server's own", clients),
    ("client|list", "7.2 adds lib-name and lib-ver; addresses, ages and sizes are each server's own", clients),
    ("digest", "the real server answers GET", digest),
    ("msetex", "the words of this error are written down nowhere", both_fail),
]


def accepted(words, theirs, ours):
    """The reason why these two different replies to a command are no difference; None when there is none."""
    names = [words[0].lower(), b"|".join(words[:2]).lower()]
    for name, reason, same in ROWS:
        if name.encode() in names and same(words, theirs, ours):
            return reason
    return None


# ---- what COMMAND and CONFIG may tell otherwise --------------------------------------------------------------------
# Commands of these families that the real server does not have.
NEWER = {"client|setinfo", "config|unused", "client|no-touch", "delex", "delifeq", "digest", "msetex"}

# (command, fact): reason
FACTS = {
}

# setting: reason
SETTINGS = {
    "port": "each has its own",
    "dir": "redis-server makes the path absolute, Larder shows what was set",
}
