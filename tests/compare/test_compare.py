"""Larder and a real redis-server reply the same to the same random commands, and COMMAND and CONFIG tell the same."""
import random
import re

import pytest

from compare import compare, differences, grammar, newer, wire
from harness.scale import SEED
from harness.server import RedisServer


def round_rng(number):
    return random.Random(f"{SEED} {number}")


ARGS = ["--enable-debug-command", "yes"]
LARDER_ARGS = ARGS


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    """One that looks often whether a pause is over, and can be reached by a unix socket."""
    directory = tmp_path_factory.mktemp("redisserver")
    server = RedisServer(directory, [*ARGS, "--hz", 500, "--unixsocket", directory / "socket"]).start()
    yield server
    server.stop()


@pytest.fixture
def duel(redis_server, server):
    duel = compare.Duel(redis_server, server)
    yield duel
    duel.close()


@pytest.mark.limit(3600)
def test_same_replies(duel, scale):
    compare.compare(duel, round_rng, scale(small=50_000, normal=300_000, long=10_000_000))


@pytest.mark.limit(3600)
@pytest.mark.parametrize("connects", [(wire.connect_unix, wire.connect_unix), (wire.connect, wire.connect_tls)],
                         ids=["unix", "tls"])
def test_same_replies_by_other_ways(redis_server, start_tls_larder, scale, connects):
    server = start_tls_larder(args=ARGS, config_text="unixsocket socket\n")
    duel = compare.Duel(redis_server, server, connects)
    compare.compare(duel, round_rng, scale(small=10_000, normal=60_000, long=2_000_000))
    duel.close()


# ---- the comparison itself: redis-server with itself, told the truth or not ----------------------------------------
@pytest.fixture
def peer(tmp_path):
    peer = RedisServer(tmp_path, [*ARGS, "--hz", 500]).start()
    yield peer
    peer.stop()


def test_no_difference_to_itself(redis_server, peer):
    compare.compare(compare.Duel(redis_server, peer, alter=bytes), round_rng, 10_000)


@pytest.mark.parametrize("right, wrong", [
    (rb"\$6\r\nGETDEL", b"$3\r\nGET"),            # shows only when somebody looks for the key later
    (rb"\$4\r\nECHO", b"$4\r\nPING"),             # for other types and texts of errors
    (rb"\$6\r\nAPPEND", b"$5\r\nSETNX"),
    (rb"(\*\d\r\n)\$7\r\nPERSIST", compare.MARKER + rb"\1$4\r\nQUIT"),    # a connection that closes
], ids=["GETDEL", "ECHO", "APPEND", "PERSIST"])
def test_differences_are_found_and_shrunk(redis_server, peer, right, wrong):
    """To steps of which none can go. How many that are is chance: a value may have gone through many keys."""
    history = None
    while history is None:          # what a close cuts off is a matter of time, and not always seen a second time
        duel = compare.Duel(redis_server, peer, alter=lambda request: re.sub(right, wrong, request))
        with pytest.raises(compare.Difference) as found:
            compare.compare(duel, round_rng, 100_000)
        history = found.value.history
    needless = [place for place in range(len(history) - 1)
                if all(compare.replay(duel, compare.without(history, [place]), True) for _ in range(3))]
    assert not needless, found.value
    duel.alter = bytes
    assert not compare.replay(duel, history, True), found.value


class Suspect:
    """A Duel for the shrinker alone: its servers differ by the last of the words as soon as differ(words) says so."""

    def __init__(self, differ):
        self.differ, self.words = differ, []

    def reset(self):
        self.words = []

    def play(self, _index, steps):
        for step in steps:
            self.words.append(step.commands[0][0].decode())
            if self.differ(self.words):
                return step.commands[0], (b"+", b"theirs"), (b"+", b"ours")
        return None


@pytest.mark.parametrize("differ, shrunk", [
    (lambda words: words[-1] == "end", "end"),
    (lambda words: {"a", "b", "end"} <= set(words), "a b end"),                                     # apart from each other
    (lambda words: words[-1] == "end" and words.count("a") == words.count("b"), "end"),             # two go, but not one
    (lambda words: words[-1] == "end" and words.count("a") == words.count("b") == words.count("c"), "end"),
    (lambda words: words[-1] == "end" and words.count("a") % 4 == 3, "a a a end"),
])
def test_the_shrinker_leaves_nothing_needless(rng, differ, shrunk):
    words = list("abc") * 3 + [rng.choice("vwxyz") for _ in range(rng.randint(0, 200))]
    rng.shuffle(words)
    history = [(rng.randrange(4), compare.Step([word.encode()])) for word in [*words, "end", "after"]]
    history, (found, place) = compare.shrink(Suspect(differ), history)
    assert sorted(step.commands[0][0].decode() for _, step in history) == shrunk.split()
    assert len({index for index, _ in history}) == 1 and place == len(history) and found[0] == history[-1][1].commands[0]


# ---- what COMMAND says ---------------------------------------------------------------------------------------------
def commands_of(server):
    with server.raw() as raw:
        return {name: told for item in raw.call("COMMAND") for name, told in differences.facts(item).items()}


def test_command_tells_the_same(redis_server, server):
    theirs, ours = commands_of(redis_server), commands_of(server)
    assert {words.split()[1].split("|")[0].lower().encode() for words in grammar.COMMANDS.strip().splitlines()
            if words.split()[1] != "unknown"} <= set(ours)
    wrong = [f"{name.decode()}: {fact}: redis-server {theirs[name][fact]}, Larder {told[fact]}"
             for name, told in ours.items() if name in theirs
             for fact in differences.FACTS if told[fact] != theirs[name][fact] and (name.decode(), fact) not in differences.COMMANDS]
    assert not wrong, "\n".join(wrong)


def test_commands_that_only_larder_has(redis_server, server):
    extra = {name.decode() for name in set(commands_of(server)) - set(commands_of(redis_server))}
    assert {name for name in extra if not name.startswith("cache.") and name not in ("cache",)} == differences.NEWER


def test_command_count_list_and_info_agree(server):
    with server.raw() as raw:
        names = raw.call("COMMAND", "LIST")
        top = [name for name in names if b"|" not in name]
        assert raw.call("COMMAND", "COUNT") == len(top) == len(raw.call("COMMAND")) == len(raw.call("COMMAND", "INFO"))
        assert [item[0] for item in raw.call("COMMAND", "INFO", *names)] == names
        assert [item and item[0] for item in raw.call("COMMAND", "INFO", "nosuch", "gEt")] == [None, b"get"]
        gets = raw.call("COMMAND", "LIST", "FILTERBY", "PATTERN", "get*")
        assert set(gets) == {name for name in names if name.startswith(b"get")}


@pytest.mark.parametrize("category", ["string", "keyspace", "connection", "fast", "dangerous", "write", "read"])
def test_command_list_by_category(redis_server, server, category):
    """Of the commands that both have, both put the same ones into a category."""
    both = set(commands_of(redis_server)) & set(commands_of(server))
    words = ["COMMAND", "LIST", "FILTERBY", "ACLCAT", category]
    theirs, ours = (set(s.raw().call(*words)) for s in (redis_server, server))
    assert theirs & both == ours & both


def test_getkeys_finds_the_same(duel, rng, scale):
    chance = grammar.Grammar(rng)
    duel.reset()
    for _ in range(scale(small=20, normal=100, long=1000)):
        commands = [chance.valid_command() if i % 4 else chance.command() for i in range(100)]
        found = duel.play(0, [compare.Step([b"COMMAND", b"GETKEYS", *words]) for words in commands])
        assert not found, f"{compare.shown(found[0])}\n  redis-server: {found[1]}\n  Larder:       {found[2]}"


@pytest.mark.parametrize("words, keys", [
    (["MSETEX", "2", "a", "1", "b", "2", "NX", "EX", "5"], [b"a", b"b"]),
    (["DELEX", "a", "IFEQ", "x"], [b"a"]), (["DELIFEQ", "a", "x"], [b"a"]), (["DIGEST", "a"], [b"a"])])
def test_getkeys_of_newer_commands(server, words, keys):
    with server.raw() as raw:
        assert raw.call("COMMAND", "GETKEYS", *words) == keys


# ---- what CONFIG says ----------------------------------------------------------------------------------------------
def test_settings_have_the_same_defaults(start_larder, tmp_path):
    plain = RedisServer(tmp_path, ARGS).start()
    theirs, ours = (differences.map_of(s.raw().call("CONFIG", "GET", "*")) for s in (plain, start_larder(args=ARGS)))
    plain.stop()
    wrong = [f"{name.decode()}: redis-server {value}, Larder {ours.get(name)}" for name, value in sorted(theirs.items())
             if ours.get(name) != value and name.decode() not in differences.SETTINGS]
    assert not wrong, "\n".join(wrong)


# ---- time, for Larder alone ----------------------------------------------------------------------------------------
LIVES_10_S = [
    "SET {} v EX 10", "SET {} v PX 10000", "SET {} v EXAT {s}", "SET {} v PXAT {ms}", "SET {} v IFNE w EX 10",
    "SETEX {} 10 v", "PSETEX {} 10000 v", "MSETEX 1 {} v EX 10", "MSETEX 1 {} v PXAT {ms}",
    "GETEX {} EX 10", "GETEX {} PX 10000", "GETEX {} EXAT {s}", "GETEX {} PXAT {ms}",
    "EXPIRE {} 10", "PEXPIRE {} 10000", "EXPIREAT {} {s}", "PEXPIREAT {} {ms}"]


def test_every_way_to_give_a_time(larder, server):
    larder.execute_command("SET", "clock", "v", "PX", 10_000)
    ms = larder.execute_command("PEXPIRETIME", "clock")
    ms = -(-ms // 1000) * 1000                                  # EXAT has whole seconds
    for number, text in enumerate(LIVES_10_S):
        larder.set(f"k{number}", "v")
        larder.execute_command(*text.format(f"k{number}", s=ms // 1000, ms=ms).split())
    keys = [f"k{number}" for number in range(len(LIVES_10_S))]
    server.clock.advance(5000)
    assert [larder.ttl(key) in range(4, 7) for key in keys] == [True] * len(keys)
    assert larder.exists(*keys) == len(keys) == larder.dbsize() - 1
    server.clock.advance(6000)
    assert [LIVES_10_S[i] for i, key in enumerate(keys) if larder.get(key) is not None] == []
    assert larder.keys() == []
    while larder.dbsize():                                      # counts until they are cleared away
        pass


@pytest.mark.parametrize("words", [
    "SET {} w", "GETDEL {}", "GETSET {} w", "MSET {} w", "PERSIST {}", "GETEX {} PERSIST", "DELEX {}"])
def test_what_ends_a_time(larder, server, words):
    larder.execute_command("SET", "k", "v", "EX", 10)
    larder.execute_command(*words.format("k").split())
    assert larder.ttl("k") in (-1, -2)
    larder.setnx("k", "w")
    server.clock.advance(20_000)
    assert larder.get("k") is not None


@pytest.mark.parametrize("words", [
    "APPEND {} 1", "INCR {}", "SETRANGE {} 0 7", "INCRBYFLOAT {} 1.5", "SET {} 3 KEEPTTL", "SET {} 3 IFEQ 1 KEEPTTL",
    "MSETEX 1 {} 3 KEEPTTL", "RENAME {} {}", "EXPIRE {} 100 NX", "EXPIRE {} 5 GT", "EXPIRE {} 500 LT"])
def test_what_leaves_a_time(larder, server, words):
    larder.execute_command("SET", "k", "1", "EX", 10)
    larder.execute_command(*words.format("k", "k").split())
    server.clock.advance(8000)
    assert larder.ttl("k") in (1, 2)
    server.clock.advance(3000)
    assert larder.get("k") is None


def test_a_time_travels_with_its_key(larder, server):
    for key in "abcd":
        larder.execute_command("SET", key, "v", "EX", 10)
    assert larder.rename("a", "a2") and larder.copy("b", "b2") and larder.move("c", 1)
    larder.execute_command("COPY", "d", "d", "DB", "1")
    server.clock.advance(8000)
    assert [larder.ttl(key) in (1, 2) for key in ("a2", "b", "b2", "d")] == [True] * 4
    larder.execute_command("SWAPDB", 0, 1)
    assert [larder.ttl(key) in (1, 2) for key in ("c", "d")] == [True] * 2
    server.clock.advance(3000)
    for database in (1, 0):
        larder.execute_command("SELECT", database)
        assert larder.keys() == []


def test_idle_time(larder, server):
    """What reads or writes a value uses it; what asks about a key does not, nor does a connection that said NO-TOUCH."""
    larder.set("k", "some text", ex=1000)
    server.clock.advance(100_000)
    for ask in (larder.ttl, larder.exists, larder.type, larder.expiretime):
        ask("k")
    with server.client(single_connection_client=True) as quiet:
        assert quiet.execute_command("CLIENT", "NO-TOUCH", "ON") == b"OK" and quiet.get("k") == b"some text"
    assert larder.object("idletime", "k") in range(90, 110)
    for use in (larder.get, larder.touch, larder.strlen, lambda key: larder.append(key, "x")):
        use("k")
        assert larder.object("idletime", "k") in range(0, 10)
        server.clock.advance(100_000)
        assert larder.object("idletime", "k") in range(90, 110)


def test_digest_of_the_model():
    assert newer.digest(b"Hello world") == b"b6acb9d84a38ff74"
    long = b"v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd"
    assert newer.digest(long) == b"00006c38adf31777"
