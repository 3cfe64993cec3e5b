"""limits.rate, over real time: what comes through in a few seconds, and what the waiting costs."""

import threading
import time

from lib.env import UNDER_VALGRIND
from lib.pattern import Pattern
from lib.target import echo, sink
from lib.wait import until

RATE = 1024 * 1024
LONG = 2.0


def assert_about(rate):
    """Wide: a machine under load may hold a reader up, and a second's worth gathers meanwhile."""
    assert 0.5 * RATE < rate < 1.5 * RATE


def over_time(move, burst):
    """Bytes a second that `move` brings once the first `burst` of them are through."""
    while burst > 0:
        burst -= move()
    begun = time.monotonic()
    moved = 0
    while time.monotonic() - begun < LONG:
        moved += move()
    return moved / (time.monotonic() - begun)


def test_download(relay, target):
    def source(stream):
        while True:
            stream.send(bytes(65536))

    gateway = relay.start(f'- {{target: "{target().serve(source).url}", limits: {{rate: {{down: 1MiB}}}}}}')
    client = relay.open(rcvbuf=65536)
    before = gateway.cpu_seconds()
    rate = over_time(lambda: len(client.take_data_frame().payload), RATE)
    assert_about(rate)
    assert UNDER_VALGRIND or gateway.cpu_seconds() - before < LONG / 2, "it does not wait, it spins"
    client.reset()


def test_upload(relay, target):
    taken = []

    def counting(stream):
        while stream.fill():
            taken.append((time.monotonic(), len(stream.buf)))
            stream.buf.clear()
        stream.close()

    server = target(rcvbuf=65536).serve(counting)
    gateway = relay.start(f'- {{target: "{server.url}", limits: {{rate: {{up: 1MiB}}}}}}')
    client = relay.open(sndbuf=65536)
    before = gateway.cpu_seconds()
    total = int(RATE * (1 + LONG))
    for _ in range(0, total, 65536):
        client.send_binary(bytes(65536))
    client.send_close(1000)
    client.take_closing()
    assert UNDER_VALGRIND or gateway.cpu_seconds() - before < LONG / 2, "it does not wait, it spins"
    until(lambda: server.over == 1, "the target to read the rest")
    assert sum(n for _, n in taken) == total
    # Behind the first second's worth, which comes at once.
    seen = 0
    for at, (when, n) in enumerate(taken):
        seen += n
        if seen >= RATE:
            rest = sum(n for _, n in taken[at + 1 :])
            rate = rest / (taken[-1][0] - when)
            break
    assert_about(rate)


def test_content_is_whole(relay, target):
    gateway = relay.start(
        f'- {{target: "{target().serve(echo).url}", limits: {{rate: {{up: 512KiB, down: 384KiB}}}}}}'
    )
    client = relay.open()
    data = Pattern().at(0, 1200 * 1024)

    def say():
        for at in range(0, len(data), 10000):
            client.send_binary(data[at : at + 10000])

    thread = threading.Thread(target=say)
    thread.start()
    assert client.take_payload(len(data)) == data
    thread.join()
    client.send_close(1000)
    client.take_closing()
    end = gateway.session_end(client)
    assert end["cause"] == "client_close"
    assert int(end["duration_ms"]) >= 1800  # 1200 KiB: 384 at once, and 816 more at 384 a second


def test_the_waiting_is_not_idleness(plain, target):
    gateway = plain.start(
        f'- {{target: "{target().serve(sink).url}", limits: {{rate: {{up: 8KiB}}}}, timeouts: {{idle: 800ms}}}}'
    )
    client = plain.open()
    client.send_binary(bytes(24 * 1024))
    end = gateway.session_end(client)
    assert (end["cause"], end["up_bytes"]) == ("idle", str(24 * 1024))
