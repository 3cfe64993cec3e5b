"""Every timeout, with short values."""

import time

from lib.env import DEADLINE, SCALE, ms
from lib.stream import FIN
from lib.target import echo, sink
from lib.wait import until
from lib.ws import BINARY, CLOSE, PING, PONG, request


def seconds(value):
    return value * SCALE / 1000


def test_a_client_that_answers_pings_stays(relay, target):
    server = target().serve(echo)
    relay.start(f'- {{timeouts: {{ping: {ms(50)}, pong: {ms(250)}}}, target: "{server.url}"}}')
    client = relay.open()
    for _ in range(8):
        one = client.take_frame()
        assert one.opcode == PING
        client.send_frame(PONG, one.payload)
    client.send_binary(b"still here")
    while one.opcode != BINARY:
        one = client.take_frame()
        assert one.opcode in (PING, BINARY)
    assert one.payload == b"still here"


def test_any_byte_is_an_answer(relay, target):
    """Part of a frame is enough: what is asked is whether anybody is there."""
    server = target()
    relay.start(f'- {{timeouts: {{ping: {ms(50)}, pong: {ms(250)}}}, target: "{server.url}"}}')
    client = relay.open()
    client.send(b"\x82\x88\x00\x00\x00\x00")  # eight bytes will come
    for n in range(8):
        assert client.take_frame().opcode == PING
        client.send(b"%d" % n)
    assert server.accept().take(8) == b"01234567"


def test_pings_are_not_sent_while_bytes_come(relay, target):
    server = target().serve(echo)
    relay.start(f'- {{timeouts: {{ping: {ms(400)}, session: {ms(600)}}}, target: "{server.url}"}}')
    client = relay.open()
    pings = 0
    while True:
        client.send_binary(b"x")
        one = client.take_frame()
        pings += one.opcode == PING
        if one.opcode == CLOSE:
            break
    assert pings == 0


def test_ping_off(relay, target):
    """The first frame is the idle end's Close."""
    server = target()
    relay.start(f'- {{timeouts: {{ping: off, idle: {ms(200)}}}, target: "{server.url}"}}')
    client = relay.open()
    assert client.take_frame().opcode == CLOSE


def test_pong_is_counted_from_the_ping(relay, target):
    server = target().serve(sink)
    gateway = relay.start(f'- {{timeouts: {{ping: {ms(100)}, pong: {ms(200)}}}, target: "{server.url}"}}')
    begin = time.monotonic()
    client = relay.open()
    assert client.take_frame().opcode == PING
    ping = time.monotonic() - begin
    assert client.take_frame().opcode == CLOSE
    end = time.monotonic() - begin
    assert ping >= seconds(90) and end >= seconds(290), (ping, end)
    client.close()
    assert gateway.session_end(client)["cause"] == "client_timeout"


def test_idle_counts_payload_both_ways(relay, target):
    """Payload either way begins it anew; Pings and Pongs do not."""
    server = target()
    idle = 1000
    relay.start(f'- {{timeouts: {{idle: {ms(idle)}, ping: {ms(40)}}}, target: "{server.url}"}}')
    client = relay.open()
    end = server.accept()
    begin = last = time.monotonic()
    turn = 0
    pings = 0
    while True:
        one = client.take_frame()
        if one.opcode == PING:
            pings += 1
            client.send_frame(PONG, one.payload)
            if pings % 3 == 0 and last - begin <= seconds(idle):
                last = time.monotonic()
                turn += 1
                if turn % 2:
                    client.send_binary(b"up")
                    assert end.take(2) == b"up"
                else:
                    end.send(b"down")
        if one.opcode == CLOSE:
            break
    assert one.payload[:2] == (1001).to_bytes(2, "big")
    assert last - begin > seconds(idle), "it lived longer than one idle time"
    assert time.monotonic() - last >= seconds(idle - 10)


def test_session_is_absolute(relay, target):
    server = target().serve(echo)
    relay.start(f'- {{timeouts: {{session: {ms(300)}}}, target: "{server.url}"}}')
    begin = time.monotonic()
    client = relay.open()
    while True:
        client.send_binary(b"busy")
        one = client.take_frame()
        if one.opcode == CLOSE:
            break
    assert one.payload[:2] == (1008).to_bytes(2, "big")
    assert seconds(290) <= time.monotonic() - begin < DEADLINE


def test_close_a_client_that_does_not_end(relay, target):
    """It has our Close and our FIN, and stays: after `close` the gateway lets go."""
    server = target()
    gateway = relay.start(f'- {{timeouts: {{close: {ms(200)}}}, target: "{server.url}"}}')
    idle = gateway.descriptors()
    client = relay.open()
    end = server.accept()
    begin = time.monotonic()
    end.close()
    assert client.take_closing()[1] == 1000
    event = gateway.session_end(client)
    assert event["cause"] == "target_eof" and event["code"] == "1000"
    until(lambda: gateway.descriptors() == idle, "the descriptors to come back")
    assert time.monotonic() - begin >= seconds(150)


def test_close_a_client_that_does_not_read(relay, target):
    """The Close frame cannot even be sent; the session ends all the same, and says why it did."""
    server = target()
    gateway = relay.start(
        f'- {{timeouts: {{close: {ms(200)}, session: {ms(400)}}}, target: "{server.url}"}}'
    )
    idle = gateway.descriptors()
    client = relay.open(rcvbuf=4096)
    end = server.accept()
    end.sock.settimeout(seconds(2000))
    try:
        while True:
            end.send(bytes(1 << 20))
    except OSError:
        pass
    event = gateway.session_end(client)
    assert event["cause"] == "session_limit"
    until(lambda: gateway.descriptors() == idle, "the descriptors to come back")


def test_close_a_target_that_does_not_read(relay, target):
    server = target(rcvbuf=4096)
    gateway = relay.start(f'- {{timeouts: {{close: {ms(200)}, session: {ms(400)}}}, target: "{server.url}"}}')
    idle = gateway.descriptors()
    client = relay.open()
    server.accept()
    client.sock.settimeout(seconds(100))
    sent = 0
    try:
        for _ in range(64):
            client.send_binary(bytes(1 << 20))
            sent += 1
    except OSError:
        pass
    assert sent < 64
    event = gateway.session_end(client)
    assert event["cause"] == "session_limit"
    until(lambda: gateway.descriptors() == idle, "the descriptors to come back")


def test_route_overrides_the_default(relay, target):
    server = target()
    relay.start(
        f"""
        - {{path: /short, timeouts: {{idle: {ms(100)}}}, target: "{server.url}"}}
        - {{path: /default, target: "{server.url}"}}
        - {{path: /off, timeouts: {{idle: off}}, target: "{server.url}"}}
        """,
        f"timeouts: {{idle: {ms(2000)}}}",
    )
    begin = time.monotonic()
    off, default, short = (relay.open(path) for path in ("/off", "/default", "/short"))
    assert short.take_closing()[1] == 1001
    assert time.monotonic() - begin < seconds(1990)
    assert default.take_closing()[1] == 1001
    assert time.monotonic() - begin >= seconds(1990)
    off.send_close(1000)
    assert off.take_closing()[1] == 1000


def test_handshake_ends_with_the_101(relay, target):
    server = target()
    relay.start(f'- target: "{server.url}"', f"timeouts: {{handshake: {ms(300)}, idle: {ms(500)}}}")
    client = relay.open()
    assert client.take_closing()[1] == 1001


def test_keep_alive_connection_ends(relay, tmp_path):
    """A connection that asks nothing more is not kept for ever."""
    (tmp_path / "a.txt").write_text("a")
    relay.start(f'- {{path: /*, files: "{tmp_path}"}}', f"timeouts: {{handshake: {ms(400)}}}")
    client = relay.connect()
    assert client.ask(request("/a.txt", upgrade=False)).status == 200
    assert client.take_rest()[1] == FIN
