"""A `files` route: regular files below its folder, and nothing else."""

import email.utils
import os
import time

import pytest
from lib.checks import refused
from lib.env import SANITIZED, SCALE, UNDER_VALGRIND
from lib.pattern import Pattern
from lib.stream import FIN
from lib.wait import until_read
from lib.ws import request

TEXT = b"0123456789abcdefghij"
TYPES = {
    "index.html": "text/html",
    "style.css": "text/css",
    "app.js": "text/javascript",
    "module.mjs": "text/javascript",
    "data.json": "application/json",
    "icon.svg": "image/svg+xml",
    "icon.png": "image/png",
    "photo.jpg": "image/jpeg",
    "code.wasm": "application/wasm",
    "font.woff2": "font/woff2",
    "plain.txt": "text/plain",
    "unknown.xyz": "application/octet-stream",
    "noextension": "application/octet-stream",
    "UPPER.HTML": "text/html",
}


@pytest.fixture(scope="module")
def www(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "www"
    folder.mkdir()
    for name in TYPES:
        (folder / name).write_bytes(TEXT)
    (folder / "index.html").write_bytes(b"<!doctype html>")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "index.html").write_bytes(b"<p>sub")
    (folder / "sub" / "deep" / "a b+c%.txt").write_bytes(b"spaces")
    (folder / "sub" / "deep" / "größe.txt").write_bytes(b"letters")
    (folder / ".hidden").write_bytes(b"hidden")
    (folder / ".dot").mkdir()
    (folder / ".dot" / "inside.txt").write_bytes(b"hidden")
    (folder / "..file").write_bytes(b"hidden")
    (folder.parent / "secret.txt").write_bytes(b"secret")
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "secret.txt").write_bytes(b"secret")
    (folder / "inner-link.txt").symlink_to("plain.txt")
    (folder / "outer-link.txt").symlink_to("../secret.txt")
    (folder / "absolute-link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "outer-folder").symlink_to("../other")
    os.mkfifo(folder / "fifo")
    unreadable = folder / "unreadable.txt"
    unreadable.write_bytes(b"secret")
    unreadable.chmod(0)
    return folder


@pytest.fixture(scope="module", params=["ws", "wss"])
def site(start_shared, request, www, certs, trust):  # pylint: disable=redefined-outer-name
    """connect() gives a client of a gateway that serves `www`."""
    tls = ""
    if request.param == "wss":
        tls = f', tls: {{certificates: {{cert: "{certs}/server.crt", key: "{certs}/server.key"}}}}'
    gateway = start_shared(
        f"""
        listen: {{address: "127.0.0.1:0"{tls}}}
        routes:
          - {{path: /ws, target: "tcp://127.0.0.1:9"}}
          - {{path: /*, files: "{www}"}}
        """
    )

    def connect(**kwargs):
        return gateway.connect(tls=trust if tls else None, **kwargs)

    connect.gateway = gateway
    return connect


def ask(path, method="GET", headers=(), **kwargs):
    return request(path, upgrade=False, method=method, headers=headers, **kwargs)


def get(client, path, *headers, method="GET"):
    client.send(ask(path, method, headers))
    return client.take_answer(method)


def media_type(answer):
    return answer.fields["content-type"].split(";")[0].strip()


@pytest.mark.parametrize("name", TYPES)
def test_get(site, www, name):
    answer = get(site(), "/" + name)
    body = (www / name).read_bytes()
    assert (answer.status, answer.body) == (200, body)
    assert answer.fields["content-length"] == str(len(body))
    assert media_type(answer) == TYPES[name]
    assert answer.fields["etag"].strip('"') and answer.fields["accept-ranges"] == "bytes"
    modified = email.utils.parsedate_to_datetime(answer.fields["last-modified"])
    assert modified.timestamp() == int((www / name).stat().st_mtime)
    assert "close" not in answer.tokens("connection")


def test_date(site):
    """RFC 9110 6.6.1: a server with a clock says when."""
    answer = get(site(), "/plain.txt")
    said = email.utils.parsedate_to_datetime(answer.fields["date"]).timestamp()
    assert abs(said - time.time()) < 10 * SCALE


@pytest.mark.parametrize("name", ["text", "html", "css", "js"])
def test_text_says_its_charset(site, name):
    path = {"text": "/plain.txt", "html": "/", "css": "/style.css", "js": "/app.js"}[name]
    assert "charset=utf-8" in get(site(), path).fields["content-type"].lower()


def test_nosniff(site):
    assert get(site(), "/unknown.xyz").fields["x-content-type-options"] == "nosniff"


def test_empty(site):
    answer = get(site(), "/empty.txt")
    assert (answer.status, answer.body, answer.fields["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    "path, body",
    [
        ("/", b"<!doctype html>"),
        ("/?query=1", b"<!doctype html>"),
        ("/sub/", b"<p>sub"),
        ("/sub/deep/a%20b+c%25.txt", b"spaces"),
        ("/sub/deep/gr%C3%B6%C3%9Fe.txt", b"letters"),
        ("/%70lain.txt", TEXT),
        ("/plain.txt?x=../..", TEXT),
        pytest.param(
            "/inner-link.txt",
            TEXT,
            marks=pytest.mark.skipif(UNDER_VALGRIND, reason="without openat2, which valgrind lacks, no link is followed"),
        ),
    ],
)
def test_found(site, path, body):
    answer = get(site(), path)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    "path",
    [
        "/none.txt",
        "/sub/deep/",
        "/plain.txt/",
        "/plain.txt/x",
        "/.hidden",
        "/%2ehidden",
        "/.dot/inside.txt",
        "/..file",
        "/outer-link.txt",
        "/absolute-link.txt",
        "/outer-folder/secret.txt",
        "/outer-folder/",
        "/fifo",
        "/../secret.txt",
        "/../www/plain.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2E%2e/secret.txt",
        "/.%2e/secret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%2Fsecret.txt",
        "/sub%2findex.html",
        "/%2fetc/passwd",
        "//etc/passwd",
        "/%252e%252e/secret.txt",
        "/..%5csecret.txt",
        "/" + "a" * 300,
        "/" + "a/" * 2000,
    ],
)
def test_not_found(site, path):
    client = site()
    answer = get(client, path)
    assert b"secret" not in answer.body or b"secret" in path.encode()
    refused(client, answer, 404)


@pytest.mark.parametrize("path", ["/plain.txt%00", "/%00", "/plain.txt%00.html", "/%zz", "/%", "/%4"])
def test_bad_escapes(site, path):
    client = site()
    refused(client, get(client, path), 400)


def test_unreadable(site):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    client = site()
    refused(client, get(client, "/unreadable.txt"), 404)


def test_a_folder_without_its_slash(site):
    """Its index's relative links would lead astray: it is not the index."""
    client = site()
    answer = get(client, "/sub")
    assert answer.status in (301, 308, 404)
    if answer.status != 404:
        assert answer.fields["location"] == "/sub/"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_405(site, method):
    client = site()
    answer = get(client, "/plain.txt", method=method)
    refused(client, answer, 405)
    assert sorted(answer.tokens("allow")) == ["get", "head"]
    assert answer.body == b"only GET and HEAD are taken here\n"


@pytest.mark.parametrize("path, status", [("/plain.txt", 200), ("/", 200), ("/none", 404), ("/.hidden", 404)])
def test_head(site, path, status):
    client = site()
    answer = get(client, path, method="HEAD")
    assert answer.status == status
    if status == 200:
        full = get(client, path)  # the next answer begins right behind: HEAD had no body
        assert full.status == 200
        for field in ("content-length", "content-type", "etag", "last-modified"):
            assert answer.fields[field] == full.fields[field]
    else:
        assert client.take_rest() == (b"", FIN)


# Conditions


def test_304_by_etag(site):
    client = site()
    first = get(client, "/plain.txt")
    etag = first.fields["etag"]
    weak = etag if etag.startswith("W/") else f"W/{etag}"
    for value in (etag, weak, f'"x", {etag}', f'"x",{etag} , "y"', "*"):
        answer = get(client, "/plain.txt", ("If-None-Match", value))
        assert (answer.status, answer.body) == (304, b""), value
        assert answer.fields["etag"] == etag
    for value in ('"x"', '"x", "y"', etag[:-2] + '"', ""):
        assert get(client, "/plain.txt", ("If-None-Match", value)).status == 200, value
    assert get(client, "/plain.txt", ("If-None-Match", etag), method="HEAD").status == 304


def test_304_by_date(site, www):
    client = site()
    modified = (www / "plain.txt").stat().st_mtime
    since = lambda t: ("If-Modified-Since", email.utils.formatdate(t, usegmt=True))  # noqa: E731
    assert get(client, "/plain.txt", since(modified)).status == 304
    assert get(client, "/plain.txt", since(modified + 100)).status == 304
    assert get(client, "/plain.txt", since(modified - 100)).status == 200
    assert get(client, "/plain.txt", ("If-Modified-Since", "yesterday")).status == 200


def test_etag_goes_before_date(site, www):
    """RFC 9110 13.2.2."""
    modified = (www / "plain.txt").stat().st_mtime
    date = ("If-Modified-Since", email.utils.formatdate(modified + 100, usegmt=True))
    assert get(site(), "/plain.txt", ("If-None-Match", '"x"'), date).status == 200


def test_etag_changes_with_the_file(site, www):
    file = www / f"changing{os.getpid()}.txt"
    file.write_bytes(b"one")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    client = site()
    first = get(client, "/" + file.name)
    file.write_bytes(b"other")
    os.utime(file, (1_700_000_000, 1_700_000_000))
    answer = get(client, "/" + file.name, ("If-None-Match", first.fields["etag"]))
    assert (answer.status, answer.body) == (200, b"other")


# Ranges


@pytest.mark.parametrize(
    "value, first, last",
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=10-", 10, 19),
        ("bytes=19-", 19, 19),
        ("bytes=-5", 15, 19),
        ("bytes=-100", 0, 19),
        ("bytes=5-1000", 5, 19),
        ("BYTES=0-1", 0, 1),
    ],
)
def test_range(site, value, first, last):
    client = site()
    answer = get(client, "/plain.txt", ("Range", value))
    assert (answer.status, answer.body) == (206, TEXT[first : last + 1])
    assert answer.fields["content-range"] == f"bytes {first}-{last}/20"
    assert media_type(answer) == "text/plain"


@pytest.mark.parametrize("value", ["bytes=20-", "bytes=100-200", "bytes=-0"])
def test_range_outside(site, value):
    answer = get(site(), "/plain.txt", ("Range", value))
    assert answer.status == 416
    assert answer.fields["content-range"] == "bytes */20"


@pytest.mark.parametrize(
    "value", ["bytes=5-2", "bytes=a-b", "bytes=", "bytes=-", "lines=0-5", "0-5", "bytes=0-1,4-5", "bytes=1-2-3"]
)
def test_ranges_that_are_not_taken(site, value):
    """RFC 9110 14.2: a Range may be passed over; several are."""
    answer = get(site(), "/plain.txt", ("Range", value))
    assert (answer.status, answer.body) == (200, TEXT)


def test_if_range(site):
    client = site()
    etag = get(client, "/plain.txt").fields["etag"]
    answer = get(client, "/plain.txt", ("Range", "bytes=0-1"), ("If-Range", '"other"'))
    assert (answer.status, answer.body) == (200, TEXT)
    if not etag.startswith("W/"):
        assert get(client, "/plain.txt", ("Range", "bytes=0-1"), ("If-Range", etag)).status == 206


def test_range_on_head_is_passed_over(site):
    """RFC 9110 14.2: Range is for GET."""
    answer = get(site(), "/plain.txt", ("Range", "bytes=0-1"), method="HEAD")
    assert (answer.status, answer.fields["content-length"]) == (200, "20")


# Connections


def test_keep_alive(site):
    client = site()
    for _ in range(50):
        assert get(client, "/plain.txt").body == TEXT
        assert get(client, "/").status == 200
        assert get(client, "/plain.txt", ("Range", "bytes=0-3")).body == TEXT[:4]


def test_pipelined(site):
    client = site()
    paths = ["/plain.txt", "/", "/sub/", "/empty.txt"] * 5
    client.send(b"".join(ask(path) for path in paths))
    bodies = [client.take_answer().body for _ in paths]
    assert bodies == [TEXT, b"<!doctype html>", b"<p>sub", b""] * 5


def test_pipelined_cut_at_every_byte(site):
    data = ask("/plain.txt") + ask("/sub/")
    client = site()
    for at in range(1, len(data)):
        client.send(data[:at])
        until_read(client.raw)
        client.send(data[at:])
        assert client.take_answer().body == TEXT
        assert client.take_answer().body == b"<p>sub"


def test_connection_close(site):
    client = site()
    answer = get(client, "/plain.txt", ("Connection", "close"))
    assert (answer.status, answer.body) == (200, TEXT)
    assert answer.tokens("connection") == ["close"]
    assert client.take_rest() == (b"", FIN)


def test_half_close_behind_the_request(site):
    """A client that has no more to ask gets its answer all the same."""
    client = site()
    if client.tls:
        pytest.skip("a half-close without close_notify is a broken TLS connection")
    client.send(ask("/plain.txt"))
    client.end_writing()
    assert client.take_answer().body == TEXT
    assert client.take_rest() == (b"", FIN)


def test_upgrade_after_files(site):
    """The same connection may become a WebSocket, here to a target that is not there."""
    client = site()
    assert get(client, "/plain.txt").status == 200
    client.upgrade("/ws")
    assert client.take_closing()[1] == 1014


def test_upgrade_on_a_files_route(site):
    """There is no WebSocket: the file is the answer, or a refusal; never a 101."""
    answer = site().ask(request("/plain.txt"))
    assert answer.status != 101


def test_refusal_behind_files(site):
    client = site()
    client.send(ask("/plain.txt") + ask("/none") + ask("/plain.txt"))
    assert client.take_answer().status == 200
    answer = client.take_answer()
    refused(client, answer, 404)


def test_large_file_over_a_slow_reader(site, www):
    """Streamed, not read whole; nothing of it is lost."""
    size = 24 << 20
    pattern = Pattern(9)
    file = www / f"large{os.getpid()}.bin"
    with open(file, "wb") as out:
        for at in range(0, size, 1 << 20):
            out.write(pattern.at(at, 1 << 20))
    small = site()
    assert get(small, "/plain.txt").status == 200
    before = site.gateway.rss_bytes()
    client = site(rcvbuf=16384)
    client.send(ask("/" + file.name))
    head = client.take_until(b"\r\n\r\n")
    assert b"200" in head
    # while it stalls, others are served and no memory is made
    assert get(small, "/plain.txt").status == 200
    if not (SANITIZED or UNDER_VALGRIND):
        assert site.gateway.rss_bytes() - before < 4 << 20
    got = 0
    while got < size:
        if not client.buf:
            assert client.fill()
        data = bytes(client.buf)
        client.buf.clear()
        pattern.check(got, data)
        got += len(data)
    assert got == size
    file.unlink()


def test_large_file_that_nobody_waits_for(site, www):
    file = www / f"left{os.getpid()}.bin"
    with open(file, "wb") as out:
        out.truncate(64 << 20)
    for _ in range(5):
        client = site(rcvbuf=16384)
        client.send(ask("/" + file.name))
        client.take_until(b"\r\n\r\n")
        client.reset()
    assert get(site(), "/plain.txt").status == 200
    file.unlink()
