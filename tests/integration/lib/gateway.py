"""The binary under test: started on a configuration, its log read as it comes, ended and looked over."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from lib.env import DEADLINE, ROOT, SANITIZED, SLUICE, UNDER_VALGRIND
from lib.stream import tell_ragged
from lib.ws import Client

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PAIR = re.compile(r' ([a-z][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|[^ "=\\]+)')
ESCAPE = re.compile(r'\\(x[0-9a-fA-F]{2}|.)')
REPORTS = ("ERROR: AddressSanitizer", "runtime error:", "LeakSanitizer", "WARNING: ThreadSanitizer")


def unescape(value):
    """A quoted value's text; a byte above 127 comes as its Latin-1 character."""

    def one(match):
        what = match[1]
        if what[0] == "x" and len(what) == 3:
            return chr(int(what[1:], 16))
        assert what in 'n"\\', f"unknown escape {match[0]} in {value}"
        return "\n" if what == "n" else what

    return ESCAPE.sub(one, value)


def parse_line(line):
    """`TIME level event key=value ...` as a dict, or None where it is no such line."""
    parts = line.split(" ", 3)
    if len(parts) < 3 or not TIME.fullmatch(parts[0]) or parts[1] not in ("debug", "info", "warning", "error"):
        return None
    event = {"time": parts[0], "level": parts[1], "event": parts[2]}
    rest = line[len(parts[0]) + len(parts[1]) + len(parts[2]) + 2 :]
    at = 0
    while at < len(rest):
        match = PAIR.match(rest, at)
        if not match:
            return None
        value = match[2]
        event[match[1]] = unescape(value[1:-1]) if value[0] == '"' else value
        at = match.end()
    return event


def parse_json(line):
    """The same from `log: {format: json}`; numbers become text, so that tests compare alike."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return {key: str(value) if isinstance(value, (int, float)) else value for key, value in event.items()}


def run_sluice(*args, cwd=None, **kwargs):
    """A command that ends by itself."""
    return subprocess.run(
        [str(SLUICE), *map(str, args)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        **kwargs,
    )


def children(pid, name):
    """Processes of `pid` that call themselves `name`, the youngest last."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            text = Path(f"/proc/{entry}/stat").read_text(encoding="latin-1") if entry.isdigit() else ""
        except OSError:
            continue  # it has just ended
        comm, _, rest = text.partition(" (")[2].rpartition(") ")
        fields = rest.split()
        if comm == name and int(fields[1]) == pid and fields[0] != "Z":
            found.append((int(fields[19]), int(entry)))
    return [one for _, one in sorted(found)]


class Gateway:
    """A configuration that does not say how many workers there are gets one, so that a test sees all sessions
    of it in one process. `env` adds to the environment. `arguments` in place of a configuration starts the form
    without a file; `nofile` bounds its descriptors; `prefix` is a command that becomes the gateway.
    Without `wait_ready` (where the log does not say so) the addresses are the test's own affair."""

    def __init__(
        self,
        folder,
        yaml=None,
        *,
        arguments=None,
        nofile=None,
        wait_ready=True,
        env=None,
        pass_fds=(),
        before=None,
        prefix=(),
    ):
        self.folder = Path(folder)
        if arguments is None:
            self.file = self.folder / "sluice.yaml"
            self.write(yaml)
            arguments = ["-c", str(self.file)]
        command = [str(SLUICE), *arguments]
        if UNDER_VALGRIND:
            command = [
                "valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite",
                "--errors-for-leak-kinds=definite", f"--suppressions={ROOT}/tests/valgrind.supp", *command,
            ]  # fmt: skip

        command = [*prefix, *command]

        def limit():
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
            if before:
                before()

        # pylint: disable=subprocess-popen-preexec-fn
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            # Where no name server answers, a look-up still fails soon.
            env={**os.environ, "RES_OPTIONS": "timeout:1 attempts:1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=limit if nofile or before else None,
            pass_fds=pass_fds,
        )
        self.changed = threading.Condition()
        self.lines = []
        self.strays = []  # lines of standard error that are no log lines
        self.log = []
        self.ended = False
        self.clients = []
        self.stopped = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not wait_ready:
            return
        try:
            self.ready = self.wait_event("ready")
        except BaseException:
            self.process.kill()
            self.process.wait()
            self.stopped = True
            raise
        self.addresses = self.ready["listen"].split(",")

    def write(self, yaml):
        """The configuration that it starts with, or has from its next reload on."""
        if not re.search(r"^(workers:|\{)", yaml, re.MULTILINE):
            yaml = yaml.rstrip("\n") + "\nworkers: 1\n"
        if os.geteuid() != 0 and not re.search(r"^(sandbox:|\{)", yaml, re.MULTILINE):
            yaml = yaml.rstrip("\n") + "\nsandbox: off\n"  # or its descriptors are for root alone to see
        self.file.write_text(yaml, encoding="utf-8")

    # The log

    def _read(self):
        for raw in self.process.stderr:
            json_form = raw.startswith(b"{")
            line = raw.decode("utf-8" if json_form else "latin-1", "backslashreplace").rstrip("\n")
            event = parse_json(line) if json_form else parse_line(line)
            with self.changed:
                self.lines.append(line)
                if event is None:
                    self.strays.append(line)
                else:
                    self.log.append(event)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def events(self, name, **fields):
        """Those of the log so far."""
        want = {"event": name, **{key: str(value) for key, value in fields.items()}}
        with self.changed:
            return [one for one in self.log if all(one.get(key) == value for key, value in want.items())]

    def wait_event(self, name, count=1, **fields):
        """The `count`th line of that event with those fields, once it is there."""
        end = time.monotonic() + DEADLINE
        with self.changed:
            while True:
                found = self.events(name, **fields)
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    tail = "\n".join(self.lines[-30:])
                    why = "the gateway ended" if self.ended else "time is up"
                    raise AssertionError(f"{why} before {name} {fields}; its log:\n{tail}")
                self.changed.wait(left)

    def session_end(self, client):
        """The line that ended the session of `client`."""
        return self.wait_event("session_end", client=client.name)

    # Connections

    def address(self, listener=0):
        text = self.addresses[listener]
        if text.startswith("unix:"):
            return text[len("unix:") :]
        host, port = text.rsplit(":", 1)
        return host.strip("[]"), int(port)

    def connect(self, listener=0, *, tls=None, server_name="localhost", rcvbuf=None, sndbuf=None, session=None):
        """A connection without a word said; over TLS, with `tls` the context, its handshake done."""
        address = self.address(listener)
        family = (
            socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        )
        sock = socket.socket(family)
        try:
            sock.settimeout(DEADLINE)
            if rcvbuf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            if sndbuf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
            sock.connect(address)
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                sock = tell_ragged(tls).wrap_socket(
                    sock, server_hostname=server_name, suppress_ragged_eofs=False, session=session
                )
        except BaseException:
            sock.close()
            raise
        client = Client(sock)
        client.name = client.local if family != socket.AF_UNIX else "unix"
        self.clients.append(client)
        return client

    # The process

    @property
    def pid(self):
        """The process that was started: it listens to signals, and relays nothing."""
        return self.process.pid

    def workers(self):
        return children(self.pid, "sluice worker")

    @staticmethod
    def _rss_bytes(pid):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def supervisor_rss_bytes(self):
        return self._rss_bytes(self.pid)

    def rss_bytes(self):
        """Of its workers, as are the next two."""
        return sum(self._rss_bytes(pid) for pid in self.workers())

    def cpu_seconds(self):
        ticks = 0
        for pid in self.workers():
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.workers())

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, yaml=None):
        """Has it read its configuration (or this one) again, and waits until that went well."""
        before = len(self.events("reloaded"))
        if yaml is not None:
            self.write(yaml)
        self.signal(signal.SIGHUP)
        return self.wait_event("reloaded", before + 1)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        """Until it has ended and all of its log is read; answers the exit status."""
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("it does not end:\n" + "\n".join(self.lines[-30:])) from None
        self.reader.join(DEADLINE)
        self.process.stderr.close()
        return status

    def close_clients(self):
        for client in self.clients:
            client.close()

    def stop(self):
        """Ends it and looks it over; once is enough."""
        if self.stopped:
            return
        self.stopped = True
        self.close_clients()
        if self.process.poll() is None:
            self.terminate()
        status = self.wait()
        text = "\n".join(self.lines)
        for report in REPORTS:
            assert report not in text, text[-8000:]
        if UNDER_VALGRIND:  # which tells of every system call that it does not know, such as openat2
            self.strays = [line for line in self.strays if not line.startswith("--")]
        if SANITIZED:  # a look for leaks that meets a thread on its way out says so, and goes on
            self.strays = [line for line in self.strays if "Unable to get registers from thread" not in line]
        assert not self.strays, "no log lines:\n" + "\n".join(self.strays[:50])
        number = int(signal.SIGSYS)
        died = self.events("worker_died", signal=number) + self.events("admin_died", signal=number)
        assert not died, f"the sandbox ended {died}:\n{text[-4000:]}"
        assert status == 0, f"exit {status}:\n{text[-4000:]}"
