"""TLS on both sides: which certificate, which version, whose certificate is asked for, and of targets the same."""

import socket
import ssl
import subprocess
import threading

import pytest
from lib.checks import close_reason, logged_end
from lib.env import ms
from lib.stream import FIN
from lib.target import echo
from lib.ws import request


@pytest.fixture
def tls(start, certs, target):
    """tls(options) starts a gateway with one TLS listener before an echo; `options` stand below `tls:`."""

    def make(options="", certificates=("server",)):
        text = "".join(f'        - {{cert: "{certs}/{one}.crt", key: "{certs}/{one}.key"}}\n' for one in certificates)
        server = target().serve(echo)
        return start(
            "listen:\n"
            "  - address: 127.0.0.1:0\n"
            "    tls:\n"
            f"      certificates:\n{text}"
            f"{options}"
            f'routes:\n  - {{target: "{server.url}", origin: any}}\n'
        )

    return make


def option(key, value):
    return f"      {key}: {value}\n"


@pytest.fixture
def context(certs):
    """A fresh client's context, to be set up further."""

    def make():
        return ssl.create_default_context(cafile=certs / "ca.crt")

    return make


def common_name(client):
    return dict(pair for part in client.sock.getpeercert()["subject"] for pair in part)["commonName"]


def relays(client):
    client.upgrade()
    client.send_binary(b"over TLS")
    assert client.take_payload(8) == b"over TLS"


# Certificates


@pytest.mark.parametrize(
    "name, subject",
    [
        ("localhost", "localhost"),
        ("a.sluice.test", "localhost"),
        ("other.test", "other.test"),
        ("OTHER.test", "other.test"),
        ("x.other.test", "other.test"),
        ("127.0.0.1", "localhost"),
    ],
)
def test_sni(tls, context, name, subject):
    gateway = tls(certificates=("server", "other"))
    client = gateway.connect(tls=context(), server_name=name)
    assert common_name(client) == subject
    relays(client)


@pytest.mark.parametrize("name", [None, "unknown.test", "a.b.other.test", "other.test.evil.test"])
def test_sni_that_fits_none_gets_the_first(tls, context, name):
    gateway = tls(certificates=("other", "server"))
    loose = context()
    loose.check_hostname = False
    assert common_name(gateway.connect(tls=loose, server_name=name)) == "other.test"


@pytest.mark.parametrize("order", [("server", "server-rsa"), ("server-rsa", "server")])
@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
def test_rsa_and_ecdsa_for_the_same_names(tls, context, order, kind):
    gateway = tls(certificates=order)
    old = context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
    client = gateway.connect(tls=old)
    assert kind in client.sock.cipher()[0]
    relays(client)


# Versions


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(tls, context, version):
    gateway = tls()
    exact = context()
    exact.minimum_version = exact.maximum_version = version
    client = gateway.connect(tls=exact)
    assert client.sock.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
    assert client.sock.compression() is None
    relays(client)


def test_min_version(tls, context):
    gateway = tls(option("min_version", '"1.3"'))
    old = context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
        gateway.connect(tls=old)
    client = gateway.connect(tls=context())
    assert client.sock.version() == "TLSv1.3"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_refused(tls, context):
    gateway = tls()
    ancient = context()
    ancient.set_ciphers("ALL:@SECLEVEL=0")
    ancient.minimum_version = ssl.TLSVersion.TLSv1_1
    ancient.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
        gateway.connect(tls=ancient)


@pytest.mark.parametrize("ciphers", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"])
def test_weak_ciphers_are_refused(tls, context, ciphers):
    gateway = tls(certificates=("server", "server-rsa"))
    weak = context()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers(ciphers)
    with pytest.raises(ssl.SSLError, match="(?i)handshake.failure"):
        gateway.connect(tls=weak)


# ALPN


@pytest.mark.parametrize(
    "offered, taken", [(None, None), (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1")]
)
def test_alpn(tls, context, offered, taken):
    gateway = tls(certificates=("server", "other"))
    for name in ("localhost", "other.test"):
        one = context()
        if offered:
            one.set_alpn_protocols(offered)
        client = gateway.connect(tls=one, server_name=name)
        assert client.sock.selected_alpn_protocol() == taken
        relays(client)


def test_alpn_without_ours(tls, context):
    gateway = tls()
    h2 = context()
    h2.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        gateway.connect(tls=h2)


# Certificates of clients


def fails_without_certificate(gateway, one, server_name="localhost"):
    """In TLS 1.3 the client learns of it with its first read only."""
    with pytest.raises(ssl.SSLError, match="(?i)certificate.required|handshake.failure|unknown.ca|bad.certificate"):
        client = gateway.connect(tls=one, server_name=server_name)
        client.sock.recv(1)


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("certificates", [("server",), ("other", "server")])
@pytest.mark.parametrize("options", [option("client_auth", "require"), ""], ids=["require", "default"])
def test_client_certificate_required(tls, certs, context, version, certificates, options):
    """Also where SNI picked another certificate than the first."""
    gateway = tls(option("client_ca", f'"{certs}/ca.crt"') + options, certificates)
    one = context()
    one.maximum_version = version
    fails_without_certificate(gateway, one)
    one.load_cert_chain(certs / "client.crt", certs / "client.key")
    relays(gateway.connect(tls=one))


@pytest.mark.parametrize("certificates", [("server",), ("other", "server")])
def test_client_certificate_of_a_stranger(tls, certs, context, tmp_path, certificates):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=stranger", "-keyout", tmp_path / "s.key", "-out", tmp_path / "s.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    for auth in ("require", "optional"):
        gateway = tls(option("client_ca", f'"{certs}/ca.crt"') + option("client_auth", auth), certificates)
        one = context()
        one.load_cert_chain(tmp_path / "s.crt", tmp_path / "s.key")
        fails_without_certificate(gateway, one)


def test_client_certificate_optional(tls, certs, context):
    gateway = tls(option("client_ca", f'"{certs}/ca.crt"') + option("client_auth", "optional"))
    relays(gateway.connect(tls=context()))
    one = context()
    one.load_cert_chain(certs / "client.crt", certs / "client.key")
    relays(gateway.connect(tls=one))


def test_client_certificate_of_the_wrong_kind(tls, certs, context):
    """A server's certificate is no client's (extended key usage)."""
    gateway = tls(option("client_ca", f'"{certs}/ca.crt"'))
    one = context()
    one.load_cert_chain(certs / "other.crt", certs / "other.key")
    with pytest.raises(ssl.SSLError):
        gateway.connect(tls=one).sock.recv(1)


# Resumption


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("certificates", [("server",), ("other", "server")])
def test_resumption(tls, context, version, certificates):
    gateway = tls(certificates=certificates)
    one = context()
    one.minimum_version = one.maximum_version = version
    first = gateway.connect(tls=one)
    assert not first.sock.session_reused
    relays(first)  # in TLS 1.3 the ticket comes with the first bytes
    session = first.sock.session
    assert session.has_ticket
    second = gateway.connect(tls=one, session=session)
    assert second.sock.session_reused
    relays(second)


def test_client_certificate_behind_a_hundred_others(tls, certs, context, tmp_path):
    """Each more would be parsed and looked at while everybody else waits: refused by its length (RFC 8446 4.4.2)."""
    gateway = tls(option("client_ca", f'"{certs}/ca.crt"'))
    chain = (certs / "client.crt").read_text() + (certs / "ca.crt").read_text() * 100
    (tmp_path / "chain.crt").write_text(chain)
    one = context()
    one.load_cert_chain(tmp_path / "chain.crt", certs / "client.key")
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        gateway.connect(tls=one).sock.recv(1)
    assert gateway.wait_event("tls_failed")["reason"] == "excessive message size"
    one = context()
    one.load_cert_chain(certs / "client.crt", certs / "client.key")
    relays(gateway.connect(tls=one))


@pytest.mark.parametrize("version", VERSIONS)
def test_resumption_with_a_client_certificate(tls, certs, context, version):
    gateway = tls(option("client_ca", f'"{certs}/ca.crt"'))
    one = context()
    one.minimum_version = one.maximum_version = version
    one.load_cert_chain(certs / "client.crt", certs / "client.key")
    first = gateway.connect(tls=one)
    relays(first)
    second = gateway.connect(tls=one, session=first.sock.session)
    assert second.sock.session_reused
    relays(second)


# What is no TLS, and half of one


def test_plain_http_on_a_tls_listener(tls):
    gateway = tls()
    client = gateway.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    data, end = client.take_rest()
    assert end == FIN
    assert b"101" not in data


def test_handshake_that_does_not_come(start, certs, target):
    server = target().serve(echo)
    gateway = start(
        f"""
        listen:
          - address: 127.0.0.1:0
            tls: {{certificates: {{cert: "{certs}/server.crt", key: "{certs}/server.key"}}}}
        timeouts: {{handshake: {ms(150)}}}
        routes: {{target: "{server.url}"}}
        """
    )
    for sent in (b"", b"\x16\x03\x01"):
        client = gateway.connect()
        client.send(sent)
        assert client.take_rest()[1] == FIN


def test_handshake_byte_by_byte(tls, context):
    """TLS over BIOs, so that every byte of ours is sent alone."""
    gateway = tls()
    sock = socket.create_connection(gateway.address(), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    engine = context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with sock:
        while True:
            try:
                engine.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            for byte in outgoing.read():
                sock.send(bytes([byte]))
            if done:
                break
            incoming.write(sock.recv(16384))
        assert engine.version() == "TLSv1.3"


def test_close_notify_is_sent_before_fin(tls, context, trust):
    """take_closing insists on it."""
    gateway = tls()
    client = gateway.connect(tls=trust).upgrade()
    client.send_close(1000)
    assert client.take_closing()[1] == 1000


def test_close_notify_is_answered(tls, context):
    """A client that ends TLS without a Close is gone, and yet told that this was all (RFC 8446 6.1)."""
    gateway = tls()
    sock = socket.create_connection(gateway.address(), timeout=30)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    engine = context().wrap_bio(incoming, outgoing, server_hostname="localhost")

    def until_done(call, *args):
        while True:
            try:
                done = call(*args)
                sock.sendall(outgoing.read())
                return done
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                got = sock.recv(16384)
                assert got, "ended without close_notify"
                incoming.write(got)

    with sock:
        until_done(engine.do_handshake)
        until_done(engine.write, request("/"))
        assert until_done(engine.read, 4096).startswith(b"HTTP/1.1 101 ")
        until_done(engine.unwrap)
        assert sock.recv(1) == b""
    gateway.wait_event("session_end", cause="client_gone")


# Targets


@pytest.fixture
def to_tls(start, target, serving_tls):
    def make(options, certificate="server", context=None):
        server = target(tls=context or serving_tls(certificate)).serve(echo)
        gateway = start(
            f"""
            listen: {{address: 127.0.0.1:0}}
            routes: {{target: "{server.url}", target_tls: {{{options}}}}}
            """
        )
        return gateway

    return make


def works(gateway):
    client = gateway.connect()
    relays(client)
    big = bytes(range(256)) * 4096
    client.send_binary(big)
    assert client.take_payload(len(big)) == big


def refuses(gateway):
    client = gateway.connect().upgrade()
    got, code, reason = client.take_closing()
    assert (got, code) == (b"", 1014)
    close_reason(client, reason)
    client.close()
    logged_end(gateway, client, "target_tls", 1014, 0, 0)


def test_target_verified_by_address(to_tls, certs):
    works(to_tls(f'ca: "{certs}/ca.crt"'))


def test_target_verified_by_name(to_tls, certs):
    works(to_tls(f'ca: "{certs}/ca.crt", server_name: other.test', "other"))


def test_target_of_another_name(to_tls, certs):
    refuses(to_tls(f'ca: "{certs}/ca.crt"', "other"))
    refuses(to_tls(f'ca: "{certs}/ca.crt", server_name: another.test'))


def test_target_of_an_unknown_authority(to_tls):
    refuses(to_tls("server_name: localhost"))


def test_target_expired(to_tls, certs):
    refuses(to_tls(f'ca: "{certs}/ca.crt", server_name: localhost', "expired"))


def test_target_not_verified_at_will(to_tls):
    works(to_tls("verify: false", "expired"))


def test_target_sees_the_name(to_tls, certs, serving_tls):
    seen = []
    context = serving_tls()
    context.sni_callback = lambda _, name, __: seen.append(name)
    works(to_tls(f'ca: "{certs}/ca.crt", server_name: a.sluice.test', context=context))
    assert seen == ["a.sluice.test"]


def test_target_sees_no_name_for_an_address(to_tls, certs, serving_tls):
    """RFC 6066 3: literal addresses are not permitted."""
    seen = []
    context = serving_tls()
    context.sni_callback = lambda _, name, __: seen.append(name)
    works(to_tls(f'ca: "{certs}/ca.crt"', context=context))
    assert seen == [None]


@pytest.mark.parametrize("version", VERSIONS)
def test_target_asks_for_our_certificate(to_tls, certs, serving_tls, version):
    context = serving_tls()
    context.maximum_version = version
    context.load_verify_locations(certs / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    works(to_tls(f'ca: "{certs}/ca.crt", cert: "{certs}/client.crt", key: "{certs}/client.key"', context=context))


def test_target_asks_for_a_certificate_that_we_have_not(to_tls, certs, serving_tls):
    context = serving_tls()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(certs / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    refuses(to_tls(f'ca: "{certs}/ca.crt"', context=context))


def test_half_closes_over_tls_targets(start, target, serving_tls, certs):
    """close_notify from the target is its FIN; ours comes before our FIN."""
    server = target(tls=serving_tls())
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        routes: {{target: "{server.url}", target_tls: {{ca: "{certs}/ca.crt"}}}}
        """
    )
    accepted = []
    thread = threading.Thread(target=lambda: accepted.append(server.accept()))
    thread.start()
    client = gateway.connect().upgrade()
    thread.join()
    end = accepted[0]
    client.send_binary(b"last")
    assert end.take(4) == b"last"
    client.send_close(1000)
    assert client.take_closing()[1] == 1000
    assert end.take_rest() == (b"", FIN)

