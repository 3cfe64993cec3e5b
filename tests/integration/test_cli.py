"""Commands, exit statuses and diagnostics."""

import os
import re
import signal
import socket

import pytest
from lib.gateway import run_sluice
from lib.target import echo
from lib.ws import request

GOOD = """
listen: {address: 127.0.0.1:0}
routes: {target: "tcp://127.0.0.1:9"}
"""


@pytest.fixture
def config(tmp_path):
    def write(text):
        file = tmp_path / "c.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_version():
    result = run_sluice("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, "sluice 0.1.0\n", "")


def test_help():
    result = run_sluice("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for word in ("check", "explain", "LISTEN", "TARGET", "-c", "--version", "--origin", "--subprotocol", "--from",
                 "every address", "tcp://", "tls://", "HOST:PORT", "unix:PATH"):  # fmt: skip
        assert word in result.stdout


@pytest.mark.parametrize(
    "args",
    [
        ["--nonsense"],
        ["-x"],
        ["-c"],
        ["chek"],
        ["check", "--nonsense"],
        ["check", "extra"],
        ["explain"],
        ["explain", "--origin"],
        ["explain", "ws://a/", "ws://b/"],
        ["127.0.0.1:0", "127.0.0.1:1", "extra"],
        ["-c", "x.yaml", "127.0.0.1:0", "127.0.0.1:1"],
    ],
    ids=" ".join,
)
def test_usage(args):
    result = run_sluice(*args)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.strip()


@pytest.mark.parametrize("listen, target", [
    ("127.0.0.1:99999", "127.0.0.1:1"),
    ("127.0.0.1:x", "127.0.0.1:1"),
    ("127.0.0.1:0", "127.0.0.1"),
    ("127.0.0.1:0", "127.0.0.1:0"),
    ("127.0.0.1:0", "http://127.0.0.1:80"),
    ("127.0.0.1:0", "unix:"),
    ("99999", "127.0.0.1:1"),
    ("127.0.0.1:0", "5900"),
])  # fmt: skip
def test_bad_listen_and_target(listen, target):
    result = run_sluice(listen, target)
    assert result.returncode == 2
    name, typed = ("LISTEN", listen) if listen != "127.0.0.1:0" else ("TARGET", target)
    assert result.stderr.startswith(f'sluice: {name}: "{typed}" '), result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [[], ["check"], ["explain", "ws://localhost/"]], ids=["run", "check", "explain"])
def test_no_such_file(tmp_path, args):
    file = tmp_path / "none.yaml"
    result = run_sluice(*args[:1], "-c", file, *args[1:])
    assert result.returncode == 2
    assert str(file) in result.stderr and "No such file" in result.stderr


def test_no_such_file_by_default():
    default = "/etc/sluice/sluice.yaml"
    result = run_sluice("check")
    assert result.stdout.startswith(f"{default}: ") or result.stderr.startswith(f"{default}:")
    if not os.path.exists(default):
        assert result.returncode == 2
        assert result.stderr == f"{default}: cannot be read: No such file or directory: name one with -c FILE\n"


FAULTY = """\
listen:
  - address: 127.0.0.1:0
    tsl: {}
routes:
  - target: "tcp://127.0.0.1:9"
  - orgin: any
    target: "tcp://127.0.0.1:9"
  - target: 127.0.0.1:9
timeouts: {ping: 5}
"""

FAULTS = [
    (3, 5, 'listen[0].tsl: unknown key (did you mean "tls"?)'),
    (6, 5, 'routes[1].orgin: unknown key (did you mean "origin"?)'),
    (8, 13, "routes[2].target: "),
    (9, 18, "timeouts.ping: "),
]


@pytest.mark.parametrize("args", [[], ["check"], ["explain", "ws://localhost/"]], ids=["run", "check", "explain"])
def test_all_faults_in_one_run(config, args):
    file = config(FAULTY)
    result = run_sluice(*args[:1], "-c", file, *args[1:])
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert len(lines) == len(FAULTS), result.stderr
    for line, (row, column, text) in zip(lines, FAULTS):
        assert line.startswith(f"{file}:{row}:{column}: {text}"), line


def test_syntax_error(config):
    file = config("listen: [\n")
    result = run_sluice("check", "-c", file)
    assert result.returncode == 2
    assert re.match(re.escape(str(file)) + r":\d+:\d+: ", result.stderr), result.stderr


def test_check_good(config):
    file = config(GOOD)
    result = run_sluice("check", "-c", file)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.fullmatch(re.escape(str(file)) + r": sandbox: .+\n" + re.escape(str(file)) + r": 1 routes?, 1 listeners?: fine\n", result.stdout)


def test_check_warns_of_hidden_routes(config):
    file = config(
        "listen: {address: 127.0.0.1:0}\n"
        "routes:\n"
        '  - {path: /a/*, origin: any, target: "tcp://127.0.0.1:9"}\n'
        '  - {path: /a/b, target: "tcp://127.0.0.1:9"}\n'
    )
    result = run_sluice("check", "-c", file)
    assert result.returncode == 0
    assert re.search(r"c\.yaml:4:\d+: routes\[1\]: warning: ", result.stderr), result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout.endswith(f"\n{file}: 2 routes, 1 listener: fine (1 warning)\n")


def test_check_places_a_log_that_cannot_be_written(config):
    file = config(GOOD + "log:\n  output: nowhere/sluice.log\n")
    result = run_sluice("check", "-c", file)
    assert (result.returncode, result.stdout) == (2, "")
    where = f"{file.parent}/nowhere/sluice.log"
    assert result.stderr == f"{file}:5:11: log.output: {where}: cannot be written: No such file or directory\n"


NOTES = [
    ("ws://localhost:9999/", ["note: no listener has port 9999"]),
    ("ws://localhost:8080/", []),
    ("ws://localhost/", []),
    ("wss://localhost:8443/", []),
    ("wss://localhost:9999/", ["note: no listener has port 9999"]),
]


@pytest.mark.parametrize("url, notes", NOTES, ids=[url for url, _ in NOTES])
def test_explain_notes_a_port_without_a_listener(config, certs, url, notes):
    file = config(
        "listen:\n"
        "  - address: 127.0.0.1:8080\n"
        "  - address: 127.0.0.1:8443\n"
        f'    tls: {{certificates: {{cert: "{certs}/server.crt", key: "{certs}/server.key"}}}}\n'
        'routes: {target: "tcp://127.0.0.1:9"}\n'
    )
    result = run_sluice("explain", "-c", file, url)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line for line in result.stdout.splitlines() if line.startswith("note: ")] == notes


@pytest.mark.parametrize("url, address", [
    ("wss://localhost:9999/", "127.0.0.1:8080"),  # TLS ends in front, and so does that port
    ("ws://localhost:9999/", "127.0.0.1:0"),
    ("ws://localhost:9999/", "unix:s"),
    ("ws://localhost:9999/", "fd:sluice"),
])  # fmt: skip
def test_explain_cannot_know_the_port(config, url, address):
    file = config(f'listen: {{address: "{address}"}}\nroutes: {{target: "tcp://127.0.0.1:9"}}\n')
    result = run_sluice("explain", "-c", file, url)
    assert result.returncode == 0
    assert "has port" not in result.stdout


@pytest.mark.parametrize("balance", ["first", "round_robin", "least_sessions"])
def test_explain_names_every_target(config, balance):
    file = config(
        "listen: {address: 127.0.0.1:8080, trusted_proxies: 127.0.0.1}\n"
        'routes: {target: ["tcp://127.0.0.1:9", "unix:/a"], from: 192.0.2.7, balance: ' + balance + "}\n"
    )
    result = run_sluice("explain", "-c", file, "--from", "192.0.2.7", "ws://localhost:8080/")
    assert (result.returncode, result.stderr) == (0, "")
    at = result.stdout.splitlines().index("target: tcp://127.0.0.1:9")
    assert result.stdout.splitlines()[at + 1] == "target: unix:/a"
    assert result.stdout.splitlines()[at + 2].startswith(f"balance: {balance}: ")
    assert run_sluice("explain", "-c", file, "--from", "127.0.0.1", "ws://localhost:8080/").returncode == 3


def test_explain_has_no_balance_of_one_target(config):
    result = run_sluice("explain", "-c", config(GOOD), "ws://localhost:8080/")
    assert not re.search("^balance", result.stdout, re.M)


def test_check_looks_at_what_is_named(config, certs):
    file = config(
        f"""\
listen:
  - address: 127.0.0.1:0
    tls:
      certificates:
        - {{cert: "{certs}/server.crt", key: "{certs}/other.key"}}
        - {{cert: nowhere.crt, key: "{certs}/other.key"}}
      client_ca: "{certs}/server.key"
routes:
  - {{path: /x, files: not-there}}
  - {{target: "tls://127.0.0.1:9", target_tls: {{ca: not-there.crt}}}}
"""
    )
    result = run_sluice("check", "-c", file)
    assert result.returncode == 2
    for line in (5, 6, 7, 9, 10):
        assert f"{file}:{line}:" in result.stderr, result.stderr
    result = run_sluice("-c", file)
    assert result.returncode == 2


def test_check_warns_of_an_expired_certificate(config, certs):
    file = config(
        f"""\
listen:
  - address: 127.0.0.1:0
    tls: {{certificates: {{cert: "{certs}/expired.crt", key: "{certs}/expired.key"}}}}
routes: {{target: "tcp://127.0.0.1:9"}}
"""
    )
    result = run_sluice("check", "-c", file)
    assert result.returncode == 0
    assert "warning: " in result.stderr and "expired" in result.stderr


def test_paths_are_relative_to_the_file(start, certs, target, trust):
    """The working directory is the file's own folder in `start`; so name the file from elsewhere."""
    server = target().serve(echo)
    yaml = (
        "listen:\n  - address: 127.0.0.1:0\n"
        "    tls: {certificates: {cert: near/server.crt, key: near/server.key}}\n"
        f'routes: {{target: "{server.url}"}}\n'
    )
    gateway = start(GOOD)  # for a folder of its own
    folder = gateway.folder
    (folder / "near").symlink_to(certs)
    (folder / "x.yaml").write_text(yaml)
    elsewhere = start(arguments=["-c", f"../{folder.name}/x.yaml"])
    elsewhere.connect(tls=trust).upgrade()


@pytest.mark.parametrize("with_scheme", [True, False])
def test_without_a_file(start, target, with_scheme):
    server = target().serve(echo)
    url = server.url if with_scheme else server.url.removeprefix("tcp://")
    gateway = start(arguments=["127.0.0.1:0", url])
    client = gateway.connect().upgrade("/any/path", host="any.example")
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"
    client = gateway.connect()
    client.upgrade(headers=[("Origin", "http://localhost:81")], host="localhost:81")


def test_without_a_file_defaults_hold(start, target):
    server = target()
    gateway = start(arguments=["127.0.0.1:0", server.url])
    client = gateway.connect()
    assert client.ask(request(headers=[("Origin", "https://evil.example")])).status == 403


def test_without_a_file_unix_target(start, target, tmp_path):
    server = target(tmp_path / "t").serve(echo)
    gateway = start(arguments=["127.0.0.1:0", f"unix:{tmp_path}/t"])
    assert server.url == f"unix:{tmp_path}/t"
    client = gateway.connect().upgrade()
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"


def test_without_a_file_bare_port(start, target):
    """A bare port is on every address."""
    gateway = start(arguments=["0", target().url])
    port = int(gateway.addresses[0].rsplit(":", 1)[1])
    assert port > 0
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 426 ")


def test_address_in_use(config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        file = config(f'listen: {{address: "{address}"}}\nroutes: {{target: "tcp://127.0.0.1:9"}}\n')
        result = run_sluice("-c", file)
        assert result.returncode == 1
        assert result.stderr.startswith(f"{file}:1:9: cannot listen on {address}: ") and "in use" in result.stderr
        result = run_sluice(address, "127.0.0.1:9")
        assert result.returncode == 1
        assert result.stderr.startswith(f"sluice: cannot listen on {address}: ")
        file = config(
            'listen: {address: "127.0.0.1:0"}\nroutes: {target: "tcp://127.0.0.1:9"}\n'
            f'admin:\n  address: "{address}"\n'
        )
        result = run_sluice("-c", file)
        assert result.returncode == 1
        assert result.stderr.startswith(f"{file}:4:12: cannot listen on {address}: ")


def test_log_that_cannot_be_written(config):
    file = config('listen: {address: ":0"}\nroutes: {target: "tcp://127.0.0.1:9"}\nlog: {output: nosuch/log}\n')
    result = run_sluice("-c", file)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{file}:3:15: cannot write ")


def test_address_of_another_machine(config):
    file = config('listen: {address: "192.0.2.1:0"}\nroutes: {target: "tcp://127.0.0.1:9"}\n')
    result = run_sluice("-c", file)
    assert result.returncode == 1
    assert "192.0.2.1" in result.stderr


def test_restart_at_once_on_the_same_port(start, target):
    """Connections in TIME_WAIT do not keep the address."""
    server = target().serve(echo)
    first = start(f'listen: {{address: 127.0.0.1:0}}\ntimeouts: {{drain: 1ms}}\nroutes: {{target: "{server.url}"}}\n')
    client = first.connect().upgrade()
    first.terminate()
    assert client.take_closing()[1] == 1012
    client.close()
    assert first.wait() == 0
    port = first.address()[1]
    again = start(f'listen: {{address: "127.0.0.1:{port}"}}\nroutes: {{target: "{server.url}"}}\n')
    again.connect().upgrade()


@pytest.mark.parametrize("one", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it(start, one):
    gateway = start(GOOD)
    gateway.process.send_signal(one)
    assert gateway.wait() == 0


def test_second_signal_ends_at_once(start, target):
    """The first waits for a client that has not ended; the second does not."""
    server = target().serve(echo)
    gateway = start(
        f'listen: {{address: 127.0.0.1:0}}\ntimeouts: {{close: 1h, drain: 1ms}}\nroutes: {{target: "{server.url}"}}\n'
    )
    client = gateway.connect().upgrade()
    gateway.terminate()
    assert client.take_closing()[1] == 1012
    gateway.terminate()
    gateway.wait()

