import pytest


@pytest.mark.parametrize("line", ["LATENCY", "LATENCY nosuch", "LATENCY LATEST", "LATENCY LATEST x", "LATENCY HISTORY", "LATENCY HISTORY command",
                                  "LATENCY HISTORY nosuch", "LATENCY RESET", "LATENCY RESET a b", "LATENCY HISTOGRAM nosuch", "LATENCY DOCTOR x"])
def test_replies(same, line):
    same(line)


def pairs(reply):
    return list(reply if not reply or isinstance(reply[0], tuple) else zip(reply[::2], reply[1::2]))


def test_histogram_counts_what_was_called(same):
    same("CONFIG RESETSTAT")
    for i in range(10):
        same(f"SET k {i}")
    same("CLIENT SETNAME x")
    same("GET")
    for connection in same.connections:
        shown = dict(pairs(connection.call("LATENCY", "HISTOGRAM", "set", "get", "client", "nosuch")))
        assert set(shown) == {b"set", b"client|setname"}
        counts = dict(pairs(shown[b"set"]))
        assert counts[b"calls"] == 10
        buckets = pairs(counts[b"histogram_usec"])
        assert buckets == sorted(buckets) and buckets[-1][1] == 10      # each counts those before it, too
        names = {name for name, _ in pairs(connection.call("LATENCY", "HISTOGRAM"))}
        assert {b"set", b"client|setname", b"config|resetstat", b"latency|histogram"} <= names
