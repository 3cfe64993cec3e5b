"""ssh and scp through contrib/ssh/ws-connect and Sluice to a real sshd; and ws-connect's own manners."""

import getpass
import hashlib
import os
import queue
import select
import socket
import subprocess
import threading
import time

import pytest

from parts import targets
from parts.gateway import ROOT, event_of
from parts.program import PATIENCE_S, Program, free_port

PACKAGES = {"/usr/sbin/sshd": "openssh-server", "ssh": "openssh-client", "scp": "openssh-client"}

WS_CONNECT = ROOT / "contrib/ssh/ws-connect"
BIG_MIB = 64


def keygen(file):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True, timeout=PATIENCE_S)


class Sshd:
    """sshd with a configuration, a host key and one user key of its own, on a free port of the loopback."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        keygen(folder / "host")
        keygen(folder / "user")
        os.makedirs("/run/sshd", exist_ok=True)  # where sshd keeps its unprivileged half; Debian's unit makes it
        (folder / "sshd_config").write_text(
            f"""\
Port {self.port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""
        )
        self.program = Program(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"])
        self.program.wait_line("Server listening on 127.0.0.1")

    def client_config(self, url, ca):
        """A configuration for ssh and scp, whose host `far` is this sshd behind the URL."""
        host_key = (self.folder / "host.pub").read_text()
        (self.folder / "known_hosts").write_text(f"far {host_key}")
        file = self.folder / "ssh_config"
        file.write_text(
            f"""\
Host far
    HostName far
    User {getpass.getuser()}
    IdentityFile {self.folder}/user
    IdentitiesOnly yes
    UserKnownHostsFile {self.folder}/known_hosts
    StrictHostKeyChecking yes
    BatchMode yes
    ProxyCommand {WS_CONNECT} --ca {ca} {url}
"""
        )
        return file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.end()


@pytest.fixture
def far(gateway, certs, tmp_path):
    """ssh's configuration for the host `far`, and the gateway in between."""
    with Sshd(tmp_path) as sshd:
        sluice = gateway(f"  - {{path: /ssh, target: 'tcp://127.0.0.1:{sshd.port}'}}")
        yield sshd.client_config(sluice.url("/ssh"), certs / "ca.crt"), sluice


def run(argv, **options):
    return subprocess.run([str(word) for word in argv], capture_output=True, timeout=4 * PATIENCE_S, **options)


def test_a_command(far):
    config, sluice = far
    done = run(["ssh", "-F", config, "far", "echo sluice-$((6*7)); cat; echo gone >&2; exit 3"], input=b"typed")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"sluice-42\ntyped", b"gone\n")
    end = sluice.wait_event("session_end")
    assert end["cause"] in ("client_close", "target_eof") and end["code"] == "1000"


def digest(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def test_a_big_file_up_and_down(far, tmp_path, tell):
    config, sluice = far
    here, there, back = (tmp_path / name for name in ("here", "there", "back"))
    here.write_bytes(os.urandom(BIG_MIB * 1024 * 1024))
    for name, source, sink in (("up", here, f"far:{there}"), ("down", f"far:{there}", back)):
        start = time.monotonic()
        done = run(["scp", "-q", "-F", config, source, sink])
        assert (done.returncode, done.stderr) == (0, b"")
        tell(f"scp {name}: {BIG_MIB} MiB, {BIG_MIB * 1.048576 / (time.monotonic() - start):.0f} MB/s with the login")
    assert digest(there) == digest(here) == digest(back)
    for direction in ("up_bytes", "down_bytes"):
        found = sluice.find(session_over(BIG_MIB * 1024 * 1024, direction), f"a session with {direction}")
        assert found["code"] == "1000"


def session_over(count, direction):
    def pick(line):
        event = event_of(line)
        return event if event and event["event"] == "session_end" and int(event[direction]) >= count else None

    return pick


def ws_connect(*words, data=b""):
    done = run([WS_CONNECT, *words], input=data)
    return done.returncode, done.stdout, done.stderr.decode()


def one_route(target, more=""):
    return f"  - {{path: /x, target: 'tcp://127.0.0.1:{target.port}', {more}}}"


def test_ws_connect_relays_and_closes(gateway, certs):
    data = os.urandom(8 * 1024 * 1024)
    with targets.Target(targets.echo) as echo:
        sluice = gateway(one_route(echo, "origin: 'https://a.example', subprotocol: mine"))
        words = ["--ca", certs / "ca.crt", "--origin", "https://a.example", "--subprotocol", "mine", sluice.url("/x")]
        assert ws_connect(*words, data=data) == (0, data, "")
        sluice.wait_event("session_end", cause="client_close", code=1000, up_bytes=len(data), down_bytes=len(data))


STALL_S = 0.7  # what is not taken for this long is held back
MANY_BYTES = 512 * 1024 * 1024  # far more than all buffers on the way


def test_ws_connect_holds_the_target_back(gateway, certs):
    """Nobody reads standard output: the target is stopped, and nothing is lost when somebody does."""
    stalled = queue.Queue()
    chunk = os.urandom(1 << 20)

    def source(connection):
        connection.settimeout(STALL_S)
        sent = 0
        try:
            while sent < MANY_BYTES:
                sent += connection.send(chunk[sent % len(chunk) :])
        except socket.timeout:
            pass
        stalled.put(sent)
        connection.settimeout(None)
        connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    with targets.Target(source) as target:
        sluice = gateway(one_route(target))
        argv = [WS_CONNECT, "--ca", certs / "ca.crt", sluice.url("/x")]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            sent = stalled.get(timeout=PATIENCE_S)
            assert sent < MANY_BYTES / 8
            whole = program.stdout.read()
            assert program.wait(PATIENCE_S) == 0
    wanted = chunk * (sent // len(chunk)) + chunk[: sent % len(chunk)] + chunk
    assert len(whole) == len(wanted) and whole == wanted


def test_ws_connect_is_held_back_by_the_target(gateway, certs):
    """The target does not read: standard input is no longer taken, and goes on when the target does."""
    goes_on = threading.Event()
    digests = queue.Queue()

    def late_sink(connection):
        goes_on.wait(PATIENCE_S)
        seen = hashlib.sha256()
        while data := connection.recv(1 << 18):
            seen.update(data)
        digests.put(seen.digest())

    with targets.Target(late_sink) as target:
        sluice = gateway(one_route(target))
        argv = [WS_CONNECT, "--ca", certs / "ca.crt", "--linger", "0", sluice.url("/x")]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, bufsize=0) as program:
            sent, seen, chunk = 0, hashlib.sha256(), os.urandom(1 << 16)
            os.set_blocking(program.stdin.fileno(), False)
            while sent < MANY_BYTES and select.select([], [program.stdin], [], STALL_S if sent else PATIENCE_S)[1]:
                count = program.stdin.write(chunk)
                seen.update(chunk[:count])
                sent += count
            assert sent < MANY_BYTES / 8
            goes_on.set()
            program.stdin.close()
            assert digests.get(timeout=PATIENCE_S) == seen.digest()
            assert program.wait(PATIENCE_S) == 0
        sluice.wait_event("session_end", cause="client_close", code=1000, up_bytes=sent)


def test_ws_connect_tells_a_close(gateway, certs):
    with targets.Target(targets.reset) as target:
        sluice = gateway(one_route(target))
        answer = ws_connect("--ca", certs / "ca.crt", "--linger", "20", sluice.url("/x"), data=b"x")
        session = sluice.wait_event("session_end", cause="target_reset")["id"]
        told = f"ws-connect: the server closed with 1014: target reset the connection ({session})\n"
        assert answer == (1, b"", told)


def test_ws_connect_is_fine_with_the_targets_end(gateway, certs):
    with targets.Target(targets.fin) as target:
        sluice = gateway(one_route(target))
        answer = ws_connect("--ca", certs / "ca.crt", "--linger", "20", sluice.url("/x"), data=b"x")
        assert answer == (0, b"bye", "")


def test_ws_connect_tells_a_refusal(gateway, certs):
    with targets.Target(targets.echo) as echo:
        sluice = gateway(one_route(echo))
        status, output, told = ws_connect("--ca", certs / "ca.crt", sluice.url("/nowhere"))
        assert (status, output) == (1, b"")
        assert told.startswith(f"ws-connect: {sluice.url('/nowhere')}: refused with HTTP 404: ")
        assert told.count("\n") == 1


def test_ws_connect_tells_a_wrong_scheme(gateway, certs):
    with targets.Target(targets.echo) as echo:
        sluice = gateway(one_route(echo))
        plain = sluice.url("/x", scheme="ws")
        status, output, told = ws_connect(plain)
        assert (status, output) == (1, b"")
        assert told.startswith(f"ws-connect: {plain}: ") and told.endswith(": try wss://\n"), told
        encrypted = f"wss://127.0.0.1:{echo.port}/x"  # which gives the client's own words back
        status, output, told = ws_connect("--ca", certs / "ca.crt", encrypted)
        assert (status, output) == (1, b"")
        assert told.startswith(f"ws-connect: {encrypted}: ") and told.count("\n") == 1, told


def test_ws_connect_verifies_the_certificate(gateway, certs):
    with targets.Target(targets.echo) as echo:
        sluice = gateway(one_route(echo))
        untrusted = f"ws-connect: {sluice.url('/x')}: the server's certificate is not trusted: "
        for words in ((), ("--ca", certs / "other.crt")):
            status, output, told = ws_connect(*words, sluice.url("/x"))
            assert (status, output) == (1, b"") and told.startswith(untrusted)
