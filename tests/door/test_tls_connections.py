"""TLS as clients see it: the usual ones, all kinds of pieces, both ends saying good-bye, slow and silent peers."""
import os
import socket
import ssl
import subprocess
import threading

import pytest

from harness import resp
from harness.server import wait_until

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def clients(raw):
    return int(dict(line.split(b":") for line in raw.call("INFO", "clients").split(b"\r\n")[1:-1])[b"connected_clients"])


@pytest.fixture
def server(start_tls_larder):
    return start_tls_larder(auth="no", args=["--threads", 2])


# ---- clients -------------------------------------------------------------------------------------------------------
def test_redis_cli(server, pki):
    done = subprocess.run(["redis-cli", "--tls", "--cacert", pki.ca, "-h", "localhost", "-p", str(server.tls_port)],
                          input="SET k v\nGET k\n", capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "OK\nv\n" and done.stderr == ""


def test_python_redis_shares_the_keyspace_with_the_plain_port(server):
    with server.tls_client() as secret, server.client() as plain:
        assert secret.set("k", "v") and plain.get("k") == b"v"
        pipe = secret.pipeline(transaction=False)
        for i in range(1000):
            pipe.set(f"k{i}", i)
        assert pipe.execute() == [True] * 1000
        assert plain.dbsize() == 1001


@pytest.mark.parametrize("version", VERSIONS)
def test_versions(server, pki, version):
    with server.tls_raw(pki.context(version=version)) as raw:
        assert raw.socket.version() == {VERSIONS[0]: "TLSv1.2", VERSIONS[1]: "TLSv1.3"}[version]
        assert raw.call("PING") == b"PONG"


def test_tls_alone(start_tls_larder):
    """`port 0` leaves nothing but TLS. (The harness looks for the plain port, so it is taken away later.)"""
    server = start_tls_larder(auth="no")
    with server.tls_raw() as raw:
        assert raw.call("CONFIG", "SET", "port", 0) == b"OK"

        def refused():
            try:
                server.raw().close()
            except ConnectionRefusedError:
                return True
            return False
        wait_until(refused)
        assert raw.call("PING") == b"PONG"
        assert server.tls_raw().call("PING") == b"PONG"


# ---- pieces --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", VERSIONS)
def test_byte_by_byte(server, pki, version):
    with server.tls_pipe(pki.context(version=version)) as pipe:
        pipe.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def trickle(data):
            for i in range(len(data)):
                pipe.send(data[i:i + 1])
        pipe.shake_hands(trickle)
        trickle(pipe.seal(resp.encode("SET", "k", "v" * 100)))
        assert pipe.read_exactly(5) == b"+OK\r\n"
        trickle(pipe.seal(b"PING\r\nPI") + pipe.seal(b"NG\r\n"))
        assert pipe.read_exactly(14) == b"+PONG\r\n+PONG\r\n"


def test_a_record_for_each_byte(server):
    with server.tls_pipe() as pipe:
        pipe.shake_hands()
        request = resp.encode("ECHO", "many records in one segment")
        pipe.send(b"".join(pipe.seal(request[i:i + 1]) for i in range(len(request))))
        assert pipe.read_exactly(34) == b"$27\r\nmany records in one segment\r\n"


def test_pieces_of_all_sizes(server, rng):
    """Requests in records and segments of random sizes: what comes back is what was asked, in order."""
    with server.tls_pipe() as pipe:
        pipe.shake_hands()
        values = [bytes([65 + i % 26]) * rng.choice([0, 1, 100, 5000, 20000, 70000]) for i in range(60)]
        requests = b"".join(resp.encode("ECHO", value) for value in values)
        sealed, at = b"", 0
        while at < len(requests):
            size = rng.choice([1, 50, 1000, 16384, 16384])
            sealed += pipe.seal(requests[at:at + size])
            at += size

        def send_all():
            at = 0
            while at < len(sealed):
                size = rng.choice([1, 5, 1000, 65536])
                pipe.send(sealed[at:at + size])
                at += size
        sender = threading.Thread(target=send_all)
        sender.start()
        for value in values:
            expected = b"$%d\r\n%s\r\n" % (len(value), value)
            assert pipe.read_exactly(len(expected)) == expected
        sender.join()


def test_large_value(server):
    value = os.urandom(1 << 20) * 100
    with server.tls_client() as client:
        assert client.set("large", value)
        assert client.get("large") == value
        assert client.strlen("large") == len(value)


def test_more_requests_than_a_turn_holds(server):
    with server.tls_raw() as raw:
        raw.send(b"PING\r\n" * 20000)
        raw.expect(b"+PONG\r\n" * 20000)


# ---- who does not read ---------------------------------------------------------------------------------------------
def test_replies_that_nobody_takes(server):
    """Memory is bounded while a client asks and does not read; when it reads, everything comes, in order."""
    value = b"x" * 100000
    with server.client() as other, server.tls_raw(timeout=60) as raw:
        other.set("k", value)
        before = server.resident_bytes()
        request = resp.encode("GET", "k")
        raw.send(request * 2000)                                # 200 MB of replies
        wait_until(lambda: any(int(c["omem"]) > 6 << 20 for c in other.client_list()))
        for _ in range(100):
            assert other.ping()                                 # turns pass, and nothing more piles up
        assert server.resident_bytes() - before < 60 << 20
        reply = b"$100000\r\n" + value + b"\r\n"
        for _ in range(2000):
            assert raw.read_exactly(len(reply)) == reply


def test_requests_beyond_a_turn_before_a_hang_up(server):
    """What waits behind a full share of a turn, decrypted or not, still runs when the client has gone."""
    with server.raw() as other:
        with server.tls_pipe() as pipe:
            pipe.shake_hands()
            pipe.send(pipe.seal(b"INCR n\r\n" * 5000) + pipe.seal(b"INCR n\r\n" * 5000))
            pipe.socket.shutdown(socket.SHUT_WR)
            wait_until(lambda: other.call("GET", "n") == b"10000")


def test_who_says_good_bye_gets_all_replies(server):
    """close_notify ends one direction; the replies, over many turns, go in the other."""
    with server.tls_pipe() as pipe:
        pipe.shake_hands()
        pipe.send(pipe.seal(resp.encode("SET", "k", "x" * 1000) + resp.encode("GET", "k") * 2000))
        with pytest.raises(ssl.SSLWantReadError):
            pipe.tls.unwrap()
        pipe.send(pipe.outgoing.read())
        expected = b"+OK\r\n" + (b"$1000\r\n" + b"x" * 1000 + b"\r\n") * 2000
        assert pipe.read_exactly(len(expected)) == expected


# ---- the end -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", VERSIONS)
def test_server_says_good_bye(server, pki, version):
    """QUIT: the reply, close_notify, end. A cut would raise (suppress_ragged_eofs is off)."""
    with server.tls_raw(pki.context(version=version)) as raw:
        raw.send(b"QUIT\r\n")
        raw.expect(b"+OK\r\n")
        assert raw.socket.recv(100) == b""


@pytest.mark.parametrize("version", VERSIONS)
def test_client_says_good_bye(server, pki, version):
    with server.tls_raw(pki.context(version=version)) as raw:
        assert raw.call("PING") == b"PONG"
        raw.socket.unwrap().close()                             # waits for the server's close_notify


def test_client_asks_and_says_good_bye_at_once(server):
    with server.tls_pipe() as pipe:
        pipe.shake_hands()
        data = pipe.seal(b"INCR n\r\n" * 1000)
        with pytest.raises(ssl.SSLWantReadError):
            pipe.tls.unwrap()
        pipe.send(data + pipe.outgoing.read())
        with server.raw() as other:
            wait_until(lambda: other.call("GET", "n") == b"1000")


def test_cut_connections(server, pki):
    """Peers that go at any point of the handshake or of a record leave nothing behind."""
    with server.raw() as other:
        with server.tls_pipe() as pipe:
            hello = bytearray()
            with pytest.raises(ssl.SSLWantReadError):
                pipe.tls.do_handshake()
            hello += pipe.outgoing.read()
        for length in [1, 4, 5, 6, 100, len(hello) - 1, len(hello)]:
            with socket.create_connection(("127.0.0.1", server.tls_port)) as s:
                s.sendall(hello[:length])
        with server.tls_pipe() as pipe:
            pipe.shake_hands()
            pipe.send(pipe.seal(b"SET cut 1\r\n")[:-1])
        wait_until(lambda: clients(other) == 1)
        assert other.call("EXISTS", "cut") == 0


def test_server_ends_with_open_tls_connections(server):
    open_ones = [server.tls_raw() for _ in range(10)]
    halves = [socket.create_connection(("127.0.0.1", server.tls_port)) for _ in range(10)]
    server.stop()
    for raw in open_ones:
        assert raw.socket.recv(100) == b""
        raw.close()
    for half in halves:
        half.close()


# ---- sessions ------------------------------------------------------------------------------------------------------
def resumes(server, context):
    with server.tls_raw(context) as first:
        assert first.call("PING") == b"PONG"                    # TLS 1.3: tickets come with the first record
        session = first.socket.session
    with server.tls_raw(context, session=session) as second:
        assert second.call("PING") == b"PONG"
        return second.socket.session_reused


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tickets", [True, False])
def test_sessions_are_resumed(server, pki, version, tickets):
    context = pki.context(version=version)
    if not tickets:
        context.options |= ssl.OP_NO_TICKET
    assert resumes(server, context)


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_not_resumed(server, pki, version):
    with server.raw() as raw:
        assert raw.call("CONFIG", "SET", "tls-session-caching", "no") == b"OK"
    assert not resumes(server, pki.context(version=version))


# ---- what TLS allows and we do not ---------------------------------------------------------------------------------
def test_renegotiation_is_refused(server, pki):
    done = subprocess.run(
        ["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{server.tls_port}", "-CAfile", pki.ca],
        input="R\nPING\n", capture_output=True, text=True, timeout=20, check=False)
    assert "no renegotiation" in done.stderr and "PONG" not in done.stdout
    with server.raw() as other:
        wait_until(lambda: clients(other) == 1)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_versions_are_refused(server, pki):
    context = pki.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        server.tls_raw(context)
    assert "the TLS handshake failed" in server.log()


# ---- stalled handshakes --------------------------------------------------------------------------------------------
def test_a_thousand_stalled_handshakes(start_tls_larder, pki):
    """They keep nobody waiting, cost little, are counted by maxclients, and end when their time is over."""
    server = start_tls_larder(auth="no", args=["--threads", 2, "--maxclients", 1010])
    with server.tls_raw() as working:
        with server.tls_pipe() as pipe:
            with pytest.raises(ssl.SSLWantReadError):
                pipe.tls.do_handshake()
            hello = pipe.outgoing.read()
        wait_until(lambda: clients(working) == 1)
        before = server.resident_bytes()
        stalled = []
        for i in range(1000):
            s = socket.create_connection(("127.0.0.1", server.tls_port))
            s.sendall(hello[:len(hello) // 2] if i % 2 else b"")
            stalled.append(s)
            if i % 10 == 0:
                assert working.call("PING") == b"PONG"
        wait_until(lambda: clients(working) == 1001)
        assert server.resident_bytes() - before < 60 << 20
        with server.tls_raw() as newcomer:
            assert newcomer.call("PING") == b"PONG"             # newcomers are served meanwhile
        wait_until(lambda: clients(working) == 1001)            # it has left its place to the last of the late
        late = [socket.create_connection(("127.0.0.1", server.tls_port)) for _ in range(9)]
        wait_until(lambda: clients(working) == 1010)
        with server.raw() as one_more:
            one_more.expect(b"-ERR max number of clients reached\r\n")
        server.clock.advance(2000)                              # and what the test itself has taken
        assert working.call("PING") == b"PONG" and clients(working) == 1010
        server.clock.advance(9000)
        wait_until(lambda: clients(working) == 1)
        for s in stalled + late:
            s.close()
    assert 1 <= server.log().count("its TLS handshake took longer than 10 s") < 10      # once a second, not 1,009 times


# ---- handshakes per second -----------------------------------------------------------------------------------------
def test_handshakes_wait_in_order(start_tls_larder, pki):
    """One a second. Time stands still but for what the test lets pass (and the moments that the test itself takes)."""
    server = start_tls_larder(auth="no", args=["--tls-handshakes-per-second", 1])
    with server.tls_raw() as first, server.raw() as plain:
        pipes = [server.tls_pipe() for _ in range(4)]
        for pipe in pipes:
            with pytest.raises(ssl.SSLWantReadError):
                pipe.tls.do_handshake()
            pipe.send(pipe.outgoing.read())
        assert first.call("PING") == b"PONG" and plain.call("PING") == b"PONG"
        for i, pipe in enumerate(pipes):
            server.clock.advance(1000)
            pipe.shake_hands()
            pipe.send(pipe.seal(b"PING\r\n"))
            assert pipe.read_exactly(7) == b"+PONG\r\n"
            behind = pipes[i + 2:]                              # the next may have had its turn by real time
            for later in behind:
                later.socket.setblocking(False)
                with pytest.raises(BlockingIOError):
                    later.socket.recv(1)
                later.socket.settimeout(10)
        for pipe in pipes:
            pipe.socket.close()


def test_who_would_wait_too_long_is_turned_away(start_tls_larder):
    server = start_tls_larder(auth="no", args=["--tls-handshakes-per-second", 1])
    waiting = [socket.create_connection(("127.0.0.1", server.tls_port)) for _ in range(14)]

    def closed(s):
        s.setblocking(False)
        try:
            return s.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
    wait_until(lambda: closed(waiting[-1]))
    assert not any(closed(s) for s in waiting[:10])             # ten seconds' worth may wait
    assert "tls-handshakes-per-second is 1" in server.log()
    with server.raw() as raw:
        assert raw.call("CONFIG", "SET", "tls-handshakes-per-second", 0) == b"OK"
        server.clock.advance(1000)
        assert server.tls_raw().call("PING") == b"PONG"         # the limit is gone, and those who waited are let in
        for s in waiting:
            s.close()
        wait_until(lambda: clients(raw) == 1)


def test_server_ends_while_handshakes_wait(start_tls_larder):
    server = start_tls_larder(auth="no", args=["--tls-handshakes-per-second", 1])
    waiting = [socket.create_connection(("127.0.0.1", server.tls_port)) for _ in range(8)]
    server.stop()
    for s in waiting:
        s.close()
