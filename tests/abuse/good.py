#!/usr/bin/python3
"""A well-behaved client: a ping-pong of 64 bytes, 200 a second, and a stream of 4 MiB/s that comes back, both
compared byte for byte. It keeps a pace, as in a closed loop its throughput would only say who had the processor.

    good.py HOST PORT SECONDS CA|-

`open` once both are, and a line of JSON: round trips, their p50 and p99 in milliseconds, the stream's pace, and what went wrong.
"""

import json
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

# pylint: disable=wrong-import-position
from lib.pattern import Pattern  # noqa: E402
from lib.ws import BINARY, Client, frame  # noqa: E402

PAUSE_S = 0.005
CHUNK = 32 * 1024
STREAM_PAUSE_S = CHUNK / (4 << 20)
PATIENCE_S = 60


def connect(host, port, ca, path):
    sock = socket.create_connection((host, port), PATIENCE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if ca != "-":
        sock = ssl.create_default_context(cafile=ca).wrap_socket(sock, server_hostname="localhost")
    client = Client(sock)
    client.sock.settimeout(PATIENCE_S)
    return client.upgrade(path)


def at_pace(end, pause_s):
    """Turns at their times; those that were missed are not made up for."""
    due = time.monotonic()
    while due < end:
        yield
        due = max(due + pause_s, time.monotonic() - pause_s)
        time.sleep(max(0.0, due - time.monotonic()))


def ping_pong(client, end, times):
    pattern = Pattern(1)
    at = 0
    for _ in at_pace(end, PAUSE_S):
        began = time.monotonic()
        client.send_binary(pattern.at(at, 64))
        pattern.check(at, client.take_payload(64))
        times.append(time.monotonic() - began)
        at += 64


def stream(client, end, got):
    pattern = Pattern(2)
    for _ in at_pace(end, STREAM_PAUSE_S):
        client.send(frame(BINARY, pattern.at(got[0], CHUNK)))
        pattern.check(got[0], client.take_payload(CHUNK))
        got[0] += CHUNK


def leave(client):
    client.send_close(1000)
    assert client.take_close()[1] == 1000
    client.close()


def main():
    host, port, seconds, ca = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    talker, streamer = (connect(host, port, ca, "/good") for _ in range(2))
    print("open", flush=True)
    faults, times, got, waited_ns = [], [], [0], [0]
    began = time.monotonic()

    def guarded(behaviour, *arguments):
        try:
            behaviour(*arguments)
        except BaseException as fault:  # told at the end
            faults.append(repr(fault))
        waited_ns[0] += int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1])

    threads = [
        threading.Thread(target=guarded, args=(ping_pong, talker, began + seconds, times)),
        threading.Thread(target=guarded, args=(stream, streamer, began + seconds, got)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    if not faults:
        guarded(leave, talker)
        guarded(leave, streamer)
    times.sort()
    # `waited`: for a processor, both threads together, of the time that it took.
    print(json.dumps({
        "trips_s": round(len(times) / took, 1),
        "p50_ms": round(times[len(times) // 2] * 1000, 2) if times else None,
        "p99_ms": round(times[len(times) * 99 // 100] * 1000, 2) if times else None,
        "stream_mib_s": round(got[0] / took / (1 << 20), 2),
        "waited": round(waited_ns[0] / took / 1e9, 3),
        "faults": faults,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
