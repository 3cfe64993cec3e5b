"""Several workers under one supervisor: who serves what, deaths, privileges, and what is left when it goes."""

import os
import pwd
import re
import signal
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from lib.env import COUNTED, SANITIZED, UNDER_VALGRIND
from lib.target import echo
from lib.wait import peer_inode, until
from lib.gateway import children
from lib.ws import request

CONFIG = """
workers: {workers}
listen: {{address: 127.0.0.1:0}}
routes: {{name: r, target: "{url}"}}
{more}
"""


def config(server, workers=2, more=""):
    return CONFIG.format(workers=workers, url=server.url, more=more)


@pytest.fixture
def server(target):
    return target().serve(echo)


def owner(gateway, client):
    """The worker that has accepted `client`: the one whose descriptors name its socket."""
    name = f"socket:[{peer_inode(client.raw)}]"
    for pid in gateway.workers():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{fd}") == name:
                    return pid
            except OSError:
                pass
    raise AssertionError(f"nobody has {client.name}")


def open_on_each(gateway, n=2):
    """A session on each of `n` workers, by pid."""
    found = {}
    for _ in range(200):
        client = gateway.connect().upgrade()
        found.setdefault(owner(gateway, client), client)
        if len(found) == n:
            return found
    raise AssertionError("one worker gets all connections")


def echoes(client, text=b"hello"):
    client.send_binary(text)
    assert client.take_payload(len(text)) == text


def test_ready_names_the_workers(start, server):
    gateway = start(config(server, 3))
    assert gateway.ready["workers"] == "3"
    assert len(gateway.workers()) == 3
    assert len(gateway.events("ready")) == 1


def test_auto_is_one_a_cpu(start, server):
    gateway = start(config(server, "auto"))
    assert gateway.ready["workers"] == str(len(os.sched_getaffinity(0)))


def test_nothing_takes_the_place_of_a_closed_standard_error(start, server, tmp_path):
    """Else log lines are written to the first thing that was opened, which all processes share."""
    log = tmp_path / "log"
    prefix = ("sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh")
    gateway = start(config(server, 1, f"log: {{output: {log}}}"), prefix=prefix, wait_ready=False)
    until(lambda: log.exists() and " ready " in log.read_text(encoding="utf-8"), "the start")
    for pid in (gateway.pid, *gateway.workers()):
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}


def test_all_workers_serve(start, server):
    for client in open_on_each(start(config(server, 3)), 3).values():
        echoes(client)


def test_a_death_ends_its_own_sessions_only(start, server):
    gateway = start(config(server))
    clients = open_on_each(gateway)
    (victim, lost), (other, kept) = clients.items()
    os.kill(victim, signal.SIGKILL)
    died = gateway.wait_event("worker_died", pid=victim)
    assert (died["signal"], died["level"]) == ("9", "error")
    with pytest.raises((AssertionError, OSError)):
        lost.take(1)
    echoes(kept)
    for _ in range(20):  # also those that hash to the queue of the dead one
        echoes(gateway.connect().upgrade())
    until(lambda: len(gateway.workers()) == 2, "another worker")
    assert other in gateway.workers() and victim not in gateway.workers()


def test_connections_wait_for_the_next_worker(start, server):
    """The queue of a dead worker is the supervisor's as well."""
    gateway = start(config(server, 1))
    for _ in range(5):
        (victim,) = gateway.workers()
        os.kill(victim, signal.SIGSTOP)
        waiting = [gateway.connect() for _ in range(10)]
        for one in waiting:
            one.send(request())
        os.kill(victim, signal.SIGKILL)
        for one in waiting:
            assert one.take_answer().status == 101
            one.close()


def test_one_that_dies_at_once_is_started_later_and_later(start, server):
    gateway = start(config(server, 1))
    (victim,) = gateway.workers()
    for n in range(4):
        os.kill(victim, signal.SIGKILL)
        gateway.wait_event("worker_died", n + 1)
        (victim,) = until(lambda old=victim: [one for one in gateway.workers() if one != old], "the next worker")
    echoes(gateway.connect().upgrade())


def test_a_worker_takes_no_orders_from_signals(start, server):
    gateway = start(config(server))
    clients = open_on_each(gateway)
    for pid in gateway.workers():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(pid, number)
    for client in clients.values():
        echoes(client)
    assert set(gateway.workers()) == set(clients)


def test_workers_hold_nothing_of_each_other(start, server):
    """Neither listening sockets nor pairs: an end would not be seen at the other side."""
    gateway = start(config(server, 4))
    counts = {len(os.listdir(f"/proc/{pid}/fd")) for pid in gateway.workers()}
    assert len(counts) == 1
    listening = [
        os.readlink(f"/proc/{pid}/fd/{fd}")
        for pid in gateway.workers()
        for fd in os.listdir(f"/proc/{pid}/fd")
        if "socket" in os.readlink(f"/proc/{pid}/fd/{fd}")
    ]
    assert len(set(listening)) == len(listening), "a socket is in two of them"


def test_orphans_serve_to_the_end(start, server):
    gateway = start(config(server))
    clients = open_on_each(gateway)
    workers = gateway.workers()
    for pid in workers:  # what a worker takes no notice of is not kept for the orphan
        os.kill(pid, signal.SIGTERM)
    gateway.process.kill()
    gateway.process.wait()
    gateway.wait_event("orphaned", 2)
    for client in clients.values():
        echoes(client)
    with pytest.raises(ConnectionRefusedError):
        gateway.connect()
    for client in gateway.clients:
        client.close()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), "the workers to end")
    gateway.reader.join()
    gateway.stopped = True


def test_an_orphan_ends_by_a_signal(start, server):
    gateway = start(config(server, 1))
    client = gateway.connect().upgrade()
    (worker,) = gateway.workers()
    gateway.process.kill()
    gateway.process.wait()
    gateway.wait_event("orphaned")
    os.kill(worker, signal.SIGTERM)
    assert client.take_closing()[1] == 1012
    client.close()
    gateway.wait_event("session_end", cause="drain", code=1012)
    gateway.reader.join()
    gateway.stopped = True


def test_limits_count_all_workers(start, server):
    gateway = start(config(server, 3, "limits: {sessions: 5, sessions_per_client: 4}"))
    statuses = []
    for _ in range(12):
        answer = gateway.connect().ask(request())
        statuses.append(answer.status)
    assert sorted(statuses) == [101] * 4 + [429] * 8


def test_a_unix_listener_is_shared(start, server, tmp_path):
    yaml = config(server, 2).replace("127.0.0.1:0", f"unix:{tmp_path}/s")
    gateway = start(yaml)
    for _ in range(20):
        echoes(gateway.connect().upgrade())
    gateway.stop()
    assert not os.path.exists(f"{tmp_path}/s")


# Privileges

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")


@root
@pytest.mark.skipif(COUNTED, reason="that user cannot write the counts")
def test_workers_run_as_the_user(start, server, certs, tmp_path):
    """With a key that root alone can read, also for a worker that is started later, and behind a reload."""
    env = {"ASAN_OPTIONS": "detect_leaks=0"} if SANITIZED else {}  # which has to trace the process
    nobody = pwd.getpwnam("nobody")
    key, cert = tmp_path / "k.key", tmp_path / "k.crt"
    key.write_bytes((certs / "server.key").read_bytes())
    cert.write_bytes((certs / "server.crt").read_bytes())
    os.chmod(key, 0o600)
    yaml = f"""
        workers: 2
        user: nobody
        listen: {{address: 127.0.0.1:0, tls: {{certificates: {{cert: "{cert}", key: "{key}"}}}}}}
        routes: {{target: "{server.url}"}}
        """
    tls = ssl.create_default_context(cafile=certs / "ca.crt")
    gateway = start(yaml, env=env)

    def look():
        for pid in until(lambda: len(gateway.workers()) == 2 and gateway.workers()):
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
            assert fields["Uid"].split() == [str(nobody.pw_uid)] * 4
            assert fields["Gid"].split() == [str(nobody.pw_gid)] * 4
            assert set(fields["Groups"].split()) <= {str(one) for one in os.getgrouplist("nobody", nobody.pw_gid)}
            assert fields["NoNewPrivs"] == "1"
            assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
        echoes(gateway.connect(tls=tls).upgrade())

    look()
    os.kill(gateway.workers()[0], signal.SIGKILL)
    gateway.wait_event("worker_died")
    look()
    old = set(gateway.workers())
    gateway.signal(signal.SIGHUP)
    gateway.wait_event("reloaded")
    for client in gateway.clients:
        client.close()
    until(lambda: not old & set(gateway.workers()), "the old workers to end")
    look()


def private_number(key):
    """Bytes of a key's secret, as OpenSSL's numbers and as the file's have them, and as the file spells them."""
    command = ["openssl", "pkey", "-in", str(key), "-noout", "-text"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    block = re.search(r"^(?:priv|prime1):\n((?:\s+[0-9a-f:]+\n)+)", text, re.M)[1]
    number = bytes.fromhex(re.sub(r"[\s:]", "", block)).lstrip(b"\0")
    return number[::-1][:24], number[:24], key.read_bytes().splitlines()[1][:48]


def count_in_memory(pid, wanted):
    found = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            bounds, rights = line.split()[:2]
            begin, end = (int(one, 16) for one in bounds.split("-"))
            if rights.startswith("rw-p"):
                memory.seek(begin)
                found += memory.read(end - begin).count(wanted)
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="reads other processes' memory")
@pytest.mark.skipif(SANITIZED or UNDER_VALGRIND, reason="those keep memory that was given back")
def test_keys_are_where_they_are_needed_and_once(start, server, certs):
    tls = f"tls: {{certificates: {{cert: {certs}/server.crt, key: {certs}/server.key}}}}"
    yaml = config(server, 1, "admin: {address: 127.0.0.1:0}").replace("127.0.0.1:0}", f"127.0.0.1:0, {tls}}}", 1)
    gateway = start(yaml)
    number, other_way, text = private_number(Path(certs) / "server.key")
    for _ in range(3):
        gateway.reload()
    (worker,) = until(lambda: len(gateway.workers()) == 1 and gateway.workers(), "the old ones to end")
    (admin,) = children(gateway.pid, "sluice admin")
    assert count_in_memory(worker, number) == 1
    assert count_in_memory(admin, number) == 0
    for pid in (gateway.pid, worker, admin):
        assert count_in_memory(pid, other_way) == count_in_memory(pid, text) == 0


def test_a_user_that_is_not_there(start, server):
    with pytest.raises(AssertionError, match="the gateway ended"):
        start(config(server, 1, "user: no-such-user"))


@pytest.mark.skipif(os.geteuid() != 0 or UNDER_VALGRIND, reason="needs root to become somebody who may not")
def test_only_root_can_change_the_user(start, server, tmp_path):
    def become():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    os.chmod(tmp_path, 0o755)
    with pytest.raises((AssertionError, PermissionError)):
        start(config(server, 1, "user: root"), before=become)


# TLS


def test_sessions_resume_on_any_worker_and_behind_a_reload(start, server, certs, trust):
    gateway = start(
        f"""
        workers: 3
        listen:
          address: 127.0.0.1:0
          tls: {{certificates: {{cert: "{certs}/server.crt", key: "{certs}/server.key"}}}}
        routes: {{target: "{server.url}"}}
        """
    )

    def ticket(version):
        trust.maximum_version = version
        client = gateway.connect(tls=trust).upgrade()
        echoes(client)  # behind which a TLS 1.3 ticket has come
        return client.sock.session

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        session = ticket(version)
        owners = set()
        for _ in range(60):
            client = gateway.connect(tls=trust, session=session)
            assert client.sock.session_reused
            owners.add(owner(gateway, client))
            echoes(client.upgrade())
        assert len(owners) == 3
        gateway.signal(signal.SIGHUP)
        gateway.wait_event("reloaded", 1 if version == ssl.TLSVersion.TLSv1_2 else 2)
        assert gateway.connect(tls=trust, session=session).sock.session_reused
    trust.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED


def test_a_storm_of_deaths(start, server):
    """Connections keep coming while workers die; each that was not on a dead one gets its answer."""
    gateway = start(config(server, 2))
    stop = threading.Event()
    served = []

    def storm():
        while not stop.is_set():
            try:
                client = gateway.connect()
                client.upgrade()
                echoes(client)
                served.append(client)
                client.close()
            except (AssertionError, ConnectionResetError, BrokenPipeError, TimeoutError):
                client.close()

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(6):
        pids = until(gateway.workers)
        os.kill(pids[n % len(pids)], signal.SIGKILL)
        gateway.wait_event("worker_died", n + 1)
        before = len(served)
        until(lambda mark=before: len(served) > mark + 3, "new sessions")
    stop.set()
    for thread in threads:
        thread.join()
    assert children(gateway.pid, "sluice worker")
