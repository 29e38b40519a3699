"""Runs the load generators against a peer and takes the server's CPU time meanwhile."""
import json
import statistics
import subprocess

from peers import LOAD_CORE, ROOT, SERVER_CORE, Peer


class Running:
    """A program of this folder at work against a peer, or several; figures() waits for its end."""

    def __init__(self, program, peers, *arguments, core=LOAD_CORE, stdin=subprocess.DEVNULL):
        peers = [peers] if isinstance(peers, Peer) else peers
        command = ["taskset", "-c", core, ROOT / "build/bench" / program, *(word for peer in peers for word in ("--port", peer.port)), *arguments]
        self.what = f"{program} against {peers[0].name}"
        self.process = subprocess.Popen([str(word) for word in command], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_until_connected(self):
        """For one that was started with --wait and a pipe for its input."""
        if not self.process.stdout.readline():
            self.figures()

    def begin(self):
        self.process.stdin.close()
        self.process.stdin = None

    def figures(self):
        out, words = self.process.communicate(timeout=1800)
        if self.process.returncode != 0:
            raise SystemExit(f"{self.what}: {words.strip()}")
        return json.loads(out)

    def end(self):
        """Without figures; harmless when it has ended."""
        self.process.kill()
        self.process.communicate()


def run(peer, *arguments, core=LOAD_CORE):
    return Running("load", peer, "--protocol", peer.protocol, *arguments, core=core).figures()


def fill(peer, keys, *arguments, core=LOAD_CORE, ttl=0):
    return run(peer, "--fill", "--keys", keys, "--pipeline", 32, "--ttl", ttl, *arguments, core=core)


def cost(peer, op, pipeline, *, keys, seconds, core=LOAD_CORE):
    """Microseconds of server CPU an operation, and operations a second."""
    before = peer.cpu_ns()
    figures = run(peer, "--op", op, "--pipeline", pipeline, "--keys", keys, "--seconds", seconds, core=core)
    return (peer.cpu_ns() - before) / 1000 / figures["operations"], figures["per_second"]


def fetch_ns(keys):
    """What a thread on the server's core takes to bring what a look-up needs from memory, and nothing else."""
    done = subprocess.run(["taskset", "-c", SERVER_CORE, ROOT / "build/bench/fetch", str(keys)], capture_output=True, text=True, check=True)
    return statistics.median(json.loads(done.stdout)["ns"])


def pass_ns():
    """What a cache line takes from the server's core to the load's."""
    done = subprocess.run([ROOT / "build/bench/pass", SERVER_CORE, LOAD_CORE], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["ns"]


def jitter(seconds):
    """What the machine does by itself to a thread on the server's core, in words."""
    done = subprocess.run(["taskset", "-c", SERVER_CORE, ROOT / "build/bench/jitter", str(seconds)], capture_output=True, text=True, check=True)
    idle, memory = json.loads(done.stdout).values()
    return (f"a thread that does nothing but read its clock: longest step {idle['longest_us'] / 1000:.2f} ms, {idle['over_100_us']} over 100 us, "
            f"{idle['over_5_us'] / seconds * 2:.0f} a second over 5 us, which take {idle['over_5_total_us'] / max(idle['over_5_us'], 1):.0f} us; "
            f"that also changes a word of 256 MB: {memory['longest_us'] / 1000:.2f} ms, {memory['over_100_us']} over 100 us, in {seconds / 2:.0f} s each")
