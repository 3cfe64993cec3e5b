"""The log: one event a line, whatever a peer writes; secrets stay out; JSON that parses."""

import json
import socket
import stat
import threading

import pytest
from lib.gateway import Gateway, parse_line
from lib.target import Refusing, echo
from lib.wait import until
from lib.ws import Client, request

YAML = """
    listen: {{address: 127.0.0.1:0}}
    log: {{format: {format}}}
    routes: {{name: echo, host: localhost, path: /echo, target: "{url}"}}
"""


@pytest.fixture(params=["text", "json"])
def gateway(start, target, request):  # pylint: disable=redefined-outer-name
    server = target().serve(echo)
    return start(YAML.format(format=request.param, url=server.url))


EVIL = {
    "a forged key": 'https://a status=200 cause=fine',
    "a quote": 'https://a" status="200',
    "a backslash": "https://a\\n\\x41\\",
    "an equals sign": "a=b=c",
    "bytes above ASCII": "https://\xc3\xa4\xff\xfe\x80",
    "a tab": "https://a\tb",
    "braces": '{"level":"x"}',
}


@pytest.mark.parametrize("what", EVIL)
def test_origin_is_escaped(gateway, what):
    client = gateway.connect()
    answer = client.ask(request("/echo", headers=[("Origin", EVIL[what])]))
    assert answer.status in (400, 403)
    event = gateway.wait_event("request_refused", client=client.name)
    assert event["status"] == str(answer.status)
    origin = event.get("origin", "")
    # In JSON, valid UTF-8 may stand as the characters that it is.
    utf8 = EVIL[what].encode("latin-1").decode("utf-8", "surrogateescape")
    mixed = "".join(chr(ord(c) - 0xDC00) if 0xDC00 <= ord(c) < 0xDD00 else c for c in utf8)
    assert origin in ([EVIL[what], mixed] if answer.status == 403 else [EVIL[what], mixed, ""])
    assert "cause" not in event


def test_path_and_host_are_escaped(gateway):
    client = gateway.connect()
    client.ask(request('/a"b\\c=d', host="localhost"))
    event = gateway.wait_event("request_refused", client=client.name)
    assert event["path"] in ('/a"b\\c=d', "")


def test_no_control_bytes_reach_the_log(gateway):
    for data in (
        b"GET /\x1b[31m HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x1b]0;x\x07\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\xe2\x80\xae HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ):
        client = gateway.connect()
        assert client.ask(data).status in (400, 404)
        gateway.wait_event("request_refused", client=client.name)
    for line in gateway.lines:
        assert line.isprintable() and "\u202e" not in line, repr(line)


SECRETS = [
    "/nowhere?token=hunter2",
    "/nowhere?a=b&Password=hunter2&c=d",
    "/nowhere?api_key=hunter2",
    "/nowhere?x=1&ticket=hunter2&y=2",
    "/nowhere?access_token=hunter2",
    "/nowhere?t%6Fken=hunter2",
    "/nowhere?TOKEN=hunter2",
    "/nowhere?a;token=hunter2",
    "/nowhere?client_secret=hunter2",
]


@pytest.mark.parametrize("path", SECRETS)
def test_secrets(gateway, path):
    client = gateway.connect()
    assert client.ask(request(path)).status == 404
    event = gateway.wait_event("request_refused", client=client.name)
    assert event["path"].startswith("/nowhere?")
    assert "hunter2" not in "\n".join(gateway.lines)


def test_secrets_of_a_session(gateway):
    client = gateway.connect().upgrade("/echo?token=hunter2")
    client.send_close(1000)
    client.take_closing()
    client.close()
    gateway.session_end(client)
    assert "hunter2" not in "\n".join(gateway.lines)


def test_secrets_of_an_origin(gateway):
    """No browser sends one with a query, but who sends one has a secret all the same."""
    client = gateway.connect()
    client.ask(request("/echo", headers=[("Origin", "https://a.example/?token=hunter2")]))
    assert gateway.wait_event("request_refused", client=client.name)["origin"] == "https://a.example/?token=***"
    assert "hunter2" not in "\n".join(gateway.lines)


def test_fields_of_a_refusal_in_their_order(gateway):
    client = gateway.connect()
    client.ask(request("/nowhere"))
    event = gateway.wait_event("request_refused", client=client.name)
    names = [name for name in event if name not in ("time", "level", "event")]
    assert names[:6] == ["client", "host", "path", "origin", "status", "reason"]


def test_harmless_values_stay(gateway):
    client = gateway.connect()
    client.ask(request("/nowhere?room=12&x"))
    assert gateway.wait_event("request_refused", client=client.name)["path"] == "/nowhere?room=12&x"


def test_long_values_keep_the_line_whole(start, target):
    yaml = YAML.format(format="text", url=target().url)
    gateway = start(yaml + "    limits: {request: 64KiB}\n")
    for n in (3000, 4000, 4096, 5000, 60_000):
        client = gateway.connect()
        assert client.ask(request("/" + "a" * n, headers=[("Origin", "https://" + "b" * 200)])).status == 404
        client.close()
    client = gateway.connect()
    client.ask(request("/the-next"))
    gateway.wait_event("request_refused", client=client.name)
    assert len(gateway.events("request_refused")) == 6, gateway.lines[-6:]
    assert all(len(line) < 4096 for line in gateway.lines)


def test_lines_of_a_session(gateway):
    client = gateway.connect().upgrade("/echo")
    client.send_binary(b"12345")
    client.take_payload(5)
    client.send_close(1000)
    client.take_closing()
    client.close()
    event = gateway.session_end(client)
    keys = ["id", "client", "listener", "route", "target", "cause", "code", "up_bytes", "down_bytes", "duration_ms"]
    assert [key for key in event if key in keys] == keys
    assert (event["route"], event["cause"], event["code"]) == ("echo", "client_close", "1000")
    assert (event["up_bytes"], event["down_bytes"]) == ("5", "5")
    assert event["listener"] == gateway.addresses[0]
    assert event["level"] == "info"


def test_ids_differ(gateway):
    ids = set()
    for _ in range(20):
        client = gateway.connect().upgrade("/echo")
        client.close()
        ids.add(gateway.session_end(client)["id"])
    assert len(ids) == 20


def test_json_numbers_are_bare(start, target):
    server = target().serve(echo)
    gateway = start(YAML.format(format="json", url=server.url))
    client = gateway.connect().upgrade("/echo")
    client.close()
    gateway.session_end(client)
    lines = [json.loads(line) for line in gateway.lines]
    end = [line for line in lines if line["event"] == "session_end"][0]
    for key in ("up_bytes", "down_bytes", "duration_ms"):
        assert isinstance(end[key], int)
    assert isinstance(end["cause"], str)


def over_unix(path):
    """A client on a unix listener whose gateway does not log that it is ready."""
    def attempt():
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(path))
            return sock
        except OSError:
            sock.close()
            return None

    return Client(until(attempt, "the gateway to listen"))


def test_level(start, keep, tmp_path):
    """At `warning` the lines of every day are not written."""
    path = tmp_path / "s"
    gateway = start(
        f"""
        listen: {{address: "unix:{path}"}}
        log: {{level: warning}}
        routes: {{path: /x, target: "{keep(Refusing()).url}"}}
        """,
        wait_ready=False,
    )
    client = keep(over_unix(path))
    assert client.ask(request("/nowhere")).status == 404
    client = keep(over_unix(path)).upgrade("/x")
    assert client.take_closing()[1] == 1014
    client.close()
    assert gateway.wait_event("session_end")["cause"] == "target_refused"
    assert {one["level"] for one in gateway.log} == {"warning"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_rate(start, keep, target, form):
    """Lines that come faster are left out and told of, however many processes write; errors never are."""
    gateway = start(
        f"""
        workers: 3
        listen: {{address: 127.0.0.1:0}}
        log: {{format: {form}, rate: 20/h}}
        routes: {{path: /x, target: "{target().url}"}}
        """
    )
    asked = 50
    for _ in range(asked):
        client = keep(gateway.connect())
        assert client.ask(request("/nowhere")).status == 404
        client.close()
    gateway.stop()
    left_out = gateway.events("log_lost")
    assert {(one["reason"], one["level"]) for one in left_out} == {("rate", "warning")}
    written = [one for one in gateway.log if one["event"] != "log_lost"]
    assert len(written) == 20
    assert sum(int(one["lines"]) for one in left_out) >= asked - 20


def test_what_the_rate_left_out_is_told_when_the_flood_is_over(start, keep, target):
    """Without a further line that could tell it on its way."""
    gateway = start(
        f"""
        workers: 2
        listen: {{address: 127.0.0.1:0}}
        log: {{rate: 10/h}}
        routes: {{path: /x, target: "{target().url}"}}
        """
    )
    before, asked = len(gateway.log), 40
    for _ in range(asked):
        client = keep(gateway.connect())
        assert client.ask(request("/nowhere")).status == 404
        client.close()

    def told():
        return sum(int(one["lines"]) for one in gateway.events("log_lost"))

    until(lambda: told() + len(gateway.events("request_refused")) >= asked, "all of them to be told of")
    assert told() + len(gateway.log) - len(gateway.events("log_lost")) == before + asked


def test_file(start, target, tmp_path):
    """Relative to the configuration, and not for everybody to read."""
    server = target().serve(echo)
    gateway = start(
        f"""
        listen: {{address: "unix:{tmp_path}/s"}}
        log: {{output: ./sluice.log}}
        routes: {{target: "{server.url}"}}
        """,
        wait_ready=False,
    )
    over_unix(tmp_path / "s").upgrade().close()
    log = gateway.folder / "sluice.log"
    until(lambda: log.exists() and all(f" {one} " in log.read_text() for one in ("ready", "session_end")), "the lines")
    events = [parse_line(line)["event"] for line in log.read_text().splitlines()]
    assert "ready" in events and "session_end" in events
    assert stat.S_IMODE(log.stat().st_mode) & 0o027 == 0
    assert not gateway.log


class Stalled(Gateway):
    """Nobody reads its standard error until `reading` is set."""

    def __init__(self, *args, **kwargs):
        self.reading = threading.Event()
        super().__init__(*args, **kwargs)

    def _read(self):
        self.reading.wait()
        super()._read()


def test_unread_log(tmp_path):
    """A log that nobody reads holds nobody up: what it has no room for is counted, and told once it is read."""
    path = tmp_path / "s"
    yaml = f'listen: {{address: "unix:{path}"}}\nroutes: {{path: /x, target: "tcp://127.0.0.1:9"}}\n'
    gateway = Stalled(tmp_path, yaml, wait_ready=False)
    asked = 0

    def ask():
        nonlocal asked
        asked += 1
        client = over_unix(path)
        try:
            assert client.ask(request("/nowhere")).status == 404
        finally:
            client.close()

    try:
        for _ in range(3000):
            ask()
        gateway.reading.set()
        until(lambda: ask() or gateway.events("log_lost"), "log_lost")
    finally:
        gateway.reading.set()
        gateway.stop()
    assert {one["level"] for one in gateway.events("log_lost")} == {"warning"}
    lost = sum(int(one["lines"]) for one in gateway.events("log_lost"))
    assert 0 < lost < asked
    assert len(gateway.events("request_refused")) + lost == asked
    assert gateway.events("ready") and gateway.events("stopping")


def test_ready(start, target, tmp_path):
    """Each bound address in the order of the file, port 0 become the real one."""
    gateway = start(
        f"""
        listen:
          - address: 127.0.0.1:0
          - address: "unix:{tmp_path}/sock"
          - address: 127.0.0.1:0
        routes: {{target: "{target().url}"}}
        """
    )
    assert gateway.ready["level"] == "info"
    assert gateway.ready["version"] == "0.1.0"
    assert gateway.addresses[1] == f"unix:{tmp_path}/sock"
    ports = {gateway.address(0)[1], gateway.address(2)[1]}
    assert len(ports) == 2 and 0 not in ports
    for listener in (0, 2):
        gateway.connect(listener).upgrade()
