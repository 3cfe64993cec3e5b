"""What the README shows is what there is."""

import os
import re
import subprocess

import pytest

from lib.env import OUT

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "../../README.md"), encoding="utf-8") as file:
    README = file.read()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
EXAMPLE = next(text for kind, text in BLOCKS if kind == "yaml" and "desk.example.com" in text)
SHOWN = [text.split("\n", 1) for _, text in BLOCKS if text.startswith("$ sluice ")]


@pytest.mark.parametrize("command,output", SHOWN, ids=[command for command, _ in SHOWN])
def test_shown_output(tmp_path, certs, command, output):
    """On a machine where what the example names is there."""
    for name, made in [("server.crt",) * 2, ("server.key",) * 2, ("staff-ca.crt", "ca.crt"), ("internal-ca.crt", "ca.crt")]:
        (tmp_path / name).symlink_to(certs / made)
    example = EXAMPLE.replace("/srv/www", ".").replace("tls://db.internal", "tls://localhost")
    (tmp_path / "sluice.yaml").write_text(EXAMPLE)
    (tmp_path / "bad.yaml").write_text(example.replace("origin:", "orgin:").replace("tcp://", ""))
    words = command.removeprefix("$ sluice ").split()
    run = subprocess.run([os.path.join(OUT, "sluice"), *words], cwd=tmp_path, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    assert run.stdout == output


def test_there_is_output_to_compare():
    assert len(SHOWN) == 2


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:gateway|config|contrib|certs)/[\w./-]*\w)`", README))))
def test_named_files_are_there(path):
    assert os.path.exists(os.path.join(HERE, "../..", path))
