"""WebSocket at the level of single bytes: every field of a frame and of the handshake can be wrong on purpose."""

import base64
import hashlib
import os
import re
import struct
from dataclasses import dataclass

from lib.stream import FIN, Stream

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SESSION_ID = re.compile(r"[0-9a-f]{16}")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def mask_bytes(data, mask):
    """XOR with the repeated mask, as two long integers."""
    n = len(data)
    if n == 0:
        return b""
    stream = mask * (n // 4) + mask[: n % 4]
    return (int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")).to_bytes(n, "little")


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=b"\x12\x34\x56\x78", form=None, length=None):
    """The bytes of one frame. `form` forces the length's width (7, 16, 64), `length` what it says;
    mask None sends it unmasked."""
    length = len(payload) if length is None else length
    if form is None:
        form = 7 if length < 126 else 16 if length < 65536 else 64
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if mask is not None else 0
    if form == 7:
        head = struct.pack("!BB", first, bit | length)
    elif form == 16:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    if mask is None:
        return head + payload
    return head + mask + mask_bytes(payload, mask)


def close_payload(code=None, reason=b""):
    return b"" if code is None else struct.pack("!H", code) + reason


@dataclass
class Frame:
    fin: bool
    opcode: int
    payload: bytes


@dataclass
class Answer:
    """An HTTP answer. `fields` has lower-cased names; a repeated field's values are joined by ", "."""

    status: int
    phrase: str
    fields: dict
    body: bytes = b""

    def tokens(self, name):
        return [part.strip().lower() for part in self.fields.get(name, "").split(",") if part.strip()]


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    assert lines[-2:] == ["", ""], head
    version, status, phrase = lines[0].split(" ", 2)
    assert version == "HTTP/1.1", lines[0]
    fields = {}
    for line in lines[1:-2]:
        name, value = line.split(":", 1)
        assert name == name.strip() and name, line
        name = name.lower()
        value = value.strip()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Answer(int(status), phrase, fields)


def request(path="/", host="localhost", *, method="GET", version="HTTP/1.1", upgrade=True, drop=(), headers=()):
    """A request's bytes. `headers` are (name, value) pairs or whole lines behind the usual ones, `drop` names
    usual ones to leave out."""
    usual = [("Host", host)]
    if upgrade:
        usual += [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", "13"),
        ]
    dropped = {name.lower() for name in drop}
    lines = [f"{method} {path} {version}".encode("latin-1")]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in usual if name.lower() not in dropped]
    for one in headers:
        if isinstance(one, tuple):
            one = f"{one[0]}: {one[1]}"
        lines.append(one if isinstance(one, bytes) else one.encode("latin-1"))
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Client(Stream):
    """A client's end: HTTP first, then frames."""

    answer = None  # the last one
    names_sessions = True  # as Sluice does, and no other gateway

    @property
    def session_id(self):
        return self.answer.fields["sluice-session"]

    def take_answer(self, method="GET"):
        """The next HTTP answer with its body (by Content-Length, or up to the end)."""
        self.answer = answer = parse_head(self.take_until(b"\r\n\r\n"))
        if answer.status in (101, 204, 304) or method == "HEAD":
            return answer
        if "content-length" in answer.fields:
            answer.body = self.take(int(answer.fields["content-length"]))
        else:
            answer.body, end = self.take_rest()
            assert end == FIN, end
        return answer

    def ask(self, data):
        self.send(data)
        return self.take_answer()

    def upgrade(self, path="/", host="localhost", **kwargs):
        """The opening handshake; afterwards frames flow. Fails where the answer is not a right 101."""
        key = base64.b64encode(os.urandom(16)).decode()
        headers = [("Sec-WebSocket-Key", key), *kwargs.pop("headers", ())]
        drop = {"Sec-WebSocket-Key", *kwargs.pop("drop", ())}
        answer = self.ask(request(path, host, drop=drop, headers=headers, **kwargs))
        assert answer.status == 101, answer
        assert not self.names_sessions or SESSION_ID.fullmatch(self.session_id), answer
        expected = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        assert answer.fields["sec-websocket-accept"] == expected
        assert answer.tokens("upgrade") == ["websocket"]
        assert answer.tokens("connection") == ["upgrade"]
        assert "sec-websocket-extensions" not in answer.fields
        return self

    # Sending

    def send_frame(self, opcode, payload=b"", **fields):
        self.send(frame(opcode, payload, **fields))

    def send_binary(self, payload):
        self.send_frame(BINARY, payload)

    def send_text(self, payload):
        self.send_frame(TEXT, payload.encode() if isinstance(payload, str) else payload)

    def send_close(self, code=None, reason=b""):
        self.send_frame(CLOSE, close_payload(code, reason))

    # Receiving

    def take_frame(self):
        """The next frame; everything that a server's frame may not be fails here (RFC 6455 5.1, 5.2, 5.5)."""
        first, second = self.take(2)
        assert first & 0x70 == 0, f"reserved bits: {first:#x}"
        assert second & 0x80 == 0, "a masked frame from the server"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.take(2))
            assert length > 125, "a length in more bytes than it needs"
        elif length == 127:
            (length,) = struct.unpack("!Q", self.take(8))
            assert 65535 < length < 1 << 63, "a length in more bytes than it needs"
        opcode = first & 0x0F
        assert opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG), opcode
        if opcode >= CLOSE:
            assert length <= 125 and first & 0x80, "a control frame that is too long, or fragmented"
        return Frame(bool(first & 0x80), opcode, self.take(length))

    def take_data_frame(self):
        """The next frame that is no Ping or Pong; Pings are answered."""
        while True:
            one = self.take_frame()
            if one.opcode == PING:
                self.send_frame(PONG, one.payload)
            elif one.opcode != PONG:
                return one

    def take_payload(self, n, opcode=BINARY):
        """Exactly `n` bytes of payload, in messages of `opcode` cut anyhow."""
        got = bytearray()
        while len(got) < n:
            one = self.take_data_frame()
            assert one.opcode in (opcode, CONTINUATION), f"{one} after {len(got)} of {n} bytes"
            got += one.payload
        assert len(got) == n, f"{len(got)} bytes in place of {n}"
        return bytes(got)

    def take_close(self):
        """The payload up to the Close frame, its code and its reason."""
        got = bytearray()
        while True:
            one = self.take_data_frame()
            if one.opcode != CLOSE:
                got += one.payload
                continue
            assert len(one.payload) >= 2, f"a Close without a code: {one}"
            (code,) = struct.unpack("!H", one.payload[:2])
            return bytes(got), code, one.payload[2:].decode("utf-8")

    def take_closing(self):
        """As take_close, and then the end in order without a byte more, though we say nothing."""
        got, code, reason = self.take_close()
        rest, end = self.take_rest()
        assert (rest, end) == (b"", FIN)
        return got, code, reason
