"""Real input: the Chinook music store behind rules, each track, album and artist equal to what SQL says; a real trace replayed on it."""
import collections
import gzip
import json
import pathlib
import sqlite3

import pytest

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
SCRIPT = DATA / "chinook" / "chinook_sqlite.sql"
TRACE = DATA / "traces" / "web12.txt.gz"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="no shared/data/chinook")

TRACK = "SELECT * FROM Track WHERE TrackId = {id}"
ALBUM = ("SELECT a.Title AS album, t.TrackId, t.Name, t.Milliseconds, t.UnitPrice, t.Composer"
         " FROM Album a JOIN Track t ON t.AlbumId = a.AlbumId WHERE a.AlbumId = {id} ORDER BY t.TrackId")
ARTIST = "SELECT Name FROM Artist WHERE ArtistId = {id}"
RULES = f"""
rule track:{{id}} {{
    source db
    load "{TRACK}"
    value json
    ttl 1h
    negative-ttl 1h
}}
rule album:{{id}} {{
    source db
    load "{ALBUM}"
    value json-array
    ttl 1h
}}
rule artist:{{id}} {{
    source db
    load "{ARTIST}"
    ttl 1h
    negative-ttl 1h
}}
"""


@pytest.fixture
def store(source):
    source.db.executescript("PRAGMA synchronous = OFF; BEGIN;" + SCRIPT.read_text(encoding="utf-8-sig") + ";COMMIT;")
    source.db.row_factory = sqlite3.Row
    return source


@pytest.fixture
def client(start, store):
    with start(RULES).client() as client:
        yield client


def ask_sql(store, statement, number):
    return [dict(row) for row in store.run(statement.replace("{id}", "?"), number)]


def ids(store, table):
    return [row[0] for row in store.run(f"SELECT {table}Id FROM {table} ORDER BY 1")]


def read_all(client, keys):
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.get(key)
    return pipe.execute()


def test_everything_equals_what_sql_says_and_is_loaded_once(client, store):
    tracks, albums, artists = ids(store, "Track"), ids(store, "Album"), ids(store, "Artist")
    assert (len(tracks), len(albums), len(artists)) == (3503, 347, 275)
    keys = [f"track:{i}" for i in tracks] + [f"album:{i}" for i in albums] + [f"artist:{i}" for i in artists]
    values = read_all(client, keys)
    expected = ([ask_sql(store, TRACK, i)[0] for i in tracks] + [ask_sql(store, ALBUM, i) for i in albums]
                + [ask_sql(store, ARTIST, i)[0]["Name"] for i in artists])
    for key, value, wanted in zip(keys, values, expected):
        seen = value.decode() if key.startswith("artist:") else json.loads(value)
        assert seen == wanted, key
        if isinstance(wanted, dict):
            assert list(seen) == list(wanted)       # columns in their order
    assert store.queries("Track|Album|Artist") == len(keys)

    assert read_all(client, keys) == values         # a second pass loads nothing
    assert store.queries("Track|Album|Artist") == len(keys)


def test_absent_ids_are_remembered_as_absent(client, store):
    absent = [f"track:{i}" for i in (0, -1, 3504, 10**12, "x", "1 OR 1=1")] + ["artist:0", "artist:9999"]
    assert read_all(client, absent) == [None] * len(absent)
    assert client.get("album:9999") == b"[]"
    before = store.queries("Track|Album|Artist")
    assert read_all(client, absent) == [None] * len(absent)
    assert client.exists(*absent) == 0
    assert store.queries("Track|Album|Artist") == before == len(absent) + 1


def test_a_real_trace_on_it(client, store, scale, capsys):
    if not TRACE.exists():
        pytest.skip("no shared/data/traces")
    requests = gzip.open(TRACE, "rt").read().split()
    requests = requests[:scale(small=10_000, normal=len(requests), long=len(requests))]
    keys = [f"track:{number}" for number in requests]       # more keys than tracks: what is not there is remembered as absent
    for at in range(0, len(keys), 1000):
        for key, value in zip(keys[at:at + 1000], read_all(client, keys[at:at + 1000])):
            assert (value is not None) == (1 <= int(key[6:]) <= 3503), key
    queries = store.queries("Track")
    assert queries == len(set(keys))                # each key once, however often it was asked for
    hits = 1 - queries / len(keys)
    with capsys.disabled():
        most = collections.Counter(keys).most_common(1)[0][1]
        print(f"\nweb12 on Chinook: {len(keys)} requests, {queries} queries, hit ratio {hits:.4f} (the hottest key: {most} requests)")
