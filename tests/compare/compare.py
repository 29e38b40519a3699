"""Plays random commands to two servers, compares the replies, and shrinks what led to a difference.

    theirs, ours    the real server's and Larder's: commands, replies
    Step            one command for each server, or a few that belong together
    batch           steps that leave in one write on one connection of each server; ends by ECHO of a token
    pair            a connection to each server. Commands may name one (grammar.Named): each server is told what it calls
                    its own. Whoever is closed is opened anew, and must have been closed by both.
    round           batches since both servers were emptied, on PAIRS connections of each in turn; ends by a look at
                    everything that is stored. A difference is replayed from the beginning of its round.
"""
import itertools
import math
import os
import re
import time

from . import differences, grammar, newer, wire

PAIRS = 4
ROUND_COMMANDS = 5000
BATCHES = (1, 1, 2, 5, 20, 100, 300, 500)
MARKER = wire.encode([b"CLIENT", b"REPLY", b"ON"])
CLOSED = (b"closed", b"")
SHOW_BYTES = 200
TOGETHER = 3                # as many steps are left out at once, wherever they stand,
TRIES = 1000                # of a history short enough that these are all ways to do so


class Step:
    def __init__(self, *commands, theirs=None, inline=False):
        self.commands = commands
        self.theirs = commands if theirs is None else (theirs,)
        self.inline = inline and theirs is None
        self.closes = commands[-1][0].lower() == b"quit"
        self.closes_others = any([word.lower() for word in words[:2]] == [b"client", b"kill"] for words in commands)

    def request(self, side, names):
        """The bytes for the real server (side 0) or Larder (1), whose connections have these names."""
        encode = wire.encode_inline if self.inline else wire.encode
        return b"".join([encode([names.get(word, word) if isinstance(word, grammar.Named) else word for word in words])
                         for words in (self.theirs, self.commands)[side]])


class Difference(AssertionError):
    """Two replies differ; the text says by which commands. history: the (index, step) pairs that it was shrunk to;
    None when it was not seen again."""

    def __init__(self, text, history):
        super().__init__(text)
        self.history = history


class Duel:
    """Two servers with connections to both. connects: how each is reached; alter(bytes): what the second one gets
    instead of what the first one gets, for the test of the test."""

    def __init__(self, theirs, ours, connects=(wire.connect, wire.connect), alter=None):
        self.servers, self.connects, self.alter = (theirs, ours), connects, alter
        self.pairs = []
        self.names = {}, {}     # of each server: grammar.Named to what it calls this connection
        self.slack = 0          # ms that may lie between two moments at one server and the same two at the other

    def reset(self):
        """Both servers empty, all connections new."""
        self.close()
        self.slack = 0
        for server in self.servers:
            if server.process.poll() is not None:
                server.kill()
                server.start()
        self.pairs = [None] * PAIRS
        settings = [word for pair in grammar.DEFAULTS.items() for word in pair]
        self.play(0, [Step(words) for words in (
            [b"CLIENT", b"KILL", b"TYPE", b"normal"],           # those of before may not all have been noticed to be closed
            [b"FLUSHALL"], [b"CONFIG", b"SET", *settings], [b"CONFIG", b"RESETSTAT"], [b"SLOWLOG", b"RESET"],
            [b"DEBUG", b"SET-ACTIVE-EXPIRE", b"1"])])
        for index in range(PAIRS):
            self.play(index, [])        # now connected, in this order

    def close(self):
        for pair in filter(None, self.pairs):
            for connection in pair:
                connection.close()
        self.pairs = []

    def connect(self, index):
        self.pairs[index] = [connect(server) for connect, server in zip(self.connects, self.servers)]
        ids = wire.exchange(self.pairs[index], [wire.encode([b"CLIENT", b"ID"])] * 2, b"\r\n")
        for names, connection, number in zip(self.names, self.pairs[index], ids):
            names[grammar.Named("id", index)] = number[1:-2]
            names[grammar.Named("address", index)] = wire.address(connection.getsockname(), connection.getpeername())
            names[grammar.Named("server's address", index)] = wire.address(connection.getpeername())

    def play(self, index, steps):
        """One batch. Returns None, or (words, theirs, ours) of the first command with different replies."""
        for piece in pieces(steps):
            found = self.play_piece(index, piece)
            if not found and piece and piece[0].closes_others:
                others = [i for i, pair in enumerate(self.pairs) if pair and i != index]
                found = next(filter(None, (self.play_piece(i, []) for i in others)), None)
            if found:
                return found
        return None

    def play_piece(self, index, steps):
        if not self.pairs[index]:
            self.connect(index)
        token = os.urandom(8).hex().encode()
        closes = bool(steps) and steps[-1].closes
        tail = b"" if closes else MARKER + wire.encode([b"ECHO", token])
        sides = (0, 0 if self.alter else 1)
        requests = [b"".join([step.request(side, names) for step in steps]) + tail
                    for side, names in zip(sides, self.names)]
        if self.alter:
            requests[1] = self.alter(requests[1])
        end = b"$%d\r\n%b\r\n" % (len(token), token)
        began = time.monotonic()
        theirs, ours = wire.exchange(self.pairs[index], requests, end)
        self.slack = max(self.slack, 2 * 1000 * (time.monotonic() - began))
        if closes or not theirs.endswith(end) or not ours.endswith(end):
            for connection in self.pairs[index]:
                connection.close()
            self.pairs[index] = None
        if theirs == ours:
            return None
        answered = answered_commands([words for step in steps for words in step.commands])
        answered += [[b"CLIENT", b"REPLY", b"ON"], [b"ECHO", token]]
        return first_difference(answered, replies(theirs), replies(ours), self.slack)


def pieces(steps):
    """A batch in parts: what may close connections goes by itself, since a server that closes one before it has read
    everything takes away the replies that are on their way."""
    found = [[]]
    for step in steps:
        if found[-1] and (step.closes_others or found[-1][0].closes_others):
            found.append([])
        found[-1].append(step)
    return found


def replies(data):
    """What came, and after it an endless nothing."""
    try:
        return wire.parse(data) + [CLOSED]
    except (ValueError, IndexError) as fault:
        return [(b"not RESP", str(fault).encode() + b": " + data[-300:])]


def answered_commands(commands):
    """Those of a batch that get a reply, as CLIENT REPLY decides."""
    answered, off, skip = [], False, False
    for words in commands:
        mode = words[2].upper() if len(words) == 3 and [w.upper() for w in words[:2]] == [b"CLIENT", b"REPLY"] else b""
        skip_next = False
        if mode == b"ON":
            off = skip = False
        elif words[0].upper() == b"RESET" and len(words) == 1:
            off = False
        elif mode == b"OFF":
            off = True
        elif mode == b"SKIP":
            skip_next = not off
        if not (off or skip or skip_next):
            answered.append(words)
        skip = skip_next
    return answered


def first_difference(commands, theirs, ours, slack):
    for place, words in enumerate(commands):
        a, b = (side[min(place, len(side) - 1)] for side in (theirs, ours))
        if a != b and not differences.accepted(words, a, b, slack):
            return words, a, b
    if len(theirs) != len(ours):
        return [b"(after the last command)"], theirs[-2], ours[-2]
    return None


# ---- what is played ------------------------------------------------------------------------------------------------
def random_steps(rng):
    """Endless random steps."""
    chance = grammar.Grammar(rng)
    while True:
        kind = rng.random()
        if kind < 0.06:
            words, theirs = newer.pair(chance)
            yield Step(words, theirs=theirs)
        elif kind < 0.062:
            yield counted_step(chance)
        else:
            yield step_of(chance.command(), inline=kind > 0.97)


def step_of(words, inline=False):
    if words[0].lower() == b"dbsize":
        # What is over goes when it is met, unless there is a pause; DBSIZE meets nothing.
        return Step([b"CLIENT", b"UNPAUSE"], [b"TOUCH", *grammar.KEYS], words)
    if words[0].lower() == b"quit" or [word.lower() for word in words[:2]] == [b"client", b"kill"]:
        return Step([b"CLIENT", b"REPLY", b"ON"], words)        # without a reply to wait for, redis-server never closes
    return Step(words, inline=inline and sum(map(len, words)) < 10_000)


def counted_step(chance):
    """Some commands that both servers have, and how both have counted them, and perhaps logged."""
    asked = [step_of(chance.command()) for _ in range(chance.rng.randint(1, 25))]
    asked = [words for step in asked if not step.closes and not step.closes_others for words in step.commands
             if not any(isinstance(word, grammar.Named) for word in words)
             and words[0].lower() != b"wait"]                   # redis-server neither times nor logs who has waited
    if chance.rng.random() < 0.5:
        log_on, log_off = ([b"CONFIG", b"SET", b"slowlog-log-slower-than", limit] for limit in (b"0", b"-1"))
        asked = [[b"SLOWLOG", b"RESET"], log_on, *asked, [b"SLOWLOG", b"GET", b"-1"], [b"SLOWLOG", b"LEN"], log_off]
    return Step([b"CONFIG", b"RESETSTAT"], *asked, [b"CLIENT", b"REPLY", b"ON"],
                [b"INFO", b"commandstats"], [b"INFO", b"errorstats"], [b"LATENCY", b"HISTOGRAM"])


def state_steps():
    """A look at everything that the grammar's keys hold."""
    for database in grammar.DATABASES:
        yield Step([b"SELECT", b"%d" % database])
        for key in grammar.KEYS + grammar.LONG_KEYS:
            for words in ([b"TYPE"], [b"PEXPIRETIME"], [b"GET"], [b"OBJECT", b"ENCODING"]):
                yield Step([*words, key])
        yield Step([b"KEYS", b"*"])


def compare(duel, make_rng, commands, show=print):
    """Plays so many random commands, in rounds of rng = make_rng(number). Raises Difference with the shrunk story."""
    played = number = 0
    while played < commands:
        rng = make_rng(number)
        duel.reset()
        history, steps = [], random_steps(rng)
        while len(history) < ROUND_COMMANDS:
            index, batch = rng.randrange(PAIRS), []
            for _ in range(rng.choice(BATCHES)):
                batch.append(next(steps))
                if batch[-1].closes:
                    break
            history += [(index, step) for step in batch]
            if found := duel.play(index, batch):
                raise difference(duel, history, number, found, witness(duel, index, found[0]))
        look = [(0, Step([b"HELLO", b"2"]))] + [(0, step) for step in state_steps()]
        if found := duel.play(0, [step for _, step in look]):
            raise difference(duel, history + look, number, found, witness(duel, 0, found[0]))
        played += len(history)
        number += 1
    duel.close()
    show(f"{played} commands in {number} rounds")


# ---- shrinking -----------------------------------------------------------------------------------------------------
def replay(duel, history, one_by_one):
    """Plays (index, step) pairs from an empty start. Returns the difference and how many of them it took, or None."""
    duel.reset()
    place = 0
    while place < len(history):
        index, end = history[place][0], place + 1
        while not (one_by_one or end == len(history) or history[end][0] != index or history[end - 1][1].closes):
            end += 1
        found = duel.play(index, [step for _, step in history[place:end]])
        if found:
            return found, end
        place = end
    return None


def shrink(duel, history):
    """The shortest history found that still ends in a difference, and that; (history, None) when there is none.
    Commands are played one by one, or in batches as long as possible if it does not show otherwise."""
    for one_by_one in (True, False):
        if found := replay(duel, history, one_by_one):
            break
    else:
        return history, None
    history, found = leave_out_parts(duel, history[:found[1]], found, one_by_one)
    if len({index for index, _ in history}) > 1:                # on one connection, if it shows there, too
        single = [(0, step) for _, step in history]
        if again := replay(duel, single, one_by_one):
            history, found = single[:again[1]], again
    return leave_out_few(duel, history, found, one_by_one)


def leave_out_parts(duel, history, found, one_by_one):
    """Without neighbours, ever fewer, as long as that goes."""
    part = len(history) // 2
    while part:
        end = len(history) - 1                                  # the last one shows the difference and stays
        while end > 0:
            shorter = history[:max(0, end - part)] + history[end:]
            if again := replay(duel, shorter, one_by_one):
                history, found = shorter[:again[1]], again
            end = min(end - part, len(history) - 1)
        part //= 2
    return history, found


def leave_out_few(duel, history, found, one_by_one):
    """Without one, or two or three that can only go together (a SELECT and the SWAPDB that makes up for it): afterwards
    each that is left is needed, and any so many."""
    tries = few(history)
    while places := next(tries, None):
        shorter = without(history, places)
        if again := replay(duel, shorter, one_by_one):
            history, found = shorter[:again[1]], again
            tries = few(history)
    return history, found


def few(history):
    """The places to leave out at once: each one, each two, each three, as far as all of that is a matter of TRIES."""
    places = range(len(history) - 1)
    sizes = [size for size in range(1, TOGETHER + 1) if size == 1 or math.comb(len(places), size) <= TRIES]
    return itertools.chain.from_iterable(itertools.combinations(places, size) for size in sizes)


def without(history, places):
    return [one for place, one in enumerate(history) if place not in places]


def witness(duel, index, words):
    """What both servers say right now, should it not be seen again: lines about the keys that the command names, and
    whether time or memory has taken any."""
    if not duel.pairs[index]:
        return ["  the connection was closed"]
    asked = [[b"CLIENT", b"REPLY", b"ON"], [b"HELLO", b"2"]]
    asked += [[*look, key] for key in words[1:] if key in grammar.KEYS + grammar.LONG_KEYS
              for look in ([b"GET"], [b"PEXPIRETIME"], [b"DEBUG", b"OBJECT"])]
    asked += [[b"CLIENT", b"LIST"], [b"INFO", b"everything"], [b"ECHO", b"witnessed"]]
    request = b"".join(map(wire.encode, asked))
    sides = [replies(said) for said in wire.exchange(duel.pairs[index], [request] * 2, b"$9\r\nwitnessed\r\n")]
    return [f"  {shown(question)}: redis-server {told_fact(a)}, Larder {told_fact(b)}"
            for question, a, b in list(zip(asked, *sides))[2:-1]]


TOLD = re.compile(rb"^(?:expired_keys|evicted_keys|used_memory|maxmemory|maxmemory_policy|blocked_clients|uptime_in_seconds):.*$", re.M)


def told_fact(reply):
    return [fact.strip().decode() for fact in TOLD.findall(reply[1])] if reply[1] and b"evicted_keys:" in reply[1] else reply_text(reply)


def difference(duel, history, number, first, witnessed):
    """The Difference to raise for what a round has shown first."""
    shorter, found = shrink(duel, history)
    lines, shrunk = [f"round {number}: {len(history)} commands, shrunk to {len(shorter)}"], shorter
    if not found:
        lines, shrunk = [f"round {number}: not seen again when replayed"], None
        shorter, found = history[-20:], [first]
        lines += ["said right after it:", *witnessed, "the last commands:"]
    words, theirs, ours = found[0]
    return Difference("\n".join(lines + [line(*one) for one in shorter] + [
        f"replies to {shown(words)}", f"  redis-server: {reply_text(theirs)}", f"  Larder:       {reply_text(ours)}"]), shrunk)


def line(index, step):
    return "\n".join(f"{index}> {shown(words)}" for words in step.commands)


def shown(words):
    """As redis-cli takes it."""
    return " ".join(
        word.decode() if word.isalnum() and len(word) < 40 else
        '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in word[:SHOW_BYTES]) + '"' +
        (f"...{len(word)} bytes" if len(word) > SHOW_BYTES else "") for word in words)


def reply_text(reply):
    text = f"{reply[0].decode()} {reply[1]!r}"
    return text if len(text) < 2000 else text[:1000] + " ... " + text[-1000:]
