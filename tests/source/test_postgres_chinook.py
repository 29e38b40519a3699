"""The Chinook music store twice, in PostgreSQL and in SQLite: the same rules, and for every key the same answer."""
import json
import pathlib
import re
import sqlite3
import subprocess

import pytest

CHINOOK = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "chinook"
pytestmark = pytest.mark.skipif(not CHINOOK.exists(), reason="no shared/data/chinook")

RULES = [
    ("track:{id}", "json", "SELECT track_id AS id, name, album_id AS album, composer, milliseconds, bytes, unit_price AS price"
                           " FROM track WHERE track_id = {id}"),
    ("album:{id}", "json-array", "SELECT a.title, t.track_id AS id, t.name, t.unit_price AS price FROM album a JOIN track t ON t.album_id = a.album_id"
                                 " WHERE a.album_id = {id} ORDER BY t.track_id"),
    ("artist:{id}", "string", "SELECT name FROM artist WHERE artist_id = {id}"),
    ("customer:{id}", "json", "SELECT first_name AS first, last_name AS last, company, trim(city) AS city, state, country, postal_code AS post, email"
                              " FROM customer WHERE customer_id = {id}"),
    ("invoices:{customer}", "json-array", "SELECT invoice_id AS id, total, billing_country AS country FROM invoice"
                                          " WHERE customer_id = {customer} ORDER BY invoice_id"),
    ("genre:{name}:count", "string", "SELECT count(*) FROM track t JOIN genre g ON g.genre_id = t.genre_id WHERE g.name = {name}"),
]


# trim(): the two scripts differ in a blank behind Edinburgh.


def as_sqlite(sql):
    """track_id is TrackId there, and case does not matter."""
    return re.sub(r"(?<=[a-z])_(?=[a-z])", "", sql)


def config(source, dialect):
    return f"source store {{\n {source}\n}}\n" + "".join(
        f'rule {pattern} {{\n source store\n load "{dialect(sql)}"\n value {value}\n ttl 1h\n}}\n' for pattern, value, sql in RULES)


def columns(value):
    """With the names in lower case: a column that no AS names is Name in one database and name in the other."""
    return json.loads(value, object_pairs_hook=lambda pairs: [(name.lower(), value) for name, value in pairs])


def read(client, keys):
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.get(key)
    return pipe.execute()


@pytest.mark.limit(600)
def test_the_same_answers_over_postgresql_and_sqlite(start_larder, cluster, tmp_path):
    script = (CHINOOK / "chinook_sqlite.sql").read_text(encoding="utf-8-sig")
    store = sqlite3.connect(tmp_path / "chinook.db", isolation_level=None)
    store.executescript("PRAGMA synchronous = OFF; BEGIN;" + script + ";COMMIT;")
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", f"postgresql:///postgres?host={cluster.dir}&port={cluster.port}&user=postgres",
                    "-f", CHINOOK / "chinook_postgres.sql"], check=True, capture_output=True)
    over_sqlite = start_larder(config_text=config(f'sqlite "{tmp_path}/chinook.db"', as_sqlite)).client()
    over_postgres = start_larder(config_text=config(f'postgres "{cluster.url("chinook")}"', str)).client()
    ids = {table: [row[0] for row in store.execute(f"SELECT {table}Id FROM {table}")] for table in ("Track", "Album", "Artist", "Customer")}
    assert [len(some) for some in ids.values()] == [3503, 347, 275, 59]
    genres = [row[0] for row in store.execute("SELECT Name FROM Genre")]
    keys = ([f"track:{i}" for i in ids["Track"]] + [f"album:{i}" for i in ids["Album"] + [9999]] + [f"artist:{i}" for i in ids["Artist"]]
            + [f"customer:{i}" for i in ids["Customer"]] + [f"invoices:{i}" for i in ids["Customer"]] + [f"genre:{name}:count" for name in genres]
            + ["track:0", "track:-1", "track:99999", "artist:0"])
    values = read(over_postgres, keys)
    for key, ours, other in zip(keys, values, read(over_sqlite, keys)):
        if key.startswith(("artist", "genre")) or other is None:
            assert ours == other, key
        else:
            assert columns(ours) == columns(other), key
    queries = over_postgres.info("cache")["source0"]["queries"]
    assert queries == len(keys) and read(over_postgres, keys) == values
    assert over_postgres.info("cache")["source0"]["queries"] == queries
