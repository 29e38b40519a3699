"""redis-cli and redis-benchmark from Debian's redis-tools."""
import os
import pty
import re
import subprocess

import pytest

from harness import resp

PROTOCOLS = pytest.mark.parametrize("protocol", ["-2", "-3"])


def cli(server, *words, **options):
    return subprocess.run(["redis-cli", "-p", str(server.port), *words], stdout=subprocess.PIPE, timeout=60, check=False,
                          **options).stdout


@PROTOCOLS
def test_commands(larder, server, protocol):
    assert cli(server, protocol, "SET", "k", "grüße", "EX", "100") == b"OK\n"
    assert cli(server, protocol, "GET", "k") == "grüße\n".encode()
    assert cli(server, protocol, "GET", "missing") == b"\n"
    assert cli(server, protocol, "MGET", "k", "missing") == "grüße\n\n".encode()
    assert cli(server, protocol, "--no-raw", "TTL", "k") in (b"(integer) 100\n", b"(integer) 99\n")
    assert cli(server, protocol, "--no-raw", "GET", "missing") == b"(nil)\n"
    assert cli(server, protocol, "INCR", "k") == b"ERR value is not an integer or out of range\n\n"
    assert cli(server, protocol, "-n", "3", "DBSIZE") == b"0\n"
    assert b"redis_version:7" in cli(server, protocol, "INFO", "server")


@PROTOCOLS
def test_maps_are_shown_as_such(larder, server, protocol):
    shown = cli(server, protocol, "--no-raw", "CONFIG", "GET", "maxmemory")
    assert shown == {"-2": b'1) "maxmemory"\n2) "0"\n', "-3": b'1# "maxmemory" => "0"\n'}[protocol]


@PROTOCOLS
def test_bytes_from_a_pipe(larder, server, protocol):
    value = bytes(range(256)) * 1000
    assert cli(server, protocol, "-x", "SET", "bytes", input=value) == b"OK\n"
    assert cli(server, protocol, "--raw", "GET", "bytes") == value + b"\n"


@PROTOCOLS
def test_many_commands_from_a_pipe(larder, server, protocol):
    lines = b"".join(b'SET k%d "v %d"\nGET k%d\n' % (i, i, i) for i in range(2000))
    assert cli(server, protocol, input=lines) == b"".join(b"OK\nv %d\n" % i for i in range(2000))


def test_mass_insertion(larder, server):
    data = b"".join(resp.encode("SET", f"k{i}", "v" * 100) for i in range(50_000))
    shown = cli(server, "--pipe", input=data)
    assert b"errors: 0, replies: 50000" in shown and larder.dbsize() == 50_000
    assert sorted(cli(server, "--scan", "--pattern", "k123*").split()) == sorted(
        b"k%d" % i for i in range(50_000) if str(i).startswith("123"))


@PROTOCOLS
def test_at_a_terminal(larder, server, protocol):
    """With a terminal redis-cli asks for COMMAND DOCS first; it must take the refusal and go on."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["redis-cli", "-p", str(server.port), protocol], stdin=theirs, stdout=theirs,
                               stderr=theirs, env={**os.environ, "TERM": "dumb"}, start_new_session=True)
    os.close(theirs)
    shown = b""
    try:
        for line, answer in ((b"SET at-terminal yes\n", b"OK"), (b"GET at-terminal\n", b'"yes"'), (b"quit\n", None)):
            os.write(ours, line)
            while answer and answer not in shown:
                shown += os.read(ours, 4096)
        assert process.wait(20) == 0
    finally:
        process.kill()
        os.close(ours)
    assert larder.get("at-terminal") == b"yes"


def test_password(start_larder):
    server = start_larder(config_text="requirepass secret\n")
    for protocol in ("-2", "-3"):
        assert cli(server, protocol, "-a", "secret", "--no-auth-warning", "PING") == b"PONG\n"
        assert cli(server, protocol, "--user", "default", "--pass", "secret", "--no-auth-warning", "PING") == b"PONG\n"
    assert b"NOAUTH" in cli(server, "PING")


@pytest.mark.parametrize("options", ["-P 16", "-P 100 -3", "-P 1 -c 200", "--threads 2 -P 16 -r 1000"])
def test_benchmark(larder, server, scale, options):
    count = str(scale(small=5_000, normal=50_000, long=500_000))
    words = ["redis-benchmark", "-p", str(server.port), "-t", "set,get", "-n", count, "-q", *options.split()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(SET|GET): [\d.]+ requests per second", done.stdout) == ["SET", "GET"]
    assert "rror" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert larder.dbsize() >= 1
