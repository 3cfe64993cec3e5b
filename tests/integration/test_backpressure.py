"""A side that does not read stops the other side, and the gateway's memory stays small meanwhile."""

import threading
from pathlib import Path

import pytest
from lib.env import SANITIZED, SCALE, UNDER_VALGRIND
from lib.pattern import Pattern
from lib.stream import FIN
from lib.target import echo
from lib.ws import BINARY, PING, PONG, frame, mask_bytes

BUFFER = 256 << 10  # limits.buffer
CHUNK = 64 << 10
STALL = 0.25 * SCALE  # nothing taken for so long: stopped


def sysctl_max(name):
    return int(Path(f"/proc/sys/net/ipv4/{name}").read_text(encoding="ascii").split()[2])


def most():
    """What can be on the way at most: a send and a receive buffer on each of both connections, as far as the
    kernel lets them grow, and what the gateway keeps."""
    return 2 * (sysctl_max("tcp_rmem") + sysctl_max("tcp_wmem")) + 4 * BUFFER + (1 << 20)


def push(stream, chunk_at, limit):
    """Sends chunk_at(position) until nobody takes more. Answers how many bytes were taken, and those of the
    last chunk that were not."""
    stream.sock.settimeout(STALL)
    taken = 0
    try:
        while taken < limit:
            chunk = memoryview(chunk_at(taken))
            while len(chunk):
                try:
                    n = stream.sock.send(chunk)
                except TimeoutError:
                    return taken, chunk
                taken += n
                chunk = chunk[n:]
        raise AssertionError(f"no end after {taken} bytes")
    finally:
        stream.sock.settimeout(10 * SCALE)


def memory_bound(sessions):
    if SANITIZED or UNDER_VALGRIND:
        return 256 << 20  # quarantined memory is counted too
    return sessions * (4 * BUFFER) + (2 << 20)


@pytest.fixture
def pair(relay, target):
    """A client that reads little at a time and a target, warmed up."""
    server = target(sndbuf=262144, rcvbuf=262144)
    gateway = relay.start(f'- {{timeouts: {{ping: off}}, target: "{server.url}"}}')

    def make():
        client = relay.open(rcvbuf=262144, sndbuf=262144)
        end = server.accept()
        end.send(bytes(500_000))
        client.take_payload(500_000)
        for _ in range(8):
            client.send_binary(bytes(CHUNK))
        end.take(8 * CHUNK)
        return client, end

    return gateway, make


def test_client_that_does_not_read(pair):
    gateway, make = pair
    client, end = make()
    before = gateway.rss_bytes()
    pattern = Pattern(1)
    taken, _ = push(end, lambda at: pattern.at(at, CHUNK), most())
    assert gateway.rss_bytes() - before < memory_bound(1)
    # the other direction is not stopped
    client.send_binary(b"up all the same")
    assert end.take(15) == b"up all the same"
    # and then all of it comes
    end.end_writing()
    got = 0
    while got < taken:
        one = client.take_data_frame()
        pattern.check(got, one.payload)
        got += len(one.payload)
    assert got == taken
    assert client.take_closing()[:2] == (b"", 1000)


def test_target_that_does_not_read(pair):
    gateway, make = pair
    client, end = make()
    before = gateway.rss_bytes()
    pattern = Pattern(2)
    taken, rest = push(client, lambda at: frame(BINARY, pattern.at(at // (CHUNK + 14) * CHUNK, CHUNK)), most())
    assert gateway.rss_bytes() - before < memory_bound(1)
    end.send(b"down all the same")
    assert client.take_payload(17) == b"down all the same"

    whole = (taken + len(rest)) // (CHUNK + 14)  # frames, the broken one too
    got = 0
    unsent = len(rest)
    while got < whole * CHUNK:
        if unsent and got >= taken // 2:
            client.send(rest)  # room has been made
            unsent = 0
        data = end.take(CHUNK)
        pattern.check(got, data)
        got += CHUNK
    client.send_close(1000)
    assert end.take_rest() == (b"", FIN)
    assert client.take_closing()[1] == 1000


def test_many_stalled_sessions(pair):
    """Memory is bounded by session, both ways stalled."""
    gateway, make = pair
    warm = make()
    before = gateway.rss_bytes()
    pairs = [make() for _ in range(4)]
    for client, end in pairs:
        push(end, lambda at: bytes(CHUNK), most())
        push(client, lambda at: frame(BINARY, bytes(CHUNK)), most())
    assert gateway.rss_bytes() - before < memory_bound(2 * len(pairs))
    # who is not stalled is served meanwhile
    client, end = warm
    end.send(b"still")
    assert client.take_payload(5) == b"still"


def test_a_length_makes_no_memory(relay, target):
    """A frame that says 2^62 bytes is streamed like any other."""
    server = target()
    gateway = relay.start(f'- target: "{server.url}"')
    client = relay.open()
    end = server.accept()
    client.send_binary(b"warm")
    assert end.take(4) == b"warm"
    before = gateway.rss_bytes()
    pattern = Pattern(3)
    client.send(frame(BINARY, length=1 << 62))  # only the header
    mask = b"\x12\x34\x56\x78"
    for at in range(0, 8 << 20, CHUNK):
        client.send(mask_bytes(pattern.at(at, CHUNK), mask))
        pattern.check(at, end.take(CHUNK))
    assert gateway.rss_bytes() - before < memory_bound(1)


def test_flood_of_pings_that_nobody_reads(relay, target):
    """Of several Pings the newest is answered: answers do not pile up."""
    server = target().serve(echo)
    gateway = relay.start(f'- target: "{server.url}"')
    client = relay.open(rcvbuf=4096)
    client.send_binary(b"warm")
    client.take_payload(4)
    before = gateway.rss_bytes()
    flood = b"".join(frame(PING, b"%0125d" % n) for n in range(500))
    rest = b""
    client.sock.settimeout(STALL)
    try:
        for _ in range(300):
            rest = memoryview(flood)
            while len(rest):
                rest = rest[client.sock.send(rest) :]
    except TimeoutError:
        pass
    assert gateway.rss_bytes() - before < memory_bound(1)
    client.sock.settimeout(10 * SCALE)
    # What was begun is finished while the answers are read; plain reading is enough to make room.
    if len(rest):
        client.sock.settimeout(0.05)
        while len(rest):
            try:
                rest = rest[client.sock.send(rest) :]
            except TimeoutError:
                client.fill()
        client.sock.settimeout(10 * SCALE)
    client.send_frame(PING, b"the last")
    while True:
        one = client.take_frame()
        assert one.opcode == PONG
        if one.payload == b"the last":
            break


def test_small_buffer(relay, target):
    """limits.buffer is a bound, not a size that anything must fit in."""
    server = target()
    relay.start(f'- {{limits: {{buffer: 4KiB}}, target: "{server.url}"}}')
    client = relay.open(rcvbuf=4096)
    end = server.accept()
    pattern = Pattern(4)
    for at in range(0, 4 << 20, CHUNK):
        client.send_binary(pattern.at(at, CHUNK))
        pattern.check(at, end.take(CHUNK))
        end.send(pattern.at(at, CHUNK))
        pattern.check(at, client.take_payload(CHUNK))


def test_one_loud_session_does_not_starve_another(relay, target):
    loud_target, calm_target = target(), target().serve(echo)
    relay.start(
        f"""
        - {{path: /loud, target: "{loud_target.url}"}}
        - {{path: /calm, target: "{calm_target.url}"}}
        """
    )
    loud = relay.open("/loud")
    source = loud_target.accept()
    calm = relay.open("/calm")
    over = threading.Event()

    def shout():
        block = bytes(1 << 20)
        try:
            while not over.is_set():
                source.raw.sendall(block)
        except OSError:
            pass

    def listen():
        try:
            while not over.is_set():
                loud.raw.recv(1 << 20)
        except OSError:
            pass

    threads = [threading.Thread(target=one, daemon=True) for one in (shout, listen)]
    for thread in threads:
        thread.start()
    try:
        for n in range(30):
            calm.send_binary(b"%d" % n)
            assert calm.take_payload(len(b"%d" % n)) == b"%d" % n
    finally:
        over.set()
        source.raw.shutdown(2)
        for thread in threads:
            thread.join()
