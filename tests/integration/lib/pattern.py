"""Bytes that tell their position, made and compared by slices of one tile."""

import random

PERIOD = 1_048_573  # a prime, so that no buffer's size divides it
_TILE = random.Random(7).randbytes(PERIOD) * 6
LONGEST = 5 * PERIOD


class Pattern:
    def __init__(self, seed=0):
        self.shift = seed * 7919

    def at(self, position, n):
        """`n` bytes of the stream from `position` on; at most LONGEST."""
        assert n <= LONGEST
        begin = (position + self.shift) % PERIOD
        return _TILE[begin : begin + n]

    def check(self, position, data):
        """Fails, naming the place, where `data` is not what stands at `position`."""
        want = self.at(position, len(data))
        if want != data:
            off = next(i for i in range(len(data)) if want[i] != data[i])
            raise AssertionError(f"wrong byte at position {position + off}")
