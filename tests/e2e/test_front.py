"""HAProxy and nginx in front: the files of contrib/haproxy and contrib/nginx, run with a gateway behind them.

Clients have addresses of their own (127.0.0.2 and on), so that one sees whose address arrives.
"""

import asyncio
import signal
import socket
import ssl
import struct
from contextlib import ExitStack, asynccontextmanager

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatusCode
from websockets.legacy.client import connect

from parts import targets
from parts.gateway import ROOT, Gateway
from parts.program import PATIENCE_S, Program, free_port, wait_until

PACKAGES = {"haproxy": "haproxy", "nginx": "nginx-light"}

NAME = "desk.sluice.test"
LET_IN = "127.0.0.2"
SHUT_OUT = "127.0.0.3"


def rewritten(file, *pairs):
    """A file of contrib/ with what is of its machine replaced by what is of this test; each has to be there."""
    text = (ROOT / "contrib" / file).read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text, f"{file} has no {old!r}"
        text = text.replace(old, str(new))
    return text


def of_gateway(target, admin=None):
    """Only one client address is let in, once at a time."""
    pairs = [
        ("tcp://127.0.0.1:5900", f"tcp://127.0.0.1:{target.port}"),
        ("path: /vnc", f"path: /vnc\n    from: {LET_IN}"),
        ("sessions_per_client: 20", "sessions_per_client: 1"),
    ]
    if admin:
        pairs.append(("127.0.0.1:9901", f"127.0.0.1:{admin}"))
    return pairs


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Front:
    def __init__(self, gateway, program, port, trusted):
        self.gateway = gateway
        self.program = program
        self.port = port
        self.tls = ssl.create_default_context(cafile=trusted)

    @asynccontextmanager
    async def session(self, source=LET_IN, headers=None):
        async with connect(
            f"wss://{NAME}:{self.port}/vnc", host="127.0.0.1", ssl=self.tls, server_hostname=NAME,
            local_addr=(source, 0), extra_headers=headers or {}, compression=None,
        ) as ws:
            yield ws

    async def status(self, **options):
        """What refuses a session."""
        with pytest.raises(InvalidStatusCode) as refusal:
            async with self.session(**options):
                pass
        return refusal.value.status_code


def run(awaitable):
    return asyncio.run(asyncio.wait_for(awaitable, PATIENCE_S))


def haproxy(stack, tmp_path, certs, kind):
    target = stack.enter_context(targets.Target(targets.echo))
    port, back, admin = free_port(), free_port(), free_port()
    pairs = of_gateway(target, admin)
    pairs.append(("trusted_proxies: [127.0.0.0/8]", "trusted_proxies: [127.0.0.1]"))
    if kind == "proxy-v2":
        pairs.append(("127.0.0.1:8080", f"127.0.0.1:{back}"))
        ours = [("/etc/haproxy/sluice.pem", tmp_path / "sluice.pem"), ("127.0.0.1:8080", f"127.0.0.1:{back}")]
    else:
        pairs += [("127.0.0.1:8443", f"127.0.0.1:{back}"), ("desk.example.com", NAME)]
        pairs += [("server.crt", certs / "server.crt"), ("server.key", certs / "server.key")]
        ours = [("desk.example.com", NAME), ("127.0.0.1:8443", f"127.0.0.1:{back}")]
    gateway = stack.enter_context(Gateway(tmp_path, rewritten(f"haproxy/sluice-{kind}.yaml", *pairs)))
    (tmp_path / "sluice.pem").write_bytes(
        (certs / "server.crt").read_bytes() + (certs / "server.key").read_bytes()
    )
    file = tmp_path / "haproxy.cfg"
    file.write_text(rewritten(f"haproxy/{kind}.cfg", ("bind :443", f"bind 127.0.0.1:{port}"),
                              ("port 9901", f"port {admin}"), ("maxconn 20000", "maxconn 200"), *ours))
    program = stack.enter_context(Program(["haproxy", "-db", "-f", file]))
    wait_until(lambda: listens(port), "HAProxy to listen")
    return Front(gateway, program, port, certs / "ca.crt")


NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
user root;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/sluice.conf;
}}
"""


def nginx(stack, tmp_path, certs, _kind):
    target = stack.enter_context(targets.Target(targets.echo))
    port, path = free_port(), tmp_path / "http"
    gateway = stack.enter_context(
        Gateway(tmp_path, rewritten("nginx/sluice.yaml", ("/run/sluice/http", path), *of_gateway(target)))
    )
    (tmp_path / "sluice.conf").write_text(
        rewritten(
            "nginx/sluice.conf", ("listen 443", f"listen 127.0.0.1:{port}"), ("listen [::]:443 ssl;", ""),
            ("desk.example.com", NAME), ("/run/sluice/http", path),
            ("/etc/nginx/sluice.crt", certs / "server.crt"), ("/etc/nginx/sluice.key", certs / "server.key"),
        )
    )
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path))
    program = stack.enter_context(Program(["nginx", "-p", tmp_path, "-e", "stderr", "-c", tmp_path / "nginx.conf"]))
    wait_until(lambda: listens(port), "nginx to listen")
    return Front(gateway, program, port, certs / "ca.crt")


FRONTS = {"haproxy proxy-v2": haproxy, "haproxy tls-passthrough": haproxy, "nginx": nginx}


@pytest.fixture(params=FRONTS)
def front(request, tmp_path, certs):
    with ExitStack() as stack:
        yield FRONTS[request.param](stack, tmp_path, certs, request.param.partition(" ")[2])


async def echoed(ws, data):
    await ws.send(data)
    got = b""
    while len(got) < len(data):
        got += await ws.recv()
    return got


def test_the_true_client_is_seen(front):
    """In the log, by `from`, and by the limits of a client."""

    async def script():
        data = bytes(range(256)) * 4096
        async with front.session() as ws:
            assert await echoed(ws, data) == data
            assert await front.status() == 429  # the second of one client
            assert await front.status(source=SHUT_OUT) == 403

    run(script())
    end = front.gateway.wait_event("session_end")
    assert end["client"].split(":")[0] == LET_IN
    assert end["cause"] == "client_close"
    refused = front.gateway.wait_event("request_refused", status=403)
    assert refused["client"].split(":")[0] == SHUT_OUT


def test_a_client_cannot_name_another(front):
    """X-Forwarded-For of its own gains it nothing."""

    async def script():
        for claim in (LET_IN, f"{LET_IN}, 127.0.0.1", "nonsense"):
            assert await front.status(source=SHUT_OUT, headers={"X-Forwarded-For": claim}) == 403
        async with front.session(headers={"X-Forwarded-For": SHUT_OUT}) as ws:
            assert await echoed(ws, b"hello") == b"hello"

    run(script())
    assert front.gateway.wait_event("session_end")["client"].split(":")[0] == LET_IN


def test_ends_come_through(front):
    """Close code and reason of the gateway reach the client, and the client's the gateway."""

    async def script():
        async with front.session() as ws:
            await ws.send("text, where the route takes binary")
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1003
        wait_until(lambda: [line for line in front.gateway.lines if "session_end" in line], "the end")
        async with front.session() as ws:
            await ws.close(4000, "enough")

    run(script())
    assert front.gateway.wait_event("session_end", cause="bad_message_type")["code"] == "1003"
    assert front.gateway.wait_event("session_end", cause="client_close")["code"] == "4000"


@pytest.mark.parametrize("kind", ["proxy-v2", "tls-passthrough"])
def test_haproxy_finds_the_gateway_healthy(tmp_path, certs, kind):
    with ExitStack() as stack:
        front = haproxy(stack, tmp_path, certs, kind)
        line = front.program.wait_line("Health check for server sluice/one")
        assert "succeeded" in line.string and "code: 200" in line.string


def test_a_drain_is_seen_in_front(tmp_path, certs):
    """TERM: sessions live on, and HAProxy answers 503 to new ones since no gateway is left."""

    async def script(front):
        async with front.session() as ws:
            assert await echoed(ws, b"before") == b"before"
            front.gateway.process.send_signal(signal.SIGTERM)
            front.gateway.wait_event("stopping")
            while (status := await front.status(source=SHUT_OUT)) == 403:
                pass  # the worker has not heard of it yet
            assert status == 503
            assert await echoed(ws, b"after") == b"after"

    with ExitStack() as stack:
        front = haproxy(stack, tmp_path, certs, "proxy-v2")
        run(script(front))
        assert front.gateway.wait_event("session_end")["cause"] == "client_close"


def test_an_untrusted_peer_is_no_proxy(tmp_path, certs):
    """Who is not HAProxy gets no word out of a listener that asks for PROXY, whatever it sends."""
    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H4s4sHH", 12, bytes([127, 0, 0, 2]), bytes(4), 9, 9)
    request = f"GET /vnc HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
    with ExitStack() as stack:
        front = haproxy(stack, tmp_path, certs, "proxy-v2")
        for said in (header + request, b"PROXY TCP4 127.0.0.2 127.0.0.1 9 9\r\n" + request, request):
            got = b""
            try:
                with socket.create_connection(
                    ("127.0.0.1", front.gateway.port), PATIENCE_S, (SHUT_OUT, 0)
                ) as peer:
                    peer.sendall(said)
                    got = peer.recv(4096)
            except ConnectionError:
                pass  # shut as early as it may be, even before connect() is back
            assert got == b""
        front.gateway.wait_event("proxy_refused")


def test_another_name_is_nobodys(tmp_path, certs):
    """HAProxy picks by SNI without the certificate."""
    with ExitStack() as stack:
        front = haproxy(stack, tmp_path, certs, "tls-passthrough")
        with socket.create_connection(("127.0.0.1", front.port), PATIENCE_S) as peer:
            with pytest.raises(OSError):
                front.tls.wrap_socket(peer, server_hostname="other.sluice.test")
