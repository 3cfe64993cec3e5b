"""Who is slow, as the end-of-session line tells it."""

import time

from lib.env import ms
from lib.target import echo
from lib.ws import PING, PONG

CHUNK = b"x" * 65536


def fill(send):
    """Until nothing more is taken for a while; answers how much was."""
    sent = 0
    while True:
        try:
            sent += send(CHUNK)
        except (BlockingIOError, TimeoutError):
            return sent


def numbers(event, *keys):
    return [int(event[key]) for key in keys]


def test_a_fast_session(relay, target):
    server = target().serve(echo)
    gateway = relay.start(f'- target: "{server.url}"')
    client = relay.open()
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"
    client.send_close(1000)
    client.take_closing()
    client.close()
    event = gateway.session_end(client)
    assert numbers(event, "up_stalled_ms", "down_stalled_ms") == [0, 0]
    assert "ping_ms" not in event
    for rtt_us in numbers(event, "client_rtt_us", "target_rtt_us"):
        assert 0 < rtt_us < 10_000_000
    assert min(numbers(event, "client_retransmits", "target_retransmits")) >= 0


def test_a_client_that_does_not_read(relay, target):
    server = target()
    gateway = relay.start(f'- target: "{server.url}"')
    client = relay.open(rcvbuf=4096)
    end = server.accept()
    end.sock.settimeout(0.3)
    sent = fill(end.sock.send)
    client.take_payload(sent)
    client.close()
    event = gateway.session_end(client)
    assert int(event["down_stalled_ms"]) > 0
    assert int(event["up_stalled_ms"]) == 0


def test_a_target_that_does_not_read(relay, target):
    server = target(rcvbuf=4096)
    gateway = relay.start(f'- target: "{server.url}"')
    client = relay.open(sndbuf=4096)
    end = server.accept()
    client.send_frame(2, b"", length=1 << 40)  # whose payload follows
    client.sock.settimeout(0.3)
    fill(client.sock.send)
    client.close()
    end.take_rest()
    event = gateway.session_end(client)
    assert int(event["up_stalled_ms"]) > 0
    assert int(event["down_stalled_ms"]) == 0


def test_a_client_that_answers_late(relay, target):
    server = target().serve(echo)
    gateway = relay.start(f'- {{timeouts: {{ping: {ms(200)}}}, target: "{server.url}"}}')
    client = relay.open()
    one = client.take_frame()
    assert one.opcode == PING and one.payload
    time.sleep(0.2)  # this is how late
    client.send_frame(PONG, one.payload)
    client.send_close(1000)
    client.take_closing()
    client.close()
    event = gateway.session_end(client)
    assert 200 <= int(event["ping_ms"]) <= int(event["ping_max_ms"]) < 60_000


def test_unix_sides_have_no_tcp(start, target, tmp_path):
    server = target(tmp_path / "target.sock").serve(echo)
    gateway = start(
        f"""
        listen: {{address: "unix:{tmp_path}/listen.sock"}}
        routes: {{target: "{server.url}"}}
        """
    )
    client = gateway.connect().upgrade()
    client.send_close(1000)
    client.take_closing()
    client.close()
    event = gateway.session_end(client)
    assert not {"client_rtt_us", "client_retransmits", "target_rtt_us", "target_retransmits"} & set(event)
