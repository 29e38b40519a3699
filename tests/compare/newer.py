"""Commands newer than the oracle: redis-server 7.0 runs a Lua script that does what they should do.

So they take part in the random comparison like any other: what they leave behind is seen by all later commands. A form
that must fail has a script that fails with those words.
"""
import ctypes
import ctypes.util

_xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash"))
_xxhash.XXH3_64bits.restype = ctypes.c_uint64
_xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]

SET_IF = b"""
    local old = redis.call('GET', KEYS[1])
    local met = (ARGV[1] == 'EQ') == (old == ARGV[2])
    if met then redis.call('SET', KEYS[1], ARGV[4], unpack(ARGV, 5)) end
    if ARGV[3] == 'GET' then return old end
    return met and {ok = 'OK'}"""
DEL_IF = b"""
    local met = (ARGV[1] == 'EQ') == (redis.call('GET', KEYS[1]) == ARGV[2])
    return met and redis.call('DEL', KEYS[1]) or 0"""
MSETEX = b"""
    local found = redis.call('EXISTS', unpack(KEYS))
    if ARGV[1] == 'NX' and found > 0 or ARGV[1] == 'XX' and found < #KEYS then return 0 end
    for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1 + i], unpack(ARGV, 2 + #KEYS)) end
    return 1"""
SAY = b"return {[ARGV[1]] = ARGV[2]}"
NO_VALUE = b"no key has this value"
SYNTAX = b"ERR syntax error"


def digest(value):
    return b"%016x" % _xxhash.XXH3_64bits(value, len(value))


def pair(chance):
    """(words for Larder, words for redis-server) of one newer command; `chance` is a grammar.Grammar."""
    return chance.rng.choice([_set_if, _set_if, _delex, _delex, _delifeq, _digest, _msetex, _msetex, _client])(chance)


def _eval(script, keys, *arguments):
    return [b"EVAL", script, b"%d" % len(keys), *keys, *arguments]


def _say(kind, text):
    return _eval(SAY, [], kind, text)


def _arity(name):
    return _say(b"err", b"ERR wrong number of arguments for '%b' command" % name)


def _condition(chance):
    """(the option's words, the same for the scripts)"""
    value = chance.draw_value()
    word = chance.rng.choice((b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"))
    meant = [word[-2:], value]
    if word.startswith(b"IFD"):
        value = digest(value)
        if chance.rng.random() < 0.2:
            value, meant[1] = b"0123456789abcdef", NO_VALUE
        value = chance.rng.choice((value, value.upper()))
    return [chance.rng.choice((word, word.lower())), value], meant


def _set_if(chance):
    rng, key, value = chance.rng, chance.draw_key(), chance.draw_value()
    option, meant = _condition(chance)
    expiry = chance.rng.choice([[], [], [b"KEEPTTL"], [b"EX", chance.draw_seconds()], [b"PXAT", b"%d" % (4 * 10**12)]])
    get = rng.choice(([], [], [b"GET"]))
    options = [option, expiry, get]
    rng.shuffle(options)
    words = [b"SET", key, value, *options[0], *options[1], *options[2]]
    if rng.random() < 0.2:
        other = b"IFNE" if option[0].upper() == b"IFEQ" else b"IFEQ"
        return words + rng.choice(([b"NX"], [b"XX"], [other, value], [b"IFEQ"], [b"IFGT", b"1"])), _say(b"err", SYNTAX)
    if expiry[:1] == [b"EX"] and not 0 < int(expiry[1]) < 2**60:
        return words, _say(b"err", b"ERR invalid expire time in 'set' command")
    return words, _eval(SET_IF, [key], *meant, b"".join(get), value, *expiry)


def _delex(chance):
    rng, key = chance.rng, chance.draw_key()
    option, meant = _condition(chance)
    kind = rng.random()
    if kind < 0.2:
        return [b"DELEX", key], [b"DEL", key]
    if kind < 0.25:
        return [b"DELEX"], _arity(b"delex")
    if kind < 0.35:
        return [b"DELEX", key, b"NOT", b"1"], _say(b"err", b"ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")
    return [b"DELEX", key, *option], _eval(DEL_IF, [key], *meant)


def _delifeq(chance):
    key, value = chance.draw_key(), chance.draw_value()
    if chance.rng.random() < 0.1:
        return [b"DELIFEQ", key], _arity(b"delifeq")
    return [b"DELIFEQ", key, value], _eval(DEL_IF, [key], b"EQ", value)


def _digest(chance):
    """Compared by differences.py: the digest of what GET answers."""
    if chance.rng.random() < 0.1:
        return [b"DIGEST"], _arity(b"digest")
    key = chance.draw_key()
    return [b"DIGEST", key], [b"GET", key]


def _msetex(chance):
    rng = chance.rng
    pairs = [chance.draw_pair() for _ in range(rng.randint(1, 4))]
    keys, values = [p[0] for p in pairs], [p[1] for p in pairs]
    condition = rng.choice(([], [], [b"NX"], [b"XX"]))
    seconds = b"%d" % rng.randrange(10**8, 10**9)
    expiry = rng.choice(([], [b"KEEPTTL"], [b"EX", seconds], [b"PXAT", b"%d" % (4 * 10**12)]))
    tail = condition + expiry if rng.random() < 0.5 else expiry + condition
    words = [b"MSETEX", b"%d" % len(pairs), *(word for p in pairs for word in p), *tail]
    kind = rng.random()
    if kind < 0.1:
        return words + [b"NX", b"XX"], _say(b"err", SYNTAX)
    if kind < 0.15:
        return [b"MSETEX", b"1", b"k1"], _arity(b"msetex")
    if kind < 0.18:
        words[1] = rng.choice((b"0", b"-1", b"x"))
        return words, _say(b"err", b"ERR invalid numkeys value")
    if kind < 0.2:
        words[1] = b"9999"
        return words, _say(b"err", b"ERR wrong number of key-value pairs")
    if kind < 0.23:
        return words[:2 + 2 * len(pairs)] + [b"PX", b"0"], _say(b"err", b"ERR invalid expire time in 'msetex' command")
    return words, _eval(MSETEX, keys, b"".join(condition), *values, *expiry)


def _client(chance):
    rng = chance.rng
    option = rng.choice((b"LIB-NAME", b"LIB-VER", b"lib-name"))
    return rng.choice([
        ([b"CLIENT", b"SETINFO", option, b"redis-py(django_v6.1)"], _say(b"ok", b"OK")),
        ([b"CLIENT", b"SETINFO", option, b"has space"],
         _say(b"err", b"ERR %b cannot contain spaces, newlines or special characters." % option)),
        ([b"CLIENT", b"SETINFO", b"LIB-SIZE", b"1"], _say(b"err", b"ERR Unrecognized option 'LIB-SIZE'")),
        ([b"CLIENT", b"SETINFO", option], _arity(b"client|setinfo")),
        ([b"CLIENT", b"NO-TOUCH", rng.choice((b"ON", b"off"))], _say(b"ok", b"OK")),
        ([b"CLIENT", b"NO-TOUCH", b"maybe"], _say(b"err", SYNTAX)),
    ])
