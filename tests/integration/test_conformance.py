"""The conformance suite, on every engine, scheme and kind of messages."""

import subprocess

import pytest
from lib.env import ROOT, SCALE, UNDER_VALGRIND
from lib.target import echo

RUN = ROOT / "tests" / "conformance" / "run"


@pytest.mark.skipif(UNDER_VALGRIND, reason="seven thousand sessions")
@pytest.mark.parametrize("messages", ["binary", "text", "any"])
def test_conformance(relay, target, certs, messages):
    server = target().serve(echo)
    relay.start(f'- {{name: echo, path: /echo, origin: any, messages: {messages}, target: "{server.url}"}}')
    host, port = relay.gateway.address()
    url = f"{relay.scheme}://localhost:{port}/echo"
    # What `any` adds to `binary` is text; the rest would be the same again.
    families = ["--family", "text"] if messages == "any" else []
    done = subprocess.run(
        [RUN, "--messages", messages, "--ca", certs / "ca.crt", "--jobs", "2", *families, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300 * SCALE,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert "0 right" not in done.stdout.splitlines()[-1]
