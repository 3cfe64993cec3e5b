"""Requests: smuggling shapes, floods, dribbles, and frames before the 101 (RFC 9112, 9110; RFC 6455 4)."""

from case import RequestCase, binary, pattern
from lib.ws import KEY

REFUSED = (400,)


def edit(change):
    """The usual request with `change` made to its bytes."""
    return lambda server: change(server.request())


def with_lines(*lines):
    """Raw lines in front of the blank one."""
    return edit(lambda usual: usual[:-2] + b"".join(line + b"\r\n" for line in lines) + b"\r\n")


def swap(old, new):
    def change(usual):
        assert old in usual, old
        return usual.replace(old, new, 1)

    return edit(change)


def line_of(change):
    """The request line, made of the path by `change`."""

    def make(server):
        _, _, rest = server.request().partition(b"\r\n")
        return change(server.path.encode("latin-1"), server.host.encode("latin-1")) + b"\r\n" + rest

    return make


def bad(name, paragraph, *send, status=REFUSED):
    return RequestCase(name, paragraph, send, status)


def framing():
    """A body has no place in an upgrade: nobody can be made to disagree on where it ends (RFC 9112 6, 11.2)."""
    for name, lines in {
        "Content-Length": (b"Content-Length: 5",),
        "Content-Length 0": (b"Content-Length: 0",),
        "Content-Length twice": (b"Content-Length: 5", b"Content-Length: 6"),
        "Content-Length as a list": (b"Content-Length: 5, 5",),
        "Content-Length with a sign": (b"Content-Length: +5",),
        "Content-Length negative": (b"Content-Length: -1",),
        "Content-Length in hex": (b"Content-Length: 0x5",),
        "Content-Length past 64 bits": (b"Content-Length: 18446744073709551621",),
        "Content-Length with a tab before it": (b"Content-Length:\t5",),
        "Content-Length in capitals": (b"CONTENT-LENGTH: 5",),
        "Transfer-Encoding": (b"Transfer-Encoding: chunked",),
        "Transfer-Encoding, odd": (b"Transfer-Encoding: xchunked",),
        "Transfer-Encoding, a tab": (b"Transfer-Encoding:\tchunked",),
        "Transfer-Encoding, a vertical tab": (b"Transfer-Encoding: \x0bchunked",),
        "Transfer-Encoding, identity": (b"Transfer-Encoding: identity",),
        "Transfer-Encoding twice": (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        "TE and CL": (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        "CL and TE": (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        "Transfer-Encoding with a space before the colon": (b"Transfer-Encoding : chunked",),
        "Content-Length with a space before the colon": (b"Content-Length : 5",),
        "a folded Transfer-Encoding": (b"Transfer-Encoding:", b" chunked"),
    }.items():
        yield bad(name, "6", with_lines(*lines))


def lines_and_folds():
    for name, change in {
        "bare LF everywhere": lambda usual: usual.replace(b"\r\n", b"\n"),
        "bare LF behind the request line": lambda usual: usual.replace(b"\r\n", b"\n", 1),
        "bare LF behind a header": lambda usual: usual.replace(b"websocket\r\n", b"websocket\n", 1),
        "bare LF at the end": lambda usual: usual[:-2] + b"\n",
        "CR CR LF": lambda usual: usual.replace(b"\r\n", b"\r\r\n", 1),
        "a bare CR in front of a header": lambda usual: usual.replace(b"\r\nHost", b"\r\n\rHost", 1),
        "a NUL at the end of the request line": lambda usual: usual.replace(b"\r\n", b"\0\r\n", 1),
        "a space in front of the first header": lambda usual: usual.replace(b"\r\nHost", b"\r\n Host", 1),
        "a tab in front of the first header": lambda usual: usual.replace(b"\r\nHost", b"\r\n\tHost", 1),
        "two empty lines in front": lambda usual: b"\r\n\r\n" + usual,
    }.items():
        yield bad(name, "2.2", edit(change), status=(101, 400) if "in front" in name and "empty" in name else REFUSED)
    yield bad("obs-fold with a space", "5.2", with_lines(b"X-Folded: one", b" two"))
    yield bad("obs-fold with a tab", "5.2", with_lines(b"X-Folded: one", b"\ttwo"))
    yield bad("obs-fold of nothing", "5.2", with_lines(b"X-Folded:", b" "))
    yield bad("obs-fold of Host", "5.2", edit(lambda usual: usual.replace(b"Host: ", b"Host:\r\n ", 1)))


def header_bytes():
    for byte in (*range(0x00, 0x09), 0x0B, 0x0C, 0x0D, *range(0x0E, 0x20), 0x7F):
        yield bad(f"byte {byte:#04x} in a value", "5.5 of RFC 9110", with_lines(b"X-Value: a" + bytes((byte,)) + b"b"))
        yield bad(f"byte {byte:#04x} in a name", "5.1 of RFC 9110", with_lines(b"X-Na" + bytes((byte,)) + b"me: a"))
    for byte in b'"(),/:;<=>?@[\\]{} \x80\xe9\xff':
        if byte != ord(":"):
            yield bad(f"byte {byte:#04x} in a name", "5.1 of RFC 9110", with_lines(b"X-Na" + bytes((byte,)) + b"me: a"))
    for byte in (0x80, 0xA0, 0xE9, 0xFF):
        yield RequestCase(
            f"byte {byte:#04x} in a value is opaque",
            "5.5 of RFC 9110",
            (with_lines(b"X-Value: " + bytes((byte,))),),
            (101,),
        )
    yield bad("no colon", "5", with_lines(b"nonsense"))
    yield bad("an empty name", "5", with_lines(b": value"))
    yield bad("a colon alone", "5", with_lines(b":"))


def doubled():
    """What must be single must be single, for two readers may take different ones."""
    for name, line in {
        "Host": b"Host: other.example",
        "the same Host": None,
        "Sec-WebSocket-Key": b"Sec-WebSocket-Key: " + KEY.encode(),
        "Sec-WebSocket-Version": b"Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Version 8": b"Sec-WebSocket-Version: 8",
        "Origin": b"Origin: http://a.example\r\nOrigin: http://b.example",
    }.items():
        send = edit(lambda usual: usual.replace(b"\r\nUpgrade", b"\r\nHost: " + _host(usual) + b"\r\nUpgrade", 1))
        yield bad(f"two of {name}", "4.2.1 of RFC 6455", send if line is None else with_lines(line))
    yield bad("a Host before and behind", "3.2", with_lines(b"host: second.example"))
    yield bad("no Host", "3.2", edit(lambda usual: usual.replace(b"Host: " + _host(usual) + b"\r\n", b"", 1)))
    for name, value in {
        "a path": b"localhost/path",
        "user and password": b"user:password@localhost",
        "a list": b"localhost, other.example",
        "a space": b"local host",
        "a bad port": b"localhost:65536",
        "a port with letters": b"localhost:8o",
        "an open bracket": b"[::1",
        "a NUL": b"local\0host",
        "a percent sign": b"local%68ost%",
    }.items():
        yield bad(
            f"a Host with {name}",
            "3.2",
            edit(lambda usual, value=value: usual.replace(b"Host: " + _host(usual), b"Host: " + value, 1)),
            status=(400, 421),
        )
    yield RequestCase(
        "Upgrade as a list", "7.8 of RFC 9110", (swap(b"Upgrade: websocket", b"Upgrade: h2c, websocket"),), (101,)
    )
    yield RequestCase("Upgrade twice", "5.3 of RFC 9110", (with_lines(b"Upgrade: h2c"),), (101,))
    yield RequestCase(
        "Connection as a list",
        "7.6.1 of RFC 9110",
        (swap(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),),
        (101,),
    )
    yield RequestCase(
        "Upgrade in capitals", "4.2.1 of RFC 6455", (swap(b"Upgrade: websocket", b"Upgrade: WEBSOCKET"),), (101,)
    )
    yield bad(
        "Upgrade: websockets", "4.2.1 of RFC 6455", swap(b"Upgrade: websocket", b"Upgrade: websockets"), status=(426,)
    )
    yield bad(
        "Connection: close", "4.2.1 of RFC 6455", swap(b"Connection: Upgrade", b"Connection: close"), status=(426,)
    )


def _host(usual):
    return usual.split(b"Host: ", 1)[1].split(b"\r\n", 1)[0]


def keys():
    for name, value in {
        "empty": b"",
        "of 15 bytes": b"AAAAAAAAAAAAAAAAAAAA",
        "of 17 bytes": b"AAAAAAAAAAAAAAAAAAAAAAA=",
        "without padding": b"dGhlIHNhbXBsZSBub25jZQ",
        "with too much padding": b"dGhlIHNhbXBsZSBub25jZQ===",
        "with loose bits": b"dGhlIHNhbXBsZSBub25jZR==",
        "in another alphabet": b"dGhlIHNhbXBsZSBub25-_w==",
        "with a space": b"dGhlIHNhbXBs ZSBub25jZQ==",
        "of two": b"dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    }.items():
        status = (101, 400) if "loose" in name else REFUSED
        yield bad(f"a key {name}", "4.2.1 of RFC 6455", swap(KEY.encode(), value), status=status)
    for version in (b"", b"8", b"7", b"12", b"14", b"013", b"13.0", b"13, 8", b"0x0d", b"-13", b"99999999999999999999"):
        yield bad(
            f"version {version.decode() or 'empty'}",
            "4.2.2 of RFC 6455",
            swap(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: " + version),
            status=(400, 426),
        )


def request_lines():
    for name, change in {
        "no version": lambda path, host: b"GET " + path,
        "two spaces": lambda path, host: b"GET  " + path + b" HTTP/1.1",
        "a tab": lambda path, host: b"GET\t" + path + b" HTTP/1.1",
        "a space at the end": lambda path, host: b"GET " + path + b" HTTP/1.1 ",
        "a space in the path": lambda path, host: b"GET " + path + b" x HTTP/1.1",
        "HTTP/1.0": lambda path, host: b"GET " + path + b" HTTP/1.0",
        "HTTP/2.0": lambda path, host: b"GET " + path + b" HTTP/2.0",
        "HTTP/1.10": lambda path, host: b"GET " + path + b" HTTP/1.10",
        "http/1.1": lambda path, host: b"GET " + path + b" http/1.1",
        "a fragment": lambda path, host: b"GET " + path + b"#part HTTP/1.1",
        "no path": lambda path, host: b"GET HTTP/1.1",
        "a NUL in the path": lambda path, host: b"GET " + path + b"\0 HTTP/1.1",
        "8 bits in the path": lambda path, host: b"GET " + path + b"\xe9 HTTP/1.1",
        "a control byte in the path": lambda path, host: b"GET " + path + b"\x7f HTTP/1.1",
        "an open percent sign": lambda path, host: b"GET " + path + b"% HTTP/1.1",
        "half a percent code": lambda path, host: b"GET " + path + b"%4 HTTP/1.1",
        "a percent code that is none": lambda path, host: b"GET " + path + b"%zz HTTP/1.1",
        "a NUL as a percent code": lambda path, host: b"GET " + path + b"%00 HTTP/1.1",
        "authority-form": lambda path, host: b"GET " + host + b" HTTP/1.1",
        "asterisk-form": lambda path, host: b"GET * HTTP/1.1",
        "a scheme that is none": lambda path, host: b"GET ://" + host + path + b" HTTP/1.1",
        "another scheme": lambda path, host: b"GET ftp://" + host + path + b" HTTP/1.1",
        "absolute-form for another host": lambda path, host: b"GET http://other.example" + path + b" HTTP/1.1",
        "absolute-form with a user": lambda path, host: b"GET http://user@" + host + path + b" HTTP/1.1",
        "HTTP/2's preface": lambda path, host: b"PRI * HTTP/2.0",
    }.items():
        status = (
            (400, 404, 405, 421, 505)
            if name in ("absolute-form for another host", "HTTP/2's preface", "HTTP/2.0", "HTTP/1.0", "HTTP/1.10")
            else (400, 404)
        )
        yield bad(f"request line: {name}", "3", line_of(change), status=status)
    yield bad("CONNECT", "3.2.3", line_of(lambda path, host: b"CONNECT " + host + b" HTTP/1.1"), status=(400, 405, 501))
    for method in (b"get", b"POST", b"TRACE", b"G(T", b"GET\x0b"):
        status = (400,) if method in (b"G(T", b"GET\x0b") else (405, 501)
        yield bad(
            f"method {method!r}",
            "3.1",
            line_of(lambda path, host, m=method: m + b" " + path + b" HTTP/1.1"),
            status=status,
        )


def dots():
    """What climbs is not taken for what it climbs to, however it is written (RFC 3986 5.2.4)."""
    for name, path in {
        "..": b"/../..",
        "%2e%2e": b"/%2e%2e/%2e%2e/etc/passwd",
        "%2E.": b"/a/%2E./%2E./%2E./etc/passwd",
        "an encoded slash": b"/..%2f..%2fetc%2fpasswd",
        "an encoded backslash": b"/..%5c..%5cetc",
        "doubly encoded": b"/%252e%252e/etc/passwd",
        "overlong dots": b"/%c0%ae%c0%ae/etc/passwd",
        "slashes": b"//etc//passwd",
        "a dot": b"/./nowhere-at-all",
    }.items():
        yield bad(
            f"path: {name}", "3.2", line_of(lambda _, host, p=path: b"GET " + p + b" HTTP/1.1"), status=(400, 404)
        )


def floods():
    yield bad("a request line of 100,000 bytes", "3", lambda server: b"GET /" + b"a" * 100_000, status=(414,))
    yield bad("a header of 100,000 bytes", "5.4", with_lines(b"X: " + b"a" * 100_000), status=(431, 400))
    yield bad("20,000 headers", "5.4", with_lines(*(b"X-%d: a" % i for i in range(20_000))), status=(431, 400))
    yield bad("a name of 100,000 bytes", "5.4", with_lines(b"a" * 100_000 + b": x"), status=(431, 400))
    yield bad("a method of 100,000 bytes", "3.1", lambda server: b"A" * 100_000, status=(400, 414, 501))


def dribble_and_early():
    payload = pattern(3000)
    early = lambda server: server.request() + binary(payload)  # noqa: E731
    yield RequestCase("frames behind the request in one write", "4.1 of RFC 6455", (early,), (101,), payload)
    yield RequestCase(
        "frames before the 101 in a write of their own",
        "4.1 of RFC 6455",
        (edit(bytes), binary(payload)),
        (101,),
        payload,
    )
    yield RequestCase(
        "half a frame behind the request",
        "4.1 of RFC 6455",
        (lambda server: server.request() + binary(payload)[:5], binary(payload)[5:]),
        (101,),
        payload,
    )
    for size in (1, 7, 64):

        class Pieces:
            """Piece `i` of the request."""

            def __init__(self, i, size):
                self.i, self.size = i, size

            def __call__(self, server):
                whole = server.request()
                return whole[self.i * self.size : (self.i + 1) * self.size]

        yield RequestCase(
            f"{size} bytes at a time",
            "2.1",
            (*(Pieces(i, size) for i in range(2000 // size)), binary(payload)),
            (101,),
            payload,
        )
    yield bad(
        "a second request behind a refused one", "9.3.2", lambda server: server.request(drop=["Sec-WebSocket-Key"]) * 2
    )
    yield bad("TLS where HTTP is spoken", "2.1", lambda server: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    yield bad("frames where HTTP is spoken", "2.1", lambda server: binary(b"hello") + b"\r\n\r\n")


def cases():
    for family in (
        framing,
        lines_and_folds,
        header_bytes,
        doubled,
        keys,
        request_lines,
        dots,
        floods,
        dribble_and_early,
    ):
        yield from family()
