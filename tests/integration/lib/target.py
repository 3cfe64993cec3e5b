"""What the gateway connects to. A test accepts and drives a target's connections itself, or lets it echo."""

import os
import socket
import ssl
import threading

from lib.env import DEADLINE
from lib.stream import Stream, tell_ragged


class Target:
    """A listening socket: TCP on `host`, or unix with `path`; with `tls` it is a TLS server."""

    def __init__(self, path=None, *, host="127.0.0.1", tls=None, backlog=128, sndbuf=None, rcvbuf=None):
        self.tls = tls
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        if sndbuf:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        if rcvbuf:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.host = host
        self.listener.bind(str(path) if path else (host, 0))
        if backlog is not None:
            self.listener.listen(backlog)
        self.listener.settimeout(DEADLINE)
        self.path = path
        self.streams = []
        self.threads = []
        self.counting = threading.Lock()
        self.over = 0  # connections that `serve` is done with

    @property
    def port(self):
        return self.listener.getsockname()[1]

    @property
    def url(self):
        if self.path:
            return f"unix:{self.path}"
        return f"{'tls' if self.tls else 'tcp'}://{self.host}:{self.port}"

    def accept(self):
        """The next connection, its TLS handshake done."""
        sock, _ = self.listener.accept()
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            sock.settimeout(DEADLINE)
            try:
                sock = tell_ragged(self.tls).wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
            except BaseException:
                sock.close()
                raise
        stream = Stream(sock)
        self.streams.append(stream)
        return stream

    def serve(self, behaviour):
        """Every connection from now on is handed to `behaviour` in a thread of its own.

        A read in there waits as long as it takes: one that gave up would leave the connection open and
        unserved, which looks as if the gateway had lost a wake-up. `close` ends them all."""

        def one(stream):
            try:
                for sock in (stream.sock, stream.raw):
                    sock.settimeout(None)
                behaviour(stream)
            except OSError:
                pass  # closed under us, by the gateway or by the test's end
            with self.counting:
                self.over += 1

        def all_of_them():
            while True:
                try:
                    stream = self.accept()
                except (TimeoutError, ssl.SSLError):
                    continue
                except OSError:
                    return
                threading.Thread(target=one, args=(stream,), daemon=True).start()

        thread = threading.Thread(target=all_of_them, daemon=True)
        thread.start()
        self.threads.append(thread)
        return self

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes a thread that accepts
        except OSError:
            pass
        self.listener.close()
        for stream in self.streams:
            try:
                stream.raw.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            stream.close()
        for thread in self.threads:
            thread.join(DEADLINE)
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)


def echo(stream):
    """Sends back what comes, and ends when the other side ends."""
    while stream.fill():
        stream.send(bytes(stream.buf))
        stream.buf.clear()
    stream.close()


def sink(stream):
    """Reads and forgets."""
    while stream.fill():
        stream.buf.clear()
    stream.close()


class FullBacklog:
    """An address that neither takes nor refuses: its queue is full, so the kernel drops further SYNs."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.settimeout(0.05)
            self.fillers.append(filler)
            try:
                filler.connect(self.listener.getsockname())
            except TimeoutError:
                return
        raise AssertionError("the queue does not fill")

    def close(self):
        for filler in self.fillers:
            filler.close()
        self.listener.close()


class Refusing:
    """A bound port on which nobody listens: connecting is refused, and nobody else can take it."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.url = "tcp://127.0.0.1:%d" % self.sock.getsockname()[1]

    def close(self):
        self.sock.close()
