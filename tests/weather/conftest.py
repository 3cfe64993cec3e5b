"""Fixtures of the weather tests: a network of a test's own, with the gateway in its midst."""

import os
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "integration"))

# pylint: disable=wrong-import-position
import network  # noqa: E402
from lib.env import ROOT, SLUICE  # noqa: E402
from lib.gateway import Gateway  # noqa: E402
from lib.target import Target  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "short: takes seconds, and is run by `make test` too")
    if not SLUICE.exists():
        pytest.exit(f"{SLUICE} is not there: run make first", returncode=2)


def pytest_collection_modifyitems(items):
    why = network.missing()
    if why:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    subprocess.run([ROOT / "certs" / "make", folder], check=True, capture_output=True)
    return folder


class World:
    """A network, a gateway and a target in it."""

    def __init__(self, folder, scheme, certs):
        self.net = network.Network()
        self.folder = folder
        self.certs = certs
        self.tls = ssl.create_default_context(cafile=certs / "ca.crt") if scheme == "wss" else None
        self.gateway = None
        self.targets = []

    def target(self, **kwargs):
        with self.net.inside("target"):
            server = Target(host=network.ADDRESSES["target"], **kwargs)
        self.targets.append(server)
        return server

    def start(self, url, timeouts="", more=""):
        """One route, to `url`."""
        listen = f"  - address: {network.ADDRESSES['gateway']}:0\n"
        if self.tls:
            listen += f"    tls: {{certificates: {{cert: {self.certs}/server.crt, key: {self.certs}/server.key}}}}\n"
        text = f'listen:\n{listen}routes:\n  - {{name: there, target: "{url}"}}\ntimeouts: {{{timeouts}}}\n'
        self.gateway = Gateway(self.folder, text + textwrap.dedent(more), prefix=self.net.prefix("gateway"))
        return self.gateway

    def open(self, **kwargs):
        with self.net.inside("client"):
            return self.gateway.connect(tls=self.tls, **kwargs).upgrade()

    def close(self):
        try:
            if self.gateway:
                self.gateway.close_clients()
                for server in self.targets:
                    server.close()
                self.gateway.terminate()
                self.gateway.terminate()
                self.gateway.stop()
        finally:
            self.net.close()


@pytest.fixture(params=["ws", "wss"])
def scheme(request):
    return request.param


@pytest.fixture
def world(tmp_path, scheme, certs):
    made = World(tmp_path, scheme, certs)
    yield made
    made.close()


@pytest.fixture
def plain(tmp_path, certs):
    """For what TLS cannot change."""
    made = World(tmp_path, "ws", certs)
    yield made
    made.close()
