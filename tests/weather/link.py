#!/usr/bin/python3
"""A link with weather: carries Ethernet frames between two interfaces of the namespace that it runs in.

    link.py ONE OTHER

Orders come by lines on standard input and hold for both directions, each answered by its own words:
`delay MS JITTER_MS` (jitter reorders), `loss SHARE`, `largest BYTES` (longer packets vanish without a word, as in
a path MTU black hole), `pull` (the cable), `plug`. Chance has a seed, so that a run can be had again. Name
resolution (ARP) always passes: what is tested is above it.
"""

import heapq
import random
import select
import socket
import sys
import time

ETH_P_ALL = 3
ETHERNET = 14
IPV4 = b"\x08\x00"


class Link:
    def __init__(self, names):
        self.ends = []
        for name in names:
            end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            end.bind((name, ETH_P_ALL))
            self.ends.append(end)
        self.chance = random.Random(11)
        self.delay_s = self.jitter_s = self.loss = 0.0
        self.largest = 1 << 16
        self.pulled = False
        self.queue = []
        self.order = 0

    def obey(self, line):
        words = line.split()
        if words[0] == "delay":
            self.delay_s, self.jitter_s = float(words[1]) / 1000, float(words[2]) / 1000
        elif words[0] == "loss":
            self.loss = float(words[1])
        elif words[0] == "largest":
            self.largest = int(words[1])
        elif words[0] in ("pull", "plug"):
            self.pulled = words[0] == "pull"
        else:
            raise ValueError(line)
        print(line, flush=True)

    def is_lost(self, frame):
        if frame[12:14] != IPV4:
            return False
        return self.pulled or len(frame) - ETHERNET > self.largest or self.chance.random() < self.loss

    def take(self, end, now):
        frame, address = end.recvfrom(1 << 17)
        if address[2] == socket.PACKET_OUTGOING or self.is_lost(frame):
            return
        other = self.ends[1 - self.ends.index(end)]
        due = now + self.delay_s + self.chance.uniform(-self.jitter_s, self.jitter_s)
        self.order += 1
        heapq.heappush(self.queue, (due, self.order, other, frame))

    def run(self):
        poll = select.poll()
        by_fd = {end.fileno(): end for end in self.ends}
        for fd in (*by_fd, 0):
            poll.register(fd, select.POLLIN)
        while True:
            now = time.monotonic()
            while self.queue and self.queue[0][0] <= now:
                _, _, other, frame = heapq.heappop(self.queue)
                try:
                    other.send(frame)
                except OSError:
                    pass  # an interface that is down
            wait_ms = max(0.0, (self.queue[0][0] - now) * 1000) if self.queue else None
            for fd, _ in poll.poll(wait_ms):
                if fd == 0:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self.obey(line.rstrip("\n"))
                else:
                    try:
                        self.take(by_fd[fd], time.monotonic())
                    except OSError:
                        pass


if __name__ == "__main__":
    link = Link(sys.argv[1:3])
    print("ready", flush=True)
    link.run()
