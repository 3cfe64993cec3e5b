"""The samples in config/: they are fine by the schema and by the program, and the two know the same keys."""

import copy
import json
import re
import shutil
import socket
import subprocess

import jsonschema
import pytest
import yaml
from lib.env import COUNTED, OUT, ROOT, SANITIZED, SLUICE

CONFIG = ROOT / "config"
SAMPLES = sorted(file.name for file in CONFIG.glob("*.yaml"))
SCHEMA = json.loads((CONFIG / "sluice.schema.json").read_text(encoding="utf-8"))


class Yaml12(yaml.SafeLoader):
    """Scalars as YAML 1.2's core schema has them, which editors follow: `off` is a word and no boolean."""


Yaml12.yaml_implicit_resolvers = {}
for tag, pattern, first in [
    ("bool", r"true|false", "tf"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?[0-9]+\.[0-9]+", "-+0123456789"),
    ("null", r"~|null|", ["~", "n", ""]),
]:
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first))


def parse(text):
    return yaml.load(text, Loader=Yaml12)


def by_schema(value):
    """What the schema has against it."""
    return [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(value)]


def check(file):
    return subprocess.run([SLUICE, "check", "-c", file], capture_output=True, text=True, timeout=60, check=False)


def resolved(schema):
    while "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    return schema


def variants(schema):
    """(schema, whether it may be in a list) of each mapping that a key's value may be."""
    schema = resolved(schema)
    if schema.get("type") == "object":
        yield schema, False
    for one in schema.get("oneOf", []) if "properties" not in schema else []:
        one = resolved(one)
        if one.get("type") == "array":
            yield from ((item, True) for item, _ in variants(one["items"]))


def keys_of(schema, prefix=""):
    for name, value in schema["properties"].items():
        yield prefix + name
        for below, in_list in variants(value):
            yield from keys_of(below, f"{prefix}{name}{'[]' if in_list else ''}.")


def mappings_of(schema):
    yield schema
    for value in schema["properties"].values():
        for below, _ in variants(value):
            yield from mappings_of(below)


@pytest.fixture(scope="module")
def tree(tmp_path_factory, certs):
    """A copy of config/ with certificates beside it, where each sample finds what it names."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copytree(CONFIG, root / "config")
    shutil.copytree(certs, root / "certs" / "dev")
    folder = root / "novnc"
    folder.mkdir()
    for name in SAMPLES:
        file = root / "config" / name
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("/usr/share/novnc", str(folder)), encoding="utf-8")
    return root


def test_schema_is_a_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_schema_is_strict_and_explains():
    for mapping in mappings_of(SCHEMA):
        assert mapping["additionalProperties"] is False
        for name, value in mapping["properties"].items():
            assert value.get("description"), name


def test_schema_and_program_have_the_same_keys():
    program = subprocess.run(
        [OUT / "tests" / "test_load", "--keys"], capture_output=True, text=True, timeout=60, check=True
    )
    assert sorted(set(keys_of(SCHEMA))) == sorted(program.stdout.split())


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_fits_the_schema(name):
    text = (CONFIG / name).read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# yaml-language-server: $schema=sluice.schema.json"
    assert by_schema(parse(text)) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_is_fine_by_the_program(name, tree):
    result = check(tree / "config" / name)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith(": fine\n")


def test_reference_has_every_key():
    def keys_in(value, prefix=""):
        if isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    yield from keys_in(item, prefix)
        elif isinstance(value, dict):
            for name, below in value.items():
                yield prefix + name
                yield from keys_in(below, f"{prefix}{name}.")

    reference = parse((CONFIG / "reference.yaml").read_text(encoding="utf-8"))
    assert set(keys_in(reference)) == {key.replace("[]", "") for key in keys_of(SCHEMA)}


def test_manual_has_every_key():
    words = set(re.findall(r"\w+", (ROOT / "contrib/man/sluice.yaml.5").read_text(encoding="utf-8")))
    assert [key for key in keys_of(SCHEMA) if ".close_codes." not in key and key.split(".")[-1] not in words] == []


BASE = {
    "listen": [{"address": "127.0.0.1:8080"}],
    "routes": [{"path": "/a", "target": "tls://127.0.0.1:9"}, {"path": "/b", "files": "."}],
}

# Where in BASE, what to put there (None: take the key out), and whether that is fine.
ROWS = [
    ("poller", "epoll", True),
    ("poller", "kqueue", False),
    ("listen", None, False),
    ("listen", [], False),
    ("listen", {"address": ":8080"}, True),
    ("listen.0.address", "unix:/tmp/sluice-test.sock", True),
    ("listen.0.address", "unix:///run/s", False),
    ("listen.0.address", "[::1]:0", True),
    ("listen.0.address", "127.0.0.1", False),
    ("listen.0.tls", {}, False),
    ("listen.0.address", "fd:sluice.socket", True),
    ("listen.0.address", "fd:", False),
    ("listen.0.address", "fd:a:1", False),
    ("listen.0.proxy_protocol", "off", True),
    ("listen.0.proxy_protocol", "require", False),
    ("listen.0.proxy_protocol", "on", False),
    ("listen.0.trusted_proxies", ["10.0.0.0/8", "::1", "unix:"], True),
    ("listen.0.trusted_proxies", "any", False),
    ("listen.0.trusted_proxies", "unix", False),
    ("listen", {"address": ":0", "proxy_protocol": "require", "trusted_proxies": "10.0.0.5"}, True),
    ("listen", {"address": "unix:/tmp/s", "proxy_protocol": "require", "trusted_proxies": "unix:"}, True),
    ("listen", {"address": "unix:/tmp/s", "mode": "0660"}, True),
    ("listen", {"address": "unix:/tmp/s", "mode": "777"}, True),
    ("listen", {"address": "unix:/tmp/s", "mode": "0444"}, False),
    ("listen", {"address": "unix:/tmp/s", "mode": "0888"}, False),
    ("listen", {"address": "unix:/tmp/s", "mode": "4777"}, False),
    ("listen", {"address": "unix:/tmp/s", "mode": "rw"}, False),
    ("listen", {"address": "fd:web", "mode": "0660"}, False),
    ("listen.0.mode", "0660", False),
    ("routes", {"target": "tcp://127.0.0.1:1"}, True),
    ("routes.0.orgin", "any", False),
    ("routes.0.target", None, False),
    ("routes.0.target", "10.0.0.5:5900", False),
    ("routes.0.target", ["tcp://127.0.0.1:1", "tls://127.0.0.1:1", "unix:/a"], True),
    ("routes.0.target", ["tcp://127.0.0.1:1", "tcp://127.0.0.1:1"], False),
    ("routes.0.target", [f"tcp://127.0.0.1:{port}" for port in range(1, 65)], True),
    ("routes.0.target", [f"tcp://127.0.0.1:{port}" for port in range(1, 66)], False),
    ("routes.0.target", ["tcp://127.0.0.1:1"], True),
    ("routes.0.balance", "round_robin", True),
    ("routes.0.balance", "random", False),
    ("routes.0.connect_retry", True, True),
    ("routes.0.connect_retry", 3, False),
    ("routes.0.target_proxy_protocol", "v2", True),
    ("routes.0.target_proxy_protocol", "on", False),
    ("routes.0.egress", {"allow": ["127.0.0.0/8", "::1"], "deny": "10.0.0.0/8"}, True),
    ("routes.0.egress", {"allow": "any"}, False),
    ("routes.0.egress", ["10.0.0.0/8"], False),
    ("routes.1.egress", {"deny": "10.0.0.0/8"}, False),
    ("egress", {"deny": ["0.0.0.0/8", "fd00::/8"]}, True),
    ("sandbox", "auto" if SANITIZED or COUNTED else "strict", True),  # a build for tests has none to be strict about
    ("sandbox", "on", False),
    ("egress", {"denied": "0.0.0.0/8"}, False),
    ("routes.1.balance", "first", False),
    ("routes.1.connect_retry", False, False),
    ("routes.1.target_proxy_protocol", "off", False),
    ("routes.0.target", [], False),
    ("routes.0.files", ".", False),
    ("routes.0.target_tls", {"verify": False}, True),
    ("routes.0.target_tls", {"verify": "no"}, False),
    ("routes.0.target_tls", {"cert": "a"}, False),
    ("routes.1.target_tls", {"verify": False}, False),
    ("routes.1.timeouts", {"idle": "1s"}, False),
    ("routes.0.host", ["a.example", "*.a.example", "[::1]", "10.0.0.1"], True),
    ("routes.0.host", "a.example:80", False),
    ("routes.0.host", "https://a.example", False),
    ("routes.0.host", "a.*.example", False),
    ("routes.0.host", "any", False),
    ("routes.0.host", [], False),
    ("routes.0.path", ["/", "/*", "/a", "/a/*"], True),
    ("routes.0.path", "a", False),
    ("routes.0.path", "/a*", False),
    ("routes.0.path", "/a/*/b", False),
    ("routes.0.path", "/a?b", False),
    ("routes.0.from", ["10.0.0.0/8", "fd00::/8", "192.0.2.7", "::1"], True),
    ("routes.0.from", "any", False),
    ("routes.0.origin", ["same", "any", "none", "https://a", "http://*.a.example:81", "https://[::1]:1"], True),
    ("routes.0.origin", "*", False),
    ("routes.0.origin", "https://a/", False),
    ("routes.0.origin", "ws://a", False),
    ("routes.0.subprotocol", ["any", "none", "v1.k8s.io"], True),
    ("routes.0.subprotocol", "a b", False),
    ("routes.0.subprotocol", "*", False),
    ("routes.0.messages", "any", True),
    ("routes.0.messages", "both", False),
    ("routes.0.close_codes", {"target_eof": 4000, "idle": 1000}, True),
    ("routes.0.close_codes", {"target_eof": 1005}, False),
    ("routes.0.close_codes", {"target_eof": "1000"}, False),
    ("routes.0.close_codes", {"client_close": 1000}, False),
    ("routes.0.timeouts", {"idle": "off", "ping": "1ms", "connect": "720h"}, True),
    ("routes.0.timeouts", {"handshake": "1s"}, False),
    ("routes.0.limits", {"sessions": "off", "message": "off", "buffer": "4KiB"}, True),
    ("routes.0.limits", {"request": "1KiB"}, False),
    ("routes.0.limits", {"sessions_per_client": 5}, False),
    ("routes.0.limits", {"new_sessions_per_client": "1/s"}, False),
    ("routes.0.limits", {"rate": {"up": "1MiB", "down": "off"}}, True),
    ("routes.0.limits", {"rate": "1MiB"}, False),
    ("routes.0.timeouts", {"drain": "1s"}, False),
    ("timeouts", {"connect": "off"}, False),
    ("timeouts", {"idle": "10"}, False),
    ("timeouts", {"idle": 10}, False),
    ("timeouts", {"drain": "off"}, True),
    ("timeouts", {"drain": 60}, False),
    ("limits", {"sessions_per_client": 5, "new_sessions_per_client": "1000000/h", "rate": {"up": "1KiB"}}, True),
    ("limits", {"sessions_per_client": 0}, False),
    ("limits", {"new_sessions_per_client": "0/s"}, False),
    ("limits", {"new_sessions_per_client": 5}, False),
    ("limits", {"rate": {"up": 5}}, False),
    ("limits", {"sessions": 0}, False),
    ("limits", {"sessions": "5"}, False),
    ("limits", {"buffer": "off"}, False),
    ("limits", {"request": 16384}, False),
    ("limits", {"request": "16KB"}, False),
    ("log", {"level": "debug", "format": "json", "output": "./a.log"}, True),
    ("log", {"level": "warn"}, False),
    ("log", {"output": "syslog", "rate": "100/s"}, True),
    ("log", {"rate": "fast"}, False),
    ("log", {"output": "stdout"}, False),
    ("workers", "auto", True),
    ("workers", 512, True),
    ("workers", 0, False),
    ("workers", 513, False),
    ("workers", "2", False),
    ("user", "root", True),
    ("user", "0", False),
    ("user", "a:b", False),
    ("reload", {"revoke": True}, True),
    ("reload", {"revoke": "yes"}, False),
    ("admin", {"address": "127.0.0.1:9901"}, True),
    ("admin", {"address": "LocalHost:0"}, True),
    ("admin", {"address": "unix:/tmp/sluice-admin.sock"}, True),
    ("admin", {"address": ":9901"}, False),
    ("admin", {"address": "127.example:9901"}, False),
    ("admin", {"address": ":9901", "allow": ["10.0.0.0/8", "::1"]}, True),
    ("admin", {"address": "fd:admin", "allow": "10.0.0.0/8"}, False),
    ("admin", {"allow": "10.0.0.0/8"}, False),
    ("admin", "127.0.0.1:9901", False),
]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


def changed(where, value):
    base = copy.deepcopy(BASE)
    *way, last = where.split(".")
    node = base
    for step in way:
        node = node[int(step)] if isinstance(node, list) else node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return base


@pytest.mark.parametrize("where, value, fine", ROWS, ids=[f"{row[0]}={row[1]}" for row in ROWS])
def test_schema_and_program_agree(where, value, fine, tmp_path):
    if value == "[::1]:0" and not has_ipv6():
        pytest.skip("no IPv6 on this machine")
    config = changed(where, value)
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")  # which is YAML as well
    assert (by_schema(config) == []) is fine
    result = check(file)
    assert result.returncode == (0 if fine else 2), result.stderr
