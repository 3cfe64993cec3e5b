"""System calls, OpenSSL and memory fail: one call of each function (tests/faults/run tries as many as wished)."""

import os
import subprocess
import sys

import pytest

from lib.env import OUT, ROOT, SANITIZED, UNDER_VALGRIND

FAULTS = ROOT / "tests/faults/run"


@pytest.mark.skipif(UNDER_VALGRIND, reason="the shim and valgrind both stand in malloc's place")
@pytest.mark.parametrize("poller", ["epoll", "poll"])
def test_a_call_of_each_function_fails(poller):
    only = [] if poller == "epoll" else ["--only", "^(poll|malloc|calloc|recv|send|accept4|connect|eintr|short)$"]
    done = subprocess.run(
        [sys.executable, FAULTS, "--points", "1", "--poller", poller, *only],
        env=dict(os.environ, OUT=str(OUT)),
        capture_output=True,
        text=True,
        timeout=1200 if SANITIZED else 400,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert ", 0 unexplained, " in done.stdout
