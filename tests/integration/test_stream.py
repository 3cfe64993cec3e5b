"""Many sessions at once, each with bytes that tell their position both ways, in frames of every size with
fragments and Pings between. SLUICE_STREAM_SESSIONS and SLUICE_STREAM_MIB make it heavier."""

import os
import random
import select
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from lib.env import DEADLINE, SCALE
from lib.pattern import Pattern
from lib.stream import FIN
from lib.ws import BINARY, CONTINUATION, PING, PONG, frame

SESSIONS = int(os.environ.get("SLUICE_STREAM_SESSIONS", "16"))
TOTAL = int(os.environ.get("SLUICE_STREAM_MIB", "2")) << 20
LIMIT = max(60.0, SESSIONS * TOTAL / (4 << 20)) * SCALE
SIZES = (0, 1, 7, 125, 126, 127, 1000, 4095, 16384, 65535, 65536, 200_000)


def frames(seed, total, pings):
    """All that a client sends, `total` bytes of payload; Pings' payloads are noted in `pings`."""
    dice = random.Random(seed)
    pattern = Pattern(seed)
    position = 0
    fragmented = False
    big = (4 << 20) if total > 4 << 20 else total // 2
    while position < total:
        n = big if big and dice.random() < 0.1 else dice.choice(SIZES)
        if n == big:
            big = 0
        n = min(n, total - position)
        fin = dice.random() < 0.6
        opcode = CONTINUATION if fragmented else BINARY
        fragmented = not fin
        yield frame(opcode, pattern.at(position, n), fin=fin, mask=dice.randbytes(4))
        position += n
        if dice.random() < 0.2:
            pings.append(dice.randbytes(dice.choice((0, 1, 8, 125))))
            yield frame(PING, pings[-1], mask=dice.randbytes(4))
    if fragmented:
        yield frame(CONTINUATION, mask=dice.randbytes(4))
    pings.append(b"the last")
    yield frame(PING, b"the last")


class Reader:
    """Reads a server's frames as they come, in pieces, and checks payload by its position."""

    def __init__(self, seed, pings):
        self.pattern = Pattern(seed)
        self.pings = pings
        self.buf = bytearray()
        self.left = 0
        self.received = 0
        self.pongs = 0  # of self.pings: those before were answered or passed over

    @property
    def all_pongs(self):
        return self.pings[-1:] == [b"the last"] and self.pongs == len(self.pings)

    def feed(self, data):
        view = memoryview(data)
        while len(view):
            if self.left:
                piece = view[: self.left]
                self.pattern.check(self.received, piece)
                self.received += len(piece)
                self.left -= len(piece)
                view = view[len(piece) :]
                continue
            self.buf += view[:1]
            view = view[1:]
            self.header()

    def header(self):
        have = len(self.buf)
        if have < 2:
            return
        short = self.buf[1]
        assert short & 0x80 == 0 and self.buf[0] & 0x70 == 0
        opcode = self.buf[0] & 0x0F
        need = 2 if short < 126 else 4 if short == 126 else 10
        if opcode == PONG:
            need += short
        if have < need:
            return
        if opcode == PONG:
            # Of several Pings the newest is answered: answers are in order, and gaps are allowed.
            self.pongs = self.pings.index(bytes(self.buf[2:need]), self.pongs) + 1
        else:
            assert opcode in (BINARY, CONTINUATION), self.buf.hex()
            if short < 126:
                self.left = short
            elif short == 126:
                (self.left,) = struct.unpack_from("!H", self.buf, 2)
            else:
                (self.left,) = struct.unpack_from("!Q", self.buf, 2)
        self.buf.clear()


def pump(client, outgoing, reader, done):
    """Sends and receives at the same time in one thread, since a TLS connection is not for two."""
    sock = client.sock
    sock.setblocking(False)
    would_block = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
    pending = memoryview(b"")
    over = False
    end = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < end, f"{reader.received} bytes came in time"
        moved = False
        try:
            data = sock.recv(256 * 1024)
            assert data, "the gateway ended"
            reader.feed(data)
            moved = True
        except would_block:
            pass
        try:
            while not len(pending) and not over:
                # Small frames leave together.
                batch = bytearray()
                while len(batch) < 65536 and not over:
                    one = next(outgoing, None)
                    over = one is None
                    batch += one or b""
                pending = memoryview(bytes(batch))
            if len(pending):
                pending = pending[sock.send(pending) :]
                moved = True
        except would_block:
            pass
        if not moved:
            select.select([sock], [sock] if len(pending) else [], [], DEADLINE)
    sock.settimeout(DEADLINE)


def echo_all(stream):
    while stream.fill():
        stream.send(stream.buf)
        stream.buf.clear()
    stream.close()


class Duplex:
    """A target whose own bytes do not wait for the client's: both ways are full at once."""

    def __init__(self):
        self.fault = None
        self.ended = threading.Event()

    def __call__(self, stream):
        try:
            self.run(stream)
        except BaseException as fault:  # pylint: disable=broad-except
            self.fault = fault
        finally:
            self.ended.set()

    def run(self, stream):
        # The client's first message tells the seed.
        (seed,) = struct.unpack("!I", stream.take(4))

        def source():
            pattern = Pattern(seed + 1)
            sent = 0
            while sent < TOTAL:
                n = min(100_003, TOTAL - sent)
                stream.raw.sendall(pattern.at(sent, n))
                sent += n

        thread = threading.Thread(target=source, daemon=True)
        thread.start()
        pattern = Pattern(seed)
        got = 0
        while True:
            pattern.check(got, bytes(stream.buf))
            got += len(stream.buf)
            stream.buf.clear()
            if not stream.fill():
                break
        thread.join(LIMIT)
        assert (got, stream.ended) == (TOTAL, FIN)
        stream.close()


def one_session(relay, n):
    seed = 1000 + n
    client = relay.connect()
    pings = []
    if n % 2:
        client.upgrade("/duplex")
        client.send_binary(struct.pack("!I", seed))
        reader = Reader(seed + 1, pings)
        extra = 4
    else:
        client.upgrade("/echo")
        reader = Reader(seed, pings)
        extra = 0
    pump(
        client,
        frames(seed, TOTAL, pings),
        reader,
        lambda: reader.received == TOTAL and reader.left == 0 and reader.all_pongs,
    )
    client.send_close(1000)
    assert client.take_closing()[:2] == (b"", 1000)
    client.close()
    event = relay.gateway.session_end(client)
    assert event["cause"] == "client_close", event
    assert (event["up_bytes"], event["down_bytes"]) == (str(TOTAL + extra), str(TOTAL)), event


def test_stream(relay, target):
    echo = target().serve(echo_all)
    duplexes = []

    def duplex(stream):
        one = Duplex()
        duplexes.append(one)
        one(stream)

    other = target().serve(duplex)
    relay.start(
        f"""
        - {{path: /echo, target: "{echo.url}"}}
        - {{path: /duplex, target: "{other.url}"}}
        """,
        "timeouts: {ping: off}",  # hundreds of these clients are slow, and then a Ping of the gateway is in their way
    )
    with ThreadPoolExecutor(SESSIONS) as pool:
        for result in [pool.submit(one_session, relay, n) for n in range(SESSIONS)]:
            result.result()
    assert len(duplexes) == SESSIONS // 2
    for one in duplexes:
        assert one.ended.wait(DEADLINE)
        if one.fault:
            raise one.fault


def test_every_frame_in_pieces(relay, target):
    """Frames whose headers and payloads come cut anywhere, from one byte to a few: the decoder's own state."""
    server = target().serve(echo_all)
    relay.start(f'- target: "{server.url}"')
    client = relay.open()
    dice = random.Random(5)
    pattern = Pattern(5)
    data = b""
    position = 0
    for n in (0, 1, 2, 125, 126, 300, 0, 65536, 5):
        data += frame(BINARY, pattern.at(position, n), mask=dice.randbytes(4))
        position += n

    def pieces():
        at = 0
        while at < len(data):
            n = dice.choice((1, 1, 2, 3, 5, 1000))
            yield data[at : at + n]
            at += n
        yield frame(PING, b"the last")

    for piece in pieces():
        client.send(piece)
    got = b""
    while len(got) < position:
        one = client.take_frame()
        if one.opcode != PONG:
            got += one.payload
    assert got == pattern.at(0, position)


def test_auto_moves_to_epoll_and_back(start, target):
    """`poller: auto` with more descriptors than poll is good for, and then few again."""
    server = target().serve(echo_all)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        routes: {{target: "{server.url}"}}
        """
    )
    assert gateway.ready["poller"] == "auto"
    for round_ in range(3):
        clients = [gateway.connect().upgrade() for _ in range(150)]
        for n, client in enumerate(clients):
            client.send_binary(b"%d %d" % (round_, n))
        for n, client in enumerate(clients):
            want = b"%d %d" % (round_, n)
            assert client.take_payload(len(want)) == want
        for client in clients[1:]:
            client.close()
        for client in clients[1:]:
            gateway.session_end(client)
        clients[0].send_binary(b"alone")
        assert clients[0].take_payload(5) == b"alone"
