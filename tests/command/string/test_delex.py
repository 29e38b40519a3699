import pytest


def test_delex_without_condition_is_del(ask):
    ask("SET k v")
    assert ask("DELEX k") == 1
    assert ask("DELEX k") == 0


@pytest.mark.parametrize("condition, deleted", [
    ("IFEQ v", 1), ("IFEQ w", 0), ("IFNE v", 0), ("ifne w", 1),
    ("IFDEQ DIGEST", 1), ("IFDEQ 0000000000000000", 0), ("IFDNE DIGEST", 0), ("IFDNE 0000000000000000", 1)])
def test_conditions(ask, condition, deleted):
    assert ask(f"DELEX nosuch {condition}") == 0
    ask("SET k v")
    digest = ask("DIGEST k").decode().upper()
    assert ask(f"DELEX k {condition.replace('DIGEST', digest)}") == deleted
    assert ask("EXISTS k") == 1 - deleted


def test_syntax_before_existence(ask):
    assert ask("DELEX nosuch IFEQ") == b"ERR wrong number of arguments for 'delex' command"
    assert ask("DELEX nosuch IFEQ a b") == b"ERR wrong number of arguments for 'delex' command"
    assert ask("DELEX nosuch EQ a") == b"ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"


def test_digests_have_sixteen_digits(ask):
    ask("SET k v")
    for digest in ("''", "123", "0123456789abcdefg", "0123456789abcdeg"):
        assert b"must be exactly 16 hexadecimal characters" in ask(f"DELEX k IFDEQ {digest}")


def test_delifeq(ask):
    assert ask("DELIFEQ k v") == 0
    ask("SET k v")
    assert ask("DELIFEQ k w") == 0
    assert ask("DELIFEQ k v") == 1
    assert ask("EXISTS k") == 0
