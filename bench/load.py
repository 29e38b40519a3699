"""Runs the load generator against a peer and takes the server's CPU time meanwhile."""
import json
import subprocess

from peers import LOAD_CORE, ROOT


def run(peer, *arguments, core=LOAD_CORE):
    command = ["taskset", "-c", core, ROOT / "build/bench/load", "--port", peer.port, "--protocol", peer.protocol, *arguments]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise SystemExit(f"load against {peer.name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def fill(peer, keys, *, core=LOAD_CORE, ttl=0):
    return run(peer, "--fill", "--keys", keys, "--pipeline", 32, "--ttl", ttl, core=core)


def cost(peer, op, pipeline, *, keys, seconds, core=LOAD_CORE):
    """Microseconds of server CPU an operation, and operations a second."""
    before = peer.cpu_ns()
    figures = run(peer, "--op", op, "--pipeline", pipeline, "--keys", keys, "--seconds", seconds, core=core)
    return (peer.cpu_ns() - before) / 1000 / figures["operations"], figures["per_second"]
