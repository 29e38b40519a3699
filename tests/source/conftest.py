"""PostgreSQL for the tests of sources."""
import itertools

import pytest

from harness.postgres import Postgres, programs

number = itertools.count(1)


@pytest.fixture(scope="session")
def cluster():
    """A PostgreSQL for the whole run; each test makes a database of its own in it."""
    if not programs():
        pytest.skip("PostgreSQL is not installed")
    postgres = Postgres()
    yield postgres
    postgres.remove()


@pytest.fixture
def own_cluster():
    """own_cluster(password=, settings=): a PostgreSQL for this test alone, which may end it and start it again."""
    if not programs():
        pytest.skip("PostgreSQL is not installed")
    made = []

    def make(**options):
        made.append(Postgres(**options))
        return made[-1]

    yield make
    for postgres in made:
        postgres.remove()


@pytest.fixture
def shop(cluster):
    """shop(sql) -> (url, psql): a new database made with that script."""

    def make(sql="SELECT 1"):
        name = f"t{next(number)}"
        return cluster.url(name), cluster.make(name, sql)

    yield make
    cluster.close_sessions()
