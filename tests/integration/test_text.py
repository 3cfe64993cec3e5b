"""`messages: binary | text | any` in both directions."""

import pytest
from lib.checks import logged_end
from lib.stream import FIN
from lib.wait import until_read
from lib.ws import BINARY, CONTINUATION, PING, PONG, TEXT, frame

MIXED = "aß€😀" * 3 + "\u0000\ud7ff\ue000\ufffd\U0010ffff"
BYTES = MIXED.encode()

NOT_UTF8 = {
    "a byte that never is": b"ok \xff",
    "a continuation alone": b"\x80",
    "an overlong slash": b"\xc0\xaf",
    "an overlong slash of three": b"\xe0\x80\xaf",
    "an overlong of four": b"\xf0\x80\x80\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "a character broken off": b"\xe2\x82 ",
}
UNFINISHED = {"one of two": b"ok \xc3", "two of three": b"ok \xe2\x82", "three of four": b"\xf0\x9f\x98"}


@pytest.fixture
def session(relay, target):
    """session(kind): a client and the target's end on a route that takes messages of that kind."""

    def make(kind):
        server = target()
        gateway = relay.start(f'- {{messages: {kind}, target: "{server.url}"}}')
        return gateway, relay.open(), server.accept()

    return make


def take_message(client):
    """One message, in whatever frames: its opcode and its payload."""
    one = client.take_data_frame()
    opcode, payload = one.opcode, one.payload
    while not one.fin:
        one = client.take_data_frame()
        payload += one.payload
    return opcode, payload


@pytest.mark.parametrize("kind", ["text", "any"])
def test_text_up(session, kind):
    _, client, end = session(kind)
    client.send_text(MIXED)
    assert end.take(len(BYTES)) == BYTES
    # fragments that cut characters, with a Ping between them
    parts = [BYTES[i : i + 1] for i in range(len(BYTES))]
    data = frame(TEXT, b"", fin=False)
    for part in parts:
        data += frame(CONTINUATION, part, fin=False) + frame(PING, b"p")
    client.send(data + frame(CONTINUATION, b""))
    assert end.take(len(BYTES)) == BYTES


@pytest.mark.parametrize("kind", ["text", "any"])
def test_text_up_read_byte_by_byte(session, kind):
    _, client, end = session(kind)
    for byte in frame(TEXT, BYTES):
        client.send(bytes([byte]))
        until_read(client.raw)
    assert end.take(len(BYTES)) == BYTES


@pytest.mark.parametrize("kind", ["text", "any"])
@pytest.mark.parametrize("what", [*NOT_UTF8, *UNFINISHED])
def test_text_up_that_is_not_utf8(plain, target, kind, what):
    server = target()
    gateway = plain.start(f'- {{messages: {kind}, target: "{server.url}"}}')
    client = plain.open()
    client.send(frame(TEXT, b"fine") + frame(TEXT, {**NOT_UTF8, **UNFINISHED}[what]))
    assert client.take_closing()[:2] == (b"", 1007)
    with server.accept() as stream:
        came, end = stream.take_rest()
    assert came.startswith(b"fine") and end == FIN
    client.close()
    logged_end(gateway, client, "bad_utf8", 1007, len(came), 0)


def test_text_up_in_fragments_that_are_not_utf8(session):
    gateway, client, end = session("any")
    client.send(frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, b"x"))
    assert client.take_closing()[1] == 1007
    client.close()
    end.close()
    assert gateway.session_end(client)["cause"] == "bad_utf8"


def test_binary_is_not_looked_at(session):
    _, client, end = session("any")
    everything = b"".join(NOT_UTF8.values())
    client.send_binary(everything)
    assert end.take(len(everything)) == everything
    end.send(everything)
    assert client.take_payload(len(everything), BINARY) == everything


def test_binary_on_a_text_route(session):
    gateway, client, end = session("text")
    client.send(frame(TEXT, b"fine") + frame(BINARY, b"no"))
    assert client.take_closing()[:2] == (b"", 1003)
    assert end.take_rest() == (b"fine", FIN)
    end.close()
    client.close()
    assert gateway.session_end(client)["cause"] == "bad_message_type"


def test_empty_message_of_the_wrong_type(session):
    _, client, _ = session("binary")
    client.send_text("")
    assert client.take_closing()[1] == 1003


@pytest.mark.parametrize("kind, opcode", [("binary", BINARY), ("any", BINARY), ("text", TEXT)])
def test_down(session, kind, opcode):
    _, client, end = session(kind)
    end.send(BYTES)
    assert take_message(client) == (opcode, BYTES)


def test_text_down_is_cut_between_characters(session):
    """Each byte comes in a read of its own; every message is text by itself."""
    _, client, end = session("text")
    got = b""
    for i in range(len(BYTES)):
        end.send(BYTES[i : i + 1])
        until_read(end.raw)
    while len(got) < len(BYTES):
        opcode, payload = take_message(client)
        assert opcode == TEXT and payload
        payload.decode("utf-8")
        got += payload
    assert got == BYTES


def test_much_text_down(session):
    """Longer than any buffer: wherever the reads end, messages end between characters."""
    _, client, end = session("text")
    much = ("x" + "€" * 400_000).encode()
    end.send(much)
    end.end_writing()
    got = b""
    while len(got) < len(much):
        opcode, payload = take_message(client)
        assert opcode == TEXT
        payload.decode("utf-8")
        got += payload
    assert got == much
    assert client.take_closing()[1] == 1000


@pytest.mark.parametrize("what", NOT_UTF8)
def test_target_that_is_not_text(plain, target, what):
    server = target()
    gateway = plain.start(f'- {{messages: text, target: "{server.url}"}}')
    client = plain.open()
    end = server.accept()
    end.send("fine €".encode())
    assert client.take_payload(8, TEXT) == "fine €".encode()
    end.send(NOT_UTF8[what])
    got, code, _ = client.take_closing()
    assert code == 1014
    got.decode("utf-8")  # the part before the fault may come
    assert end.take_rest() == (b"", FIN)
    end.close()
    client.close()
    logged_end(gateway, client, "target_not_text", 1014, 0, 8 + len(got))


@pytest.mark.parametrize("what", UNFINISHED)
def test_target_that_ends_amid_a_character(plain, target, what):
    server = target()
    gateway = plain.start(f'- {{messages: text, target: "{server.url}"}}')
    client = plain.open()
    end = server.accept()
    end.send(UNFINISHED[what])
    end.end_writing()
    got, code, _ = client.take_closing()
    assert code == 1014
    got.decode("utf-8")
    end.close()
    client.close()
    assert gateway.session_end(client)["cause"] == "target_not_text"


def test_ping_amid_a_character(session):
    _, client, end = session("text")
    client.send(frame(TEXT, b"\xe2", fin=False) + frame(PING, b"now"))
    one = client.take_frame()
    assert (one.opcode, one.payload) == (PONG, b"now")
    client.send(frame(CONTINUATION, b"\x82\xac"))
    assert end.take(3) == "€".encode()
