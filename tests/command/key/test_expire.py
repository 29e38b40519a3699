import pytest


def test_conditions_compare_with_the_time_that_is_there(same):
    same("SET k v")
    for line in ("EXPIRE k 100 XX", "EXPIRE k 100 GT", "EXPIRE k 100 NX", "EXPIRE k 200 NX", "EXPIRE k 50 GT", "EXPIRE k 200 GT",
                 "EXPIRE k 300 LT", "EXPIRE k 100 LT", "EXPIRE k 100 XX", "EXPIRE k 300 XX GT", "EXPIRE k 10 XX LT", "PERSIST k",
                 "EXPIRE k 400 GT", "EXPIRE k 400 LT", "PERSIST k", "EXPIRE k 5 nx nx"):
        same(line)
    assert same("TTL k") == 5


@pytest.mark.parametrize("options", ["NX XX", "NX GT", "lt nx", "GT LT", "XX GT LT", "FOO", "XX FOO"])
def test_options_that_make_no_sense(same, options):
    same("SET k v")
    same.error(f"EXPIRE k 10 {options}")
    same.error(f"EXPIRE nosuch notanumber {options}")


@pytest.mark.parametrize("command", ["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"])
def test_numbers(same, command):
    for number in ("", "a", "1.5", "9223372036854775808", "9223372036854775807", "-9223372036854775808", "9223372036854775",
                   "-9223372036854775", "-1", "0", "99999999999"):
        same("SET k v")
        same(command, "k", number)
        same("EXISTS k")
        same(command, "nosuch", number)


def test_a_time_that_is_over_removes_if_the_condition_holds(same):
    same("SET k v")
    assert same("EXPIRE k -1 GT") == 0
    assert same("EXPIRE k 0 XX") == 0
    assert same("EXPIREAT k 1 LT") == 1
    assert same("EXISTS k") == 0


def test_persist(same):
    same("SET k v EX 100")
    assert same("PERSIST k") == 1
    assert same("PERSIST k") == 0
    assert same("PERSIST nosuch") == 0


def test_expired_keys_are_gone_for_all(server, larder):
    larder.mset({f"k{i}": i for i in range(10)})
    for i in range(0, 10, 2):
        larder.pexpire(f"k{i}", 100000)
    server.clock.advance(90000)
    assert larder.dbsize() == 10
    server.clock.advance(10000)
    assert larder.exists("k0") == 0 and larder.get("k2") is None and larder.type("k4") == b"none"
    assert sorted(larder.keys()) == [b"k1", b"k3", b"k5", b"k7", b"k9"]
    assert larder.setnx("k6", "new")
    assert larder.rename("k6", "k8")
