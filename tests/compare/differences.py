"""What may differ between the replies, and why. The contract is Redis 7.2, the real server here is 7.0.

A row: the command (a subcommand after a bar), the reason, and a function (words, theirs, ours, slack) that accepts the
pair of replies. Replies are as wire.py reads them; the slack says how many ms the two servers may be apart. What no row
accepts is a difference.
"""
from . import newer


# ---- what a row may accept -----------------------------------------------------------------------------------------
def within(amount, unit_ms):
    """Two integers that count units of time: at most so far apart, and what the slack may add."""
    def same(_words, theirs, ours, slack):
        return theirs[0] == ours[0] == b":" and abs(int(theirs[1]) - int(ours[1])) <= amount + slack / unit_ms
    return same


def unordered(_words, theirs, ours, _slack):
    """The same elements in any order."""
    return theirs[0] == ours[0] and theirs[0] in b"*~" and _sorted(theirs[1]) == _sorted(ours[1])


def unordered_map(_words, theirs, ours, _slack):
    return theirs[0] == ours[0] and theirs[0] in b"*%" and _sorted(_pairs(theirs[1])) == _sorted(_pairs(ours[1]))


def scan(words, theirs, ours, _slack):
    """[0, everything] from both, or from both something: another cursor means another thing to every server."""
    shapes = [[item[0] for item in reply[1]] for reply in (theirs, ours) if reply[0] == b"*"]
    if len(shapes) != 2 or shapes[0] != shapes[1] != [b"$", b"*"]:
        return False
    complete = words[1] == b"0" and theirs[1][0] == ours[1][0] == (b"$", b"0")
    return not complete or _sorted(theirs[1][1][1]) == _sorted(ours[1][1][1])


def cursor_with_nul(words, _theirs, _ours, _slack):
    return b"\0" in words[1]


def any_integers(_words, theirs, ours, _slack):
    return theirs[0] == ours[0] == b":"


def hello(_words, theirs, ours, _slack):
    """The same names in the same order; the same values where they do not say who answers."""
    if theirs[0] != ours[0] or theirs[0] not in b"*%":
        return False
    theirs, ours = ([(name[1], value) for name, value in _pairs(reply[1])] for reply in (theirs, ours))
    own = (b"version", b"id", b"modules")
    return [name for name, _ in theirs] == [name for name, _ in ours] and [
        pair for pair in theirs if pair[0] not in own] == [pair for pair in ours if pair[0] not in own]


NEW_FIELDS = (b"lib-name", b"lib-ver")
SHOWN = (b"name", b"db", b"sub", b"psub", b"ssub", b"multi", b"user", b"redir", b"resp", b"cmd")


def clients(_words, theirs, ours, _slack):
    """Lines of the same clients, in any order: the same fields but for the new ones, the same values where they say
    what a client did."""
    if theirs[0] != ours[0] or theirs[0] not in b"$=":
        return False
    theirs, ours = _clients(theirs[1]), _clients(ours[1])
    return len(theirs) == len(ours) and all(
        list(a) == [name for name in b if name not in NEW_FIELDS] and all(a[name] == b[name] for name in SHOWN)
        for a, b in zip(theirs, ours))


def _clients(text):
    lines = text.removeprefix(b"txt:").splitlines()
    found = [dict(field.split(b"=", 1) for field in line.split()) for line in lines]
    return sorted(found, key=lambda client: int(client[b"id"]))


def digest(_words, theirs, ours, _slack):
    """GET's answer there, the digest of it here."""
    return theirs[0] == ours[0] == b"$" and theirs[1] is not None and ours[1] == newer.digest(theirs[1])


def _pairs(items):
    return list(zip(items[::2], items[1::2]))


def _sorted(items):
    return sorted(items, key=repr)


# ---- the table -----------------------------------------------------------------------------------------------------
ROWS = [
    ("ttl", "a second may begin between the two", within(1, 1000)),
    ("pttl", "the time was given to the two at different moments", within(10, 1)),
    ("expiretime", "a second may begin between the two", within(1, 1000)),
    ("pexpiretime", "the time was given to the two at different moments", within(10, 1)),
    ("keys", "the order is nobody's promise", unordered),
    ("scan", "the order is nobody's promise, and cursors are private", scan),
    ("scan", "redis-server reads a cursor up to its first NUL, Larder refuses it", cursor_with_nul),
    ("config|get", "the order is nobody's promise", unordered_map),
    ("object|idletime", "small integers are one shared object there, used when any key with that value is", any_integers),
    ("object|refcount", "which small integers are one shared object is a matter of storage", any_integers),
    ("hello", "who answers: version, connection, modules", hello),
    ("client|id", "each server counts its own connections", any_integers),
    ("client|info", "7.2 adds lib-name and lib-ver; addresses, ages and sizes are each server's own", clients),
    ("client|list", "7.2 adds lib-name and lib-ver; addresses, ages and sizes are each server's own", clients),
    ("digest", "the real server answers GET", digest),
]


def accepted(words, theirs, ours, slack):
    """The reason why these two different replies to a command are no difference; None when there is none."""
    names = [words[0].lower(), b"|".join(words[:2]).lower()]
    for name, reason, same in ROWS:
        if name.encode() in names and same(words, theirs, ours, slack):
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
