"""Runs a case over a connection, and says in a line what was wrong with the answer."""

import socket
import ssl
import threading
from urllib.parse import urlsplit

from lib.env import DEADLINE
from lib.stream import FIN, RAGGED, tell_ragged
from lib.ws import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, frame, request

PIECE = 64 << 10  # sent at once; what has come back meanwhile is read in between, as an echo's room is bounded


class Server:
    """Where the server under test is, and what it says of messages."""

    def __init__(self, url, *, tls=None, messages="binary", headers=()):
        parts = urlsplit(url)
        assert parts.scheme in ("ws", "wss"), "write ws://HOST:PORT/PATH or wss://HOST:PORT/PATH"
        self.tls = tls if parts.scheme == "wss" else None
        self.name = parts.hostname
        self.address = (parts.hostname, parts.port or (443 if self.tls else 80))
        self.host = parts.netloc
        self.path = parts.path or "/"
        self.messages = messages
        self.opcode = TEXT if messages == "text" else BINARY
        self.headers = headers
        self.session = threading.local()

    def connect(self):
        sock = socket.create_connection(self.address, timeout=DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            before = getattr(self.session, "last", None)
            tls = tell_ragged(self.tls)
            sock = tls.wrap_socket(sock, server_hostname=self.name, session=before, suppress_ragged_eofs=False)
            if before is None and sock.version() == "TLSv1.2":
                self.session.last = sock.session
        client = Client(sock)
        client.names_sessions = False
        for one in (client.sock, client.raw):
            one.settimeout(DEADLINE)
        return client

    def request(self, **kwargs):
        headers = [*self.headers, *kwargs.pop("headers", ())]
        return request(self.path, self.host, headers=headers, **kwargs)


class Observed:
    def __init__(self):
        self.data = bytearray()
        self.pongs = []
        self.close = None  # the code; None: none came
        self.end = None


def _take(server, client, seen):
    """One frame into what was seen."""
    one = client.take_frame()
    if one.opcode == PING:
        client.send(frame(PONG, one.payload))
    elif one.opcode == PONG:
        seen.pongs.append(one.payload)
    elif one.opcode == CLOSE:
        assert len(one.payload) != 1, "a Close of one byte"
        seen.close = int.from_bytes(one.payload[:2], "big") if one.payload else 1005
        one.payload[2:].decode("utf-8")
    else:
        assert one.opcode in (server.opcode, CONTINUATION), f"a message of opcode {one.opcode:#x}"
        seen.data += one.payload


def _pieces(case):
    for send in case.send:
        for whole in send() if callable(send) else (send,):
            yield from (whole[at : at + PIECE] for at in range(0, len(whole), PIECE)) if whole else ()


def _fill_what_is_there(client):
    client.sock.settimeout(0)
    try:
        while client.fill():
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        pass
    finally:
        client.sock.settimeout(DEADLINE)


def _send(client, case):
    """One thread sends and reads: an SSL object is not for two of them."""
    sent = 0
    try:
        for piece in _pieces(case):
            client.send(piece)
            sent += len(piece)
            if sent >= PIECE:
                _fill_what_is_there(client)
                sent = 0
    except OSError:
        pass  # the server has ended it: what it says is read all the same


def _until(server, client, seen, done):
    while seen.close is None and not done():
        _take(server, client, seen)


def _exchange(server, client, case, seen):
    """Sends, and reads until nothing more is to be awaited."""
    _send(client, case)
    if case.close or case.final:
        _until(server, client, seen, lambda: False)
    else:
        _until(
            server,
            client,
            seen,
            lambda: len(seen.data) >= len(case.data) and (case.drop or len(seen.pongs) >= len(case.pongs)),
        )
        if not case.drop and seen.close is None:
            client.send_close(1000)
            _until(server, client, seen, lambda: False)


def _verdict(case, seen):
    """What was wrong, or None."""
    if case.drop:
        return (
            None if bytes(seen.data) == case.data and seen.close is None else "the bytes that were there did not come"
        )
    wanted = case.close or case.answer
    if seen.close != wanted:
        return f"Close {seen.close}, should be {wanted}"
    if seen.end != FIN:
        return f"{seen.end} behind the Close"
    if case.close or case.final:  # of what went before, the echo may have sent some of it in time
        fine = not case.data or case.data.startswith(bytes(seen.data))
        return None if fine else "other bytes came back than were sent"
    if bytes(seen.data) != case.data:
        return f"{len(seen.data)} bytes came back of {len(case.data)}, or others"
    if tuple(seen.pongs) != case.pongs:
        return f"pongs {[bytes(one[:20]) for one in seen.pongs]}"
    return None


def run_case(server, case):
    """None where the answer was right, else a line."""
    seen = Observed()
    try:
        with server.connect() as client:
            client.upgrade(server.path, server.host, headers=server.headers)
            _exchange(server, client, case, seen)
            if not case.drop:
                if case.close:
                    _answer_close(client, seen.close)
                rest, seen.end = client.take_rest()
                if rest:
                    return f"{len(rest)} bytes behind the Close"
                if server.tls and seen.end == RAGGED:
                    seen.end = FIN + " without close_notify"
    except (AssertionError, OSError, ValueError, ssl.SSLError) as fault:
        return f"{type(fault).__name__}: {fault}"[:300]
    return _verdict(case, seen)


def _answer_close(client, code):
    """5.5.1: a Close is answered; a server that has ended already does not mind."""
    try:
        client.send_close(code if code and code != 1005 else None)
    except OSError:
        pass


def run_request(server, case):
    try:
        with server.connect() as client:
            for piece in case.send:
                client.send(piece(server) if callable(piece) else piece)
            answer = client.take_answer()
            if answer.status not in case.status:
                return f"status {answer.status}, should be {' or '.join(map(str, case.status))}"
            if answer.status == 101:
                return None if client.take_payload(len(case.data), server.opcode) == case.data else "other bytes"
            if answer.tokens("connection") != ["close"]:
                return "a refusal that does not close"
            rest, end = client.take_rest()
            return None if (rest, end) == (b"", FIN) else f"{end} and {len(rest)} bytes behind the answer"
    except (AssertionError, OSError, ValueError, ssl.SSLError) as fault:
        return f"{type(fault).__name__}: {fault}"[:300]
