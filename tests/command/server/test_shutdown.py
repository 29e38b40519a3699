import pytest


@pytest.mark.parametrize("line", ["SHUTDOWN now what", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT", "SHUTDOWN ABORT NOW"])
def test_refusals(same, line):
    same.error(line)


@pytest.mark.parametrize("line", ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN NOW", "shutdown nosave now force"])
def test_it_ends_in_order(start_larder, line):
    server = start_larder(args=["--threads", 2])
    others = [server.raw() for _ in range(5)]
    with server.raw() as raw:
        raw.send(line.encode() + b"\r\nPING\r\n")
        raw.expect_closed()
    for other in others:
        other.expect_closed()
        other.close()
    assert server.process.wait(20) == 0


def test_nothing_is_saved_where_nothing_can_be(ask):
    assert ask("SHUTDOWN SAVE").startswith(b"ERR SHUTDOWN SAVE")
