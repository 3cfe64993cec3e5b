"""Who the client is where proxies stand in front: PROXY headers and X-Forwarded-For, from whom they count and
from whom not."""

import socket
import ssl
import struct

import pytest
from lib.checks import refused
from lib.stream import FIN, RST, tell_ragged
from lib.target import echo
from lib.wait import until
from lib.ws import Client, request

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ANN = "192.0.2.7"  # may come, below
BOB = "203.0.113.9"  # may not


def v1(source=ANN, port=5000):
    family, to = (6, "::1") if ":" in source else (4, "10.0.0.1")
    return f"PROXY TCP{family} {source} {to} {port} 443\r\n".encode()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def v2(source=ANN, port=5000, *, command=0x21, tlvs=b"", checksum=False):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    body = socket.inet_pton(family, source) + socket.inet_pton(family, "::1" if ":" in source else "10.0.0.1")
    body += struct.pack("!HH", port, 443) + tlvs + (b"\x03\0\4\0\0\0\0" if checksum else b"")
    header = SIGNATURE + bytes([command, 0x21 if ":" in source else 0x11]) + struct.pack("!H", len(body)) + body
    return header[:-4] + struct.pack("!I", crc32c(header)) if checksum else header


LOCAL = SIGNATURE + b"\x20\0\0\0"
GOOD = {
    "v1": v1(),
    "v2": v2(),
    "v2-checksum": v2(tlvs=b"\x02\0\x01a\x05\0\x02id", checksum=True),
    "v2-long": v2(tlvs=b"\x04\x0f\x00" + bytes(3840)),
}


class Front:
    """A gateway behind proxies; 127.0.0.1, from where the tests come, is one where `trusted` says so."""

    def __init__(self, start, scheme, certs, trust):
        self.start_gateway = start
        self.certs = certs
        self.tls = trust if scheme == "wss" else None
        self.gateway = None

    def start(self, url, *, trusted="127.0.0.0/8", proxy="require", poller="auto", address="127.0.0.1:0", more=""):
        tls = f'tls: {{certificates: {{cert: "{self.certs}/server.crt", key: "{self.certs}/server.key"}}}}'
        self.gateway = self.start_gateway(
            f"""
            poller: {poller}
            listen:
              - address: "{address}"
                proxy_protocol: {proxy}
                trusted_proxies: [{trusted}]
                {tls if self.tls else ""}
            routes:
              - {{name: files, path: /www/*, from: [{ANN}, "2001:db8::/32"], files: .}}
              - {{name: desk, from: [{ANN}, "2001:db8::/32"], target: "{url}"}}
            {more}
            """
        )
        return self.gateway

    def come(self, *pieces):
        """A connection on which the pieces are sent before TLS and all else."""
        client = self.gateway.connect()
        for piece in pieces:
            client.send(piece)
        if self.tls:
            plain = client
            sock = tell_ragged(self.tls).wrap_socket(plain.sock, server_hostname="localhost", suppress_ragged_eofs=False)
            plain.raw.close()
            client = Client(sock)
            self.gateway.clients.append(client)
        return client


@pytest.fixture
def front(start, scheme, certs, trust):
    return Front(start, scheme, certs, trust)


@pytest.fixture
def plain_front(start, certs, trust):
    return Front(start, "ws", certs, trust)


def send_to_a_closed_door(client, data):
    """It may be closed already, or only then. A reset is told once: behind it a read says that all is over."""
    try:
        client.send(data)
    except (ConnectionResetError, BrokenPipeError):
        client.ended = RST


def relays(client, n=100_000):
    data = bytes(range(250)) * (n // 250)
    client.send_binary(data)
    assert client.take_payload(len(data)) == data
    client.send_close(1000)
    client.take_closing()
    client.close()


@pytest.mark.parametrize("form", GOOD)
def test_header(front, target, poller, form):
    gateway = front.start(target().serve(echo).url, poller=poller)
    relays(front.come(GOOD[form]).upgrade())
    event = gateway.wait_event("session_end")
    assert (event["client"], event["cause"]) == (f"{ANN}:5000", "client_close")


def test_header_of_ipv6(front, target):
    gateway = front.start(target().serve(echo).url)
    for count, header in enumerate((v1("2001:db8::7"), v2("2001:db8::7", 6000)), 1):
        relays(front.come(header).upgrade())
        assert gateway.wait_event("session_end", count)["client"].startswith("[2001:db8::7]:")


@pytest.mark.parametrize("form", ["v1", "v2-checksum"])
def test_header_in_two_pieces(front, target, poller, form):
    """The connection goes on as if the header had come at once, wherever it is cut."""
    gateway = front.start(target().url, poller=poller)
    header = GOOD[form]
    for cut in range(1, len(header)):
        client = front.come(header[:cut], header[cut:])
        refused(client, client.ask(request(upgrade=False)), 426)
        client.close()
    gateway.wait_event("request_refused", len(header) - 1, client=f"{ANN}:5000", status=426)
    assert not gateway.events("proxy_refused")


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_header_byte_by_byte(front, target, poller, form):
    gateway = front.start(target().serve(echo).url, poller=poller)
    header = GOOD[form]
    relays(front.come(*(header[at : at + 1] for at in range(len(header)))).upgrade())
    assert gateway.wait_event("session_end")["client"] == f"{ANN}:5000"


def test_header_with_the_request_behind_it(plain_front, target, poller):
    gateway = plain_front.start(target().url, poller=poller)
    client = plain_front.come(v1() + request(upgrade=False))
    refused(client, client.take_answer(), 426)
    gateway.wait_event("request_refused", client=f"{ANN}:5000")


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_header_with_tls_behind_it(start, certs, trust, target, poller, form):
    """In one segment: not a byte of the ClientHello may be taken with the header."""
    front = Front(start, "wss", certs, trust)
    gateway = front.start(target().url, poller=poller)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    client = gateway.connect()
    client.send(GOOD[form] + outgoing.read())
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            assert client.fill(), client.ended
            incoming.write(bytes(client.buf))
            client.buf.clear()
    tls.write(request(upgrade=False))
    client.send(outgoing.read())
    gateway.wait_event("request_refused", client=f"{ANN}:5000", status=426)


def test_the_rules_judge_the_client_that_the_header_names(front, target):
    gateway = front.start(target().serve(echo).url)
    client = front.come(v2(BOB))
    refused(client, client.ask(request()), 403)
    gateway.wait_event("request_refused", client=f"{BOB}:5000", status=403)
    relays(front.come(v2(ANN)).upgrade())


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ::1 ::1 1 2\r\n"])
def test_the_proxys_own_connection(front, target, header):
    """Such as its health check: it is its own client."""
    gateway = front.start(target().url)
    client = front.come(header)
    refused(client, client.ask(request()), 403)
    assert gateway.wait_event("request_refused", status=403)["client"].startswith("127.0.0.1:")


BAD = {
    "none": (b"GET / HTTP/1.1\r\n", "there is no PROXY header"),
    "tls": (b"\x16\x03\x01\x02\x00", "there is no PROXY header"),
    "v1-port": (b"PROXY TCP4 192.0.2.7 10.0.0.1 70000 443\r\n", "PROXY header has a bad port"),
    "v1-address": (b"PROXY TCP4 192.0.2 10.0.0.1 7 443\r\n", "PROXY header has a bad address"),
    "v1-line": (b"PROXY TCP4 192.0.2.7 10.0.0.1 7 443\n", "PROXY header does not end in CRLF"),
    "v1-long": (b"PROXY UNKNOWN " + b"x" * 93, "PROXY header is over 107 bytes"),
    "v2-command": (v2(command=0x22), "PROXY header is not of version 2, LOCAL or PROXY"),
    "v2-long": (SIGNATURE + b"\x21\x11\xff\xff", "PROXY header is over 4096 bytes"),
    "v2-tlv": (v2(tlvs=b"\x02\0\x09abc"), "PROXY header has a TLV that goes beyond it"),
    "v2-checksum": (v2(tlvs=b"\x03\0\4abcd"), "PROXY header has another checksum than it says"),
}


@pytest.mark.parametrize("form", BAD)
def test_bad_header(start, certs, trust, scheme, target, form):
    front = Front(start, scheme, certs, trust)
    gateway = front.start(target().url)
    header, reason = BAD[form]
    client = gateway.connect()
    client.send(header)
    assert client.take_rest() == (b"", RST)
    event = gateway.wait_event("proxy_refused", client=client.name)
    assert (event["reason"], event["listener"]) == (reason, gateway.addresses[0])
    assert not gateway.events("request_refused") and not gateway.events("tls_failed")


def test_header_that_does_not_come(front, target, poller):
    gateway = front.start(target().url, poller=poller, more="timeouts: {handshake: 300ms}")
    client = gateway.connect()
    send_to_a_closed_door(client, b"PROXY TCP4")
    assert client.take_rest() == (b"", RST)
    gateway.wait_event("proxy_refused", client=client.name, reason="PROXY header was not complete in time")


def test_somebody_looks_whether_we_listen(plain_front, target):
    gateway = plain_front.start(target().url)
    gateway.connect().close()
    client = gateway.connect()
    client.send(b"PROXY")
    client.end_writing()
    assert client.take_rest()[0] == b""
    gateway.wait_event("proxy_refused", reason="connection ended within its PROXY header")
    assert len(gateway.events("proxy_refused")) == 1


def connect_to_a_closed_door(gateway):
    """None where the RST came before connect(2) returned."""
    try:
        return gateway.connect()
    except ConnectionResetError:
        return None


def test_a_header_from_who_is_not_trusted(front, target, poller):
    """Neither the client that it names nor itself is served."""
    gateway = front.start(target().url, trusted="10.0.0.0/8", poller=poller)
    client = until(lambda: connect_to_a_closed_door(gateway))
    send_to_a_closed_door(client, v1())
    assert client.take_rest() == (b"", RST)
    event = gateway.wait_event("proxy_refused", client=client.name)
    assert "trusted_proxies" in event["reason"]


def test_a_header_where_none_is_taken(front, target):
    """Without `proxy_protocol` it is no request, from a trusted proxy either."""
    gateway = front.start(target().url, proxy="off")
    client = gateway.connect()
    client.send(v1())
    client.take_rest()
    event = gateway.wait_event("tls_failed" if front.tls else "request_refused", client=client.name)
    assert event["reason"]


# X-Forwarded-For


def forwarded(*values):
    return [("X-Forwarded-For", value) for value in values]


@pytest.mark.parametrize(
    "values, client",
    [
        ([ANN], ANN),
        ([f"{ANN}:5000"], f"{ANN}:5000"),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:db8::7]:5000"], "[2001:db8::7]:5000"),
        ([f"{BOB}, {ANN}"], ANN),
        ([f"rubbish, {ANN}, 127.0.0.2"], ANN),
        ([BOB, ANN, "127.0.0.2, 127.0.0.3"], ANN),
    ],
)
def test_forwarded(front, target, values, client):
    gateway = front.start(target().serve(echo).url, proxy="off")
    relays(front.come().upgrade(headers=forwarded(*values)))
    assert gateway.wait_event("session_end")["client"] == client


def test_forwarded_for_one_who_may_not(front, target):
    gateway = front.start(target().url, proxy="off")
    for values in ([BOB], [f"{ANN}, {BOB}"], [ANN, BOB, "127.0.0.2"]):
        client = front.come()
        refused(client, client.ask(request(headers=forwarded(*values))), 403)
    gateway.wait_event("request_refused", 3, client=BOB, status=403)


def test_forwarded_that_is_none(front, target):
    gateway = front.start(target().url, proxy="off")
    client = front.come()
    refused(client, client.ask(request(headers=forwarded(f"{ANN}, unknown, 127.0.0.2"))), 400)
    event = gateway.wait_event("request_refused", status=400)
    assert "X-Forwarded-For" in event["reason"] and event["client"].startswith("127.0.0.1:")


def test_forwarded_by_who_is_not_trusted(front, target):
    gateway = front.start(target().url, proxy="off", trusted="10.0.0.0/8")
    for value in (ANN, f"{ANN}, 10.0.0.1", "rubbish"):
        client = front.come()
        refused(client, client.ask(request(headers=forwarded(value))), 403)
    events = [gateway.wait_event("request_refused", count, status=403) for count in (1, 2, 3)]
    assert all(event["client"].startswith("127.0.0.1:") for event in events)


def test_forwarded_behind_a_header(front, target):
    """A proxy in front of the proxy counts where the header names one that is trusted."""
    gateway = front.start(target().serve(echo).url)
    relays(front.come(v2("127.0.0.9")).upgrade(headers=forwarded(ANN)))
    assert gateway.wait_event("session_end")["client"] == ANN
    client = front.come(v2(BOB))
    refused(client, client.ask(request(headers=forwarded(ANN))), 403)
    gateway.wait_event("request_refused", client=f"{BOB}:5000", status=403)


def test_each_request_of_a_connection_has_its_own_client(front, target):
    gateway = front.start(target().url, proxy="off")
    (gateway.folder / "a.txt").write_text("hello")
    client = front.come()
    for _ in range(2):
        answer = client.ask(request("/www/a.txt", upgrade=False, headers=forwarded(ANN)))
        assert (answer.status, answer.body) == (200, b"hello")
    client.send(request("/www/a.txt", upgrade=False, headers=forwarded(ANN)) + request("/www/a.txt", upgrade=False))
    assert client.take_answer().status == 200
    refused(client, client.take_answer(), 403)
    assert gateway.wait_event("request_refused", status=403)["client"].startswith("127.0.0.1:")


def test_a_bad_request_is_not_told_of_the_client_before(plain_front, target):
    gateway = plain_front.start(target().url, proxy="off")
    (gateway.folder / "a.txt").write_text("hello")
    client = plain_front.come()
    assert client.ask(request("/www/a.txt", upgrade=False, headers=forwarded(ANN))).status == 200
    refused(client, client.ask(b"GET\r\n\r\n"), 400)
    assert gateway.wait_event("request_refused", status=400)["client"] == client.name


# Unix sockets


def test_unix_listener(plain_front, target, tmp_path):
    url = target().serve(echo).url
    gateway = plain_front.start(url, proxy="off", trusted='"unix:"', address=f"unix:{tmp_path}/s")
    relays(plain_front.come().upgrade(headers=forwarded(f"{BOB}, {ANN}")))
    assert gateway.wait_event("session_end")["client"] == ANN
    client = plain_front.come()
    refused(client, client.ask(request(headers=forwarded(BOB))), 403)
    gateway.wait_event("request_refused", client=BOB)
    client = plain_front.come()  # it says of nobody: of no address, and `from` asks for one
    refused(client, client.ask(request()), 403)
    gateway.wait_event("request_refused", client="unix")


def test_unix_listener_that_trusts_nobody(plain_front, target, tmp_path):
    gateway = plain_front.start(target().url, proxy="off", address=f"unix:{tmp_path}/s")
    client = plain_front.come()
    refused(client, client.ask(request(headers=forwarded(ANN))), 403)
    gateway.wait_event("request_refused", client="unix")


def test_unix_listener_with_headers(front, target, tmp_path, poller):
    url = target().serve(echo).url
    gateway = front.start(url, trusted='"unix:"', address=f"unix:{tmp_path}/s", poller=poller)
    header = v2(checksum=True)
    relays(front.come(*(header[at : at + 1] for at in range(len(header)))).upgrade())
    assert gateway.wait_event("session_end")["client"] == f"{ANN}:5000"
    client = gateway.connect()
    client.send(b"PROXY UDP4\r\n")
    data, end = client.take_rest()
    assert data == b"" and end in (RST, FIN)  # a unix socket has a RST only where bytes are left unread
    gateway.wait_event("proxy_refused", client="unix")
