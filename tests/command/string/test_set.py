import pytest

from harness.resp import Error

SYNTAX = "ERR syntax error"


def test_conditions(same):
    assert same("SET k v XX") is None
    assert same("SET k v NX") == b"OK"
    assert same("SET k w NX") is None
    assert same("SET k w XX") == b"OK"
    assert same("GET k") == b"w"


def test_get_answers_the_old_value_whether_or_not_it_is_replaced(same):
    assert same("SET k 1 GET") is None
    assert same("SET k 2 NX GET") == b"1"
    assert same("SET k 3 XX GET") == b"1"
    assert same("SET k 4 GET GET") == b"3"
    assert same("SET other 4 XX GET") is None
    assert same("EXISTS other") == 0


@pytest.mark.parametrize("options", ["NX XX", "EX", "EX 1 PX 1", "EX 10 KEEPTTL", "KEEPTTL PXAT 5", "PERSIST", "nosuch", "GET NX XX", "EXAT"])
def test_options_that_make_no_sense(same, options):
    assert same.error(f"SET k v {options}") == SYNTAX


@pytest.mark.parametrize("time", ["EX 0", "PX -1", "EXAT 0", "PXAT -5", "EX 9223372036854775807", "EXAT 9223372036854775807",
                                  "PX 9223372036854775807", "EX 9223372036854775"])
def test_times_that_cannot_be(same, time):
    same("SET k old")
    assert same.error(f"SET k v {time}") == "ERR invalid expire time in 'set' command"
    assert same("GET k") == b"old"


@pytest.mark.parametrize("time", ["a", "1.5", "''", "' 1'", "+1", "9223372036854775808"])
def test_times_that_are_no_numbers(same, time):
    assert same.error(f"SET k v EX {time}") == "ERR value is not an integer or out of range"


def test_the_same_option_twice_is_no_error(same):
    assert same("SET k v EX 10 EX 200") == b"OK"
    assert same("TTL k") == 200
    assert same("SET k v KEEPTTL KEEPTTL") == b"OK"


def test_keepttl_keeps_and_nothing_else_does(same):
    same("SET k v EXAT 99999999999")
    same("SET k w KEEPTTL")
    assert same("EXPIRETIME k") == 99999999999
    same("SET k w")
    assert same("TTL k") == -1
    same("SET new w KEEPTTL")
    assert same("TTL new") == -1


def test_a_time_that_is_over_leaves_nothing(same):
    same("SET k old")
    assert same("SET k v EXAT 1") == b"OK"
    assert same("GET k") is None
    assert same("DBSIZE") in (0, 1)


def test_setex_psetex_setnx_getset(same):
    assert same("SETEX k 100 v") == b"OK"
    assert same("TTL k") == 100
    assert same("PSETEX k 100000 v") == b"OK"
    assert same.error("SETEX k 0 v") == "ERR invalid expire time in 'setex' command"
    assert same.error("PSETEX k -1 v") == "ERR invalid expire time in 'psetex' command"
    assert same.error("SETEX k a v") == "ERR value is not an integer or out of range"
    assert same("SETNX k w") == 0
    assert same("SETNX l w") == 1
    assert same("GETSET k w") == b"v"
    assert same("TTL k") == -1
    assert same("GETSET new w") is None


@pytest.mark.parametrize("value, encoding", [
    ("0", b"int"), ("-1", b"int"), ("9223372036854775807", b"int"), ("9223372036854775808", b"embstr"), ("-0", b"embstr"),
    ("01", b"embstr"), ("", b"embstr"), ("a" * 44, b"embstr"), ("a" * 45, b"raw")])
def test_encodings(same, value, encoding):
    same("SET", "k", value)
    assert same("OBJECT ENCODING k") == encoding
    assert same("GET k") == value.encode()


def test_bytes_of_any_value(same):
    blob = bytes(range(256)) * 300
    assert same("SET", b"k\0\r\n", blob) == b"OK"
    assert same("GET", b"k\0\r\n") == blob


# ---- compare and set ---------------------------------------------------------------------------------------------------
def test_ifeq_replaces_only_what_is_equal(ask):
    assert ask("SET k v IFEQ a") is None
    assert ask("EXISTS k") == 0
    ask("SET k a")
    assert ask("SET k v IFEQ b") is None
    assert ask("SET k v ifeq a EX 100") == b"OK"
    assert ask("GET k") == b"v" and ask("TTL k") == 100


def test_ifne_also_creates(ask):
    assert ask("SET k a IFNE a") == b"OK"
    assert ask("SET k b IFNE a") is None
    assert ask("SET k b IFNE c GET") == b"a"
    assert ask("GET k") == b"b"


def test_digests_are_compared_without_case(ask):
    ask("SET", "k", "Hello world")
    assert ask("SET k v IFDNE B6ACB9D84A38FF74") is None
    assert ask("SET k v IFDEQ b6acb9d84a38ff75 GET") == b"Hello world"
    assert ask("SET k v IFDEQ B6ACB9D84A38FF74") == b"OK"
    assert ask("SET new v IFDEQ b6acb9d84a38ff74") is None
    assert ask("SET new v IFDNE b6acb9d84a38ff74") == b"OK"


def test_a_digest_has_sixteen_digits_when_there_is_something_to_compare(ask):
    assert ask("SET k v IFDEQ 123") is None
    ask("SET k v")
    for digest in ("123", "''", "0b6acb9d84a38ff74", "b6acb9d84a38ffxx"):
        reply = ask(f"SET k w IFDEQ {digest}")
        assert isinstance(reply, Error) and b"must be exactly 16 hexadecimal characters" in reply
    assert ask("GET k") == b"v"


@pytest.mark.parametrize("options", ["IFEQ", "NX IFEQ a", "IFEQ a XX", "IFEQ a IFNE b", "IFEQ a IFEQ a", "IFDEQ a IFDNE b"])
def test_conditions_exclude_each_other(ask, options):
    assert ask(f"SET k v {options}") == b"ERR syntax error"
