"""SIGTERM: nothing more is accepted, sessions have their time, then 1012; a second one ends at once."""

import os
import signal
import socket
import time

import pytest
from lib.checks import close_reason, refused
from lib.env import DEADLINE, SCALE
from lib.stream import FIN
from lib.target import echo
from lib.wait import until
from lib.ws import request


@pytest.fixture
def server(target):
    return target().serve(echo)


def config(server, drain, workers=2, more=""):
    return f"""
workers: {workers}
listen: {{address: 127.0.0.1:0}}
timeouts: {{drain: {drain}}}
routes:
  - {{path: /ws, target: "{server.url}"}}
  - {{path: /*, files: .}}
{more}
"""


def echoes(client, text=b"hello"):
    client.send_binary(text)
    assert client.take_payload(len(text)) == text


def open_some(gateway, n=8):
    return [gateway.connect().upgrade("/ws") for _ in range(n)]


def test_sessions_have_their_time_then_1012(start, server):
    drain_s = 1.5 * SCALE
    gateway = start(config(server, f"{int(drain_s * 1000)}ms"))
    clients = open_some(gateway)
    begun = time.monotonic()
    gateway.terminate()
    event = gateway.wait_event("stopping")
    assert (event["sessions"], event["drain_ms"]) == ("8", str(int(drain_s * 1000)))
    for client in clients:
        echoes(client)
    with pytest.raises(ConnectionRefusedError):
        until(lambda: gateway.connect() and False, "the port to close")
    for client in clients:
        got, code, reason = client.take_closing()
        assert (got, code) == (b"", 1012)
        close_reason(client, reason)
        client.close()
    assert time.monotonic() - begun >= drain_s * 0.9
    assert gateway.wait() == 0
    assert len(gateway.events("session_end", cause="drain")) == 8
    assert len(gateway.events("stopping")) == 1


def test_without_sessions_it_ends_at_once(start, server):
    gateway = start(config(server, "1h"))
    for client in open_some(gateway):
        client.close()
    until(lambda: len(gateway.events("session_end")) == 8, "the sessions to end")
    gateway.terminate()
    assert gateway.wait() == 0


def test_it_ends_with_the_last_session(start, server):
    gateway = start(config(server, "1h"))
    clients = open_some(gateway)
    gateway.terminate()
    gateway.wait_event("stopping")
    for client in clients[1:]:
        client.close()
    echoes(clients[0])
    assert gateway.process.poll() is None
    clients[0].send_close(1000)
    assert clients[0].take_closing()[1] == 1000
    clients[0].close()
    assert gateway.wait() == 0


def test_off_waits_for_ever(start, server):
    gateway = start(config(server, "off"))
    clients = open_some(gateway, 2)
    gateway.terminate()
    assert "drain_ms" not in gateway.wait_event("stopping")
    for client in clients:
        echoes(client)
        client.close()
    assert gateway.wait() == 0


def test_what_waits_in_the_queue_is_answered(start, server):
    """Connections that the kernel took before the signal get a word, not a reset: 503, or a session where the worker
    came to them before it heard."""
    gateway = start(config(server, "1h", workers=1))
    session = gateway.connect().upgrade("/ws")
    (worker,) = gateway.workers()
    os.kill(worker, signal.SIGSTOP)
    waiting = [gateway.connect() for _ in range(20)]
    for client in waiting:
        client.send(request("/ws"))
    gateway.terminate()
    gateway.wait_event("stopping")
    os.kill(worker, signal.SIGCONT)
    for client in waiting:
        answer = client.take_answer()
        if answer.status == 101:
            echoes(client)
        else:
            refused(client, answer, 503)
            assert int(answer.fields["retry-after"]) > 0
        client.close()
    echoes(session)
    session.close()
    assert gateway.wait() == 0


def test_idle_connections_hold_nothing_up(start, server):
    """Neither one that was kept for another file, nor one that never said a word."""
    gateway = start(config(server, "1h") + "# a file to ask for\n")
    kept = gateway.connect()
    assert kept.ask(b"GET /sluice.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200
    silent = gateway.connect()
    until(lambda: gateway.connect() is not None)
    gateway.terminate()
    assert kept.take_rest() == (b"", FIN)
    assert silent.take_rest() == (b"", FIN)
    assert gateway.wait() == 0


def test_a_reload_is_refused_aloud(start, server):
    """What a program that reloads after each change asked for is not done: the log says so."""
    gateway = start(config(server, "1h"))
    (client,) = open_some(gateway, 1)
    gateway.terminate()
    gateway.wait_event("stopping")
    gateway.signal(signal.SIGHUP)
    event = gateway.wait_event("reload_ignored")
    assert (event["level"], event["reason"]) == ("warning", "stopping")
    echoes(client)
    client.close()
    assert gateway.wait() == 0
    assert len(gateway.events("reload_ignored")) == 1
    assert not gateway.events("reloaded") and not gateway.events("reload_failed")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(start, server, second):
    gateway = start(config(server, "1h"))
    clients = open_some(gateway, 3)
    gateway.terminate()
    gateway.wait_event("stopping")
    gateway.signal(second)
    assert gateway.wait() == 0
    for client in clients:
        assert client.take_closing()[:2] == (b"", 1012), "they are told, though nothing is waited for"
        assert gateway.session_end(client)["code"] == "1012"


def test_a_worker_that_hangs_is_killed_at_the_second(start, server):
    gateway = start(config(server, "1h"))
    open_some(gateway, 3)
    os.kill(gateway.workers()[0], signal.SIGSTOP)
    gateway.terminate()
    gateway.wait_event("stopping")
    gateway.terminate()
    assert gateway.process.wait(30 * SCALE) == 0


def test_a_worker_that_hangs_is_killed_when_all_should_have_ended(start, server):
    """Without a second signal, too: a service manager would kill the supervisor and all others with it."""
    gateway = start(config(server, "100ms, close: 100ms"))
    open_some(gateway, 3)
    os.kill(gateway.workers()[0], signal.SIGSTOP)
    gateway.terminate()
    gateway.wait_event("stopping")
    assert gateway.process.wait(30 * SCALE) == 0
    assert gateway.wait_event("worker_died")["signal"] == "9"


def test_old_configurations_drain_too(start, server):
    gateway = start(config(server, "1h"))
    old = open_some(gateway, 4)
    gateway.reload(config(server, "100ms"))
    new = open_some(gateway, 4)
    gateway.terminate()
    for client in old + new:
        assert client.take_closing()[1] == 1012
        client.close()
    assert gateway.wait() == 0


def test_a_death_while_draining_is_not_made_up_for(start, server):
    gateway = start(config(server, "1h", workers=1))
    gateway.connect().upgrade("/ws")
    (worker,) = gateway.workers()
    gateway.terminate()
    gateway.wait_event("stopping")
    os.kill(worker, signal.SIGKILL)
    assert gateway.wait() == 0
    gateway.wait_event("worker_died")


def test_readiness_flips_first(start, server):
    gateway = start(config(server, "1h", more="admin: {address: 127.0.0.1:0}"))
    client = gateway.connect().upgrade("/ws")
    host, port = gateway.ready["admin"].rsplit(":", 1)

    def ask(path):
        with socket.create_connection((host, int(port)), DEADLINE) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            return int(sock.makefile("rb").readline().split()[1])

    assert ask("/readyz") == 200
    gateway.terminate()
    gateway.wait_event("stopping")
    assert (ask("/readyz"), ask("/healthz")) == (503, 200)
    echoes(client)
    client.close()
    assert gateway.wait() == 0
