"""UTF-8, well-formed and not, after Markus Kuhn's decoder stress test: `VALID` and `INVALID` are (name, bytes)."""


def _chars(*points):
    return "".join(chr(point) for point in points).encode("utf-8", "surrogatepass")


VALID = [
    ("1 κόσμε", "κόσμε".encode()),
    ("1 Hello-µ@ßöäüàá-UTF-8!!", "Hello-µ@ßöäüàá-UTF-8!!".encode()),
    # 2.1 and 2.2: first and last of each length
    ("2.1.1 U+0000", b"\x00"),
    ("2.1.2 U+0080", b"\xc2\x80"),
    ("2.1.3 U+0800", b"\xe0\xa0\x80"),
    ("2.1.4 U+10000", b"\xf0\x90\x80\x80"),
    ("2.2.1 U+007F", b"\x7f"),
    ("2.2.2 U+07FF", b"\xdf\xbf"),
    ("2.2.3 U+FFFF", b"\xef\xbf\xbf"),
    # 2.3
    ("2.3.1 U+D7FF", b"\xed\x9f\xbf"),
    ("2.3.2 U+E000", b"\xee\x80\x80"),
    ("2.3.3 U+FFFD", b"\xef\xbf\xbd"),
    ("2.3.4 U+10FFFF", b"\xf4\x8f\xbf\xbf"),
    ("a byte order mark", b"\xef\xbb\xbf"),
    # 5.3: characters that are none are well-formed all the same
    ("5.3.1 U+FFFE", b"\xef\xbf\xbe"),
    ("5.3.2 U+FFFF", b"\xef\xbf\xbf"),
    ("5.3.3 U+FDD0 to U+FDEF", _chars(*range(0xFDD0, 0xFDF0))),
    *((f"5.3.4 U+{plane:X}{low:X}", _chars(plane << 16 | low)) for plane in range(1, 17) for low in (0xFFFE, 0xFFFF)),
    ("all lengths", "aµ€𝄞".encode() * 4),
    ("1,000 characters of three bytes", "語".encode() * 1000),
]

_CONTINUATIONS = bytes(range(0x80, 0xC0))
_STARTS = (
    ("3.2.1 lonely starts of two", bytes(range(0xC0, 0xE0))),
    ("3.2.2 lonely starts of three", bytes(range(0xE0, 0xF0))),
    ("3.2.3 lonely starts of four", bytes(range(0xF0, 0xF8))),
    ("3.2.4 lonely starts of five", bytes(range(0xF8, 0xFC))),
    ("3.2.5 lonely starts of six", bytes((0xFC, 0xFD))),
)
_UNFINISHED = (
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
)
_SURROGATES = (0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF)

INVALID = [
    # 2.1, 2.2: lengths and values that are no longer part of it (RFC 3629)
    ("2.1.5 five bytes", b"\xf8\x88\x80\x80\x80"),
    ("2.1.6 six bytes", b"\xfc\x84\x80\x80\x80\x80"),
    ("2.2.4 U+1FFFFF", b"\xf7\xbf\xbf\xbf"),
    ("2.2.5 five bytes, the last", b"\xfb\xbf\xbf\xbf\xbf"),
    ("2.2.6 six bytes, the last", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
    ("2.3.5 U+110000", b"\xf4\x90\x80\x80"),
    # 3.1: continuation bytes alone
    *((f"3.1 {n} continuation bytes", (b"\x80\xbf" * 4)[:n]) for n in range(1, 8)),
    ("3.1.9 all continuation bytes", _CONTINUATIONS),
    *((f"3.1 continuation byte {byte:#x}", bytes((byte,))) for byte in range(0x80, 0xC0)),
    # 3.2: starts alone, each with a space behind it
    *(
        (name, b" ".join(bytes((byte,)) for byte in starts) + b" ")
        for name, starts in _STARTS
        if len(starts) * 2 <= 123
    ),
    *((f"3.2 start {byte:#x}", bytes((byte, 0x20))) for byte in range(0xC0, 0xFE)),
    # 3.3, 3.4: the last byte is missing
    *((f"3.3.{i} the last byte is missing", cut + b" ") for i, cut in enumerate(_UNFINISHED, 1)),
    *((f"3.3.{i} the last byte is missing at the end", cut) for i, cut in enumerate(_UNFINISHED, 1)),
    ("3.4 all of them in a row", b"".join(_UNFINISHED)),
    # 3.5
    ("3.5.1 0xfe", b"\xfe"),
    ("3.5.2 0xff", b"\xff"),
    ("3.5.3 0xfe 0xfe 0xff 0xff", b"\xfe\xfe\xff\xff"),
    # 4.1 to 4.3: overlong
    ("4.1.1 a slash in two", b"\xc0\xaf"),
    ("4.1.2 a slash in three", b"\xe0\x80\xaf"),
    ("4.1.3 a slash in four", b"\xf0\x80\x80\xaf"),
    ("4.1.4 a slash in five", b"\xf8\x80\x80\x80\xaf"),
    ("4.1.5 a slash in six", b"\xfc\x80\x80\x80\x80\xaf"),
    ("4.2.1 U+007F in two", b"\xc1\xbf"),
    ("4.2.2 U+07FF in three", b"\xe0\x9f\xbf"),
    ("4.2.3 U+FFFF in four", b"\xf0\x8f\xbf\xbf"),
    ("4.2.4 U+1FFFFF in five", b"\xf8\x87\xbf\xbf\xbf"),
    ("4.2.5 U+3FFFFFF in six", b"\xfc\x83\xbf\xbf\xbf\xbf"),
    ("4.3.1 NUL in two", b"\xc0\x80"),
    ("4.3.2 NUL in three", b"\xe0\x80\x80"),
    ("4.3.3 NUL in four", b"\xf0\x80\x80\x80"),
    ("4.3.4 NUL in five", b"\xf8\x80\x80\x80\x80"),
    ("4.3.5 NUL in six", b"\xfc\x80\x80\x80\x80\x80"),
    # 5.1, 5.2: surrogates
    *((f"5.1 U+{point:X}", _chars(point)) for point in _SURROGATES),
    *(
        (f"5.2 U+{high:X} U+{low:X}", _chars(high, low))
        for high in (0xD800, 0xDB7F, 0xDB80, 0xDBFF)
        for low in (0xDC00, 0xDFFF)
    ),
]
