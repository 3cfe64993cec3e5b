"""Downloads that grow into streams, which splice(2) relays on plain ws: byte for byte, with clients that are slow
or go, and targets that end or reset amid them."""

import threading

import pytest
from lib.env import SCALE
from lib.pattern import Pattern
from lib.stream import FIN, RST
from lib.ws import PING, PONG

MIB = 1 << 20
PIECE = 1 << 18
LOG = f"log: {{level: debug}}\ntimeouts: {{close: {int(2000 * SCALE)}ms}}\n"


@pytest.fixture(params=["tcp", "unix"])
def server(request, target, tmp_path):
    return target(tmp_path / "t.sock") if request.param == "unix" else target()


def send_stream(end, total, then):
    """From a thread: what the target has to say, and its end."""
    pattern = Pattern(4)

    def send():
        try:
            for at in range(0, total, PIECE):
                end.send(pattern.at(at, min(PIECE, total - at)))
            then(end)
        except OSError:
            pass  # the gateway went first

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


class Check:
    """Takes data frames and compares each with its place in the stream."""

    def __init__(self, client):
        self.client = client
        self.pattern = Pattern(4)
        self.got = 0
        self.pongs = []

    def until(self, total):
        while self.got < total:
            one = self.client.take_frame()
            if one.opcode == PONG:
                self.pongs.append(one.payload)
                continue
            for at in range(0, len(one.payload), MIB):
                piece = one.payload[at : at + MIB]
                self.pattern.check(self.got, piece)
                self.got += len(piece)


def start(relay, server, more=""):
    gateway = relay.start(f'- {{name: down{more}, target: "{server.url}"}}', LOG)
    return gateway


def until_spliced(gateway, relay, check, least, most):
    """At least so much of the stream, and more until its reads were filled often enough: soon, but where the machine
    is busy elsewhere."""
    check.until(least)
    while relay.scheme == "ws" and not gateway.events("pipe_opened") and check.got < most:
        check.until(check.got + MIB)


def assert_spliced(gateway, relay, spliced=True):
    assert bool(gateway.events("pipe_opened")) == (spliced and relay.scheme == "ws")


def test_fast_client(relay, server):
    gateway = start(relay, server)
    client = relay.open()
    send_stream(server.accept(), 24 * MIB + 7, lambda end: end.end_writing())
    Check(client).until(24 * MIB + 7)
    assert client.take_closing()[:2] == (b"", 1000)
    assert_spliced(gateway, relay)
    client.close()
    assert gateway.wait_event("session_end", cause="target_eof")["down_bytes"] == str(24 * MIB + 7)


def test_slow_client_with_pings(relay, server):
    """It reads in spurts; its pings are answered between frames."""
    gateway = start(relay, server)
    client = relay.open(rcvbuf=65536)
    check = Check(client)
    send_stream(server.accept(), 16 * MIB, lambda end: end.end_writing())
    for i in range(1, 17):
        client.send_frame(PING, b"%d" % i)
        check.until(i * MIB)
    assert check.pongs
    assert client.take_closing()[:2] == (b"", 1000)
    assert_spliced(gateway, relay)


def test_target_resets_in_mid_stream(relay, target):
    gateway = start(relay, server := target())
    client = relay.open()
    send_stream(server.accept(), 8 * MIB, lambda end: end.reset())
    check = Check(client)
    check.until(2 * MIB)
    client.take_closing()
    client.close()
    gateway.wait_event("session_end", cause="target_reset", code="1014")
    assert_spliced(gateway, relay)


def test_client_resets_in_mid_stream(relay, server):
    gateway = start(relay, server)
    client = relay.open()
    end = server.accept()
    send_stream(end, 256 * MIB, lambda end: end.end_writing())
    until_spliced(gateway, relay, Check(client), 4 * MIB, 128 * MIB)
    client.reset()
    gateway.wait_event("session_end", cause="client_gone")
    assert_spliced(gateway, relay)
    again = relay.open()  # with a pipe that nothing was left in
    send_stream(server.accept(), 4 * MIB, lambda end: end.end_writing())
    Check(again).until(4 * MIB)
    assert again.take_closing()[:2] == (b"", 1000)


def test_client_stalls_and_goes(relay, server):
    """With a frame half sent out of a pipe."""
    gateway = start(relay, server)
    client = relay.open(rcvbuf=65536)
    end = server.accept()
    thread = send_stream(end, 256 * MIB, lambda end: end.end_writing())
    until_spliced(gateway, relay, Check(client), 4 * MIB, 128 * MIB)
    client.send_binary(b"up meanwhile")
    assert end.take(12) == b"up meanwhile"
    assert_spliced(gateway, relay)
    client.reset()
    assert end.take_rest() in ((b"", FIN), (b"", RST))
    gateway.wait_event("session_end", cause="client_gone")
    end.close()
    thread.join()


def test_text_is_read(relay, target):
    """What must be validated is not spliced."""
    server = target()
    gateway = start(relay, server, ", messages: text")
    client = relay.open()
    end = server.accept()
    thread = threading.Thread(target=lambda: (end.send(b"words " * MIB), end.end_writing()), daemon=True)
    thread.start()
    data, code, _ = client.take_closing()
    assert (data, code) == (b"words " * MIB, 1000)
    thread.join()
    assert_spliced(gateway, relay, False)
