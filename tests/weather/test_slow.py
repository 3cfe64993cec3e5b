"""Slow links, loss, delay: every byte comes through, and whoever lives is left alone."""

import threading
import time

import pytest

from lib.pattern import Pattern
from lib.wait import until
from lib.ws import PING, frame, BINARY

KIB = 1024
MIB = 1 << 20
PATIENCE_S = 120  # of one read on a bad link; nothing waits this long unless something is broken


def patient(client, end=None):
    for one in filter(None, (client, end)):
        one.sock.settimeout(PATIENCE_S)
    return client


def send_in_background(client, data):
    thread = threading.Thread(target=client.send, args=(data,), daemon=True)
    thread.start()
    return thread


def leave(world, client, end, cause="client_close", **fields):
    """Ends the session in order and looks at its line."""
    client.send_close(1000)
    assert client.take_close()[1] == 1000
    name = client.name
    end.close()
    client.close()
    return world.gateway.wait_event("session_end", client=name, cause=cause, **fields)


def both_ways(world, client, end, size, seed=1, frame_bytes=16 * KIB):
    """`size` bytes of a pattern in each direction at once, compared byte for byte."""
    up, down = Pattern(seed), Pattern(seed + 1)
    wire = b"".join(
        frame(BINARY, up.at(at, min(frame_bytes, size - at))) for at in range(0, size, frame_bytes)
    )
    threads = [send_in_background(end, down.at(0, size))]
    received = []

    def take_at_target():
        got = 0
        while got < size:
            data = end.take(min(size - got, 1460))
            up.check(got, data)
            got += len(data)
        received.append(got)

    threads.append(send_in_background(client, wire))
    threads.append(threading.Thread(target=take_at_target, daemon=True))
    threads[-1].start()
    down.check(0, client.take_payload(size))
    for thread in threads:
        thread.join(PATIENCE_S)
    assert received == [size]


@pytest.mark.short
def test_64_kib_a_second(world):
    """A modest link, both ways at once, with a ping deadline that is over many times meanwhile."""
    server = world.target()
    world.start(server.url, "ping: 500ms, pong: 1500ms")
    world.net.slow("client", 64 * KIB)
    client = world.open()
    end = server.accept()
    patient(client, end)
    both_ways(world, client, end, 192 * KIB)
    leave(world, client, end, up_bytes=192 * KIB, down_bytes=192 * KIB)


def test_1_kib_a_second(world):
    """As slow as links come: a ping waits behind what was sent before it for many times its deadline."""
    server = world.target()
    world.start(server.url, "handshake: 60s, ping: 2s, pong: 6s, close: 30s")
    world.net.slow("client", KIB)
    client = world.open()
    end = server.accept()
    patient(client, end)
    size = 24 * KIB
    down = Pattern(3)
    end.send(down.at(0, size))
    began = time.monotonic()
    down.check(0, client.take_payload(size))
    took_s = time.monotonic() - began
    assert took_s > 15, f"{took_s:.1f} s: the link was not slow"
    leave(world, client, end, down_bytes=size)


def test_slow_target(world):
    """The slow link is the target's: the client is held back, lives on, and all of it arrives."""
    server = world.target()
    world.start(server.url, "ping: 500ms, pong: 1500ms")
    world.net.slow("target", 64 * KIB)
    client = world.open()
    end = server.accept()
    patient(client, end)
    both_ways(world, client, end, 256 * KIB)
    leave(world, client, end, up_bytes=256 * KIB, down_bytes=256 * KIB)


def test_target_faster_than_the_link(world):
    """A target with no end of bytes behind a slow client: memory stays, and the session outlives its deadlines."""
    server = world.target()
    gateway = world.start(server.url, "ping: 500ms, pong: 1s")
    world.net.slow("client", 64 * KIB)
    client = world.open()
    end = server.accept()
    patient(client, end)
    before = gateway.rss_bytes()
    down = Pattern(4)
    thread = send_in_background(end, down.at(0, 4 * MIB))  # some 60 s of that link
    got, began = 0, time.monotonic()
    while time.monotonic() - began < 8:
        data = client.take_data_frame().payload
        down.check(got, data)
        got += len(data)
    assert got > 100 * KIB, got
    assert gateway.rss_bytes() - before < MIB
    assert not gateway.events("session_end")
    client.reset()
    end.close()
    thread.join(PATIENCE_S)
    gateway.wait_event("session_end", cause="client_gone")


def test_slow_client_that_says_nothing(world):
    """It only receives, and of its pongs nothing is heard before the queue is empty: alive all the same."""
    server = world.target()
    gateway = world.start(server.url, "ping: 1s, pong: 2s")
    world.net.slow("client", 8 * KIB, queue_bytes=64 * KIB)
    client = world.open(rcvbuf=64 * KIB)
    end = server.accept()
    patient(client, end)
    down = Pattern(5)
    size = 96 * KIB
    end.send(down.at(0, size))
    got, pings = bytearray(), 0
    while len(got) < size:
        one = client.take_frame()
        if one.opcode == PING:
            pings += 1
            client.send_frame(0xA, one.payload)
        else:
            got += one.payload
    down.check(0, bytes(got))
    assert not gateway.events("session_end")
    leave(world, client, end, down_bytes=size)


@pytest.mark.parametrize("share", [pytest.param(0.02, marks=pytest.mark.short), 0.1])
def test_loss(world, share):
    """Packets vanish, in both directions of both links."""
    server = world.target()
    world.start(server.url, "handshake: 60s, connect: 60s, ping: 2s, pong: 10s, close: 30s")
    for link in ("client", "target"):
        world.net.order(link, f"loss {share}")
    client = patient(world.open())
    end = server.accept()
    patient(client, end)
    both_ways(world, client, end, 256 * KIB if share < 0.05 else 96 * KIB)
    leave(world, client, end)


def test_delay_jitter_and_reordering(world):
    """A satellite with hiccups: 150 ms, give or take 50, so that packets overtake each other."""
    server = world.target()
    world.start(server.url, "ping: 1s, pong: 3s")
    world.net.order("client", "delay 150 50")
    world.net.order("target", "delay 20 15")
    client = world.open()
    end = server.accept()
    patient(client, end)
    both_ways(world, client, end, 512 * KIB)
    leave(world, client, end, up_bytes=512 * KIB, down_bytes=512 * KIB)


def test_many_on_a_lossy_slow_link(plain):
    """Twenty at once share 64 KiB/s and lose packets; none is killed, none gets another's bytes."""
    server = plain.target()
    gateway = plain.start(server.url, "handshake: 60s, connect: 60s, ping: 2s, pong: 20s, close: 30s")
    plain.net.slow("client", 64 * KIB)
    plain.net.order("client", "loss 0.02")
    pairs = []
    for _ in range(20):
        client = plain.open()
        pairs.append((client, server.accept()))
    threads, faults = [], []

    def one(at, client, end):
        try:
            patient(client, end)
            both_ways(plain, client, end, 32 * KIB, seed=100 + 2 * at)
        except BaseException as fault:  # told by the thread that waits
            faults.append(fault)

    for at, (client, end) in enumerate(pairs):
        threads.append(threading.Thread(target=one, args=(at, client, end), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not faults, faults[0]
    for client, end in pairs:
        leave(plain, client, end, up_bytes=32 * KIB, down_bytes=32 * KIB)
    until(lambda: len(gateway.events("session_end")) == 20)
