"""Unix sockets on both sides."""

import signal
import socket
import stat
import textwrap

from lib.checks import logged_end, refusal_logged, refused
from lib.stream import FIN
from lib.target import echo
from lib.wait import until
from lib.ws import request


def unix_gateway(start, path, url, options="", poller="auto"):
    return start(
        f"""
        poller: {poller}
        listen: {{address: "unix:{path}"}}
        routes: {{{options} target: "{url}"}}
        """
    )


def test_listener(start, target, tmp_path, poller):
    server = target().serve(echo)
    gateway = unix_gateway(start, tmp_path / "s", server.url, poller=poller)
    assert gateway.addresses == [f"unix:{tmp_path}/s"]
    client = gateway.connect().upgrade()
    big = bytes(range(256)) * 2000
    client.send_binary(big)
    assert client.take_payload(len(big)) == big
    client.send_close(4000)
    assert client.take_closing()[1] == 4000
    client.close()
    event = gateway.wait_event("session_end")
    assert event["cause"] == "client_close"
    assert event["client"].startswith("unix"), event
    assert event["listener"] == f"unix:{tmp_path}/s"


def test_listener_with_tls(start, target, certs, trust, tmp_path):
    server = target().serve(echo)
    gateway = start(
        f"""
        listen:
          - address: "unix:{tmp_path}/s"
            tls: {{certificates: {{cert: "{certs}/server.crt", key: "{certs}/server.key"}}}}
        routes: {{target: "{server.url}"}}
        """
    )
    client = gateway.connect(tls=trust).upgrade()
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"


def test_a_stale_socket_file_is_replaced(start, target, tmp_path):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "s"))
    stale.close()  # nobody listens, the file stays
    gateway = unix_gateway(start, tmp_path / "s", target().url)
    gateway.connect().upgrade()


def test_the_file_has_its_mode(start, target, tmp_path):
    """Whatever the umask is, from its first moment on; a reload gives it another."""
    path = tmp_path / "s"
    url = target().serve(echo).url
    yaml = """
        listen: {{address: "unix:{path}", mode: "{mode}"}}
        routes: {{target: "{url}"}}
        """

    def mode():
        return stat.S_IMODE(path.stat().st_mode)

    gateway = start(yaml.format(path=path, mode="0620", url=url))
    assert mode() == 0o620
    client = gateway.connect().upgrade()
    gateway.reload(textwrap.dedent(yaml.format(path=path, mode="666", url=url)))
    gateway.wait_event("reloaded")
    assert mode() == 0o666
    gateway.write(textwrap.dedent(yaml.format(path=path, mode="0600", url="tcp://127.0.0.1:1")) + "  log: x")
    gateway.signal(signal.SIGHUP)
    gateway.wait_event("reload_failed")
    assert mode() == 0o666, "a reload that fails changes nothing"
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"


def test_from_an_address_is_no_unix_client(start, target, tmp_path):
    gateway = unix_gateway(start, tmp_path / "s", target().url, "from: [0.0.0.0/0, '::/0'],")
    client = gateway.connect()
    refused(client, client.ask(request()), 403)
    event = gateway.wait_event("request_refused", status=403)
    assert event["client"].startswith("unix")


def test_target(relay, target, tmp_path):
    server = target(tmp_path / "t")
    gateway = relay.start(f'- {{name: pair, target: "unix:{tmp_path}/t"}}')
    client = relay.open()
    end = server.accept()
    client.send_binary(b"up")
    assert end.take(2) == b"up"
    end.send(b"down")
    assert client.take_payload(4) == b"down"
    end.end_writing()
    assert client.take_closing()[:2] == (b"", 1000)
    client.close()
    assert end.take_rest() == (b"", FIN)
    end.close()
    logged_end(gateway, client, "target_eof", 1000, 2, 4, target=f"unix:{tmp_path}/t", route="pair")


def test_target_with_a_relative_path(start, target, tmp_path):
    gateway = start(
        """
        listen: {address: 127.0.0.1:0}
        routes: {target: "unix:relative.sock"}
        """
    )
    target(gateway.folder / "relative.sock").serve(echo)
    client = gateway.connect().upgrade()
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"


def test_target_refused(plain, tmp_path):
    """A socket file on which nobody listens."""
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "t"))
    stale.close()
    gateway = plain.start(f'- {{target: "unix:{tmp_path}/t"}}')
    client = plain.open()
    assert client.take_closing()[1] == 1014
    client.close()
    logged_end(gateway, client, "target_refused", 1014, 0, 0)


def test_target_of_a_full_backlog_is_waited_for(plain, target, tmp_path):
    """connect(2) says EAGAIN; the gateway tries again until the target takes somebody."""
    server = target(tmp_path / "t", backlog=0)
    fillers = []
    while True:
        filler = socket.socket(socket.AF_UNIX)
        filler.setblocking(False)
        fillers.append(filler)
        try:
            filler.connect(str(tmp_path / "t"))
        except BlockingIOError:
            break
    gateway = plain.start(f'- {{on_unreachable: http, target: "unix:{tmp_path}/t"}}')
    client = plain.connect()
    client.send(request())
    client.sock.settimeout(0.05)
    try:
        answered = client.fill()
    except TimeoutError:
        answered = False
    assert not answered, "nobody took the connection yet"
    client.sock.settimeout(10)
    for _ in fillers[:-1]:
        server.accept()
    assert client.take_answer().status == 101
    server.accept()
    for filler in fillers:
        filler.close()
    assert not gateway.events("session_end")


def test_target_gone_away_and_back(plain, target, tmp_path):
    gateway = plain.start(f'- {{on_unreachable: http, target: "unix:{tmp_path}/t"}}')
    client = plain.connect()
    refused(client, client.ask(request()), 502)
    refusal_logged(gateway, client, 502)
    server = target(tmp_path / "t").serve(echo)
    assert server.path == tmp_path / "t"
    until(lambda: plain.connect().ask(request()).status == 101, "the target to be back")
