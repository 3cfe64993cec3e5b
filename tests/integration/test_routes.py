"""Which route takes a request: the live answer, what `sluice explain` says of it, and that the two agree."""

import re
import socket

import pytest
from lib.checks import refusal_logged, refused
from lib.gateway import run_sluice
from lib.target import Target
from lib.ws import request

NAMES = ("desk", "wild", "prefix", "near", "origins", "same", "sub", "any-sub", "none-sub", "last")

# Each route has a target of its own, which greets with the route's name.
YAML = """
    listen:
      - {{address: 127.0.0.1:0}}
      - address: 127.0.0.1:0
        tls: {{certificates: {{cert: "{certs}/server.crt", key: "{certs}/server.key"}}}}
      - {{address: "[::1]:0"}}
    routes:
      - {{name: desk, host: Desk.test, path: /exact, origin: any, target: "{desk}"}}
      - {{name: wild, host: "*.wild.test", origin: any, target: "{wild}"}}
      - {{name: prefix, host: [localhost, "[::1]"], path: [/p/*, /q/r/*], target: "{prefix}"}}
      - {{name: near, host: localhost, path: /near, from: ["::1", 192.0.2.0/24], target: "{near}"}}
      - {{name: origins, host: localhost, path: /origins,
         origin: ["https://a.example", "http://b.example:8080", "https://*.c.example"], target: "{origins}"}}
      - {{name: same, host: [localhost, "sub.sluice.test"], path: /same, origin: same, target: "{same}"}}
      - {{name: sub, host: localhost, path: /sub, subprotocol: [two, one], target: "{sub}"}}
      - {{name: any-sub, host: localhost, path: /any, subprotocol: any, target: "{any-sub}"}}
      - {{name: none-sub, host: localhost, path: /none, subprotocol: none, target: "{none-sub}"}}
      - {{name: folder, host: localhost, path: /www/*, files: .}}
      - {{name: last, host: localhost, path: [/last, /sub], origin: [none, any], target: "{last}"}}
"""


@pytest.fixture(scope="module")
def gateway(start_shared, certs):
    targets = {}
    for name in NAMES:

        def greet(stream, name=name):
            stream.send(name.encode())
            stream.take_rest()
            stream.close()

        targets[name] = Target().serve(greet)
    yield start_shared(YAML.format(certs=certs, **{name: one.url for name, one in targets.items()}))
    for one in targets.values():
        one.close()


O = "Origin"
S = "Sec-WebSocket-Protocol"

# Host, path, headers, what: the name of the route and the subprotocol that it answers with, or a status.
CASES = [
    # host
    ("desk.test", "/exact", {}, "desk"),
    ("DESK.TEST", "/exact", {}, "desk"),
    ("desk.test.", "/exact", {}, "desk"),
    ("desk.test:81", "/exact", {}, "desk"),
    ("desk.tes", "/exact", {}, 421),
    ("xdesk.test", "/exact", {}, 421),
    ("a.desk.test", "/exact", {}, 421),
    ("a.wild.test", "/", {}, "wild"),
    ("A.b.WILD.test", "/x", {}, "wild"),
    ("wild.test", "/", {}, 421),
    ("awild.test", "/", {}, 421),
    ("127.0.0.1", "/last", {}, 421),
    # path
    ("desk.test", "/exact/", {}, 404),
    ("desk.test", "/Exact", {}, 404),
    ("desk.test", "/exact?q=/other", {}, "desk"),
    ("desk.test", "/%65xact", {}, "desk"),
    ("localhost", "/p/", {}, "prefix"),
    ("localhost", "/p/a/b", {}, "prefix"),
    ("localhost", "/p", {}, 404),
    ("localhost", "/pp/", {}, 404),
    ("localhost", "/q/r/s", {}, "prefix"),
    ("localhost", "/q/s", {}, 404),
    ("localhost", "/", {}, 404),
    # from
    ("localhost", "/near", {}, 403),
    # origin
    ("localhost", "/origins", {O: "https://a.example"}, "origins"),
    ("localhost", "/origins", {O: "https://A.EXAMPLE"}, "origins"),
    ("localhost", "/origins", {O: "https://a.example:443"}, "origins"),
    ("localhost", "/origins", {O: "https://a.example:444"}, 403),
    ("localhost", "/origins", {O: "http://a.example"}, 403),
    ("localhost", "/origins", {O: "http://b.example:8080"}, "origins"),
    ("localhost", "/origins", {O: "http://b.example"}, 403),
    ("localhost", "/origins", {O: "https://x.c.example"}, "origins"),
    ("localhost", "/origins", {O: "https://x.y.c.example"}, "origins"),
    ("localhost", "/origins", {O: "https://c.example"}, 403),
    ("localhost", "/origins", {O: "https://evilc.example"}, 403),
    ("localhost", "/origins", {O: "null"}, 403),
    ("localhost", "/origins", {O: "https://a.example/"}, 403),
    ("localhost", "/origins", {O: "https://u@a.example"}, 403),
    ("localhost", "/origins", {}, 403),
    ("localhost", "/same", {O: "http://localhost"}, "same"),
    ("localhost:80", "/same", {O: "http://localhost"}, "same"),
    ("localhost:8080", "/same", {O: "http://localhost:8080"}, "same"),
    ("LOCALHOST:8080", "/same", {O: "http://localhost:8080"}, "same"),
    ("localhost:8080", "/same", {O: "http://localhost"}, 403),
    ("localhost", "/same", {O: "http://localhost:8080"}, 403),
    ("localhost", "/same", {O: "http://other.test"}, 403),
    ("localhost:443", "/same", {O: "https://localhost"}, "same"),
    ("localhost:8443", "/same", {O: "https://localhost:8443"}, "same"),
    ("localhost", "/same", {O: "https://localhost"}, "same"),
    ("localhost", "/same", {O: "null"}, 403),
    ("localhost", "/same", {}, 403),
    ("localhost", "/last", {O: "null"}, "last"),
    ("localhost", "/last", {}, "last"),
    # subprotocol: the server's order; what is offered otherwise
    ("localhost", "/sub", {S: "one"}, ("sub", "one")),
    ("localhost", "/sub", {S: "one, two"}, ("sub", "two")),
    ("localhost", "/sub", {S: "three , two"}, ("sub", "two")),
    ("localhost", "/any", {S: "x, y"}, ("any-sub", "x")),
    ("localhost", "/any", {S: "x, binary"}, ("any-sub", "binary")),
    ("localhost", "/any", {}, 400),
    ("localhost", "/none", {}, "none-sub"),
    ("localhost", "/none", {S: "x"}, 400),
    # the next route takes what this one does not
    ("localhost", "/sub", {S: "three"}, ("last", "three")),
    ("localhost", "/sub", {}, "last"),
    ("localhost", "/last", {S: "x, binary"}, ("last", "binary")),
]


def case_id(case):
    return " ".join([case[0] + case[1], *(f"{k[0]}={v}" for k, v in case[2].items())])


def told_status(result):
    """The HTTP status that explain names last."""
    found = re.findall(r"\b(101|200|400|403|404|421|426)\b", result.stdout.strip().splitlines()[-1])
    assert found, result.stdout
    return int(found[0])


def told_route(result, gateway):
    """The name of the route that takes it: the last that explain names, with its line."""
    lines = gateway.file.read_text(encoding="utf-8").splitlines()
    places = re.findall(re.escape(str(gateway.file)) + r":(\d+)", result.stdout)
    assert places, result.stdout
    above = "".join(lines[: int(places[-1])])  # a route may go on in the next line
    return re.findall(r"name: ([a-z-]+)", above)[-1]


def explain(gateway, url, headers, origin_ip="127.0.0.1"):
    more = ["--from", origin_ip]
    if O in headers:
        more += ["--origin", headers[O]]
    if S in headers:
        more += ["--subprotocol", headers[S]]
    return run_sluice("explain", "-c", gateway.file, url, *more)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_live(gateway, case):
    host, path, headers, wanted = case
    client = gateway.connect()
    answer = client.ask(request(path, host, headers=headers.items()))
    if isinstance(wanted, int):
        refused(client, answer, wanted)
        event = refusal_logged(gateway, client, wanted)
        assert event["path"] == path
        assert event.get("origin", "") == headers.get(O, "")
        assert event["host"] == host
        return
    name, subprotocol = wanted if isinstance(wanted, tuple) else (wanted, None)
    assert answer.status == 101, answer
    assert answer.fields.get("sec-websocket-protocol") == subprotocol
    assert client.take_payload(len(name)) == name.encode()


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_explain_says_the_same(gateway, case):
    host, path, headers, wanted = case
    result = explain(gateway, f"ws://{host}{path}", headers)
    assert result.stderr == ""
    if isinstance(wanted, int):
        assert (result.returncode, told_status(result)) == (3, wanted), result.stdout
        return
    name, subprotocol = wanted if isinstance(wanted, tuple) else (wanted, None)
    assert (result.returncode, told_status(result)) == (0, 101), result.stdout
    assert told_route(result, gateway) == name
    assert subprotocol is None or subprotocol in result.stdout


def test_subprotocols_in_several_headers(gateway):
    client = gateway.connect()
    answer = client.ask(request("/sub", headers=[(S, "one"), (S, "two")]))
    assert (answer.status, answer.fields["sec-websocket-protocol"]) == (101, "two")


@pytest.mark.parametrize("path", ["/sub", "/any", "/none", "/last"])
@pytest.mark.parametrize("value", ["a b", "a, a", '"a"', "a/b"])
def test_subprotocols_that_are_no_tokens(gateway, path, value):
    """RFC 6455 11.3.4; an empty element is a list's own affair (RFC 9110 5.6.1) and is not tried here."""
    client = gateway.connect()
    refused(client, client.ask(request(path, headers=[(S, value)])), 400)


@pytest.mark.parametrize("on_origin, status", [("https://localhost", 101), ("http://localhost", 403)])
def test_same_origin_over_tls(gateway, trust, on_origin, status):
    """An https page may come through a listener that is plain, but no http page through one with TLS."""
    client = gateway.connect(1, tls=trust)
    answer = client.ask(request("/same", "localhost", headers=[(O, on_origin)]))
    assert answer.status == status
    result = explain(gateway, "wss://localhost/same", {O: on_origin})
    assert told_status(result) == status


def test_same_origin_over_tls_with_ports(gateway, trust):
    client = gateway.connect(1, tls=trust)
    headers = [(O, "https://sub.sluice.test:8443")]
    assert client.ask(request("/same", "sub.sluice.test:8443", headers=headers)).status == 101


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
def test_from_ipv6(gateway):
    client = gateway.connect(2).upgrade("/near")
    assert client.take_payload(4) == b"near"
    client = gateway.connect(2)
    assert client.ask(request("/p/", "[::1]:80")).status == 101
    result = explain(gateway, "ws://localhost/near", {}, origin_ip="::1")
    assert (result.returncode, told_route(result, gateway)) == (0, "near")
    result = explain(gateway, "ws://localhost/near", {}, origin_ip="192.0.2.77")
    assert (result.returncode, told_route(result, gateway)) == (0, "near")


@pytest.mark.parametrize(
    "url, code, status",
    [
        ("http://localhost/last", 0, 426),
        ("https://localhost/last", 0, 426),
        ("http://localhost/nowhere", 3, 404),
        ("http://localhost/near", 3, 403),
        ("http://nowhere.test/", 3, 421),
        ("http://localhost/origins", 0, 426),
        ("http://localhost/any", 0, 426),
    ],
)
def test_plain_get(gateway, url, code, status):
    """Neither Origin nor subprotocol is asked of a request that is no upgrade."""
    result = explain(gateway, url, {})
    assert (result.returncode, told_status(result)) == (code, status), result.stdout
    host, path = re.fullmatch(r"https?://([^/]+)(/.*)", url).groups()
    client = gateway.connect()
    assert client.ask(request(path, host, upgrade=False)).status == status


@pytest.mark.parametrize("offered", ["p1,p1", "a b", '"q"'])
def test_plain_get_with_bad_subprotocols(gateway, offered):
    """They are an upgrade's affair."""
    result = explain(gateway, "http://localhost/last", {S: offered})
    assert (result.returncode, told_status(result), result.stderr) == (0, 426, ""), result
    client = gateway.connect()
    assert client.ask(request("/last", "localhost", headers=[(S, offered)], upgrade=False)).status == 426
    result = explain(gateway, "ws://localhost/last", {S: offered})
    assert (result.returncode, result.stdout) == (2, "")


def test_explain_of_an_upgrade_where_files_are(gateway):
    """Its path fits, and that is not why."""
    result = explain(gateway, "ws://localhost/www/x", {})
    assert (result.returncode, told_status(result)) == (3, 404)
    assert ": folder: no: it has files, and takes no WebSocket upgrade\n" in result.stdout
    client = gateway.connect()
    assert client.ask(request("/www/x", "localhost")).status == 404
    result = explain(gateway, "ws://localhost/www", {})
    assert ": folder: no: path is /www, the route takes /www/*\n" in result.stdout


@pytest.mark.parametrize("path, shown", [
    ("/a%0a%1b[2J%7f", "/a%0A%1B[2J%7F"),
    ("/%c2%9b2J%9b2J%c3%a9", "/%C2%9B2J%9B2J%C3%A9"),  # CSI as U+009B, and as a byte
    ("/%2541", "/%2541"),
])  # fmt: skip
def test_explain_steers_no_terminal(gateway, path, shown):
    result = explain(gateway, f"ws://localhost{path}", {})
    assert f"no: path is {shown}, the route takes /p/*, /q/r/*\n" in result.stdout
    assert all(c == "\n" or " " <= c <= "~" for c in result.stdout)


def test_explain_of_files(gateway):
    result = explain(gateway, "http://localhost/www/x", {})
    assert result.returncode == 0
    assert told_route(result, gateway) == "folder"


def test_explain_says_why_not(gateway):
    result = explain(gateway, "ws://localhost/nowhere", {})
    assert result.returncode == 3
    for name in (*NAMES, "folder"):
        assert name in result.stdout


@pytest.mark.parametrize("url", ["", "localhost", "ftp://localhost/", "ws://", "ws://localhost:99999/", "ws:///x"])
def test_explain_bad_url(gateway, url):
    result = run_sluice("explain", "-c", gateway.file, url)
    assert result.returncode == 2
    assert result.stdout == "" and result.stderr.strip()


def test_explain_bad_from(gateway):
    result = run_sluice("explain", "-c", gateway.file, "ws://localhost/last", "--from", "300.0.0.1")
    assert result.returncode == 2 and "--from" in result.stderr


def test_first_route_wins(start, target):
    one, two = target(), target()
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        routes:
          - {{path: /a/*, target: "{one.url}"}}
          - {{target: "{two.url}"}}
        """
    )
    gateway.connect().upgrade("/a/b", host="anything.example")
    one.accept()
    gateway.connect().upgrade("/b", host="anything.example")
    two.accept()


def test_the_route_that_came_furthest_decides(start, target):
    server = target()
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        routes:
          - {{host: a.test, path: /x, subprotocol: only, target: "{server.url}"}}
          - {{host: a.test, path: /x, from: 192.0.2.1, target: "{server.url}"}}
          - {{host: b.test, target: "{server.url}"}}
        """
    )
    for host, path, status in [("a.test", "/x", 400), ("a.test", "/y", 404), ("c.test", "/x", 421)]:
        client = gateway.connect()
        assert client.ask(request(path, host)).status == status
