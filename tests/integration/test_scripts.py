"""What the shell scripts say to arguments that are none."""

import os
import subprocess

import pytest
from lib.env import ROOT

USAGE = "usage: certs/make DIR   (for example certs/dev)\n"


def run(folder, *argv, **env):
    return subprocess.run(
        argv, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("args, status", [
    (["--help"], 0),
    (["-h"], 0),
    (["-x"], 2),
    (["--", "a"], 2),
    ([], 2),
    ([""], 2),
    (["a", "b"], 2),
])  # fmt: skip
def test_certs_make_takes_one_folder(tmp_path, args, status):
    done = run(tmp_path, ROOT / "certs/make", *args)
    assert (done.returncode, done.stdout + done.stderr) == (status, USAGE)
    assert bool(done.stdout) is (status == 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", ["99999", "65536", "x", "-1", "100000000000000000000"])
@pytest.mark.parametrize("name", ["PORT", "TLS_PORT"])
def test_demo_takes_ports(tmp_path, name, number):
    done = run(tmp_path, ROOT / "contrib/demo/run", **{"DEMO_ONCE": "", name: number})
    told = f'demo: PORT and TLS_PORT are numbers from 0 to 65535, not "{number}"\n'
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_demo_takes_two_ports(tmp_path):
    done = run(tmp_path, ROOT / "contrib/demo/run", DEMO_ONCE="", PORT="8443", TLS_PORT="8443")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "demo: PORT and TLS_PORT are both 8443: choose two\n")
