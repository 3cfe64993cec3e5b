"""Every end that a session can have, seen from both sides: the Close frame and the TCP end at the client, FIN or
RST at the target, all bytes before it in both directions, and the line in the log."""

import socket
import struct

import pytest
from lib.checks import close_reason, logged_end
from lib.env import ms
from lib.stream import FIN, RST
from lib.target import FullBacklog, Refusing, sink
from lib.wait import until, until_read
from lib.ws import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame, request

UP = bytes(range(256)) * 40
DOWN = bytes(reversed(range(256))) * 30


class Pair:
    """A client and the target's end of its session, some bytes relayed each way."""

    def __init__(self, relay, target, options="", more=""):
        self.relay = relay
        self.server = target()
        self.idle = relay.start(f'- {{name: pair, {options} target: "{self.server.url}"}}', more).descriptors()
        self.client = relay.open()
        self.target = self.server.accept()
        self.client.send_binary(UP)
        assert self.target.take(len(UP)) == UP
        self.target.send(DOWN)
        assert self.client.take_payload(len(DOWN)) == DOWN

    def logged(self, cause, code, up=len(UP), down=len(DOWN)):
        self.target.close()  # a session ends when both sides have
        return logged_end(
            self.relay.gateway, self.client, cause, code, up, down, route="pair", target=self.server.url
        )


@pytest.fixture
def pair(relay, target):
    return lambda options="", more="": Pair(relay, target, options, more)


# The client's ends

CLOSES = {
    "none": (b"", 1000),
    **{str(code): (close_payload(code), code) for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011)},
    **{str(code): (close_payload(code), code) for code in (1012, 1013, 1014, 3000, 3999, 4000, 4999)},
    **{str(code): (close_payload(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)},
    "with a reason": (close_payload(4000, "grüße".encode()), 4000),
    "with the longest reason": (close_payload(4000, b"x" * 123), 4000),
    "one byte": (b"\x03", 1002),
    "a reason that is not UTF-8": (close_payload(1000, b"ok \xff"), 1007),
    "a reason cut in a character": (close_payload(1000, b"ok \xc3"), 1007),
}


@pytest.mark.parametrize("what", CLOSES)
def test_client_close_code(plain, target, what):
    payload, code = CLOSES[what]
    pair = Pair(plain, target)
    pair.client.send(frame(BINARY, b"last") + frame(CLOSE, payload) + b"nothing behind a Close is read")
    got, answer, reason = pair.client.take_closing()
    assert (got, answer) == (b"", code)
    assert len(reason.encode()) <= 123
    assert pair.target.take_rest() == (b"last", FIN)
    pair.client.close()
    pair.logged("client_close", code, up=len(UP) + 4)


@pytest.mark.parametrize("payload, code", [(b"", 1000), (close_payload(4321), 4321), (close_payload(1006), 1002)])
def test_client_close(pair, payload, code):
    pair = pair()
    big = UP * 20
    pair.client.send(frame(BINARY, big) + frame(CLOSE, payload))
    assert pair.target.take(len(big)) == big
    assert pair.target.take_rest() == (b"", FIN)
    got, answer, _ = pair.client.take_closing()
    assert (got, answer) == (b"", code)
    pair.client.close()
    pair.logged("client_close", code, up=len(UP) + len(big))


def test_client_close_amid_a_fragmented_message(pair):
    pair = pair()
    pair.client.send(frame(BINARY, b"begun", fin=False) + frame(CLOSE, close_payload(1000)))
    assert pair.target.take_rest() == (b"begun", FIN)
    assert pair.client.take_closing()[:2] == (b"", 1000)
    pair.client.close()
    pair.logged("client_close", 1000, up=len(UP) + 5)


GONE = {
    "close": lambda client: client.close(),
    "half-close": lambda client: client.end_writing(),
    "reset": lambda client: client.reset(),
}


@pytest.mark.parametrize("policy, seen", [("fin", FIN), ("reset", RST)])
@pytest.mark.parametrize("how", GONE)
def test_client_gone(pair, how, policy, seen):
    pair = pair(f"on_client_abort: {policy},")
    pair.client.send_binary(b"last words")
    until_read(pair.client.raw)
    GONE[how](pair.client)
    assert pair.target.take_rest() == (b"last words", seen)
    if how == "half-close":
        rest, end = pair.client.take_rest()
        assert (rest, end) == (b"", FIN), "no Close frame, and over TLS close_notify (RFC 8446 6.1)"
        pair.client.close()
    pair.logged("client_gone", None, up=len(UP) + 10)


@pytest.mark.parametrize("how", GONE)
def test_client_gone_directly_behind_its_bytes(pair, how):
    """A FIN, or an RST, that is there before its bytes are read eats none of them."""
    pair = pair()
    pair.client.send_binary(UP)
    GONE[how](pair.client)
    assert pair.target.take_rest() == (UP, FIN)
    pair.logged("client_gone", None, up=2 * len(UP))


def test_client_gone_amid_a_frame(pair):
    pair = pair()
    pair.client.send(frame(BINARY, b"half of it" * 2)[:-10])
    pair.client.close()
    assert pair.target.take_rest() == (b"half of it", FIN)
    pair.logged("client_gone", None, up=len(UP) + 10)


def test_client_timeout(pair):
    pair = pair(f"timeouts: {{ping: {ms(100)}, pong: {ms(250)}}},")
    assert pair.client.take_frame().opcode == PING
    one = pair.client.take_frame()
    assert one.opcode == CLOSE and struct.unpack("!H", one.payload[:2]) == (1011,)
    close_reason(pair.client, one.payload[2:].decode())
    assert pair.client.take_rest() == (b"", FIN)
    assert pair.target.take_rest() == (b"", FIN)
    pair.client.close()
    pair.logged("client_timeout", 1011)


def test_client_timeout_resets_the_target(pair):
    pair = pair(f"on_client_abort: reset, timeouts: {{ping: {ms(100)}, pong: {ms(250)}}},")
    assert pair.target.take_rest() == (b"", RST)


# What a client may not send

BAD_FRAMES = {
    "unmasked": frame(BINARY, b"x", mask=None),
    "an unmasked ping": frame(PING, mask=None),
    "an unmasked close": frame(CLOSE, close_payload(1000), mask=None),
    "reserved bit 1": frame(BINARY, b"x", rsv=4),
    "reserved bit 2": frame(BINARY, b"x", rsv=2),
    "reserved bit 3": frame(BINARY, b"x", rsv=1),
    "a reserved bit on a ping": frame(PING, rsv=4),
    **{f"opcode {n:#x}": frame(n, b"x") for n in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)},
    "5 in 16 bits": frame(BINARY, b"hello", form=16),
    "125 in 16 bits": frame(BINARY, b"x" * 125, form=16),
    "200 in 64 bits": frame(BINARY, b"x" * 200, form=64),
    "65535 in 64 bits": frame(BINARY, b"x" * 65535, form=64),
    "the top bit of a length": frame(BINARY, form=64, length=1 << 63),
    "a continuation of nothing": frame(CONTINUATION, b"x"),
    "a message amid a message": frame(BINARY, b"", fin=False) + frame(BINARY, b"x"),
    "a continuation of a whole message": frame(BINARY) + frame(CONTINUATION, b"x"),
    "a ping of 126 bytes": frame(PING, b"x" * 126),
    "a pong of 126 bytes": frame(PONG, b"x" * 126),
    "a close of 126 bytes": frame(CLOSE, close_payload(1000, b"x" * 124)),
    "a fragmented ping": frame(PING, fin=False),
    "a fragmented pong": frame(PONG, fin=False),
    "a fragmented close": frame(CLOSE, close_payload(1000), fin=False),
}


def bad_frame(pair, data):
    pair.client.send(frame(BINARY, b"good") + data)
    assert pair.target.take_rest() == (b"good", FIN)
    got, code, reason = pair.client.take_closing()
    assert (got, code) == (b"", 1002)
    close_reason(pair.client, reason)
    pair.client.close()
    pair.logged("bad_frame", 1002, up=len(UP) + 4)


@pytest.mark.parametrize("what", BAD_FRAMES)
def test_bad_frame_kind(plain, target, what):
    bad_frame(Pair(plain, target), BAD_FRAMES[what])


@pytest.mark.parametrize("what", ["unmasked", "the top bit of a length", "a fragmented ping"])
def test_bad_frame(pair, what):
    bad_frame(pair(), BAD_FRAMES[what])


def test_bad_frame_cut_at_every_byte(plain, target):
    data = BAD_FRAMES["65535 in 64 bits"][:14]
    server = target().serve(sink)
    gateway = plain.start(f'- target: "{server.url}"')
    for at in range(1, len(data)):
        client = plain.open()
        client.send(data[:at])
        until_read(client.sock)
        client.send(data[at:])
        assert client.take_closing()[1] == 1002, at
        client.close()
        assert gateway.session_end(client)["cause"] == "bad_frame"


def test_bad_utf8(pair):
    pair = pair("messages: any,")
    pair.client.send(frame(TEXT, b"fine") + frame(TEXT, b"\xff"))
    got, code, reason = pair.client.take_closing()
    assert (got, code) == (b"", 1007)
    close_reason(pair.client, reason)
    assert pair.target.take_rest() == (b"fine", FIN)
    pair.client.close()
    pair.logged("bad_utf8", 1007, up=len(UP) + 4)


def test_bad_message_type(pair):
    pair = pair()
    pair.client.send(frame(BINARY, b"fine") + frame(TEXT, b"text"))
    got, code, reason = pair.client.take_closing()
    assert (got, code) == (b"", 1003)
    close_reason(pair.client, reason)
    assert pair.target.take_rest() == (b"fine", FIN)
    pair.client.close()
    pair.logged("bad_message_type", 1003, up=len(UP) + 4)


TOO_BIG = {
    "one frame": frame(BINARY, b"x" * (len(UP) + 1)),
    "fragments": frame(BINARY, b"x" * len(UP), fin=False) + frame(CONTINUATION, b"y"),
    "a length alone": frame(BINARY, form=64, length=(1 << 63) - 1),
}


@pytest.mark.parametrize("what", TOO_BIG)
def test_message_too_big(pair, what):
    pair = pair(f"limits: {{message: {len(UP)}B}},")  # UP itself just fits
    pair.client.send(frame(BINARY, b"fine") + TOO_BIG[what])
    got, code, reason = pair.client.take_closing()
    assert (got, code) == (b"", 1009)
    close_reason(pair.client, reason)
    came, end = pair.target.take_rest()
    assert came.startswith(b"fine") and end == FIN
    pair.client.close()
    pair.logged("message_too_big", 1009, up=len(UP) + len(came))


def test_message_of_exactly_the_limit_in_fragments(pair):
    pair = pair(f"limits: {{message: {len(UP)}B}},")
    half = len(UP) // 2
    pair.client.send(
        frame(BINARY, UP[:half], fin=False) + frame(PING, b"between") + frame(CONTINUATION, UP[half:], fin=True)
    )
    assert pair.target.take(len(UP)) == UP


# The target's ends


def test_target_eof(pair):
    pair = pair()
    last = DOWN * 50
    pair.client.send_binary(b"to the last")
    assert pair.target.take(11) == b"to the last"
    pair.target.send(last)
    pair.target.end_writing()
    got, code, reason = pair.client.take_closing()
    assert (got == last, code) == (True, 1000)
    close_reason(pair.client, reason, normal=True)
    pair.client.send_close(1000)
    pair.client.close()
    assert pair.target.take_rest() == (b"", FIN)
    pair.logged("target_eof", 1000, up=len(UP) + 11, down=len(DOWN) + len(last))


def test_target_eof_by_close(pair):
    pair = pair()
    pair.target.send(b"bye")
    pair.target.close()
    assert pair.client.take_closing()[:2] == (b"bye", 1000)
    pair.client.close()
    pair.logged("target_eof", 1000, down=len(DOWN) + 3)


def test_target_eof_still_takes_what_the_client_had_sent(pair):
    """The gateway has read the client's bytes when the FIN comes: they are the target's all the same."""
    pair = pair()
    more = UP * 4
    pair.client.send_binary(more)
    until_read(pair.client.raw)
    pair.target.end_writing()
    assert pair.client.take_closing()[:2] == (b"", 1000)
    pair.client.close()
    came, end = pair.target.take_rest()
    assert (came == more, end) == (True, FIN)
    pair.logged("target_eof", 1000, up=5 * len(UP))


def test_target_eof_at_once(relay, target):
    """Greeting and FIN may be there before the session is."""
    server = target()
    gateway = relay.start(f'- target: "{server.url}"')
    client = relay.connect()
    client.send(request())
    end = server.accept()
    end.send(b"greeting")
    end.end_writing()
    assert client.take_answer().status == 101
    assert client.take_closing()[:2] == (b"greeting", 1000)
    client.close()
    assert end.take_rest() == (b"", FIN)
    end.close()
    logged_end(gateway, client, "target_eof", 1000, 0, 8)


def test_target_reset(pair):
    pair = pair()
    pair.target.reset()
    got, code, reason = pair.client.take_closing()
    assert (got, code) == (b"", 1014)
    close_reason(pair.client, reason)
    pair.client.close()
    assert pair.logged("target_reset", 1014)["level"] == "warning"


def test_target_reset_directly_behind_its_bytes(pair):
    pair = pair()
    pair.target.send(DOWN)
    pair.target.reset()
    got, code, _ = pair.client.take_closing()
    assert (got == DOWN, code) == (True, 1014)
    pair.client.close()
    pair.logged("target_reset", 1014, down=2 * len(DOWN))


def unreachable(relay, cause, options, url):
    gateway = relay.start(f'- {{name: pair, {options} target: "{url}"}}')
    client = relay.open()
    got, code, reason = client.take_closing()
    assert (got, code) == (b"", 1014)
    close_reason(client, reason)
    client.close()
    event = logged_end(gateway, client, cause, 1014, 0, 0, route="pair", target=url)
    assert event["level"] == "warning"


def test_target_refused(relay, keep):
    unreachable(relay, "target_refused", "", keep(Refusing()).url)


def test_target_unreachable(relay, tmp_path):
    unreachable(relay, "target_unreachable", "", f"unix:{tmp_path}/nobody")


@pytest.mark.parametrize("phase", ["connect", "tls"])
def test_target_timeout(relay, keep, target, phase):
    url = keep(FullBacklog()).url if phase == "connect" else target().url.replace("tcp:", "tls:")
    unreachable(relay, "target_timeout", f"timeouts: {{connect: {ms(200)}}},", url)


def test_target_dns(relay):
    unreachable(relay, "target_dns", "", "tcp://nosuch.invalid:1")


def test_target_tls(relay, target, serving_tls):
    server = target(tls=serving_tls()).serve(lambda stream: stream.take_rest())
    unreachable(relay, "target_tls", "", server.url)


def test_bytes_sent_while_the_target_is_dialed_do_not_eat_the_close(relay, keep):
    relay.start(f'- target: "{keep(FullBacklog()).url}"', f"timeouts: {{connect: {ms(200)}}}")
    client = relay.open()
    client.send_binary(UP)
    assert client.take_closing()[:2] == (b"", 1014)


def test_idle(pair):
    pair = pair(f"timeouts: {{idle: {ms(300)}}},")
    got, code, reason = pair.client.take_closing()
    assert (got, code) == (b"", 1001)
    close_reason(pair.client, reason)
    assert pair.target.take_rest() == (b"", FIN)
    pair.client.close()
    pair.logged("idle", 1001)


def test_session_limit(pair):
    pair = pair(f"timeouts: {{session: {ms(400)}}},")
    got, code, reason = pair.client.take_closing()
    assert (got, code) == (b"", 1008)
    close_reason(pair.client, reason)
    assert pair.target.take_rest() == (b"", FIN)
    pair.client.close()
    pair.logged("session_limit", 1008)


def test_target_not_text(relay, target):
    server = target()
    gateway = relay.start(f'- {{messages: text, target: "{server.url}"}}')
    client = relay.open()
    end = server.accept()
    client.send_text("up")
    assert end.take(2) == b"up"
    end.send(b"fine")
    assert client.take_payload(4, TEXT) == b"fine"
    end.send(b"\xff")
    got, code, reason = client.take_closing()
    assert (got, code) == (b"", 1014)
    close_reason(client, reason)
    assert end.take_rest() == (b"", FIN)
    client.close()
    end.close()
    logged_end(gateway, client, "target_not_text", 1014, 2, 4)


def test_drain(pair):
    pair = pair(more="timeouts: {drain: 1ms}")
    gateway = pair.relay.gateway
    gateway.terminate()
    got, code, reason = pair.client.take_closing()
    assert (got, code) == (b"", 1012)
    close_reason(pair.client, reason)
    assert pair.target.take_rest() == (b"", FIN)
    with pytest.raises(ConnectionRefusedError):
        gateway.connect()
    pair.client.close()
    pair.logged("drain", 1012)
    assert gateway.wait() == 0
    gateway.stop()


# What holds for every end


ENDS = {
    "target_eof": (1000, lambda pair: pair.target.close()),
    "bad_message_type": (1003, lambda pair: pair.client.send_text("text")),
    "client_close": (1000, lambda pair: pair.client.send_close(1000)),
}


@pytest.mark.parametrize("cause", ENDS)
def test_after_its_close_the_gateway_reads_on(relay, target, cause):
    """So that no RST eats the Close frame of a client that is still talking."""
    code, provoke = ENDS[cause]
    pair = Pair(relay, target)
    provoke(pair)
    for _ in range(10):
        pair.client.send_binary(UP)
    assert pair.client.take_closing()[:2] == (b"", code)
    pair.target.close()
    for _ in range(10):
        pair.client.send_binary(UP)
        until_read(pair.client.raw)
    pair.client.send_close(1000)
    pair.client.end_writing()
    until(lambda: relay.gateway.descriptors() == pair.idle, "the gateway to let go")
    assert pair.client.raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0, "a reset behind the Close"
    assert relay.gateway.session_end(pair.client)["cause"] == cause


@pytest.mark.parametrize(
    "cause, code, provoke",
    [
        ("target_eof", 4001, lambda pair: pair.target.end_writing()),
        ("bad_message_type", 4002, lambda pair: pair.client.send_text("text")),
        ("target_reset", 1011, lambda pair: pair.target.reset()),
    ],
)
def test_close_codes(plain, target, cause, code, provoke):
    pair = Pair(plain, target, f"close_codes: {{{cause}: {code}}},")
    provoke(pair)
    got, came, reason = pair.client.take_closing()
    assert (got, came) == (b"", code)
    close_reason(pair.client, reason)
    pair.client.close()
    pair.logged(cause, code)


def test_pings_are_answered_between_data(pair):
    pair = pair()
    pair.client.send(
        frame(BINARY, b"a", fin=False) + frame(PING, b"ping") + frame(CONTINUATION, b"b") + frame(PING, b"x" * 125)
    )
    assert pair.target.take(2) == b"ab"
    seen = []
    while b"x" * 125 not in seen:
        one = pair.client.take_frame()
        assert one.opcode == PONG
        seen.append(one.payload)
    assert seen in ([b"ping", b"x" * 125], [b"x" * 125])


def test_frames_of_every_size(pair):
    """At the borders of the three forms of a length, and of nothing at all."""
    pair = pair()
    for n in (0, 1, 125, 126, 127, 65535, 65536, 65537, 0, 200_000):
        payload = (UP * 20)[:n]
        pair.client.send_binary(payload)
        assert pair.target.take(n) == payload
        pair.target.send(payload)
        assert pair.client.take_payload(n) == payload
