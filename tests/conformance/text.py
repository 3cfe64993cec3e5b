"""Text messages: UTF-8 at every split, in writes and in fragments (RFC 6455 5.6, 8.1; RFC 3629)."""

from case import bad, binary, chopped, good
from lib.ws import CONTINUATION, PING, TEXT, frame
from utf8_rows import INVALID, VALID

TEXT_ROUTES = {"messages": ("text", "any")}


def text(payload, **fields):
    return frame(TEXT, payload, **fields)


def in_fragments(payload, cuts):
    edges = [0, *cuts, len(payload)]
    parts = [payload[a:b] for a, b in zip(edges, edges[1:])]
    return b"".join(
        frame(TEXT if i == 0 else CONTINUATION, part, fin=i == len(parts) - 1) for i, part in enumerate(parts)
    )


def valid():
    for name, payload in VALID:
        yield good(name, "8.1", text(payload), data=payload, **TEXT_ROUTES)
        if len(payload) <= 100:
            yield good(f"{name}, byte by byte", "8.1", *chopped(text(payload)), data=payload, **TEXT_ROUTES)
            every = b"".join(in_fragments(payload, [at]) for at in range(len(payload) + 1))
            yield good(
                f"{name}, in two fragments at every split",
                "5.6",
                every,
                data=payload * (len(payload) + 1),
                **TEXT_ROUTES,
            )
            single = in_fragments(payload, range(1, len(payload)))
            yield good(f"{name}, in fragments of a byte", "5.6", single, data=payload, **TEXT_ROUTES)
    payload = "aµ€𝄞".encode()
    for at in range(1, len(payload)):
        sent = text(payload[:at], fin=False) + frame(PING, b"here?") + frame(CONTINUATION, payload[at:])
        yield good(f"a ping within a text at {at}", "5.4", sent, data=payload, pongs=(b"here?",), **TEXT_ROUTES)
    yield good("empty texts", "5.6", text(b"") * 3, text(b"x"), data=b"x", **TEXT_ROUTES)


def invalid():
    for name, payload in INVALID:
        yield bad(name, "8.1", text(payload), code=1007, **TEXT_ROUTES)
        around = b"before " + payload + b" behind"
        yield bad(f"{name}, in other text", "8.1", text(around), code=1007, **TEXT_ROUTES)
        for at in range(len(payload) + 1) if len(payload) <= 8 else ():
            yield bad(f"{name}, in fragments cut at {at}", "8.1", in_fragments(payload, [at]), code=1007, **TEXT_ROUTES)


def told_early():
    """8.1: the connection fails when the first bad byte is there, not at the end of the message."""
    for name, payload in (
        ("a bad start", b"\xff"),
        ("a surrogate", b"\xed\xa0"),
        ("above U+10FFFF", b"\xf4\x90"),
        ("overlong", b"\xe0\x80"),
    ):
        yield bad(
            f"{name} in a message without an end", "8.1", text(b"ok " + payload, fin=False), code=1007, **TEXT_ROUTES
        )
        yield bad(
            f"{name} in a frame without an end",
            "8.1",
            frame(TEXT, b"ok " + payload, length=1000),
            code=1007,
            **TEXT_ROUTES,
        )


def types():
    yield bad("a binary message, where only text is taken", "7.4.1", binary(b"x"), code=1003, messages=("text",))
    yield bad("an empty binary message, where only text is taken", "7.4.1", binary(b""), code=1003, messages=("text",))
    yield good(
        "a binary message among texts",
        "5.6",
        text(b"a") + binary(b"\xff") + text(b"b"),
        data=b"a\xffb",
        messages=("any",),
    )
    yield good(
        "bytes that are no text, as binary", "5.6", binary(bytes(range(256))), data=bytes(range(256)), messages=("any",)
    )


def cases():
    for family in (valid, invalid, told_early, types):
        yield from family()
