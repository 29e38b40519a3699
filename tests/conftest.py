"""The fixtures of the end-to-end tests. tests/README.md shows how a test is written."""
import faulthandler
import random
import signal

import pytest

from harness import scale as run
from harness import server as servers
from harness import tls

LIMIT_SECONDS = run.scale(small=120, normal=120, long=3600)


# ---- servers -------------------------------------------------------------------------------------------------------
def _starter(tmp_path_factory, kind):
    """Yields start(...) -> server, and stops afterwards what it has started."""
    started = []

    def start(*, env=None, **options):
        server = kind(tmp_path_factory.mktemp(kind.__name__.lower()), **options)
        started.append(server)
        return server.start(env)

    yield start
    faults = []
    for server in started:
        try:
            server.stop()
        except AssertionError as fault:     # the others are stopped all the same
            faults.append(str(fault))
    assert not faults, "\n".join(faults)


@pytest.fixture
def start_larder(tmp_path_factory):
    """start_larder(config_text="...", args=["--threads", 2], env={...}): a server for this test alone."""
    yield from _starter(tmp_path_factory, servers.Larder)


@pytest.fixture(scope="module")
def _start_for_module(tmp_path_factory):
    yield from _starter(tmp_path_factory, servers.Larder)


@pytest.fixture(scope="module")
def server(request, _start_for_module):
    """One server for the file, with the file's LARDER_CONFIG and LARDER_ARGS if it has them."""
    return _start_for_module(config_text=getattr(request.module, "LARDER_CONFIG", ""),
                             args=getattr(request.module, "LARDER_ARGS", ()))


@pytest.fixture
def larder(server):
    """A client of the file's server, with an empty keyspace."""
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """Certificates of all kinds, good and bad: harness.tls.Pki."""
    return tls.Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def start_tls_larder(tmp_path_factory, pki):
    """start_tls_larder(auth="yes", identity=pki.server, config_text="", args=[]): a server with a TLS port beside the plain
    one: .tls_port, .tls_client(**options) and .tls_raw(context)."""
    for start in _starter(tmp_path_factory, tls.TlsLarder):
        yield lambda **options: start(pki=pki, **options)


@pytest.fixture
def run_larder():
    """run_larder("larder.conf", "--port", 0): runs it to its end; .returncode .stdout .stderr"""
    return servers.run_larder


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    """A real redis-server to compare with, one for the file."""
    starter = _starter(tmp_path_factory, servers.RedisServer)
    yield next(starter)()
    next(starter, None)


@pytest.fixture
def oracle(redis_server):
    """A client of that redis-server, with an empty keyspace."""
    with redis_server.client() as client:
        client.flushall()
        yield client


# ---- chance and amounts --------------------------------------------------------------------------------------------
@pytest.fixture
def rng(request):
    """random.Random for this test: the same for the same LARDER_SEED, whatever other tests do."""
    return random.Random(f"{run.SEED} {request.node.nodeid}")


@pytest.fixture
def scale():
    """scale(small=, normal=, long=): the amount for this run."""
    return run.scale


def pytest_configure():
    """A run in the background has SIGINT ignored, and what it starts would inherit that: bash never traps such a signal."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{servers.binary()}: LARDER_TEST_SCALE={run.SCALE} LARDER_SEED={run.SEED}")


# ---- a hang fails, and a failure shows the servers' logs -----------------------------------------------------------
def _out_of_time(_signal, _frame):
    raise TimeoutError("the test took too long")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Past its limit a test gets a TimeoutError; if not even that helps, the whole run ends with all stacks shown."""
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT_SECONDS
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(seconds + 120, exit=True)
    yield
    signal.alarm(0)
    faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for server in servers.running:
            report.sections.append((f"log of {type(server).__name__} {server.pid}", server.log()[-4000:]))
