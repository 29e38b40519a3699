import re

SECTIONS = ["Server", "Clients", "Memory", "Stats", "Cache", "Errorstats", "Keyspace"]


def sections(text):
    return re.findall(r"^# (\w+)\r$", text.removeprefix(b"txt:").decode(), re.MULTILINE)


def test_sections(ask):
    assert sections(ask("INFO")) == sections(ask("INFO default")) == SECTIONS
    assert set(sections(ask("INFO all"))) == set(sections(ask("INFO everything"))) == {*SECTIONS, "Commandstats"}
    assert sections(ask("INFO keyspace nosuch SERVER")) == ["Server", "Keyspace"]
    assert ask("INFO nosuch").removeprefix(b"txt:") == b""


def test_the_version_comes_first(server):
    with server.raw() as raw:
        first = next(line for line in raw.call("INFO").splitlines() if b"version:" in line)
        assert first == b"redis_version:7.4.0"


def test_what_software_reads(larder, server):
    larder.mset({"a": 1, "b": 2})
    larder.set("c", 3, ex=100)
    larder.get("a")
    larder.get("nosuch")
    info = larder.info()
    for name in ("run_id", "uptime_in_days", "connected_clients", "used_memory", "used_memory_human", "used_memory_peak_human",
                 "used_memory_rss", "maxmemory", "maxmemory_policy", "keyspace_hits", "keyspace_misses", "evicted_keys", "expired_keys"):
        assert name in info, name
    assert info["tcp_port"] == server.port and info["process_id"] == server.pid
    assert info["redis_mode"] == "standalone" and info["maxmemory_policy"] == "noeviction"
    assert info["db0"]["keys"] == 3 and info["db0"]["expires"] == 1 and 0 < info["db0"]["avg_ttl"] <= 100000
    assert "db1" not in info


def test_figures_follow_what_happens(larder):
    before = larder.info("everything")
    larder.set("a", "x")
    larder.get("a")
    larder.get("nosuch")
    for command in ("INCR", "a"), ("STRLEN",), ("nosuch",):
        try:
            larder.execute_command(*command)
        except Exception:
            pass
    after = larder.info("everything")

    def grown(name):
        return after[name] - before.get(name, 0)

    def command(name, field):
        return after[f"cmdstat_{name}"][field] - before.get(f"cmdstat_{name}", {}).get(field, 0)

    assert (grown("keyspace_hits"), grown("keyspace_misses")) == (1, 1)
    assert (command("get", "calls"), command("incr", "calls"), command("incr", "failed_calls")) == (2, 1, 1)
    assert command("strlen", "rejected_calls") == 1
    assert grown("total_error_replies") == 3


def test_errors_are_counted_by_prefix(ask):
    def count():
        found = re.search(rb"errorstat_ERR:count=(\d+)", ask("INFO errorstats"))
        return int(found[1]) if found else 0

    before = count()
    ask("nosuch")
    ask("GET")
    assert count() == before + 2
