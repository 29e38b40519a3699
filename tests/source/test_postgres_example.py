"""examples/postgres/run: one command from nothing to a shop behind Larder; the same answers as the shop in SQLite."""
import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest
import redis

from harness.postgres import programs
from harness.server import ROOT, _die_with_parent, binary, environment, free_port


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


@pytest.mark.skipif(not programs(), reason="PostgreSQL is not installed")
def test_the_shop(tmp_path):
    subprocess.run([ROOT / "scripts" / "shop-db", tmp_path / "shop.db"], check=True, capture_output=True)
    shop = sqlite3.connect(tmp_path / "shop.db")
    port, log = free_port(), tmp_path / "log"
    with open(log, "wb") as file:
        example = subprocess.Popen([ROOT / "examples/postgres/run", "--port", str(port), "--postgres-port", str(free_port())],
                                   env=environment({"LARDER_BINARY": binary()}), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                   preexec_fn=_die_with_parent)
    try:
        client = redis.Redis(port=port)
        while not answers(client):
            assert example.poll() is None, log.read_text()
            time.sleep(0.05)
        for number in (1, 42, 1000):
            product = json.loads(client.get(f"product:{number}"))
            wanted = shop.execute("SELECT p.title, c.name, p.price, p.stock FROM product p JOIN category c ON c.id = p.category_id"
                                  " WHERE p.id = ?", (number,)).fetchone()
            assert (product["title"], product["category"], product["price"], product["stock"]) == wanted
            assert product["available"] is (product["stock"] > 0) and isinstance(product["labels"]["fresh"], bool)
        assert client.get("product:1001") is None
        for category in range(1, 11):
            wanted = shop.execute("SELECT id, title FROM product WHERE category_id = ? ORDER BY id", (category,)).fetchall()
            assert [(p["id"], p["title"]) for p in json.loads(client.get(f"category:{category}:products"))] == wanted
        orders = json.loads(client.get("customer:7:orders"))
        wanted = shop.execute("SELECT id, placed FROM orders WHERE customer_id = 7 ORDER BY placed DESC").fetchall()
        assert [(o["id"], o["placed"].replace("T", " ")) for o in orders] == wanted
    finally:
        example.send_signal(signal.SIGINT)
        example.wait(90)
    said = log.read_text()
    directory = said.split(", in ")[1].split()[0]
    assert example.returncode == 0 and not os.path.exists(directory), said
