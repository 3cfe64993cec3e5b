"""Several targets of a route, over real listeners: which one serves, and what a dead one costs."""

import threading
import time

import pytest
from lib.checks import logged_end
from lib.target import FullBacklog, Target


class Named:
    """Targets that say who they are; each is at a port that stays its own while it is down."""

    def __init__(self, keep, names):
        self.keep = keep
        self.targets = {}
        for name in names:
            self.targets[name] = keep(Target(backlog=None))  # bound, and refuses

    def up(self, *names):
        for name in names:
            server = self.targets[name]
            server.listener.listen(16)
            server.serve(lambda stream, name=name: self.talk(stream, name))

    @staticmethod
    def talk(stream, name):
        stream.send(name.encode())
        while stream.fill():
            stream.buf.clear()
        stream.close()

    def yaml(self):
        return "[" + ", ".join(f'"{one.url}"' for one in self.targets.values()) + "]"


@pytest.fixture
def named(keep):
    return lambda names: Named(keep, names)


def ask(gateway):
    """Who serves a new session, which stays."""
    client = gateway.connect().upgrade()
    client.who = client.take_payload(1).decode()
    return client


def leave(gateway, client):
    client.send_close(1000)
    client.take_closing()
    client.close()
    return gateway.session_end(client)


def test_first(plain, named):
    servers = named("abc")
    servers.up("b", "c")
    gateway = plain.start(f"- {{target: {servers.yaml()}}}")
    clients = [ask(gateway) for _ in range(5)]
    assert "".join(client.who for client in clients) == "bbbbb"
    assert len(gateway.events("target_failed")) == 1  # it is passed over by the others
    failed = gateway.events("target_failed")[0]
    assert (failed["target"], failed["cause"]) == (servers.targets["a"].url, "target_refused")
    for client in clients:
        assert leave(gateway, client)["target"] == servers.targets["b"].url


def test_round_robin(plain, named):
    servers = named("abc")
    servers.up("a", "b", "c")
    gateway = plain.start(f"- {{target: {servers.yaml()}, balance: round_robin}}")
    who = "".join(ask(gateway).who for _ in range(9))
    assert who in ("abcabcabc", "bcabcabca", "cabcabcab")


def test_least_sessions(plain, named):
    servers = named("abc")
    servers.up("a", "b", "c")
    gateway = plain.start(f"- {{target: {servers.yaml()}, balance: least_sessions}}")
    clients = [ask(gateway) for _ in range(6)]
    assert "".join(client.who for client in clients) == "abcabc"
    for client in (clients[1], clients[4]):
        leave(gateway, client)
    # The target's own FIN, which ends its count, may come a little after the client's end.
    deadline = time.monotonic() + 20
    while ask(gateway).who != "b":
        assert time.monotonic() < deadline


def test_one_that_comes_back(relay, named):
    servers = named("ab")
    servers.up("b")
    gateway = relay.start(f"- {{target: {servers.yaml()}}}")

    def who():
        client = relay.open()
        name = client.take_payload(1).decode()
        client.send_close(1000)
        client.take_closing()
        return name

    assert who() == "b"
    servers.up("a")
    deadline = time.monotonic() + 30
    while who() != "a":
        assert time.monotonic() < deadline
    back = gateway.wait_event("target_back")
    assert back["target"] == servers.targets["a"].url
    assert int(back["failures"]) >= 1
    assert who() == "a"


def test_one_that_starts_late(relay, named):
    servers = named("a")
    gateway = relay.start("- {target: %s, connect_retry: true, timeouts: {connect: 30s}}" % servers.yaml())
    client = relay.open()
    gateway.wait_event("target_failed", count=3)
    servers.up("a")
    assert client.take_payload(1) == b"a"
    gateway.wait_event("target_back")
    assert not gateway.events("session_end")


def test_a_client_that_does_not_wait(plain, named):
    servers = named("ab")
    gateway = plain.start("- {target: %s, connect_retry: true, timeouts: {connect: 60s}}" % servers.yaml())
    client = plain.open()
    gateway.wait_event("target_failed", count=3)
    client.close()
    logged_end(gateway, client, "client_gone", None, 0, 0)


def test_retries_that_are_in_vain(plain, named):
    servers = named("ab")
    gateway = plain.start("- {target: %s, connect_retry: true, timeouts: {connect: 1s}}" % servers.yaml())
    client = plain.open()
    _, code, _ = client.take_closing()
    assert code == 1014
    logged_end(gateway, client, "target_refused", 1014, 0, 0)
    assert len(gateway.events("target_failed")) >= 4


@pytest.mark.parametrize("retry", ["false", "true"])
def test_a_black_hole(plain, named, keep, retry):
    servers = named("b")
    servers.up("b")
    hole = keep(FullBacklog())
    gateway = plain.start(
        f'- {{target: ["{hole.url}", "{servers.targets["b"].url}"], connect_retry: {retry}, '
        "timeouts: {connect: 3s}}"
    )
    client = ask(gateway)
    assert client.who == "b"
    failed = gateway.wait_event("target_failed")
    assert failed["cause"] == "target_timeout"
    assert "took over 1500 ms" in failed["detail"]
    leave(gateway, client)
    assert ask(gateway).who == "b"


def test_each_verifies_its_own_name(start, keep, serving_tls, certs):
    """`server_name` is each target's own host: one certificate fits, the other does not."""
    context = serving_tls("server")
    servers = [keep(Target(host=host, tls=context)) for host in ("127.0.0.2", "127.0.0.1")]
    for name, server in zip("ab", servers):
        server.serve(lambda stream, name=name: Named.talk(stream, name))
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        routes:
          - target: ["{servers[0].url}", "{servers[1].url}"]
            target_tls: {{ca: {certs}/ca.crt}}
        """
    )
    client = ask(gateway)
    assert client.who == "b"
    failed = gateway.wait_event("target_failed", cause="target_tls")
    assert failed["target"] == servers[0].url


def test_a_crowd_at_one_that_is_down(plain, named):
    servers = named("ab")
    servers.up("b")
    gateway = plain.start(f"- {{target: {servers.yaml()}}}")
    found = []

    def come():
        found.append(ask(gateway).who)

    threads = [threading.Thread(target=come) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["b"] * 20
