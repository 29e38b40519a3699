"""ioredis 5 and node-redis 5 from npm, unmodified: the scripts beside this file run in node and print what they saw."""
import json
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
CLIENTS = [("ioredis.js",), ("node_redis.js", "2"), ("node_redis.js", "3")]


@pytest.fixture(autouse=True)
def packages():
    assert (HERE / "node_modules").is_dir(), "run `npm ci --prefix tests/clients`"


@pytest.mark.parametrize("script", CLIENTS, ids=" ".join)
def test_client(start_larder, script):
    server = start_larder(args=["--threads", 2])
    node = subprocess.Popen(["node", script[0], str(server.port), *script[1:]], cwd=HERE, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        before = json.loads(node.stdout.readline() or node.stderr.read() or "null")
        server.restart()
        after, errors = node.communicate("restarted\n", timeout=60)
    finally:
        node.kill()
    assert node.returncode == 0, errors
    text = "grüße, 日本 🥫"
    assert before.pop("ttl") in (99, 100)
    assert before.pop("pipelineError") in ("told", "ERR value is not an integer or out of range")
    assert before == {
        "text": text, "bytes": True, "missing": None, "mget": [text, None, "1000"], "pipelined": True, "many": True,
        "error": {"message": "ERR value is not an integer or out of range", "class": True},
        "unknown": {"message": "ERR unknown command 'nosuch', with args beginning with: 'x' ", "class": True},
        "name": "shop-7", "info": True, "scanned": 1000,
        **({"lib": "node-redis", "config": {"maxmemory": "0"}} if script[0] == "node_redis.js" else {}),
    }
    assert json.loads(after) == {"again": "yes", "name": "shop-7", "text": None}
