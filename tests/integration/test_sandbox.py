"""What confines the processes that talk to the network, as it is seen from outside and by those they serve. That
nothing they need is missing is what all the other tests show, which run within it; what they may not do has a
unit test, from inside."""

import ctypes
import os
import platform
import re
import signal
import socket
import struct
from pathlib import Path

import pytest
from lib.env import COUNTED, DEADLINE, SANITIZED, UNDER_VALGRIND
from lib.gateway import children, run_sluice
from lib.mounts import mounted
from lib.target import echo
from lib.wait import until
from lib.ws import request

pytestmark = pytest.mark.skipif(
    SANITIZED or UNDER_VALGRIND or COUNTED, reason="sanitizers, valgrind and coverage make calls of their own"
)


def status_of(pid):
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def config(server, more=""):
    return f"""
        listen: {{address: 127.0.0.1:0}}
        admin: {{address: 127.0.0.1:0}}
        sandbox: auto
        workers: 2
        routes: {{target: "{server.url}"}}
        {more}
        """


def test_every_process_that_serves_is_in_it(start, target):
    gateway = start(config(target().serve(echo)))
    said = gateway.events("sandbox")[0]
    assert (said["mode"], said["seccomp"]) == ("auto", "on")
    until(lambda: children(gateway.pid, "sluice admin"), "the admin process")
    pids = gateway.workers() + children(gateway.pid, "sluice admin")
    assert len(pids) == 3
    for pid in pids:
        until(lambda pid=pid: status_of(pid)["Seccomp"] == "2", "its filter")
        status = status_of(pid)
        assert status["NoNewPrivs"] == "1"
        for kind in ("Inh", "Prm", "Eff", "Amb"):
            assert int(status[f"Cap{kind}"], 16) == 0
        if os.geteuid() == 0:
            assert int(status["CapBnd"], 16) == 0
        limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
        assert re.search(r"Max core file size +0 +0 ", limits)
        # What may not be dumped belongs to root, whoever it runs as.
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    assert status_of(gateway.pid)["Seccomp"] == "0"
    assert os.stat(f"/proc/{gateway.pid}/environ").st_uid == 0


def test_off_is_off(start, target):
    gateway = start(config(target().serve(echo)).replace("sandbox: auto", "sandbox: off"))
    assert gateway.events("sandbox", mode="off", seccomp="off", landlock="off")
    assert [status_of(pid)["Seccomp"] for pid in gateway.workers()] == ["0", "0"]


def test_check_says_what_there_is(tmp_path):
    file = tmp_path / "c.yaml"
    text = 'listen: {address: 127.0.0.1:0}\nroutes: {target: "tcp://127.0.0.1:9"}\n'
    file.write_text(text, encoding="ascii")
    pattern = r"\S+c\.yaml: sandbox: auto: seccomp(, Landlock ABI \d+ \(files.*\)|; no Landlock.*)\n"
    assert re.match(pattern, run_sluice("check", "-c", file).stdout)
    file.write_text(text + "sandbox: off\n", encoding="ascii")
    assert run_sluice("check", "-c", file).stdout.startswith(f"{file}: sandbox: off\n")


LANDLOCK_CREATE_RULESET = 444
SECCOMP = {"x86_64": 317, "aarch64": 277}
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38


def landlock_abi():
    """0 where this kernel has none."""
    abi = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    return max(abi, 0)


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def without(call):
    """What a process is to do in order to be on a kernel that has no such call: a filter answers EOPNOTSUPP."""
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x00050000 | 95), (0x06, 0, 0, 0x7FFF0000)]
    text = b"".join(struct.pack("HBBI", *one) for one in code)
    libc = ctypes.CDLL(None)

    def before():
        program = Program(len(code), text)
        assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        assert libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program)) == 0

    return before


def test_check_says_what_this_kernel_has(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text('listen: {address: 127.0.0.1:0}\nroutes: {target: "tcp://127.0.0.1:9"}\n', encoding="ascii")
    abi = landlock_abi()
    ports = ", TCP ports" if abi >= 4 else "; TCP ports take ABI 4"
    has = f", Landlock ABI {abi} (files{ports})" if abi else "; no Landlock, which the kernel lacks or has not enabled"
    assert run_sluice("check", "-c", file).stdout.startswith(f"{file}: sandbox: auto: seccomp{has}\n")


def test_without_landlock_system_calls_are_held_to_the_list(start, target):
    gateway = start(config(target().serve(echo)), before=without(LANDLOCK_CREATE_RULESET))
    assert gateway.events("sandbox", mode="auto", seccomp="on", landlock="off")
    client = gateway.connect().upgrade()
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"
    checked = run_sluice("check", "-c", gateway.file, preexec_fn=without(LANDLOCK_CREATE_RULESET))
    said = "sandbox: auto: seccomp; no Landlock, which the kernel lacks or has not enabled\n"
    assert checked.returncode == 0 and checked.stdout.startswith(f"{gateway.file}: {said}")
    text = gateway.file.read_text(encoding="ascii")
    gateway.file.write_text(text.replace("sandbox: auto", "sandbox: strict"), encoding="ascii")
    checked = run_sluice("check", "-c", gateway.file, preexec_fn=without(LANDLOCK_CREATE_RULESET))
    assert checked.returncode == 2 and "this kernel has no Landlock that knows TCP ports" in checked.stderr


@pytest.mark.skipif(platform.machine() not in SECCOMP, reason="the number of the call is not known here")
def test_without_filters_the_log_and_check_say_so(start, target):
    hidden = without(SECCOMP[platform.machine()])
    gateway = start(config(target().serve(echo)), before=hidden)
    assert gateway.events("sandbox", mode="auto", seccomp="off")
    client = gateway.connect().upgrade()
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"
    checked = run_sluice("check", "-c", gateway.file, preexec_fn=hidden)
    assert "sandbox: auto: no seccomp, which the kernel lacks" in checked.stdout


def test_strict_starts_where_all_is_there_and_nowhere_else(start, target, tmp_path):
    server = target().serve(echo)
    file = tmp_path / "strict.yaml"
    text = config(server).replace("sandbox: auto", "sandbox: strict")
    file.write_text(re.sub("^        ", "", text, flags=re.MULTILINE), encoding="ascii")
    checked = run_sluice("check", "-c", file)
    if checked.returncode == 0:
        gateway = start(text)
        client = gateway.connect().upgrade()
        client.send_binary(b"hello")
        assert client.take_payload(5) == b"hello"
        return
    pattern = r"strict\.yaml:4:10: sandbox: strict takes all of it, and this kernel has no "
    assert re.search(pattern, checked.stderr)
    run = run_sluice("-c", file)
    assert run.returncode == 1
    assert re.search(pattern, run.stderr)


def test_a_worker_that_a_signal_of_it_ends_is_told_and_replaced(start, target):
    gateway = start(config(target().serve(echo)))
    first = gateway.workers()
    os.kill(first[0], signal.SIGSYS)
    gateway.wait_event("worker_died", pid=first[0], signal=int(signal.SIGSYS))
    until(lambda: len(set(gateway.workers()) - set(first)) == 1, "another in its place")
    with gateway.changed:
        gateway.log = [one for one in gateway.log if one["event"] != "worker_died"]  # we did it


def test_files_and_targets_of_a_new_configuration(start, target, tmp_path):
    """What is confined is a process: those of the next configuration have its folders and ports."""
    one, two = target().serve(echo), target().serve(echo)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page").write_text(name, encoding="ascii")
    text = """
listen: {{address: 127.0.0.1:0}}
sandbox: auto
routes:
  - {{path: /files/*, files: {folder}}}
  - {{target: "{url}"}}
"""
    gateway = start(text.format(folder=tmp_path / "a", url=one.url))
    for folder, server, other in (("a", one, two), ("b", two, one)):
        if folder == "b":
            gateway.reload(text.format(folder=tmp_path / "b", url=two.url))
        before = len(other.streams)
        client = gateway.connect()
        answer = client.ask(request("/files/page", upgrade=False))
        assert (answer.status, answer.body) == (200, folder.encode())
        client = gateway.connect().upgrade()
        client.send_binary(b"hello")
        assert client.take_payload(5) == b"hello"
        assert len(other.streams) == before
    assert server is two


def test_syslog_is_reached_from_inside(start, target, tmp_path):
    """Also by the next daemon, in the place of the one that was there at the start."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "null").touch()
    prefix = mounted(tmp_path, [("/dev/null", "dev/null"), ("dev", "/dev")])
    address = None
    for turn in range(2):
        path = tmp_path / "dev" / "log"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(str(path))
            path.chmod(0o666)
            daemon.settimeout(DEADLINE)
            if turn == 0:
                text = config(target().serve(echo), "log: {output: syslog}")
                gateway = start(text, wait_ready=False, prefix=prefix)
                seen = b""
                while b" ready " not in seen:
                    seen = daemon.recv(65536)
                address = re.search(rb"listen=127\.0\.0\.1:(\d+)", seen)
            with socket.create_connection(("127.0.0.1", int(address[1]))) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while b"request_refused" not in daemon.recv(65536):
                    pass
    gateway.stop()
