"""What the service manager hears and hands over: sd_notify(3) and sd_listen_fds(3), without systemd."""

import os
import signal
import socket

import pytest
from lib.env import DEADLINE, SCALE
from lib.gateway import Gateway
from lib.target import echo
from lib.wait import until


@pytest.fixture
def server(target):
    return target().serve(echo)


class Manager:
    """NOTIFY_SOCKET's other end."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.sock.settimeout(DEADLINE)
        self.heard = []

    def take(self):
        message = dict(line.split("=", 1) for line in self.sock.recv(4096).decode().splitlines())
        self.heard.append(message)
        return message

    def take_until(self, key):
        while True:
            message = self.take()
            if key in message:
                return message

    def close(self):
        self.sock.close()


def config(server, more=""):
    return f'workers: 2\nlisten: {{address: 127.0.0.1:0}}\nroutes: {{target: "{server.url}"}}\n{more}\n'


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_ready_reloading_stopping(start, server, keep, tmp_path, kind):
    path = str(tmp_path / "notify")
    manager = keep(Manager(path if kind == "path" else "\0" + path))
    gateway = start(config(server), env={"NOTIFY_SOCKET": path if kind == "path" else "@" + path})
    assert manager.take()["READY"] == "1"
    gateway.signal(signal.SIGHUP)
    message = manager.take_until("RELOADING")
    assert message["RELOADING"] == "1" and int(message["MONOTONIC_USEC"]) > 0
    assert manager.take_until("READY")["READY"] == "1"
    gateway.wait_event("reloaded")
    gateway.write("nonsense: [")
    gateway.signal(signal.SIGHUP)
    manager.take_until("RELOADING")
    assert manager.take_until("READY")["READY"] == "1"
    gateway.wait_event("reload_failed")
    gateway.connect().upgrade()
    assert "1 session" in manager.take_until("STATUS")["STATUS"]
    gateway.close_clients()
    gateway.terminate()
    assert manager.take_until("STOPPING")["STOPPING"] == "1"
    assert gateway.wait() == 0


def test_the_watchdog_hears_and_a_worker_that_hangs_is_killed(start, server, keep, tmp_path):
    """The manager would end all of it; one worker's sessions are enough."""
    manager = keep(Manager(str(tmp_path / "notify")))
    interval_us = int(2_000_000 * SCALE)
    gateway = start(
        config(server), env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(interval_us)}
    )
    for _ in range(3):
        manager.take_until("WATCHDOG")
    (worker, other) = gateway.workers()
    os.kill(worker, signal.SIGSTOP)
    assert gateway.wait_event("worker_stuck")["pid"] == str(worker)
    gateway.wait_event("worker_died")
    until(lambda: len(gateway.workers()) == 2, "another in its place")
    assert other in gateway.workers()
    for _ in range(3):
        manager.take_until("WATCHDOG")


def test_anothers_watchdog_is_not_ours(start, server, keep, tmp_path):
    manager = keep(Manager(str(tmp_path / "notify")))
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    gateway = start(config(server), env=env)
    manager.take_until("READY")
    gateway.terminate()
    manager.take_until("STOPPING")
    assert not [one for one in manager.heard if "WATCHDOG" in one]


def test_an_address_that_is_none(start, server):
    """It is not told, and runs."""
    start(config(server), env={"NOTIFY_SOCKET": "nonsense", "WATCHDOG_USEC": "x"}).connect().upgrade()


# Socket activation


def handed_over(sockets, names):
    """What a manager does between fork and exec: the sockets from 3 on, and its own pid in the environment."""
    fds = [one.fileno() for one in sockets]

    def before():
        high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)
            os.close(fd)
            os.set_inheritable(3 + i, True)

    env = {"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(names)}
    return before, env


class Activated(Gateway):
    """Started by a shell, which knows its pid before it becomes the gateway."""

    def __init__(self, folder, yaml, sockets, names):
        before, env = handed_over(sockets, names)
        fds = tuple(range(3, 3 + len(sockets)))
        shell = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")
        super().__init__(folder, yaml, prefix=shell, env=env, before=before, pass_fds=fds)


def listening(family=socket.AF_INET, address=("127.0.0.1", 0)):
    sock = socket.socket(family)
    sock.bind(address)
    sock.listen(100)
    return sock


def test_sockets_by_name(server, keep, tmp_path):
    web, more, unix = listening(), listening(), listening(socket.AF_UNIX, str(tmp_path / "s"))
    for one in (web, more, unix):
        keep(one)
    yaml = (
        f'workers: 2\nlisten: [{{address: "fd:web"}}, {{address: "fd:local"}}]\nroutes: {{target: "{server.url}"}}\n'
    )
    gateway = Activated(tmp_path, yaml, [web, unix, more], ["web", "local", "web"])
    try:
        for sock in (web, more):
            gateway.addresses = ["%s:%d" % sock.getsockname()]
            for _ in range(5):
                client = gateway.connect().upgrade()
                client.send_binary(b"x")
                assert client.take_payload(1) == b"x"
        gateway.addresses = [f"unix:{tmp_path}/s"]
        gateway.connect().upgrade()
        gateway.reload()
        gateway.connect().upgrade()
    finally:
        gateway.stop()
    assert os.path.exists(tmp_path / "s"), "the file is the manager's"


def test_small_messages_leave_at_once_also_where_the_manager_did_not_ask_for_it(server, keep, tmp_path):
    """What is accepted has the options of the socket that it came through."""
    web, unix = keep(listening()), keep(listening(socket.AF_UNIX, str(tmp_path / "s")))
    assert web.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
    yaml = f'listen: [{{address: "fd:web"}}, {{address: "fd:local"}}]\nroutes: {{target: "{server.url}"}}\n'
    gateway = Activated(tmp_path, yaml, [web, unix], ["web", "local"])
    try:
        assert web.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    finally:
        gateway.stop()


def test_a_name_that_did_not_come(server, keep, tmp_path):
    web = keep(listening())
    yaml = f'listen: {{address: "fd:wbe"}}\nroutes: {{target: "{server.url}"}}\n'
    with pytest.raises(AssertionError) as fault:
        Activated(tmp_path, yaml, [web], ["web"])
    assert "fd:wbe" in str(fault.value) and "web" in str(fault.value)
