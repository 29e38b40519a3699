"""An application that reads a table by key: PostgreSQL alone, redis-server with cache-aside in the application, Larder's rule: `./dev bench readthrough [--quick]`.

A private PostgreSQL with a table of 20,000 rows; bench/app.c is the application. Each turn: the cache is filled with every row, the clients read by Zipf's
law, at a given second the cache is emptied under them. The ways take turns, so that what else the machine does meets all alike; medians of the turns.

Queries are counted by PostgreSQL itself. It logs each statement of the role `counted` with its time and its parameter, before it runs it: so there is
one line a query, with the key. The cache was full and nothing in it expires, so every query of the turn itself belongs to the emptying. To write a line costs
PostgreSQL time; so a turn of a cache has two runs, one as a role that is not logged, whose latencies are shown, and one that is counted. The log and the application's
count are held against PostgreSQL's statistics of the table, which must agree. Writes bench/results/readthrough.md and .svg; exits 1 when a demanded number is missed.
"""
import collections
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import ROOT, Larder, Redis
from report import Demands, finish, lines, table, write_results

sys.path.insert(0, str(ROOT / "tests"))
from harness.postgres import Postgres  # noqa: E402: the tests' private cluster, found by the line above

QUICK = "--quick" in sys.argv
ROUNDS, SECONDS, EMPTY_AT = (1, 6, 3) if QUICK else (3, 10, 4)
ROWS, CLIENTS, CONNECTIONS = 20_000, 32, 8
LAST = SECONDS - EMPTY_AT       # seconds that are looked at after the emptying
RECOVERED = 1.5                 # p99 of a second, of that before the emptying
ALL_CORES = ",".join(map(str, sorted(os.sched_getaffinity(0))))
LOGGED = re.compile(rb"^(\d+\.\d+) DETAIL:  parameters: \$1 = '(\d+)'", re.MULTILINE)

TABLE = f"""
    CREATE TABLE item (id int PRIMARY KEY, value text NOT NULL);
    INSERT INTO item SELECT i, 'item:' || lpad(i::text, 12, '0') || ':' || repeat(chr(97 + i % 26), 238) FROM generate_series(1, {ROWS}) i;
    VACUUM ANALYZE item;
    CREATE ROLE plain LOGIN; CREATE ROLE counted LOGIN;
    ALTER ROLE counted SET log_statement = 'all';
    GRANT SELECT ON item TO plain, counted"""

RULE = """
source base {{
    postgres "{url}"
    connections {connections}
}}

rule item:{{id}} {{
    source base
    load "SELECT value FROM item WHERE id = {{id}}"
    ttl 5m
}}
"""

Turn = collections.namedtuple("Turn", "before seconds emptying_ms reads queries keys_after")
Turn.__doc__ = """What a turn showed. before: latencies of the seconds before the emptying, but the first; seconds: requests and latencies of each second; emptying_ms: how long
FLUSHALL took. Of the run that is counted: reads of each second; queries: those that reached the database in each second; keys_after: key -> queries after the emptying."""


class Database:
    """The table, and what PostgreSQL has counted."""

    def __init__(self):
        self.postgres = Postgres(settings={"max_connections": 100, "log_line_prefix": "%n "})
        self.psql = self.postgres.make("bench")
        for statement in TABLE.split(";"):
            self.psql(statement)
        self.psql("SELECT pg_stat_force_next_flush()")      # or this session hands in the scan that built the index a second later, among others' queries
        self.url = {role: self.postgres.url("bench", user=role) for role in ("plain", "counted")}

    def scans(self):
        """Look-ups in the table since it was made. A connection hands in its figures when it ends, so all must have ended."""
        deadline = time.monotonic() + 20
        while self.psql.value("SELECT count(*) FROM pg_stat_activity WHERE usename IN ('plain', 'counted')") != "0":
            if time.monotonic() > deadline:
                raise SystemExit("readthrough: a connection to PostgreSQL does not end")
            time.sleep(0.05)
        return int(self.psql.value("SELECT coalesce(idx_scan, 0) + seq_scan FROM pg_stat_user_tables WHERE relname = 'item'"))

    def log_bytes(self):
        return (self.postgres.dir / "log").stat().st_size

    def logged(self, since):
        """[(Unix time, key)] of the queries of `counted`, from that byte of the log on."""
        with open(self.postgres.dir / "log", "rb") as log:
            log.seek(since)
            return [(float(at), int(key)) for at, key in LOGGED.findall(log.read())]

    def end(self):
        self.postgres.remove()


def app(*arguments):
    command = [ROOT / "build/bench/app", "--keys", ROWS, "--clients", CLIENTS, "--seconds", SECONDS, "--empty-at", EMPTY_AT, *arguments]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise SystemExit(f"readthrough: {done.stderr.strip()}")
    return json.loads(done.stdout) if done.stdout else None


def agree(what, one, other, slack=0):
    if not 0 <= one - other <= slack:
        raise SystemExit(f"readthrough: two counts of the same queries differ: {what}: {one} and {other}")


def turn_alone(database):
    arguments = ("--way", "pg", "--postgres", database.url["plain"])
    app(*arguments, "--fill")                       # here that warms PostgreSQL's own cache
    before = database.scans()
    shown = app(*arguments)
    queries = [second["queries"] for second in shown["seconds"]]
    agree("statistics and application", database.scans() - before, sum(queries), slack=CLIENTS)     # a client's last query may end after the end
    return Turn(shown["before"], shown["seconds"], 0, requests_of(shown), queries, {})


def requests_of(shown):
    return [second["requests"] for second in shown["seconds"]]


def run_cached(database, peer, way, role):
    """What the application showed, and where the log was when the cache was full."""
    arguments = ("--way", way, "--port", peer.port, "--postgres", database.url[role])
    with peer:
        app(*arguments, "--fill")
        filled = database.log_bytes()
        return app(*arguments), filled


def turn_cached(database, start, way):
    """start(role) -> the cache, freshly started, which loads as that role."""
    timed, _ = run_cached(database, start("plain"), way, "plain")
    scans, began = database.scans(), database.log_bytes()
    shown, filled = run_cached(database, start("counted"), way, "counted")
    agree("statistics and log", database.scans() - scans, len(database.logged(began)))
    queries, keys = [0] * SECONDS, collections.Counter()
    for at, key in database.logged(filled):
        second = int(at - shown["began"])
        if second < SECONDS:
            queries[second] += 1
        keys[key] += 1
    if sum(queries[:EMPTY_AT]):
        raise SystemExit(f"readthrough: the cache was full, and yet {sum(queries[:EMPTY_AT])} queries came before it was emptied: {way}")
    return Turn(timed["before"], timed["seconds"], (timed["emptying_answered"] - timed["emptying_sent"]) * 1000, requests_of(shown), queries, keys)


def measure(database, directory):
    """{way: [Turn]}"""
    configs = {role: Path(directory) / f"{role}.conf" for role in database.url}
    for role, config in configs.items():
        config.write_text(RULE.format(url=database.url[role], connections=CONNECTIONS))
    ways = {
        "PostgreSQL alone": lambda: turn_alone(database),
        "redis-server, cache-aside": lambda: turn_cached(database, lambda _: Redis(cores=ALL_CORES), "aside"),
        "Larder, rule": lambda: turn_cached(database, lambda role: Larder(cores=ALL_CORES, config=configs[role]), "rule"),
    }
    turns = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, take in ways.items():
            turn = take()
            turns[way].append(turn)
            per_second = " ".join(f"{second['requests']}/{second['p99_us'] / 1000:.1f}/{queries}" for second, queries in zip(turn.seconds, turn.queries))
            print(f"{way}: reads/p99 ms/queries of each second: {per_second}; most of one key {most_of_one_key(turn)}", flush=True)
    return turns


def most_of_one_key(turn):
    return max(turn.keys_after.values(), default=0)


def median(turns, of):
    return statistics.median(map(of, turns))


def after(number, what):
    """What the number-th second after the emptying has, as a function of a turn."""
    return lambda turn: turn.seconds[EMPTY_AT + number - 1][what]


def recovery(turn):
    """The p99 of the second that begins two seconds after the emptying, of that before."""
    return after(3, "p99_us")(turn) / turn.before["p99_us"]


def recovery_of_returned(turn):
    """The same without the first reads of keys: those that any cache must send to the database."""
    return after(3, "returned_p99_us")(turn) / turn.before["p99_us"]


def recovered_after(turn):
    """Seconds from the emptying to the end of the first whose p99 is at most RECOVERED of that before; one more than were looked at when there is none."""
    return next((number for number in range(1, LAST + 1) if after(number, "p99_us")(turn) <= RECOVERED * turn.before["p99_us"]), LAST + 1)


def rows_of_table(turns):
    def row(label, of, text="{:,.0f}", alone=True):
        return [label, *(text.format(median(got, of)) if alone or got[0].keys_after else "-" for got in turns.values())]

    def ms(of):
        return lambda turn: of(turn) / 1000

    yield row("before: reads a second", lambda turn: turn.before["requests"] / (EMPTY_AT - 1))
    yield row("before: p50, ms", ms(lambda turn: turn.before["p50_us"]), "{:.2f}")
    yield row("before: p99, ms", ms(lambda turn: turn.before["p99_us"]), "{:.2f}")
    yield row("before: queries a second", lambda turn: sum(turn.queries[1:EMPTY_AT]) / (EMPTY_AT - 1))
    for number, name in ((1, "first"), (2, "second"), (3, "third")):
        yield row(f"{name} second after: reads", after(number, "requests"))
        yield row(f"{name} second after: p99, ms", ms(after(number, "p99_us")), "{:.2f}")
        yield row(f"{name} second after: p99 of keys that are back, ms", ms(after(number, "returned_p99_us")), "{:.2f}", alone=False)
        yield row(f"{name} second after: longest, ms", ms(after(number, "max_us")), "{:.1f}")
        yield row(f"{name} second after: queries", lambda turn, number=number: turn.queries[EMPTY_AT + number - 1])
        yield row(f"{name} second after: queries for 100 reads",
                  lambda turn, number=number: 100 * turn.queries[EMPTY_AT + number - 1] / turn.reads[EMPTY_AT + number - 1], "{:.1f}")
    yield row("p99 two seconds after, of before", recovery, "{:.2f}", alone=False)
    yield row("p99 of keys that are back two seconds after, of before", recovery_of_returned, "{:.2f}", alone=False)
    yield row(f"seconds until p99 was at most {RECOVERED} of before ({LAST + 1}: never)", recovered_after, "{:.0f}", alone=False)
    yield row("queries from the emptying to the end", lambda turn: turn.keys_after.total(), alone=False)
    yield row("keys that they asked for", lambda turn: len(turn.keys_after), alone=False)
    yield row("queries that another had made needless", lambda turn: turn.keys_after.total() - len(turn.keys_after), alone=False)
    yield ["most queries for one key, in any turn", *(max(map(most_of_one_key, got)) or "-" for got in turns.values())]
    yield row("FLUSHALL took, ms", lambda turn: turn.emptying_ms, "{:.1f}", alone=False)


def show(turns, demands):
    def series(of):
        return {way: [statistics.median(of(turn, second) for turn in got) for second in range(SECONDS)] for way, got in turns.items()}

    panels = [("reads a second", series(lambda turn, second: turn.seconds[second]["requests"])),
              ("p99 (ms)", series(lambda turn, second: turn.seconds[second]["p99_us"] / 1000)),
              ("queries a second that reach the database", series(lambda turn, second: turn.queries[second]))]
    write_results(
        "readthrough", "Reading a table through a cache that is emptied",
        f"{ROWS} rows of 256 bytes in PostgreSQL, read by key with Zipf 0.99; {CLIENTS} clients, closed loop; the "
        f"cache is full and is emptied after {EMPTY_AT} of {SECONDS} seconds. Medians of {ROUNDS} turn{'s' if ROUNDS > 1 else ''}. Larder has one worker and {CONNECTIONS} "
        f"connections to PostgreSQL, the application {CLIENTS}. {len(os.sched_getaffinity(0))} cores for all of it together.",
        table(["", *turns], rows_of_table(turns)), demands.text(),
        picture=lines("20,000 rows by key, Zipf 0.99, second by second", panels, EMPTY_AT, "cache emptied"))


def main():
    database = Database()
    try:
        with tempfile.TemporaryDirectory(prefix="larder-bench-") as directory:
            turns = measure(database, directory)
    finally:
        database.end()
    demands = Demands()
    rule = turns["Larder, rule"]
    demands.at_most("Larder's rule: most queries for one key after the emptying", max(map(most_of_one_key, rule)), 1)
    demands.at_most("Larder's rule: p99 of keys that are back, two seconds after the emptying, of before", median(rule, recovery_of_returned), RECOVERED)
    p99 = after(3, "p99_us")
    demands.at_most("Larder's rule: p99 of all reads two seconds after the emptying, of cache-aside's", median(rule, p99) / median(turns["redis-server, cache-aside"], p99), 1.0)
    show(turns, demands)
    finish("readthrough", demands)


if __name__ == "__main__":
    main()
