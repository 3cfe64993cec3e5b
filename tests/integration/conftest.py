"""Fixtures of the integration tests: certificates, gateways, targets, and the two-by-two of the relay."""

import fcntl
import ssl
import subprocess
import textwrap

import pytest
from lib.env import ROOT, SLUICE
from lib.gateway import Gateway
from lib.target import Target


def pytest_configure():
    if not SLUICE.exists():
        pytest.exit(f"{SLUICE} is not there: run make first", returncode=2)


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    """A folder with what certs/make makes; one for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    if base.name.startswith("popen-"):
        base = base.parent
    folder = base / "certs"
    with open(base / "certs.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "expired.key").exists():
            subprocess.run([ROOT / "certs" / "make", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def trust(certs):
    """A client's TLS context that trusts the test CA and verifies names."""
    return ssl.create_default_context(cafile=certs / "ca.crt")


@pytest.fixture(scope="session")
def serving_tls(certs):
    """Makes a TLS target's context from the name of a certificate."""

    def make(name="server"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs / f"{name}.crt", certs / f"{name}.key")
        return context

    return make


class Keeper:
    """keep(x) closes x when the test ends."""

    def __init__(self):
        self.kept = []

    def __call__(self, one):
        self.kept.append(one)
        return one

    def close(self):
        while self.kept:
            self.kept.pop().close()


@pytest.fixture
def keep():
    keeper = Keeper()
    yield keeper
    keeper.close()


@pytest.fixture
def target(keep):
    """Makes targets: target(), target(path), target(tls=context)."""
    return lambda *args, **kwargs: keep(Target(*args, **kwargs))


class Starter:
    def __init__(self, folder):
        self.folder = folder
        self.gateways = []

    def __call__(self, yaml=None, **kwargs):
        folder = self.folder / f"gateway{len(self.gateways)}"
        folder.mkdir()
        gateway = Gateway(folder, yaml and textwrap.dedent(yaml), **kwargs)
        self.gateways.append(gateway)
        return gateway

    def stop(self, keeper=None):
        """Ends clients and targets first: a gateway gives both their time to end."""
        for gateway in self.gateways:
            gateway.close_clients()
        if keeper:
            keeper.close()
        faults = []
        for gateway in self.gateways:
            try:
                gateway.stop()
            except AssertionError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]


@pytest.fixture
def start(tmp_path, keep):
    """start(yaml) starts a gateway, which is ended and looked over when the test ends."""
    starter = Starter(tmp_path)
    yield starter
    starter.stop(keep)


@pytest.fixture(scope="module")
def start_shared(tmp_path_factory):
    """The same for a gateway that all tests of a module share."""
    starter = Starter(tmp_path_factory.mktemp("shared"))
    yield starter
    starter.stop()


class Relay:
    """A gateway with one listener of the wanted scheme on the wanted engine."""

    def __init__(self, start, poller, scheme, certs, trust):
        self.start_gateway = start
        self.poller = poller
        self.scheme = scheme
        self.certs = certs
        self.tls = trust if scheme == "wss" else None
        self.gateway = None

    def start(self, routes, more="", **kwargs):
        """`routes` is the text of the list below `routes:`, `more` whatever else stands at the top."""
        listen = "listen:\n  - address: 127.0.0.1:0\n"
        if self.tls:
            listen += (
                "    tls:\n"
                "      certificates:\n"
                f"        - {{cert: {self.certs}/server.crt, key: {self.certs}/server.key}}\n"
            )
        routes = textwrap.indent(textwrap.dedent(routes).strip("\n"), "  ")
        text = f"poller: {self.poller}\n{listen}routes:\n{routes}\n{textwrap.dedent(more)}\n"
        self.gateway = self.start_gateway(text, **kwargs)
        assert self.gateway.ready["poller"] == self.poller
        return self.gateway

    def connect(self, **kwargs):
        return self.gateway.connect(tls=self.tls, **kwargs)

    def open(self, path="/", *, headers=(), **kwargs):
        """A client whose handshake is done."""
        return self.connect(**kwargs).upgrade(path, headers=headers)


@pytest.fixture(params=["ws", "wss"])
def scheme(request):
    return request.param


@pytest.fixture(params=["poll", "epoll"])
def poller(request):
    return request.param


@pytest.fixture
def relay(start, poller, scheme, certs, trust):
    return Relay(start, poller, scheme, certs, trust)


@pytest.fixture
def plain(start, certs, trust):
    """The same over plain TCP with the engine of the default, for what does not touch the relay's readiness."""
    return Relay(start, "auto", "ws", certs, trust)
