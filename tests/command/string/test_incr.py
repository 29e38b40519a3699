import pytest


def test_whole_numbers(same):
    assert same("INCR n") == 1
    assert same("INCRBY n 41") == 42
    assert same("DECR n") == 41
    assert same("DECRBY n 50") == -9
    assert same("DECRBY n -10") == 1
    assert same("OBJECT ENCODING n") == b"int"


def test_the_time_stays(same):
    same("SET n 1 EXAT 99999999999")
    same("INCR n")
    same("INCRBYFLOAT n 1")
    assert same("EXPIRETIME n") == 99999999999


def test_limits(same):
    same("SET n 9223372036854775807")
    assert same.error("INCR n") == "ERR increment or decrement would overflow"
    assert same.error("DECRBY n -9223372036854775808") == "ERR decrement would overflow"
    same("SET n -9223372036854775808")
    assert same.error("DECR n") == "ERR increment or decrement would overflow"
    assert same("GET n") == b"-9223372036854775808"


@pytest.mark.parametrize("value", ["", "a", " 1", "1 ", "+1", "01", "-0", "1.0", "9223372036854775808"])
def test_what_is_no_whole_number(same, value):
    same("SET", "n", value)
    assert same.error("INCR n") == "ERR value is not an integer or out of range"
    assert same.error("INCRBY", "fresh", value) == "ERR value is not an integer or out of range"


@pytest.mark.parametrize("value, delta, result", [
    ("10", "1", b"11"), ("10.5", "0.1", b"10.6"), ("5.0e3", "200", b"5200"), ("0", "-1e-30", b"0"), ("-0", "0", b"0"),
    ("1e20", "0", b"100000000000000000000"), ("0x10", "1", b"17"), ("3", "-3", b"0"), ("1.1", "1.1", b"2.2")])
def test_incrbyfloat(same, value, delta, result):
    same("SET", "n", value)
    assert same("INCRBYFLOAT", "n", delta) == result
    assert same("GET n") == result
    assert same("OBJECT ENCODING n") == b"embstr"


def test_incrbyfloat_of_large_numbers_is_written_out(same):
    assert len(same("INCRBYFLOAT n 1e4000")) == 4000
    assert same("OBJECT ENCODING n") == b"raw"


@pytest.mark.parametrize("delta", ["a", "", " 1", "nan", "1e99999", "1x"])
def test_incrbyfloat_what_is_no_number(same, delta):
    assert same.error("INCRBYFLOAT", "n", delta) == "ERR value is not a valid float"
    same("SET", "n", delta)
    assert same.error("INCRBYFLOAT n 1") == "ERR value is not a valid float"


def test_incrbyfloat_beyond_all_numbers(same):
    assert same.error("INCRBYFLOAT n inf") == "ERR increment would produce NaN or Infinity"
    assert same("EXISTS n") == 0
