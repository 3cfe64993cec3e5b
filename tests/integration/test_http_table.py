"""Every row of the contract's table of what is answered before the upgrade."""

import base64

import pytest
from lib.checks import refusal_logged, refused
from lib.env import ms
from lib.stream import FIN
from lib.target import FullBacklog, Refusing, Target, echo
from lib.wait import until_read
from lib.ws import BINARY, KEY, frame, request

ROUTES = """
    listen: {{address: 127.0.0.1:0}}
    routes:
      - {{name: echo, host: [localhost, 127.0.0.1], path: /echo, origin: any, target: "{url}"}}
"""


@pytest.fixture(scope="module")
def echo_url():
    target = Target().serve(echo)
    yield target.url
    target.close()


@pytest.fixture(scope="module")
def gateway(start_shared, echo_url):
    return start_shared(ROUTES.format(url=echo_url))


def key_of(n):
    return base64.b64encode(bytes(range(n))).decode()


def with_key(value):
    return request("/echo", drop=["Sec-WebSocket-Key"], headers=[("Sec-WebSocket-Key", value)])


GOOD = request("/echo")

BAD = {
    "no version": b"GET /echo\r\nHost: localhost\r\n\r\n",
    "an empty request line's method": b" /echo HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two spaces": GOOD.replace(b"GET /echo", b"GET  /echo"),
    "space behind the version": GOOD.replace(b"HTTP/1.1\r\n", b"HTTP/1.1 \r\n"),
    "a tab between": GOOD.replace(b"GET /echo", b"GET\t/echo"),
    "lower-case version": GOOD.replace(b"HTTP/1.1", b"http/1.1"),
    "a version that is none": GOOD.replace(b"HTTP/1.1", b"HTTP/one"),
    "HTTP/1.0": request("/echo", version="HTTP/1.0"),
    "HTTP/0.9": request("/echo", version="HTTP/0.9"),
    "a path without its slash": request("echo"),
    "a star": request("*"),
    "a control byte in the path": request("/ec\x01ho"),
    "a bare LF behind the request line": GOOD.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"),
    "bare LFs": GOOD.replace(b"\r\n", b"\n"),
    "a bare LF behind a header": GOOD.replace(b"localhost\r\n", b"localhost\n"),
    "a bare CR in a value": request("/echo", headers=[b"X-A: a\rb"]),
    "a folded line": request("/echo", headers=[b"X-A: a\r\n b"]),
    "a folded first line": GOOD.replace(b"Host:", b" Host:"),
    "a line without a colon": request("/echo", headers=[b"nonsense"]),
    "a space before the colon": request("/echo", headers=[b"X-A : b"]),
    "an empty name": request("/echo", headers=[b": b"]),
    "a name that is no token": request("/echo", headers=[b"X(A): b"]),
    "a NUL in a value": request("/echo", headers=[b"X-A: a\x00b"]),
    "no Host": request("/echo", drop=["Host"]),
    "two Hosts": request("/echo", headers=[("Host", "localhost")]),
    "a Host with a path": request("/echo", host="localhost/x"),
    "a Host with a bad port": request("/echo", host="localhost:99999"),
    "two keys": request("/echo", headers=[("Sec-WebSocket-Key", KEY)]),
    "two versions": request("/echo", headers=[("Sec-WebSocket-Version", "13")]),
    "Content-Length": request("/echo", headers=[("Content-Length", "5")]),
    "Transfer-Encoding": request("/echo", headers=[("Transfer-Encoding", "chunked")]),
    "no key": request("/echo", drop=["Sec-WebSocket-Key"]),
    "an empty key": with_key(""),
    "a key of 15 bytes": with_key(key_of(15)),
    "a key of 17 bytes": with_key(key_of(17)),
    "a key of 18 bytes": with_key(key_of(18)),
    "a key without padding": with_key(KEY.rstrip("=")),
    "a key of other letters": with_key("!" + KEY[1:]),
}


@pytest.mark.parametrize("what", BAD)
def test_400(gateway, what):
    client = gateway.connect()
    refused(client, client.ask(BAD[what]), 400)
    refusal_logged(gateway, client, 400)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW", "get"])
def test_405(gateway, method):
    client = gateway.connect()
    refused(client, client.ask(request("/echo", method=method)), 405, allow="GET")
    refusal_logged(gateway, client, 405, path="/echo")


def test_405_head(gateway):
    client = gateway.connect()
    client.send(request("/echo", method="HEAD"))
    answer = client.take_answer("HEAD")
    assert (answer.status, answer.fields["allow"]) == (405, "GET")
    assert client.take_rest() == (b"", FIN), "an answer to HEAD has no body"


@pytest.fixture(scope="module")
def small(start_shared, echo_url):
    """Takes requests of 512 bytes."""
    return start_shared(
        f"""
        listen: {{address: 127.0.0.1:0}}
        limits: {{request: 512B}}
        routes: {{target: "{echo_url}"}}
        """
    )


def test_414(small):
    client = small.connect()
    client.send(b"GET /" + b"a" * 600)  # no end of the line is needed to tell
    refused(client, client.take_answer(), 414)
    refusal_logged(small, client, 414)


def sized(total):
    """A request of exactly that many bytes."""
    return request("/", headers=[("X", "a" * (total - len(request("/", headers=[("X", "")]))))])


def test_431(small):
    client = small.connect()
    client.send(GOOD[:-2] + b"X: " + b"a" * 512)
    refused(client, client.take_answer(), 431)
    refusal_logged(small, client, 431)


def test_request_limit_is_exact(small):
    assert len(sized(512)) == 512
    client = small.connect()
    assert client.ask(sized(512)).status == 101
    client = small.connect()
    refused(client, client.ask(sized(513)), 431)


def test_many_headers_unread_do_not_eat_the_answer(small):
    client = small.connect()
    client.send(request("/", headers=[("X", "a" * 200_000)]))
    assert client.take_answer().status == 431


@pytest.mark.parametrize("sent", [b"", b"GET ", GOOD[:-1]], ids=["nothing", "a little", "all but a byte"])
def test_408(start, echo_url, sent):
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        timeouts: {{handshake: {ms(150)}}}
        routes: {{target: "{echo_url}"}}
        """
    )
    client = gateway.connect()
    client.send(sent)
    refused(client, client.take_answer(), 408)
    refusal_logged(gateway, client, 408)


def test_408_is_absolute(start, echo_url):
    """A byte now and then does not prolong it."""
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        timeouts: {{handshake: {ms(200)}}}
        routes: {{target: "{echo_url}"}}
        """
    )
    client = gateway.connect()
    client.raw.settimeout(0.02)
    client.send(b"GET / HTTP/1.1\r\nX: ")
    sent = 0
    while True:
        try:
            client.buf += client.raw.recv(1000)
            break
        except TimeoutError:
            client.send(b"a")
            sent += 1
            assert sent < 2000
    client.raw.settimeout(10)
    assert client.take_answer().status == 408


def test_426_plain_get(gateway):
    client = gateway.connect()
    refused(client, client.ask(request("/echo", upgrade=False)), 426, upgrade="websocket")
    refusal_logged(gateway, client, 426, path="/echo")


@pytest.mark.parametrize("name", ["Upgrade", "Connection"])
def test_426_half_an_upgrade(gateway, name):
    client = gateway.connect()
    refused(client, client.ask(request("/echo", drop=[name])), 426, upgrade="websocket")


@pytest.mark.parametrize("version", ["8", "12", "14", "0", "113"])
def test_426_version(gateway, version):
    client = gateway.connect()
    data = request("/echo", drop=["Sec-WebSocket-Version"], headers=[("Sec-WebSocket-Version", version)])
    refused(client, client.ask(data), 426, sec_websocket_version="13")
    refusal_logged(gateway, client, 426)


NO_ROUTE = {
    "421": (421, request("/strict", host="other.test")),
    "404": (404, request("/nowhere")),
    "403 address": (403, request("/far")),
    "403 origin": (403, request("/near", headers=[("Origin", "https://evil.example")])),
    "400 subprotocol": (400, request("/strict", headers=[("Sec-WebSocket-Protocol", "that")])),
    "400 no subprotocol": (400, request("/strict")),
}


@pytest.mark.parametrize("what", NO_ROUTE)
def test_no_route(start, echo_url, what):
    # Without a route for any host, so that 421 can be.
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        routes:
          - {{host: localhost, path: /near, target: "{echo_url}"}}
          - {{host: localhost, path: /far, from: 192.0.2.0/24, target: "{echo_url}"}}
          - {{host: localhost, path: /strict, subprotocol: this, target: "{echo_url}"}}
        """
    )
    status, data = NO_ROUTE[what]
    client = gateway.connect()
    refused(client, client.ask(data), status)
    event = refusal_logged(gateway, client, status)
    assert event["host"] in ("localhost", "other.test")
    assert event["path"] == data.split()[1].decode()
    if what == "403 origin":
        assert event["origin"] == "https://evil.example"


@pytest.mark.parametrize("on_unreachable", ["http", "close"])
@pytest.mark.parametrize("limit", ["gateway", "route"])
def test_503(start, echo_url, limit, on_unreachable):
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        limits: {{sessions: {1 if limit == "gateway" else 10}}}
        routes:
          - {{on_unreachable: {on_unreachable}, limits: {{sessions: {1 if limit == "route" else "off"}}},
             target: "{echo_url}"}}
        """
    )
    first = gateway.connect().upgrade()
    client = gateway.connect()
    answer = client.ask(request())
    refused(client, answer, 503)
    assert int(answer.fields["retry-after"]) > 0
    refusal_logged(gateway, client, 503, path="/")
    first.send_close(1000)
    first.take_closing()
    first.close()
    gateway.session_end(first)
    gateway.connect().upgrade()


def unreachable_gateway(start, url, more=""):
    return start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        routes: {{on_unreachable: http, {more} target: "{url}"}}
        """
    )


def test_502_refused(start, keep):
    gateway = unreachable_gateway(start, keep(Refusing()).url)
    client = gateway.connect()
    refused(client, client.ask(request()), 502)
    refusal_logged(gateway, client, 502, path="/", host="localhost")


def test_502_unreachable(start, tmp_path):
    gateway = unreachable_gateway(start, f"unix:{tmp_path}/nobody")
    client = gateway.connect()
    refused(client, client.ask(request()), 502)
    refusal_logged(gateway, client, 502)


def test_502_no_such_name(start):
    gateway = unreachable_gateway(start, "tcp://nosuch.invalid:80")
    client = gateway.connect()
    refused(client, client.ask(request()), 502)
    refusal_logged(gateway, client, 502)


def test_502_target_speaks_no_tls(start, target):
    def greet(stream):
        stream.send(b"SSH-2.0-this-is-not-tls\r\n")
        stream.take_rest()

    server = target().serve(greet)
    gateway = unreachable_gateway(start, server.url.replace("tcp:", "tls:"))
    client = gateway.connect()
    refused(client, client.ask(request()), 502)
    refusal_logged(gateway, client, 502)


def test_502_target_not_verified(start, target, serving_tls):
    server = target(tls=serving_tls()).serve(echo)
    gateway = unreachable_gateway(start, server.url)
    client = gateway.connect()
    refused(client, client.ask(request()), 502)
    refusal_logged(gateway, client, 502)


@pytest.mark.parametrize("phase", ["connect", "tls"])
def test_504(start, keep, target, phase):
    url = keep(FullBacklog()).url if phase == "connect" else target().url.replace("tcp:", "tls:")
    gateway = unreachable_gateway(start, url, f"timeouts: {{connect: {ms(200)}}},")
    client = gateway.connect()
    refused(client, client.ask(request()), 504)
    refusal_logged(gateway, client, 504)


def test_on_unreachable_http_relays_where_the_target_is_there(start, echo_url):
    gateway = unreachable_gateway(start, echo_url)
    client = gateway.connect().upgrade()
    client.send_binary(b"there")
    assert client.take_payload(5) == b"there"


GOOD_ONES = {
    "as browsers": GOOD,
    "lower-case names": GOOD.replace(b"Upgrade: ", b"upgrade: ").replace(b"Host", b"host"),
    "tokens in lists": GOOD.replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),
    "other case of the tokens": GOOD.replace(b"websocket", b"WebSocket").replace(b": Upgrade", b": UPGRADE"),
    "white space around values": GOOD.replace(b"Host: localhost", b"Host: \t localhost \t"),
    "no white space": GOOD.replace(b": ", b":"),
    "a query": GOOD.replace(b"/echo", b"/echo?a=b/c"),
    "an escaped letter": GOOD.replace(b"/echo", b"/%65cho"),
    "a Host with a port": GOOD.replace(b"localhost", b"localhost:8080"),
    "an upper-case Host": GOOD.replace(b"localhost", b"LOCALHOST"),
    "a Host with its final dot": GOOD.replace(b"localhost", b"localhost."),
    "extensions offered": request("/echo", headers=[("Sec-WebSocket-Extensions", "permessage-deflate")] * 2),
    "bytes above ASCII in a value": request("/echo", headers=[b"X-A: \xc3\xa4\xff"]),
}


@pytest.mark.parametrize("what", GOOD_ONES)
def test_101(gateway, what):
    client = gateway.connect()
    answer = client.ask(GOOD_ONES[what])
    assert answer.status == 101
    # RFC 6455 1.3's example
    assert answer.fields["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert "sec-websocket-extensions" not in answer.fields
    assert "content-length" not in answer.fields
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"


def in_two(client, data, at):
    client.send(data[:at])
    until_read(client.sock)
    client.send(data[at:])


@pytest.mark.parametrize("part", range(8))
def test_101_cut_at_every_byte(gateway, part):
    data = request("/echo")
    for at in range(1 + part, len(data), 8):
        with gateway.connect() as client:
            in_two(client, data, at)
            assert client.take_answer().status == 101, at


def test_101_byte_by_byte(gateway):
    client = gateway.connect()
    for byte in GOOD:
        client.send(bytes([byte]))
        until_read(client.sock)
    assert client.take_answer().status == 101


@pytest.mark.parametrize(
    "what, status", [("no Host", 400), ("two keys", 400), ("a folded line", 400), ("a bare CR in a value", 400)]
)
def test_refusals_cut_at_every_byte(gateway, what, status):
    """Whole or in two: the same verdict. The bytes behind the fault may find the connection ended."""
    data = BAD[what]
    for at in range(1, len(data)):
        with gateway.connect() as client:
            try:
                in_two(client, data, at)
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert client.take_answer().status == status, at


def test_frames_directly_behind_the_request(gateway):
    """A client that cannot wait for the 101 loses nothing."""
    client = gateway.connect()
    client.send(GOOD + frame(BINARY, b"early"))
    assert client.take_answer().status == 101
    assert client.take_payload(5) == b"early"
