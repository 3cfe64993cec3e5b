"""Ends while bytes are under way: a reset amid an upload, an abort behind a slow target, a slow reader of a file."""

import ctypes
import os
import socket
import struct
import threading

import pytest

from lib.stream import FIN, RST
from lib.wait import until
from lib.ws import BINARY, CLOSE, close_payload, frame, request

MIB = 1 << 20


@pytest.mark.parametrize("attempt", range(4))
def test_target_resets_amid_an_upload(relay, target, attempt):
    """A write learns of the reset first, and the read behind it must not take what is left for an end in order."""
    del attempt
    server = target(rcvbuf=65536)
    gateway = relay.start(f'- {{name: fed, target: "{server.url}"}}')
    client = relay.open()
    end = server.accept()

    def take_some_and_reset():
        end.take(300_000)
        end.reset()

    thread = threading.Thread(target=take_some_and_reset, daemon=True)
    thread.start()
    client.send(frame(BINARY, bytes(200_000)) * 40)  # the gateway reads on behind its Close
    got, code, _ = client.take_closing()
    assert (got, code) == (b"", 1014)
    thread.join()
    client.close()
    gateway.wait_event("session_end", cause="target_reset", code="1014")


def cut_off(sock):
    """From now on nothing reaches it, as if its cable were pulled: a filter drops what comes (BPF: return 0)."""
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(drop_all))
    so_attach_filter = 26
    sock.setsockopt(socket.SOL_SOCKET, so_attach_filter, program)


def states_towards(port):
    """Of the TCP sockets whose peer is this port, as the kernel writes them: 01 is established."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in list(table)[1:]]
    return [row[3] for row in rows if int(row[2].split(":")[1], 16) == port]


def test_target_that_answers_nothing_is_given_up(start, target):
    """What the system still holds for it goes as well, and no FIN behind it: to a target that comes back, that would
    be all that there was."""
    server = target()
    gateway = start(
        "listen: {address: 127.0.0.1:0}\n"
        f'routes: {{target: "{server.url}", timeouts: {{ping: 1s, pong: 1s, close: 60s}}}}\n'
    )
    client = gateway.connect().upgrade()
    end = server.accept()
    cut_off(end.raw)
    client.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            client.sock.send(frame(BINARY, bytes(65536)))
    event = gateway.wait_event("session_end", cause="target_reset", code="1014")
    assert int(event["up_bytes"]) <= int(event["undelivered_up_bytes"])
    until(lambda: not [state for state in states_towards(server.port) if state != "06"], "nothing is left for it")


def test_abort_by_reset_delivers_first(relay, target):
    """`on_client_abort: reset`: what came is delivered, and then comes the RST."""
    server = target(rcvbuf=16384)
    gateway = relay.start(f'- {{name: abort, on_client_abort: reset, target: "{server.url}"}}')
    client = relay.open()
    end = server.accept()
    client.send(frame(BINARY, bytes(300_000)))
    end.take(1)
    client.close()
    rest, how = end.take_rest()
    assert (len(rest), how) == (299_999, RST)
    event = gateway.wait_event("session_end", cause="client_gone", up_bytes="300000")
    assert "undelivered_up_bytes" not in event


def test_slow_target_behind_a_client_that_went(relay, target):
    """The client sends much, and Close, and ends its TCP: a target that takes it slowly, but takes it, gets all."""
    server = target(rcvbuf=16384)
    gateway = relay.start(f'- {{name: slow, timeouts: {{close: 300ms}}, target: "{server.url}"}}')
    client = relay.open()
    end = server.accept()
    size = 6 * MIB
    sent = frame(BINARY, bytes(size)) + frame(CLOSE, close_payload(1000))
    thread = threading.Thread(target=lambda: (client.send(sent), client.end_writing()), daemon=True)
    thread.start()
    got, pause = 0, threading.Event()
    while got < size:
        got += len(end.take(min(64 << 10, size - got)))
        pause.wait(0.01)  # about a second in all, and more than `close` with nothing read of the client's end
    assert end.take_rest() == (b"", FIN)
    thread.join()
    client.close()
    end.close()
    gateway.wait_event("session_end", cause="client_close", code="1000", up_bytes=str(size))


def test_lingering_targets_are_bounded(relay, target):
    """limits.sessions bounds the connections to targets too: those that do not end theirs have as many places again."""
    server = target()
    relay.start(f'- {{name: one, limits: {{sessions: 1}}, timeouts: {{close: 60s}}, target: "{server.url}"}}')
    ends = []
    for _ in range(2):
        client = relay.open()
        ends.append(server.accept())
        client.send(frame(CLOSE, close_payload(1000)))
        assert client.take_closing()[1] == 1000
        client.close()
        assert ends[-1].take_rest() == (b"", FIN)
    assert relay.connect().ask(request()).status == 503
    for end in ends:
        end.close()


def test_unix_listener_leaves_no_file(start, target, tmp_path):
    path = tmp_path / "s.sock"
    gateway = start(f'listen: {{address: "unix:{path}"}}\nroutes: {{target: "{target().url}"}}\n')
    assert os.path.exists(path)
    gateway.stop()
    assert not os.path.exists(path)


def test_target_that_resets_at_once(relay, target):
    """Asking whether the connection was made must not eat what became of it."""
    server = target()
    gateway = relay.start(f'- {{name: deny, target: "{server.url}"}}')
    for n in range(1, 21):
        client = relay.open()
        server.accept().reset()
        got, code, _ = client.take_closing()
        assert (got, code) == (b"", 1014)
        client.close()
        gateway.wait_event("session_end", count=n, cause="target_reset")


@pytest.mark.parametrize("says", ["nothing", "a byte", "its end", "reset"])
def test_waiting_to_reset_does_not_spin(relay, target, says):
    """What the target says while its reset waits for it to take the rest is read and thrown away."""
    server = target(rcvbuf=4096)
    gateway = relay.start(f'- {{name: spin, on_client_abort: reset, timeouts: {{close: 2s}}, target: "{server.url}"}}')
    client = relay.open()
    end = server.accept()
    client.send(frame(BINARY, bytes(100_000)))
    end.take(1)
    both = gateway.descriptors()
    client.close()
    until(lambda: gateway.descriptors() == both - 1)  # it has seen that
    before = gateway.cpu_seconds()
    try:
        if says == "a byte":
            end.send(b"x")
        elif says == "its end":
            end.end_writing()
        elif says == "reset":
            end.reset()
    except OSError:
        pass  # on a busy machine its time may be up before
    gateway.wait_event("session_end", cause="client_gone")
    assert gateway.cpu_seconds() - before < 0.5
    end.close()


def test_stopping_does_not_wait_for_a_client_that_trickles(relay, target):
    server = target()
    gateway = relay.start(
        f'- {{name: drip, timeouts: {{close: 400ms}}, target: "{server.url}"}}', "timeouts: {drain: 1ms}"
    )
    client = relay.connect(rcvbuf=4096).upgrade()
    end = server.accept()
    end.raw.settimeout(0.3)
    try:
        while True:
            end.raw.sendall(bytes(65536))
    except TimeoutError:
        pass  # everything between us is full
    gateway.terminate()
    pause = threading.Event()
    for _ in range(60):
        if gateway.process.poll() is not None:
            break
        client.raw.recv(1000)
        pause.wait(0.05)
    assert gateway.process.poll() == 0, "it still waits"
    end.close()
