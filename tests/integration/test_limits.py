"""limits.sessions, and running out of descriptors."""

import os
import resource

import pytest
from lib.checks import close_reason, logged_end, refusal_logged, refused
from lib.env import SCALE, UNDER_VALGRIND
from lib.target import echo
from lib.wait import until
from lib.ws import request


def end(gateway, client):
    client.send_close(1000)
    client.take_closing()
    client.close()
    return gateway.session_end(client)


def full(gateway, path="/", status=503, headers=()):
    client = gateway.connect()
    answer = client.ask(request(path, headers=headers))
    refused(client, answer, status)
    assert int(answer.fields["retry-after"]) > 0
    # no port is known of a client that X-Forwarded-For names
    name = dict(headers).get("X-Forwarded-For", client.name)
    line = gateway.wait_event("request_refused", id=client.session_id)
    assert (line["client"], line["status"]) == (name, str(status))


def test_sessions_of_the_gateway(start, target):
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        limits: {{sessions: 3}}
        routes: [{{path: /a, target: "{server.url}"}}, {{path: /b, target: "{server.url}"}}]
        """
    )
    for n in range(1, 4):
        clients = [gateway.connect().upgrade(path) for path in ("/a", "/b", "/a")]
        full(gateway, "/a")
        full(gateway, "/b")
        end(gateway, clients[0])
        clients[0] = gateway.connect().upgrade("/b")
        full(gateway, "/a")
        for client in clients:
            end(gateway, client)
        until(lambda: server.over == 4 * n, "the targets to end theirs, which else count for a while")


def test_sessions_of_a_route(start, target):
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        routes:
          - {{path: /a, limits: {{sessions: 2}}, target: "{server.url}"}}
          - {{path: /b, target: "{server.url}"}}
        """
    )
    first = gateway.connect().upgrade("/a")
    gateway.connect().upgrade("/a")
    full(gateway, "/a")
    for _ in range(5):
        gateway.connect().upgrade("/b")
    end(gateway, first)
    gateway.connect().upgrade("/a")
    full(gateway, "/a")


def behind(address):
    return [("X-Forwarded-For", address)]


CLIENTS = {
    "IPv4": ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
    "IPv6, by its 64 bits": ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
}


@pytest.mark.parametrize("clients", CLIENTS)
def test_sessions_of_a_client(start, target, clients):
    """The true one: each comes through the same proxy."""
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0, trusted_proxies: 127.0.0.1}}
        limits: {{sessions_per_client: 2}}
        routes: [{{path: /a, target: "{server.url}"}}, {{path: /b, target: "{server.url}"}}]
        """
    )
    one, same, other = CLIENTS[clients]
    first = gateway.connect().upgrade("/a", headers=behind(one))
    gateway.connect().upgrade("/b", headers=behind(same))
    full(gateway, "/a", 429, behind(one))
    gateway.connect().upgrade("/a", headers=behind(other))
    first.send_close(1000)
    first.take_closing()
    first.close()
    gateway.wait_event("session_end", id=first.session_id)
    gateway.connect().upgrade("/a", headers=behind(same))
    full(gateway, "/a", 429, behind(one))


def test_new_sessions_of_a_client(start, target):
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0, trusted_proxies: 127.0.0.1}}
        limits: {{new_sessions_per_client: 3/h}}
        routes: {{path: /a, target: "{server.url}"}}
        """
    )
    for _ in range(3):
        assert gateway.connect().ask(request("/nowhere", headers=behind("192.0.2.1"))).status == 404
        gateway.connect().upgrade("/a", headers=behind("192.0.2.1")).close()
    full(gateway, "/a", 429, behind("192.0.2.1"))
    gateway.connect().upgrade("/a", headers=behind("192.0.2.2"))


def test_new_sessions_come_again(start, target):
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        limits: {{new_sessions_per_client: 5/s}}
        routes: {{target: "{server.url}"}}
        """
    )

    def ask():
        client = gateway.connect()
        status = client.ask(request()).status
        client.close()
        return status

    until(lambda: ask() == 429, "the client to be too fast")
    until(lambda: ask() == 101, "its time to come")


def test_clients_of_a_unix_socket_are_not_told_apart(start, target, tmp_path):
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: "unix:{tmp_path}/listen.sock"}}
        limits: {{sessions_per_client: 1, new_sessions_per_client: 1/h}}
        routes: {{target: "{server.url}"}}
        """
    )
    for _ in range(3):
        gateway.connect().upgrade()


def test_refusals_take_no_place(start, target):
    """Neither requests that were refused, nor sessions whose target was, count as sessions."""
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        limits: {{sessions: 1}}
        routes:
          - {{path: /there, target: "{server.url}"}}
          - {{path: /gone, on_unreachable: http, target: "unix:/nowhere/at/all"}}
        """
    )
    for _ in range(3):
        for path, status in (("/nowhere", 404), ("/gone", 502)):
            client = gateway.connect()
            assert client.ask(request(path)).status == status
            assert client.take_rest()[0] == b""
            client.close()
    end(gateway, gateway.connect().upgrade("/there"))


def test_connections_that_ask_nothing_are_no_sessions(start, target):
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        limits: {{sessions: 1}}
        routes: {{target: "{server.url}"}}
        """
    )
    for _ in range(5):
        gateway.connect()
    gateway.connect().upgrade()


@pytest.mark.skipif(UNDER_VALGRIND, reason="valgrind keeps descriptors of its own")
def test_out_of_descriptors(start, target, poller):
    """Silent connections take every descriptor. The gateway waits without spinning, and serves again when
    they go."""
    server = target().serve(echo)
    gateway = start(
        f"""
        poller: {poller}
        listen: {{address: 127.0.0.1:0}}
        timeouts: {{handshake: 1h}}
        routes: {{target: "{server.url}"}}
        """,
        nofile=40,
    )
    established = gateway.connect().upgrade()
    idlers = [gateway.connect() for _ in range(60)]
    until(lambda: gateway.descriptors() >= 38, "the descriptors to run out")
    waiting = gateway.connect()
    waiting.send(request())
    cpu = gateway.cpu_seconds()
    waiting.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        waiting.fill()
    assert gateway.cpu_seconds() - cpu <= 0.1 * SCALE, "it spins"
    # who is there is still served
    established.send_binary(b"hello")
    assert established.take_payload(5) == b"hello"
    for idler in idlers:
        idler.close()
    waiting.sock.settimeout(10 * SCALE)
    assert waiting.take_answer().status == 101
    waiting.send_binary(b"hello")
    assert waiting.take_payload(5) == b"hello"


@pytest.mark.skipif(UNDER_VALGRIND, reason="valgrind keeps descriptors of its own")
@pytest.mark.parametrize("on_unreachable", ["close", "http"])
def test_overload(start, target, on_unreachable):
    """A descriptor for the client, and none for the target."""
    server = target().serve(echo)
    yaml = f"""
        poller: poll
        listen: {{address: 127.0.0.1:0}}
        routes: {{on_unreachable: {on_unreachable}, target: "{server.url}"}}
        """
    gateway = start(yaml)
    (worker,) = gateway.workers()
    used = {int(one) for one in os.listdir(f"/proc/{worker}/fd")}
    most = [one for one in range(len(used) + 2) if one not in used][1]  # so that there is room for one more
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (most, most))
    client = gateway.connect()
    if on_unreachable == "close":
        client.upgrade()
        got, code, reason = client.take_closing()
        assert (got, code) == (b"", 1013)
        close_reason(client, reason)
        client.close()
        logged_end(gateway, client, "overload", 1013, 0, 0)
    else:
        refused(client, client.ask(request()), 503)
        refusal_logged(gateway, client, 503)
        client.close()


def test_many_connections_come_and_go(start, target, poller):
    """No descriptor is lost, however a connection ends."""
    server = target().serve(echo)
    gateway = start(
        f"""
        poller: {poller}
        listen: {{address: 127.0.0.1:0}}
        routes: {{path: /, target: "{server.url}"}}
        """
    )
    idle = gateway.descriptors()
    for n in range(60):
        client = gateway.connect()
        if n % 6 == 0:
            client.close()
        elif n % 6 == 1:
            client.send(request()[:20])
            client.reset()
        elif n % 6 == 2:
            client.send(request())
            client.reset()
        elif n % 6 == 3:
            client.upgrade().close()
        elif n % 6 == 4:
            client.upgrade().reset()
        else:
            client.ask(request("/nowhere"))
            client.close()
    until(lambda: gateway.descriptors() == idle, "the descriptors to come back")
    assert gateway.descriptors() == idle
    gateway.connect().upgrade()

