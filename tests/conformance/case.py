"""What a case is: bytes to send, and the exact answer that the standard wants.

The server under test relays to an echo over TCP. A case that breaks no rule gets its payload back, cut into
messages anyhow, its pings answered, and its own Close returned; one that breaks a rule gets a Close with a code.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Union

from lib.ws import BINARY, CLOSE, close_payload, frame

Bytes = Union[bytes, Callable[[], Iterable[bytes]]]  # a callable makes much of it while it is sent


@dataclass(frozen=True)
class Case:
    name: str
    paragraph: str  # of RFC 6455, where no other is named
    send: tuple  # of Bytes: each goes out in writes of its own
    data: bytes = b""  # what comes back; of a case with `close` so much of it as was under way
    pongs: tuple = ()  # payloads that are to be answered, in order
    close: int = 0  # the code of the server's own Close; 0: none, the session goes on until the client ends it
    messages: tuple = ("binary", "any")  # the routes it is for
    drop: bool = False  # nothing is to be awaited but `data`: the client goes away in the middle of a frame
    final: bool = False  # `send` holds the client's Close, which is answered with `answer`
    answer: int = 1000


@dataclass(frozen=True)
class RequestCase:
    name: str
    paragraph: str  # of RFC 9112 or 9110, or of RFC 6455 where it says so
    send: tuple  # of bytes
    status: tuple  # those that are right
    data: bytes = b""  # comes back behind a 101


def good(name, paragraph, *send, data=b"", **more):
    return Case(name, paragraph, send, data, **more)


def bad(name, paragraph, *send, code=1002, **more):
    return Case(name, paragraph, send, close=code, **more)


def closing(name, paragraph, *send, code, **more):
    """The client's own Close, and the code that comes back."""
    return Case(name, paragraph, send, final=True, answer=code, **more)


def close_frame(code=None, reason=b""):
    return frame(CLOSE, close_payload(code, reason))


def pattern(n, seed=1):
    """`n` bytes that do not repeat with any period of a buffer."""
    unit = bytes((i * 167 + (i >> 8) * 13 + seed) & 0xFF for i in range(65521))
    return (unit * (n // len(unit) + 1))[:n]


def chopped(data):
    """Each byte in a write of its own."""
    return tuple(data[i : i + 1] for i in range(len(data)))


def binary(payload, **fields):
    return frame(BINARY, payload, **fields)
