"""target_proxy_protocol: what a target reads of the client ahead of everything else."""

import socket
import ssl
import struct

import pytest
from lib.stream import Stream
from lib.wait import until
from lib.ws import request

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ALPN, AUTHORITY, CRC32C, UNIQUE_ID, SSL = 0x01, 0x02, 0x03, 0x05, 0x20
SSL_VERSION, SSL_CN = 0x21, 0x22


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def tlvs(data):
    found = {}
    while data:
        kind, length = struct.unpack_from("!BH", data)
        assert kind not in found and len(data) >= 3 + length
        found[kind] = data[3 : 3 + length]
        data = data[3 + length :]
    return found


def take_v1(stream):
    return stream.take_until(b"\r\n").decode("ascii")


class Header:
    """A v2 header, taken apart."""

    def __init__(self, stream):
        head = stream.take(16)
        assert head[:12] == SIGNATURE
        self.command, self.family, length = struct.unpack("!BBH", head[12:])
        body = stream.take(length)
        sizes = {0x11: 12, 0x21: 36, 0x00: 0}
        at = sizes[self.family]
        if at:
            half = (at - 4) // 2
            name = socket.AF_INET if half == 4 else socket.AF_INET6
            self.source = (socket.inet_ntop(name, body[:half]), struct.unpack_from("!H", body, 2 * half)[0])
            self.destination = (
                socket.inet_ntop(name, body[half : 2 * half]),
                struct.unpack_from("!H", body, 2 * half + 2)[0],
            )
        self.tlvs = tlvs(body[at:])
        whole = head + body
        place = whole.rindex(struct.pack("!BH", CRC32C, 4)) + 3
        zeroed = whole[:place] + bytes(4) + whole[place + 4 :]
        assert self.tlvs[CRC32C] == struct.pack("!I", crc32c(zeroed))

    def tls(self):
        """The client's bits, whether it was verified, and what stands below."""
        client, verify = struct.unpack_from("!BI", self.tlvs[SSL])
        return client, verify, tlvs(self.tlvs[SSL][5:])


def raw_accept(server):
    """The connection below TLS."""
    context, server.tls = server.tls, None
    stream = server.accept()
    server.tls = context
    return stream


def wrapped(server, stream):
    """TLS over a connection of which the header was taken, and not a byte more."""
    assert not stream.buf
    stream.sock.settimeout(20)
    return Stream(server.tls.wrap_socket(stream.sock, server_side=True))


def exact_head(stream, n):
    """`n` bytes without reading further, so that TLS can begin behind them."""
    data = b""
    while len(data) < n:
        data += stream.sock.recv(n - len(data))
    stream.buf += data


def talk(client, stream):
    client.send_binary(b"up")
    assert stream.take(2) == b"up"
    stream.send(b"down")
    assert client.take_payload(4) == b"down"


def here(client):
    return client.raw.getsockname()[:2]


def there(client):
    return client.raw.getpeername()[:2]


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])
def test_v1(relay, target, serving_tls, tmp_path, kind):
    server = target(tmp_path / "t.sock") if kind == "unix" else target(tls=serving_tls() if kind == "tls" else None)
    relay.start(
        f'- {{target: "{server.url}", target_proxy_protocol: v1'
        + (f", target_tls: {{ca: {relay.certs}/ca.crt}}}}" if kind == "tls" else "}")
    )
    client = relay.connect()
    expected = "PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (here(client)[1], there(client)[1])
    if kind == "tls":
        client.send(request())
        stream = raw_accept(server)
        exact_head(stream, len(expected))
        assert take_v1(stream) == expected
        stream = wrapped(server, stream)
        client.take_until(b"\r\n\r\n")
    else:
        client.upgrade()
        stream = server.accept()
        assert take_v1(stream) == expected
    talk(client, stream)


def test_v2(relay, target):
    server = target()
    gateway = relay.start(f'- {{target: "{server.url}", target_proxy_protocol: v2}}')
    client = relay.open()
    stream = server.accept()
    header = Header(stream)
    assert (header.command, header.family) == (0x21, 0x11)
    assert (header.source, header.destination) == (here(client), there(client))
    if relay.tls:
        assert header.tlvs[AUTHORITY] == b"localhost"
        bits, verify, below = header.tls()
        assert (bits, verify != 0) == (1, True)
        assert below == {SSL_VERSION: b"TLSv1.3"}
    else:
        assert AUTHORITY not in header.tlvs and SSL not in header.tlvs
    talk(client, stream)
    client.send_close(1000)
    client.take_closing()
    assert header.tlvs[UNIQUE_ID].decode() == gateway.session_end(client)["id"]


def client_context(certs, version=None, own=True):
    context = ssl.create_default_context(cafile=certs / "ca.crt")
    if version:
        context.maximum_version = version
    if own:
        context.load_cert_chain(certs / "client.crt", certs / "client.key")
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_v2_tells_of_the_certificate(start, target, certs, version):
    server = target()
    gateway = start(
        f"""
        listen:
          address: 127.0.0.1:0
          tls:
            certificates: {{cert: {certs}/server.crt, key: {certs}/server.key}}
            client_ca: {certs}/ca.crt
            client_auth: optional
        routes: [{{target: "{server.url}", target_proxy_protocol: v2}}]
        """
    )
    told = {ssl.TLSVersion.TLSv1_2: b"TLSv1.2", ssl.TLSVersion.TLSv1_3: b"TLSv1.3"}[version]
    context = client_context(certs, version)
    client = gateway.connect(tls=context, server_name="desk.sluice.test").upgrade()
    own = subject_name(certs)
    stream = server.accept()
    header = Header(stream)
    bits, verify, below = header.tls()
    assert (bits, verify) == (7, 0)
    assert below == {SSL_VERSION: told, SSL_CN: own}
    assert header.tlvs[AUTHORITY] == b"desk.sluice.test"
    talk(client, stream)

    # On a resumed session the certificate is that of the first one, and not of this connection.
    again = gateway.connect(tls=context, server_name="desk.sluice.test", session=client.sock.session).upgrade()
    assert again.sock.session_reused
    bits, verify, below = Header(server.accept()).tls()
    assert (bits, verify) == (5, 0)
    assert below == {SSL_VERSION: told, SSL_CN: own}

    without = gateway.connect(tls=client_context(certs, version, own=False)).upgrade()
    bits, _, below = Header(server.accept()).tls()
    assert bits == 1 and SSL_CN not in below
    without.close()


def subject_name(certs):
    # pylint: disable=protected-access
    subject = ssl._ssl._test_decode_cert(str(certs / "client.crt"))["subject"]
    return dict(pair for part in subject for pair in part)["commonName"].encode()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_unix_client(start, target, tmp_path, version):
    server = target()
    gateway = start(
        f"""
        listen: {{address: "unix:{tmp_path}/in.sock"}}
        routes: [{{target: "{server.url}", target_proxy_protocol: {version}}}]
        """
    )
    client = gateway.connect().upgrade()
    stream = server.accept()
    if version == "v1":
        assert take_v1(stream) == "PROXY UNKNOWN\r\n"
    else:
        header = Header(stream)
        assert (header.command, header.family) == (0x20, 0x00)
    talk(client, stream)


def test_ipv6(start, target):
    server = target()
    try:
        gateway = start(
            f"""
            listen: {{address: "[::1]:0"}}
            routes: [{{target: "{server.url}", target_proxy_protocol: v2}}]
            """
        )
    except AssertionError:
        pytest.skip("no IPv6 here")
    client = gateway.connect().upgrade()
    header = Header(server.accept())
    assert header.family == 0x21
    assert (header.source, header.destination) == (here(client), there(client))


def test_each_target_that_is_tried_hears_of_it(plain, target, keep):
    """The header is the connection's: what goes to the next target is whole again."""
    servers = [target(), target()]
    gone = servers[0].url
    servers[0].close()
    gateway = plain.start(f'- {{target: ["{gone}", "{servers[1].url}"], target_proxy_protocol: v1}}')
    client = plain.open()
    stream = servers[1].accept()
    assert take_v1(stream).startswith("PROXY TCP4 127.0.0.1 ")
    talk(client, stream)
    until(lambda: gateway.events("target_failed"))
