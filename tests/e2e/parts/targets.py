"""TCP targets that behave in one way each, on free ports of the loopback."""

import socket
import struct
import threading


class Target:
    """Accepts on a thread and hands each connection to `serve` on another, until `with` ends."""

    def __init__(self, serve):
        self.serve = serve
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.open = set()
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.open.add(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass  # the test reads from its own end what became of the session
        with self.lock:
            self.open.discard(connection)
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # its peer was faster


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def fin(connection):
    """Waits for a byte, says goodbye, sends FIN, and reads on until the other side has ended too."""
    connection.recv(1)
    connection.sendall(b"bye")
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65536):
        pass


def reset(connection):
    """Waits for a byte, then resets."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Refusing:
    """A port that is taken and refuses: bound, never listening."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
