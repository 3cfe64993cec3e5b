#!/usr/bin/python3
"""One kind of abuse, for a time: attack.py KIND HOST PORT SECONDS COUNT FOLDER ws|wss. Its last line says what was sent.

COUNT is of connections. Addresses of the loopback's net are used in turn, so that the
attacker does not run out of ports before the gateway runs out of anything.
"""

import errno
import resource
import selectors
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

# pylint: disable=wrong-import-position
from lib.ws import BINARY, CONTINUATION, PING, frame, request  # noqa: E402

IP_BIND_ADDRESS_NO_PORT = 24
PATIENCE_S = 20
STALLED_BYTES = 15_000
NEWCOMER_PAUSE_S = 0.02
SLOW_PAUSE_S = 0.5
FLOOD_BYTES = 32 * 1024
FLOOD_PAUSE_S = 0.002  # between writes: a bound for the machine's sake, some 16 MiB/s
HELLO = bytes.fromhex("16030102000100") + bytes(505)  # the start of a ClientHello of 512 bytes


class Attack:
    def __init__(self, host, port, seconds, count, folder, scheme):
        self.address = (host, port)
        self.count = count
        self.folder = Path(folder)
        self.tls = scheme == "wss"
        self.end = time.monotonic() + seconds
        self.made = self.bytes = 0
        self.lost = 0  # connections that the gateway ended meanwhile

    def left(self):
        return self.end - time.monotonic()

    def socket(self, blocking=False, rcvbuf=None):
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.{1 + self.made // 4000 % 200}.1", 0))
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.setblocking(blocking)
        if sock.connect_ex(self.address) not in (0, errno.EINPROGRESS):
            raise OSError("cannot connect")
        self.made += 1
        return sock

    def session(self, path, rcvbuf=None):
        """After the handshake; None where the gateway refused."""
        sock = None
        try:
            sock = self.wrapped(rcvbuf)
            sock.sendall(request(path))
            head = b""
            while b"\r\n\r\n" not in head:
                more = sock.recv(1)
                if not more:
                    break
                head += more
        except OSError:
            head = b""
        if head.startswith(b"HTTP/1.1 101"):
            return sock
        self.lost += 1
        if sock:
            sock.close()
        return None

    def sessions(self, path, rcvbuf=None):
        return [one for one in (self.session(path, rcvbuf) for _ in range(self.count)) if one]

    # Those that say little

    def dribble(self, socks, data):
        """A byte to each, again and again."""
        at = 0
        while self.left() > 0 and socks:
            alive = []
            for sock in socks:
                try:
                    sock.send(data[at % len(data)].to_bytes(1, "big"))
                    self.bytes += 1
                    alive.append(sock)
                except BlockingIOError:
                    alive.append(sock)
                except OSError:
                    self.lost += 1
                    sock.close()
            socks = alive
            at += 1
            time.sleep(SLOW_PAUSE_S)
        return f"{self.made} connections, a byte each every {SLOW_PAUSE_S} s; {self.lost} were ended"

    def slow_hello(self):
        return self.dribble([self.socket() for _ in range(self.count)], HELLO)

    def slow_header(self):
        return self.dribble([self.socket() for _ in range(self.count)], request("/sink")[:-2] + b"A: " + b"a" * 4096)

    def slow_frame(self):
        return self.dribble(self.sessions("/sink"), frame(BINARY, bytes(1 << 20)))

    def slow_reader(self):
        socks = self.sessions("/source", rcvbuf=4096)
        time.sleep(max(0, self.left()))
        return f"{len(socks)} sessions that never read what a fast target sends"

    def leavers(self):
        """Sessions of a target without an end that go as soon as its first bytes are there, at so many a second."""
        began = time.monotonic()
        while self.left() > 0:
            for sock in self.sessions_until(began):
                sock.close()
            time.sleep(SLOW_PAUSE_S / 10)
        return f"{self.made} sessions with a target that sends without an end, each left at once"

    def sessions_until(self, began):
        due = int((time.monotonic() - began) * self.count)
        while self.made < due and self.left() > 0:
            sock = self.session("/source")
            if sock:
                sock.recv(1)
                yield sock

    def silent(self):
        socks = []
        for _ in range(self.count):
            socks.append(self.socket())
            if len(socks) % 500 == 0:
                time.sleep(0.02)  # lest the listener's queue overflows
        time.sleep(max(0, self.left()))
        open_still = sum(1 for sock in socks if self.is_open(sock))
        return f"{self.made} connections that say nothing; {open_still} stood until the end"

    @staticmethod
    def is_open(sock):
        try:
            return sock.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    # Memory

    def memory(self):
        """Requests that stop short of their end, each as long as one may be, and readers that have stopped, until
        there is no more; then newcomers, one after the other, of whom each says what it was told."""
        stalled = [self.stalled_head() for _ in range(self.count // 4)]
        readers = self.sessions("/source", rcvbuf=4096)
        stalled += [self.stalled_head() for _ in range(self.count)]
        told = Counter()
        newcomers = []
        while self.left() > 0:
            newcomers.append(self.newcomer(told))
            time.sleep(NEWCOMER_PAUSE_S)
        self.made = len(newcomers)
        answers = ", ".join(f"{n} {what}" for what, n in told.most_common())
        return (f"{len(stalled)} requests that stop after {STALLED_BYTES} bytes, {len(readers)} sessions that stop reading, "
                f"then {len(newcomers)} newcomers that were told: {answers}")  # fmt: skip

    def wrapped(self, rcvbuf=None):
        """Behind the TLS handshake, where the row has one."""
        sock = self.socket(True, rcvbuf)
        sock.settimeout(PATIENCE_S)
        if not self.tls:
            return sock
        context = ssl.create_default_context(cafile=self.folder / "certs" / "ca.crt")
        return context.wrap_socket(sock, server_hostname="localhost")

    def stalled_head(self):
        try:
            sock = self.wrapped()
            sock.sendall((request("/sink")[:-2] + b"A: ").ljust(STALLED_BYTES, b"a"))
            return sock
        except OSError:
            return None

    def newcomer(self, told):
        """Asks for a session of the source, which it does not read any more than the others."""
        sock = None
        try:
            sock = self.wrapped(rcvbuf=4096)
            sock.sendall(request("/source"))
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(1) or b"\r\n\r\n"
            told[head.split(b" ")[1].decode() if head.startswith(b"HTTP/1.1 ") else "nothing"] += 1
        except OSError:
            told["nothing"] += 1
        return sock

    # Floods

    def flood(self, path, piece, reads, what):
        """Frames without a pause but the machine's; answers are read or not."""
        data = piece * (FLOOD_BYTES // len(piece))
        socks = self.sessions(path)
        selector = selectors.DefaultSelector()
        for sock in socks:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        rest = {sock: b"" for sock in socks}
        while self.left() > 0 and rest:
            for key, mask in selector.select(0.1):
                sock = key.fileobj
                try:
                    if mask & selectors.EVENT_READ and reads:
                        while len(sock.recv(1 << 16)) == 1 << 16:
                            pass
                    if mask & selectors.EVENT_WRITE:
                        to_send = rest[sock] or data
                        n = sock.send(to_send)
                        rest[sock] = to_send[n:]
                        self.bytes += n
                except BlockingIOError:
                    pass
                except OSError:
                    selector.unregister(sock)
                    del rest[sock]
                    self.lost += 1
                    sock.close()
            time.sleep(FLOOD_PAUSE_S)
        return (f"{self.bytes // len(piece) / 1e6:.1f} million {what} ({self.bytes / (1 << 20):.0f} MiB) over "
                f"{self.made} sessions; {self.lost} were ended")  # fmt: skip

    def pings(self):
        return self.flood("/sink", frame(PING, b""), True, "pings of 0 bytes, answers read")

    def pings_unread(self):
        return self.flood("/sink", frame(PING, bytes(125)), False, "pings of 125 bytes, answers not read")

    def empty_fragments(self):
        start = frame(BINARY, b"", fin=False)
        for_ever = frame(CONTINUATION, b"", fin=False)
        head = self.session

        def begun(path, rcvbuf=None):
            sock = head(path, rcvbuf)
            if sock:
                sock.sendall(start)
            return sock

        self.session = begun
        return self.flood("/sink", for_ever, True, "empty fragments of one message")

    def tiny_frames(self):
        return self.flood("/sink", frame(BINARY, b"x"), True, "frames of 1 byte")

    # TLS

    def long_chain(self):
        """Handshakes with a client certificate at the end of a hundred others."""
        context = ssl.create_default_context(cafile=self.folder / "certs" / "ca.crt")
        context.load_cert_chain(self.folder / "chain.pem", self.folder / "chain.key")
        refused = [0]

        def knock():
            while self.left() > 0:
                sock = self.socket(True)
                sock.settimeout(PATIENCE_S)
                try:
                    with context.wrap_socket(sock, server_hostname="localhost") as tls:
                        tls.sendall(request("/sink"))
                        if not tls.recv(100).startswith(b"HTTP/1.1 101"):
                            refused[0] += 1
                except OSError:
                    refused[0] += 1
                finally:
                    sock.close()

        threads = [threading.Thread(target=knock) for _ in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return f"{self.made} handshakes with a chain of 100 client certificates; {refused[0]} were refused"


def main():
    kind, host, port, seconds, count, folder, scheme = sys.argv[1:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attack = Attack(host, int(port), float(seconds), int(count), folder, scheme)
    print(getattr(attack, kind)(), flush=True)


if __name__ == "__main__":
    main()
