"""Who may come in over TLS, what is said of who may not, what is refused at start, and new certificates while it runs."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from harness.server import wait_until


def is_served(server, context):
    """Whether a client with this context gets an answer. In TLS 1.3 it learns of a refusal only when it reads."""
    try:
        with server.tls_raw(context) as raw:
            return raw.call("PING") == b"PONG"
    except (ssl.SSLError, ConnectionError, EOFError):
        return False


def serial(server, context):
    """Which certificate a newcomer is shown."""
    with server.tls_raw(context) as raw:
        assert raw.call("PING") == b"PONG"
        return raw.socket.getpeercert()["serialNumber"]


# ---- clients' certificates -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("auth, shown, served", [
    ("yes", "client", True), ("yes", None, False), ("yes", "stranger", False), ("yes", "expired_client", False),
    ("optional", "client", True), ("optional", None, True), ("optional", "stranger", False),
    ("optional", "expired_client", False),
    ("no", "client", True), ("no", None, True), ("no", "stranger", True), ("no", "expired_client", True),
])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_comes_in(start_tls_larder, pki, version, auth, shown, served):
    server = start_tls_larder(auth=auth)
    context = pki.context(getattr(pki, shown) if shown else None, version=version)
    assert is_served(server, context) == served
    if not served:
        words = {None: "it shows no certificate, and tls-auth-clients asks for one",
                 "stranger": "its certificate is refused: unable to get local issuer certificate",
                 "expired_client": "its certificate is refused: certificate has expired"}[shown]
        assert server.log().count(words) == 1 and server.log().count(" closed: ") == 1
    with server.raw() as plain:
        assert plain.call("PING") == b"PONG"


def test_trust_from_a_directory(start_tls_larder, pki, tmp_path):
    shutil.copy(pki.ca, tmp_path)
    subprocess.run(["openssl", "rehash", tmp_path], check=True, capture_output=True, timeout=20)
    server = start_tls_larder()
    with server.raw() as raw:
        assert raw.call("CONFIG", "SET", "tls-ca-cert-file", "", "tls-ca-cert-dir", tmp_path) == b"OK"
    assert is_served(server, pki.context(pki.client)) and not is_served(server, pki.context(pki.stranger))


# ---- the server's certificate, as clients judge it -----------------------------------------------------------------
@pytest.mark.parametrize("shown, reason", [("expired_server", "certificate expired"), ("stranger", "unknown ca"),
                                           ("misnamed_server", "bad certificate")])
def test_bad_certificates_of_the_server(start_tls_larder, pki, shown, reason):
    server = start_tls_larder(auth="no", identity=getattr(pki, shown))
    with pytest.raises(ssl.SSLCertVerificationError):
        server.tls_raw(pki.context())
    wait_until(lambda: "closed: it ended TLS: " in server.log())
    assert server.log().count("closed: it ended TLS: ") == 1 and reason in server.log()
    assert ("the certificate has expired; clients will refuse it" in server.log()) == (shown == "expired_server")
    assert is_served(server, pki.context(trust=False))


@pytest.mark.parametrize("where", ["nowhere", "in tls-cert-file", "in tls-ca-cert-file"])
def test_certificates_that_lead_to_the_root(start_tls_larder, pki, tmp_path, where):
    """`below` is vouched for by `between`, which clients do not know: the server has to show both."""
    files = {"cert": [pki.below.cert], "trust": [pki.ca]}
    if where != "nowhere":
        files["cert" if where == "in tls-cert-file" else "trust"].append(pki.between.cert)
    for name, parts in files.items():
        (tmp_path / name).write_text("".join(open(part, encoding="ascii").read() for part in parts))
    identity = type(pki.below)(str(tmp_path / "cert"), pki.below.key)
    server = start_tls_larder(auth="no", identity=identity, args=["--tls-ca-cert-file", tmp_path / "trust"])
    assert is_served(server, pki.context()) == (where != "nowhere")


# ---- one who speaks something else ---------------------------------------------------------------------------------
@pytest.mark.parametrize("words", [b"PING\r\n", b"*1\r\n$4\r\nPING\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0", b"\x80\x2e\x01"])
def test_no_tls_on_the_tls_port(start_tls_larder, words):
    server = start_tls_larder(auth="no")
    with socket.create_connection(("127.0.0.1", server.tls_port), 10) as s:
        s.sendall(words)
        assert s.recv(100) == b""
    assert server.log().count("closed: it does not speak TLS, and this is a TLS port") == 1


def test_garbage_that_begins_like_tls(start_tls_larder, rng):
    server = start_tls_larder(auth="no")
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", server.tls_port), 10) as s:
            s.sendall(b"\x16\x03" + rng.randbytes(rng.randrange(1, 20000)))
            s.shutdown(socket.SHUT_WR)
            try:
                while s.recv(1000):
                    pass
            except ConnectionResetError:
                pass
    assert server.log().count("the TLS handshake failed") >= 1
    with server.raw() as plain:
        assert plain.call("PING") == b"PONG"


def test_garbage_after_the_handshake(start_tls_larder, rng):
    server = start_tls_larder(auth="no")
    with server.tls_pipe() as pipe:
        pipe.shake_hands()
        record = bytearray(pipe.seal(b"SET k v\r\n"))
        record[-1] ^= 1
        pipe.send(bytes(record))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            pipe.read_exactly(1)
    assert "what it sends is not what TLS allows" in server.log()
    with server.raw() as plain:
        assert plain.call("EXISTS", "k") == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_on_the_plain_port(start_tls_larder, pki, version):
    server = start_tls_larder(auth="no")
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            pki.context(version=version).wrap_socket(s, server_hostname="localhost")
    assert server.log().count("it speaks TLS, and this port has none") == 1


def test_a_flood_is_one_line(start_tls_larder):
    server = start_tls_larder(auth="no")
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", server.tls_port), 10) as s:
            s.sendall(b"PING\r\n")
            assert s.recv(100) == b""
    assert server.log().count("it does not speak TLS") < 20


# ---- refused at start ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("lines, fault", [
    ("", "larder.conf:1: tls-cert-file: expected a file, since tls-port is set"),
    ("tls-cert-file gone.crt", "larder.conf:2: tls-cert-file: gone.crt: No such file or directory"),
    ("tls-cert-file text", "larder.conf:2: tls-cert-file: text: no start line"),
    ("tls-cert-file {cert}", "larder.conf:1: tls-key-file: expected a file, since tls-port is set"),
    ("tls-cert-file {cert}\ntls-key-file gone.key", "larder.conf:3: tls-key-file: gone.key: No such file or directory"),
    ("tls-cert-file {cert}\ntls-key-file {other_key}", "larder.conf:3: tls-key-file: {other_key}: key values mismatch"),
    ("{own}\ntls-ca-cert-file gone", "larder.conf:4: tls-ca-cert-file: gone: No such file or directory"),
    ("{own}\ntls-ca-cert-dir gone", "larder.conf:4: tls-ca-cert-dir: gone: No such file or directory"),
    ("{own}", "larder.conf:1: tls-auth-clients: clients are asked for certificates, but neither"),
    ("{own}\ntls-auth-clients no\ntls-ciphers NONSENSE", "larder.conf:5: tls-ciphers: NONSENSE: no cipher match"),
    ("{own}\ntls-auth-clients no\ntls-ciphersuites NONSENSE", "larder.conf:5: tls-ciphersuites: NONSENSE: "),
    ("{own}\ntls-auth-clients no\ntls-dh-params-file gone", "larder.conf:5: tls-dh-params-file: gone: No such file"),
    ("tls-protocols TLSv1", "larder.conf:2: tls-protocols: found \"TLSv1\", expected TLSv1.2, TLSv1.3 or both"),
    ("tls-auth-clients maybe", "larder.conf:2: tls-auth-clients: found \"maybe\", expected "),
    ("tls-replication yes", "larder.conf:2: tls-replication: found \"yes\", expected \"no\": this version cannot keep"),
    ("tls-cluster yes", "larder.conf:2: tls-cluster: found \"yes\", expected \"no\": this version cannot keep"),
    ("supervised upstart", "larder.conf:2: supervised: found \"upstart\", expected "),
])
def test_refused_at_start(run_larder, pki, tmp_path, lines, fault):
    names = {"cert": pki.server.cert, "other_key": pki.client.key,
             "own": f"tls-cert-file {pki.server.cert}\ntls-key-file {pki.server.key}"}
    (tmp_path / "text").write_text("this is no certificate\n")
    (tmp_path / "larder.conf").write_text("tls-port 1\n" + lines.format(**names) + "\n")
    done = run_larder("larder.conf", directory=tmp_path)
    assert done.returncode == 1 and fault.format(**names) in done.stderr and done.stderr.count("\n") == 1


def test_key_with_a_password(start_tls_larder, run_larder, pki, tmp_path):
    locked = pki.make("locked", password="open sesame")
    lines = f"port 0\ntls-port 1\ntls-auth-clients no\ntls-cert-file {locked.cert}\ntls-key-file {locked.key}\n"
    for password in ["", "tls-key-file-pass wrong\n"]:
        (tmp_path / "larder.conf").write_text(lines + password)
        done = run_larder("larder.conf", directory=tmp_path)
        assert done.returncode == 1 and f"larder.conf:5: tls-key-file: {locked.key}: " in done.stderr
        assert "wrong" not in done.stderr.replace("maybe wrong password", "")
    server = start_tls_larder(auth="no", identity=locked, config_text='tls-key-file-pass "open sesame"\n')
    assert is_served(server, pki.context())


def test_dh_parameters(start_tls_larder, pki, tmp_path):
    subprocess.run(["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048",
                    "-out", tmp_path / "dh.pem"], check=True, capture_output=True, timeout=60)
    server = start_tls_larder(auth="no", config_text=f"tls-dh-params-file {tmp_path}/dh.pem\n")
    assert is_served(server, pki.context())


# ---- choices -------------------------------------------------------------------------------------------------------
def test_protocols(start_tls_larder, pki):
    server = start_tls_larder(auth="no", config_text='tls-protocols "TLSv1.3"\n')
    assert is_served(server, pki.context(version=ssl.TLSVersion.TLSv1_3))
    assert not is_served(server, pki.context(version=ssl.TLSVersion.TLSv1_2))
    with server.raw() as raw:
        assert raw.call("CONFIG", "SET", "tls-protocols", "TLSv1.2") == b"OK"
        assert raw.call("CONFIG", "SET", "tls-protocols", "TLSv1.1").startswith(b"ERR CONFIG SET failed")
    assert not is_served(server, pki.context(version=ssl.TLSVersion.TLSv1_3))
    assert is_served(server, pki.context(version=ssl.TLSVersion.TLSv1_2))


def test_ciphers(start_tls_larder, pki):
    server = start_tls_larder(auth="no", config_text="tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256\n"
                              "tls-ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256\n")
    with server.tls_raw(pki.context(version=ssl.TLSVersion.TLSv1_3)) as raw:
        assert raw.socket.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"
    context = pki.context(version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    with server.tls_raw(context) as raw:
        assert raw.socket.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
        assert raw.call("CONFIG", "SET", "tls-prefer-server-ciphers", "yes") == b"OK"
    with server.tls_raw(context) as raw:
        assert raw.socket.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"


# ---- new certificates ----------------------------------------------------------------------------------------------
@pytest.fixture
def renewable(start_tls_larder, pki, tmp_path):
    """A server whose certificate files can be replaced: .renew() does it and returns the new serial number."""
    cert, key = tmp_path / "own.crt", tmp_path / "own.key"
    server = start_tls_larder(auth="no", identity=_put(pki.server, cert, key))

    def renew(name):
        _put(pki.make(name), cert, key)
        shown = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-serial"], check=True, capture_output=True, text=True)
        return shown.stdout.strip().removeprefix("serial=")
    server.renew = renew
    return server


def _put(identity, cert, key):
    shutil.copy(identity.cert, cert)
    shutil.copy(identity.key, key)
    return type(identity)(str(cert), str(key))


@pytest.mark.parametrize("way", ["SIGHUP", "CONFIG SET"])
def test_reload(renewable, pki, way):
    server, context = renewable, pki.context()
    before = serial(server, context)
    with server.tls_raw(context) as old, server.raw() as plain:
        renewed = server.renew(f"renewed-{way[0]}")
        assert serial(server, context) == before
        if way == "SIGHUP":
            server.signal(signal.SIGHUP)
            wait_until(lambda: "certificates and keys were read again" in server.log())
        else:
            assert plain.call("CONFIG", "SET", "tls-cert-file", server.identity.cert, "tls-key-file", server.identity.key) == b"OK"
        assert serial(server, context) == renewed != before
        assert old.call("PING") == b"PONG" and old.socket.getpeercert()["serialNumber"] == before


def test_reload_with_a_broken_file(renewable, pki):
    server, context = renewable, pki.context()
    before = serial(server, context)
    server.renew("broken")
    with open(server.identity.cert, "w", encoding="ascii") as file:
        file.write("-----BEGIN CERTIFICATE-----\nhalf of\n")
    server.signal(signal.SIGHUP)
    wait_until(lambda: "the former certificates and keys stay, since tls-cert-file is wrong" in server.log())
    assert serial(server, context) == before
    with server.raw() as raw:
        refusal = raw.call("CONFIG", "SET", "tls-cert-file", server.identity.cert)
        assert refusal.startswith(b"ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - " +
                                  server.identity.cert.encode())
        assert raw.call("CONFIG", "SET", "tls-cert-file", "/gone").endswith(b"/gone: No such file or directory")
        assert raw.call("CONFIG", "GET", "tls-cert-file") == [b"tls-cert-file", server.identity.cert.encode()]
        assert raw.call("CONFIG", "SET", "maxmemory", "1gb") == b"OK"       # the broken file is no matter of others
    assert serial(server, context) == before


@pytest.mark.concurrency
def test_reload_under_traffic(renewable, pki):
    """Requests on lasting connections and new connections all the while: none fails, and each sees the old or the new."""
    server, context, stop, faults = renewable, pki.context(), threading.Event(), []
    serials = [serial(server, context)]

    def lasting():
        with server.tls_raw(context) as raw:
            while not stop.is_set():
                assert raw.call("INCR", "n") > 0

    def coming_and_going():
        while not stop.is_set():
            assert serial(server, context) in serials

    def guarded(work):
        try:
            work()
        except BaseException as fault:
            faults.append(fault)
    threads = [threading.Thread(target=guarded, args=(work,)) for work in [lasting, lasting, coming_and_going, coming_and_going]]
    for thread in threads:
        thread.start()
    for i in range(5):
        serials.append(server.renew(f"traffic-{i}"))
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log().count("certificates and keys were read again") == i + 1)
        assert serial(server, context) == serials[-1]
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults, faults


def test_tls_is_switched_on_and_off(start_larder, pki):
    server = start_larder()
    with server.raw() as raw:
        assert raw.call("CONFIG", "SET", "tls-port", 1).endswith(b"expected a file, since tls-port is set")
        assert raw.call("CONFIG", "SET", "tls-cert-file", pki.server.cert, "tls-key-file", pki.server.key,
                        "tls-auth-clients", "no") == b"OK"
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        assert raw.call("CONFIG", "SET", "tls-port", port) == b"OK"

        def comes_in():
            try:
                with socket.create_connection(("127.0.0.1", port), 10) as s:
                    return pki.context().wrap_socket(s, server_hostname="localhost").version() == "TLSv1.3"
            except ConnectionError:
                return False
        wait_until(comes_in)
        assert raw.call("CONFIG", "SET", "tls-port", 0) == b"OK"
        wait_until(lambda: not comes_in())
        assert raw.call("PING") == b"PONG"


def test_secret_stays_secret(start_tls_larder, pki):
    locked = pki.make("locked-too", password="verysecret")
    server = start_tls_larder(auth="no", identity=locked, config_text="tls-key-file-pass verysecret\n")
    server.signal(signal.SIGHUP)
    wait_until(lambda: "certificates and keys were read again" in server.log())
    assert "verysecret" not in server.log() and os.path.exists(locked.key)
