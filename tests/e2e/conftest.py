"""Fixtures of the end-to-end tests. What is missing on this machine ends the run; nothing is skipped.

Each test module says at its head, in PACKAGES, which file it needs and which Debian package has it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

try:
    import websockets  # noqa: F401
except ImportError:
    pytest.exit("e2e: missing: python3-websockets. Install it: make deps-e2e", returncode=1)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from parts.background import Background  # noqa: E402
from parts.chromium import Chromium  # noqa: E402
from parts.gateway import OUT, ROOT, Gateway, config  # noqa: E402


def pytest_collection_finish(session):
    if not session.items or session.config.option.collectonly:
        return
    needed = {}
    for module in {item.module for item in session.items}:
        needed.update(module.PACKAGES)
    missing = sorted({package for file, package in needed.items() if not there(file)})
    if missing:
        pytest.exit(f"e2e: missing: {' '.join(missing)}. Install: make deps-e2e, or apt-get install", returncode=1)
    if not (OUT / "sluice").exists():
        pytest.exit(f"e2e: {OUT}/sluice is not there: run `make` first, or set OUT", returncode=1)


def there(file):
    return any(Path("/").glob(file.lstrip("/"))) if "/" in file else shutil.which(file)


@pytest.fixture(scope="session")
def out():
    """Where screenshots go: tests/e2e/out, ignored by git."""
    folder = HERE / "out"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    subprocess.run([ROOT / "certs/make", folder], check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture
def gateway(tmp_path, certs):
    """Starts a gateway on wss with these routes; ended, and its end checked, with the test."""
    running = []

    def start(routes, extra=""):
        running.append(Gateway(tmp_path, config(certs, routes, extra)))
        return running[-1]

    yield start
    for one in running:
        one.__exit__(None)


@pytest.fixture(scope="session")
def background():
    with Background() as one:
        yield one


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.end()


@pytest.fixture
def tell(capsys):
    """Prints a line that is seen although the test passes."""

    def line(text):
        with capsys.disabled():
            print(f"\n  {text}", flush=True)

    return line
