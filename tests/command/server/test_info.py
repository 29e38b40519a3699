import re

SECTIONS = ["Server", "Clients", "Memory", "Stats", "Replication", "CPU", "Modules", "Cache", "Errorstats", "Keyspace"]


def sections(text):
    return re.findall(r"^# (\w+)\r$", text.removeprefix(b"txt:").decode(), re.MULTILINE)


def test_sections(ask):
    assert sections(ask("INFO")) == sections(ask("INFO default")) == SECTIONS
    assert set(sections(ask("INFO all"))) == set(sections(ask("INFO everything"))) == {*SECTIONS, "Commandstats", "Latencystats", "Workerstats"}
    assert sections(ask("INFO keyspace nosuch SERVER")) == ["Server", "Keyspace"]
    assert ask("INFO nosuch").removeprefix(b"txt:") == b""


def test_the_version_comes_first(server):
    with server.raw() as raw:
        first = next(line for line in raw.call("INFO").splitlines() if b"version:" in line)
        assert first == b"redis_version:7.4.0"


def test_names_are_those_of_redis_or_of_larder(same):
    """What Redis has under a name means the same; names of our own are few and known."""
    def fields(text):
        lines = text.removeprefix(b"txt:").decode().splitlines()
        return {line.split(":")[0] for line in lines if ":" in line and not line.startswith(("cmdstat_", "latency_p", "worker0", "worker1", "errorstat_"))}

    larder, redis = (fields(connection.call("INFO", "everything")) for connection in same.connections)
    cache = fields(same.connections[0].call("INFO", "cache"))
    newer = {"acl_access_denied_auth", "client_query_buffer_limit_disconnections", "client_output_buffer_limit_disconnections", "eventloop_cycles", "eventloop_duration_sum"}  # 7.2
    assert larder - redis - cache - newer == {
        "larder_version", "worker_threads", "larder_io_engine", "timed_out_connections", "turns_long", "slabs_reserved", "slabs_held", "slabs_used",
        "maxmemory_process", "maxmemory_process_human", "maxmemory_effective", "maxmemory_effective_human", "memory_given_back"}


def test_a_worker_shows_what_it_did(start_larder):
    server = start_larder(args=["--threads", 2])
    raws = [server.raw() for _ in range(4)]     # two on each worker
    for raw in raws:
        for _ in range(10):
            raw.call("GET", "k")
        raw.call("INCR", "k", "x")
    info = raws[0].call("INFO", "commandstats", "workerstats", "latencystats").decode()
    assert "cmdstat_get:calls=40," in info and "rejected_calls=4," in info
    assert sorted(re.findall(r"worker(\d)_cmdstat_get:calls=(\d+),usec=.*,failed_calls=0,p50=[\d.]+,p99=[\d.]+,p99.9=[\d.]+\r", info)) == \
        [("0", "20"), ("1", "20")]
    assert re.search(r"latency_percentiles_usec_get:p50=[\d.]+,p99=[\d.]+,p99.9=[\d.]+\r", info)
    assert raws[1].call("CONFIG", "SET", "latency-tracking-info-percentiles", "0 100") == b"OK"
    assert re.search(r"latency_percentiles_usec_get:p0=[\d.]+,p100=[\d.]+\r", raws[0].call("INFO", "latencystats").decode())
    assert raws[2].call("CONFIG", "RESETSTAT") == b"OK"
    assert b"cmdstat_get" not in raws[3].call("INFO", "everything")
    assert raws[2].call("CONFIG", "SET", "latency-tracking", "no") == b"OK"
    raws[0].call("GET", "k")
    info = raws[3].call("INFO", "everything")
    assert b"cmdstat_get:calls=1," in info and b"usec_get" not in info


def test_the_turns_of_a_worker(start_larder):
    """How long each turn of its loop took, until it is set back."""
    server = start_larder(args=["--threads", 2])
    with server.raw() as raw:
        def turns():
            text = raw.call("INFO", "workerstats").decode()
            lines = re.findall(r"worker\d_turns:count=(\d+),usec=(\d+),p50=(\d+),p99=(\d+),p99.9=(\d+),max=(\d+)\r", text)
            assert len(lines) == 2
            return max(tuple(map(int, numbers)) for numbers in lines)       # the worker that has the connection

        for _ in range(1000):
            raw.call("PING")
        count, us, p50, p99, p999, longest = turns()
        assert count >= 1000 and p50 <= p99 <= p999 <= longest <= us
        stats = server.client().info("stats")
        assert stats["eventloop_cycles"] >= 1000 and stats["eventloop_duration_sum"] >= us
        assert raw.call("CONFIG", "RESETSTAT") == b"OK"
        assert turns()[0] < 1000


def test_what_software_reads(larder, server):
    larder.mset({"a": 1, "b": 2})
    larder.set("c", 3, ex=100)
    larder.get("a")
    larder.get("nosuch")
    info = larder.info()
    for name in ("run_id", "uptime_in_days", "connected_clients", "used_memory", "used_memory_human", "used_memory_peak_human",
                 "used_memory_rss", "maxmemory", "maxmemory_policy", "keyspace_hits", "keyspace_misses", "evicted_keys", "expired_keys", "uptime_in_seconds", "role",
                 "connected_slaves", "instantaneous_ops_per_sec", "used_cpu_sys", "mem_fragmentation_ratio", "total_system_memory"):
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
