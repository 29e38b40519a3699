"""A private PostgreSQL, for tests and for bench/readthrough.py.

A cluster of its own in a directory of its own, on a free port of 127.0.0.1 and a unix socket. It is ended by its pid, and with
the run that started it whatever happens to that. PostgreSQL refuses to run as root: then it runs as the user that Debian's
package has made. Its `main` cluster has no part in this.
"""
import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from .server import START_SECONDS, STOP_SECONDS, _die_with_parent, free_port


def programs():
    """The directory of initdb and postgres; None where PostgreSQL is not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return pathlib.Path(found[-1]).parent if found else None


def _identity():
    """Who runs the server, as arguments of subprocess."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class SqlError(Exception):
    """What psql wrote to stderr."""


class Psql:
    """A session of psql that stays open. psql("SELECT 1") returns rows as lists of text, NULL as an empty one."""

    END = "-- end of the answer"

    def __init__(self, url):
        self.process = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "VERBOSITY=terse", url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
            env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}, preexec_fn=_die_with_parent)

    def send(self, sql):
        """Without waiting for the end."""
        self.process.stdin.write(f"{sql};\n\\echo '{self.END}'\n")
        self.process.stdin.flush()

    def receive(self):
        rows = []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line == self.END:
                return rows
            if line.startswith(("ERROR:", "FATAL:", "psql: error:")):
                rows = SqlError(line)
            elif isinstance(rows, list):
                rows.append(line.split("\x1f"))
        raise SqlError("psql has ended")

    def __call__(self, sql):
        self.send(sql)
        rows = self.receive()
        if isinstance(rows, SqlError):
            raise rows
        return rows

    def value(self, sql):
        return self(sql)[0][0]

    def close(self):
        """Harmless when closed."""
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Postgres:
    """A cluster. Superuser `postgres`; who connects needs no password unless `password` is given, which then is that of `app`.
    With `tls` it has a certificate of its own and speaks TLS to who asks for it."""

    def __init__(self, password=None, tls=False, settings=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="larder-postgres-"))
        self.data = self.dir / "data"
        self.settings = dict(settings, ssl="on") if tls else dict(settings)
        self.process = None
        self.sessions = []
        self.port = None
        identity = _identity()
        if identity:
            os.chown(self.dir, identity["user"], identity["group"])
        self._run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
        if password:
            (self.data / "pg_hba.conf").write_text("local all all trust\nhost all app 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n")
        if tls:
            self._run("/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", 2,
                      "-keyout", self.data / "server.key", "-out", self.data / "server.crt")
            (self.data / "server.key").chmod(0o600)
        self.start()
        if password:
            self.psql()(f"CREATE ROLE app LOGIN PASSWORD '{password}'")

    def _run(self, program, *args):
        done = subprocess.run([programs() / program, *map(str, args)], capture_output=True, text=True, check=False, cwd=self.dir, **_identity())
        assert done.returncode == 0, done.stderr

    def start(self):
        """On the port that it had, if it had one."""
        self.port = self.port or free_port()
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.dir, "fsync": "off",
                   "max_connections": 40, "log_min_messages": "warning", **self.settings}
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(
                [programs() / "postgres", "-D", self.data, *(f"--{name}={value}" for name, value in options.items())],
                cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent, **_identity())
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run([programs() / "pg_isready", "-q", "-h", str(self.dir), "-p", str(self.port)], check=False).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        return self

    def log(self):
        return (self.dir / "log").read_text(errors="replace")

    def url(self, database="postgres", user="postgres", password=None):
        return f"postgresql://{user}{':' + password if password else ''}@127.0.0.1:{self.port}/{database}"

    def psql(self, database="postgres"):
        """A session over the unix socket; closed with the server."""
        session = Psql(f"postgresql:///{database}?host={self.dir}&port={self.port}&user=postgres")
        self.sessions.append(session)
        return session

    def make(self, database, sql="SELECT 1"):
        """A new database, made with a script. Returns a session."""
        self._run("createdb", "-h", self.dir, "-p", self.port, "-U", "postgres", database)
        session = self.psql(database)
        session(sql)
        return session

    def close_sessions(self):
        for session in self.sessions:
            session.close()
        self.sessions = []

    def end(self, number=signal.SIGINT):
        """SIGINT: all connections are closed and it ends; SIGQUIT: as in a crash."""
        self.close_sessions()
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(STOP_SECONDS)

    def crash(self):
        self.end(signal.SIGQUIT)

    def remove(self):
        self.end()
        shutil.rmtree(self.dir, ignore_errors=True)
