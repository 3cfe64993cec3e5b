"""Frames: opcodes, reserved bits, masks, lengths, fragments and the control frames between them (RFC 6455 5)."""

from case import bad, binary, chopped, close_frame, good, pattern
from lib.ws import BINARY, CONTINUATION, PING, PONG, TEXT, frame

MIB = 1 << 20
MASKS = {"a zero mask": b"\0\0\0\0", "a mask of ones": b"\xff\xff\xff\xff", "a mask": b"\x37\xfa\x21\x3d"}


def opcodes():
    for opcode in range(16):
        for fin in (True, False):
            name = f"opcode {opcode:#x}, {'whole' if fin else 'not final'}"
            sent = frame(opcode, b"hello", fin=fin)
            if opcode == BINARY:
                rest = () if fin else (frame(CONTINUATION, b" world"),)
                yield good(name, "5.2", sent, *rest, data=b"hello" if fin else b"hello world")
            elif opcode == TEXT:
                yield bad(name + ", where only binary is taken", "7.4.1", sent, code=1003, messages=("binary",))
            elif opcode == PING and fin:
                yield good(name, "5.5.2", sent, pongs=(b"hello",))
            elif opcode == PONG and fin:
                yield good(name, "5.5.3", sent)
            elif opcode == 8 and fin:
                continue  # closing.py
            else:
                yield bad(name, "5.2" if opcode & 7 > 2 else "5.4" if opcode == 0 else "5.5", sent)
            for rsv in range(1, 8):
                yield bad(f"{name}, reserved bits {rsv:03b}", "5.2", frame(opcode, b"hello", fin=fin, rsv=rsv))
            yield bad(f"{name}, unmasked", "5.1", frame(opcode, b"hello", fin=fin, mask=None))
            yield bad(f"{name}, unmasked and empty", "5.1", frame(opcode, b"", fin=fin, mask=None))


def reserved_bits_later():
    start = binary(b"one", fin=False)
    for rsv in range(1, 8):
        yield bad(f"reserved bits {rsv:03b} of a continuation", "5.2", start, frame(CONTINUATION, b"two", rsv=rsv))
        yield bad(f"reserved bits {rsv:03b} behind a good message", "5.2", binary(b"one"), binary(b"two", rsv=rsv))


def lengths():
    for n in (
        0,
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        9,
        15,
        16,
        17,
        124,
        125,
        126,
        127,
        128,
        254,
        255,
        256,
        65534,
        65535,
        65536,
        65537,
    ):
        data = pattern(n)
        for which, mask in MASKS.items():
            yield good(f"{n} bytes with {which}", "5.2", binary(data, mask=mask), data=data)
    for n in (0, 1, 125):
        yield bad(f"{n} bytes with a length of 16 bits", "5.2", binary(pattern(n), form=16))
    for n in (0, 1, 125, 126, 127, 65535):
        yield bad(f"{n} bytes with a length of 64 bits", "5.2", binary(pattern(n), form=64))
    for opcode in (BINARY, CONTINUATION, PING, PONG, 8):
        start = (binary(b"", fin=False),) if opcode == CONTINUATION else ()
        for name, length in (("2^63", 1 << 63), ("2^63 + 5", (1 << 63) + 5), ("2^64 - 1", (1 << 64) - 1)):
            yield bad(
                f"opcode {opcode:#x} of {name} bytes", "5.2", *start, frame(opcode, b"hello", form=64, length=length)
            )
    for name, length in (
        ("2^31 - 1", (1 << 31) - 1),
        ("2^31", 1 << 31),
        ("2^32", 1 << 32),
        ("2^63 - 1", (1 << 63) - 1),
    ):
        sent = pattern(70_000)
        yield good(
            f"the beginning of a frame of {name} bytes",
            "5.2",
            binary(sent, form=64, length=length),
            data=sent,
            drop=True,
        )


def fragments():
    yield good("two fragments", "5.4", binary(b"one", fin=False), frame(CONTINUATION, b"two"), data=b"onetwo")
    yield good(
        "two fragments in one write", "5.4", binary(b"one", fin=False) + frame(CONTINUATION, b"two"), data=b"onetwo"
    )
    yield good(
        "empty fragments",
        "5.4",
        binary(b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 20 + frame(CONTINUATION),
    )
    yield good(
        "one byte among empty fragments",
        "5.4",
        binary(b"", fin=False) + frame(CONTINUATION, b"x", fin=False) + frame(CONTINUATION),
        data=b"x",
    )
    yield good("empty messages", "5.6", binary(b"") * 50, binary(b"end"), data=b"end")
    yield bad("a continuation of nothing", "5.4", frame(CONTINUATION, b"one"))
    yield bad("a continuation of nothing, not final", "5.4", frame(CONTINUATION, b"one", fin=False))
    yield bad("a continuation behind a whole message", "5.4", binary(b"one") + frame(CONTINUATION, b"two"))
    yield bad(
        "a continuation behind a last fragment",
        "5.4",
        binary(b"one", fin=False) + frame(CONTINUATION, b"two") + frame(CONTINUATION, b"three"),
    )
    for fin in (True, False):
        yield bad(
            f"a new message between fragments, fin {fin}", "5.4", binary(b"one", fin=False) + binary(b"two", fin=fin)
        )
        yield bad(
            f"a text between fragments, fin {fin}", "5.4", binary(b"one", fin=False) + frame(TEXT, b"two", fin=fin)
        )


CONTROLS = {
    "a ping": (frame(PING, b"here?"), (b"here?",)),
    "an empty ping": (frame(PING), (b"",)),
    "a ping of 125 bytes": (frame(PING, pattern(125)), (pattern(125),)),
    "a pong": (frame(PONG, b"here"), ()),
    "an empty pong": (frame(PONG), ()),
    "two pings": (frame(PING, b"1") + frame(PING, b"2"), (b"1", b"2")),
    "a ping and a pong": (frame(PING, b"1") + frame(PONG, b"2"), (b"1",)),
}


def controls_in_every_gap():
    """Between any two of five fragments; each control frame, whole and byte by byte."""
    parts = [b"one ", b"two ", b"", b"three ", b"four"]
    frames = [binary(parts[0], fin=False)] + [
        frame(CONTINUATION, part, fin=i == len(parts) - 2) for i, part in enumerate(parts[1:])
    ]
    whole = b"".join(parts)
    for what, (sent, pongs) in CONTROLS.items():
        for gap in range(len(frames) + 1):
            before, behind = b"".join(frames[:gap]), b"".join(frames[gap:])
            yield good(f"{what} in gap {gap}", "5.4", before + sent + behind, data=whole, pongs=pongs)
            if gap in (1, 3):
                stream = before + sent + behind
                yield good(f"{what} in gap {gap}, byte by byte", "5.4", *chopped(stream), data=whole, pongs=pongs)
    for gap in range(1, len(frames)):
        before = b"".join(frames[:gap])
        for opcode, name in ((PING, "ping"), (PONG, "pong"), (8, "Close")):
            yield bad(f"a {name} that is not final in gap {gap}", "5.5", before + frame(opcode, b"", fin=False))
            yield bad(f"a {name} of 126 bytes in gap {gap}", "5.5", before + frame(opcode, pattern(126)))
        yield bad(f"an unmasked ping in gap {gap}", "5.1", before + frame(PING, b"x", mask=None))


def control_sizes():
    for n in range(126):
        yield good(f"a ping of {n} bytes", "5.5.2", frame(PING, pattern(n)), pongs=(pattern(n),))
    for n in (0, 1, 124, 125):
        yield good(
            f"a pong of {n} bytes that nobody asked for", "5.5.3", frame(PONG, pattern(n)), binary(b"x"), data=b"x"
        )
        yield good(
            f"a ping of {n} bytes, byte by byte", "5.5.2", *chopped(frame(PING, pattern(n))), pongs=(pattern(n),)
        )
    for opcode, name in ((PING, "ping"), (PONG, "pong")):
        for n in (126, 127, 65535, 65536):
            yield bad(f"a {name} of {n} bytes", "5.5", frame(opcode, pattern(n)))
        for form in (16, 64):
            yield bad(f"a {name} of 5 bytes with a length of {form} bits", "5.2", frame(opcode, b"hello", form=form))
    ten = tuple(b"payload-%d" % i for i in range(10))
    yield good("ten pings in one write", "5.5.3", b"".join(frame(PING, one) for one in ten), pongs=ten)
    yield good("ten pings in ten writes", "5.5.3", *(frame(PING, one) for one in ten), pongs=ten)
    yield good("a ping in front of a message", "5.5.2", frame(PING, b"p") + binary(b"m"), data=b"m", pongs=(b"p",))


def splits():
    """Every way to cut a stream of frames into two writes."""
    stream = (
        binary(b"small")
        + binary(pattern(130))
        + frame(PING, b"here?")
        + binary(b"first", fin=False)
        + frame(PONG, b"")
        + frame(CONTINUATION, b"last")
    )
    data = b"small" + pattern(130) + b"firstlast"
    for at in range(1, len(stream)):
        yield good(f"a stream cut at byte {at}", "5.2", stream[:at], stream[at:], data=data, pongs=(b"here?",))
    yield good("a stream byte by byte", "5.2", *chopped(stream), data=data, pongs=(b"here?",))
    for n in (126, 1000, 65536):
        sent = binary(pattern(n))
        yield good(f"the head of {n} bytes byte by byte", "5.2", *chopped(sent[:16]), sent[16:], data=pattern(n))


def large():
    data = pattern(16 * MIB)
    for n in (64 << 10, MIB, 16 * MIB):
        yield good(f"{n >> 10} KiB as one frame", "5.2", lambda n=n: (binary(data[:n]),), data=data[:n])

    def cut(total, count):
        size = total // count
        yield binary(data[:size], fin=False)
        for first in range(1, count, 1024):
            yield b"".join(
                frame(CONTINUATION, data[i * size : (i + 1) * size], fin=i == count - 1)
                for i in range(first, min(first + 1024, count))
            )

    for total, count in ((64 << 10, 64), (MIB, 4096), (16 * MIB, 65536)):
        yield good(
            f"{total >> 10} KiB as {count} fragments", "5.4", lambda t=total, c=count: cut(t, c), data=data[:total]
        )
    yield good(
        "2,000 messages of 100 bytes in one write",
        "5.6",
        b"".join(binary(data[i * 100 : i * 100 + 100]) for i in range(2000)),
        data=data[:200_000],
    )
    yield good("5,000 bytes byte by byte", "5.2", *chopped(binary(pattern(5000))), data=pattern(5000))


def after_close():
    for name, sent in (("a message", binary(b"late")), ("a ping", frame(PING, b"late")), ("nonsense", b"\xff" * 40)):
        yield good(f"{name} behind the Close", "5.5.1", binary(b"x") + close_frame(1000) + sent, data=b"x", final=True)


def cases():
    for family in (
        opcodes,
        reserved_bits_later,
        lengths,
        fragments,
        controls_in_every_gap,
        control_sizes,
        splits,
        large,
        after_close,
    ):
        yield from family()
