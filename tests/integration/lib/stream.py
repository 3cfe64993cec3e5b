"""One end of a connection, plain or TLS, that knows how the other end went away."""

import os
import socket
import ssl
import struct

from lib.env import DEADLINE

FIN = "FIN"  # in order; over TLS with close_notify before it
RAGGED = "FIN without close_notify"
RST = "RST"


class Stream:
    def __init__(self, sock):
        self.sock = sock
        self.tls = isinstance(sock, ssl.SSLSocket)
        sock.settimeout(DEADLINE)
        # A second descriptor of the same socket, to act below TLS: half-close, reset, look for the FIN.
        self.raw = socket.socket(fileno=os.dup(sock.fileno()))
        self.raw.settimeout(DEADLINE)
        self.buf = bytearray()
        self.ended = None

    @property
    def local(self):
        """As the gateway's log names this end."""
        name = self.raw.getsockname()
        return f"[{name[0]}]:{name[1]}" if len(name) == 4 else f"{name[0]}:{name[1]}"

    def send(self, data):
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
        except ssl.SSLEOFError:
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
