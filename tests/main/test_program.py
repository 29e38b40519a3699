"""The program: its command line, its exit codes, its signals, its log."""
import os
import signal
import socket

from harness.server import wait_until


# ---- the command line ----------------------------------------------------------------------------------------------
def test_version_and_help(run_larder):
    assert run_larder("--version").stdout.startswith("larder ")
    assert "usage: larder [FILE]" in run_larder("--help").stdout


def test_describe(run_larder):
    for kind, line in [("options", "maxmemory\t"), ("metrics", "net_input_bytes\t"), ("errors", "WRONGKIND\t"),
                       ("commands", "get\t2\t"), ("exits", "3\t")]:
        done = run_larder("--describe", kind)
        assert done.returncode == 0
        assert any(text.startswith(line) for text in done.stdout.splitlines()), kind
    for words in (["--describe"], ["--describe", "nothing"]):
        done = run_larder(*words)
        assert done.returncode == 2 and "usage:" in done.stderr


def test_a_wrong_configuration_is_said_and_nothing_starts(run_larder, tmp_path):
    file = tmp_path / "larder.conf"
    file.write_text("port 6379\nprot 1\nmaxmemory lots\n")
    done = run_larder(file)
    assert done.returncode == 1
    assert f"{file}:2: " in done.stderr and '"port"' in done.stderr
    assert f"{file}:3: " in done.stderr
    assert run_larder(tmp_path / "absent.conf").returncode == 1
    assert run_larder("--port", "70000").returncode == 1


def test_a_taken_port_is_said(run_larder):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        done = run_larder("--bind", "127.0.0.1", "--port", port)
    assert done.returncode == 3
    assert f"127.0.0.1 port {port}: Address already in use" in done.stderr


def test_a_unix_socket_that_cannot_be(run_larder):
    done = run_larder("--port", 0, "--unixsocket", "/nonexistent/larder.sock")
    assert done.returncode == 3
    assert "/nonexistent/larder.sock: No such file or directory" in done.stderr


def test_a_log_that_cannot_be_opened(run_larder):
    done = run_larder("--port", 0, "--logfile", "/nonexistent/larder.log")
    assert done.returncode == 4
    assert "/nonexistent/larder.log: No such file or directory" in done.stderr


def test_a_limit_without_a_policy_is_answered_with_a_recommendation(start_larder):
    def advice(*args):
        return start_larder(args=args).log().count("maxmemory-policy adaptive")
    assert advice("--maxmemory", "100mb") == 1
    assert advice("--maxmemory", "100mb", "--maxmemory-policy", "noeviction") == 0
    assert advice() == 0


# ---- signals -------------------------------------------------------------------------------------------------------
def test_sigterm_and_sigint_end_it(start_larder):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = start_larder(args=["--threads", 2])
        assert server.client().ping()
        server.signal(number)
        assert server.process.wait(10) == 0
        assert "ended" in server.log()


def test_a_second_signal_ends_it_at_once(start_larder):
    server = start_larder(args=["--shutdown-timeout", 1000])
    with server.raw() as raw:
        raw.call("SET", "k", "x" * 1_000_000)
        raw.send(b"MGET" + b" k" * 30 + b"\r\n")    # it will wait for us to read this
        with server.raw() as other:
            assert other.call("PING") == b"PONG"
        server.signal(signal.SIGTERM)
        wait_until(lambda: "Terminated: ending" in server.log())
        server.signal(signal.SIGTERM)
        assert server.process.wait(10) == 5
    server.kill()


def test_shutdown_timeout(start_larder):
    server = start_larder(args=["--shutdown-timeout", 1000])
    with server.raw() as raw:
        raw.call("SET", "k", "x" * 1_000_000)
        raw.send(b"MGET" + b" k" * 30 + b"\r\n")
        with server.raw() as other:
            assert other.call("PING") == b"PONG"
        server.signal(signal.SIGTERM)
        wait_until(lambda: "Terminated: ending" in server.log())
        assert server.process.poll() is None
        server.clock.advance(1_000_000)
        assert server.process.wait(10) == 0
        assert "shutdown-timeout is over" in server.log()


def test_sighup_opens_the_log_anew(start_larder):
    server = start_larder(args=["--logfile", "larder.log"])
    log = server.dir / "larder.log"
    assert "Larder is ready" in log.read_text()
    os.rename(log, server.dir / "old.log")
    server.signal(signal.SIGHUP)
    wait_until(lambda: log.exists() and "the rules were read again" in log.read_text())


def test_sighup_with_a_wrong_file_changes_nothing(start_larder):
    server = start_larder(config_text="maxmemory 100mb\n")
    server.config.write_text("maxmemory 100mb\nrule {\n")
    server.signal(signal.SIGHUP)
    wait_until(lambda: "the rules were not changed, since the configuration is wrong" in server.log())
    with server.client() as client:
        assert client.config_get("maxmemory") == {"maxmemory": "104857600"}


# ---- what CONFIG SET applies ---------------------------------------------------------------------------------------
def test_config_set_is_applied(start_larder):
    server = start_larder()
    with server.client() as client:
        client.config_set("maxmemory", "2mb")
        assert client.info("memory")["maxmemory"] == 2 * 1024 * 1024
        client.config_set("log-format", "json")
        client.config_set("loglevel", "verbose")
        with server.raw() as raw:
            raw.send(b"*x\r\n")
            raw.read_reply()
        wait_until(lambda: '"level":"verbose"' in server.log())
        for i in range(100):        # replaced snapshots are freed while others read
            client.config_set("timeout", 1000 + i)
            server.clock.advance(1000)
        assert client.config_get("timeout") == {"timeout": "1099"}
