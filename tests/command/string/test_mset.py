import pytest


def test_mset(same):
    assert same("MSET a 1 b 2 a 3") == b"OK"
    assert same("MGET a b") == [b"3", b"2"]


def test_msetnx_sets_all_or_nothing(same):
    assert same("MSETNX a 1 b 2") == 1
    assert same("MSETNX c 1 b 2") == 0
    assert same("EXISTS c") == 0
    assert same("MSETNX d 1 d 2") == 1
    assert same("GET d") == b"2"


@pytest.mark.parametrize("line", ["MSET", "MSET a", "MSET a 1 b", "MSETNX a 1 b"])
def test_pairs(same, line):
    assert same.error(line) == f"ERR wrong number of arguments for '{line.split()[0].lower()}' command"


def test_msetex(ask):
    assert ask("MSETEX 2 a 1 b 2 NX EX 100") == 1
    assert ask("TTL a") == 100 and ask("TTL b") == 100
    assert ask("MSETEX 2 a 5 c 6 NX") == 0
    assert ask("MSETEX 2 a 5 c 6 XX") == 0
    assert ask("MGET a b c") == [b"1", b"2", None]
    assert ask("MSETEX 2 a 5 b 6 KEEPTTL XX") == 1
    assert ask("TTL a") == 100
    assert ask("MSETEX 1 a 7") == 1
    assert ask("TTL a") == -1


@pytest.mark.parametrize("line, error", [
    ("MSETEX key1 val1 ex 10", "invalid numkeys value"),
    ("MSETEX 0 k v", "invalid numkeys value"),
    ("MSETEX -1 k v", "invalid numkeys value"),
    ("MSETEX 2147483648 k v EX 10", "invalid numkeys value"),
    ("MSETEX 2147483647 k v EX 10", "wrong number of key-value pairs"),
    ("MSETEX 2 a 1 b", "wrong number of key-value pairs"),
    ("MSETEX 1 a 1 nosuch", "syntax error"),
    ("MSETEX 1 a 1 NX XX", "syntax error"),
    ("MSETEX 1 a 1 EX 10 PX 10", "syntax error"),
    ("MSETEX 1 a 1 KEEPTTL EX 10", "syntax error"),
    ("MSETEX 1 a 1 EX 0", "invalid expire time in 'msetex' command"),
    ("MSETEX 1", "wrong number of arguments for 'msetex' command")])
def test_msetex_refuses(ask, line, error):
    assert ask(line) == f"ERR {error}".encode()
