"""SIGHUP: a new configuration serves, the sessions of the old one live on, and a bad one changes nothing.
SLUICE_STREAM_SESSIONS=1000 has as many sessions and 100 reloads, and 1,000 reloads and deaths for the memory."""

import os
import re
import selectors
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
from lib.env import DEADLINE, ROOT, SCALE, SLUICE
from lib.gateway import children
from lib.pattern import Pattern
from lib.stream import FIN
from lib.target import echo
from lib.wait import until
from lib.ws import BINARY, frame, request

HEAVY = int(os.environ.get("SLUICE_STREAM_SESSIONS", "0"))
SESSIONS = HEAVY or 100
RELOADS = 100 if HEAVY >= 1000 else 15
ROUNDS = 1000 if HEAVY >= 1000 else 60


@pytest.fixture
def server(target):
    return target().serve(echo)


def config(server, workers=2, more="", listen="127.0.0.1:0"):
    return f'workers: {workers}\nlisten: {{address: "{listen}"}}\nroutes: {{name: r, target: "{server.url}"}}\n{more}\n'


def echoes(client, text=b"hello"):
    client.send_binary(text)
    assert client.take_payload(len(text)) == text


def gone(gateway, pids):
    until(lambda: not set(pids) & set(gateway.workers()), "the old workers to end")


# Sessions that stream through it


class EchoAll(threading.Thread):
    """A target for many connections, in one thread."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(4096)
        self.listener.setblocking(False)
        self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.over = False
        self.start()

    def run(self):
        kept = {}
        while not self.over:
            for key, _ in self.selector.select(0.2):
                if key.fileobj is self.listener:
                    try:
                        sock, _ = self.listener.accept()
                    except BlockingIOError:
                        continue
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    kept[sock] = bytearray()
                    self.selector.register(sock, selectors.EVENT_READ)
                    continue
                self.serve(key.fileobj, kept)
        for sock in kept:
            sock.close()
        self.listener.close()

    def serve(self, sock, kept):
        data = kept[sock]
        try:
            if len(data) < 1 << 20:
                try:
                    more = sock.recv(65536)
                    if not more:
                        raise ConnectionResetError
                    data += more
                except BlockingIOError:
                    pass
            if data:
                del data[: sock.send(data)]
        except BlockingIOError:
            pass
        except OSError:
            self.selector.unregister(sock)
            sock.close()
            del kept[sock]
            return
        self.selector.modify(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if data else 0))

    def close(self):
        self.over = True
        self.join()


class Streaming(threading.Thread):
    """Sessions that send a piece, get it back, check it by its position, and send the next."""

    PIECE = 5000

    def __init__(self, clients):
        super().__init__(daemon=True)
        self.clients = clients
        self.rounds = [0] * len(clients)
        self.fault = None
        self.over = False
        self.start()

    def run(self):
        try:
            self.stream()
        except BaseException as fault:  # pylint: disable=broad-except
            self.fault = fault

    def send(self, n):
        pattern, position = Pattern(n), self.rounds[n] * self.PIECE
        self.clients[n].sock.sendall(frame(BINARY, pattern.at(position, self.PIECE), mask=bytes(4)))

    def stream(self):
        selector = selectors.DefaultSelector()
        heard = [b""] * len(self.clients)
        for n, client in enumerate(self.clients):
            selector.register(client.sock, selectors.EVENT_READ, n)
            self.send(n)
        waiting = len(self.clients)
        while waiting:
            for key, _ in selector.select(DEADLINE):
                n = key.data
                data = self.clients[n].sock.recv(65536)
                assert data, f"session {n} ended after {self.rounds[n]} rounds"
                heard[n] += data
                payload, rest = self.payloads(heard[n])
                if len(payload) < self.PIECE:
                    continue
                assert rest == b""
                Pattern(n).check(self.rounds[n] * self.PIECE, payload)
                heard[n] = b""
                self.rounds[n] += 1
                if self.over:
                    waiting -= 1
                    selector.unregister(key.fileobj)
                else:
                    self.send(n)

    @staticmethod
    def payloads(data):
        """The payload of the frames that are whole."""
        payload, at = b"", 0
        while len(data) - at >= 4:
            assert data[at] & 0x0F in (0, BINARY), data[at]
            length, head = data[at + 1], 2
            if length == 126:
                (length,) = struct.unpack_from("!H", data, at + 2)
                head = 4
            if len(data) - at < head + length:
                break
            payload += data[at + head : at + head + length]
            at += head + length
        return payload, data[at:]

    def finish(self):
        self.over = True
        self.join(DEADLINE * 3)
        if self.fault:
            raise self.fault
        assert not self.is_alive(), "sessions stand still"


class Storm(threading.Thread):
    """Connects, upgrades, echoes and closes, again and again; all of it has to work each time."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.gateway = gateway
        self.served = 0
        self.fault = None
        self.over = False
        self.start()

    def run(self):
        try:
            while not self.over:
                client = self.gateway.connect()
                client.upgrade()
                echoes(client, b"%d" % self.served)
                client.send_close(1000)
                client.take_closing()
                client.close()
                self.gateway.clients.remove(client)
                self.served += 1
        except BaseException as fault:  # pylint: disable=broad-except
            self.fault = fault

    def finish(self):
        self.over = True
        self.join(DEADLINE)
        if self.fault:
            raise self.fault


def test_sessions_stream_through_reloads(start, keep):
    """None ends, none loses a byte, no connection is refused or reset."""
    server = keep(EchoAll())
    gateway = start(config(server, 2, "timeouts: {ping: off}\nlimits: {sessions: 10000}"))
    streaming = Streaming([gateway.connect().upgrade() for _ in range(SESSIONS)])
    storms = [Storm(gateway) for _ in range(3)]
    for _ in range(RELOADS):
        mark = sum(storm.served for storm in storms)
        gateway.reload()
        until(lambda m=mark: sum(one.served for one in storms) > m + 3 or any(one.fault for one in storms), "the storm")
        assert not streaming.fault
    for storm in storms:
        storm.finish()
    streaming.finish()
    assert min(streaming.rounds) > 0
    for client in streaming.clients:
        client.send_close(1000)
        assert client.take_closing()[1] == 1000
        client.close()
    until(lambda: len(gateway.events("session_end")) == SESSIONS + sum(one.served for one in storms), "the ends")
    assert {one["cause"] for one in gateway.events("session_end")} == {"client_close"}
    assert not gateway.events("worker_died") and not gateway.events("reload_failed")
    until(lambda: len(gateway.workers()) == 2, "the old workers to end")


# What changes


def test_the_new_configuration_serves_and_old_sessions_live_on(start, server, target):
    def greet(stream):
        stream.send(b"new")
        stream.take_rest()
        stream.close()

    other = target().serve(greet)
    gateway = start(config(server, 1))
    old = gateway.connect().upgrade()
    workers = gateway.workers()
    event = gateway.reload(config(other, 1))
    assert (event["generation"], event["workers"]) == ("2", "1")
    assert gateway.connect().upgrade().take_payload(3) == b"new"
    echoes(old)
    assert set(workers) <= set(gateway.workers())
    old.close()
    gone(gateway, workers)
    assert len(gateway.events("ready")) == 1


@pytest.mark.parametrize(
    "bad, wanted",
    [
        ('listen: {address: "127.0.0.1:0"}\nroutes: {target: 5}\nrouts: 1\n', [":2:", ":3:1: routs: unknown key"]),
        ("listen: [", [":2:1: bad YAML"]),
    ],
)
def test_a_bad_configuration_changes_nothing(start, server, bad, wanted):
    gateway = start(config(server))
    client = gateway.connect().upgrade()
    workers = gateway.workers()
    gateway.file.write_text(bad, encoding="utf-8")
    gateway.signal(signal.SIGHUP)
    gateway.wait_event("reload_failed", len(wanted))
    faults = [one["fault"] for one in gateway.events("reload_failed")]
    for fault, part in zip(sorted(faults), wanted):
        assert str(gateway.file) + part in fault, faults
    assert {one["level"] for one in gateway.events("reload_failed")} == {"error"}
    echoes(client)
    echoes(gateway.connect().upgrade())
    assert gateway.workers() == workers
    gateway.reload(config(server))


@pytest.mark.parametrize(
    "routes, fault",
    [
        ('{path: /*, files: "gone"}', ":2:27: routes[0].files: "),
        ('{target: "tls://127.0.0.1:1", target_tls: {ca: "gone.crt"}}', ":2:56: routes[0].target_tls.ca: "),
    ],
)
def test_what_the_file_names_is_looked_at_first(start, server, routes, fault):
    """In the words of `sluice check`; a start goes by it, too."""
    gateway = start(config(server))
    bad = f'listen: {{address: "127.0.0.1:0"}}\nroutes: {routes}\n'
    gateway.file.write_text(bad, encoding="utf-8")
    gateway.signal(signal.SIGHUP)
    told = gateway.wait_event("reload_failed")["fault"]
    assert told.startswith(str(gateway.file) + fault)
    echoes(gateway.connect().upgrade())
    for command in ["check"], []:
        done = subprocess.run([SLUICE, *command, "-c", gateway.file], capture_output=True, check=False)
        assert (done.returncode, done.stderr.decode()) == (2, told + "\n")


def test_no_file(start, server):
    gateway = start(config(server))
    gateway.file.unlink()
    gateway.signal(signal.SIGHUP)
    assert "cannot be read" in gateway.wait_event("reload_failed")["fault"]
    echoes(gateway.connect().upgrade())


def test_without_a_file_there_is_nothing_to_reload(start, server):
    gateway = start(arguments=["127.0.0.1:0", server.url.removeprefix("tcp://")])
    gateway.signal(signal.SIGHUP)
    assert "no configuration file" in gateway.wait_event("reload_failed")["fault"]
    echoes(gateway.connect().upgrade())


def test_an_address_that_is_taken(start, server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway = start(config(server))
        before = len(os.listdir(f"/proc/{gateway.pid}/fd"))
        gateway.write(config(server, listen="127.0.0.1:%d" % taken.getsockname()[1]))
        gateway.signal(signal.SIGHUP)
        assert gateway.wait_event("reload_failed")["fault"].startswith(f"{gateway.file}:2:9: cannot listen on ")
        echoes(gateway.connect().upgrade())
        assert len(os.listdir(f"/proc/{gateway.pid}/fd")) == before


def test_another_gateway_does_not_share_the_address(start, server):
    gateway = start(config(server))
    host, port = gateway.address()
    with pytest.raises(AssertionError, match="ended before ready"):
        start(config(server, listen=f"{host}:{port}"))
    echoes(gateway.connect().upgrade())


def test_admin_keeps_its_port(start, server):
    """Where both ask for any port, and the listener then for another, and then for two."""
    admin = "admin: {address: 127.0.0.1:0}"
    gateway = start(config(server, 2, admin))
    bound = gateway.ready["admin"]
    event = gateway.reload(config(server, 2, admin, f"127.0.0.1:{free_port()}"))
    assert event["admin"] == bound
    two = "listen: [{address: 127.0.0.1:0}, {address: 127.0.0.1:0}]"
    event = gateway.reload(f"{two}\nroutes: {{target: '{server.url}'}}\n{admin}\n")
    assert event["admin"] == bound
    assert bound not in event["listen"].split(",")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_listeners_come_and_go(start, server, tmp_path):
    one, two = free_port(), free_port()
    route = f'routes: {{target: "{server.url}"}}\nworkers: 2\n'
    gateway = start(f"listen: [{{address: '127.0.0.1:{one}'}}, {{address: 'unix:{tmp_path}/a'}}]\n{route}")
    old = gateway.connect().upgrade()
    gateway.reload(f"listen: [{{address: '127.0.0.1:{two}'}}, {{address: 'unix:{tmp_path}/b'}}]\n{route}")
    echoes(old)
    gateway.addresses = [f"127.0.0.1:{two}", f"unix:{tmp_path}/b"]
    echoes(gateway.connect(0).upgrade())
    echoes(gateway.connect(1).upgrade())
    assert not os.path.exists(tmp_path / "a")

    def refused():
        try:
            socket.create_connection(("127.0.0.1", one)).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        return False

    until(refused, "the old address to be given up")
    # back to the first, and over both: an address that overlaps one that is listened on
    gateway.reload(f"listen: [{{address: '127.0.0.1:{one}'}}, {{address: ':{two}'}}]\n{route}")
    gateway.addresses = [f"127.0.0.1:{one}", f"127.0.0.1:{two}"]
    echoes(gateway.connect(0).upgrade())
    echoes(gateway.connect(1).upgrade())
    assert not os.path.exists(tmp_path / "b")


def test_what_waits_at_an_address_that_goes_is_taken(start, server):
    """By the old workers, which are the only ones who can."""
    port = free_port()
    gateway = start(config(server, 1, listen=f"127.0.0.1:{port}"))
    (worker,) = gateway.workers()
    os.kill(worker, signal.SIGSTOP)
    waiting = [gateway.connect() for _ in range(10)]
    gateway.reload(config(server, 1))
    os.kill(worker, signal.SIGCONT)
    for client in waiting:
        echoes(client.upgrade())


def test_the_number_of_workers_changes(start, server):
    gateway = start(config(server, 1))
    port = gateway.address()[1]
    for workers in (4, 2, 1, 3, 1):
        event = gateway.reload(config(server, workers))
        assert event["workers"] == str(workers)
        until(lambda n=workers: len(gateway.workers()) == n, "the workers")
        for _ in range(30):  # some to every queue that there ever was
            client = gateway.connect().upgrade()
            echoes(client)
            client.close()
        assert gateway.address()[1] == port


def test_a_certificate_is_replaced(start, server, certs, tmp_path):
    for kind in ("crt", "key"):
        (tmp_path / f"tls.{kind}").write_bytes((certs / f"server.{kind}").read_bytes())
    tls = f'tls: {{certificates: {{cert: "{tmp_path}/tls.crt", key: "{tmp_path}/tls.key"}}}}'
    yaml = f'listen: {{address: 127.0.0.1:0, {tls}}}\nroutes: {{target: "{server.url}"}}\n'
    gateway = start(yaml)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def shown():
        client = gateway.connect(tls=context)
        return client.sock.getpeercert(True)

    first = shown()
    old = gateway.connect(tls=context).upgrade()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", tmp_path / "tls.key", "-out", tmp_path / "tls.crt"],
        check=True, capture_output=True, cwd=ROOT,
    )  # fmt: skip
    assert shown() == first
    gateway.reload()
    assert shown() != first
    echoes(old)
    # a bad one is told with its place, and the one in use stays
    (tmp_path / "tls.crt").write_text("nonsense", encoding="ascii")
    second = shown()
    gateway.signal(signal.SIGHUP)
    assert f"{gateway.file}:1:" in gateway.wait_event("reload_failed")["fault"]
    assert shown() == second


def test_a_ticket_does_not_open_another_door(start, server, certs, trust):
    """A session of a listener that asks for no certificate does not resume where one is required, nor one
    that was vouched for by an authority which is no more."""
    pair = f'certificates: {{cert: "{certs}/server.crt", key: "{certs}/server.key"}}'

    def yaml(authority):
        ca = f', client_ca: "{authority}"' if authority else ""
        return f'listen: {{address: 127.0.0.1:0, tls: {{{pair}{ca}}}}}\nroutes: {{target: "{server.url}"}}\n'

    gateway = start(yaml(None))
    client = gateway.connect(tls=trust).upgrade()
    echoes(client)
    session = client.sock.session
    assert gateway.connect(tls=trust, session=session).sock.session_reused
    gateway.reload(yaml(certs / "ca.crt"))
    with pytest.raises((ssl.SSLError, AssertionError, ConnectionResetError)):
        gateway.connect(tls=trust, session=session).upgrade()


def test_hups_are_merged(start, server):
    gateway = start(config(server))
    for _ in range(50):
        gateway.signal(signal.SIGHUP)
    gateway.wait_event("reloaded")
    gateway.reload()
    assert len(gateway.events("reloaded")) < 52
    echoes(gateway.connect().upgrade())


def test_a_new_worker_that_dies_at_once(start, server, tmp_path):
    """The old configuration serves on."""
    gateway = start(config(server, 1))
    (worker,) = gateway.workers()
    stop = threading.Event()

    def kill_newcomers():
        while not stop.is_set():
            for pid in gateway.workers():
                if pid != worker:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass

    thread = threading.Thread(target=kill_newcomers)
    thread.start()
    try:
        for _ in range(300):
            gateway.signal(signal.SIGHUP)
            if until(lambda: gateway.events("reload_failed") or gateway.events("reloaded")):
                break
    finally:
        stop.set()
        thread.join()
    # Whichever came first: somebody serves, and the next one goes well.
    echoes(gateway.connect().upgrade())
    gateway.reload()
    echoes(gateway.connect().upgrade())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_kept_connection_of_files_ends_in_order(start, certs, trust, tmp_path, scheme):
    """Its worker retires: a FIN, and over TLS close_notify before it, however many requests there were."""
    tls = f', tls: {{certificates: {{cert: "{certs}/server.crt", key: "{certs}/server.key"}}}}'
    page = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"
    (tmp_path / "page").write_text("a page", encoding="ascii")
    gateway = start(
        f"""
        listen: {{address: 127.0.0.1:0{tls if scheme == "https" else ""}}}
        routes: {{files: "{tmp_path}"}}
        """
    )
    kept = [gateway.connect(tls=trust if scheme == "https" else None) for _ in range(20)]
    for n, client in enumerate(kept):
        for _ in range(n % 3 + 1):
            assert client.ask(page).status == 200
    gateway.reload()
    for client in kept:
        assert client.take_rest() == (b"", FIN)


def test_the_log_moves(start, server, tmp_path):
    """To a file and, renamed, to a new one at USR1, in every process."""
    log = tmp_path / "log"
    gateway = start(config(server, 2))
    gateway.write(config(server, 2, f'log: {{output: "{log}"}}'))
    gateway.signal(signal.SIGHUP)
    until(lambda: log.exists() and "reloaded" in log.read_text("ascii"))
    for _ in range(6):
        client = gateway.connect().upgrade()
        client.close()
    until(lambda: log.read_text("ascii").count("session_end") == 6, "six sessions")
    log.rename(tmp_path / "log.1")
    gateway.signal(signal.SIGUSR1)
    until(lambda: log.exists() and "log_reopened" in log.read_text("ascii"), "the new file")
    for n in range(20):
        client = gateway.connect().upgrade()
        client.close()
        until(
            lambda n=n: (log.read_text("ascii") + (tmp_path / "log.1").read_text("ascii")).count("session_end") == 7 + n
        )
    until(lambda: log.read_text("ascii").count("session_end") > 0, "sessions in the new file")


def test_the_log_of_old_workers_moves(start, server, tmp_path):
    """A file that the configuration in force does not name, and that they still write to."""
    old, new = tmp_path / "old", tmp_path / "new"
    gateway = start(config(server, 1, f"log: {{output: {old}}}"), wait_ready=False)

    def ends(file):
        return file.read_text("ascii").count("session_end") if file.exists() else 0

    until(lambda: old.exists() and " ready " in old.read_text("ascii"))
    gateway.addresses = re.search(r" listen=(\S+)", old.read_text("ascii")).group(1).split(",")
    living = [gateway.connect().upgrade() for _ in range(30)]
    gateway.write(config(server, 1, f"log: {{output: {new}}}"))
    gateway.signal(signal.SIGHUP)
    until(lambda: new.exists() and "reloaded" in new.read_text("ascii"))
    living.pop().close()
    until(lambda: ends(old) == 1, "the old file to be its workers'")
    for file in (old, new):
        file.rename(f"{file}.1")
    gateway.signal(signal.SIGUSR1)
    until(old.exists, "the old file")
    until(new.exists, "the new file")
    while living and ends(old) == 0:  # the worker may hear of it later than we see it
        before = ends(tmp_path / "old.1")
        living.pop().close()
        until(lambda n=before: ends(old) + ends(tmp_path / "old.1") > n, "its line")
    assert ends(old) == 1, "a line in the file that was reopened"


# Years of it


def test_the_log_moves_in_the_middle_of_a_reload(start, server, tmp_path):
    """The new configuration's log was open already, and is reopened with the old one's."""
    log = tmp_path / "log"
    gateway = start(config(server, 4, f"log: {{output: {log}}}"), wait_ready=False)

    def lines():
        return log.read_text(encoding="utf-8") if log.exists() else ""

    def processes():  # also those that have not called themselves worker yet
        with open(f"/proc/{gateway.pid}/task/{gateway.pid}/children", encoding="ascii") as file:
            return set(file.read().split())

    until(lambda: " ready " in lines(), "the start")
    for turn in range(50):
        before = lines().count(" reloaded ")
        old = processes()
        gateway.signal(signal.SIGHUP)
        while not (new := processes() - old):
            pass
        new = int(new.pop())
        os.kill(new, signal.SIGSTOP)
        log.rename(tmp_path / f"log.{turn}")
        gateway.signal(signal.SIGUSR1)
        until(lambda: "log_reopened" in lines(), "the new file")
        early = lines().count(" reloaded ") == 0
        os.kill(new, signal.SIGCONT)
        done = tmp_path / f"log.{turn}"
        if not early or done.read_text(encoding="utf-8").count(" reloaded ") > before:
            until(lambda: lines().count(" reloaded ") > 0 or done.read_text().count(" reloaded ") > before, "it")
            continue  # it was ready before it could be stopped
        until(lambda: " reloaded " in lines(), "the reload's line in the new file")
        return
    raise AssertionError("a new worker cannot be stopped in time")


def test_the_supervisor_stays_small(start, server, certs):
    """Its memory and its descriptors, over reloads and deaths."""
    tls = f'tls: {{certificates: {{cert: "{certs}/server.crt", key: "{certs}/server.key"}}}}'
    more = f"  - {{address: 127.0.0.1:0, {tls}}}\n"
    gateway = start(
        f'workers: 2\nlisten:\n  - address: 127.0.0.1:0\n{more}routes: {{target: "{server.url}"}}\nlog: {{level: error}}\n',
        wait_ready=False,
    )
    until(lambda: len(gateway.workers()) == 2, "two workers")

    def look():
        return gateway.supervisor_rss_bytes(), len(os.listdir(f"/proc/{gateway.pid}/fd"))

    def rounds(count):
        for _ in range(count):
            old = set(gateway.workers())
            gateway.signal(signal.SIGHUP)
            until(lambda o=old: len(gateway.workers()) == 2 and not o & set(gateway.workers()), "new workers")
            died = len(gateway.events("worker_died"))
            os.kill(gateway.workers()[0], signal.SIGKILL)
            gateway.wait_event("worker_died", died + 1)
            until(lambda: len(gateway.workers()) == 2, "another worker")

    rounds(10)
    rss, fds = look()
    rounds(ROUNDS - 10)
    # what is in flight may hold a descriptor or two more for a moment
    until(lambda: look()[1] <= fds, "no descriptor more")
    if SCALE == 1:  # a sanitizer keeps what is freed
        assert look()[0] - rss < 512 << 10, look()


def test_deaths_and_reloads_at_once(start, server):
    gateway = start(config(server, 2))
    end = time.monotonic() + 3
    while time.monotonic() < end:
        gateway.signal(signal.SIGHUP)
        for pid in gateway.workers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    gateway.reload()
    until(lambda: len(gateway.workers()) == 2, "two workers")
    echoes(gateway.connect().upgrade())


# Revocation


def test_sessions_that_the_new_rules_would_not_admit_end(start, server):
    def yaml(routes, more="reload: {revoke: true}"):
        return f"workers: 2\nlisten: {{address: 127.0.0.1:0}}\nroutes:\n{routes}\n{more}\n"

    both = "\n".join(f'  - {{path: /{name}, target: "{server.url}"}}' for name in ("stays", "goes"))
    one = both.splitlines()[0]
    gateway = start(yaml(both))
    staying = [gateway.connect().upgrade("/stays") for _ in range(10)]
    going = [gateway.connect().upgrade("/goes") for _ in range(10)]
    gateway.reload(yaml(one, ""))  # without: everybody lives on
    for client in staying + going:
        echoes(client)
    gateway.reload(yaml(one))
    for client in going:
        assert client.take_closing()[1] == 1008
        client.close()
        assert gateway.session_end(client)["cause"] == "revoked"
    for client in staying:
        echoes(client)
    until(lambda: sum(int(one["sessions"]) for one in gateway.events("revoked")) == 10, "ten revoked")
    assert not gateway.events("revoked", sessions=0), "nothing is said where there is nothing to say"


def test_a_request_behind_the_revocation_is_judged_by_both(start, server):
    """Its connection was accepted by a worker of the old rules, and waited."""

    def yaml(names, more="reload: {revoke: true}\nlog: {level: debug}"):
        routes = "\n".join(f'  - {{path: /{name}, target: "{server.url}"}}' for name in names)
        return f"workers: 1\nlisten: {{address: 127.0.0.1:0}}\nroutes:\n{routes}\n{more}\n"

    gateway = start(yaml(["stays", "goes"]))
    kept = gateway.connect().upgrade("/stays")  # so that its worker lives on
    waiting = {path: gateway.connect() for path in ("/goes", "/stays", "/new")}
    echoes(gateway.connect().upgrade("/stays"))  # behind them in the queue: they have been accepted
    gateway.reload(yaml(["stays", "new"]))
    gateway.wait_event("revoked")
    statuses = {}
    for path, client in waiting.items():
        client.send(request(path))
        statuses[path] = client.take_answer().status
    assert statuses == {"/goes": 404, "/stays": 101, "/new": 404}
    echoes(waiting["/stays"])
    echoes(kept)


# The admin process


def test_the_admin_process_comes_back_and_follows(start, server):
    admin = "admin: {address: 127.0.0.1:0}"
    gateway = start(config(server, 2, admin))
    host, port = gateway.ready["admin"].rsplit(":", 1)

    def ask():
        try:
            with socket.create_connection((host, int(port)), DEADLINE) as sock:
                sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return sock.makefile("rb").readline()
        except ConnectionError:
            return b""

    assert b" 200 " in ask()
    (old,) = children(gateway.pid, "sluice admin")
    os.kill(old, signal.SIGKILL)
    gateway.wait_event("admin_died")
    assert b" 200 " in ask()
    (now,) = children(gateway.pid, "sluice admin")
    assert now != old
    gateway.reload()
    assert children(gateway.pid, "sluice admin") == [now], "it has not changed"
    gateway.reload(config(server, 2, admin + "\nlog: {level: debug}"))
    until(lambda: now not in children(gateway.pid, "sluice admin"), "one with the new log")
    assert b" 200 " in ask()
    gateway.reload(config(server, 2))
    until(lambda: not children(gateway.pid, "sluice admin"), "none")
    assert ask() == b""
