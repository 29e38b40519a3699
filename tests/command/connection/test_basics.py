import pytest


@pytest.mark.parametrize("line", ["PING", "PING 'a b'", "PING a b", "ECHO hello", "ECHO", "ECHO a b", "QUIT", "RESET", "RESET x",
                                  "SELECT 15", "SELECT 16", "SELECT -1", "SELECT x", "SELECT 9999999999", "SELECT ''", "SELECT 01"])
def test_replies(same, line):
    same(line)


@pytest.mark.parametrize("line", ["nosuch", "nosuch a 'b c' d", "GET", "GET a b", "CLIENT", "CLIENT nosuch", "CLIENT ID x", "CLIENT GETNAME x",
                                  "COMMAND nosuch", "CONFIG nosuch a", "client|id", "''", "nosuch '" + 300 * "x" + "' y"])
def test_words_of_refusal(same, line):
    assert same.error(line).startswith("ERR ")


def test_unknown_command_with_bytes_that_are_no_text(same):
    assert same(b"nosuch\r\n\xff", b"a\x00b", b"\r\n") == b"ERR unknown command 'nosuch  \xff', with args beginning with: 'a' '  ' "


def test_each_database_has_its_own_keys(same):
    same("SET k zero")
    same("SELECT 1")
    assert same("GET k") is None
    same("SET k one")
    same("SELECT 0")
    assert same("GET k") == b"zero"


def test_reset(same):
    same("SELECT 1")
    same("CLIENT SETNAME me")
    same("RESET")
    assert same("CLIENT GETNAME") is None
    same("SET k v")
    same("SELECT 0")
    assert same("GET k") == b"v"
    same("MGET nosuch")         # RESP2 again


def test_quit_ends_the_connection(server):
    with server.raw() as raw:
        assert raw.call("QUIT") == b"OK"
        raw.expect_closed()


def test_select_holds_for_what_is_pipelined_behind_it(same):
    lines = b"SELECT 1\r\nSET k one\r\nSELECT 0\r\nGET k\r\nSELECT 1\r\nGET k\r\nSELECT 0\r\n"
    for connection in same.connections:
        connection.send(lines)
    replies = [[connection.read_reply() for _ in range(7)] for connection in same.connections]
    assert replies[0] == replies[1] and replies[0][3] is None and replies[0][5] == b"one"
