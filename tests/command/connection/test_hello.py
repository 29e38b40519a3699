import pytest

from harness.resp import Error


def call_both(same, line):
    """The reply of each, for what may differ in the version and the number of the connection."""
    return [connection.call(*line.split()) for connection in same.connections]


@pytest.mark.parametrize("line", ["HELLO", "HELLO 2", "HELLO 3", "hello 3 setname me", "HELLO 3 AUTH default any", "HELLO 2 AUTH default x SETNAME y"])
def test_forms(same, line):
    larder, redis = call_both(same, line)
    assert type(larder) is type(redis)
    pairs = [dict(reply if isinstance(reply, dict) or isinstance(reply[0], tuple) else zip(reply[::2], reply[1::2])) for reply in (larder, redis)]
    for pair in pairs:
        del pair[b"version"], pair[b"id"]
    assert pairs[0] == pairs[1]
    same("CLIENT GETNAME")


@pytest.mark.parametrize("line", ["HELLO 1", "HELLO 4", "HELLO three", "HELLO 3 AUTH a", "HELLO 3 nosuch", "HELLO 3 SETNAME", "HELLO 3 SETNAME 'a b'",
                                  "HELLO 3 AUTH joe x", "HELLO 99999999999999999999"])
def test_refusals_change_nothing(same, line):
    same.error(line)
    same("CLIENT GETNAME")
    same("MGET nosuch")         # in the protocol as before: nil differs


def test_a_client_that_is_not_in(start_larder):
    server = start_larder(config_text="requirepass hush\n")
    with server.raw() as raw:
        assert raw.call("PING") == b"NOAUTH Authentication required."
        assert raw.call("HELLO", 3).startswith(b"NOAUTH HELLO must be called with the client already authenticated")
        assert raw.call("HELLO", 3, "AUTH", "default", "wrong") == b"WRONGPASS invalid username-password pair or user is disabled."
        assert isinstance(raw.call("GET", "k"), Error)
        assert dict(raw.call("HELLO", 3, "AUTH", "default", "hush", "SETNAME", "me"))[b"proto"] == 3
        assert raw.call("CLIENT", "GETNAME") == b"me"
    with server.raw() as raw:
        assert raw.call("AUTH", "hush") == b"OK"
        assert raw.call("PING") == b"PONG"
        assert raw.call("RESET") == b"RESET"
        assert raw.call("PING") == b"NOAUTH Authentication required."


@pytest.mark.parametrize("line", ["AUTH x", "AUTH default x", "AUTH joe x", "AUTH a b c"])
def test_auth_without_a_password(same, line):
    same(line)
