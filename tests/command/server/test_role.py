import pytest


@pytest.mark.parametrize("line", ["ROLE", "ROLE x", "WAIT 0 0", "WAIT -1 0", "WAIT 1 1", "WAIT x 0", "WAIT 0 x", "WAIT 0 -1", "WAIT 0", "TIME x"])
def test_replies(same, line):
    same(line)


def test_time(same):
    times = [[int(part) for part in connection.call("TIME")] for connection in same.connections]
    assert 0 <= times[1][0] - times[0][0] <= 10 and 0 <= times[0][1] < 1000000


def test_lolwut_ends_with_the_version(ask):
    assert b"Larder" in ask("LOLWUT").splitlines()[-1]
    assert ask("LOLWUT VERSION x") == b"ERR value is not an integer or out of range"
    assert ask("LOLWUT VERSION 5 40 10 3 x")
    assert ask("LOLWUT VERSION 6 40 10 x")
    assert ask("LOLWUT VERSION 7 x")
    assert ask("LOLWUT x")
    for words in ("VERSION 5 x", "VERSION 5 1 x", "VERSION 5 1 1 x", "VERSION 6 x", "VERSION 6 1 x", "VERSION 4294967301 x"):
        assert ask("LOLWUT " + words) == b"ERR value is not an integer or out of range"
