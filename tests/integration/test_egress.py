"""egress: which addresses a target may have, once its name was looked up."""

import socket

import pytest
from lib.checks import logged_end
from lib.mounts import mounted
from lib.target import Target, echo
from lib.ws import request


@pytest.fixture
def names(tmp_path):
    """names(hosts) is a prefix that runs a program where those are the names."""

    def prefix(hosts):
        texts = {"hosts": hosts, "host.conf": "multi on\n", "nsswitch.conf": "hosts: files\n"}
        for name, text in texts.items():
            (tmp_path / name).write_text(text, encoding="ascii")
        return mounted(tmp_path, [(name, f"/etc/{name}") for name in texts])

    return prefix


def listens_beside(server, host):
    """Another target with the same port, at `host`."""
    other = Target.__new__(Target)
    other.__dict__.update(server.__dict__, streams=[], threads=[], path=None)
    other.listener = socket.create_server((host, server.port))
    other.listener.settimeout(server.listener.gettimeout())
    return other


def test_only_the_addresses_that_are_allowed_are_tried(start, target, keep, names):
    one = target().serve(echo)
    two = keep(listens_beside(one, "127.0.0.2")).serve(echo)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        routes:
          - {{path: /one, target: "tcp://both.test:{one.port}", egress: {{deny: 127.0.0.2}}}}
          - {{path: /two, target: "tcp://both.test:{one.port}", egress: {{allow: [127.0.0.2, "::/0"]}}}}
        """,
        prefix=names("127.0.0.1 both.test\n127.0.0.2 both.test\n"),
    )
    for path, this, that in (("/one", one, two), ("/two", two, one)):
        before = len(this.streams), len(that.streams)
        for _ in range(4):
            client = gateway.connect().upgrade(path)
            client.send_binary(b"hello")
            assert client.take_payload(5) == b"hello"
        assert (len(this.streams), len(that.streams)) == (before[0] + 4, before[1])


def test_a_name_of_denied_addresses_cannot_be_reached(start, names):
    gateway = start(
        """
        listen: {address: 127.0.0.1:0}
        routes:
          - {path: /metadata, target: "tcp://metadata.test:80"}
          - {path: /http, on_unreachable: http, target: "tcp://metadata.test:80"}
        """,
        prefix=names("169.254.169.254 metadata.test\nfd00:ec2::254 metadata.test\n"),
    )
    client = gateway.connect().upgrade("/metadata")
    assert client.take_closing()[1] == 1014
    client.close()
    logged_end(gateway, client, "target_unreachable", 1014, 0, 0)
    failed = gateway.wait_event("target_failed")
    assert failed["cause"] == "target_unreachable"
    for address in ("169.254.169.254:80", "[fd00:ec2::254]:80"):
        assert f"{address}: denied by egress (a cloud's metadata service)" in failed["detail"]
    answer = gateway.connect().ask(request("/http"))
    assert answer.status == 502


def test_the_top_is_for_routes_without_their_own(start, target):
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        egress: {{deny: [127.0.0.0/8, "::1"]}}
        routes:
          - {{path: /top, target: "tcp://localhost:{server.port}"}}
          - {{path: /own, target: "tcp://localhost:{server.port}", egress: {{deny: "::1"}}}}
        """
    )
    client = gateway.connect().upgrade("/top")
    assert client.take_closing()[1] == 1014
    client.close()
    assert "denied by egress (in its deny)" in gateway.wait_event("target_failed")["detail"]
    client = gateway.connect().upgrade("/own")
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"
