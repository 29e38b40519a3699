"""TLS for tests: certificates made with the openssl command, a server with a TLS port, and connections over it."""
import collections
import socket
import ssl
import subprocess

import redis

from .raw import Raw
from .server import Larder, free_port

Identity = collections.namedtuple("Identity", "cert key")


class Pki:
    """Files below `directory`. `ca` vouches for all but the strangers, whom `other_ca` vouches for."""

    def __init__(self, directory):
        self.dir = directory
        self.ca = self._authority("ca")
        self.other_ca = self._authority("other-ca")
        self.server = self.make("server")
        self.client = self.make("client")
        self.expired_server = self.make("expired-server", days=-1)
        self.expired_client = self.make("expired-client", days=-1)
        self.misnamed_server = self.make("misnamed-server", host="elsewhere.example")
        self.stranger = self.make("stranger", authority="other-ca")
        self.between = self.make("between", more="basicConstraints=critical,CA:TRUE\n")
        self.below = self.make("below", authority="between")

    def _openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], cwd=self.dir, check=True, capture_output=True, timeout=30)

    def _authority(self, name):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                      "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")
        return str(self.dir / f"{name}.crt")

    def make(self, name, authority="ca", days=30, host="localhost", password=None, more=""):
        """A certificate for `host` and 127.0.0.1, its key encrypted when there is a password; more: lines of extensions."""
        names = f"subjectAltName=DNS:{host}" + (",IP:127.0.0.1\n" if host == "localhost" else "\n")
        (self.dir / f"{name}.ext").write_text(names + more)
        protect = ["-passout", f"pass:{password}"] if password else ["-nodes"]
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", *protect,
                      "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
                      "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.crt")
        return Identity(str(self.dir / f"{name}.crt"), str(self.dir / f"{name}.key"))

    def context(self, identity=None, trust=True, version=None):
        """What a client has: it trusts `ca` unless told otherwise, shows `identity`, speaks only `version` if one is given."""
        context = ssl.create_default_context(cafile=self.ca)
        if not trust:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if identity:
            context.load_cert_chain(*identity)
        if version:
            context.minimum_version = context.maximum_version = version
        return context


class TlsLarder(Larder):
    """Larder with a TLS port beside the plain one. auth: the word of tls-auth-clients."""

    def __init__(self, directory, pki, auth="yes", identity=None, config_text="", args=()):
        super().__init__(directory, config_text, args)
        self.pki = pki
        self.auth = auth
        self.identity = identity or pki.server
        self.tls_port = None

    def command_line(self):
        self.tls_port = free_port()
        line = super().command_line()
        end = len(line) - len(self.args)                        # the test's own arguments come last, and win
        return line[:end] + [
            "--tls-port", str(self.tls_port), "--tls-cert-file", self.identity.cert, "--tls-key-file", self.identity.key,
            "--tls-ca-cert-file", self.pki.ca, "--tls-auth-clients", self.auth] + line[end:]

    def tls_client(self, identity=None, **options):
        """A redis.Redis over TLS that shows the good client certificate, or another."""
        cert, key = identity or self.pki.client
        return redis.Redis(**{"host": "localhost", "port": self.tls_port, "socket_timeout": 20, "ssl": True,
                              "ssl_ca_certs": self.pki.ca, "ssl_certfile": cert, "ssl_keyfile": key, **options})

    def tls_raw(self, context=None, timeout=10, session=None):
        """A harness.raw.Raw over TLS, handshake done; without a context as the good client."""
        return RawTls(self.tls_port, context or self.pki.context(self.pki.client), timeout, session)

    def tls_pipe(self, context=None, timeout=10):
        return TlsPipe(self.tls_port, context or self.pki.context(self.pki.client), timeout)


class RawTls(Raw):
    def __init__(self, port, context, timeout=10, session=None):
        super().__init__(("127.0.0.1", port), timeout)
        try:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost", session=session,
                                              suppress_ragged_eofs=False)
        except BaseException:
            self.socket.close()
            raise


class TlsPipe:
    """TLS whose records the test carries by hand: seal() gives the bytes, send() puts any piece of them on the wire."""

    def __init__(self, port, context, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.settimeout(timeout)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def seal(self, data):
        self.tls.write(data)
        return self.outgoing.read()

    def _pump(self, step, carry):
        """Does one step of TLS; carry(bytes) takes what has to go out meanwhile."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                if self.outgoing.pending:
                    carry(self.outgoing.read())
                data = self.socket.recv(1 << 16)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def shake_hands(self, carry=None):
        carry = carry or self.send
        self._pump(self.tls.do_handshake, carry)
        if self.outgoing.pending:
            carry(self.outgoing.read())
        return self

    def read_exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self._pump(lambda: self.tls.read(count - len(data)), self.send)
            if not piece:
                raise EOFError("close_notify")
            data += piece
        return data
