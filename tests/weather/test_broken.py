"""Cables pulled and packets that vanish for good: the right cause, within its limits."""

import threading
import time
from pathlib import Path

import pytest

from lib.pattern import Pattern
from lib.ws import BINARY, CLOSE, PONG, frame

KIB = 1024
MIB = 1 << 20
LATE_S = 15  # for a loaded machine; the kernel's own limits are counted in minutes


def kernel_buffers_bytes():
    """The most that the two sending and the one receiving buffer between a target and a client may hold."""
    most = {name: int(Path(f"/proc/sys/net/ipv4/{name}").read_text().split()[2]) for name in ("tcp_rmem", "tcp_wmem")}
    return most["tcp_rmem"] + 2 * most["tcp_wmem"]


def took(began, least_s, limit_s):
    seconds = time.monotonic() - began
    assert least_s <= seconds <= limit_s + LATE_S, f"{seconds:.1f} s, not {least_s} to {limit_s}"


@pytest.mark.short
@pytest.mark.parametrize("how", ["link", "interface"])
def test_client_cable_pulled(world, how):
    """An idle client is gone without a word: the ping finds out. The target gets its FIN."""
    server = world.target()
    gateway = world.start(server.url, "ping: 1s, pong: 1s, close: 1s")
    client = world.open()
    end = server.accept()
    client.send_binary(b"hello")
    assert end.take(5) == b"hello"
    if how == "link":
        world.net.order("client", "pull")
    else:
        world.net.set_link("client", "wan", "down")
    began = time.monotonic()
    gateway.wait_event("session_end", cause="client_timeout", code=1011, up_bytes=5)
    took(began, 0.5, 3)
    assert end.take_rest() == (b"", "FIN")
    end.close()


def test_client_cable_pulled_amid_a_download(world):
    """What was sent is never acknowledged: no progress, no life."""
    server = world.target()
    gateway = world.start(server.url, "ping: 1s, pong: 2s, close: 1s")
    client = world.open(rcvbuf=64 * KIB)
    end = server.accept()
    before = gateway.rss_bytes()
    end.sock.setblocking(False)
    world.net.order("client", "pull")
    began, sent = time.monotonic(), 0
    while not gateway.events("session_end") and time.monotonic() - began < LATE_S:
        try:
            sent += end.sock.send(bytes(64 * KIB))
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            break
    gateway.wait_event("session_end", cause="client_timeout")
    took(began, 1, 5)
    assert gateway.rss_bytes() - before < 4 * MIB
    assert sent < kernel_buffers_bytes() + MIB  # or the gateway read what it could not deliver
    client.close()


def test_client_cable_back_in_time(world):
    """Pulled for less than the deadlines, and plugged in again: nothing is lost."""
    server = world.target()
    gateway = world.start(server.url, "ping: 2s, pong: 30s")
    client = world.open()
    end = server.accept()
    down, up = Pattern(1), Pattern(2)
    world.net.order("client", "pull")
    end.send(down.at(0, 64 * KIB))
    client.send(frame(BINARY, up.at(0, 32 * KIB)))
    time.sleep(3)  # the length of the outage, which is what this test is of
    assert not gateway.events("session_end")
    world.net.order("client", "plug")
    for one in (client, end):
        one.sock.settimeout(60)
    down.check(0, client.take_payload(64 * KIB))
    up.check(0, end.take(32 * KIB))
    client.send_close(1000)
    assert client.take_close()[1] == 1000
    end.close()
    gateway.wait_event("session_end", cause="client_close", up_bytes=32 * KIB, down_bytes=64 * KIB)


@pytest.mark.short
def test_idle_target_cable_pulled(plain):
    """A target that is gone without a word is asked by TCP's keepalive, at the pace of `ping` and `pong`."""
    server = plain.target()
    gateway = plain.start(server.url, "ping: 2s, pong: 4s, close: 1s")
    client = plain.open()
    end = server.accept()
    client.send_binary(b"hello")
    assert end.take(5) == b"hello"
    plain.net.order("target", "pull")
    began = time.monotonic()
    limit = began + 8 + LATE_S
    one = client.take_frame()
    while one.opcode != CLOSE and time.monotonic() < limit:
        client.send_frame(PONG, one.payload)
        one = client.take_frame()
    assert one.opcode == CLOSE and one.payload[:2] == (1014).to_bytes(2, "big"), one
    took(began, 2, 8)
    gateway.wait_event("session_end", cause="target_reset", code=1014, up_bytes=5)


def test_idle_target_that_is_slow_to_answer(plain):
    """The same deadlines, and a target far away: it is alive, and left alone."""
    server = plain.target()
    gateway = plain.start(server.url, "ping: 1s, pong: 4s, close: 1s")
    plain.net.order("target", "delay 400 0")
    client = plain.open()
    end = server.accept()
    began = time.monotonic()
    client.sock.settimeout(2)
    while time.monotonic() - began < 8:
        try:
            one = client.take_frame()
            client.send_frame(PONG, one.payload)
        except TimeoutError:
            pass
    assert not gateway.events("session_end")
    client.sock.settimeout(30)
    client.send_close(1000)
    assert client.take_close()[1] == 1000
    end.close()


@pytest.mark.short
@pytest.mark.parametrize("upload", ["a few bytes", "all that fits"])
def test_target_cable_pulled_for_good_amid_an_upload(plain, upload):
    """TCP itself would send again for a quarter of an hour."""
    server = plain.target()
    gateway = plain.start(server.url, "ping: 1s, pong: 1s, close: 1s")
    client = plain.open()
    server.accept()
    plain.net.order("target", "pull")
    if upload == "a few bytes":
        client.send_binary(b"into the void")
    else:
        client.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                client.sock.send(frame(BINARY, bytes(64 * KIB)))
        client.sock.settimeout(30)
    began = time.monotonic()
    one = client.take_frame()
    while one.opcode != CLOSE and time.monotonic() - began < 10 + LATE_S:
        if upload == "a few bytes":
            client.send_frame(PONG, one.payload)
        one = client.take_frame()
    assert one.payload[:2] == (1014).to_bytes(2, "big"), one
    took(began, 1, 10)
    gateway.wait_event("session_end", cause="target_reset", code=1014)


def test_target_that_reads_nothing_for_long(plain):
    """It says that it has no room whenever it is asked: it lives, and is waited for."""
    server = plain.target(rcvbuf=8 * KIB)
    gateway = plain.start(server.url, "ping: 1s, pong: 1s")
    client = plain.open()
    end = server.accept()
    up = Pattern(9)
    wire = b"".join(frame(BINARY, up.at(at, 64 * KIB)) for at in range(0, 4 * MIB, 64 * KIB))
    client.sock.settimeout(60)
    thread = threading.Thread(target=client.send, args=(wire,), daemon=True)
    thread.start()
    time.sleep(12)  # which is what this test is of
    assert not gateway.events("session_end")
    end.sock.settimeout(60)
    up.check(0, end.take(4 * MIB))
    thread.join(60)
    client.send_close(1000)
    assert client.take_close()[1] == 1000
    end.close()
    gateway.wait_event("session_end", cause="client_close", up_bytes=4 * MIB)


def test_target_cable_pulled_amid_an_upload(plain):
    """The client is held back, memory stays, and when the cable is back every byte arrives."""
    server = plain.target()
    gateway = plain.start(server.url, "ping: 1s, pong: 30s")
    client = plain.open()
    end = server.accept()
    before = gateway.rss_bytes()
    up = Pattern(9)
    plain.net.order("target", "pull")
    wire = b"".join(frame(BINARY, up.at(at, 64 * KIB)) for at in range(0, 4 * MIB, 64 * KIB))
    client.sock.setblocking(False)
    sent, began = 0, time.monotonic()
    while time.monotonic() - began < 6:
        try:
            sent += client.sock.send(wire[sent : sent + 64 * KIB])
        except BlockingIOError:
            time.sleep(0.05)
    assert not gateway.events("session_end")
    assert gateway.rss_bytes() - before < 4 * MIB
    plain.net.order("target", "plug")
    for one in (client, end):
        one.sock.settimeout(90)
    thread = threading.Thread(target=client.send, args=(wire[sent:],), daemon=True)
    thread.start()
    up.check(0, end.take(4 * MIB))
    thread.join(60)
    client.send_close(1000)
    assert client.take_close()[1] == 1000
    end.close()
    gateway.wait_event("session_end", cause="client_close", up_bytes=4 * MIB)


@pytest.mark.short
def test_target_cable_pulled_before_it_is_dialed(plain):
    """A SYN that nobody answers: `timeouts.connect` says how long."""
    server = plain.target()
    gateway = plain.start(server.url, "connect: 1s")
    plain.net.order("target", "pull")
    began = time.monotonic()
    client = plain.open()
    assert client.take_close()[1] == 1014
    took(began, 0.9, 1)
    gateway.wait_event("session_end", cause="target_timeout", code=1014)


def test_client_cable_pulled_while_closing(world):
    """The target ends with much still on its way: `timeouts.close` without progress is the end of it."""
    server = world.target()
    gateway = world.start(server.url, "ping: 20s, pong: 20s, close: 2s")
    client = world.open(rcvbuf=16 * KIB)
    end = server.accept()
    end.send(bytes(48 * KIB))
    world.net.order("client", "pull")
    end.close()
    began = time.monotonic()
    event = gateway.wait_event("session_end", cause="target_eof")
    took(began, 0, 6)
    assert int(event["down_bytes"]) == 48 * KIB
    client.close()


def test_path_mtu_black_hole_down(world):
    """Large packets to the client vanish without a word: nothing is acknowledged, and the ping says so."""
    server = world.target()
    gateway = world.start(server.url, "ping: 1s, pong: 2s, close: 1s")
    client = world.open()
    end = server.accept()
    end.send(b"small")
    assert client.take_payload(5) == b"small"
    world.net.order("client", "largest 1000")
    end.send(bytes(64 * KIB))
    began = time.monotonic()
    gateway.wait_event("session_end", cause="client_timeout", code=1011)
    took(began, 1, 5)
    client.close()
    end.close()


def test_path_mtu_black_hole_probed(world):
    """The same where the system probes (tcp_mtu_probing): every byte arrives, late."""
    server = world.target()
    world.net.sysctl("gateway", "net.ipv4.tcp_mtu_probing", 1)
    world.net.sysctl("client", "net.ipv4.tcp_mtu_probing", 1)
    gateway = world.start(server.url, "ping: 5s, pong: 60s")
    client = world.open()
    end = server.accept()
    world.net.order("client", "largest 1000")
    down, up = Pattern(5), Pattern(6)
    end.send(down.at(0, 64 * KIB))
    client.send(frame(BINARY, up.at(0, 64 * KIB)))
    for one in (client, end):
        one.sock.settimeout(120)
    down.check(0, client.take_payload(64 * KIB))
    up.check(0, end.take(64 * KIB))
    client.send_close(1000)
    assert client.take_close()[1] == 1000
    end.close()
    gateway.wait_event("session_end", cause="client_close", up_bytes=64 * KIB, down_bytes=64 * KIB)


def test_path_mtu_black_hole_up(plain):
    """Large packets of the client vanish: so does its pong, which waits behind them."""
    server = plain.target()
    gateway = plain.start(server.url, "ping: 1s, pong: 2s, close: 1s")
    client = plain.open()
    end = server.accept()
    plain.net.order("client", "largest 1000")
    client.send(frame(BINARY, bytes(32 * KIB)))
    began = time.monotonic()
    gateway.wait_event("session_end", cause="client_timeout", code=1011)
    took(began, 1, 5)
    client.close()
    end.close()


def test_handshake_on_a_dead_link(plain):
    """A client whose request never comes whole has `timeouts.handshake`, and not a moment more."""
    gateway = plain.start("tcp://10.99.2.2:1", "handshake: 2s, close: 1s")
    with plain.net.inside("client"):
        client = gateway.connect()
    client.send(b"GET / HTTP/1.1\r\n")
    plain.net.order("client", "pull")
    began = time.monotonic()
    gateway.wait_event("request_refused", status=408)
    took(began, 0, 2)
    client.close()
