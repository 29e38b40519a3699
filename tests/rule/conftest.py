"""A SQLite database beside a server of its own, and what SQLite itself reports of the queries that it ran."""
import pathlib
import re
import sqlite3
import time

import pytest

from harness.server import wait_until

LINE = re.compile(r"(start|end) (\d+) (.*)")


class Source:
    """The database file, written by the test; read by Larder only."""

    def __init__(self, directory):
        self.file = pathlib.Path(directory) / "source.db"
        self.log = pathlib.Path(directory) / "source.log"
        self.db = sqlite3.connect(self.file, isolation_level=None)
        self.db.execute("PRAGMA synchronous = OFF")

    def run(self, sql, *parameters):
        return self.db.execute(sql, parameters).fetchall()

    def script(self, sql):
        self.db.executescript(sql)

    def events(self, pattern=""):
        """("start" or "end", nanoseconds, statement with its parameters) as SQLite told them, of statements that match."""
        if not self.log.exists():
            return []
        found = [LINE.fullmatch(line).groups() for line in self.log.read_text().splitlines()]
        return [(what, int(ns), sql) for what, ns, sql in found if re.search(pattern, sql)]

    def queries(self, pattern="FROM"):
        """How many statements SQLite began."""
        return sum(what == "start" for what, _, _ in self.events(pattern))

    def most_at_once(self, pattern="FROM"):
        running = most = 0
        for what, _, _ in sorted(self.events(pattern), key=lambda event: event[1]):
            running += 1 if what == "start" else -1
            most = max(most, running)
        return most


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path)


@pytest.fixture
def start(start_larder, source):
    """start("rule k:{id} {...}", knobs of the source ...): a server in front of the test's database, called `db` in rules."""

    def started(rules, source_knobs="", args=(), env=None):
        config = f'source db {{\n    sqlite "{source.file}"\n    {source_knobs}\n}}\n{rules}\n'
        return start_larder(config_text=config, args=args, env={"LARDER_SOURCE_LOG": str(source.log), **(env or {})})

    return started


@pytest.fixture
def slow_sql():
    """An expression that keeps SQLite busy for about 200 ms on this machine, and has the value 1."""
    count = 20000
    while True:
        sql = (f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
               " SELECT min(i) FROM n)")
        began = time.perf_counter()
        sqlite3.connect(":memory:").execute(f"SELECT {sql}").fetchone()
        if time.perf_counter() - began > 0.2:
            return sql
        count = int(count * 1.5)


def figures(client, number=0):
    """What INFO says of rule `number`."""
    return client.info("cache")[f"rule{number}"]


def cache_get(client, key):
    pairs = client.execute_command("CACHE.GET", key)
    return {name.decode(): value for name, value in zip(pairs[::2], pairs[1::2])}


@pytest.fixture
def helpers():
    class Helpers:
        pass

    Helpers.figures = staticmethod(figures)
    Helpers.cache_get = staticmethod(cache_get)
    Helpers.wait_until = staticmethod(wait_until)
    return Helpers
