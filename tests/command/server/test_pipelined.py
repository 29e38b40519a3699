"""Calls of a pipeline that are timed together are counted, and logged as slow, as if they had come one by one."""
import re


def pipeline(raw, *lines):
    raw.send(b"".join(line.encode() + b"\r\n" for line in lines))
    return [raw.read_reply() for _ in lines]


def calls(info):
    return {name.decode(): int(count) for name, count in re.findall(rb"cmdstat_(\w+):calls=(\d+),", info)}


def test_each_call_is_counted_before_the_next_that_looks(server):
    with server.raw() as raw:
        raw.call("CONFIG", "RESETSTAT")
        replies = pipeline(raw, "SET a 1", "SET b 2", "INFO commandstats", "GET a", "GET b", "GET c", "TTL a", "GET a", "INFO commandstats")
        assert calls(replies[2])["set"] == 2
        assert {name: calls(replies[8])[name] for name in ("set", "get", "ttl")} == {"set": 2, "get": 4, "ttl": 1}
        assert replies[3:8] == [b"1", b"2", None, -1, b"1"]


def test_those_that_fail_are_counted_by_themselves(server):
    with server.raw() as raw:
        raw.call("SET", "k", "x")
        raw.call("CONFIG", "RESETSTAT")
        replies = pipeline(raw, "INCR n", "INCR n", "INCR k", "INCR n", "GET", "GET k", "INFO commandstats")
        assert replies[:2] + [replies[3], replies[5]] == [1, 2, 3, b"x"]
        info = replies[6].decode()
        assert re.search(r"cmdstat_incr:calls=4,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=1\r", info)
        assert re.search(r"cmdstat_get:calls=1,usec=\d+,usec_per_call=[\d.]+,rejected_calls=1,failed_calls=0\r", info)


def test_times_add_up(server):
    """The histogram has as many calls as the counter."""
    with server.raw() as raw:
        raw.call("CONFIG", "RESETSTAT")
        pipeline(raw, *[f"SET k{i} v" for i in range(100)])
        histogram = raw.call("LATENCY", "HISTOGRAM", "set")
        fields = histogram[1]
        assert fields[fields.index(b"calls") + 1] == 100
        assert fields[fields.index(b"histogram_usec") + 1][-1] == 100
        assert b"total_commands_processed:102\r" in raw.call("INFO", "stats")


def test_whoever_logs_short_calls_gets_each(server):
    with server.raw() as raw:
        raw.call("SLOWLOG", "RESET")
        pipeline(raw, "GET a", "GET b", "CONFIG SET slowlog-log-slower-than 0", "GET c", "GET d", "GET e", "CONFIG SET slowlog-log-slower-than -1", "GET f")
        assert [entry[3] for entry in raw.call("SLOWLOG", "GET", -1)][::-1] == [
            [b"CONFIG", b"SET", b"slowlog-log-slower-than", b"0"], [b"GET", b"c"], [b"GET", b"d"], [b"GET", b"e"]]


def test_large_arguments_are_timed_alone(server):
    with server.raw() as raw:
        raw.call("CONFIG", "RESETSTAT")
        raw.send(b"".join(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n" % (size, b"v" * size) for size in (10, 10000, 10)))
        assert [raw.read_reply() for _ in range(3)] == [b"OK"] * 3
        assert calls(raw.call("INFO", "commandstats"))["set"] == 3
