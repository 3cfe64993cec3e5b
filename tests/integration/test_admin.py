"""The admin listener: health, metrics, live sessions; and `sluice ctl`, which asks it."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest
from lib.admin import Admin
from lib.env import DEADLINE, SLUICE, UNDER_VALGRIND
from lib.gateway import children, run_sluice
from lib.target import echo
from lib.wait import until
from lib.ws import PING, PONG

COLUMNS = "id client route target state age_ms up_bytes down_bytes".split()


class Served:
    """A gateway with two routes to an echo, and its admin listener."""

    def __init__(self, start, target, workers=1, admin="{address: 127.0.0.1:0}", timeouts="{}"):
        self.echo = target().serve(echo)
        self.gateway = start(
            f"""
            workers: {workers}
            listen: {{address: 127.0.0.1:0}}
            admin: {admin}
            timeouts: {timeouts}
            routes:
              - {{name: desk, path: /desk, target: "{self.echo.url}"}}
              - {{name: ssh, path: /ssh, target: "{self.echo.url}"}}
            """
        )
        self.admin = Admin(self.gateway.ready["admin"])

    def open(self, path="/desk"):
        return self.gateway.connect().upgrade(path)

    def ctl(self, *args):
        return run_sluice("ctl", "--admin", self.admin.address, *args)


@pytest.fixture
def served(start, target):
    return lambda **kwargs: Served(start, target, **kwargs)


def workers_of(one):
    return one.admin.get("/workers").json


# Health


def test_health_and_readiness(served):
    one = served()
    answer = one.admin.get("/healthz")
    assert (answer.status, answer.text) == (200, "ok\n")
    assert answer.fields["connection"] == "close"
    assert (one.admin.get("/readyz").status, one.admin.get("/readyz").text) == (200, "ready\n")
    client = one.open()
    one.gateway.terminate()
    until(lambda: one.admin.get("/readyz").status == 503, "readiness to go")
    assert one.admin.get("/readyz").text == "draining\n"
    assert one.admin.get("/healthz").status == 200
    assert one.admin.metrics().get("sluice_draining") == 1
    client.send_binary(b"still")
    assert client.take_payload(5) == b"still"


def test_workers(served):
    one = served(workers=2)
    found = workers_of(one)
    assert [worker["index"] for worker in sorted(found, key=lambda worker: worker["index"])] == [0, 1]
    for worker in found:
        assert worker["ready"] and not worker["retired"], worker
        os.kill(worker["pid"], 0)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", worker["started"])
    one.open()
    assert sum(worker["sessions"] for worker in workers_of(one)) == 1


# Metrics


def test_metrics_move(served):
    one = served(workers=2, timeouts="{ping: 50ms}")
    before = one.admin.metrics()
    assert before.get("sluice_workers") == 2
    assert before.get("sluice_generations") == 1
    assert before.get("sluice_sessions", route="desk") == 0
    assert before.get("sluice_build_info", version="0.1.0") == 1
    assert abs(before.get("sluice_start_time_seconds") - time.time()) < 600
    client = one.open()
    client.send_binary(b"x" * 1000)
    client.take_payload(1000)
    ping = client.take_frame()
    assert ping.opcode == PING
    client.send_frame(PONG, ping.payload)
    until(lambda: one.admin.metrics().get("sluice_ping_seconds_count", route="desk") > 0, "the round trip")
    now = one.admin.metrics()
    now.not_before(before)
    assert now.get("sluice_sessions", route="desk") == 1
    assert now.get("sluice_connections") == 1
    assert now.get("sluice_connections_total") == 1
    assert now.get("sluice_target_connect_seconds_count", route="desk") == 1
    client.send_close(1000)
    client.take_closing()
    client.close()
    one.gateway.session_end(client)
    refused = one.gateway.connect()
    refused.send(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert refused.take_answer().status == 404
    until(lambda: one.admin.metrics().get("sluice_requests_refused_total", status="404") == 1, "the refusal")
    end = one.admin.metrics()
    end.not_before(now)
    assert end.get("sluice_sessions", route="desk") == 0
    assert end.get("sluice_sessions_total", route="desk", cause="client_close") == 1
    assert end.sum("sluice_sessions_total", route="ssh") == 0
    assert end.get("sluice_bytes_total", route="desk", direction="up") == 1000
    assert end.get("sluice_bytes_total", route="desk", direction="down") == 1000
    assert end.get("sluice_session_seconds_count", route="desk") == 1


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_finds_nothing(served):
    one = served()
    one.open().send_binary(b"x")
    result = subprocess.run(
        ["promtool", "check", "metrics"], input=one.admin.metrics().text, text=True, capture_output=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_counters_survive_a_worker(served):
    one = served(workers=2)
    for _ in range(8):
        client = one.open()
        client.send_binary(b"x" * 100)
        client.take_payload(100)
    before = one.admin.metrics()
    assert before.get("sluice_sessions", route="desk") == 8
    victim = max(workers_of(one), key=lambda worker: worker["sessions"])
    os.kill(victim["pid"], signal.SIGKILL)
    until(lambda: one.admin.metrics().get("sluice_worker_deaths_total") == 1, "the death to be counted")
    now = one.admin.metrics()
    now.not_before(before)
    assert now.get("sluice_sessions", route="desk") == 8 - victim["sessions"]
    assert now.get("sluice_sessions_total", route="desk", cause="internal") == victim["sessions"]
    one.gateway.wait_event("worker_died", pid=victim["pid"], sessions=victim["sessions"])
    assert len(one.admin.sessions()) == 8 - victim["sessions"]
    until(lambda: one.admin.metrics().get("sluice_workers") == 2, "another worker")
    pids = {worker["pid"] for worker in workers_of(one)}
    assert victim["pid"] not in pids and len(pids) == 2
    # its sessions are listed as the others' are
    for _ in range(8):
        one.open()
    assert len(one.admin.sessions()) == 16 - victim["sessions"]


def admin_pid(one):
    (pid,) = until(lambda: children(one.gateway.pid, "sluice admin"), "the admin process to call itself so")
    return pid


@pytest.mark.skipif(UNDER_VALGRIND, reason="a killed process reports leaks")
def test_the_admin_process_may_die(served):
    one = served()
    client = one.open()
    pid = admin_pid(one)
    os.kill(pid, signal.SIGKILL)

    def answers():
        try:
            return len(one.admin.sessions()) == 1
        except (OSError, AssertionError):
            return False

    until(answers, "the admin process to come back")
    assert admin_pid(one) != pid
    client.send_binary(b"hello")
    assert client.take_payload(5) == b"hello"


def test_a_reload_keeps_counters_and_sessions(served):
    one = served()
    old = one.open()
    before = one.admin.metrics()
    one.gateway.process.send_signal(signal.SIGHUP)
    one.gateway.wait_event("reloaded")
    new = one.open("/ssh")
    assert {session["client"] for session in one.admin.sessions()} == {old.name, new.name}
    until(lambda: sorted(worker["retired"] for worker in workers_of(one)) == [False, True], "the old worker to retire")
    now = one.admin.metrics()
    now.not_before(before)
    assert now.get("sluice_generations") == 2
    assert now.get("sluice_workers") == 1
    assert now.get("sluice_config_reloads_total", result="ok") == 1
    one.gateway.file.write_text("nonsense: 1\n", encoding="utf-8")
    one.gateway.process.send_signal(signal.SIGHUP)
    until(
        lambda: one.admin.metrics().get("sluice_config_reloads_total", result="failed") == 1, "the failure to be counted"
    )
    assert one.admin.delete("/sessions?all=1").json["ended"] == 2
    ended_by_operator(old)
    old.close()
    until(lambda: one.admin.metrics().get("sluice_generations") == 1, "the old worker to end")
    one.admin.metrics().not_before(now)


# Sessions


def test_sessions_are_listed(served):
    one = served(workers=2)
    desk, ssh = one.open("/desk"), one.open("/ssh")
    desk.send_binary(b"x" * 300)
    desk.take_payload(300)
    found = {session["route"]: session for session in one.admin.sessions()}
    assert set(found) == {"desk", "ssh"}
    row = found["desk"]
    assert row["id"] == desk.answer.fields["sluice-session"]
    assert row["client"] == desk.name
    assert row["listener"] == one.gateway.addresses[0]
    assert row["target"] == one.echo.url
    assert (row["host"], row["path"], row["state"]) == ("localhost", "/desk", "relay")
    assert (row["up_bytes"], row["down_bytes"]) == (300, 300)
    assert row["worker"] in {worker["pid"] for worker in workers_of(one)}
    for key in ("age_ms", "up_kept", "down_kept", "up_stalled_ms", "down_stalled_ms"):
        assert row[key] >= 0, row
    assert 0 < row["client_rtt_us"] < 60e6 and 0 < row["target_rtt_us"] < 60e6
    answer = one.admin.get("/sessions/" + row["id"])
    assert answer.status == 200 and answer.json["client"] == desk.name, answer
    assert [session["client"] for session in one.admin.sessions("?route=ssh")] == [ssh.name]
    assert [session["client"] for session in one.admin.sessions("?client=127.0.0.1&route=desk")] == [desk.name]
    assert one.admin.sessions("?client=10.0.0.0/8") == []
    assert one.admin.get("/sessions/0123456789abcdef").status == 404


def test_a_stalled_session_shows(start, target):
    server = target(rcvbuf=4096)
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0}}
        admin: {{address: 127.0.0.1:0}}
        routes: {{name: slow, target: "{server.url}"}}
        """
    )
    admin = Admin(gateway.ready["admin"])
    client = gateway.connect(sndbuf=4096).upgrade()
    server.accept()

    def fill():
        try:
            while True:
                client.send_binary(b"x" * 65536)
        except OSError:
            pass  # it was full, until the end

    threading.Thread(target=fill, daemon=True).start()

    def stalled():
        (row,) = admin.sessions()
        return row["up_stalled_ms"] > 0 and row["up_kept"] > 0

    until(stalled, "the stall to show")


def ended_by_operator(client):
    _, code, reason = client.take_close()
    assert code == 1008
    assert "operator" in reason


def test_kill(served):
    one = served(workers=2)
    clients = [one.open("/desk") for _ in range(3)] + [one.open("/ssh") for _ in range(3)]
    answer = one.admin.delete("/sessions/" + clients[0].answer.fields["sluice-session"])
    assert (answer.status, answer.json) == (200, {"ended": 1, "silent_workers": []})
    ended_by_operator(clients[0])
    clients[0].close()
    assert one.gateway.session_end(clients[0])["cause"] == "killed"
    one.gateway.wait_event("sessions_killed", ended=1)
    assert one.admin.delete("/sessions/" + clients[0].answer.fields["sluice-session"]).status == 404
    assert one.admin.delete("/sessions?route=desk").json["ended"] == 2
    for client in clients[1:3]:
        ended_by_operator(client)
    assert one.admin.delete("/sessions?client=10.0.0.0/8").json["ended"] == 0
    assert one.admin.delete("/sessions").status == 400
    assert one.admin.delete("/sessions?all=1").json["ended"] == 3
    for client in clients[3:]:
        ended_by_operator(client)
        client.close()
        one.gateway.session_end(client)
    until(lambda: one.admin.metrics().sum("sluice_sessions_total", cause="killed") >= 4, "the kills to be counted")


@pytest.mark.skipif(UNDER_VALGRIND, reason="a stopped process")
def test_a_silent_worker_is_named(served, keep):
    one = served(workers=2)
    for _ in range(8):
        one.open()
    victim, other = sorted(workers_of(one), key=lambda worker: worker["pid"])
    told = f"sluice: incomplete: silent workers: {victim['pid']}\n"
    os.kill(victim["pid"], signal.SIGSTOP)
    try:
        answer = one.admin.get("/sessions")
        assert answer.status == 200 and answer.json["silent_workers"] == [victim["pid"]], answer
        assert len(answer.json["sessions"]) == other["sessions"]
        result = one.ctl("sessions")
        assert (result.returncode, result.stderr) == (1, told), result
        assert len(result.stdout.splitlines()) == 1 + other["sessions"]
        result = one.ctl("sessions", "--json")
        assert (result.returncode, result.stderr) == (1, told), result
        listed = json.loads(result.stdout)
        assert len(listed["sessions"]) == other["sessions"] and listed["silent_workers"] == [victim["pid"]]
        result = one.ctl("top")
        assert (result.returncode, result.stderr) == (1, told), result
        assert result.stdout.startswith(f"{other['sessions']} sessions, "), result
        terminal = keep(Terminal(one.admin.address))
        terminal.read_until(f"incomplete: silent workers: {victim['pid']}")
        result = one.ctl("kill", "--client", "10.0.0.0/8")
        assert (result.returncode, result.stdout, result.stderr) == (1, "ended 0\n", told), result
        assert one.admin.get("/healthz").status == 200
    finally:
        os.kill(victim["pid"], signal.SIGCONT)
    until(lambda: len(one.admin.sessions()) == 8, "it to answer again")
    result = one.ctl("sessions", "--json")
    assert (result.returncode, result.stderr) == (0, ""), result
    terminal.type(b"s")
    terminal.read_until(r"8 sessions, .*q quit")
    terminal.type(b"q")
    assert terminal.process.wait(DEADLINE) == 0


# Who may


def test_web_pages_and_strangers_are_refused(served):
    one = served()
    for path in ("/metrics", "/sessions", "/healthz"):
        assert one.admin.get(path, origin="http://localhost").status == 403
        status = 421 if path == "/sessions" else 200  # a monitor may call this machine what it likes
        assert one.admin.get(path, host="evil.example").status == status
    assert one.admin.delete("/sessions?all=1", origin="null").status == 403
    assert one.gateway.wait_event("admin_refused", status=403)["client"].startswith("127.0.0.1:")
    one.gateway.wait_event("admin_refused", status=421)
    for host in ("localhost", "127.0.0.1:1", "[::1]", socket.gethostname()):
        assert one.admin.get("/healthz", host=host).status == 200, host


def test_requests_that_are_wrong(served):
    one = served()
    assert one.admin.get("/").status == 404
    answer = one.admin.ask("POST", "/metrics")
    assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD")
    answer = one.admin.get("/sessions?rout=desk")
    assert answer.status == 400 and 'did you mean "route"?' in answer.text
    answer = one.admin.get("/sessions?route=dusk")
    assert answer.status == 400 and 'did you mean "desk"?' in answer.text
    assert one.admin.ask("HEAD", "/metrics").text == ""


def test_over_a_unix_socket(served, tmp_path):
    one = served(admin=f"{{address: 'unix:{tmp_path}/admin.sock'}}")
    assert one.gateway.ready["admin"] == f"unix:{tmp_path}/admin.sock"
    one.open()
    assert one.admin.get("/healthz", host="sluice").status == 200
    assert len(one.admin.sessions()) == 1
    result = one.ctl("status")
    assert (result.returncode, result.stderr) == (0, ""), result
    assert run_sluice("ctl", "-c", one.gateway.file, "status").returncode == 0


# ctl


def test_ctl_sessions_and_kill(served):
    one = served()
    client, other = one.open("/desk"), one.open("/ssh")
    result = one.ctl("sessions")
    assert (result.returncode, result.stderr) == (0, ""), result
    head, *lines = result.stdout.splitlines()
    assert head.split("\t")[:8] == COLUMNS
    rows = [dict(zip(head.split("\t"), line.split("\t"))) for line in lines]
    assert {row["client"] for row in rows} == {client.name, other.name}
    result = one.ctl("sessions", "--route", "desk")
    assert len(result.stdout.splitlines()) == 2
    assert '"sessions":[{' in one.ctl("sessions", "--json", "--client", "127.0.0.0/8").stdout
    session = client.answer.fields["sluice-session"]
    result = one.ctl("kill", session)
    assert (result.returncode, result.stdout, result.stderr) == (0, "ended 1\n", ""), result
    ended_by_operator(client)
    client.close()
    one.gateway.session_end(client)
    result = one.ctl("kill", session)
    assert (result.returncode, result.stderr) == (1, "sluice: no session has this id\n"), result
    result = one.ctl("kill", "0" * 16)
    assert (result.returncode, result.stderr) == (1, "sluice: no session has this id\n"), result
    assert one.ctl("sessions").stdout.count("\n") == 2, "nobody's id is not everybody's"
    result = one.ctl("kill", "--route", "dusk")
    assert result.returncode == 2 and 'did you mean "desk"?' in result.stderr, result
    assert one.ctl("kill", "--all").stdout == "ended 1\n"
    ended_by_operator(other)


def test_ctl_status(served):
    one = served(workers=2)
    one.open("/desk")
    result = one.ctl("status")
    assert (result.returncode, result.stderr) == (0, ""), result
    text = result.stdout
    assert re.match(r"sluice 0\.1\.0, ready, up \d+[smh]", text), text
    for line in (r"workers +2, 0 died", r"generations +1", r"reloads +0 ok, 0 failed", r"sessions +1", r"  desk +1"):
        assert re.search(rf"^{line}$", text, re.M), text


@pytest.mark.parametrize(
    "args",
    [[], ["nonsense"], ["kill"], ["kill", "xyz"], ["kill", "0123456789abcdef", "--all"], ["status", "--json"],
     ["sessions", "extra"], ["sessions", "--all"], ["status", "--route", "x"], ["--nonsense", "status"],
     ["-c", "x", "status"]],
    ids=" ".join,
)  # fmt: skip
def test_ctl_usage(args):
    result = run_sluice("ctl", "--admin", "127.0.0.1:1", *args)
    assert (result.returncode, result.stdout) == (2, ""), result
    assert "usage: sluice ctl" in result.stderr, result


def test_ctl_without_a_gateway(tmp_path):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % bound.getsockname()[1]
        result = run_sluice("ctl", "--admin", address, "status")
        assert result.returncode == 1 and result.stderr.startswith(f"sluice: admin listener {address}: "), result
    file = tmp_path / "c.yaml"
    routes = 'routes: {target: "tcp://127.0.0.1:9"}\n'
    for text, says in (
        ("listen: {address: 127.0.0.1:0}\n" + routes, "admin: {address: 127.0.0.1:9901}"),
        ("listen: {address: 127.0.0.1:0}\nadmin: {address: 127.0.0.1:0}\n" + routes, ":2:"),
        ("listen: {}\n" + routes, ":1:"),
    ):
        file.write_text(text, encoding="utf-8")
        result = run_sluice("ctl", "-c", file, "status")
        assert result.returncode == 2 and result.stderr.startswith(f"{file}:") and says in result.stderr, result
    result = run_sluice("ctl", "--admin", "nonsense", "status")
    assert result.returncode == 2 and "--admin nonsense: " in result.stderr, result


class Terminal:
    """`sluice ctl top` in a terminal of 80 columns and 24 lines."""

    def __init__(self, address):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        # pylint: disable=subprocess-popen-preexec-fn
        self.process = subprocess.Popen(
            [str(SLUICE), "ctl", "--admin", address, "top"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that ^C is its signal
        )
        self.text = ""

    def read_until(self, pattern):
        end = time.monotonic() + DEADLINE
        while not re.search(pattern, self.text, re.S):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern} in {self.text[-3000:]!r}"
            if select.select([self.ours], [], [], left)[0]:
                self.text += os.read(self.ours, 65536).decode("ascii")
        return self.text

    def type(self, keys):
        self.text = ""
        os.write(self.ours, keys)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


def lines_of(text):
    return [re.sub(r"\x1b\[[?0-9]*[a-zA-Z]", "", line) for line in text.split("\n")]


@pytest.mark.parametrize("how", ["q", "SIGTERM", "^C"])
def test_ctl_top(served, keep, how):
    one = served()
    client = one.open()
    terminal = keep(Terminal(one.admin.address))
    terminal.read_until(r"1 sessions, .*q quit")
    client.send_binary(b"x" * 50000)
    client.take_payload(50000)
    terminal.read_until(r"up [1-9][0-9.]*[KB]/s")
    assert max(len(line.rstrip("\r")) for line in lines_of(terminal.text)) <= 80
    assert client.answer.fields["sluice-session"] in terminal.text
    assert client.name[:18] in terminal.text
    terminal.type(b"s")
    terminal.read_until("by up")
    terminal.type(b"r")
    terminal.read_until("by up")
    if how == "q":
        terminal.type(b"q")
    elif how == "SIGTERM":
        terminal.process.terminate()
    else:
        terminal.type(b"\x03")
    terminal.read_until(re.escape("\x1b[?1049l"))
    assert terminal.process.wait(DEADLINE) == 0
    assert "\x1b[?25h" in terminal.text
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_ctl_top_without_a_terminal(served):
    one = served()
    client = one.open()
    result = one.ctl("top")
    assert (result.returncode, result.stderr) == (0, ""), result
    lines = result.stdout.splitlines()
    assert lines[0].startswith("1 sessions, up ")
    assert lines[1].split()[:3] == ["ID", "CLIENT", "ROUTE"]
    assert lines[2].split()[:3] == [client.answer.fields["sluice-session"], client.name, "desk"]
    assert len(lines) == 3
