import pytest


def words(row):
    """A row of COMMAND INFO with its sets sorted, since their order means nothing, and without Redis's notes in prose."""
    name, arity, flags, first, last, step, acl, tips, specs, subcommands = row
    specs = [dict(spec if isinstance(spec[0], tuple) else zip(spec[::2], spec[1::2])) for spec in specs]
    for spec in specs:
        spec.pop(b"notes", None)
    return [name, arity, sorted(flags), first, last, step, sorted(acl), sorted(tips), specs]


def test_rows_are_those_of_redis(same):
    larder, redis = (connection.call("COMMAND") for connection in same.connections)
    theirs = {row[0]: row for row in redis}
    common = [row for row in larder if row[0] in theirs]
    assert len(common) > 50
    for row in common:
        assert words(row) == words(theirs[row[0]])
        for sub in row[9]:
            known = [s for s in theirs[row[0]][9] if s[0] == sub[0]]
            assert not known or words(sub) == words(known[0])


@pytest.mark.parametrize("line", ["COMMAND INFO nosuch", "COMMAND COUNT x", "COMMAND LIST FILTERBY", "COMMAND LIST FILTERBY COLOUR red",
                                  "COMMAND LIST FILTERBY ACLCAT nosuch", "COMMAND LIST FILTERBY MODULE nosuch",
                                  "COMMAND LIST FILTERBY PATTERN nosuch*", "COMMAND LIST FILTERBY PATTERN GETDE?",
                                  "COMMAND GETKEYS MSET a 1 b 2", "COMMAND GETKEYS RENAME a b", "COMMAND GETKEYS OBJECT ENCODING k",
                                  "COMMAND GETKEYS nosuch a", "COMMAND GETKEYS GET", "COMMAND GETKEYS GET a b", "COMMAND GETKEYS PING a",
                                  "COMMAND GETKEYS", "COMMAND GETKEYSANDFLAGS SET k v", "COMMAND GETKEYSANDFLAGS nosuch k",
                                  "COMMAND GETKEYSANDFLAGS PING x", "COMMAND GETKEYSANDFLAGS GET", "COMMAND GETKEYSANDFLAGS GET a b", "COMMAND DOCS nosuch"])
def test_replies(same, line):
    same(line)


def test_list_and_count_agree(ask):
    names = ask("COMMAND LIST")
    assert len(names) == len(set(names))
    assert ask("COMMAND COUNT") == len([name for name in names if b"|" not in name]) == len(ask("COMMAND"))


def test_getkeys_of_newer_commands(ask):
    assert ask("COMMAND GETKEYS MSETEX 2 a 1 b 2 EX 10") == [b"a", b"b"]
    assert ask("COMMAND GETKEYS MSETEX x a 1") == b"ERR Invalid arguments specified for command"


@pytest.mark.parametrize("line", ["PUBLISH c m", "SUBSCRIBE c", "MULTI", "EVAL 'return 1' 0", "LPUSH k v"])
def test_what_is_not_there_is_unknown(ask, line):
    assert ask(line).startswith(b"ERR unknown command '%s', with args beginning with: " % line.split()[0].encode())


@pytest.mark.parametrize("line", ["CLIENT GETREDIR", "CLIENT MAINT_NOTIFICATIONS ON", "CLIENT TRACKING ON", "CONFIG NOSUCH"])
def test_subcommands_that_are_not_there(ask, line):
    container, sub = line.split()[:2]
    assert ask(line) == f"ERR unknown subcommand '{sub}'. Try {container} HELP.".encode()


def test_help(ask):
    for container in "CLIENT", "COMMAND", "CONFIG", "LATENCY", "MEMORY", "OBJECT", "SLOWLOG":
        lines = ask(f"{container} HELP")
        assert lines[0].startswith(container.encode()) and lines[-2] == b"HELP"


@pytest.mark.parametrize("line", ["SET k v", "SET k v GET", "GET k", "GETEX k", "MSET a 1 b 2", "RENAME a b", "COPY a b", "DEL a b", "TTL k", "MEMORY USAGE k",
                                  "OBJECT ENCODING k", "INCR k", "APPEND k v"])
def test_getkeysandflags(same, line):
    larder, redis = (connection.call(*f"COMMAND GETKEYSANDFLAGS {line}".split()) for connection in same.connections)
    assert [(key, sorted(flags)) for key, flags in larder] == [(key, sorted(flags)) for key, flags in redis]


def tree(reply):
    """A map under RESP2 or 3 as a dict, without what versions differ in, and the trees below it."""
    fields = dict(reply if not reply or isinstance(reply[0], tuple) else zip(reply[::2], reply[1::2]))
    for name in b"summary", b"complexity", b"display_text", b"history", b"doc_flags", b"deprecated_since", b"replaced_by":
        fields.pop(name, None)
    if b"flags" in fields:
        fields[b"flags"] = sorted(fields[b"flags"])
    if b"arguments" in fields:
        fields[b"arguments"] = [tree(argument) for argument in fields[b"arguments"]]
    return fields


def docs(reply):
    pairs = reply if not reply or isinstance(reply[0], tuple) else zip(reply[::2], reply[1::2])
    found = {}
    for name, doc in pairs:
        fields = tree(doc)
        found.update(docs(fields.pop(b"subcommands", [])))
        found[name] = fields
    return found


# Newer filters and conditions; arguments that the real server of 7.0 does not tell.
MORE = {b"client|kill", b"set", b"command|getkeys", b"command|getkeysandflags"}


def test_docs_are_those_of_redis_in_our_words(same):
    larder, redis = (docs(connection.call("COMMAND", "DOCS")) for connection in same.connections)
    common = [name for name in larder if name in redis and name not in MORE]
    assert len(common) > 90
    for name in common:
        assert larder[name] == redis[name], name


def test_every_command_has_a_summary(ask):
    names = [name for name in ask("COMMAND LIST")]
    reply = ask("COMMAND", "DOCS", *names)
    pairs = list(reply if isinstance(reply[0], tuple) else zip(reply[::2], reply[1::2]))
    assert sorted(name for name, _ in pairs) == sorted(names)
    for name, doc in pairs:
        fields = dict(doc if isinstance(doc[0], tuple) else zip(doc[::2], doc[1::2]))
        assert fields[b"summary"].endswith(b"."), name


def test_docs_of_a_subcommand(ask):
    reply = ask("COMMAND DOCS client|id nosuch GET")
    assert [name for name, _ in (reply if isinstance(reply[0], tuple) else zip(reply[::2], reply[1::2]))] == [b"client|id", b"get"]
