"""Random commands of the families of connections, the server, keys and strings, a quarter of them wrong on purpose.

COMMANDS is the grammar: a weight, the command's words, its arguments. A word in capitals stands for itself (A|B: one of
them); any other names a draw_*() below; `?` maybe, `+` one to four, `*` none to three. Nothing here depends on the
moment at which it runs: no key is given a time that could run out while the test runs, and nothing waits for long, see
steady().
"""
import functools
import re
import time

COMMANDS = """
30 GET              key
40 SET              key value set_options
 4 SET              long_key long_value
 3 APPEND           long_key text
 3 GET|STRLEN|DEL|GETDEL|TYPE long_key
 3 GETRANGE|SUBSTR  long_key offset offset
 6 SETEX            key seconds value
 6 PSETEX           key milliseconds value
 8 SETNX            key value
10 GETSET           key value
 8 GETDEL           key
14 GETEX            key getex_options
12 MGET             key+
12 MSET             pair+
10 MSETNX           pair+
 8 STRLEN           key
12 APPEND           key text
10 GETRANGE         key offset offset
 3 SUBSTR           key offset offset
12 SETRANGE         key small_offset text
10 INCR|DECR        key
12 INCRBY|DECRBY    key integer
12 INCRBYFLOAT      key float
 8 LCS              key key lcs_options
12 DEL              key+
 6 UNLINK           key+
 8 EXISTS           key+
 6 TOUCH            key+
 8 TYPE             key
10 EXPIRE           key seconds condition
 8 PEXPIRE          key milliseconds condition
10 EXPIREAT         key second condition
 8 PEXPIREAT        key millisecond condition
10 TTL|PTTL         key
10 EXPIRETIME|PEXPIRETIME key
10 PERSIST          key
10 RENAME           key key
 8 RENAMENX         key key
14 COPY             key key copy_options
10 MOVE             key database
 3 SWAPDB           database database
 6 KEYS             pattern
 4 SCAN             0 scan_options
 1 SCAN             integer scan_options
 8 OBJECT           ENCODING|REFCOUNT|IDLETIME|FREQ key
 1 FLUSHDB          ASYNC|SYNC?
 1 FLUSHALL         ASYNC|SYNC?
 6 DBSIZE
10 SELECT           database
 4 PING             value?
 4 ECHO             value
 4 HELLO            hello
 2 RESET
 1 QUIT
 2 AUTH             value+
 2 CLIENT           ID
 2 CLIENT           GETNAME
 3 CLIENT           SETNAME name
 1 CLIENT           INFO
 1 CLIENT           LIST
 1 CLIENT           LIST TYPE NORMAL|PUBSUB|MASTER|REPLICA
 1 CLIENT           NO-EVICT ON|OFF
 3 CLIENT           REPLY ON|OFF|SKIP
 1 CLIENT           LIST ID client+
 1 CLIENT           KILL address
 2 CLIENT           KILL kill_filters
 1 CLIENT           UNBLOCK client TIMEOUT|ERROR?
 1 CLIENT           PAUSE pause ALL|WRITE?
 1 CLIENT           UNPAUSE
 3 CONFIG           GET setting+
 2 CONFIG           SET change+
 1 CONFIG           RESETSTAT
 2 COMMAND          GETKEYS|GETKEYSANDFLAGS command
 1 COMMAND          INFO known+
 1 COMMAND          LIST FILTERBY filter
 1 SLOWLOG          LEN|RESET
 1 SLOWLOG          GET integer?
 1 LATENCY          LATEST
 1 LATENCY          RESET|HISTORY event
 1 LATENCY          RESET event*
 1 MEMORY           USAGE key samples?
 2 DEBUG            debug
 1 TIME|ROLE
 1 LOLWUT           VERSION small_offset
 1 WAIT             0|1 1|5
 1 unknown          value*
 1 CLIENT|CONFIG|OBJECT|COMMAND|SLOWLOG|LATENCY|MEMORY|DEBUG unknown value*
"""


class Named(bytes):
    """The "id", "address" or "server's address" of a pair's connection, whatever each server calls it."""

    def __new__(cls, kind, index):
        return super().__new__(cls, b"<%b of connection %d>" % (kind.encode(), index))


CONNECTIONS = range(4)

KEYS = [b"k%d" % i for i in range(14)] + [
    b"", b"\x00\xff\r\n", "clé:ключ".encode(), b"user:{7}:a", b"a*[b]?", b"7"]
LONG_KEYS = [b"long1", b"long2"]
DATABASES = [0, 1, 2, 3, 15]
INTEGERS = [b"%d" % i for i in (
    0, 1, -1, 2, 3, 5, 10, 100, 255, -100, 9999, 10000, 2**31 - 1, -2**31, 2**31, 2**32, 2**53 + 1, 2**63 - 1, -2**63,
    2**63 - 2, -2**63 + 1, 2**63, -2**63 - 1, 2**64, 10**30)]
NO_INTEGERS = [
    b"", b" 1", b"1 ", b"+1", b"-0", b"007", b"0x10", b"1e3", b"1.0", b"-", b"abc", b"\x00", b"12\x0034", b"1" * 300]
FLOATS = [
    b"0", b"1", b"-1", b"0.1", b"3.0e3", b"-2.5", b"1e17", b"1e-17", b"12345678.9", b"0.000001", b"1e300", b"1e4000",
    b"5e-324", b"17.17", b"-0", b"9007199254740993", b"99999999999999999999", b".5", b"5."]
NO_FLOATS = [b"inf", b"-inf", b"nan", b"1e5000", b"", b" 1", b"1 ", b"abc", b"1.2.3", b"0x1p3", b"+inf", b"1e"]
TEXTS = [
    b"", b"a", b"ab", b"hello", b"ohmytext", b"mynewtext", "grüße".encode(), b"\x00\x01\xfe\xff", b"x" * 44, b"x" * 45,
    b"a\r\nb", b"-ERR no", b"$5\r\n"]
PATTERNS = [
    b"*", b"k*", b"k?", b"k[0-4]", b"k[^1]", b"k1[", b"k\\1", b"*1*", b"", b"a\\*\\[b\\]\\?", b"a[*][[]b*", b"k[4-0]",
    b"\\", b"**", b"*:*", b"k[1-", b"nothing", b"[", b"user:{7}:?", b"\x00*"]
SETTINGS = {
    b"maxmemory": [b"0", b"1gb", b"8gb", b"-1", b"abc"],
    b"maxmemory-policy": [b"noeviction", b"allkeys-lru", b"volatile-ttl", b"nothing", b"allkeys-random"],
    b"timeout": [b"0", b"3600", b"-1", b"x"],
    b"tcp-keepalive": [b"0", b"300", b"-5"],
    b"proto-max-bulk-len": [b"512mb", b"1", b"x"],
    b"maxmemory-samples": [b"5", b"0", b"abc", b"64"],
    b"slowlog-log-slower-than": [b"-1", b"-2", b"x"],
    b"slowlog-max-len": [b"128", b"3", b"0", b"-1"],
    b"latency-monitor-threshold": [b"0", b"-1"],
    b"latency-tracking": [b"yes", b"no", b"maybe"],
    b"loglevel": [b"notice", b"warning"],
    b"databases": [b"16", b"4"],
    b"no-such-setting": [b"1"],
}
DEFAULTS = {b"maxmemory": b"0", b"maxmemory-policy": b"noeviction", b"timeout": b"0", b"tcp-keepalive": b"300",
            b"proto-max-bulk-len": b"512mb", b"maxmemory-samples": b"5", b"slowlog-log-slower-than": b"-1",
            b"slowlog-max-len": b"128", b"latency-monitor-threshold": b"0", b"latency-tracking": b"yes",
            b"loglevel": b"notice"}
UNKNOWN = [
    b"nosuch", b"GETT", b"", b"\xff\x00\x01", b"get\r\nset", b"'quoted'", b"x" * 200, "ключ".encode(), b"get key",
    b"%s%n", b"\x00"]
ODD_WORDS = INTEGERS + NO_INTEGERS + FLOATS + NO_FLOATS + TEXTS + [
    b"NX", b"XX", b"GT", b"LT", b"EX", b"PX", b"EXAT", b"PXAT", b"KEEPTTL", b"PERSIST", b"GET", b"DB", b"REPLACE",
    b"MATCH", b"COUNT", b"TYPE", b"ASYNC", b"LEN", b"IDX", b"AUTH", b"SETNAME", b"nx", b"Xx", b"\xff"]

# A time that runs out while the test runs would make the two servers differ by chance.
FAR_SECONDS = 1_000_000
RELATIVE = {b"expire": (2, 1), b"pexpire": (2, 1000), b"setex": (2, 1), b"psetex": (2, 1000)}
ABSOLUTE = {b"expireat": (2, 1), b"pexpireat": (2, 1000)}
REPEATED = {*INTEGERS, b"%d" % 2**53}      # what draws give more than once, unlike far away times
OPTIONS = {b"ex": 1, b"px": 1000, b"exat": 1, b"pxat": 1000}


class Grammar:
    def __init__(self, rng):
        self.rng = rng
        self.times = 0                  # how many relative times were given, to give each but once

    # ---- commands --------------------------------------------------------------------------------------------------
    def command(self):
        """The words of one command."""
        while True:
            words = self.valid_command()
            if self.rng.random() < 0.25 and not any(isinstance(word, Named) for word in words):
                words = self.spoil(words)
            if words and steady(words):
                return words

    def valid_command(self):
        words = list(self.row(self.rng.choice(rows())))
        if self.rng.random() < 0.1:
            words[0] = words[0].swapcase()
        return words

    def row(self, arguments):
        for argument in arguments:
            yield from self.argument(argument)

    def argument(self, argument):
        name, suffix = (argument[:-1], argument[-1]) if argument[-1] in "?+*" else (argument, "")
        low, high = {"": (1, 1), "?": (0, 1), "+": (1, 4), "*": (0, 3)}[suffix]
        for _ in range(self.rng.randint(low, high)):
            if not name.islower():
                yield self.rng.choice(name.split("|")).encode()
            else:
                drawn = getattr(self, "draw_" + name)()
                yield from [drawn] if isinstance(drawn, bytes) else drawn

    def spoil(self, words):
        """One or two mistakes in arity, type, range, spelling or order. Some are none after all."""
        rng, words = self.rng, list(words)
        for _ in range(rng.choice((1, 1, 1, 2))):
            place = rng.randrange(1, len(words)) if len(words) > 1 else 0
            kind = rng.randrange(8)
            if kind == 0 and len(words) > 1:
                del words[place]
            elif kind == 1:
                words.insert(place + 1, rng.choice(ODD_WORDS))
            elif kind == 2 and len(words) > 1:
                words = words[:rng.randint(1, len(words) - 1)]
            elif kind == 3 and len(words) > 2:
                other = rng.randrange(1, len(words))
                words[place], words[other] = words[other], words[place]
            elif kind == 4 and len(words) > 1:
                words.append(words[place])
            elif len(words) > 1:
                words[place] = rng.choice(ODD_WORDS)
        return words

    # ---- arguments -------------------------------------------------------------------------------------------------
    def draw_key(self):
        return self.rng.choice(KEYS)

    def draw_long_key(self):
        return self.rng.choice(LONG_KEYS)

    def draw_value(self):
        kind = self.rng.random()
        if kind < 0.35:
            return self.rng.choice(INTEGERS)
        if kind < 0.5:
            return self.rng.choice(FLOATS)
        if kind < 0.6:
            return self.rng.choice(NO_INTEGERS + NO_FLOATS)
        return self.draw_text()

    def draw_text(self):
        kind = self.rng.random()
        if kind < 0.8:
            return self.rng.choice(TEXTS)
        return self.rng.randbytes(self.rng.choice((1, 3, 30, 60)))

    def draw_long_value(self):
        return self.rng.randbytes(1000) * self.rng.choice((1, 5, 20, 100)) + b"." * self.rng.randrange(100)

    def draw_pair(self):
        return [self.draw_key(), self.draw_value()]

    def draw_integer(self):
        return self.rng.choice(INTEGERS if self.rng.random() < 0.9 else NO_INTEGERS)

    def draw_float(self):
        return self.rng.choice(FLOATS if self.rng.random() < 0.9 else NO_FLOATS)

    def draw_offset(self):
        return b"%d" % self.rng.randint(-12, 12) if self.rng.random() < 0.8 else self.rng.choice(INTEGERS)

    def draw_small_offset(self):
        return b"%d" % self.rng.choice((0, 1, 2, 5, 10, 50, 300, -1, 2**29, 2**29 - 1, 2**62))

    def draw_database(self):
        return b"%d" % self.rng.choice(DATABASES * 8 + [16, -1, 2**31, 2**32])

    def draw_seconds(self):
        """A time from now on: far away and never the same twice, or none at all."""
        self.times += 1
        far = 10**9 + self.times * self.rng.choice((100, -50))
        return b"%d" % self.rng.choice((far, far, far, far, 0, -1, -10**9, 2**63 - 1, 2**53))

    def draw_milliseconds(self):
        seconds = int(self.draw_seconds())
        return b"%d" % (seconds * 1000 if abs(seconds) < 2**50 else seconds)

    def draw_second(self):
        """A time of the calendar: years ahead or long past."""
        return b"%d" % self.rng.choice((4 * 10**9, 4 * 10**9 + 1, 5 * 10**9, 10**12, 1, 10**9, 0, -1, 2**63 - 1, 2**53))

    def draw_millisecond(self):
        second = int(self.draw_second())
        return b"%d" % (second * 1000 + self.rng.choice((0, 1, 999)) if 1 < second < 2**50 else second)

    def draw_condition(self):
        return self.some([[b"NX"], [b"XX"], [b"GT"], [b"LT"]], [0, 0, 0, 1, 1, 2])

    def draw_set_options(self):
        return self.some([[b"NX"], [b"XX"], [b"GET"], *self.expiries(), [b"KEEPTTL"]], [0, 0, 0, 0, 1, 1, 1, 2, 3])

    def draw_getex_options(self):
        return self.some([*self.expiries(), [b"PERSIST"]], [0, 1, 1, 1, 1, 2])

    def expiries(self):
        return [[b"EX", self.draw_seconds()], [b"PX", self.draw_milliseconds()],
                [b"EXAT", self.draw_second()], [b"PXAT", self.draw_millisecond()]]

    def draw_lcs_options(self):
        options = [[b"LEN"], [b"IDX"], [b"IDX"], [b"MINMATCHLEN", self.draw_offset()], [b"WITHMATCHLEN"]]
        return self.some(options, [0, 0, 1, 1, 2, 3])

    def draw_copy_options(self):
        return self.some([[b"DB", self.draw_database()], [b"REPLACE"]], [0, 0, 1, 1, 2])

    def draw_scan_options(self):
        """One step sees everything: other cursors than 0 mean another thing to every server."""
        kind = self.rng.choice([b"string", b"list", b"STRING", b"nothing"])
        count = self.rng.choice([b"100000", b"100000", b"100000", b"0", b"-1", b"x"])
        return [b"COUNT", count, *self.some([[b"MATCH", self.draw_pattern()], [b"TYPE", kind]], [0, 1, 2])]

    def draw_pattern(self):
        return self.rng.choice(PATTERNS)

    def draw_hello(self):
        rng = self.rng
        if rng.random() < 0.1:
            return []
        version = rng.choice((b"2", b"3", b"2", b"3", b"1", b"4", b"x", b"99999999999999999999"))
        options = [[b"AUTH", b"default", self.draw_text()], [b"SETNAME", self.draw_name()], [b"AUTH", b"nobody", b"x"]]
        return [version, *self.some(options, [0, 0, 0, 1, 1, 2])]

    def draw_name(self):
        return self.rng.choice((b"worker-7", b"", b"has space", b"line\n", b"~!x", "ключ".encode()))

    def draw_setting(self):
        return self.rng.choice([*SETTINGS, b"maxmemory-po*", b"[t]imeout", b"TIMEOUT", b"proto-max-bulk-le?"])

    def draw_change(self):
        setting = self.rng.choice(list(SETTINGS))
        return [setting, self.rng.choice(SETTINGS[setting])]

    def draw_command(self):
        words = self.valid_command()
        return words if words[0].upper() != b"COMMAND" else [b"GET", b"k1"]

    def draw_client(self):
        return self.rng.choice([Named("id", index) for index in CONNECTIONS] + [b"0", b"-1", b"999999", b"x"])

    def draw_address(self):
        addresses = [Named("address", index) for index in CONNECTIONS]
        return self.rng.choice([*addresses, Named("server's address", 0), b"127.0.0.1:0", b""])

    def draw_kill_filters(self):
        rng = self.rng
        options = [[b"ID", self.draw_client()], [b"ID", self.draw_client()], [b"ADDR", self.draw_address()],
                   [b"LADDR", self.draw_address()], [b"TYPE", rng.choice((b"normal", b"replica", b"pubsub", b"x"))],
                   [b"USER", rng.choice((b"default", b"nobody"))], [b"SKIPME", rng.choice((b"yes", b"no", b"x"))]]
        return self.some(options, [1, 1, 2, 2, 3])

    def draw_pause(self):
        return self.rng.choice((b"1", b"3", b"0", b"-1", b"x"))

    def draw_known(self):
        return self.rng.choice([*sorted(known()), b"client|kill", b"config|nosuch"])

    def draw_filter(self):
        rng = self.rng
        return rng.choice(([b"PATTERN", rng.choice((b"get*", b"*", b"client|*", b"nothing", b"[l-m]*"))],
                           [b"ACLCAT", rng.choice((b"string", b"connection", b"dangerous", b"nothing"))],
                           [b"MODULE", b"nothing"], [b"COLOUR", b"blue"]))

    def draw_event(self):
        return self.rng.choice((b"command", b"fast-command", b"nothing"))

    def draw_samples(self):
        return [b"SAMPLES", self.draw_integer()]

    def draw_debug(self):
        rng = self.rng
        return rng.choice((
            [b"OBJECT", self.draw_key()],
            [b"PROTOCOL", rng.choice((b"string", b"integer", b"double", b"bignum", b"null", b"array", b"set", b"map",
                                      b"verbatim", b"true", b"false", b"nothing"))],
            [b"ERROR", rng.choice((b"OWN words", b"word", b"-DASH x", b"two\nlines"))], [b"LOG", self.draw_text()],
            [b"SLEEP", b"0"], [b"SET-ACTIVE-EXPIRE", rng.choice((b"0", b"1"))],
            [b"POPULATE", b"3", rng.choice((b"k", b"made", b"")), rng.choice((b"0", b"5", b"100"))],
            [b"REPLYBUFFER", b"RESIZING", rng.choice((b"0", b"1"))]))

    def draw_unknown(self):
        return self.rng.choice(UNKNOWN)

    def some(self, options, counts):
        """Some of the options in any order; more than one of a kind, too."""
        chosen = [self.rng.choice(options) for _ in range(self.rng.choice(counts))]
        return [word if self.rng.random() < 0.8 else word.swapcase() for option in chosen for word in option]


@functools.cache
def rows():
    """Each row of COMMANDS as often as its weight says."""
    found = []
    for line in COMMANDS.strip().splitlines():
        weight, *arguments = line.split()
        found += [arguments] * int(weight)
    return found


@functools.cache
def known():
    """The names of the grammar's commands."""
    return {name.lower().encode() for row in rows() for name in row[0].split("|")}


def steady(words):
    """Whether the command does the same now and a minute later, and at a bearable cost."""
    name = words[0].lower()
    if name in RELATIVE and not _far(words, *RELATIVE[name], 0):
        return False
    if name in (b"expire", b"pexpire") and len(words) > 3 and words[2] in REPEATED:
        return False                                            # GT and LT would depend on the millisecond of the time before
    if name in ABSOLUTE and not _far(words, *ABSOLUTE[name], time.time()):
        return False
    if name in (b"set", b"getex"):
        for place, word in enumerate(words[:-1]):
            unit = OPTIONS.get(word.lower())
            if unit and not _far(words, place + 1, unit, time.time() if word.lower().endswith(b"at") else 0):
                return False
            if unit and words[1] not in KEYS:
                return False                                    # SET leaves it over; DBSIZE cleans up among KEYS only
    if name == b"config":                                       # no limit that memory or idle connections reach
        return all(value in SETTINGS.get(setting.lower(), [value]) for setting, value in zip(words[2:], words[3:]))
    if name == b"hello" and len(words) > 3:
        return _one_meaning(words[2:])
    if name == b"setrange" and len(words) > 2:
        return not 10_000 < _integer(words[2]) < 2**29          # would fill up half a gigabyte
    if name == b"client" and words[1:2] and words[1].lower() == b"pause":
        return len(words) < 3 or _integer(words[2]) <= 5
    if name == b"wait":
        return len(words) != 3 or _integer(words[1]) <= 0 or 0 < _integer(words[2]) <= 5 or words[2] in NO_INTEGERS
    if name == b"debug":                                        # what a mistake makes of it may take long, or end the server
        return words[1:2] in ([b"OBJECT"], [b"PROTOCOL"], [b"ERROR"], [b"LOG"]) or (
            words[1:] in ([b"SLEEP", b"0"], [b"SET-ACTIVE-EXPIRE", b"0"], [b"SET-ACTIVE-EXPIRE", b"1"]) or
            words[1:3] == [b"POPULATE", b"3"] and words[4:] in ([b"0"], [b"5"], [b"100"]) and _plain(words[3]) or words[1:2] == [b"REPLYBUFFER"])
    if name == b"command":                                      # every server has others
        return len(words) > 1 and words[1].lower() != b"count" and words[2:3] != [b"SYNC"] and (
            words[1].lower() != b"info" or len(words) > 2)
    return True


def _plain(prefix):
    """What redis-server does not cut, to 127 bytes with the number, or at a NUL."""
    return len(prefix) < 100 and b"\0" not in prefix


def _far(words, place, unit, now):
    """No time at this place, or one that is over or far away."""
    when = _integer(words[place]) if place < len(words) else 0
    return when <= now * unit - FAR_SECONDS * unit or when >= (now + FAR_SECONDS) * unit or when <= 0


def _one_meaning(options):
    """Whether HELLO's options mean the same to 7.0, which obeys each as it reads it, and 7.2, which looks at all of
    them first: they are good, or nothing comes before and after the bad one."""
    for place in range(0, len(options), 3):
        if options[place:place + 2] != [b"AUTH", b"default"] or place + 2 == len(options):
            rest = options[place:]
            return rest == [b"SETNAME", b"worker-7"] or place == 0 and (
                len(rest) <= 2 and rest[0].lower() == b"setname" or len(rest) == 3 and rest[0].lower() == b"auth")
    return True


def _integer(word):
    return int(word) if re.fullmatch(rb"-?\d{1,40}", word) else 0
