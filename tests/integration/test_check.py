"""`sluice check`: everything that a file names is looked at, whatever else is wrong with it."""

import os
import re
import socket
import subprocess

import pytest
from lib.gateway import run_sluice

HERE = "listen: {address: 127.0.0.1:0}\n"
TARGET = 'routes: {target: "tcp://127.0.0.1:9"}\n'


@pytest.fixture
def config(tmp_path):
    def write(text):
        file = tmp_path / "c.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


@pytest.fixture
def check(config):
    """check(text) answers the status and the lines on standard error, each without the file's name."""

    def run(text):
        file = config(text)
        result = run_sluice("check", "-c", file)
        lines = result.stderr.splitlines()
        assert all(line.startswith(f"{file}:") for line in lines), result.stderr
        return result.returncode, [line.removeprefix(f"{file}:") for line in lines]

    return run


def one_pair(cert, key):
    """A file with a pair of which the certificate is named at 4:15 and the key at 5:14."""
    return (
        "listen:\n  address: 127.0.0.1:0\n  tls: {certificates: [{\n"
        f'        cert: "{cert}",\n        key: "{key}"}}]}}\n{TARGET}'
    )


PAIR = "listen[0].tls.certificates[0]"


def test_a_typo_hides_nothing(check, certs, tmp_path):
    status, lines = check(
        f"""\
listen:
  - address: 203.0.113.9:80
    tls:
      certificates:
        - cert: nowhere.crt
          key: nowhere.key
          kye: x
        - {{cert: "{certs}/server.crt"}}
        - {{key: nowhere2.key}}
      client_ca: nowhere-ca.crt
  - address: nonsense
    tls: nonsense
routes:
  - {{path: nonsense, files: nowhere}}
  - {{target: "tls://127.0.0.1:9", target_tls: {{ca: nowhere.ca, cert: nowhere.crt}}, orgin: any}}
  - nonsense
log: {{level: loud, output: nowhere/x.log}}
"""
    )
    assert status == 2
    gone = "cannot be read: No such file or directory"
    wanted = [
        (2, "listen[0].address: ", "Cannot assign requested address"),
        (5, f"{PAIR}.cert: {tmp_path}/nowhere.crt: {gone}", ""),
        (6, f"{PAIR}.key: {tmp_path}/nowhere.key: {gone}", ""),
        (7, f"{PAIR}.kye: unknown key", ""),
        (8, "listen[0].tls.certificates[1].key: is missing", ""),
        (9, "listen[0].tls.certificates[2].cert: is missing", ""),
        (9, "listen[0].tls.certificates[2].key: ", "nowhere2.key"),
        (10, "listen[0].tls.client_ca: ", gone),
        (11, "listen[1].address: ", "nonsense"),
        (12, "listen[1].tls: has to be a mapping", ""),
        (14, "routes[0].path: ", "nonsense"),
        (14, "routes[0].files: ", "is no folder"),
        (15, "routes[1].target_tls.ca: ", gone),
        (15, "routes[1].target_tls.cert: needs key", ""),
        (15, "routes[1].target_tls.cert: ", gone),
        (15, "routes[1].orgin: unknown key", ""),
        (16, "routes[2]: has to be a mapping", ""),
        (17, "log.level: ", "loud"),
        (17, "log.output: ", "cannot be written"),
    ]
    assert len(lines) == len(wanted), "\n".join(lines)
    for row, start, part in wanted:
        found = [one for one in lines if re.match(rf"{row}:\d+: {re.escape(start)}.*{re.escape(part)}", one)]
        assert found, (row, start, part, lines)


def test_routes_with_faults_hide_none(check):
    """Of what could not be read nobody knows whether it takes all that another does."""
    status, lines = check(HERE + 'routes: [{path: nonsense, files: .}, {path: /x, files: .}, {files: .}]\nlog: {x: y}\n')
    assert status == 2
    assert not any("warning" in line for line in lines), lines


def test_a_bad_certificate_hides_no_bad_key(check, tmp_path):
    status, lines = check(one_pair("nowhere.crt", "nowhere.key"))
    gone = "cannot be read: No such file or directory"
    assert status == 2
    assert lines == [
        f"4:15: {PAIR}.cert: {tmp_path}/nowhere.crt: {gone}",
        f"5:14: {PAIR}.key: {tmp_path}/nowhere.key: {gone}",
    ]


def test_a_fault_of_the_key_is_told_where_the_key_is(config, certs):
    """By the check and at the start alike, also of a path so long that only its end is shown."""
    file = config(one_pair(f"{certs}/server.crt", f"{certs}{'/.' * 100}/other.key"))
    for args in [["check"], []]:
        result = run_sluice(*args, "-c", file)
        assert result.returncode == 2
        faults = [line for line in result.stderr.splitlines() if "does not belong to" in line]
        assert len(faults) == 1 and faults[0].startswith(f"{file}:5:14: "), result.stderr


def test_a_fault_of_the_certificate_is_told_where_the_certificate_is(config, certs):
    file = config(one_pair("nowhere.crt", f"{certs}/other.key"))
    result = run_sluice("-c", file)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(f"{file}:4:15: ")


@pytest.mark.parametrize("which", ["cert", "key", "client_ca"])
def test_a_fifo_is_not_waited_for(config, certs, tmp_path, which):
    os.mkfifo(tmp_path / "fifo")
    named = {"cert": f"{certs}/server.crt", "key": f"{certs}/server.key", "client_ca": f"{certs}/ca.crt"}
    named[which] = "fifo"
    file = config(
        f'listen:\n  address: 127.0.0.1:0\n  tls: {{client_ca: "{named["client_ca"]}",'
        f' certificates: {{cert: "{named["cert"]}", key: "{named["key"]}"}}}}\n{TARGET}'
    )
    for args in [["check"], []]:
        result = run_sluice(*args, "-c", file)
        assert result.returncode == 2
        assert "fifo: is not a regular file: write the name of a PEM file" in result.stderr


@pytest.mark.parametrize("address", ["203.0.113.9:80", "203.0.113.9:0", "[2001:db8::9]:80"])
def test_an_address_of_another_machine(check, address):
    status, lines = check(f'listen:\n  - address: "{address}"\n{TARGET}')
    host, port = address.strip("[").rsplit(":", 1)
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith(f'2:5: listen[0].address: "{host.rstrip("]")}" cannot be listened on (')
    assert lines[0].endswith(f'): write an address of this machine, or ":{port}" for all of them')


def test_an_address_that_is_in_use_is_fine(check):
    """It may be by the gateway whose configuration this is."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert check(f'listen: {{address: "127.0.0.1:{taken.getsockname()[1]}"}}\n{TARGET}') == (0, [])


def test_a_target_without_an_address_is_warned_of(check):
    status, lines = check(
        HERE + "routes:\n"
        '  - {path: /a, target: "tcp://127.0.0.1:9"}\n'
        '  - {path: /b, target: "tcp://nosuch.invalid:9"}\n'
        '  - {path: /c, target: "tcp://nosuch.invalid:10"}\n'
        '  - {path: /d, target: "unix:/nosuch"}\n'
    )
    assert (status, len(lines)) == (0, 1)
    assert re.match(r'4:24: routes\[1\]\.target: warning: "nosuch\.invalid" has no address now \(.+\): until ', lines[0])


def test_every_target_of_a_list_is_looked_up_once(check):
    status, lines = check(
        HERE + "routes:\n"
        '  - {path: /a, target: ["tcp://127.0.0.1:9", "tcp://nosuch.invalid:9", "tls://nosuch.invalid:9"]}\n'
        '  - {path: /b, target: ["unix:/nosuch", "tcp://nosuch.invalid:10"]}\n'
    )
    assert (status, len(lines)) == (0, 1)
    assert re.match(r'3:46: routes\[0\]\.target\[1\]: warning: "nosuch\.invalid" has no address now ', lines[0])


def test_a_target_that_cannot_be_read_hides_no_other(check):
    status, lines = check(HERE + 'routes: {target: [nonsense, "tcp://nosuch.invalid:9"]}\n')
    assert (status, len(lines)) == (2, 2)
    assert lines[0].startswith('2:19: routes.target[0]: "nonsense" is not a target')
    assert lines[1].startswith('2:29: routes[0].target[1]: warning: "nosuch.invalid" has no address now')


def test_a_user_that_there_is_not(check):
    status, lines = check(f"{HERE}{TARGET}user: no-such-user\n")
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith('3:7: user: there is no user "no-such-user"')
    assert check(f"{HERE}{TARGET}user: root\n") == (0, [])


def test_the_admin_address_is_one_of_this_machine(check, tmp_path):
    status, lines = check(f'{HERE}{TARGET}admin:\n  address: "203.0.113.9:9901"\n  allow: 10.0.0.0/8\n')
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith('4:12: admin.address: "203.0.113.9" cannot be listened on (')
    status, lines = check(f"{HERE}{TARGET}admin: {{address: unix:nowhere/s}}\n")
    assert (status, len(lines)) == (2, 1)
    assert f"admin.address: unix:{tmp_path}/nowhere/s: cannot be made in its folder" in lines[0]
    assert check(f"{HERE}{TARGET}admin: {{address: 127.0.0.1:0}}\n") == (0, [])


def test_a_socket_of_the_service_manager_is_not_opened(check):
    assert check(f"listen: {{address: fd:sluice}}\n{TARGET}") == (0, [])


def syslog_answers():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect("/dev/log")
        except OSError:
            return False
        return True


def test_a_syslog_that_is_not_there_is_warned_of(check):
    status, lines = check(f"{HERE}{TARGET}log: {{output: syslog}}\n")
    assert status == 0
    if syslog_answers():
        assert lines == []
    else:
        assert len(lines) == 1
        assert lines[0].startswith("3:15: log.output: warning: nobody listens on /dev/log now (")


def made(folder, name, *, key=("EC", "-pkeyopt", "ec_paramgen_curve:P-256"), extension="subjectAltName=DNS:localhost"):
    """A pair of that name."""
    algorithm, *options = key
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", algorithm, *options, "-keyout", folder / f"{name}.key",
         "-out", folder / f"{name}.crt", "-subj", "/CN=localhost", "-days", "30", "-addext", extension],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("what, key, extension", [
    ("the curve secp256k1, which no usual client takes", ("EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"), None),
    ("lacks serverAuth: clients refuse it", None, "extendedKeyUsage=clientAuth"),
])  # fmt: skip
def test_certificates_that_no_client_takes(check, tmp_path, what, key, extension):
    made(tmp_path, "odd", **({"key": key} if key else {}), **({"extension": extension} if extension else {}))
    status, lines = check(one_pair("odd.crt", "odd.key"))
    assert (status, len(lines)) == (0, 1)
    assert lines[0].startswith(f"4:15: {PAIR}.cert: warning: ") and what in lines[0]


def test_certificates_for_a_target(check, certs):
    """There it is a client's that is wanted."""
    route = 'routes:\n  target: "tls://127.0.0.1:9"\n  target_tls: {{cert: "{0}/{1}.crt", key: "{0}/{1}.key"}}\n'
    assert check(HERE + route.format(certs, "client")) == (0, [])
    status, lines = check(HERE + route.format(certs, "server"))
    assert (status, len(lines)) == (0, 1)
    assert "routes[0].target_tls.cert: warning: " in lines[0] and "lacks clientAuth: servers refuse it" in lines[0]
