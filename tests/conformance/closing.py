"""Close frames: every code, reasons of every length, the ends behind them (RFC 6455 5.5.1, 7)."""

from case import bad, binary, chopped, close_frame, closing, pattern
from lib.ws import CLOSE, CONTINUATION, close_payload, frame
from utf8_rows import INVALID, VALID


def may_be_sent(code):
    """7.4.1, 7.4.2, and the registry that IANA keeps: 1004 to 1006 and 1015 are not for the wire, 1016 to 2999 are reserved."""
    return code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999


def codes():
    for code in [*range(5001), 5002, 9999, 32767, 32768, 65534, 65535]:
        yield closing(f"Close {code}", "7.4", close_frame(code), code=code if may_be_sent(code) else 1002)


def bodies():
    yield closing("Close without a code", "5.5.1", close_frame(), code=1000)
    for byte in (b"\0", b"\x03", b"\xff"):
        yield closing(f"Close of one byte {byte[0]:#x}", "5.5.1", frame(CLOSE, byte), code=1002)
    for n in (1, 2, 122, 123):
        yield closing(f"Close with a reason of {n} bytes", "5.5.1", close_frame(1000, b"r" * n), code=1000)
    for n in (124, 125, 1000, 65536):
        yield bad(f"Close with a reason of {n} bytes", "5.5", close_frame(1000, b"r" * n))
    yield bad("Close that is not final", "5.5", frame(CLOSE, close_payload(1000), fin=False))
    yield bad("Close with a length of 16 bits", "5.2", frame(CLOSE, close_payload(1000), form=16))
    yield bad("Close with a length of 64 bits", "5.2", frame(CLOSE, close_payload(1000), form=64))
    yield closing("Close byte by byte", "5.5.1", *chopped(close_frame(4999, b"as agreed")), code=4999)
    start = binary(b"one", fin=False)
    yield closing("Close between fragments", "5.4", start + close_frame(1001), code=1001, data=b"one")
    yield closing(
        "Close between fragments, the rest behind it",
        "5.5.1",
        start + close_frame(1001) + frame(CONTINUATION, b"two"),
        code=1001,
        data=b"one",
    )
    yield closing(
        "Close behind a message", "5.5.1", binary(pattern(5000)) + close_frame(3000), code=3000, data=pattern(5000)
    )
    yield closing("two Closes", "5.5.1", close_frame(1000) + close_frame(1001), code=1000)


def reasons():
    for name, text in VALID:
        if len(text) <= 123:
            yield closing(f"reason: {name}", "5.5.1", close_frame(1000, text), code=1000)
    for name, text in INVALID:
        yield closing(f"reason: {name}", "8.1", close_frame(1000, text), code=1007)
        yield closing(f"reason: {name}, in front of text", "8.1", close_frame(1000, text + b" and more"), code=1007)


def cases():
    for family in (codes, bodies, reasons):
        yield from family()
