"""A crowd that comes and goes."""

import pytest

from lib.env import SANITIZED, UNDER_VALGRIND
from lib.target import echo
from lib.wait import until

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
