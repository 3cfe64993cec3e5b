"""A crowd that comes and goes, or stays."""

import ssl

import pytest

from lib.env import SANITIZED, UNDER_VALGRIND
from lib.target import echo
from lib.wait import until
from lib.ws import request

MIB = 1 << 20
CROWD = 400


@pytest.mark.skipif(SANITIZED or UNDER_VALGRIND, reason="their allocators keep what is freed")
def test_memory_of_a_crowd_is_given_back(start, target, certs):
    """Hundreds of TLS handshakes that never end take 45 KiB each, with a session amid them that stays."""
    server = target().serve(echo)
    gateway = start(f"""
        listen:
          - address: 127.0.0.1:0
            tls: {{certificates: {{cert: {certs}/server.crt, key: {certs}/server.key}}}}
          - address: 127.0.0.1:0
        routes:
          - {{target: "{server.url}"}}
        """)
    first = gateway.connect(1).upgrade()
    before, descriptors = gateway.rss_bytes(), gateway.descriptors()
    crowd = [gateway.connect() for _ in range(CROWD)]
    stays = gateway.connect(1).upgrade()
    for one in crowd:
        one.send(b"\x16")
    until(lambda: gateway.rss_bytes() - before > 8 * MIB, "the crowd's memory")
    for one in crowd:
        one.reset()
    until(lambda: gateway.descriptors() == descriptors + 2, "the crowd to be gone")
    until(lambda: gateway.rss_bytes() - before < 6 * MIB, "the memory to be back")
    for client in (first, stays):
        client.send_binary(b"still here")
        assert client.take_payload(10) == b"still here"


class Half:
    """A client whose TLS is done in steps."""

    def __init__(self, client, context):
        self.client = client
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inward, self.outward, server_hostname="localhost")

    def hello(self):
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.client.send(self.outward.read())

    def again(self, step, *words):
        """A step of TLS, with as much from the gateway as it takes."""
        while True:
            try:
                return step(*words)
            except ssl.SSLWantReadError:
                self.inward.write(self.client.sock.recv(1 << 16))

    def upgrade(self):
        self.again(self.tls.do_handshake)
        self.tls.write(request())
        self.client.send(self.outward.read())
        assert self.again(self.tls.read, 4096).startswith(b"HTTP/1.1 101 ")


@pytest.mark.skipif(SANITIZED or UNDER_VALGRIND, reason="their allocators keep what is freed")
def test_memory_of_a_crowd_that_stays(start, target, certs):
    """What its handshakes took is given back; its sessions keep what sessions take."""
    server = target().serve(echo)
    gateway = start(f"""
        listen: {{address: "127.0.0.1:0", tls: {{certificates: {{cert: {certs}/server.crt, key: {certs}/server.key}}}}}}
        limits: {{new_sessions_per_client: off}}
        routes: {{origin: any, target: "{server.url}"}}
        """)
    context = ssl.create_default_context(cafile=f"{certs}/ca.crt")
    crowd = [Half(gateway.connect(), context) for _ in range(CROWD)]
    before = gateway.rss_bytes()
    for one in crowd:
        one.hello()
    until(lambda: gateway.rss_bytes() - before > 12 * MIB, "the crowd's memory")
    for one in crowd:
        one.upgrade()
    until(lambda: gateway.rss_bytes() - before < 8 * MIB, "what the handshakes took to be back")
