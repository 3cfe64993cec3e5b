"""What every gateway of these tests goes through, and what may come of it when a call of it fails."""

import errno
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib.env import OUT, SLUICE  # noqa: E402
from lib.gateway import REPORTS, Gateway  # noqa: E402
from lib.mounts import UNSHARE, mounted  # noqa: E402
from lib.target import Target  # noqa: E402
from steps import AFTER_RELOAD, AT_FIRST, CONTENT, LISTEN, PATIENCE, ROUTES, WANTED, Steps, Told  # noqa: E402

SHIM = OUT / "tests/faults.so"
READY_SECONDS = 30  # workers of a new configuration have to begin within this
CPU_SECONDS_MAX = 4  # a whole run costs some tenths; one that spins has them all in the waits below
NAME = "echo.test"  # of our target, where there are mount namespaces

# Events that tell of something which did not come to pass, each with its reason.
EXPLAINS = {
    "accept_paused", "admin_died", "cannot_run", "connection_dropped", "file_cut", "log_not_reopened", "overload",
    "proxy_refused", "reload_failed", "request_refused", "session_end", "target_failed", "tls_failed",
    "worker_died", "worker_not_started", "worker_stuck",
}  # fmt: skip


class Bench:
    """What the gateways of all runs share: certificates, targets, a file."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.chmod(0o755)  # the workers are another user
        self.certs = self.folder / "certs"
        subprocess.run([ROOT / "certs/make", self.certs], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (self.folder / "www").mkdir()
        (self.folder / "www/a").write_bytes(CONTENT)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(self.certs / "server.crt", self.certs / "server.key")
        self.client_tls = ssl.create_default_context(cafile=str(self.certs / "ca.crt"))
        self.targets = [Target(), Target(tls=server), Target()]
        for target, one in zip(self.targets, (self._echo_one, self._echo_one, self._source_one)):
            threading.Thread(target=self._accept, args=(target, one), daemon=True).start()
        self.prefix = self._names()

    def _names(self):
        """A command's prefix: within it our target has a name, which is looked up."""
        texts = {"hosts": f"127.0.0.1 {NAME}\n", "nsswitch.conf": "hosts: files\n"}
        for name, text in texts.items():
            (self.folder / name).write_text(text, encoding="ascii")
        if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0:
            return []
        return mounted(self.folder, [(name, f"/etc/{name}") for name in texts])

    @staticmethod
    def source(count):
        return bytes(range(251)) * (count // 251) + bytes(range(count % 251))

    @staticmethod
    def _source_one(_, sock):
        """Sends as many bytes as it is asked for."""
        try:
            sock.settimeout(PATIENCE * 3)
            asked = b""
            while not asked.endswith(b"\n") and (data := sock.recv(100)):
                asked += data
            if asked.endswith(b"\n"):
                sock.sendall(Bench.source(int(asked)))
        except OSError:
            pass
        finally:
            sock.close()

    @staticmethod
    def _echo_one(target, sock):
        try:
            sock.settimeout(PATIENCE * 3)
            if target.tls:
                sock = target.tls.wrap_socket(sock, server_side=True)
            while data := sock.recv(65536):
                sock.sendall(data)
        except OSError:
            pass
        finally:
            sock.close()

    @staticmethod
    def _accept(target, serve):
        target.listener.settimeout(None)
        while True:
            try:
                sock, _ = target.listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(target, sock), daemon=True).start()

    def config(self, poller, run, third):
        tcp, tls, source = [target.port for target in self.targets]
        return (LISTEN + ROUTES).format(
            certs=self.certs,
            tcp=tcp,
            tls=tls,
            source=source,
            name=NAME if self.prefix else "127.0.0.1",
            folder=self.folder / "www",
            poller=poller,
            third=third.format(run=run),
            user="user: nobody" if os.geteuid() == 0 else "",
        )

    def close(self):
        for target in self.targets:
            target.listener.close()


class Run:
    """One gateway with one fault, from its start to its end. `kinds` is what came of it, `wrong` what must not
    have."""

    def __init__(self, bench, folder, *, table, name="", point=None, mode=None, poller="epoll"):
        self.bench = bench
        self.kinds = []
        self.wrong = []
        self.table = table
        self.row = name
        self.errno = point[3] if point else None
        env = {"LD_PRELOAD": str(SHIM), "FAULTS_TABLE": str(table.path), "RES_OPTIONS": "timeout:1 attempts:1"}
        # The shim stands in front of the sanitizer's own, which is none of its affair.
        env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:allocator_may_return_null=1"
        if point:
            env["FAULTS_POINT"] = "{}:{}:{}:{}".format(*point)
        if mode:
            env["FAULTS_MODE"] = mode
        self.poller = poller
        self.mode = mode
        given = ["env", *(f"{name}={value}" for name, value in env.items())]
        text = bench.config(poller, folder, AT_FIRST)
        self.gateway = Gateway(folder, text, prefix=[*bench.prefix, *given], wait_ready=False)
        self.steps = Steps(self.gateway, bench, env, 5_000 if mode == "short" else 4_000_000)

    def _reload(self):
        """To a configuration with another listener; a session lives on."""
        client = self.gateway.connect(0)
        try:
            client.upgrade("/tcp")
            if self._changes():
                self.gateway.addresses = self.gateway.events("reloaded")[0]["listen"].split(",")
                self.steps.session("/tcp", 2)
            client.send_binary(b"still there")
            assert client.take_payload(11) == b"still there"
        finally:
            client.close()

    def _changes(self):
        before = self._count("reloaded", "reload_failed")
        self.gateway.write(self.bench.config(self.poller, self.gateway.folder, AFTER_RELOAD))
        self.gateway.signal(signal.SIGHUP)
        begun = time.monotonic()
        while self._count("reloaded", "reload_failed") == before:
            if self._loses_lines() and time.monotonic() > begun + 3:
                self.kinds.append("a line of the log is lost, and that is told")
                return False
            assert time.monotonic() < begun + READY_SECONDS + PATIENCE, "it neither reloads nor says why not"
            self._wait_log(0.2)
        assert not self.gateway.events("reload_failed"), "reload_failed"
        return True

    def _count(self, *names):
        return sum(len(self.gateway.events(name)) for name in names)

    def _wait_log(self, seconds):
        with self.gateway.changed:
            self.gateway.changed.wait(seconds)

    def _try(self, name, step, *args):
        """Notes what a step that failed looked like, and that the log has the reason."""
        told = self._count(*EXPLAINS)
        try:
            step(*args)
        except Told:
            self.kinds.append(name)
        except (AssertionError, OSError, EOFError, ValueError, HTTPException) as fault:
            what = re.sub(r"\d{4,}", "N", str(fault).split("\n", maxsplit=1)[0])[:60] or type(fault).__name__
            end = time.monotonic() + 3
            while self._count(*EXPLAINS) == told and time.monotonic() < end:
                self._wait_log(0.2)
            if self._count(*EXPLAINS) == told and not self._is_client_reset(name):
                self.wrong.append(f"{name}: {what}, and the log does not say why")
            self.kinds.append(name)

    def _is_client_reset(self, name):
        """One that comes before a request, or amid an answer that is no 101, has no line in the log: there was
        no session."""
        gone = self.errno in (errno.ECONNRESET, errno.ETIMEDOUT, errno.EPIPE)
        return (self.row in ("recv", "send") and gone) or (self.row == "SSL_read_ex" and name == "wss")

    def _loses_lines(self):
        return self.row == "write" and self.table.failed() > 0

    def _serves(self):
        """It goes on, if not at once: a worker may have to be replaced."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self.steps.session("/tcp")
            except (AssertionError, OSError, EOFError) as fault:
                if time.monotonic() >= end or self.gateway.process.poll() is not None:
                    self.wrong.append(f"it does not serve on: {fault!r}"[:160])
                    return None
                time.sleep(0.1)

    # The whole.

    def _started(self):
        gateway = self.gateway
        end = time.monotonic() + PATIENCE
        while not gateway.events("ready") and not gateway.ended and time.monotonic() < end:
            self._wait_log(0.2)
            if self._loses_lines() and gateway.workers() and time.monotonic() > end - PATIENCE + 3:
                break  # the line that says so is the one that was lost
        if gateway.events("ready"):
            gateway.addresses = gateway.events("ready")[0]["listen"].split(",")
            if any(":" not in address for address in gateway.addresses):
                self.wrong.append(f"it is ready at {gateway.addresses}")
                return False
            return True
        return False

    def _not_started(self):
        text = "\n".join(self.gateway.lines)
        if self.wrong or self._loses_lines():
            self.gateway.terminate()
            self.kinds.append("a line of the log is lost, and that is told")
            return
        if not self.gateway.ended:
            self.wrong.append("it neither starts nor ends")
            self.gateway.process.kill()
        elif len(text.strip()) < 12:
            self.wrong.append(f"it ends without a word: {text!r}")
        self.kinds.append("does not start, and says why")

    def go(self):
        """The scenario; afterwards `kinds` and `wrong` are what came of it."""
        started = self._started()
        if started:
            steps = self.steps
            self._try("ws", steps.session, "/tcp")
            self._try("wss", steps.session, "/tls", 1, True)
            self._try("name", steps.session, "/named")
            self._try("proxied", steps.proxied)
            self._try("download", steps.download)
            self._try("file", steps.file)
            self._try("range", steps.file, (7, 6000))
            self._try("refusal", steps.refusal)
            self._try("idle", steps.idle)
            self._try("admin", steps.pages)
            self._try("kill", steps.kill)
            self._try("ctl", steps.ctl, "status")
            self._try("ctl", steps.ctl, "sessions")
            self._try("reload", self._reload)
            self._serves()
            self.gateway.terminate()
        else:
            self._not_started()
        self._end(started)
        if self.mode and self.kinds:
            self.wrong.append("no call failed for good")
        return self

    def _end(self, started):
        process = self.gateway.process
        killer = threading.Timer(PATIENCE, process.kill)
        killer.start()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        self.gateway.reader.join(PATIENCE)
        self.gateway.close_clients()
        process.stderr.close()
        if process.returncode == -signal.SIGKILL:
            self.wrong.append("it did not end when told to")
        elif process.returncode not in ((0,) if started or self._loses_lines() else (1, 2)):
            self.wrong.append(f"exit status {process.returncode}")
        if usage.ru_utime + usage.ru_stime > CPU_SECONDS_MAX * (5 if "asan" in str(SLUICE) else 1):
            self.wrong.append(f"{usage.ru_utime + usage.ru_stime:.1f} CPU seconds")
        self._look_over(started)

    def _look_over(self, started):
        gateway = self.gateway
        text = "\n".join(gateway.lines)
        for report in REPORTS:
            if report in text:
                self.wrong.append(text[text.index(report) :][:600])
        if "Assertion" in text:
            self.wrong.append(text[text.index("Assertion") - 60 :][:200])
        if any("is lost" in kind for kind in self.kinds) and not gateway.events("log_lost"):
            self.wrong.append("a line of the log is lost, and nothing tells")
        for line in gateway.events("worker_died"):
            stuck = gateway.events("worker_stuck", pid=line["pid"])
            if "signal" in line and not stuck:
                self.wrong.append(f"a worker died of signal {line['signal']}")
            self.kinds.append("a worker is replaced")
        if self.row == "hang" and not gateway.events("worker_stuck"):
            self.wrong.append("a worker that hangs is left alone")
        for line in gateway.events("session_end"):
            wanted = WANTED.get(line["route"])
            if line["cause"] in ("internal", "client_timeout", "idle", "killed") and line["cause"] != wanted:
                self.wrong.append(f"the cause {line['cause']} fits nothing here")
            if line["cause"] not in ("client_close", "client_gone", wanted):
                self.kinds.append(line["cause"])
        strays = [line for line in gateway.strays if line.strip()]
        if started and strays:
            self.wrong.append(f"no log line: {strays[0][:200]}")
