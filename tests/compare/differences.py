"""What may differ between the replies, and why. The contract is Redis 7.2, the real server here is 7.0.

A row: the command (a subcommand after a bar), the reason, and a function (words, theirs, ours, slack) that accepts the
pair of replies. Replies are as wire.py reads them; the slack says how many ms the two servers may be apart. What no row
accepts is a difference.
"""
from . import grammar, newer


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
    return [client for _, client in sorted({int(client[b"id"]): client for client in found}.items())]


def plain(reply):
    """A reply without its kinds."""
    payload = reply[1]
    return [plain(item) for item in payload] if isinstance(payload, list) else payload


def anything(_words, _theirs, _ours, _slack):
    return True


def same_kind(_words, theirs, ours, _slack):
    return theirs[0] == ours[0] and (theirs[1] is None) == (ours[1] is None)


def same_kind_or_over(words, theirs, ours, slack):
    """There a key whose time is over is looked at as long as nobody has removed it."""
    return same_kind(words, theirs, ours, slack) or ours in ((b"$", None), (b"_", b""), (b"-", b"ERR no such key"))


def slow_calls(_words, theirs, ours, _slack):
    """The same commands by clients of the same name. A password is hidden here whatever else is wrong."""
    if theirs[0] != b"*" or ours[0] != b"*":
        return False
    calls = [[(call[3][:1] if call[3][0].lower() in (b"auth", b"hello") else call[3], call[5]) for call in plain(reply)]
             for reply in (theirs, ours)]
    return calls[0] == calls[1]


def information(_words, theirs, ours, _slack):
    """Counts of commands and errors; other sections have fields of their own."""
    if theirs[0] != ours[0] or theirs[0] not in b"$=":
        return False
    theirs, ours = (_fields(reply[1]) for reply in (theirs, ours))
    counted = (b"cmdstat_", b"errorstat_")
    return not any(name.startswith(counted) for name in theirs) or theirs == ours


def _fields(text):
    """{name: value} of the lines of INFO; of what it says of a command the counts only."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(b":")
        found[name] = [part for part in value.split(b",") if not part.startswith(b"usec")]
    return found


def histograms(_words, theirs, ours, _slack):
    """The same commands, as often."""
    if theirs[0] != ours[0] or theirs[0] not in b"*%":
        return False
    counts = [sorted((name[1], plain(told)[:2]) for name, told in _pairs(reply[1])) for reply in (theirs, ours)]
    return counts[0] == counts[1]


def with_adaptive(_words, theirs, ours, _slack):
    """The same refusal; the policies that may be chosen are one more here."""
    return theirs[0] == ours[0] == b"-" and theirs[1] == ours[1].replace(b"noeviction, adaptive", b"noeviction")


def command_info(_words, theirs, ours, _slack):
    theirs, ours = ([item and facts(item) for item in plain(reply)] for reply in (theirs, ours))
    both = [name for item in ours if item for name in item if name.decode() not in NEWER]
    return [bool(item) for item in theirs] == [bool(item) for item in ours] and all(
        a[name] == b[name] for a, b in zip(theirs, ours) if b for name in both if name in b)


def command_list(_words, theirs, ours, _slack):
    """All that Larder tells, and those of the grammar."""
    if theirs[0] != b"*" or ours[0] != b"*":
        return False
    theirs, ours = (set(plain(reply)) for reply in (theirs, ours))
    ours = {name for name in ours if name.decode() not in NEWER and not name.startswith(b"cache")}
    return ours <= theirs and not {name for name in theirs - ours if name in grammar.known()}


def keys_and_flags(words, theirs, ours, _slack):
    """The same keys; the flags in any order. What a SET of contradictory options would read is nobody's business."""
    if theirs[0] != b"*" or ours[0] != b"*":
        return False
    theirs, ours = ([(key, set(flags) - {b"OW", b"RW", b"access"} if words[2].lower() == b"set" else set(flags))
                     for key, flags in plain(reply)] for reply in (theirs, ours))
    return theirs == ours


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
    ("config|set", "Larder has an eviction policy more", with_adaptive),
    ("object|idletime", "small integers are one shared object there, used when any key with that value is", any_integers),
    ("object|refcount", "which small integers are one shared object is a matter of storage", any_integers),
    ("hello", "who answers: version, connection, modules", hello),
    ("client|id", "each server counts its own connections", any_integers),
    ("client|info", "7.2 adds lib-name and lib-ver; addresses, ages and sizes are each server's own", clients),
    ("client|list", "the same, and who is named twice is shown twice there", clients),
    ("digest", "the real server answers GET", digest),
    ("info", "times, addresses and sizes are each server's own", information),
    ("latency|histogram", "times are each server's own", histograms),
    ("slowlog|get", "so are numbers, times and addresses", slow_calls),
    ("time", "the clock goes on", same_kind),
    ("lolwut", "a picture of one's own, with arguments of its own", anything),
    ("memory|usage", "each server has its own structures", same_kind_or_over),
    ("debug|object", "each server has its own structures", same_kind_or_over),
    ("command|info", "what has no order, and newer subcommands", command_info),
    ("command|list", "the order is nobody's promise, and no server has all commands", command_list),
    ("command|getkeysandflags", "the order of flags is nobody's promise", keys_and_flags),
]


def accepted(words, theirs, ours, slack):
    """The reason why these two different replies to a command are no difference; None when there is none."""
    names = [words[0].lower(), b"|".join(words[:2]).lower()]
    for name, reason, same in ROWS:
        if name.encode() in names and same(words, theirs, ours, slack):
            return reason
    return None


# ---- what COMMAND tells --------------------------------------------------------------------------------------------
FACTS = ("arity", "flags", "first", "last", "step", "categories", "tips", "key specs")


def facts(item):
    """{name: facts} of one command in COMMAND's answer (RESP2) and of its subcommands. What has no order is sorted;
    notes on keys are prose."""
    name, arity, flags, first, last, step, categories, tips, specs, subcommands = item
    specs = [{**map_of(spec), b"flags": sorted(map_of(spec)[b"flags"]), b"notes": None} for spec in specs]
    specs = sorted(str(sorted(spec.items())) for spec in specs)
    found = {name: dict(zip(FACTS, (arity, sorted(flags), first, last, step, sorted(categories), sorted(tips), specs)))}
    for subcommand in subcommands:
        found.update(facts(subcommand))
    return found


def map_of(items):
    return dict(zip(items[::2], items[1::2]))


# ---- what COMMAND and CONFIG may tell otherwise --------------------------------------------------------------------
# Commands of these families that the real server does not have.
NEWER = {"client|setinfo", "config|unused", "client|no-touch", "delex", "delifeq", "digest", "msetex"}

# (command, fact): reason
COMMANDS = {
}

# setting: reason
SETTINGS = {
    "port": "each has its own",
    "dir": "redis-server makes the path absolute, Larder shows what was set",
}
