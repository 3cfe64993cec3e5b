"""What clients do, each as a class: `run` once, `causes` that its sessions may end with."""

import contextlib
import socket
import ssl
import struct
import time

from lib.pattern import Pattern
from lib.stream import tell_ragged
from lib.ws import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, frame, request
from lib.ws import close_payload

KIB = 1024
PATIENCE_S = 90
CLOSED = ("client_close",)


class Lost(Exception):
    """The connection went away under a client that had every right to it."""


class Behaviour:
    causes = CLOSED

    def __init__(self, world, role, chance):
        self.world = world
        self.role = role
        self.chance = chance
        self.clients = []
        self.marks = []

    def inside(self):
        return self.world.net.inside(self.role) if self.world.net else contextlib.nullcontext()

    def connect(self, tls=None):
        """To a plain or a TLS listener of the side that it is on."""
        gateway = self.world.gateway
        tls = self.chance.random() < 0.4 if tls is None else tls
        host, port = gateway.address(int(tls) + (2 if self.role == "client" else 0))
        with self.inside():
            sock = socket.socket()
        try:
            sock.settimeout(PATIENCE_S)
            sock.connect((host, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                context = tell_ragged(ssl.create_default_context(cafile=self.world.certs / "ca.crt"))
                sock = context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        except BaseException:
            sock.close()
            raise
        client = Client(sock)
        client.sock.settimeout(PATIENCE_S)
        client.raw.settimeout(PATIENCE_S)
        client.name = client.local
        self.clients.append(client)
        return client

    def open(self, path, tls=None):
        began = time.monotonic()
        client = self.connect(tls)
        try:
            client.upgrade(path)
        except AssertionError as fault:
            raise Lost(str(fault)) from fault
        self.marks.append((client.name, type(self), began))
        return client

    def leave(self, client):
        client.send_close(1000)
        code = client.take_close()[1]
        assert code == 1000, f"Close {code}"

    def run(self):
        raise NotImplementedError

    def close(self):
        for client in self.clients:
            client.close()
        now = time.monotonic()
        with self.world.lock:
            self.world.opened += [(*mark, now) for mark in self.marks]


class PingPong(Behaviour):
    path = "/echo"

    def run(self):
        client, pattern, at = self.open(self.path), Pattern(self.chance.randrange(1000)), 0
        for _ in range(self.chance.randrange(1, 100)):
            n = self.chance.choice([1, 64, 125, 126, 1000])
            client.send_frame(BINARY, pattern.at(at, n), mask=self.chance.randbytes(4))
            pattern.check(at, client.take_payload(n))
            at += n
            if self.chance.random() < 0.1:
                client.send_frame(PING, b"are you there")
        self.leave(client)


class Stream(Behaviour):
    """Pieces in frames and fragments of all sizes, a few of them on their way at a time."""

    path = "/echo"
    piece = 96 * KIB
    pieces = 12

    def run(self):
        client, pattern = self.open(self.path), Pattern(self.chance.randrange(1000))
        sent = got = 0
        for _ in range(self.chance.randrange(1, self.pieces)):
            wire, size = b"", 0
            while size < self.piece:
                n = self.chance.choice([1, 100, 4000, 16 * KIB, 70 * KIB])
                half = self.chance.randrange(n + 1)
                wire += frame(BINARY, pattern.at(sent + size, half), fin=False)
                wire += frame(PING, b"between") if self.chance.random() < 0.2 else b""
                wire += frame(CONTINUATION, pattern.at(sent + size + half, n - half))
                size += n
            client.send(wire)
            sent += size
            pattern.check(got, client.take_payload(size))
            got += size
        self.leave(client)


class SlowReader(Behaviour):
    """Takes a little of a target without an end, and goes."""

    causes = ("client_gone",)

    def run(self):
        client = self.open("/source")
        for _ in range(self.chance.randrange(1, 12)):
            one = client.take_data_frame()
            assert one.opcode in (BINARY, CONTINUATION), one
            assert one.payload.count(0) == len(one.payload), "wrong byte"
            time.sleep(0.05)
        client.reset()


class Abort(Behaviour):
    causes = ("client_gone",)

    def run(self):
        client = self.open(self.chance.choice(["/echo", "/sink"]))
        client.send(frame(BINARY, bytes(self.chance.randrange(200_000)))[: self.chance.randrange(1, 150_000)])
        if self.chance.random() < 0.5:
            client.reset()


class BadFrames(Behaviour):
    causes = ("bad_frame", "bad_message_type")

    def run(self):
        client = self.open("/echo")
        wire, expected = self.chance.choice([
            (frame(BINARY, b"x", mask=None), 1002),
            (frame(BINARY, b"x", rsv=4), 1002),
            (frame(3, b"x"), 1002),
            (frame(PING, bytes(126)), 1002),
            (frame(PING, b"", fin=False), 1002),
            (frame(CONTINUATION, b"x"), 1002),
            (frame(BINARY, b"x", form=64), 1002),
            (frame(TEXT, b"x"), 1003),
        ])  # fmt: skip
        client.send(wire)
        code = client.take_close()[1]
        assert code == expected, f"Close {code} for {wire!r}"


class OddCloses(Behaviour):
    def run(self):
        client = self.open("/echo")
        payload, expected = self.chance.choice([
            (b"", 1000), (close_payload(1001, b"going"), 1001), (close_payload(4999), 4999),
            (b"\x03", 1002), (close_payload(1005), 1002), (close_payload(1000, b"\xff"), 1007),
        ])  # fmt: skip
        client.send_frame(CLOSE, payload)
        code = client.take_close()[1]
        assert code == expected, f"Close {code} for {payload!r}"


class Nobody(Behaviour):
    causes = ("target_refused",)

    def run(self):
        code = self.open("/nobody").take_close()[1]
        assert code == 1014, f"Close {code}"


class Storm(Behaviour):
    """Connections that go away, some amid their request or their TLS hello."""

    def run(self):
        for _ in range(40):
            host, port = self.world.gateway.address(self.chance.randrange(2))
            with self.inside():
                sock = socket.socket()
            with sock:
                sock.settimeout(PATIENCE_S)
                sock.connect((host, port))
                sock.send(self.chance.choice([b"", b"\x16\x03\x01", b"GET /", request("/echo")[:-2]]) or b"G")
                if self.chance.random() < 0.5:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.2)


class Files(Behaviour):
    def run(self):
        client, asked = self.connect(), 0
        for _ in range(self.chance.randrange(1, 6)):
            name, data = self.chance.choice(list(self.world.files.items()))
            ranged = len(data) > 1000 and self.chance.random() < 0.5
            headers = ["Range: bytes=100-999"] if ranged else []
            try:
                answer = client.ask(request(f"/files/{name}", upgrade=False, headers=headers))
            except (AssertionError, OSError):
                # A kept connection may end between two requests, and does when a generation leaves.
                if client.buf or asked == 0:
                    raise
                client, asked = self.connect(), 0
                continue
            asked += 1
            assert answer.status == (206 if ranged else 200), answer.status
            assert answer.body == (data[100:1000] if ranged else data), "wrong byte of a file"


class Refusals(Behaviour):
    def run(self):
        wire, status = self.chance.choice([
            (request("/nothing"), 404), (request("/echo", upgrade=False), 426),
            (request("/echo", headers=["Origin: https://evil.example"]), 403),
            (request("/echo", method="POST"), 405), (request("/echo", drop=["Host"]), 400),
            (request("/echo", version="HTTP/1.0"), 400), (request("/files/../x", upgrade=False), None),
            (request("/echo", headers=["A: " + "a" * 20000]), 431),
        ])  # fmt: skip
        got = self.connect().ask(wire).status
        assert got in ((status,) if status else (400, 404)), f"{got}, not {status}"


class Silent(Behaviour):
    """Idle sessions that only answer pings, over a reload or two."""

    def run(self):
        client = self.open("/echo")
        end = time.monotonic() + self.chance.uniform(1, 15)
        while time.monotonic() < end:
            client.sock.settimeout(0.5)
            try:
                one = client.take_frame()
                if one.opcode == CLOSE:
                    raise Lost(f"Close {one.payload!r}")
                client.send_frame(PONG, one.payload)
            except TimeoutError:
                pass
        client.sock.settimeout(PATIENCE_S)
        self.leave(client)


class Traveller(Stream):
    """The same from afar, through the weather, to a target as far away on the other side."""

    path = "/far"
    piece = 24 * KIB
    pieces = 4


class FarPingPong(PingPong):
    path = "/far"


ALL = [PingPong, PingPong, Stream, Stream, SlowReader, Abort, BadFrames, OddCloses, Nobody, Storm, Files, Refusals,
       Silent, Silent, Silent]  # fmt: skip
TRAVELLERS = [Traveller, Traveller, FarPingPong]
