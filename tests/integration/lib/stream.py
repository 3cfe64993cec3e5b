"""One end of a connection, plain or TLS, that knows how the other end went away."""

import os
import select
import socket
import ssl
import struct
import threading
import time

from lib.env import DEADLINE

FIN = "FIN"  # in order; over TLS with close_notify before it
RAGGED = "FIN without close_notify"
RST = "RST"


def tell_ragged(context):
    """`context`, by which an end without close_notify is told: Python has OpenSSL take it for an orderly one."""
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


class Turns:
    """A TLS socket for two threads, one of which reads and one writes: OpenSSL wants them to take turns.

    (A read that finds nothing, beside a write, is else taken for an end of the connection: what a call is told of
    its error is kept in the connection, and the other thread's call clears it.)
    """

    def __init__(self, sock):
        self.of = sock
        self.turn = threading.Lock()
        self.timeout = None
        sock.settimeout(0)

    def __getattr__(self, name):
        return getattr(self.of, name)

    def settimeout(self, seconds):
        self.timeout = seconds

    def setblocking(self, blocking):
        self.timeout = None if blocking else 0

    def _do(self, call, *args):
        until = None if self.timeout is None else time.monotonic() + self.timeout
        while True:
            try:
                with self.turn:
                    return call(*args)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                if self.timeout == 0:
                    raise
                events = select.POLLIN if isinstance(want, ssl.SSLWantReadError) else select.POLLOUT
            left = None if until is None else max(0.0, until - time.monotonic())
            waiting = select.poll()
            waiting.register(self.of.fileno(), events)
            if not waiting.poll(None if left is None else left * 1000):
                raise socket.timeout("timed out")

    def recv(self, n):
        return self._do(self.of.recv, n)

    def send(self, data):
        return self._do(self.of.send, data)

    def sendall(self, data):
        with memoryview(data).cast("B") as view:
            at = 0
            while at < len(view):
                at += self.send(view[at:])


class Stream:
    def __init__(self, sock):
        self.tls = isinstance(sock, ssl.SSLSocket)
        self.sock = Turns(sock) if self.tls else sock
        self.sock.settimeout(DEADLINE)
        # A second descriptor of the same socket, to act below TLS: half-close, reset, look for the FIN.
        self.raw = socket.socket(fileno=os.dup(sock.fileno()))
        self.raw.settimeout(DEADLINE)
        self.sending = threading.Lock()
        self.buf = bytearray()
        self.ended = None

    @property
    def local(self):
        """As the gateway's log names this end."""
        name = self.raw.getsockname()
        return f"[{name[0]}]:{name[1]}" if len(name) == 4 else f"{name[0]}:{name[1]}"

    def send(self, data):
        """All of it in one piece: who reads, beside a thread that sends, answers pings, and not amid a frame."""
        with self.sending:
            self.sock.sendall(data)

    def fill(self):
        """One read into the buffer; False once the other end ended, which `ended` then names."""
        if self.ended:
            return False
        try:
            data = self.sock.recv(256 * 1024)
            if data:
                self.buf += data
                return True
            self.ended = FIN
            if self.tls and self.raw.recv(1) != b"":
                raise AssertionError("bytes behind close_notify")
        except ssl.SSLError as error:
            if not isinstance(error, ssl.SSLEOFError) and error.reason != "UNEXPECTED_EOF_WHILE_READING":
                raise
            self.ended = RAGGED
        except (ConnectionResetError, BrokenPipeError):
            self.ended = RST
        return False

    def take(self, n):
        """Exactly the next `n` bytes."""
        while len(self.buf) < n:
            assert self.fill(), f"{self.ended} after {len(self.buf)} of {n} bytes: {bytes(self.buf[:200])!r}"
        data = bytes(self.buf[:n])
        del self.buf[:n]
        return data

    def take_until(self, mark):
        while mark not in self.buf:
            assert self.fill(), f"{self.ended} before {mark!r}: {bytes(self.buf[:200])!r}"
        return self.take(self.buf.index(mark) + len(mark))

    def take_rest(self):
        """All that comes until the other end goes, and how it went."""
        while self.fill():
            pass
        data = bytes(self.buf)
        self.buf.clear()
        return data, self.ended

    def end_writing(self):
        """A TCP half-close; over TLS without close_notify."""
        self.raw.shutdown(socket.SHUT_WR)

    def reset(self):
        for one in (self.sock, self.raw):
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass
        self.close()

    def close(self):
        """Closes the descriptors: FIN, or the kernel's RST where bytes were left unread."""
        self.raw.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
